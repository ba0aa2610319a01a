//! `/folder`: datastore files and listings.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue,
    LAST_MODIFIED, RANGE, SET_COOKIE, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::body::{Hangup, ReplyBody};
use super::{Reply, Shared, drain, plain, response, session_cookie};
use crate::model::{
    Entry, FolderAnswer, FolderChange, FolderRequest, Listed, StoredFile, Timestamp,
};

/// Serves a file or a listing, or removes a file.
pub(super) fn serve(
    shared: &Shared,
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Reply {
    let caller = Caller::new(shared, headers);
    let request = parse(path, query);
    let mut response = match *method {
        Method::GET | Method::HEAD => {
            match shared.with_model(|model| model.folder(&request, caller.cookie(), caller.now)) {
                FolderAnswer::Found(Entry::File(stored)) => file(shared, stored, headers),
                FolderAnswer::Found(Entry::Directory(names)) => response(
                    StatusCode::OK,
                    "text/html; charset=utf-8",
                    listing(path, query, &names),
                ),
                FolderAnswer::NotFound => plain(StatusCode::NOT_FOUND, "not found\n"),
                FolderAnswer::Locked => locked(),
                FolderAnswer::Unauthorized => unauthorized(),
            }
        }
        Method::DELETE => {
            changed(shared.with_model(|model| model.delete(&request, caller.cookie(), caller.now)))
        }
        _ => {
            let text = "only GET, HEAD, PUT and DELETE are simulated\n";
            return Reply::of(plain(StatusCode::METHOD_NOT_ALLOWED, text));
        }
    };
    if method == Method::HEAD {
        let length = response.body().left();
        *response.body_mut() = Bytes::new().into();
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    caller.reply(shared, response)
}

/// Takes an upload as it arrives. If the client hangs up in the middle, or the plan cuts it, what has come stays.
pub(super) async fn put(
    shared: &Shared,
    parts: &Parts,
    mut body: Incoming,
    cut: Option<u64>,
    received: &mut u64,
) -> Result<Reply, Hangup> {
    let caller = Caller::new(shared, &parts.headers);
    if let Some(refused) = refused_upload(&parts.headers) {
        *received = drain(body).await;
        return Ok(caller.reply(shared, refused));
    }
    let request = parse(parts.uri.path(), parts.uri.query());
    let started =
        shared.with_model(|model| model.start_upload(&request, caller.cookie(), caller.now));
    let mut outcome = started.as_ref().err().copied();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Hangup)?.into_data() else { continue };
        let left = cut.map_or(u64::MAX, |cut| cut - *received);
        let data = data.slice(..usize::try_from(left).map_or(data.len(), |l| l.min(data.len())));
        *received += data.len() as u64;
        shared.transfers.arrived(data.len());
        // What comes after a refusal is read and thrown away, so that the client sees the refusal.
        if let (Ok(upload), None) = (&started, outcome) {
            let now = shared.now();
            outcome = shared.with_model(|model| model.append(upload, &data, now)).err();
        }
        if cut == Some(*received) {
            return Err(Hangup);
        }
    }
    let outcome = match (outcome, &started) {
        (None, Ok(upload)) => upload.outcome(),
        (Some(refusal), _) => refusal,
        (None, Err(refusal)) => *refusal,
    };
    Ok(caller.reply(shared, changed(outcome)))
}

/// Who asks, and when.
pub(super) struct Caller {
    cookie: Option<String>,
    /// Whether the session was made for this request.
    opened: bool,
    pub(super) now: Timestamp,
}

impl Caller {
    pub(super) fn new(shared: &Shared, headers: &HeaderMap) -> Self {
        let now = shared.now();
        // A password beside a cookie wins over it, and costs a session of its own.
        if let Some((user, password)) = basic(headers) {
            let cookie = shared.with_model(|model| model.basic_login(&user, &password, now));
            return Self { opened: cookie.is_some(), cookie, now };
        }
        Self { cookie: session_cookie(headers).map(str::to_owned), opened: false, now }
    }

    pub(super) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    pub(super) fn reply(self, shared: &Shared, mut response: Response<ReplyBody>) -> Reply {
        if self.opened
            && let Some(header) = self.cookie().and_then(|cookie| shared.set_cookie(cookie))
        {
            response.headers_mut().insert(SET_COOKIE, header);
        }
        let session =
            self.cookie().and_then(|cookie| shared.model().session_key(cookie).map(str::to_owned));
        Reply { response, method: String::new(), session }
    }
}

pub(super) fn unauthorized() -> Response<ReplyBody> {
    let mut response = plain(StatusCode::UNAUTHORIZED, "log in first\n");
    let realm = HeaderValue::from_static("Basic realm=\"VMware HTTP server\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, realm);
    response
}

/// Hosts say no more than this of a file that they cannot open.
fn locked() -> Response<ReplyBody> {
    plain(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be opened\n")
}

/// Hosts want to know the length of a file beforehand, and take no chunks.
fn refused_upload(headers: &HeaderMap) -> Option<Response<ReplyBody>> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Some(plain(StatusCode::NOT_IMPLEMENTED, "chunks are not taken\n"));
    }
    let length = headers.contains_key(CONTENT_LENGTH);
    (!length).then(|| plain(StatusCode::LENGTH_REQUIRED, "how long is it?\n"))
}

