//! Just enough DER to read from a certificate what webpki does not tell: RFC 5280, 4.1.
//!
//! webpki knows only X.509 version 3. A host pinned by its thumbprint may have a version 1 certificate, and its
//! handshake signature has to be checked all the same, so the key is cut out by position. And it checks dates only
//! along a chain, while a certificate that stands in the CA file itself has none.

use std::net::{Ipv4Addr, Ipv6Addr};

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

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BMP_STRING: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
const EXPLICIT_0: u8 = 0xa0;
const EXPLICIT_3: u8 = 0xa3;

/// The public key of a certificate of any version; `None` if the bytes are not laid out as a certificate.
pub(super) fn public_key(certificate: &[u8]) -> Option<PublicKey<'_>> {
    let mut tbs = after_issuer(certificate)?;
    tbs.element(SEQUENCE)?; // validity
    tbs.element(SEQUENCE)?; // subject
    let before = tbs.0;
    let mut info = Reader(tbs.element(SEQUENCE)?);
    let whole = &before[..before.len() - tbs.0.len()];
    let algorithm = info.element(SEQUENCE)?;
    let (unused_bits, key) = info.element(BIT_STRING)?.split_first()?;
    (*unused_bits == 0).then_some(PublicKey { info: whole, algorithm, key })
}

/// First and last second of a certificate's validity, in seconds since 1970 (0 for anything earlier).
pub(super) fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    let mut validity = Reader(after_issuer(certificate)?.element(SEQUENCE)?);
    Some((validity.time()?, validity.time()?))
}

/// Who a certificate is for and from, for people.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// 1 to 3.
    pub(super) version: u8,
    pub(super) issuer: String,
    pub(super) subject: String,
    /// DNS names and IP addresses of the subject alternative name.
    pub(super) alternatives: Vec<String>,
}

/// Most names that are read.
const MAX_NAMES: usize = 100;
/// Longest name or attribute shown, in characters.
const MAX_SHOWN: usize = 200;

/// The names in a certificate of any version.
pub(super) fn names(certificate: &[u8]) -> Option<Names> {
    let mut outer = Reader(certificate);
    let mut certificate = Reader(outer.element(SEQUENCE)?);
    let mut tbs = Reader(certificate.element(SEQUENCE)?);
    let version = match tbs.peek() {
        Some(EXPLICIT_0) => {
            let number = Reader(tbs.element(EXPLICIT_0)?).element(INTEGER)?;
            number.last()?.saturating_add(1)
        }
        _ => 1,
    };
    tbs.element(INTEGER)?; // serial number
    tbs.element(SEQUENCE)?; // signature algorithm
    let issuer = distinguished_name(tbs.element(SEQUENCE)?)?;
    tbs.element(SEQUENCE)?; // validity
    let subject = distinguished_name(tbs.element(SEQUENCE)?)?;
    tbs.element(SEQUENCE)?; // public key
    let mut names = Names { version, issuer, subject, alternatives: Vec::new() };
    while let Some((tag, content)) = tbs.any() {
        if tag == EXPLICIT_3 {
            names.alternatives = alternative_names(content).unwrap_or_default();
        }
    }
    Some(names)
}

/// `CN=esx1, O=VMware, Inc.`, in the order of the certificate.
fn distinguished_name(content: &[u8]) -> Option<String> {
    let mut sets = Reader(content);
    let mut parts = Vec::new();
    while let Some((SET, set)) = sets.any() {
        let mut set = Reader(set);
        while let Some((SEQUENCE, attribute)) = set.any() {
            let mut attribute = Reader(attribute);
            let label = match attribute.element(OBJECT_IDENTIFIER)? {
                [0x55, 4, 3] => "CN",
                [0x55, 4, 5] => "serialNumber",
                [0x55, 4, 6] => "C",
                [0x55, 4, 7] => "L",
                [0x55, 4, 8] => "ST",
                [0x55, 4, 10] => "O",
                [0x55, 4, 11] => "OU",
                [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1] => "emailAddress",
                [9, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
                _ => "?",
            };
            let (tag, value) = attribute.any()?;
            if parts.len() < MAX_NAMES {
                parts.push(format!("{label}={}", text(tag, value)));
            }
        }
    }
    Some(parts.join(", "))
}

/// DNS names and addresses of RFC 5280, 4.2.1.6.
fn alternative_names(extensions: &[u8]) -> Option<Vec<String>> {
    let mut extensions = Reader(Reader(extensions).element(SEQUENCE)?);
    let mut found = Vec::new();
    while let Some((SEQUENCE, extension)) = extensions.any() {
        let mut extension = Reader(extension);
        if extension.element(OBJECT_IDENTIFIER)? != [0x55, 0x1d, 17] {
            continue;
        }
        if extension.peek() == Some(BOOLEAN) {
            extension.any()?; // critical
        }
        let mut names = Reader(Reader(extension.element(OCTET_STRING)?).element(SEQUENCE)?);
        while let Some((tag, value)) = names.any() {
            let name = match (tag, value.len()) {
                (DNS_NAME, _) => text(tag, value),
                (IP_ADDRESS, 4) => Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).to_string(),
                (IP_ADDRESS, 16) => Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).to_string(),
                _ => continue,
            };
            if found.len() < MAX_NAMES {
                found.push(name);
            }
        }
    }
    Some(found)
}

