//! `/folder`: datastore files and listings.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE,
    SET_COOKIE, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use hyper::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::{Reply, Shared, plain, response, session_cookie};
use crate::model::{Entry, FolderAnswer, FolderChange, FolderRequest, Timestamp};

/// Serves a file or a listing.
pub(super) fn serve(
    shared: &Shared,
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Reply {
    let now = shared.now();
    let mut cookie = session_cookie(headers).map(str::to_owned);
    let mut opened = None;
    // A password beside a cookie wins over it, and costs a session of its own.
    if let Some((user, password)) = basic(headers) {
        cookie = shared.with_model(|model| model.basic_login(&user, &password, now));
        opened.clone_from(&cookie);
    }
    let request = parse(path, query);
    let answer = match method {
        &Method::GET | &Method::HEAD => {
            shared.with_model(|model| model.folder(&request, cookie.as_deref(), now))
        }
        &Method::PUT | &Method::DELETE => {
            let refused = refused_upload(headers).filter(|_| method == Method::PUT);
            let mut response = match refused {
                Some(refused) => refused,
                None => change(shared, method, &request, body, cookie.as_deref(), now),
            };
            if let Some(header) = opened.and_then(|cookie| shared.set_cookie(&cookie)) {
                response.headers_mut().insert(SET_COOKIE, header);
            }
            let session =
                cookie.and_then(|cookie| shared.model().session_key(&cookie).map(str::to_owned));
            return Reply { response, method: String::new(), session };
        }
        _ => {
            let response = plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "only GET, HEAD, PUT and DELETE are simulated\n",
            );
            return Reply { response, method: String::new(), session: None };
        }
    };
    let mut response = match answer {
        FolderAnswer::Found(Entry::File(content)) => file(content, headers),
        FolderAnswer::Found(Entry::Directory(names)) => {
            response(StatusCode::OK, "text/html; charset=utf-8", listing(path, query, &names))
        }
        FolderAnswer::NotFound => plain(StatusCode::NOT_FOUND, "not found\n"),
        FolderAnswer::Unauthorized => unauthorized(),
    };
    if let Some(header) = opened.and_then(|cookie| shared.set_cookie(&cookie)) {
        response.headers_mut().insert(SET_COOKIE, header);
    }
    if method == Method::HEAD {
        let length = hyper::body::Body::size_hint(response.body()).exact().unwrap_or_default();
        *response.body_mut() = Full::new(Bytes::new());
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let session = cookie.and_then(|cookie| shared.model().session_key(&cookie).map(str::to_owned));
    Reply { response, method: String::new(), session }
}

fn unauthorized() -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::UNAUTHORIZED, "log in first\n");
    let realm = HeaderValue::from_static("Basic realm=\"VMware HTTP server\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, realm);
    response
}

/// Hosts want to know the length of a file beforehand, and take no chunks.
fn refused_upload(headers: &HeaderMap) -> Option<Response<Full<Bytes>>> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Some(plain(StatusCode::NOT_IMPLEMENTED, "chunks are not taken\n"));
    }
    let length = headers.contains_key(CONTENT_LENGTH);
    (!length).then(|| plain(StatusCode::LENGTH_REQUIRED, "how long is it?\n"))
}

fn change(
    shared: &Shared,
    method: &Method,
    request: &FolderRequest,
    body: &[u8],
    cookie: Option<&str>,
    now: Timestamp,
) -> Response<Full<Bytes>> {
    let outcome = shared.with_model(|model| {
        if method == Method::PUT {
            model.upload(request, body, cookie, now)
        } else {
            model.delete(request, cookie, now)
        }
    });
    match outcome {
        FolderChange::Created => plain(StatusCode::CREATED, ""),
        FolderChange::Replaced | FolderChange::Deleted => plain(StatusCode::OK, ""),
        FolderChange::NotFound => plain(StatusCode::NOT_FOUND, "not found\n"),
        FolderChange::Refused => plain(StatusCode::FORBIDDEN, "the file is in use\n"),
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

fn decode(part: &str) -> String {
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

fn file(content: Vec<u8>, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let content = Bytes::from(content);
    let total = content.len();
    let range = headers
        .get(RANGE)
        .and_then(|value| value.to_str().ok())
        .map(|range| byte_range(range, total));
    let mut response = match range {
        None | Some(None) => response(StatusCode::OK, "application/octet-stream", content),
        Some(Some(Ok((first, last)))) => {
            let part = content.slice(first..=last);
            let mut response =
                response(StatusCode::PARTIAL_CONTENT, "application/octet-stream", part);
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
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

/// The first and last byte of a range; `None` for a header that does not count, an error for a range outside the file.
fn byte_range(header: &str, total: usize) -> Option<Result<(usize, usize), ()>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let end = total.checked_sub(1);
    let range = match (first.trim(), last.trim()) {
        ("", suffix) => {
            let suffix: usize = suffix.parse().ok()?;
            (total.saturating_sub(suffix), end.filter(|_| suffix > 0))
        }
        (first, "") => (first.parse().ok()?, end),
        (first, last) => {
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
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
fn listing(path: &str, query: Option<&str>, names: &BTreeMap<String, usize>) -> String {
    let title = text(&decode(path));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut page = format!(
        "<html><head><title>Index of {title}</title></head><body><h1>Index of {title}</h1><table>\n"
    );
    for (name, size) in names {
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
