//! The session cookie: kept word for word, since hosts quote its value and compare it so.
//!
//! `Login` answers with `Set-Cookie: vmware_soap_session="<id>"; Path=/; HttpOnly; Secure`. What must come back
//! is `name=value` with the quotes and without the attributes (users-and-servers.md, fact 27).

use std::fmt;

/// Most cookies kept; a host sets one or two.
const MAX_COOKIES: usize = 8;
/// Longest `name=value` kept, in bytes.
const MAX_COOKIE_BYTES: usize = 4096;

/// What authenticates a session: the text of a `Cookie` header. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionCookie(String);

impl SessionCookie {
    /// Takes up a cookie saved earlier with [`expose`](Self::expose). `None` if the text is not printable ASCII
    /// holding at least one `name=value`, and so could not be a header.
    pub fn from_saved(text: &str) -> Option<Self> {
        Jar::parse(text)?.header()
    }

    /// The secret itself: `name=value`, more than one separated by `; `.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionCookie(hidden)")
    }
}

/// The cookies one endpoint has set, in order of arrival.
#[derive(Default)]
pub(crate) struct Jar {
    cookies: Vec<(String, String)>,
}

impl Jar {
    /// The jar that sends `text`, the inverse of [`header`](Self::header).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut jar = Self::default();
        for pair in text.split(';') {
            jar.set_cookie(pair);
        }
        (!jar.cookies.is_empty()).then_some(jar)
    }

    /// Takes one `Set-Cookie` value. Nonsense is ignored, as browsers do; a used-up cookie is dropped.
    pub(crate) fn set_cookie(&mut self, header: &str) {
        let mut parts = header.split(';');
        let pair = parts.next().unwrap_or_default().trim();
        let Some((name, value)) = pair.split_once('=') else { return };
        let (name, value) = (name.trim(), value.trim());
        let printable = |s: &str| s.bytes().all(|b| (0x20..0x7f).contains(&b));
        if name.is_empty() || pair.len() > MAX_COOKIE_BYTES || !printable(name) || !printable(value)
        {
            return;
        }
        let expired = parts.any(|attribute| {
            attribute.split_once('=').is_some_and(|(key, age)| {
                key.trim().eq_ignore_ascii_case("max-age")
                    && age.trim().parse::<i64>().is_ok_and(|seconds| seconds <= 0)
            })
        });
        self.cookies.retain(|(known, _)| known != name);
        if !expired && !value.is_empty() && self.cookies.len() < MAX_COOKIES {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }

    /// What to send back; `None` without cookies.
    pub(crate) fn header(&self) -> Option<SessionCookie> {
        if self.cookies.is_empty() {
            return None;
        }
        let pairs: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Some(SessionCookie(pairs.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(headers: &[&str]) -> String {
        let mut jar = Jar::default();
        headers.iter().for_each(|header| jar.set_cookie(header));
        jar.header().map_or("none".to_owned(), |cookie| cookie.expose().to_owned())
    }

    #[test]
    fn set_cookie_headers() {
        let table: String = [
            &["vmware_soap_session=\"abc-1\"; Path=/; HttpOnly; Secure;"][..],
            &["a=1; Max-Age=0"],
            &["s=\"x\"; Path=/", "s=; Path=/"],
            &["s=\"x\"", "s=\"y\"; path=/ui", "t=2"],
            &["=x", "noequals", "", ";", "b=\u{7}", "ü=1"],
            &["s=a=b==; Max-Age=60"],
        ]
        .iter()
        .map(|headers| format!("{headers:?} -> {}\n", after(headers)))
        .collect();
        insta::assert_snapshot!(table, @r#"
        ["vmware_soap_session=\"abc-1\"; Path=/; HttpOnly; Secure;"] -> vmware_soap_session="abc-1"
        ["a=1; Max-Age=0"] -> none
        ["s=\"x\"; Path=/", "s=; Path=/"] -> none
        ["s=\"x\"", "s=\"y\"; path=/ui", "t=2"] -> s="y"; t=2
        ["=x", "noequals", "", ";", "b=\u{7}", "ü=1"] -> none
        ["s=a=b==; Max-Age=60"] -> s=a=b==
        "#);
    }

    #[test]
    fn a_hostile_host_cannot_fill_the_jar() {
        let mut jar = Jar::default();
        for i in 0..10_000 {
            jar.set_cookie(&format!("c{i}=1"));
        }
        jar.set_cookie(&format!("big={}", "x".repeat(MAX_COOKIE_BYTES)));
        assert_eq!(jar.cookies.len(), MAX_COOKIES);
    }

    #[test]
    fn saved_cookies_come_back_and_debug_hides_them() {
        let saved = SessionCookie::from_saved("s=\"y\"; t=2").unwrap();
        assert_eq!(saved.expose(), "s=\"y\"; t=2");
        assert_eq!(format!("{saved:?}"), "SessionCookie(hidden)");
        assert_eq!(SessionCookie::from_saved("s=a\r\nX-Evil: 1"), None);
        assert_eq!(SessionCookie::from_saved(""), None);
    }
}
