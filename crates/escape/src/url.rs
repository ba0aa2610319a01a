//! Percent-encoding of URL parts (`E` in `connection.md` section 13).

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved characters of RFC 3986.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes every byte outside `A-Z a-z 0-9 - . _ ~`, with upper-case digits; `/` becomes `%2F`.
pub fn encode(part: &str) -> Cow<'_, str> {
    utf8_percent_encode(part, &RESERVED).into()
}

/// [`encode`], twice, as hosts want the query values of `/folder`.
pub fn encode_twice(part: &str) -> String {
    encode(&encode(part)).into_owned()
}
