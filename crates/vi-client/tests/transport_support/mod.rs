//! A server on loopback that does exactly what a test tells it, well-behaved or not.

// Each test program uses its own part of this.
#![allow(dead_code)]

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use esx_vi_client::{Endpoint, Scheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What to do with one request.
pub(crate) enum Action {
    /// Send these bytes and stay connected.
    Send(Vec<u8>),
    /// Send these bytes and close.
    SendAndClose(Vec<u8>),
    /// Send these bytes, then neither send nor close.
    SendAndHold(Vec<u8>),
    /// Send these bytes, then the second ones for ever.
    SendEndlessly(Vec<u8>, Vec<u8>),
}

/// Reads requests until dropped. Requests are kept as text, head and body.
pub(crate) struct Server {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

type Handler = Arc<dyn Fn(usize) -> Action + Send + Sync>;

impl Server {
    /// Answers the n-th request, counted from 0 over all connections, with `action(n)`.
    pub(crate) async fn plain(action: impl Fn(usize) -> Action + Send + Sync + 'static) -> Self {
        Self::start(None, Arc::new(action)).await
    }

    pub(crate) async fn tls(
        config: ServerConfig,
        action: impl Fn(usize) -> Action + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), Arc::new(action)).await
    }

    async fn start(tls: Option<TlsAcceptor>, action: Handler) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, seen, action) = (tls.clone(), Arc::clone(&seen), Arc::clone(&action));
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, seen, action).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => converse(stream, seen, action).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { port, requests, accepting }
    }

    pub(crate) fn endpoint(&self, scheme: Scheme) -> Endpoint {
        Endpoint::new(scheme, "127.0.0.1", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn converse<S>(mut stream: S, seen: Arc<Mutex<Vec<String>>>, action: Handler) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let request = read_request(&mut stream).await?;
        let nth = {
            let mut seen = seen.lock().unwrap();
            seen.push(request);
            seen.len() - 1
        };
        match action(nth) {
            Action::Send(bytes) => stream.write_all(&bytes).await.ok()?,
            Action::SendAndClose(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                return stream.shutdown().await.ok();
            }
            Action::SendAndHold(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                stream.flush().await.ok()?;
                std::future::pending::<()>().await;
            }
            Action::SendEndlessly(head, more) => {
                stream.write_all(&head).await.ok()?;
                loop {
                    stream.write_all(&more).await.ok()?;
                }
            }
        }
        stream.flush().await.ok()?;
    }
}

/// One request by its `Content-Length`; `None` at the end of the connection.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let head = read_head(stream).await?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + std::str::from_utf8(&body).unwrap())
}

pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// A complete reply.
pub(crate) fn reply(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len()).into_bytes();
    for header in headers {
        bytes.extend_from_slice(format!("{header}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// A port of loopback where nobody listens.
pub(crate) async fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port()
}

/// An error's text without the port, which differs in each run.
pub(crate) fn message(error: &impl std::fmt::Display, port: u16) -> String {
    error.to_string().replace(&port.to_string(), "PORT")
}
