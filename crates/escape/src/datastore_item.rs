//! Scheme D: names of files on a datastore, made from domain names.
//!
//! One-way: the first step loses what it replaces, so there is no `unescape`.

use crate::{base64, percent};

/// Replaces `"*<>:|?` by `_`, escapes the rest with [`percent`], then encodes unusual bytes with [`base64`].
pub fn escape(name: &str) -> String {
    let replaced = name.replace(['"', '*', '<', '>', ':', '|', '?'], "_");
    base64::encode(percent::escape(&replaced).as_bytes())
}
