//! Why a call of the VI API failed.

use std::time::Duration;

use esx_vi_api::{ApiVersion, DecodeError, MoRef, Object};

use crate::{LeaseError, TransferError, TransportError};

/// Result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a method call on a managed object failed. The variant says who is at fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host answered with a SOAP fault; `fault.name` is its type in the schema.
    #[error("{method} on {target} was refused: {fault}")]
    Fault {
        /// The method.
        method: &'static str,
        /// The managed object it was called on.
        target: MoRef,
        /// What the host said.
        fault: Box<Fault>,
    },
    /// The reply does not fit the schema.
    #[error("cannot decode the reply of {endpoint} to {method}")]
    Decode {
        /// `host:port`.
        endpoint: String,
        /// The method.
        method: &'static str,
        /// Where and why.
        source: DecodeError,
    },
    /// Something answers that is no VMware host: a web page, for example.
    #[error("{endpoint} is no VMware host or vCenter: it answers {method} with {found}")]
    NotVi {
        /// `host:port`.
        endpoint: String,
        /// The method.
        method: &'static str,
        /// What came instead of SOAP.
        found: String,
    },
    /// No usable HTTP exchange took place.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A file could not be transferred as asked.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// A disk could not be had by a lease.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The host's API is too old for the method; nothing was sent.
    #[error("{method} needs VI API {since}, but the host speaks {version}")]
    TooOld {
        /// The method.
        method: &'static str,
        /// The version that introduced it.
        since: ApiVersion,
        /// The version of the connection.
        version: ApiVersion,
    },
    /// Nothing was started: a question or another task is in the way.
    #[error("{method} on {target} was {refusal}")]
    Refused {
        /// The method.
        method: &'static str,
        /// The managed object it was to be called on.
        target: MoRef,
        /// What is in the way.
        refusal: esx_task::Refusal,
    },
    /// The task ended in an error.
    #[error("{method} on {target} failed: {fault}")]
    TaskFailed {
        /// The method.
        method: &'static str,
        /// The managed object it was called on.
        target: MoRef,
        /// What the task says.
        fault: Box<Fault>,
    },
    /// The wait for the task was given up.
    #[error("{method} on {target} was given up: {reason}; {}", match task {
        esx_task::Leftover::Cancelled => "the task was cancelled",
        esx_task::Leftover::LeftBehind => "the task cannot be cancelled and is left behind on the host",
        esx_task::Leftover::NotStarted => "nothing was started",
    })]
    TaskGivenUp {
        /// The method.
        method: &'static str,
        /// The managed object it was called on.
        target: MoRef,
        /// Why.
        reason: esx_task::Reason,
        /// What became of the task.
        task: esx_task::Leftover,
    },
    /// The task is gone before it ended: whether it did its work is not known.
    #[error("the task of {method} on {target} has vanished, how it ended is not known")]
    TaskVanished {
        /// The method.
        method: &'static str,
        /// The managed object it was called on.
        target: MoRef,
    },
    /// The host does not offer a service that the call needs; nothing was sent.
    #[error("the host offers no {0}")]
    NoService(&'static str),
}

/// What a host said when it refused a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The fault's type in the schema, for example `InvalidLogin`; may be newer than our schema.
    pub name: String,
    /// Localised text for people. Never decide anything by it.
    pub message: String,
    /// The fault's members, if there was a detail.
    pub detail: Option<Object>,
}

impl std::fmt::Display for Fault {
    /// The text and the name; the name alone if there is no text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.message.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{} ({})", self.message, self.name)
        }
    }
}

impl Error {
    /// The fault, if the host refused the call or its task failed.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault { fault, .. } | Self::TaskFailed { fault, .. } => Some(fault),
            _ => None,
        }
    }

    /// Whether a property collector or one of its filters is gone: both go with the session that made them.
    pub fn is_lost_collector(&self) -> bool {
        let Self::Fault { target, fault, .. } = self else { return false };
        let gone = fault.detail.as_ref().and_then(|detail| detail.get("obj")?.as_moref());
        self.is_fault("ManagedObjectNotFound")
            && matches!(&*gone.unwrap_or(target).kind, "PropertyCollector" | "PropertyFilter")
    }

    /// Whether the connection broke before there was a reply: what only reads may be tried again.
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Transport(TransportError::Closed { .. }))
    }

    /// Whether a call that only reads is worth being sent again, and after which pause: the connection broke, or the
    /// host is too busy or is being restarted.
    pub(crate) fn worth_repeating(&self) -> Option<Duration> {
        /// A host that names a longer time is not waited for.
        const LONGEST: Duration = Duration::from_secs(10);
        /// If the host names none.
        const PAUSE: Duration = Duration::from_secs(1);
        let Self::Transport(error) = self else { return None };
        match error {
            TransportError::Closed { .. } => Some(Duration::ZERO),
            TransportError::Refused { .. } => Some(PAUSE),
            TransportError::Status { status: 502..=504, retry_after, .. } => {
                Some(retry_after.unwrap_or(PAUSE)).filter(|pause| *pause <= LONGEST)
            }
            _ => None,
        }
    }

    /// The property that the host does not have at all, if that is why it refused the call.
    pub(crate) fn unknown_property(&self) -> Option<String> {
        let fault = self.fault().filter(|fault| fault.name == "InvalidProperty")?;
        fault.detail.as_ref()?.str("name").map(str::to_owned)
    }

    /// Whether the host refused the call with a fault of the type `name`, or of one derived from it.
    pub fn is_fault(&self, name: &str) -> bool {
        self.fault().is_some_and(|fault| {
            fault.name == name || esx_vi_api::schema::is_subtype(&fault.name, name)
        })
    }
}
