//! The transport over plain HTTP, against a server that behaves well, oddly or badly.

use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::transport_support::{Action, Server, free_port, message, reply};
use esx_vi_client::{
    ByteRange, CallOptions, CloseStage, ContentRange, Endpoint, Scheme, SessionCookie, Stats,
    Transport, TransportError, Waiting,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

const OK: &str = "200 OK";
const XML: &str = "Content-Type: text/xml; charset=utf-8";

async fn serving(action: impl Fn(usize) -> Action + Send + Sync + 'static) -> (Server, Transport) {
    let server = Server::plain(action).await;
    let transport = Transport::new(server.endpoint(Scheme::Http)).unwrap();
    (server, transport)
}

/// The error of a post that the server treats so.
async fn post_error(
    action: impl Fn(usize) -> Action + Send + Sync + 'static,
) -> (TransportError, String) {
    let (server, transport) = serving(action).await;
    let error = transport.post("/sdk", "urn:vim25/8.0", "<x/>").await.unwrap_err();
    let text = message(&error, server.port);
    (error, text)
}

#[tokio::test]
async fn a_post_looks_like_this() {
    let (server, transport) = serving(|_| Action::Send(reply(OK, &[XML], "<ok/>"))).await;
    let answer = transport.post("/sdk", "urn:vim25/8.0", "<request/>").await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"<ok/>"[..]));
    assert_eq!(answer.content_type.as_deref(), Some("text/xml; charset=utf-8"));
    assert_eq!(transport.stats(), Stats { requests: 1, bytes_sent: 10, bytes_received: 5 });
    let request = server.requests().remove(0).replace(&server.port.to_string(), "PORT");
    insta::assert_snapshot!(request.replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r"
    POST /sdk HTTP/1.1
    Content-Type: text/xml; charset=UTF-8
    Soapaction: urn:vim25/8.0
    Accept: */*
    User-Agent: virtesx/VERSION
    Accept-Encoding: gzip
    Host: 127.0.0.1:PORT
    Content-Length: 10

    <request/>
    ");
}

#[tokio::test]
async fn faults_come_back_as_replies() {
    let (_server, transport) =
        serving(|_| Action::Send(reply("500 Internal Server Error", &[XML], "<fault/>"))).await;
    let answer = transport.post("/sdk", "urn:vim25/8.0", "").await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (500, &b"<fault/>"[..]));
}

#[tokio::test]
async fn html_comes_back_as_it_is() {
    let (_server, transport) =
        serving(|_| Action::Send(reply(OK, &["Content-Type: text/html"], "<html>Welcome"))).await;
    let answer = transport.post("/sdk", "urn:vim25/8.0", "").await.unwrap();
    assert_eq!(answer.content_type.as_deref(), Some("text/html"));
    assert_eq!(&answer.body[..], b"<html>Welcome");
}

#[tokio::test]
async fn session_cookies_are_sent_back_as_they_came() {
    let (server, transport) = serving(|nth| {
        let cookie = "Set-Cookie: vmware_soap_session=\"52ab-canary\"; Path=/; HttpOnly; Secure;";
        let headers: &[&str] = if nth == 0 { &[cookie] } else { &[] };
        Action::Send(reply(OK, headers, ""))
    })
    .await;
    transport.post("/sdk", "a", "").await.unwrap();
    let cookie = transport.session_cookie().unwrap();
    assert_eq!(cookie.expose(), "vmware_soap_session=\"52ab-canary\"");
    transport.post("/sdk", "a", "").await.unwrap();
    transport.get_bytes("/folder/x.vmx", 10).await.unwrap();
    transport.clear_session();
    transport.post("/sdk", "a", "").await.unwrap();
    transport.set_session(&cookie);
    transport.post("/sdk", "a", "").await.unwrap();
    let sent: Vec<Option<String>> = server
        .requests()
        .iter()
        .map(|request| {
            let line = request.lines().find(|line| line.to_lowercase().starts_with("cookie:"))?;
            Some(line["cookie: ".len()..].to_owned())
        })
        .collect();
    let cookie = Some(cookie.expose().to_owned());
    assert_eq!(sent, [None, cookie.clone(), cookie.clone(), None, cookie]);
}

#[tokio::test]
async fn connections_are_reused_and_their_end_is_noticed() {
    let (server, transport) = serving(|nth| {
        let bytes = reply(OK, &[], "x");
        if nth == 1 { Action::SendAndClose(bytes) } else { Action::Send(bytes) }
    })
    .await;
    for _ in 0..4 {
        transport.post("/sdk", "a", "").await.unwrap();
    }
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn gzip_is_unpacked() {
    // `printf '<ok/>' | gzip -n`
    let packed = [
        31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 179, 201, 207, 214, 183, 3, 0, 200, 68, 73, 86, 5, 0, 0, 0,
    ];
    let (server, transport) = serving(move |nth| {
        let packed = if nth == 0 { &packed[..] } else { &packed[..12] };
        Action::Send(reply(OK, &["Content-Encoding: gzip"], packed))
    })
    .await;
    let answer = transport.post("/sdk", "a", "").await.unwrap();
    assert_eq!(&answer.body[..], b"<ok/>");
    // Cut short inside the compressed data, while HTTP itself is complete.
    let error = transport.post("/sdk", "a", "").await.unwrap_err();
    assert!(matches!(error, TransportError::BadContent { .. }), "{error:?}");
    assert!(server.requests()[0].to_lowercase().contains("accept-encoding: gzip"));
}

#[tokio::test]
async fn servers_that_hang_up() {
    let cases: [(&str, &[u8], CloseStage); 4] = [
        ("at once", b"", CloseStage::BeforeReply),
        ("in the headers", b"HTTP/1.1 200 OK\r\nContent-Le", CloseStage::BeforeReply),
        (
            "in the body",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<half",
            CloseStage::InReply,
        ),
        (
            "in a chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n<half",
            CloseStage::InReply,
        ),
    ];
    let mut table = String::new();
    for (name, bytes, expected) in cases {
        let (error, text) = post_error(|_| Action::SendAndClose(bytes.to_vec())).await;
        assert!(
            matches!(error, TransportError::Closed { stage, .. } if stage == expected),
            "{name}: {error:?}"
        );
        assert!(!error.is_before_send());
        table += &format!("{name}: {text}\n");
    }
    insta::assert_snapshot!(table, @r"
    at once: 127.0.0.1:PORT closed the connection before replying
    in the headers: 127.0.0.1:PORT closed the connection before replying
    in the body: 127.0.0.1:PORT closed the connection in the middle of its reply
    in a chunk: 127.0.0.1:PORT closed the connection in the middle of its reply
    ");
}

#[tokio::test]
async fn statuses_without_a_usable_reply() {
    let cases: [(&str, &[&str]); 6] = [
        ("301 Moved Permanently", &["Location: https://elsewhere/sdk"]),
        ("302 Found", &["Location: /ui"]),
        ("307 Temporary Redirect", &[]),
        ("401 Unauthorized", &[]),
        ("503 Service Unavailable", &["Retry-After: 7"]),
        ("201 Created", &[]),
    ];
    let mut table = String::new();
    for (status, headers) in cases {
        let (error, text) = post_error(move |_| Action::Send(reply(status, headers, "x"))).await;
        table += &format!("{text}\n");
        if let TransportError::Status { status: 503, retry_after, .. } = error {
            assert_eq!(retry_after, Some(Duration::from_secs(7)));
        }
    }
    insta::assert_snapshot!(table, @r#"
    127.0.0.1:PORT redirects /sdk to "https://elsewhere/sdk" (HTTP status 301)
    127.0.0.1:PORT redirects /sdk to "/ui" (HTTP status 302)
    127.0.0.1:PORT answered POST /sdk with HTTP status 307 (Temporary Redirect)
    127.0.0.1:PORT answered POST /sdk with HTTP status 401 (Unauthorized)
    127.0.0.1:PORT answered POST /sdk with HTTP status 503 (Service Unavailable)
    127.0.0.1:PORT answered POST /sdk with HTTP status 201 (Created)
    "#);
}

#[tokio::test]
async fn what_is_not_http() {
    let (error, text) =
        post_error(|_| Action::SendAndClose(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec())).await;
    assert!(matches!(error, TransportError::BadContent { .. }), "{error:?}");
    insta::assert_snapshot!(text, @"127.0.0.1:PORT sent a malformed reply: invalid HTTP version parsed");
}

#[tokio::test]
async fn replies_without_end_are_stopped() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat();
    let (server, transport) =
        serving(move |_| Action::SendEndlessly(head.clone(), chunk.clone())).await;
    let options = CallOptions { max_reply_bytes: 100_000, ..transport.options() };
    let error = transport.post_with("/sdk", "a", "", options).await.unwrap_err();
    insta::assert_snapshot!(message(&error, server.port), @"the reply of 127.0.0.1:PORT is larger than 100000 bytes");
    assert!(transport.stats().bytes_received < 200_000);
    let error = transport.get_bytes("/folder/x.vmx", 50_000).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { limit: 50_000, .. }));
}

#[tokio::test]
async fn a_long_reply_is_refused_when_announced() {
    let (_server, transport) = serving(|_| {
        Action::SendAndHold(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec())
    })
    .await;
    let error = transport.post("/sdk", "a", "").await.unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn silence_is_bounded() {
    let heads: [(&[u8], Waiting); 2] = [
        (b"HTTP/1.1 200 OK\r\n", Waiting::Reply),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<half", Waiting::Content),
    ];
    let mut table = String::new();
    for (bytes, expected) in heads {
        let (server, transport) = serving(|_| Action::SendAndHold(bytes.to_vec())).await;
        let idle = Some(Duration::from_millis(50));
        let options = CallOptions { idle, ..transport.options() };
        let error = transport.post_with("/sdk", "a", "", options).await.unwrap_err();
        assert!(matches!(error, TransportError::Timeout { waiting, .. } if waiting == expected));
        table += &format!("{}\n", message(&error, server.port));
    }
    insta::assert_snapshot!(table, @r"
    127.0.0.1:PORT did not reply within 0.05 s
    127.0.0.1:PORT sent no more of its reply within 0.05 s
    ");
}

#[tokio::test]
async fn nobody_listens() {
    let port = free_port().await;
    let transport = Transport::new(Endpoint::new(Scheme::Http, "127.0.0.1", port)).unwrap();
    let error = transport.post("/sdk", "a", "").await.unwrap_err();
    assert!(matches!(error, TransportError::Refused { .. }) && error.is_before_send());
    insta::assert_snapshot!(message(&error, port), @"127.0.0.1:PORT refuses connections");
}

#[tokio::test]
async fn names_without_an_address() {
    let transport = Transport::new(Endpoint::new(Scheme::Http, "nowhere.invalid", 80)).unwrap();
    let error = transport.post("/sdk", "a", "").await.unwrap_err();
    match &error {
        TransportError::Resolve { host, .. } => assert_eq!(host, "nowhere.invalid"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn ipv6_literals_are_reached_with_brackets() {
    // Machines without IPv6 cannot show more than the message.
    let Ok(listener) = TcpListener::bind(("::1", 0)).await else { return };
    let port = listener.local_addr().unwrap().port();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        crate::transport_support::read_request(&mut stream).await.unwrap()
    });
    let transport = Transport::new(Endpoint::new(Scheme::Http, "::1", port)).unwrap();
    let error = transport.post("/sdk", "a", "").await.unwrap_err();
    assert_eq!(error.to_string(), format!("[::1]:{port} closed the connection before replying"));
    assert!(seen.await.unwrap().to_lowercase().contains(&format!("host: [::1]:{port}\r\n")));
}

#[tokio::test]
async fn downloads_and_ranges() {
    let (server, transport) = serving(|nth| match nth {
        0 => Action::Send(reply(OK, &["Content-Type: text/plain"], "0123456789")),
        1 => Action::Send(reply("206 Partial Content", &["Content-Range: bytes 2-4/10"], "234")),
        2 => Action::Send(reply("206 Partial Content", &[], "unasked")),
        _ => Action::Send(reply("404 Not Found", &[], "no")),
    })
    .await;
    let path = "/folder/vm%2Fvm.vmx?dcPath=ha-datacenter&dsName=ds%25201";
    let whole = transport.get(path, None).await.unwrap();
    assert_eq!((whole.status, whole.content_length), (200, Some(10)));
    assert_eq!(whole.content_type.as_deref(), Some("text/plain"));
    assert_eq!(&whole.body.collect(10).await.unwrap()[..], b"0123456789");

    let range = ByteRange { start: 2, length: NonZeroU64::new(3) };
    let mut part = transport.get(path, Some(range)).await.unwrap();
    let expected = ContentRange { first: 2, last: 4, total: Some(10) };
    assert_eq!((part.status, part.content_range), (206, Some(expected)));
    assert_eq!(part.body.chunk().await.unwrap().as_deref(), Some(&b"234"[..]));
    assert_eq!(part.body.chunk().await.unwrap(), None);

    transport.get(path, None).await.expect_err("a part that was not asked for");
    let error = transport.get(path, None).await.unwrap_err();
    insta::assert_snapshot!(message(&error, server.port), @"127.0.0.1:PORT answered GET /folder/vm%2Fvm.vmx with HTTP status 404 (Not Found)");
    let requests = server.requests();
    assert!(requests[0].starts_with(&format!("GET {path} HTTP/1.1\r\n")));
    assert!(requests[0].to_lowercase().contains("accept-encoding: identity\r\n"));
    assert!(requests[1].to_lowercase().contains("range: bytes=2-4\r\n"));
}

/// A reply to what was asked without a session may come after another one has opened one: its cookie is no news any more.
#[tokio::test]
async fn a_late_cookie_does_not_replace_a_newer_session() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let transport = Transport::new(Endpoint::new(Scheme::Http, "127.0.0.1", port)).unwrap();
    let answers = async |opened: Option<&SessionCookie>| {
        let (mut stream, _) = listener.accept().await.unwrap();
        crate::transport_support::read_request(&mut stream).await.unwrap();
        if let Some(opened) = opened {
            transport.set_session(opened);
        }
        let cookie = "Set-Cookie: vmware_soap_session=\"late\"; Path=/";
        stream.write_all(&reply(OK, &[XML, cookie], "<ok/>")).await.unwrap();
    };
    let newer = SessionCookie::from_saved("vmware_soap_session=\"newer\"").unwrap();
    let session = || transport.session_cookie().map(|cookie| cookie.expose().to_owned());
    let (answer, ()) = tokio::join!(transport.post("/sdk", "", "<x/>"), answers(Some(&newer)));
    answer.unwrap();
    assert_eq!(session().as_deref(), Some(newer.expose()));
    // One that nothing came in between is taken.
    transport.clear_session();
    let other = Transport::new(Endpoint::new(Scheme::Http, "127.0.0.1", port)).unwrap();
    let (answer, ()) = tokio::join!(other.post("/sdk", "", "<x/>"), answers(None));
    answer.unwrap();
    assert!(other.session_cookie().is_some_and(|cookie| cookie.expose().contains("late")));
}
