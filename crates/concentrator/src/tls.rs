//! The certificate of a concentrator.

use std::{fmt, sync::Arc};

use esx_vi_client::{Thumbprint, ThumbprintAlgorithm};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use crate::{Error, Result};

/// A certificate with its key. `Debug` shows its thumbprint only.
#[derive(Clone)]
pub struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    sha1: String,
    sha256: String,
}

impl Identity {
    /// Reads a chain of certificates and the key of the first one, in PEM.
    ///
    /// # Errors
    ///
    /// [`Error::Certificate`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self> {
        let wrong = |error: &dyn fmt::Display| Error::Certificate(error.to_string());
        let chain = CertificateDer::pem_slice_iter(certificates)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| wrong(&error))?;
        let Some(leaf) = chain.first() else {
            return Err(Error::Certificate("there is none".to_owned()));
        };
        let digits = |algorithm| {
            let text = Thumbprint::of_certificate(algorithm, leaf).to_string();
            text.split_once(':').map_or(text.clone(), |(_, digits)| digits.to_owned())
        };
        let (sha1, sha256) =
            (digits(ThumbprintAlgorithm::Sha1), digits(ThumbprintAlgorithm::Sha256));
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| wrong(&error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| wrong(&error))?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), sha1, sha256 })
    }

    /// The SHA-1 thumbprint, `AA:BB:…`: what releases of ESXi are known to take in a proxy URI.
    #[must_use]
    pub fn sha1(&self) -> &str {
        &self.sha1
    }

    /// The SHA-256 thumbprint, `AA:BB:…`.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("sha256", &self.sha256).finish_non_exhaustive()
    }
}
