//! Removal of secrets from bodies before they are logged.

use std::borrow::Cow;

/// Put in place of a secret.
const HIDDEN: &str = "(hidden)";

/// `text` with its secrets blanked: the content of elements whose name ends in `password` in any case, of
/// `sessionId`, `ticket` and of the `key` of a `UserSession`; the ticket in a lease's `url`; the value of extra configuration entries whose key
/// ends in `password`; the value of a `vmware_soap_session` cookie; VMX lines `….password = "…"`.
///
/// Works on any text, well-formed or not: what looks like a secret's beginning is hidden to its end tag, or to the
/// end of the text if there is none.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut out = Redacted { text, done: 0, out: String::new() };
    let mut secret_value_follows = false;
    let mut at = 0;
    while let Some(found) = text[at..].find(['<', '=']) {
        let mark = at + found;
        at = mark + 1;
        if text.as_bytes()[mark] == b'=' {
            if let Some((from, to)) = assigned_secret(text, mark) {
                out.hide(from, to);
                at = to;
            }
            continue;
        }
        let Some(tag) = Tag::read(text, mark) else { continue };
        at = tag.end;
        let is_value = tag.name == "value";
        let hide = is_secret_name(tag.name)
            || (is_value && secret_value_follows)
            || (tag.name == "key" && is_session_key(text, &tag));
        if tag.name == "key" {
            let key = text[tag.end..].split('<').next().unwrap_or_default();
            secret_value_follows = ends_with_password(key.trim());
        } else if is_value {
            secret_value_follows = false;
        }
        if tag.name == "url"
            && let Some((from, to)) = lease_ticket(text, tag.end)
        {
            out.hide(from, to);
            at = to;
        }
        if hide && !tag.empty {
            let end = tag.content_end(text);
            out.hide(tag.end, end);
            at = end;
        }
    }
    out.finish()
}

/// Copies the text, holes filled.
struct Redacted<'a> {
    text: &'a str,
    done: usize,
    out: String,
}

impl<'a> Redacted<'a> {
    fn hide(&mut self, from: usize, to: usize) {
        if from < to {
            self.out.push_str(&self.text[self.done..from]);
            self.out.push_str(HIDDEN);
            self.done = to;
        }
    }

    fn finish(mut self) -> Cow<'a, str> {
        if self.done == 0 {
            return Cow::Borrowed(self.text);
        }
        self.out.push_str(&self.text[self.done..]);
        Cow::Owned(self.out)
    }
}

/// An opening tag.
struct Tag<'a> {
    /// Without its prefix.
    name: &'a str,
    /// First byte after `>`.
    end: usize,
    /// `<x/>`.
    empty: bool,
}

impl<'a> Tag<'a> {
    fn read(text: &'a str, open: usize) -> Option<Self> {
        let rest = &text[open + 1..];
        if rest.starts_with(['/', '!', '?']) {
            return None;
        }
        // A `<` before the `>` is no part of a tag; stopping there also keeps the whole scan linear.
        let close = rest.find(['<', '>']).filter(|close| rest.as_bytes()[*close] == b'>')?;
        let inside = &rest[..close];
        let empty = inside.ends_with('/');
        let name = inside.split([' ', '\t', '\r', '\n', '/']).next().unwrap_or_default();
        let name = name.rsplit(':').next().unwrap_or_default();
        Some(Self { name, end: open + 1 + close + 1, empty })
    }

    /// Where the end tag of this element begins. CDATA and comments inside count as content.
    fn content_end(&self, text: &str) -> usize {
        let mut at = self.end;
        while let Some(found) = text[at..].find("</") {
            let open = at + found;
            let name = text[open + 2..].split(['>', ' ', '\t', '\r', '\n']).next();
            if name.is_some_and(|name| name.rsplit(':').next() == Some(self.name)) {
                return open;
            }
            at = open + 2;
        }
        text.len()
    }
}

fn is_secret_name(name: &str) -> bool {
    ends_with_password(name) || name == "sessionId" || name == "ticket" || name == "BinarySecret"
}

fn ends_with_password(text: &str) -> bool {
    let start = text.len().saturating_sub("password".len());
    text.get(start..).is_some_and(|tail| tail.eq_ignore_ascii_case("password"))
}

/// `key` is a common element; in a `UserSession` it comes first, is a UUID and is followed by `userName`.
fn is_session_key(text: &str, tag: &Tag<'_>) -> bool {
    let rest = &text[tag.end..];
    let Some(open) = rest.find('<') else { return looks_like_uuid(rest.trim()) };
    let (content, after) = rest.split_at(open);
    if looks_like_uuid(content.trim()) {
        return true;
    }
    let after = after.split_once('>').map_or("", |(end_tag, rest)| {
        if end_tag.starts_with("</") { rest.trim_start() } else { "" }
    });
    after.starts_with('<') && Tag::read(after, 0).is_some_and(|next| next.name == "userName")
}

