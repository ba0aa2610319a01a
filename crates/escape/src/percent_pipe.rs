//! Scheme PI: the VMX key `displayName`, first [`pipe`], then [`percent`].

use std::borrow::Cow;

use crate::{UnescapeErrorKind, error::UnescapeError, percent, pipe};

/// Escapes `|` and `"` with pipes, then `%`, `/` and `\` with percent signs.
pub fn escape(raw: &str) -> Cow<'_, str> {
    match pipe::escape(raw) {
        Cow::Borrowed(same) => percent::escape(same),
        Cow::Owned(piped) => Cow::Owned(percent::escape(&piped).into_owned()),
    }
}

/// Undoes [`escape`]: percent signs first, then pipes.
///
/// # Errors
/// An incomplete escape in either step (`offset` counts in the text of that step), or a result that is not UTF-8.
pub fn unescape(escaped: &str) -> Result<Cow<'_, str>, UnescapeError> {
    match unescape_bytes(escaped.as_bytes())? {
        Cow::Borrowed(_) => Ok(Cow::Borrowed(escaped)),
        Cow::Owned(raw) => String::from_utf8(raw).map(Cow::Owned).map_err(|error| UnescapeError {
            offset: error.utf8_error().valid_up_to(),
            kind: UnescapeErrorKind::NotUtf8,
        }),
    }
}

/// As [`unescape`], for bytes, which need not be UTF-8.
///
/// # Errors
/// An incomplete escape in either step (`offset` counts in the text of that step).
pub fn unescape_bytes(escaped: &[u8]) -> Result<Cow<'_, [u8]>, UnescapeError> {
    match percent::unescape_bytes(escaped)? {
        Cow::Borrowed(same) => pipe::unescape_bytes(same),
        Cow::Owned(piped) => Ok(Cow::Owned(pipe::unescape_bytes(&piped)?.into_owned())),
    }
}
