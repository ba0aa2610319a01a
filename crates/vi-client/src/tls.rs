//! Which server certificates are accepted, and why one was not.
//!
//! Hosts come with self-signed certificates, often without a subject alternative name and now and then in X.509
//! version 1, which no chain verification accepts. Such a host is trusted by the thumbprint of its certificate: the
//! raw bytes are compared, and the handshake must still be signed with that certificate's key (`verifier`).

mod certificate;
mod der;
mod thumbprint;
mod verifier;

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

pub use self::certificate::Certificate;
pub use self::thumbprint::{Thumbprint, ThumbprintAlgorithm, ThumbprintError};
use self::verifier::{Accept, Verifier};

/// Which certificate a server may present.
#[derive(Clone, Default)]
pub enum TlsPolicy {
    /// A chain to one of the system's CA certificates, with the right host name. `SSL_CERT_FILE` and `SSL_CERT_DIR`
    /// name another system store, as for OpenSSL.
    #[default]
    Verify,
    /// A chain to one of these CA certificates *instead* of the system's (the content of the `cacert` file, PEM), with
    /// the right host name. A self-signed host may be given by its own certificate. Bytes without any certificate
    /// trust nothing.
    CaPem(Vec<u8>),
    /// Exactly this certificate, whatever its names, dates, issuer and version.
    Thumbprint(Thumbprint),
    /// Any certificate at all: an attacker on the way can read everything.
    NoVerify,
}

impl fmt::Debug for TlsPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verify => f.write_str("Verify"),
            Self::CaPem(pem) => write!(f, "CaPem({} bytes)", pem.len()),
            Self::Thumbprint(thumbprint) => write!(f, "Thumbprint({thumbprint})"),
            Self::NoVerify => f.write_str("NoVerify"),
        }
    }
}

impl TlsPolicy {
    /// What rustls needs to be a client under this policy, for connections that are not HTTP. Reads the system store
    /// only for [`TlsPolicy::Verify`].
    ///
    /// # Errors
    /// The CA certificates are no PEM.
    pub fn client_config(&self) -> std::io::Result<ClientConfig> {
        client_config(self).map_err(std::io::Error::other)
    }
}

/// Why TLS with a server failed. `Display` continues the sentence "TLS with HOST failed: ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// The certificate does not pass verification. `thumbprint` (SHA-256) is what to compare with the host's own
    /// display and to give as `thumbprint=` if it is the right one.
    #[error("{problem} (the certificate's thumbprint is {thumbprint})")]
    Untrusted {
        /// What is wrong with it.
        problem: CertificateProblem,
        /// SHA-256 of the certificate presented.
        thumbprint: Thumbprint,
    },
    /// A thumbprint was asked for and the server has another certificate.
    #[error("the certificate has thumbprint {actual}, but {expected} was expected")]
    ThumbprintMismatch {
        /// What the user gave.
        expected: Thumbprint,
        /// What the server has, by the same algorithm.
        actual: Thumbprint,
    },
    /// The handshake is not signed with the certificate's key: somebody shows a certificate that is not theirs, or
    /// the key is too weak to count.
    #[error(
        "the server's proof that the certificate is its own is not valid (or its key is shorter than 2048 bits)"
    )]
    NotItsKey,
    /// The server speaks nothing newer than TLS 1.1, or no cipher suite we have.
    #[error(
        "the server offers only outdated TLS (1.1 or older, or old ciphers); enable TLS 1.2 on it, or reach it through a TLS proxy"
    )]
    Outdated,
    /// What came back is no TLS at all.
    #[error("the server does not speak TLS on this port (is it plain HTTP?)")]
    NotTls,
    /// Any other refusal, in rustls' words.
    #[error("{0}")]
    Other(String),
}