fn looks_like_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The ticket in the URL of a lease's disk, `https://*/nfc/TICKET/disk-0.vmdk`: it gives access without a session.
fn lease_ticket(text: &str, from: usize) -> Option<(usize, usize)> {
    const BEFORE: &str = "/nfc/";
    let to = text[from..].find('<').map_or(text.len(), |length| from + length);
    let from = from + text[from..to].find(BEFORE)? + BEFORE.len();
    let length = text[from..to].find('/').unwrap_or(to - from);
    Some((from, from + length))
}

/// The span of a secret behind an equals sign: a cookie's value or that of a VMX password.
fn assigned_secret(text: &str, equals: usize) -> Option<(usize, usize)> {
    let before = text[..equals].trim_end_matches([' ', '\t']);
    if !before.ends_with("vmware_soap_session") && !ends_with_password(before) {
        return None;
    }
    let after = &text[equals + 1..];
    let from = equals + 1 + (after.len() - after.trim_start_matches([' ', '\t']).len());
    let value = &text[from..];
    let length = if let Some(inside) = value.strip_prefix('"') {
        inside.find(['"', '\n']).map_or(value.len(), |end| end + 2)
    } else {
        value.find([';', ',', '<', ' ', '\t', '\r', '\n']).unwrap_or(value.len())
    };
    // Hide nothing rather than cut a character when a line break ends an open quote.
    let to = (from + length).min(text.len());
    Some((from, if text.is_char_boundary(to) { to } else { text.len() }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_blanked() {
        let table: String = [
            "<Login><userName>root</userName><password>canary</password></Login>",
            "<password xsi:type=\"xsd:string\">can&amp;ary</password>",
            "<vim:password><![CDATA[canary</x>]]></vim:password><a/>",
            "<newPassword>canary</newPassword><password/><n>1</n>",
            "<sessionId>canary</sessionId>",
            "<key>/vm-1/disk-0</key><url>https://*/nfc/canary/disk-0.vmdk</url><url>http://h/a</url>",
            "<url>https://*/nfc/canary",
            "<returnval><key>canary</key>\n  <userName>root</userName></returnval>",
            "<val xsi:type=\"UserSession\"><key>52e1c1f8-aaaa-bbbb-cccc-0123456789ab</key></val>",
            "<device><key>2000</key><label>x</label></device>",
            "<key>RemoteDisplay.vnc.password</key><value xsi:type=\"xsd:string\">canary</value><key>a</key><value>b</value>",
            "Cookie: vmware_soap_session=\"canary\"; Path=/",
            "vmware_soap_session=canary; Path=/",
            "RemoteDisplay.vnc.password = \"canary\"\r\nmemSize = \"4\"\r\n",
            "<password>canary",
            "<password>canary</pass",
            "vmware_soap_session=\"canary",
            "nothing = secret < here",
        ]
        .iter()
        .map(|text| {
            let clean = redact(text);
            assert!(!clean.contains("canary"), "{clean}");
            format!("{clean}\n")
        })
        .collect();
        insta::assert_snapshot!(table, @r#"
        <Login><userName>root</userName><password>(hidden)</password></Login>
        <password xsi:type="xsd:string">(hidden)</password>
        <vim:password>(hidden)</vim:password><a/>
        <newPassword>(hidden)</newPassword><password/><n>1</n>
        <sessionId>(hidden)</sessionId>
        <key>/vm-1/disk-0</key><url>https://*/nfc/(hidden)/disk-0.vmdk</url><url>http://h/a</url>
        <url>https://*/nfc/(hidden)
        <returnval><key>(hidden)</key>
          <userName>root</userName></returnval>
        <val xsi:type="UserSession"><key>(hidden)</key></val>
        <device><key>2000</key><label>x</label></device>
        <key>RemoteDisplay.vnc.password</key><value xsi:type="xsd:string">(hidden)</value><key>a</key><value>b</value>
        Cookie: vmware_soap_session=(hidden); Path=/
        vmware_soap_session=(hidden); Path=/
        RemoteDisplay.vnc.password = (hidden)
        memSize = "4"

        <password>(hidden)
        <password>(hidden)
        vmware_soap_session=(hidden)
        nothing = secret < here
        "#);
    }

    #[test]
    fn text_without_secrets_is_borrowed() {
        assert!(matches!(redact("<a><key>4000</key></a>"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(pieces in proptest::collection::vec(prop_oneof![
            Just("<password>".to_owned()), Just("</password>".to_owned()), Just("<key>".to_owned()),
            Just("vmware_soap_session=".to_owned()), Just("\"".to_owned()), Just("\n".to_owned()),
            Just("password = ".to_owned()), Just("<value>".to_owned()), any::<String>(),
        ], 0..12)) {
            let text = pieces.concat();
            let clean = redact(&text);
            prop_assert!(clean.len() <= text.len() + HIDDEN.len() * 12);
        }
    }
}
