//! What can be wrong with an escaped text or a datastore path.

/// An escaped text that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset} of an escaped text")]
pub struct UnescapeError {
    /// Where the problem starts, in bytes of the text that was being decoded.
    pub offset: usize,
    /// What the problem is.
    pub kind: UnescapeErrorKind,
}

/// The two ways in which an escaped text can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnescapeErrorKind {
    /// `%` or `|` is not followed by two hexadecimal digits.
    #[error("incomplete escape sequence")]
    Incomplete,
    /// The decoded bytes are not UTF-8; the `unescape_bytes` functions have no such error.
    #[error("bytes that are not UTF-8")]
    NotUtf8,
}

/// A text that [`base64::decode`](crate::base64::decode) cannot undo.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid VMware base64 at byte {offset}")]
pub struct DecodeBase64Error {
    /// Where the undecodable run or byte starts.
    pub offset: usize,
}

/// A text that is not a datastore path, `[datastore] directory/file`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a datastore path")]
pub struct DatastorePathError {
    /// The text, as it was given.
    pub text: String,
}
