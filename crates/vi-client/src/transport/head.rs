//! What the head of a reply says about a file, and when to come back.

use std::time::Duration;

use reqwest::header::{self, HeaderMap};

/// What a 206 reply says it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// First byte.
    pub first: u64,
    /// Last byte, included.
    pub last: u64,
    /// Length of the whole file, if the server knows it.
    pub total: Option<u64>,
}

impl ContentRange {
    pub(super) fn parse(header: &str) -> Option<Self> {
        let rest = header.trim().strip_prefix("bytes")?.trim_start();
        let (range, total) = rest.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        let total = match total.trim() {
            "*" => None,
            digits => Some(digits.parse().ok()?),
        };
        (first <= last).then_some(Self { first, last, total })
    }
}

/// What a reply to a `GET` says before its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// `Content-Type`, as sent.
    pub(crate) content_type: Option<String>,
    /// Which part a 206 holds; `None` if absent or unreadable.
    pub(crate) content_range: Option<ContentRange>,
    /// The size of the whole file, if the server said so.
    pub(crate) total: Option<u64>,
    /// `Last-Modified`, as sent.
    pub(crate) last_modified: Option<String>,
    /// `ETag`, as sent.
    pub(crate) entity_tag: Option<String>,
}

impl Head {
    /// Reads the headers of a reply with this status, whose body has `length` bytes if the server told.
    pub(crate) fn read(headers: &HeaderMap, status: u16, length: Option<u64>) -> Self {
        let content_range = text_of(headers, header::CONTENT_RANGE);
        let total = match (&content_range, status) {
            (_, 200) => length,
            (Some(text), _) => {
                text.rsplit_once('/').and_then(|(_, total)| total.trim().parse().ok())
            }
            (None, _) => None,
        };
        Self {
            content_type: text_of(headers, header::CONTENT_TYPE),
            content_range: content_range.and_then(|text| ContentRange::parse(&text)),
            total,
            last_modified: text_of(headers, header::LAST_MODIFIED),
            entity_tag: text_of(headers, header::ETAG),
        }
    }
}

/// When a server that is busy wants to be asked again. In seconds; a date is passed over.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = text_of(headers, header::RETRY_AFTER)?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A header as text; `None` if absent or not printable ASCII.
pub(super) fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// For `fuzz/fuzz_targets/folder_headers.rs`: reads lines `name: value` as the head of a reply and checks what comes out.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    use crate::SessionCookie;
    use crate::cookie::Jar;

    let (mut headers, mut jar) = (HeaderMap::new(), Jar::default());
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = header::HeaderName::from_bytes(&line[..colon]);
        let value = header::HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    for cookie in headers.get_all(header::SET_COOKIE) {
        if let Ok(cookie) = cookie.to_str() {
            jar.set_cookie(cookie);
        }
    }
    if let Some(cookie) = jar.header() {
        header::HeaderValue::from_str(cookie.expose()).expect("a cookie can be sent back");
        let saved = SessionCookie::from_saved(cookie.expose());
        assert_eq!(saved.as_ref(), Some(&cookie), "a cookie can be kept");
    }
    for status in [200, 206, 416] {
        let head = Head::read(&headers, status, None);
        if let Some(range) = head.content_range {
            assert!(range.first <= range.last);
            assert!(status == 200 || range.total == head.total);
        }
    }
    let _ = retry_after(&headers).map(|after| after.min(Duration::from_secs(30)));
}
