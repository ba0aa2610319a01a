//! Why there are no credentials.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use virt_api::{ErrorCode, ErrorDomain};

/// Which half of the credentials is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// The login name.
    UserName,
    /// The password.
    Password,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserName => "user name",
            Self::Password => "password",
        })
    }
}

/// Why there are no credentials. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// `LIBVIRT_AUTH_FILE=`.
    #[error("LIBVIRT_AUTH_FILE is set but empty; unset it, or let it name a credentials file")]
    EmptyVariable,
    /// The chosen file cannot be read.
    #[error("cannot read the credentials file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The chosen file is no key file.
    #[error("syntax error in the credentials file {}, line {line}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there; never the line itself, which may hold a password.
        problem: &'static str,
    },
    /// The group for the host does not say which credentials to take.
    #[error("the key 'credentials' is missing in group '{group}' of the credentials file {}", path.display())]
    NoCredentialsKey {
        /// The file.
        path: PathBuf,
        /// `auth-esx-...`.
        group: String,
    },
    /// The group for the host names credentials that do not exist.
    #[error(
        "group '{wanted}', to which group '{group}' refers, is missing in the credentials file {}",
        path.display()
    )]
    NoCredentialsGroup {
        /// The file.
        path: PathBuf,
        /// `auth-esx-...`.
        group: String,
        /// `credentials-...`.
        wanted: String,
    },
    /// Found nowhere, and the program offers nobody to ask.
    #[error("no {field} for {host}{}: {}", searched(looked_in.as_deref()), ways(*field))]
    NobodyToAsk {
        /// What is missing.
        field: Field,
        /// For which host.
        host: String,
        /// The file that was searched.
        looked_in: Option<PathBuf>,
    },
    /// The program can ask, but not for this.
    #[error("no {field} for {host}: this program cannot ask for one")]
    CannotAsk {
        /// What is missing.
        field: Field,
        /// For which host.
        host: String,
    },
    /// The person, or the program, gave no answer.
    #[error("the request for the {field} for {host} was not answered")]
    Refused {
        /// What was asked for.
        field: Field,
        /// For which host.
        host: String,
        /// The program's words.
        source: Option<Box<virt_api::Error>>,
    },
}

impl AuthError {
    /// libvirt's code for it (connection.md 2.2 and 2.3). A file that cannot be read has none there; it is a failed
    /// system call here.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::EmptyVariable | Self::NobodyToAsk { .. } => ErrorCode::InvalidArg,
            Self::Unreadable { .. } => ErrorCode::SystemError,
            Self::Syntax { .. }
            | Self::NoCredentialsKey { .. }
            | Self::NoCredentialsGroup { .. } => ErrorCode::ConfSyntax,
            Self::CannotAsk { field: Field::UserName, .. }
            | Self::Refused { field: Field::UserName, .. } => ErrorCode::AuthFailed,
            Self::CannotAsk { field: Field::Password, .. } => ErrorCode::OperationUnsupported,
            Self::Refused { field: Field::Password, .. } => ErrorCode::OperationFailed,
        }
    }

    /// libvirt's domain for it: the credentials file belongs to no driver (connection.md 19).
    pub(crate) fn domain(&self) -> ErrorDomain {
        match self.code() {
            ErrorCode::ConfSyntax => ErrorDomain::None,
            _ => ErrorDomain::Esx,
        }
    }
}

fn searched(path: Option<&Path>) -> String {
    path.map_or(String::new(), |path| format!(" in the credentials file {}", path.display()))
}

fn ways(field: Field) -> &'static str {
    match field {
        Field::UserName => {
            "put it into the URI (esx://USER@HOST/), or into a credentials file named by LIBVIRT_AUTH_FILE or authfile=, or run where it can be asked for"
        }
        Field::Password => {
            "put it into ~/.config/libvirt/auth.conf, or into a credentials file named by LIBVIRT_AUTH_FILE or authfile=, or run where it can be asked for"
        }
    }
}
