//! Just enough DER to find the public key in a certificate that webpki refuses to parse.
//!
//! webpki knows only X.509 version 3. A host pinned by its thumbprint may have a version 1 certificate, and its
//! handshake signature has to be checked all the same, so the key is cut out by position: RFC 5280, 4.1.

/// The parts of a `SubjectPublicKeyInfo` that a signature check needs, borrowed from the certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PublicKey<'a> {
    /// The whole `SubjectPublicKeyInfo` element, header included.
    pub(super) info: &'a [u8],
    /// Content of the `AlgorithmIdentifier`, without its header (the form of `pki_types::AlgorithmIdentifier`).
    pub(super) algorithm: &'a [u8],
    /// Content of the bit string, without the count of unused bits.
    pub(super) key: &'a [u8],
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
const EXPLICIT_0: u8 = 0xa0;

/// The public key of a certificate of any version; `None` if the bytes are not laid out as a certificate.
pub(super) fn public_key(certificate: &[u8]) -> Option<PublicKey<'_>> {
    let mut outer = Reader(certificate);
    let mut certificate = Reader(outer.element(SEQUENCE)?);
    let mut tbs = Reader(certificate.element(SEQUENCE)?);
    if tbs.peek() == Some(EXPLICIT_0) {
        tbs.element(EXPLICIT_0)?; // version; absent in version 1
    }
    tbs.element(INTEGER)?; // serial number
    for _ in ["signature algorithm", "issuer", "validity", "subject"] {
        tbs.element(SEQUENCE)?;
    }
    let before = tbs.0;
    let mut info = Reader(tbs.element(SEQUENCE)?);
    let whole = &before[..before.len() - tbs.0.len()];
    let algorithm = info.element(SEQUENCE)?;
    let (unused_bits, key) = info.element(BIT_STRING)?.split_first()?;
    (*unused_bits == 0).then_some(PublicKey { info: whole, algorithm, key })
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next element if it has this tag.
    fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            // At most 4 bytes of length: TLS bounds a certificate to 2^24 bytes. 0x80 alone (indefinite) is not DER.
            let count = usize::from(first & 0x7f);
            if !(1..=4).contains(&count) {
                return None;
            }
            let (bytes, after) = rest.split_at_checked(count)?;
            length = bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            rest = after;
        }
        let (content, after) = rest.split_at_checked(length)?;
        if found != tag {
            return None;
        }
        self.0 = after;
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_the_key_rcgen_put_there() {
        let pair = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["h".into()]).unwrap();
        let certificate = certificate.self_signed(&pair).unwrap();
        let found = public_key(certificate.der()).unwrap();
        assert_eq!(found.info, rcgen::PublicKeyData::subject_public_key_info(&pair));
        assert_eq!(found.key, rcgen::PublicKeyData::der_bytes(&pair));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..200_usize) {
            let _ = public_key(&bytes);
            // Also something that starts like a certificate.
            let pair = rcgen::KeyPair::generate().unwrap();
            let certificate = rcgen::CertificateParams::new(vec!["h".into()]).unwrap();
            let certificate = certificate.self_signed(&pair).unwrap();
            let cut = cut.min(certificate.der().len());
            bytes.splice(0..0, certificate.der()[..cut].iter().copied());
            let _ = public_key(&bytes);
        }
    }
}