fn changed(outcome: FolderChange) -> Response<ReplyBody> {
    match outcome {
        FolderChange::Created => plain(StatusCode::CREATED, ""),
        FolderChange::Replaced | FolderChange::Deleted => plain(StatusCode::OK, ""),
        FolderChange::NotFound => plain(StatusCode::NOT_FOUND, "not found\n"),
        FolderChange::Refused => plain(StatusCode::FORBIDDEN, "the file is in use\n"),
        FolderChange::Locked => locked(),
        FolderChange::NoSpace => {
            plain(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be written\n")
        }
        FolderChange::Unauthorized => unauthorized(),
    }
}

/// The user and password of HTTP's basic authentication.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

pub(super) fn decode(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

fn parse(path: &str, query: Option<&str>) -> FolderRequest {
    let path = path.strip_prefix("/folder").unwrap_or(path).trim_start_matches('/');
    let mut request = FolderRequest { path: decode(path), ..FolderRequest::default() };
    for (name, value) in
        query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='))
    {
        match name {
            "dcPath" => request.datacenter = Some(decode(value)),
            "dsName" => request.datastore = Some(decode(value)),
            _ => {}
        }
    }
    request
}

fn file(shared: &Shared, stored: StoredFile, headers: &HeaderMap) -> Response<ReplyBody> {
    const KIND: &str = "application/octet-stream";
    let StoredFile { content, modified } = stored;
    let total = content.size();
    let range = headers
        .get(RANGE)
        .and_then(|value| value.to_str().ok())
        .map(|range| byte_range(range, total));
    let body = |start, end| ReplyBody::file(content, start, end, Arc::clone(&shared.transfers));
    let mut response = match range {
        None | Some(None) => response(StatusCode::OK, KIND, body(0, total)),
        Some(Some(Ok((first, last)))) => {
            let mut response = response(StatusCode::PARTIAL_CONTENT, KIND, body(first, last + 1));
            if let Ok(value) = HeaderValue::from_str(&format!("bytes {first}-{last}/{total}")) {
                response.headers_mut().insert(CONTENT_RANGE, value);
            }
            response
        }
        Some(Some(Err(()))) => {
            let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE, "");
            if let Ok(value) = HeaderValue::from_str(&format!("bytes */{total}")) {
                response.headers_mut().insert(CONTENT_RANGE, value);
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let modified = httpdate::fmt_http_date(UNIX_EPOCH + modified.0);
    if let Ok(modified) = HeaderValue::from_str(&modified) {
        headers.insert(LAST_MODIFIED, modified);
    }
    response
}

/// The first and last byte of a range; `None` for a header that does not count, an error for a range outside the file.
fn byte_range(header: &str, total: u64) -> Option<Result<(u64, u64), ()>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let end = total.checked_sub(1);
    let range = match (first.trim(), last.trim()) {
        ("", suffix) => {
            let suffix: u64 = suffix.parse().ok()?;
            (total.saturating_sub(suffix), end.filter(|_| suffix > 0))
        }
        (first, "") => (first.parse().ok()?, end),
        (first, last) => {
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            if last < first {
                return None;
            }
            (first, end.map(|end| last.min(end)))
        }
    };
    Some(match range {
        (first, Some(last)) if first <= last => Ok((first, last)),
        _ => Err(()),
    })
}

/// A page of links, one for each name.
fn listing(path: &str, query: Option<&str>, names: &BTreeMap<String, Listed>) -> String {
    let title = text(&decode(path));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut page = format!(
        "<html><head><title>Index of {title}</title></head><body><h1>Index of {title}</h1><table>\n"
    );
    for (name, Listed { size, .. }) in names {
        let link = format!(
            "{}/{}",
            path.trim_end_matches('/'),
            esx_escape::url::encode(name.trim_end_matches('/'))
        );
        let (link, name) = (text(&format!("{link}{query}")), text(name));
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "<tr><td><a href=\"{link}\">{name}</a></td><td align=\"right\">{size}</td></tr>"
        );
    }
    page.push_str("</table></body></html>\n");
    page
}

fn text(raw: &str) -> String {
    raw.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (header, expect) in [
            ("bytes=0-9", Some(Ok((0, 9)))),
            ("bytes=5-", Some(Ok((5, 99)))),
            ("bytes=90-200", Some(Ok((90, 99)))),
            ("bytes=-10", Some(Ok((90, 99)))),
            ("bytes=-1000", Some(Ok((0, 99)))),
            ("bytes=100-", Some(Err(()))),
            ("bytes=-0", Some(Err(()))),
            ("bytes=9-3", None),
            ("bytes=x-3", None),
            ("items=0-1", None),
        ] {
            assert_eq!(byte_range(header, 100), expect, "{header}");
        }
        assert_eq!(byte_range("bytes=0-", 0), Some(Err(())));
    }

    #[test]
    fn urls_are_decoded_once() {
        let request =
            parse("/folder/My%20VM%2Fa.vmx", Some("dcPath=f1%252Fdc1&dsName=ds%25201&x=y"));
        assert_eq!(request.path, "My VM/a.vmx");
        assert_eq!(request.datacenter.as_deref(), Some("f1%2Fdc1"));
        assert_eq!(request.datastore.as_deref(), Some("ds%201"));
    }
}