/// The characters of a string type, without anything a terminal would act upon.
fn text(tag: u8, value: &[u8]) -> String {
    let text = if tag == BMP_STRING {
        let units: Vec<u16> = value
            .chunks_exact(2)
            .map(|pair| u16::from(pair[0]) << 8 | u16::from(pair[1]))
            .collect();
        String::from_utf16_lossy(&units)
    } else {
        String::from_utf8_lossy(value).into_owned()
    };
    text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect()
}

/// The rest of the `TBSCertificate`: validity, subject, public key and so on.
fn after_issuer(certificate: &[u8]) -> Option<Reader<'_>> {
    let mut outer = Reader(certificate);
    let mut certificate = Reader(outer.element(SEQUENCE)?);
    let mut tbs = Reader(certificate.element(SEQUENCE)?);
    if tbs.peek() == Some(EXPLICIT_0) {
        tbs.element(EXPLICIT_0)?; // version; absent in version 1
    }
    tbs.element(INTEGER)?; // serial number
    tbs.element(SEQUENCE)?; // signature algorithm
    tbs.element(SEQUENCE)?; // issuer
    Some(tbs)
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`, the only forms RFC 5280 allows.
    fn time(&mut self) -> Option<u64> {
        let (digits, century) = match self.peek()? {
            UTC_TIME => {
                let digits = self.element(UTC_TIME)?;
                (digits, if *digits.first()? >= b'5' { 1900 } else { 2000 })
            }
            _ => {
                let (century, digits) = self.element(GENERALIZED_TIME)?.split_at_checked(2)?;
                (digits, number(century)? * 100)
            }
        };
        let (digits, zone) = digits.split_at_checked(12)?;
        let pair = |at: usize| number(&digits[at..at + 2]);
        let (year, month, day) = (century + pair(0)?, pair(2)?, pair(4)?);
        let (hour, minute, second) = (pair(6)?, pair(8)?, pair(10)?);
        let valid = zone == b"Z" && (1..=12).contains(&month) && (1..=31).contains(&day);
        if !valid || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let seconds =
            days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        Some(u64::try_from(seconds).unwrap_or(0))
    }

    /// The content of the next element if it has this tag.
    fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut after = Self(self.0);
        let (found, content) = after.any()?;
        if found != tag {
            return None;
        }
        self.0 = after.0;
        Some(content)
    }

    /// Tag and content of the next element.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
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
        self.0 = after;
        Some((found, content))
    }
}

/// The value of two digits.
fn number(digits: &[u8]) -> Option<i64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. Years are counted from March, so that the leap day ends
/// one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    // 719 468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
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

    #[test]
    fn dates() {
        let dates = |from: (i32, u8, u8), to: (i32, u8, u8)| {
            let pair = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::new(vec!["h".into()]).unwrap();
            params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
            params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
            validity(params.self_signed(&pair).unwrap().der()).unwrap()
        };
        // As `date -ud DATE +%s` has them.
        assert_eq!(dates((1970, 1, 1), (2038, 1, 19)), (0, 2_147_472_000));
        assert_eq!(dates((2000, 2, 29), (2024, 3, 1)), (951_782_400, 1_709_251_200));
        // Before 1950 and from 2050 on in the long form.
        assert_eq!(dates((1949, 12, 31), (2100, 12, 31)), (0, 4_133_894_400));
        assert_eq!(dates((1950, 1, 1), (4000, 1, 1)), (0, 64_060_588_800));
    }

    #[test]
    fn names_of_a_certificate() {
        let pair = rcgen::KeyPair::generate().unwrap();
        let mut params =
            rcgen::CertificateParams::new(["h.example", "10.0.0.1", "::1"].map(String::from))
                .unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in [
            (rcgen::DnType::OrganizationName, "VMware, Inc."),
            (rcgen::DnType::CommonName, "esx\u{7}1"),
        ] {
            params.distinguished_name.push(kind, value);
        }
        let found = names(params.self_signed(&pair).unwrap().der()).unwrap();
        let name = "O=VMware, Inc., CN=esx1".to_owned();
        let alternatives = ["h.example", "10.0.0.1", "::1"].map(String::from).to_vec();
        assert_eq!(found, Names { version: 3, issuer: name.clone(), subject: name, alternatives });
    }

    #[test]
    fn bad_dates() {
        for time in [
            &b"\x17\x0d991332000000Z"[..],
            b"\x17\x0d990132000000Z",
            b"\x17\x0d990101240000Z",
            b"\x17\x0d9901010000xxZ",
            b"\x17\x0d9901010000+1Z",
            b"\x17\x0b9901010000Z",
            b"\x17\x00",
            b"\x18\x0d990101000000Z",
            b"\x18\x01Z",
            b"\x02\x01\x00",
            b"",
        ] {
            assert_eq!(Reader(time).time(), None, "{time:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..200_usize) {
            let _ = (public_key(&bytes), validity(&bytes), names(&bytes));
            // Also something that starts like a certificate.
            let pair = rcgen::KeyPair::generate().unwrap();
            let certificate = rcgen::CertificateParams::new(vec!["h".into()]).unwrap();
            let certificate = certificate.self_signed(&pair).unwrap();
            let cut = cut.min(certificate.der().len());
            bytes.splice(0..0, certificate.der()[..cut].iter().copied());
            let _ = (public_key(&bytes), validity(&bytes), names(&bytes));
        }
    }
}
