//! What a server's certificate says of itself, for a person who decides whether to trust it.

use super::der;
use super::thumbprint::{Thumbprint, ThumbprintAlgorithm};

/// A certificate as it was presented, whether or not anybody would trust it. Texts hold no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// X.509 version, 1 to 3; 0 if the certificate cannot be read at all.
    pub version: u8,
    /// Distinguished name of whom it is for.
    pub subject: String,
    /// Distinguished name of who signed it.
    pub issuer: String,
    /// DNS names and IP addresses that it is valid for.
    pub names: Vec<String>,
    /// First second of its validity, since 1970.
    pub not_before: Option<u64>,
    /// Last second of its validity, since 1970.
    pub not_after: Option<u64>,
    /// Its SHA-1 digest.
    pub sha1: Thumbprint,
    /// Its SHA-256 digest.
    pub sha256: Thumbprint,
}

impl Certificate {
    /// Reads a certificate in DER form. What cannot be read stays empty: the digests are always there.
    pub fn read(certificate: &[u8]) -> Self {
        let names = der::names(certificate).unwrap_or_default();
        let validity = der::validity(certificate);
        Self {
            version: names.version,
            subject: names.subject,
            issuer: names.issuer,
            names: names.alternatives,
            not_before: validity.map(|(from, _)| from),
            not_after: validity.map(|(_, to)| to),
            sha1: Thumbprint::of_certificate(ThumbprintAlgorithm::Sha1, certificate),
            sha256: Thumbprint::of_certificate(ThumbprintAlgorithm::Sha256, certificate),
        }
    }
}
