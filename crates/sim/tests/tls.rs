//! HTTPS: the certificate is the one that the thumbprint names.

use std::sync::Arc;

use crate::common::{envelope, exchange, login, request};
use esx_sim::Simulator;
use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Trusts one certificate, by its digest.
#[derive(Debug)]
struct Pinned {
    thumbprint: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found: Vec<String> =
            digest(&SHA256, end_entity).as_ref().iter().map(|b| format!("{b:02X}")).collect();
        if found.join(":") == self.thumbprint {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General("another certificate".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test]
async fn the_thumbprint_is_that_of_the_certificate() {
    let sim = Simulator::builder().tls(true).start().await.unwrap();
    let thumbprint = sim.thumbprint().unwrap().to_owned();
    assert_eq!(sim.uri(), format!("esx://user@{}/?thumbprint={thumbprint}", sim.address()));
    assert!(sim.url().starts_with("https://"));

    for (pin, trusted) in [(thumbprint, true), ("00:11".to_owned(), false)] {
        let provider = Arc::new(default_provider());
        let verifier = Arc::new(Pinned { thumbprint: pin, provider: Arc::clone(&provider) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(sim.address()).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = connector.connect(name, stream).await;
        assert_eq!(stream.is_ok(), trusted);
        if let Ok(stream) = stream {
            let request = request("POST", "/sdk", &[], &envelope(&login("user", "pass")));
            let answer = exchange(stream, &request).await;
            assert_eq!(answer.status, 200);
            assert!(answer.header("Set-Cookie").unwrap().ends_with("; Path=/; HttpOnly; Secure"));
        }
    }
    // The other simulator has a certificate of its own.
    let other = Simulator::builder().tls(true).start().await.unwrap();
    assert_ne!(other.thumbprint(), sim.thumbprint());
}
