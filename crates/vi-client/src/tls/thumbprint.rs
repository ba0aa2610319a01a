//! Thumbprints: the digest of a certificate's DER form, as host consoles, vCenter and openssl show it.

use std::fmt;
use std::str::FromStr;

use ring::digest;

/// Digest a thumbprint is made with. Versions differ in which one they show (users-and-servers.md, fact 28).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThumbprintAlgorithm {
    /// 20 bytes; what vSphere up to 7 shows.
    Sha1,
    /// 32 bytes; what we show.
    Sha256,
}

impl ThumbprintAlgorithm {
    /// The label put before the digits.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
        }
    }

    fn bytes(self) -> usize {
        self.digest().output_len()
    }
}

/// The thumbprint of one certificate. `Display` writes `SHA-256:AA:BB:...`, which [`Thumbprint::parse`] takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Thumbprint {
    algorithm: ThumbprintAlgorithm,
    bytes: Vec<u8>,
}

/// Why a text is no thumbprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThumbprintError {
    /// Something other than hexadecimal digits, colons and spaces.
    #[error("a thumbprint has only hexadecimal digits and colons, not {0:?}")]
    Digit(char),
    /// Wrong number of digits.
    #[error("a thumbprint has 40 digits (SHA-1) or 64 (SHA-256), not {0}")]
    Length(usize),
    /// The label does not fit the number of digits.
    #[error("a {} thumbprint has {} digits, not {found}", label.as_str(), label.bytes() * 2)]
    Label {
        /// The label given.
        label: ThumbprintAlgorithm,
        /// Digits found after it.
        found: usize,
    },
}

impl Thumbprint {
    /// Reads 40 (SHA-1) or 64 (SHA-256) hexadecimal digits in any case. Colons and white space are ignored; a label in
    /// front (`SHA1:`, `SHA-256 `, `sha256 Fingerprint=`) is checked against the number of digits.
    pub fn parse(text: &str) -> Result<Self, ThumbprintError> {
        let (label, digits) = split_label(text.trim());
        let mut nibbles = Vec::with_capacity(64);
        let mut count = 0_usize;
        for c in digits.chars().filter(|c| *c != ':' && !c.is_whitespace()) {
            let nibble = c.to_digit(16).ok_or(ThumbprintError::Digit(c))? as u8;
            count += 1;
            if count <= 64 {
                nibbles.push(nibble);
            }
        }
        let algorithm = match (count, label) {
            (40, None | Some(ThumbprintAlgorithm::Sha1)) => ThumbprintAlgorithm::Sha1,
            (64, None | Some(ThumbprintAlgorithm::Sha256)) => ThumbprintAlgorithm::Sha256,
            (found, Some(label)) => return Err(ThumbprintError::Label { label, found }),
            (found, None) => return Err(ThumbprintError::Length(found)),
        };
        let bytes = nibbles.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        Ok(Self { algorithm, bytes })
    }

    /// The thumbprint of a certificate in DER form.
    pub fn of_certificate(algorithm: ThumbprintAlgorithm, der: &[u8]) -> Self {
        Self { algorithm, bytes: digest::digest(algorithm.digest(), der).as_ref().to_vec() }
    }

    /// The digest it was made with.
    pub fn algorithm(&self) -> ThumbprintAlgorithm {
        self.algorithm
    }

    /// The digest itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Takes `SHA1`, `SHA-256` and the like off the front, with what separates it from the digits.
fn split_label(text: &str) -> (Option<ThumbprintAlgorithm>, &str) {
    let labels = [
        ("sha-256", ThumbprintAlgorithm::Sha256),
        ("sha256", ThumbprintAlgorithm::Sha256),
        ("sha-1", ThumbprintAlgorithm::Sha1),
        ("sha1", ThumbprintAlgorithm::Sha1),
    ];
    for (label, algorithm) in labels {
        if let Some(rest) = strip_prefix_ignore_case(text, label) {
            let rest = rest.trim_start();
            let rest = strip_prefix_ignore_case(rest, "fingerprint").unwrap_or(rest);
            return (Some(algorithm), rest.trim_start_matches([':', '=', ' ']));
        }
    }
    (None, text)
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

impl FromStr for Thumbprint {
    type Err = ThumbprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm.as_str())?;
        for byte in &self.bytes {
            write!(f, ":{byte:02X}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d"; // of "abc"
        let spaced: String = sha1.chars().map(|c| format!("{c} ")).collect();
        let expected = Thumbprint::of_certificate(ThumbprintAlgorithm::Sha1, b"abc");
        let colons = expected.to_string();
        for text in [
            sha1,
            &sha1.to_uppercase(),
            &spaced,
            &colons,
            &format!("SHA1:{sha1}"),
            &format!("sha-1 {sha1}"),
            &format!("sha1 Fingerprint={sha1}"),
            &format!("  SHA1 = {sha1}\n"),
        ] {
            assert_eq!(Thumbprint::parse(text).as_ref(), Ok(&expected), "{text}");
        }
        let sha256 = Thumbprint::of_certificate(ThumbprintAlgorithm::Sha256, b"abc");
        assert_eq!(Thumbprint::parse(&sha256.to_string()), Ok(sha256.clone()));
        insta::assert_snapshot!(sha256, @"SHA-256:BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD");
    }

    #[test]
    fn refusals() {
        let sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d";
        let table: String = [
            "",
            "SHA1:",
            "xyz",
            "AA:BB",
            &sha1[..39],
            &format!("sha-256:{sha1}"),
            &"a".repeat(100_000),
            "ä",
            "shä1",
        ]
        .iter()
        .map(|text| {
            let short: String = text.chars().take(24).collect();
            format!("{short:?}: {}\n", Thumbprint::parse(text).unwrap_err())
        })
        .collect();
        insta::assert_snapshot!(table, @r#"
        "": a thumbprint has 40 digits (SHA-1) or 64 (SHA-256), not 0
        "SHA1:": a SHA-1 thumbprint has 40 digits, not 0
        "xyz": a thumbprint has only hexadecimal digits and colons, not 'x'
        "AA:BB": a thumbprint has 40 digits (SHA-1) or 64 (SHA-256), not 4
        "a9993e364706816aba3e2571": a thumbprint has 40 digits (SHA-1) or 64 (SHA-256), not 39
        "sha-256:a9993e364706816a": a SHA-256 thumbprint has 64 digits, not 40
        "aaaaaaaaaaaaaaaaaaaaaaaa": a thumbprint has 40 digits (SHA-1) or 64 (SHA-256), not 100000
        "ä": a thumbprint has only hexadecimal digits and colons, not 'ä'
        "shä1": a thumbprint has only hexadecimal digits and colons, not 's'
        "#);
    }
}
