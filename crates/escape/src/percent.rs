//! Scheme P: the `name` of inventory objects, `%`, `/` and `\` as `%25`, `%2f` and `%5c`.
//!
//! vCenter and ESXi store names in this form, since `/` separates the items of an inventory path.

use std::borrow::Cow;

use crate::{error::UnescapeError, hex};

/// Escapes `%`, `/` and `\`, with lower-case digits.
pub fn escape(raw: &str) -> Cow<'_, str> {
    hex::escape(b'%', b"%/\\", raw)
}

/// Undoes [`escape`].
///
/// Any escaped byte is decoded, with digits of either case; a decoded NUL ends the text (libvirt's rule).
///
/// # Errors
/// `%` without two hexadecimal digits behind it, or a result that is not UTF-8.
pub fn unescape(escaped: &str) -> Result<Cow<'_, str>, UnescapeError> {
    hex::unescape(b'%', escaped)
}

/// As [`unescape`], for bytes, which need not be UTF-8.
///
/// # Errors
/// `%` without two hexadecimal digits behind it.
pub fn unescape_bytes(escaped: &[u8]) -> Result<Cow<'_, [u8]>, UnescapeError> {
    hex::unescape_bytes(b'%', escaped)
}
