//! The one error type of the driver traits: libvirt's code and domain, a message and what caused it.

use std::error::Error as StdError;

use crate::{ErrorCode, ErrorDomain};

/// Result of a driver function.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a driver function failed (libvirt `virError`, without its formatting arguments).
///
/// `Display` writes `message` only; the cause is reached through `source`, so that a program can print the chain once.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What went wrong.
    pub code: ErrorCode,
    /// Which part reports it.
    pub domain: ErrorDomain,
    /// One line for a person: what was tried, with its arguments. Never a secret.
    pub message: String,
    /// The error below, if there is one.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error without a cause.
    pub fn new(code: ErrorCode, domain: ErrorDomain, message: impl Into<String>) -> Self {
        Self { code, domain, message: message.into(), source: None }
    }

    /// The same error with the error that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// `VIR_ERR_NO_SUPPORT`: the driver lacks `function`, a function of libvirt's public API.
    #[must_use]
    pub fn no_support(function: &str) -> Self {
        Self::new(
            ErrorCode::NoSupport,
            ErrorDomain::None,
            format!("this function is not supported by the connection driver: {function}"),
        )
    }

    /// `VIR_ERR_INTERNAL_ERROR` in the given part.
    pub fn internal(domain: ErrorDomain, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InternalError, domain, message)
    }

    /// `VIR_ERR_INVALID_ARG` in the given part.
    pub fn invalid_arg(domain: ErrorDomain, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArg, domain, message)
    }

    /// `VIR_ERR_NO_DOMAIN` of the ESX driver; `message` says which domain was looked for.
    pub fn no_domain(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NoDomain, ErrorDomain::Esx, message)
    }

    /// `VIR_ERR_OPERATION_DENIED`: `function` changes something and the connection is read-only.
    #[must_use]
    pub fn read_only(function: &str) -> Self {
        Self::new(
            ErrorCode::OperationDenied,
            ErrorDomain::None,
            format!("operation {function} forbidden for read only access"),
        )
    }

    /// The messages of this error and of everything below it, outermost first.
    pub fn chain(&self) -> impl Iterator<Item = String> + '_ {
        let mut next: Option<&(dyn StdError + 'static)> = Some(self);
        std::iter::from_fn(move || {
            let error = next?;
            next = error.source();
            Some(error.to_string())
        })
    }
}

/// Refuses flag bits that a function does not know (`virCheckFlags`): `VIR_ERR_INVALID_ARG` naming the bits in hex.
///
/// Flags that come from a remote caller keep unknown bits (`from_bits_retain`), so they end up here.
///
/// ```
/// use virt_api::{DomainXmlFlags, check_flags};
///
/// let known = DomainXmlFlags::SECURE | DomainXmlFlags::INACTIVE;
/// assert!(check_flags("virDomainGetXMLDesc", DomainXmlFlags::SECURE, known).is_ok());
/// let refused = check_flags("virDomainGetXMLDesc", DomainXmlFlags::UPDATE_CPU, known).unwrap_err();
/// assert_eq!(refused.to_string(), "unsupported flags (0x4) in function virDomainGetXMLDesc");
/// ```
pub fn check_flags<F: bitflags::Flags<Bits = u32>>(
    function: &str,
    flags: F,
    supported: F,
) -> Result<()> {
    let unknown = flags.bits() & !supported.bits();
    if unknown == 0 {
        return Ok(());
    }
    Err(Error::invalid_arg(
        ErrorDomain::Esx,
        format!("unsupported flags ({unknown:#x}) in function {function}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::Error;
    use crate::{ErrorCode, ErrorDomain};

    #[test]
    fn display_does_not_repeat_the_source() {
        let inner = Error::internal(ErrorDomain::Esx, "cannot reach https://127.0.0.1/sdk")
            .with_source(std::io::Error::other("connection refused"));
        let error = Error::new(ErrorCode::NoConnect, ErrorDomain::Esx, "cannot open esx://host/")
            .with_source(inner);
        assert_eq!(error.to_string(), "cannot open esx://host/");
        assert_eq!(
            error.chain().collect::<Vec<_>>(),
            ["cannot open esx://host/", "cannot reach https://127.0.0.1/sdk", "connection refused"]
        );
    }

    #[test]
    fn a_missing_function_is_named() {
        let error = Error::no_support("virDomainReset");
        assert_eq!(error.code, ErrorCode::NoSupport);
        assert_eq!(
            error.to_string(),
            "this function is not supported by the connection driver: virDomainReset"
        );
    }
}
