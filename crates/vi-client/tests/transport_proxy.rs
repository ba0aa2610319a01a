//! Proxies: only those of the endpoint, of each kind, and their refusals.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::transport_support::{Action, Server, free_port, message, read_head, reply};
use esx_vi_client::{Endpoint, Proxy, ProxyKind, Scheme, TlsPolicy, Transport, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

async fn tls_server() -> Server {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["h".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    Server::tls(config, |_| Action::Send(reply("200 OK", &[], "<ok/>"))).await
}

/// A proxy for one connection. `speak` does its part of the protocol; then bytes go to `target` and back.
/// Returns the proxy's port and what the client asked for.
async fn proxy<F>(
    target: u16,
    speak: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (u16, tokio::task::JoinHandle<String>)
where
    F: Future<Output = (TcpStream, String)> + Send,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut stream, asked) = speak(stream).await;
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await {
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            }
        });
        asked
    });
    (port, asked)
}

async fn connect_tunnel(mut stream: TcpStream) -> (TcpStream, String) {
    let head = read_head(&mut stream).await.unwrap();
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    (stream, head.lines().next().unwrap().to_owned())
}

async fn socks4(mut stream: TcpStream) -> (TcpStream, String) {
    let mut head = [0; 8];
    stream.read_exact(&mut head).await.unwrap();
    let mut rest = Vec::new();
    let wanted = if head[4..7] == [0; 3] { 2 } else { 1 };
    while rest.iter().filter(|byte| **byte == 0).count() < wanted {
        rest.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(&[0, 0x5a, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let name = rest.split(|byte| *byte == 0).nth(1).unwrap();
    (stream, format!("version {} {:?} {:?}", head[0], &head[4..], String::from_utf8_lossy(name)))
}

async fn socks5(mut stream: TcpStream) -> (TcpStream, String) {
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).await.unwrap();
    let mut methods = vec![0; usize::from(greeting[1])];
    stream.read_exact(&mut methods).await.unwrap();
    stream.write_all(&[5, 0]).await.unwrap();
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.unwrap();
    let length = match head[3] {
        1 => 4,
        4 => 16,
        _ => usize::from(stream.read_u8().await.unwrap()),
    };
    let mut address = vec![0; length + 2];
    stream.read_exact(&mut address).await.unwrap();
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    (stream, format!("version {} type {} {:?}", head[0], head[3], &address[..length]))
}

fn through(kind: ProxyKind, port: u16, scheme: Scheme, host: &str, server_port: u16) -> Transport {
    Transport::new(Endpoint {
        tls: TlsPolicy::NoVerify,
        proxy: Some(Proxy { kind, host: "127.0.0.1".into(), port }),
        ..Endpoint::new(scheme, host, server_port)
    })
    .unwrap()
}

async fn works(transport: &Transport) {
    let answer = transport.post("/sdk", "urn:vim25/8.0", "<x/>").await.unwrap();
    assert_eq!(&answer.body[..], b"<ok/>");
}

#[tokio::test]
async fn http_proxies_get_absolute_requests_and_resolve_names() {
    // The "server" here plays the proxy.
    let server = Server::plain(|_| Action::Send(reply("200 OK", &[], "<ok/>"))).await;
    works(&through(ProxyKind::Http, server.port, Scheme::Http, "esx.invalid", 8080)).await;
    assert!(server.requests()[0].starts_with("POST http://esx.invalid:8080/sdk HTTP/1.1\r\n"));
}

#[tokio::test]
async fn http_proxies_tunnel_tls() {
    let server = tls_server().await;
    let (port, asked) = proxy(server.port, connect_tunnel).await;
    works(&through(ProxyKind::Http, port, Scheme::Https, "esx.invalid", 8443)).await;
    assert_eq!(asked.await.unwrap(), "CONNECT esx.invalid:8443 HTTP/1.1");
}

#[tokio::test]
async fn socks_proxies() {
    let mut table = String::new();
    for scheme in [Scheme::Http, Scheme::Https] {
        for (kind, host) in [
            (ProxyKind::Socks5, "127.0.0.1"),
            (ProxyKind::Socks4, "127.0.0.1"),
            (ProxyKind::Socks4a, "esx.invalid"),
        ] {
            let server = match scheme {
                Scheme::Http => {
                    Server::plain(|_| Action::Send(reply("200 OK", &[], "<ok/>"))).await
                }
                Scheme::Https => tls_server().await,
            };
            let (port, asked) = match kind {
                ProxyKind::Socks5 => proxy(server.port, socks5).await,
                _ => proxy(server.port, socks4).await,
            };
            works(&through(kind, port, scheme, host, 443)).await;
            table += &format!("{scheme} {kind:?}: {}\n", asked.await.unwrap());
        }
    }
    insta::assert_snapshot!(table, @r#"
    http Socks5: version 5 type 1 [127, 0, 0, 1]
    http Socks4: version 4 [127, 0, 0, 1] ""
    http Socks4a: version 4 [0, 0, 0, 255] "esx.invalid"
    https Socks5: version 5 type 1 [127, 0, 0, 1]
    https Socks4: version 4 [127, 0, 0, 1] ""
    https Socks4a: version 4 [0, 0, 0, 255] "esx.invalid"
    "#);
}

#[tokio::test]
async fn proxies_that_do_not_connect() {
    let mut table = String::new();
    let mut try_it = async |name: &str, kind, port: u16, scheme| {
        let transport = through(kind, port, scheme, "esx.invalid", 1);
        let error = transport.post("/sdk", "a", "").await.unwrap_err();
        assert!(matches!(error, TransportError::Proxy { .. }), "{error:?}");
        table += &format!("{name}: {}\n", message(&error, port));
    };
    let port = free_port().await;
    try_it("nobody", ProxyKind::Http, port, Scheme::Https).await;
    try_it("nobody", ProxyKind::Socks4a, port, Scheme::Http).await;
    let refusing =
        Server::plain(|_| Action::Send(reply("403 Forbidden", &[], "not for you"))).await;
    try_it("forbidden", ProxyKind::Http, refusing.port, Scheme::Https).await;
    insta::assert_snapshot!(table, @r"
    nobody: proxy http://127.0.0.1:PORT does not connect to esx.invalid:1: it refuses connections
    nobody: proxy socks4a://127.0.0.1:PORT does not connect to esx.invalid:1: SOCKS error: failed to create underlying connection
    forbidden: proxy http://127.0.0.1:PORT does not connect to esx.invalid:1: tunnel error: unsuccessful
    ");
}
