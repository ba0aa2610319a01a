//! Versions of the VI API, as `AboutInfo.apiVersion` and the schema's `since` marks write them.

use std::fmt;

/// A version of the VI API: up to four numbers, ordered, absent ones count as 0.
///
/// Source: `AboutInfo.apiVersion`; `since` in the schema snapshots. Suffixes such as the `u2` of
/// `2.5u2` sort after the plain version: they are kept as a fifth number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ApiVersion([u16; 5]);

impl ApiVersion {
    /// API 2.5, the oldest that this crate speaks.
    pub const V2_5: Self = Self::new(2, 5, 0, 0);
    /// API 4.0: instance UUIDs.
    pub const V4_0: Self = Self::new(4, 0, 0, 0);
    /// API 4.1: `RetrievePropertiesEx` and `WaitForUpdatesEx`.
    pub const V4_1: Self = Self::new(4, 1, 0, 0);

    /// Newer than any: nothing is withheld for its sake.
    pub const MAX: Self = Self([u16::MAX; 5]);

    /// The version `major.minor.patch.build`.
    pub const fn new(major: u16, minor: u16, patch: u16, build: u16) -> Self {
        Self([major, minor, patch, build, 0])
    }

    /// The same with an update suffix (`2.5u2` is `V2_5.update(2)`).
    #[must_use]
    pub const fn update(self, update: u16) -> Self {
        Self([self.0[0], self.0[1], self.0[2], self.0[3], update])
    }

    /// Reads `8.0.2.0`, `6.7`, `2.5u2`, `2.5u2server`; anything else is `None`.
    ///
    /// ```
    /// use esx_vi_api::ApiVersion;
    /// assert!(ApiVersion::parse("6.7.3") > ApiVersion::parse("6.7"));
    /// assert_eq!(ApiVersion::parse("x"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let (numbers, update) = match text.split_once('u') {
            Some((numbers, rest)) => {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                // "2.5u2server" is a sibling of "2.5u2", not a later one.
                (numbers, rest[..end].parse::<u16>().ok()?)
            }
            None => (text, 0),
        };
        let mut parts = [0u16; 5];
        for (count, part) in numbers.split('.').enumerate() {
            if count == 4 || !part.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            parts[count] = part.parse().ok()?;
        }
        parts[4] = update;
        Some(Self(parts))
    }
}

impl fmt::Display for ApiVersion {
    /// `major.minor`, then as many further numbers as are needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch, build, update] = self.0;
        write!(f, "{major}.{minor}")?;
        if patch != 0 || build != 0 {
            write!(f, ".{patch}.{build}")?;
        }
        if update != 0 {
            write!(f, "u{update}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_as_releases_did() {
        let order = [
            "2.5", "2.5u2", "4.0", "4.1", "5.0", "6.7", "6.7.1", "7.0.0.2", "7.0.3.0", "8.0.0.1",
            "8.0.2.0",
        ];
        let parsed: Vec<_> = order.iter().map(|v| ApiVersion::parse(v).unwrap()).collect();
        assert!(parsed.is_sorted_by(|a, b| a < b), "{parsed:?}");
        assert_eq!(ApiVersion::parse("2.5u2server"), ApiVersion::parse("2.5u2"));
    }

    #[test]
    fn odd_texts_are_refused() {
        for text in ["", ".", "8.", "8.x", "8.0.2.0.1", "99999999", "-1", "8.0 "] {
            assert_eq!(ApiVersion::parse(text), None, "{text}");
        }
    }

    #[test]
    fn display_is_what_soap_action_wants() {
        assert_eq!(ApiVersion::parse("8.0.2.0").unwrap().to_string(), "8.0.2.0");
        assert_eq!(ApiVersion::parse("6.7").unwrap().to_string(), "6.7");
        assert_eq!(ApiVersion::parse("6.7.3").unwrap().to_string(), "6.7.3.0");
    }
}
