//! Editing: only the bytes an edit is about change (`spec/vmx.md` 17).

use crate::document::Document;
use crate::grammar::{self, Body, Line, Quote, Span, Terminator};
use crate::value;

/// Why an edit cannot be made. The document is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The key is not a letter or `.` followed by letters, digits and `_:.-*`.
    #[error("'{key}' cannot be a key")]
    Key {
        /// The key.
        key: String,
    },
    /// The value cannot stand between quotes: it holds a quote, a line end or a NUL.
    #[error("the value for {key} cannot be written between quotes")]
    Value {
        /// The key.
        key: String,
    },
    /// The file's charset lacks a character of the value.
    #[error("the value for {key} has characters that the file's encoding lacks")]
    Unencodable {
        /// The key.
        key: String,
    },
    /// The file's encoding cannot be changed by setting its key.
    #[error("the declared encoding cannot be edited")]
    Encoding,
    /// There is such a key already.
    #[error("key {key} exists already")]
    Exists {
        /// The key.
        key: String,
    },
}

impl Document {
    /// Sets a key: changes the value of its first occurrence and nothing else, or adds a line as
    /// [`Document::insert`] does. Setting the value a key has changes no byte.
    ///
    /// # Errors
    /// The key or the value cannot be written; values are not escaped here.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), EditError> {
        match self.find(key) {
            Some(place) => self.replace(place, key, value),
            None => self.insert(key, value),
        }
    }

    /// Sets a key to `true` or `false` in the letter case the file uses for booleans.
    ///
    /// # Errors
    /// As [`Document::set`].
    pub fn set_bool(&mut self, key: &str, value: bool) -> Result<(), EditError> {
        let lower = self
            .entries()
            .find(|e| value::parse_bool(e.value).is_some())
            .is_some_and(|e| e.value.starts_with(|c: char| c.is_ascii_lowercase()));
        let word = match (value, lower) {
            (true, true) => "true",
            (true, false) => "TRUE",
            (false, true) => "false",
            (false, false) => "FALSE",
        };
        self.set(key, word)
    }

    /// Sets a key whose readers undo pipe escapes (`displayName`, `annotation`, `guestinfo.*`): quotes,
    /// bars and control characters are escaped.
    ///
    /// # Errors
    /// As [`Document::set`].
    pub fn set_escaped(&mut self, key: &str, text: &str) -> Result<(), EditError> {
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '"' | '|' | '\0'..='\u{1f}' => {
                    escaped.push_str(&format!("|{:02X}", u32::from(c)));
                }
                c => escaped.push(c),
            }
        }
        self.set(key, &escaped)
    }

    /// Adds a key that is not there yet: after the last key of the same device, or else at the end. The
    /// line takes over its neighbour's spacing and the file's line ends.
    ///
    /// # Errors
    /// The key is there, or the key or the value cannot be written.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), EditError> {
        if !grammar::is_key(key.as_bytes()) {
            return Err(EditError::Key { key: key.to_owned() });
        }
        if key.eq_ignore_ascii_case(".encoding") && !value.eq_ignore_ascii_case("utf-8") {
            return Err(EditError::Encoding);
        }
        if self.contains(key) {
            return Err(EditError::Exists { key: key.to_owned() });
        }
        self.settle_problems();
        let bytes = self.encode(key, value)?;
        let token =
            quote(&bytes, Quote::Double).ok_or_else(|| EditError::Value { key: key.to_owned() })?;

        let at = self.place_for(key);
        let (equals, indent_from) = self.spacing(at);
        let line_end = terminator_bytes(self.line_end);
        let before = at.checked_sub(1).map(|i| self.order[i]);
        let missing = before.is_some_and(|p| self.line(p).terminator == Terminator::Missing);

        let start = self.buffer.len();
        if missing {
            // The line before keeps its bytes; taking this line out again restores the file.
            self.buffer.extend_from_slice(line_end);
        }
        if let Some(span) = indent_from {
            self.buffer.extend_from_within(span.start..span.end);
        }
        let key_start = self.buffer.len();
        self.buffer.extend_from_slice(key.as_bytes());
        let key_span = Span { start: key_start, end: self.buffer.len() };
        match equals {
            Some(span) => self.buffer.extend_from_within(span.start..span.end),
            None => self.buffer.extend_from_slice(b" = "),
        }
        let token_span = self.append_token(&token);
        if !missing {
            self.buffer.extend_from_slice(line_end);
        }
        let line = Line {
            span: Span { start, end: self.buffer.len() },
            body: assignment(key_span, token_span, Quote::Double),
            terminator: if missing { Terminator::Missing } else { self.line_end },
        };
        let place = self.add_line(line);
        self.order.insert(at, place);
        self.remember_text(place, value, &bytes);
        self.index_new_key(key, place);
        Ok(())
    }

    /// Removes every line with that key. Says whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        self.find(key).is_some() && self.remove_if(|k| k.eq_ignore_ascii_case(key.as_bytes()))
    }

    /// Removes every line whose key starts with `prefix`. Says whether there was one.
    pub fn remove_group(&mut self, prefix: &str) -> bool {
        let prefix = prefix.as_bytes();
        self.remove_if(|k| {
            k.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        })
    }

    /// Renames every occurrence of a key, in place. Says whether there was one.
    ///
    /// # Errors
    /// The new name cannot be a key, or is one of another line.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<bool, EditError> {
        if !grammar::is_key(to.as_bytes()) {
            return Err(EditError::Key { key: to.to_owned() });
        }
        if from.eq_ignore_ascii_case(".encoding") || to.eq_ignore_ascii_case(".encoding") {
            return Err(EditError::Encoding);
        }
        if !from.eq_ignore_ascii_case(to) && self.contains(to) {
            return Err(EditError::Exists { key: to.to_owned() });
        }
        self.settle_problems();
        let places: Vec<u32> = self
            .order
            .iter()
            .copied()
            .filter(|&p| self.key_at(p).is_some_and(|k| k.eq_ignore_ascii_case(from.as_bytes())))
            .collect();
        for &place in &places {
            let line = *self.line(place);
            let Body::Assignment { key, token, quote, .. } = line.body else { continue };
            let start = self.buffer.len();
            self.buffer.extend_from_within(line.span.start..key.start);
            let key_start = self.buffer.len();
            self.buffer.extend_from_slice(to.as_bytes());
            let key_span = Span { start: key_start, end: self.buffer.len() };
            self.buffer.extend_from_within(key.end..line.span.end);
            let value_shift = |at: usize| at - key.end + key_span.end;
            let token = Span { start: value_shift(token.start), end: value_shift(token.end) };
            let Body::Assignment { value, .. } = line.body else { continue };
            let value = Span { start: value_shift(value.start), end: value_shift(value.end) };
            self.lines[place as usize] = Line {
                span: Span { start, end: self.buffer.len() },
                body: Body::Assignment { key: key_span, token, value, quote },
                terminator: line.terminator,
            };
        }
        self.forget_index();
        Ok(!places.is_empty())
    }

    fn replace(&mut self, place: u32, key_text: &str, value: &str) -> Result<(), EditError> {
        if self.entry_at(place).is_some_and(|e| e.value == value) {
            return Ok(());
        }
        if key_text.eq_ignore_ascii_case(".encoding") {
            return Err(EditError::Encoding);
        }
        self.settle_problems();
        let line = *self.line(place);
        let Body::Assignment { key, token, quote: style, .. } = line.body else { return Ok(()) };
        let bytes = self.encode(key_text, value)?;
        let new_token = quote(&bytes, style)
            .or_else(|| quote(&bytes, Quote::Double))
            .ok_or_else(|| EditError::Value { key: key_text.to_owned() })?;

        let start = self.buffer.len();
        let key_start = start + (key.start - line.span.start);
        self.buffer.extend_from_within(line.span.start..token.start);
        let token_span = self.append_token(&new_token);
        self.buffer.extend_from_within(token.end..line.span.end);
        self.lines[place as usize] = Line {
            span: Span { start, end: self.buffer.len() },
            body: assignment(
                Span { start: key_start, end: key_start + (key.end - key.start) },
                token_span,
                new_token.0,
            ),
            terminator: line.terminator,
        };
        self.remember_text(place, value, &bytes);
        Ok(())
    }

    fn append_token(&mut self, token: &(Quote, Vec<u8>)) -> Span {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&token.1);
        Span { start, end: self.buffer.len() }
    }

    fn encode(&self, key: &str, value: &str) -> Result<Vec<u8>, EditError> {
        self.charset
            .encode(value)
            .map(|bytes| bytes.into_owned())
            .ok_or_else(|| EditError::Unencodable { key: key.to_owned() })
    }

    fn remember_text(&mut self, place: u32, value: &str, bytes: &[u8]) {
        if value.as_bytes() == bytes {
            self.decoded.remove(&place);
        } else {
            self.decoded.insert(place, value.into());
        }
    }

    fn remove_if(&mut self, unwanted: impl Fn(&[u8]) -> bool) -> bool {
        self.settle_problems();
        let before = self.order.len();
        let mut order = std::mem::take(&mut self.order);
        order.retain(|&place| !self.key_at(place).is_some_and(&unwanted));
        self.order = order;
        self.forget_index();
        self.order.len() < before
    }

    /// Where in `order` a new key goes.
    fn place_for(&self, key: &str) -> usize {
        let mut prefix = key;
        // `scsi0:1.fileName` looks for `scsi0:1.`, then `scsi0:`, then `scsi0.`.
        while let Some(cut) = prefix.rfind(['.', ':']) {
            if cut == 0 {
                break;
            }
            let stem = &prefix[..cut];
            let enders: &[u8] = if prefix.as_bytes()[cut] == b':' { b":." } else { b"." };
            for &ender in enders {
                if let Some(i) = self.last_of_device(stem.as_bytes(), ender) {
                    return self.end_of_physical_line(i) + 1;
                }
            }
            prefix = stem;
        }
        let tail = self
            .order
            .last()
            .is_some_and(|&p| self.line(p).span.of(&self.buffer).first() == Some(&0));
        self.order.len() - usize::from(tail)
    }

    fn last_of_device(&self, stem: &[u8], ender: u8) -> Option<usize> {
        self.order.iter().rposition(|&place| {
            self.key_at(place).is_some_and(|k| {
                k.get(stem.len()) == Some(&ender) && k[..stem.len()].eq_ignore_ascii_case(stem)
            })
        })
    }

    /// The last statement that shares a line with this one.
    fn end_of_physical_line(&self, from: usize) -> usize {
        let ends = |i: usize| self.line(self.order[i]).terminator != Terminator::Semicolon;
        (from..self.order.len()).find(|&i| ends(i)).unwrap_or(from)
    }

    /// What stands between key and value in the line before `at`, or else in the first assignment; and
    /// that line's indentation.
    fn spacing(&self, at: usize) -> (Option<Span>, Option<Span>) {
        let near = self.order[..at].iter().rev().take(1);
        for &place in near.chain(self.order.iter().take(64)) {
            let line = self.line(place);
            let Body::Assignment { key, token, .. } = line.body else { continue };
            let between = Span { start: key.end, end: token.start };
            let indent = Span { start: line.span.start, end: key.start };
            let plain = indent.of(&self.buffer).iter().all(|b| matches!(b, b' ' | b'\t'));
            return (Some(between), plain.then_some(indent));
        }
        (None, None)
    }
}

