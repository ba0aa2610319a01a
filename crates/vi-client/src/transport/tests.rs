//! What needs no server; the rest is in `tests/transport*.rs`.

use super::*;
use crate::proxy::{Proxy, ProxyKind};
use crate::tls::TlsPolicy;

#[test]
fn hosts_that_make_a_url() {
    let table: String = [
        "h",
        "10.0.0.1",
        "::1",
        "fe80::1%eth0",
        "größe.example",
        "",
        "a b",
        "user@h",
        "h/x",
        "h?x",
        "h#x",
        "[::1]",
        "h:80",
        "under_score",
    ]
    .iter()
    .map(|host| {
        let url = base_url(&Endpoint::new(Scheme::Https, *host, 8443));
        format!("{host:?} -> {}\n", url.map_or("none".into(), |url| url.to_string()))
    })
    .collect();
    insta::assert_snapshot!(table, @r#"
    "h" -> https://h:8443/
    "10.0.0.1" -> https://10.0.0.1:8443/
    "::1" -> https://[::1]:8443/
    "fe80::1%eth0" -> none
    "größe.example" -> https://xn--gre-6ka8i.example:8443/
    "" -> none
    "a b" -> none
    "user@h" -> none
    "h/x" -> none
    "h?x" -> none
    "h#x" -> none
    "[::1]" -> none
    "h:80" -> none
    "under_score" -> https://under_score:8443/
    "#);
}

#[test]
fn paths_cannot_leave_the_server() {
    let transport = Transport::new(Endpoint::new(Scheme::Http, "h", 80)).unwrap();
    let table: String = [
        "/sdk",
        "/folder/My%20VM%2FMy%20VM.vmx?dcPath=ha-datacenter&dsName=ds%25201",
        "//evil/sdk",
        "sdk",
        "http://evil/",
        "/\\evil/",
        "",
    ]
    .iter()
    .map(|path| match transport.request(Method::GET, path) {
        Ok(request) => format!("{path} -> {}\n", request.url()),
        Err(error) => format!("{path} -> {error}\n"),
    })
    .collect();
    insta::assert_snapshot!(table, @r"
    /sdk -> http://h/sdk
    /folder/My%20VM%2FMy%20VM.vmx?dcPath=ha-datacenter&dsName=ds%25201 -> http://h/folder/My%20VM%2FMy%20VM.vmx?dcPath=ha-datacenter&dsName=ds%25201
    //evil/sdk -> cannot use h:80: the path is not a valid URL path
    sdk -> cannot use h:80: the path is not a valid URL path
    http://evil/ -> cannot use h:80: the path is not a valid URL path
    /\evil/ -> cannot use h:80: the path is not a valid URL path
     -> cannot use h:80: the path is not a valid URL path
    ");
}

#[test]
fn content_ranges() {
    let range = |first, last, total| Some(ContentRange { first, last, total });
    assert_eq!(ContentRange::parse("bytes 0-99/200"), range(0, 99, Some(200)));
    assert_eq!(ContentRange::parse("bytes 5-5/*"), range(5, 5, None));
    for bad in
        ["", "bytes", "bytes 9-1/20", "bytes */20", "bytes 0-99", "bytes 0-x/1", "octets 0-1/2"]
    {
        assert_eq!(ContentRange::parse(bad), None, "{bad}");
    }
}

#[test]
fn range_headers() {
    let header = |start, length| ByteRange { start, length: NonZeroU64::new(length) }.header();
    assert_eq!(header(0, 100), "bytes=0-99");
    assert_eq!(header(100, 0), "bytes=100-");
    assert_eq!(header(u64::MAX, 2), format!("bytes={}-{}", u64::MAX, u64::MAX));
}

#[test]
fn paths_in_logs() {
    assert_eq!(shown_path("/folder/a%2Fb?dcPath=x&dsName=y"), "/folder/a%2Fb");
    assert_eq!(shown_path("/nfc/52aabbcc-canary/disk-0.vmdk"), "/nfc/hidden/disk-0.vmdk");
}

#[test]
fn set_ups_that_cannot_work() {
    let check = |endpoint: Endpoint| Transport::new(endpoint).unwrap_err().to_string();
    let https = |host: &str| Endpoint::new(Scheme::Https, host, 443);
    let proxied = |host: &str, proxy: &str| Endpoint {
        proxy: Some(Proxy { kind: ProxyKind::Http, host: proxy.into(), port: 1 }),
        tls: TlsPolicy::NoVerify,
        ..https(host)
    };
    let bad_pem = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".to_vec();
    let table = [
        check(https("a b")),
        check(Endpoint { tls: TlsPolicy::CaPem(bad_pem), ..https("h") }),
        check(proxied("::1", "p")),
        check(proxied("h", "p q")),
    ]
    .join("\n");
    insta::assert_snapshot!(table, @r"
    cannot use a b:443: it is not a valid host name
    cannot use h:443: the CA certificates are not valid PEM: base64 decode error: InvalidCharacter(33)
    cannot use [::1]:443: HTTPS to an IPv6 address through a proxy is not supported, use a host name
    cannot use h:443: proxy http://p q:1: invalid international domain name
    ");
}

#[test]
fn debug_shows_no_session() {
    let transport = Transport::new(Endpoint::new(Scheme::Http, "h", 80)).unwrap();
    let cookie = SessionCookie::from_saved("vmware_soap_session=\"canary\"").unwrap();
    transport.set_session(&cookie);
    assert_eq!(transport.session_cookie(), Some(cookie));
    assert!(!format!("{transport:?} {:?}", transport.session_cookie()).contains("canary"));
    transport.clear_session();
    assert_eq!(transport.session_cookie(), None);
}

#[test]
fn futures_can_be_spawned() {
    fn send<T: Send>(_: T) {}
    let transport = Transport::new(Endpoint::new(Scheme::Http, "h", 80)).unwrap();
    send(transport.post("/sdk", "urn:vim25/8.0", ""));
    send(transport.get_bytes("/folder/x", 1));
}
