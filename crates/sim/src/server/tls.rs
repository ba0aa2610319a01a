//! A certificate of our own, made at each start.

use std::sync::Arc;

use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// What an HTTPS server needs.
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    /// The SHA-256 digest of the certificate, `AA:BB:...`.
    pub(crate) thumbprint: String,
    /// The SHA-1 digest, which leases tell.
    pub(crate) short_thumbprint: String,
}

impl Identity {
    /// Makes a key, and a certificate for the loopback addresses that it signs itself.
    pub(crate) fn new() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        let made = rcgen::generate_simple_self_signed(names)?;
        let certificate: CertificateDer<'static> = made.cert.der().clone();
        let of = |algorithm: &'static Algorithm| {
            let digest = digest(algorithm, &certificate);
            digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
        };
        let (thumbprint, short_thumbprint) = (of(&SHA256), of(&SHA1_FOR_LEGACY_USE_ONLY));
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self { acceptor, thumbprint, short_thumbprint })
    }
}
