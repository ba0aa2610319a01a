//! Writing XML as hosts expect it, with what an older API does not know held back.

use std::fmt::Write as _;

use crate::{ApiVersion, MoRef};

/// Writes elements of the namespace `urn:vim25` for a host of one API version.
#[derive(Debug)]
pub struct Writer {
    out: String,
    version: ApiVersion,
    withheld: Vec<String>,
}

impl Writer {
    /// A writer for a host that speaks `version`.
    pub fn new(version: ApiVersion) -> Self {
        Self { out: String::new(), version, withheld: Vec::new() }
    }

    /// The version that it writes for.
    pub fn version(&self) -> ApiVersion {
        self.version
    }

    /// What was asked for but left out, because the host's API does not know it: one entry per
    /// value, as `member (since version)`, or `member of type T (since version)` where the host knows
    /// the member but not the type of what it holds.
    pub fn withheld(&self) -> &[String] {
        &self.withheld
    }

    /// The text so far, and what was withheld.
    pub fn finish(self) -> (String, Vec<String>) {
        (self.out, self.withheld)
    }

    /// Whether the host knows things of `since`; if not, `name` is noted as withheld.
    #[inline(never)]
    pub fn knows(&mut self, since: ApiVersion, name: &str) -> bool {
        if since <= self.version {
            return true;
        }
        self.withheld.push(format!("{name} (since {since})"));
        false
    }

    /// How many bytes have been written.
    pub(crate) fn position(&self) -> usize {
        self.out.len()
    }

    /// Appends markup as it is.
    pub(crate) fn raw(&mut self, markup: &str) {
        self.out.push_str(markup);
    }

    /// Opens the element `name`.
    pub fn open(&mut self, name: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
    }

    /// Opens the element `name` with an `xsi:type`.
    pub fn open_typed(&mut self, name: &str, xsi_type: &str) {
        let _ = write!(self.out, "<{name} xsi:type=\"{xsi_type}\">");
    }

    /// Closes the element `name`.
    pub fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// Appends text, escaped. Characters that XML 1.0 cannot carry become U+FFFD.
    pub fn text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| {
            matches!(c, '&' | '<' | '>' | '"' | '\r' | '\u{fffe}' | '\u{ffff}')
                || (c < ' ' && !matches!(c, '\t' | '\n'))
        }) {
            self.out.push_str(&rest[..at]);
            let c = rest[at..].chars().next().unwrap_or_default();
            self.out.push_str(match c {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                // A bare carriage return would arrive as a line feed.
                '\r' => "&#13;",
                _ => "\u{fffd}",
            });
            rest = &rest[at + c.len_utf8()..];
        }
        self.out.push_str(rest);
    }

    /// Writes `<name>text</name>`, the text escaped.
    pub fn element(&mut self, name: &str, text: &str) {
        self.open(name);
        self.text(text);
        self.close(name);
    }

    /// Writes a managed object reference as the element `name`.
    pub fn moref(&mut self, name: &str, moref: &MoRef, typed: bool) {
        self.out.push('<');
        self.out.push_str(name);
        if typed {
            self.out.push_str(" xsi:type=\"ManagedObjectReference\"");
        }
        self.out.push_str(" type=\"");
        self.text(&moref.kind);
        self.out.push_str("\">");
        self.text(&moref.value);
        self.close(name);
    }

    /// Writes a member if it is set and the host knows it.
    #[inline(never)]
    pub fn optional<T: crate::Encode>(&mut self, name: &str, value: &Option<T>, since: ApiVersion) {
        if let Some(value) = value
            && self.knows(since, name)
        {
            value.encode(name, self);
        }
    }

    /// Writes a repeated member if the host knows it.
    #[inline(never)]
    pub fn list<T: crate::Encode>(&mut self, name: &str, values: &[T], since: ApiVersion) {
        if !values.is_empty() && self.knows(since, name) {
            for value in values {
                value.encode(name, self);
            }
        }
    }

    /// Writes a data object as the element `name`, if the host knows the type: what a member of the
    /// type `declared` holds, with `xsi:type` where it is another.
    #[inline(never)]
    pub fn typed<T: crate::DataObject>(&mut self, name: &str, value: &T, declared: &str) {
        if T::NAME == declared {
            self.open(name);
            value.write_members(self);
            self.close(name);
        } else if self.knows_type(T::NAME, T::SINCE, name) {
            self.open_typed(name, T::NAME);
            value.write_members(self);
            self.close(name);
        }
    }

    /// Whether the host knows the type `type_name` of `since`; if not, the value of the member
    /// `name` is noted as withheld.
    pub fn knows_type(&mut self, type_name: &str, since: ApiVersion, name: &str) -> bool {
        if since <= self.version {
            return true;
        }
        self.withheld.push(format!("{name} of type {type_name} (since {since})"));
        false
    }

    /// Writes a value as the element `name`.
    #[inline(never)]
    pub fn value<T: crate::Encode + ?Sized>(&mut self, name: &str, value: &T) {
        value.encode(name, self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_once() {
        let mut writer = Writer::new(ApiVersion::V2_5);
        writer.element("a", "x<y>&\"z\"\r\n\u{1}é");
        assert_eq!(writer.finish().0, "<a>x&lt;y&gt;&amp;&quot;z&quot;&#13;\n\u{fffd}é</a>");
    }

    #[test]
    fn what_an_old_host_does_not_know_is_named() {
        let mut writer = Writer::new(ApiVersion::V2_5);
        assert!(!writer.knows(ApiVersion::V4_0, "instanceUuid"));
        assert_eq!(writer.withheld(), ["instanceUuid (since 4.0)"]);
    }
}
