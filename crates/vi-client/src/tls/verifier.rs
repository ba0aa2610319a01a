//! The certificate verifier behind every [`TlsPolicy`](super::TlsPolicy).
//!
//! Whatever is accepted, the handshake must be signed with the key of the certificate presented; only then does a
//! matching thumbprint prove anything. For certificates that webpki parses, rustls' own functions check that
//! signature; for others (X.509 version 1) the key is cut out of the DER and checked with the same algorithms.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};

use super::der;
use super::{CertificateProblem, Thumbprint, ThumbprintAlgorithm, TlsFailure};

/// Names of a certificate shown in a message, at most.
const MAX_NAMES_SHOWN: usize = 5;

/// What is accepted.
#[derive(Debug)]
pub(super) enum Accept {
    /// A chain to a known CA, or a certificate that is itself known.
    Chain {
        /// `None` if there is not one CA.
        verifier: Option<Arc<WebPkiServerVerifier>>,
        /// The certificates of the CA file. webpki takes them as issuers only and so refuses what `openssl req -x509`
        /// makes: a server certificate that is its own CA. OpenSSL, and with it libvirt, does not.
        themselves: Vec<CertificateDer<'static>>,
    },
    /// One certificate.
    Thumbprint(Thumbprint),
    /// Everything.
    Anything,
}

#[derive(Debug)]
pub(super) struct Verifier {
    accept: Accept,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(accept: Accept, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { accept, algorithms }
    }

    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let problem = match &self.accept {
            Accept::Anything => return Ok(()),
            Accept::Thumbprint(expected) => {
                let actual = Thumbprint::of_certificate(expected.algorithm(), end_entity);
                if actual == *expected {
                    return Ok(());
                }
                let expected = expected.clone();
                return Err(refusal(TlsFailure::ThumbprintMismatch { expected, actual }));
            }
            Accept::Chain { themselves, .. } if themselves.contains(end_entity) => {
                match check_itself(end_entity, server_name, now) {
                    Ok(()) => return Ok(()),
                    Err(problem) => problem,
                }
            }
            Accept::Chain { verifier: None, .. } => CertificateProblem::NoRoots,
            Accept::Chain { verifier: Some(verifier), .. } => {
                match verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp, now)
                {
                    Ok(_) => return Ok(()),
                    Err(rustls::Error::InvalidCertificate(reason)) => {
                        problem(&reason, end_entity, server_name)
                    }
                    Err(other) => return Err(other),
                }
            }
        };
        let thumbprint = Thumbprint::of_certificate(ThumbprintAlgorithm::Sha256, end_entity);
        Err(refusal(TlsFailure::Untrusted { problem, thumbprint }))
    }
}

/// Names and dates of a certificate whose issuer does not matter.
fn check_itself(
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), CertificateProblem> {
    let parsed =
        ParsedCertificate::try_from(certificate).map_err(|_| CertificateProblem::Unverifiable)?;
    let (not_before, not_after) =
        der::validity(certificate).ok_or(CertificateProblem::Unverifiable)?;
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    if now.as_secs() > not_after {
        return Err(CertificateProblem::Expired { days: days_between(at(not_after), now) });
    }
    if now.as_secs() < not_before {
        return Err(CertificateProblem::NotYetValid { days: days_between(now, at(not_before)) });
    }
    match rustls::client::verify_server_name(&parsed, server_name) {
        Ok(()) => Ok(()),
        Err(rustls::Error::InvalidCertificate(reason)) => {
            Err(problem(&reason, certificate, server_name))
        }
        Err(other) => Err(CertificateProblem::Other(other.to_string())),
    }
}

/// Our reason in rustls' clothes; `tls::failure` takes it out again.
fn refusal(failure: TlsFailure) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(failure))).into()
}

fn problem(
    reason: &CertificateError,
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
) -> CertificateProblem {
    let host = || server_name.to_str().into_owned();
    match reason {
        CertificateError::UnknownIssuer => CertificateProblem::UnknownIssuer,
        CertificateError::NotValidForName => {
            CertificateProblem::NameMismatch { host: host(), presented: vec!["other names".into()] }
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            CertificateProblem::Nameless { host: host() }
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let presented =
                presented.iter().take(MAX_NAMES_SHOWN).map(|name| plain(name)).collect();
            CertificateProblem::NameMismatch { host: host(), presented }
        }
        CertificateError::Expired => CertificateProblem::Expired { days: 0 },
        CertificateError::ExpiredContext { time, not_after } => {
            CertificateProblem::Expired { days: days_between(*not_after, *time) }
        }
        CertificateError::NotValidYet => CertificateProblem::NotYetValid { days: 0 },
        CertificateError::NotValidYetContext { time, not_before } => {
            CertificateProblem::NotYetValid { days: days_between(*time, *not_before) }
        }
        CertificateError::BadSignature => CertificateProblem::WrongIssuerKey,
        _ if ParsedCertificate::try_from(certificate).is_err() => CertificateProblem::Unverifiable,
        other => CertificateProblem::Other(words(other)),
    }
}

fn days_between(earlier: UnixTime, later: UnixTime) -> u64 {
    later.as_secs().saturating_sub(earlier.as_secs()) / 86_400
}

/// webpki's `Other` errors print their Rust name; that is the most there is to say.
fn words(error: &CertificateError) -> String {
    match error {
        CertificateError::Other(other) => other.0.to_string(),
        other => other.to_string(),
    }
}

/// rustls shows names as `DnsName("h")` and `IpAddress(127.0.0.1)`; only the inside means something to users.
fn plain(name: &str) -> String {
    let inner = name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')'));
    inner.trim_matches('"').chars().filter(|c| !c.is_control()).take(100).collect()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(end_entity, intermediates, server_name, ocsp_response, now)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if ParsedCertificate::try_from(cert).is_ok() {
            return verify_tls12_signature(message, cert, dss, &self.algorithms);
        }
        let key = der::public_key(cert).ok_or(CertificateError::BadEncoding)?;
        // In TLS 1.2 a scheme fits several algorithms (any curve); the key's own identifier picks one.
        let candidates = self
            .algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == dss.scheme)
            .flat_map(|(_, algorithms)| algorithms.iter())
            .filter(|algorithm| algorithm.public_key_alg_id().as_ref() == key.algorithm);
        for algorithm in candidates {
            if algorithm.verify_signature(key.key, message, dss.signature()).is_ok() {
                return Ok(HandshakeSignatureValid::assertion());
            }
        }
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if ParsedCertificate::try_from(cert).is_ok() {
            return verify_tls13_signature(message, cert, dss, &self.algorithms);
        }
        let key = der::public_key(cert).ok_or(CertificateError::BadEncoding)?;
        let info = SubjectPublicKeyInfoDer::from(key.info);
        verify_tls13_signature_with_raw_key(message, &info, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
