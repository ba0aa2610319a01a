//! The daemon's certificate, and those of its clients.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::Tls;

/// What a server says inside of TLS before the protocol begins: the client is let in (libvirt-rpc.md 2.3).
const LET_IN: u8 = 1;

/// Reads the files that the configuration names.
///
/// # Errors
/// If one cannot be read, or certificate and key do not fit together.
pub(crate) fn acceptor(tls: &Tls) -> anyhow::Result<TlsAcceptor> {
    let shown = |path: &Path| format!("cannot use {}", path.display());
    let certificates = |path: &Path| -> anyhow::Result<Vec<CertificateDer<'static>>> {
        let found: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(path).with_context(|| shown(path))?.collect();
        let found = found.with_context(|| shown(path))?;
        anyhow::ensure!(!found.is_empty(), "{} holds no certificate", path.display());
        Ok(found)
    };
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).with_context(|| shown(&tls.key))?;
    let provider = Arc::new(ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).with_context(|| shown(path))?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.with_context(|| shown(path))?)
        }
    };
    let config = builder
        .with_single_cert(chain, key)
        .with_context(|| format!("{} and its key", tls.certificate.display()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Shakes hands and lets the client in.
///
/// # Errors
/// If it is no TLS client, or has no certificate that it should have.
pub(crate) async fn accept<S>(acceptor: &TlsAcceptor, stream: S) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = acceptor.accept(stream).await?;
    stream.write_all(&[LET_IN]).await?;
    stream.flush().await?;
    Ok(stream)
}
