//! Why a connection URI is refused.

use super::UriScheme;
use super::parameters::NAMES;
use crate::known_hosts::KnownHostsError;

/// Least likeness (Jaro-Winkler) of two names for one to be offered in place of the other.
const ALIKE: f64 = 0.8;

/// What is wrong with a connection URI. Every one is libvirt's `VIR_ERR_INVALID_ARG`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UriError {
    /// Not a URI at all.
    #[error("the connection URI is malformed: {0}")]
    Malformed(&'static str),
    /// A scheme of another driver, or of none.
    #[error("the URI scheme {scheme:?} is not one of esx, gsx and vpx{hint}")]
    Scheme {
        /// What stands before `://`.
        scheme: String,
        /// A further word for the user, or nothing.
        hint: &'static str,
    },
    /// `esx:///`.
    #[error("the connection URI names no host")]
    NoHost,
    /// `vpx://host/`.
    #[error(
        "the path of a vpx:// URI must name the datacenter and the compute resource, as in vpx://HOST/DATACENTER/HOST-OR-CLUSTER"
    )]
    NoPath,
    /// A parameter that does not exist.
    #[error("unknown URI parameter {name:?}{} (known are {})", nearest(name), NAMES.join(", "))]
    UnknownParameter {
        /// The name, decoded.
        name: String,
    },
    /// A parameter with a value it cannot have.
    #[error("the URI parameter {name} has the unexpected value {value:?} (should be {expected})")]
    Value {
        /// The parameter.
        name: &'static str,
        /// The value, decoded.
        value: String,
        /// What would do.
        expected: String,
    },
    /// Two parameters of which only one can be meant.
    #[error("the URI parameters {first} and {second} contradict each other")]
    Conflict {
        /// One, with its value where that matters.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
}

impl UriError {
    pub(super) fn scheme(scheme: &str) -> Self {
        let base = scheme.split('+').next().unwrap_or_default();
        let ours = |text: &str| UriScheme::ALL.iter().any(|scheme| scheme.as_str() == text);
        let hint = if ours(&scheme.to_ascii_lowercase()) {
            " (it is written in lower case)"
        } else if base != scheme && ours(base) {
            " (there is no remote daemon to go through, leave out what follows the +)"
        } else {
            ""
        };
        Self::Scheme { scheme: scheme.to_owned(), hint }
    }
}

/// `, did you mean X?` for a name that is nearly X.
fn nearest(name: &str) -> String {
    let name = name.to_lowercase();
    NAMES
        .iter()
        .map(|known| (strsim::jaro_winkler(&name, known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(String::new(), |(_, known)| format!(", did you mean {known}?"))
}

/// Whom to trust cannot be found out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// The `cacert` file.
    #[error(transparent)]
    CaFile(#[from] CaFileError),
    /// The known-hosts file.
    #[error(transparent)]
    KnownHosts(#[from] KnownHostsError),
}

/// The `cacert` file cannot be read: libvirt's `VIR_ERR_INTERNAL_ERROR` with transport code 77.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the CA certificates of the URI parameter cacert from {path:?}")]
pub(crate) struct CaFileError {
    /// The path as the URI gives it, decoded.
    pub(crate) path: String,
    /// Why not.
    pub(crate) source: std::io::Error,
}