fn assignment(key: Span, token: Span, quote: Quote) -> Body {
    let fence = match quote {
        Quote::Triple => 3,
        Quote::Double | Quote::Single => 1,
        Quote::None => 0,
    };
    let value = Span { start: token.start + fence, end: token.end - fence };
    Body::Assignment { key, token, value, quote }
}

/// The value between quotes of that style, or `None` if it cannot stand there.
fn quote(value: &[u8], style: Quote) -> Option<(Quote, Vec<u8>)> {
    let (style, fence): (_, &[u8]) = match style {
        Quote::Double | Quote::None => (Quote::Double, b"\""),
        Quote::Single => (Quote::Single, b"'"),
        Quote::Triple => (Quote::Triple, b"\"\"\""),
    };
    let fits = match style {
        // An empty one at the end of the file would be too short for libvirt to see.
        Quote::Triple => {
            !value.is_empty()
                && !value.ends_with(b"\"")
                && !value.windows(3).any(|w| w == b"\"\"\"")
        }
        _ => !value.iter().any(|b| matches!(b, b'\n' | b'\r') || *b == fence[0]),
    };
    (fits && !value.contains(&0)).then(|| (style, [fence, value, fence].concat()))
}

fn terminator_bytes(terminator: Terminator) -> &'static [u8] {
    match terminator {
        Terminator::CrLf => b"\r\n",
        Terminator::Cr => b"\r",
        Terminator::Lf | Terminator::Semicolon | Terminator::Missing => b"\n",
    }
}