/// What verification found wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    /// Signed by nobody we trust; self-signed certificates end here.
    #[error("the certificate is self-signed or its issuer is not trusted")]
    UnknownIssuer,
    /// Valid, but for other names.
    #[error("the certificate is for {}, not for {host}", presented.join(", "))]
    NameMismatch {
        /// The host asked for.
        host: String,
        /// The names in the certificate, at most a few.
        presented: Vec<String>,
    },
    /// Has no subject alternative name, the only place names are looked for.
    #[error(
        "the certificate names no host (it has no subject alternative name), so it cannot be checked against {host}"
    )]
    Nameless {
        /// The host asked for.
        host: String,
    },
    /// Its time is over.
    #[error("the certificate expired {days} days ago")]
    Expired {
        /// Whole days since the end of its validity.
        days: u64,
    },
    /// Its time has not come, or the clock here is wrong.
    #[error("the certificate becomes valid only in {days} days (is the clock right?)")]
    NotYetValid {
        /// Whole days until the start of its validity.
        days: u64,
    },
    /// Issued under the name of a CA we trust, but not by its key: a re-installed vCenter, for example.
    #[error("the certificate was signed by another CA of the same name as the trusted one")]
    WrongIssuerKey,
    /// X.509 version 1 or otherwise outside what can be verified.
    #[error(
        "the certificate cannot be verified (it is of X.509 version 1, or malformed), only be trusted by its thumbprint"
    )]
    Unverifiable,
    /// There is no CA certificate to verify against.
    #[error("there are no CA certificates to verify the certificate with")]
    NoRoots,
    /// Any other reason.
    #[error("the certificate is not acceptable ({0})")]
    Other(String),
}

/// A TLS set-up that cannot even start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsSetupError {
    /// The CA file is not PEM.
    #[error("the CA certificates are not valid PEM")]
    BadPem(#[source] rustls::pki_types::pem::Error),
    /// rustls refuses the combination of versions and ciphers.
    #[error("TLS cannot be set up")]
    Rustls(#[from] rustls::Error),
}

/// The client configuration for `policy`. Reads the system store only for [`TlsPolicy::Verify`].
pub(crate) fn client_config(policy: &TlsPolicy) -> Result<ClientConfig, TlsSetupError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let accept = match policy {
        TlsPolicy::Verify => chain(system_roots(), Vec::new(), &provider)?,
        TlsPolicy::CaPem(pem) => {
            let certificates = certificates_from_pem(pem)?;
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates.iter().cloned());
            chain(roots, certificates, &provider)?
        }
        TlsPolicy::Thumbprint(thumbprint) => Accept::Thumbprint(thumbprint.clone()),
        TlsPolicy::NoVerify => Accept::Anything,
    };
    let verifier = Verifier::new(accept, provider.signature_verification_algorithms);
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

fn chain(
    roots: RootCertStore,
    themselves: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Accept, TlsSetupError> {
    // rustls refuses to build a verifier without roots; ours answers with the thumbprint instead.
    if roots.is_empty() {
        return Ok(Accept::Chain { verifier: None, themselves });
    }
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(provider),
    )
    .build()
    .map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(Accept::Chain { verifier: Some(verifier), themselves })
}

fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "part of the system's CA store is unreadable");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(added, ignored, "system CA store loaded");
    roots
}

fn certificates_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(TlsSetupError::BadPem)
}

/// The failure behind a rustls error, with our own reasons (see `verifier`) taken out of it.
pub(crate) fn failure(error: &rustls::Error) -> TlsFailure {
    use rustls::{AlertDescription, CertificateError, Error};
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            let inner: &(dyn std::error::Error + 'static) = other.0.as_ref();
            match inner.downcast_ref::<TlsFailure>() {
                Some(failure) => failure.clone(),
                None => TlsFailure::Other(error.to_string()),
            }
        }
        // A bad signature in the chain was turned into `WrongIssuerKey` before.
        Error::InvalidCertificate(CertificateError::BadSignature) => TlsFailure::NotItsKey,
        Error::PeerIncompatible(_)
        | Error::AlertReceived(
            AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity,
        ) => TlsFailure::Outdated,
        Error::InvalidMessage(_) => TlsFailure::NotTls,
        other => TlsFailure::Other(other.to_string()),
    }
}
