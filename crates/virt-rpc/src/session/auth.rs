//! SASL PLAIN: how a client's password reaches the login at the host (libvirt-rpc.md 5).

use std::fmt;

use virt_api::{Error, ErrorCode, ErrorDomain, Result, Secret};

use crate::types::MAX_SASL;
use crate::xdr::Chars;

/// How a client may prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// Not at all: whoever reaches the socket may use it.
    None,
    /// SASL, of which only PLAIN.
    Sasl,
}

impl AuthMethod {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Sasl => 1,
        }
    }
}

/// What a client's user typed, or its `auth.conf` holds. Its `Debug` hides both.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The login name; empty if none was given.
    pub username: String,
    /// The password.
    pub password: Secret,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// Reply to a step: complete, no data, the data.
type Step = (bool, bool, Chars<MAX_SASL>);

/// Where the negotiation stands.
#[derive(Debug, Default)]
pub(super) enum Sasl {
    #[default]
    Idle,
    /// The mechanism is chosen, its data comes in a step.
    Started,
    /// Credentials have come, and are here until a connection is opened.
    Done(Option<Credentials>),
}

impl Sasl {
    pub(super) const fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// Once, so that they are kept no longer than needed.
    pub(super) fn take_credentials(&mut self) -> Option<Credentials> {
        match self {
            Self::Done(credentials) => credentials.take(),
            _ => None,
        }
    }

    /// The mechanisms.
    pub(super) fn begin(&mut self) -> Result<String> {
        *self = Self::Idle;
        Ok("PLAIN".to_owned())
    }

    pub(super) fn start(&mut self, mechanism: &str, data: Option<Chars<MAX_SASL>>) -> Result<Step> {
        if mechanism != "PLAIN" {
            return Err(failed("the mechanism is not PLAIN"));
        }
        match data {
            Some(data) => self.plain(&data.0),
            None => {
                *self = Self::Started;
                Ok((false, true, Chars::default()))
            }
        }
    }

    pub(super) fn step(&mut self, data: Option<Chars<MAX_SASL>>) -> Result<Step> {
        match (&self, data) {
            (Self::Started, Some(data)) => self.plain(&data.0),
            _ => Err(failed("a step out of order")),
        }
    }

    /// `authzid NUL authcid NUL password`, RFC 4616.
    fn plain(&mut self, data: &[u8]) -> Result<Step> {
        *self = Self::Idle;
        // Some clients count the NUL at the end of a text.
        let data = data.strip_suffix(b"\0").unwrap_or(data);
        let mut parts = data.splitn(3, |&byte| byte == 0);
        let (Some(_), Some(user), Some(password)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(failed("the data is not that of PLAIN"));
        };
        let text = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).map_err(|_| failed("a text is not UTF-8"))?;
            if text.contains('\0') {
                return Err(failed("the data is not that of PLAIN"));
            }
            Ok(text.to_owned())
        };
        let (username, password) = (text(user)?, Secret::new(text(password)?));
        *self = Self::Done(Some(Credentials { username, password }));
        Ok((true, true, Chars::default()))
    }
}

fn failed(problem: &str) -> Error {
    Error::new(ErrorCode::AuthFailed, ErrorDomain::Auth, format!("SASL: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(data: &[u8]) -> Option<(String, String)> {
        let mut sasl = Sasl::default();
        sasl.start("PLAIN", Some(Chars(data.to_vec()))).ok()?;
        assert!(sasl.is_done());
        let found = sasl.take_credentials().expect("just stored");
        assert_eq!(sasl.take_credentials(), None, "only once");
        assert_eq!(format!("{found:?}"), "Credentials(***)");
        Some((found.username, found.password.expose().to_owned()))
    }

    #[test]
    fn plain_is_three_texts() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(taken(b"\0root\0pa55"), pair("root", "pa55"));
        assert_eq!(taken(b"other\0root\0pa55\0"), pair("root", "pa55"));
        assert_eq!(taken(b"\0\0"), None);
        assert_eq!(taken(b"\0root\0p\0x"), None);
        assert_eq!(taken(b"root"), None);
        assert_eq!(taken(b"\0r\xff\0p"), None);
        assert_eq!(taken(b""), None);
    }

    #[test]
    fn the_data_may_come_in_a_step() {
        let mut sasl = Sasl::default();
        assert!(sasl.step(Some(Chars(b"\0a\0b".to_vec()))).is_err());
        assert_eq!(sasl.start("PLAIN", None).unwrap(), (false, true, Chars::default()));
        assert!(!sasl.is_done());
        assert_eq!(
            sasl.step(Some(Chars(b"\0a\0b".to_vec()))).unwrap(),
            (true, true, Chars::default())
        );
        assert!(sasl.is_done());
        assert!(sasl.start("DIGEST-MD5", None).is_err());
    }
}
