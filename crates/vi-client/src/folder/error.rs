//! Why a transfer of a file failed, beyond what HTTP says.

use esx_escape::DatastorePath;

/// Why a file cannot be read or written as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// There is no such file, or no such datastore.
    #[error("there is no file {path}")]
    NotFound {
        /// The file.
        path: DatastorePath,
    },
    /// The host knows the file but cannot open it: status 403, 423 or 500, without a reason.
    #[error(
        "the host cannot open {path} (HTTP status {status}): a running machine or another host may have it locked"
    )]
    Unreadable {
        /// The file.
        path: DatastorePath,
        /// What the host answered.
        status: u16,
    },
    /// The host did not take the file: status 4xx or 5xx, without a reason.
    #[error("the host did not take {path} (HTTP status {status}): {}", match status {
        401 => "the session ended in the middle of the upload, begin it again",
        _ => "the datastore may be full, or the file locked",
    })]
    NotTaken {
        /// The file.
        path: DatastorePath,
        /// What the host answered.
        status: u16,
    },
    /// The file is not the one that the transfer began with.
    #[error("{path} has changed while it was read: its {what} is another one")]
    Changed {
        /// The file.
        path: DatastorePath,
        /// What is different.
        what: &'static str,
    },
    /// There is nothing at the offset.
    #[error("offset {offset} is beyond the end of {path}, which has {size} bytes")]
    BeyondEnd {
        /// The file.
        path: DatastorePath,
        /// The offset asked for.
        offset: u64,
        /// The size of the file.
        size: u64,
    },
    /// The server sent another part of the file than it was asked for.
    #[error("the host sent another part of {path} than byte {expected} and what follows")]
    WrongRange {
        /// The file.
        path: DatastorePath,
        /// The first byte asked for.
        expected: u64,
    },
    /// The server sends whole files only, and does not say how long they are.
    #[error("the host does not say how long {path} is")]
    UnknownSize {
        /// The file.
        path: DatastorePath,
    },
    /// The server sends the transfer to another one, whose certificate nobody has checked and which does not know the
    /// session (users-and-servers.md, fact 19).
    #[error(
        "the transfer of {path} is sent on to {target:?}, which is not followed: connect to that host itself"
    )]
    Elsewhere {
        /// The file.
        path: DatastorePath,
        /// Where to, in the server's words.
        target: String,
    },
    /// A file of that name is there, and was not to be replaced.
    #[error("there is a file {path} already")]
    Exists {
        /// The file.
        path: DatastorePath,
    },
    /// The caller gave more or fewer bytes than it had announced.
    #[error("{given} of the {announced} announced bytes of {path} were given")]
    WrongLength {
        /// The file.
        path: DatastorePath,
        /// What was announced.
        announced: u64,
        /// What was given, as far as it was looked at.
        given: u64,
    },
    /// The upload was given up, and what had arrived could not be removed.
    #[error("what was uploaded of {path} is left behind as {leftover}")]
    LeftBehind {
        /// The file that it was to be.
        path: DatastorePath,
        /// The file that it is.
        leftover: DatastorePath,
    },
}
