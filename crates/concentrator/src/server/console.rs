//! One connection of somebody who wants consoles.

use std::{
    fmt::Write as _,
    io,
    sync::{Arc, PoisonError},
    time::Duration,
};

use esx_vspc::{ClientEvent, ClientId, Mode};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::digest::{SHA256, digest};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{
    shared::{ClientWake, Shared, find},
    stream::{Duplex, read_some, tune},
};
use crate::control::{DATA, END, STATUS, read_frame, read_line, write_frames};

/// How long a client may take to say what it wants.
const REQUEST: Duration = Duration::from_secs(10);
/// How long it may take to read the answer, which is a long one where there are many ports.
const ANSWER: Duration = Duration::from_secs(60);

/// A client's connection.
pub(super) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Serves it to its end.
pub(super) async fn serve(shared: &Arc<Shared>, stream: Accepted, tls: bool) {
    if let Accepted::Tcp(stream) = &stream
        && let Err(error) = tune(stream)
    {
        tracing::debug!(%error, "a socket cannot be set up");
    }
    let outcome = match stream {
        Accepted::Unix(stream) => converse(shared, stream, false).await,
        Accepted::Tcp(stream) if tls => match shared.identity() {
            Some(identity) => match timeout(REQUEST, identity.acceptor.accept(stream)).await {
                Ok(Ok(stream)) => converse(shared, stream, true).await,
                Ok(Err(error)) => Err(error),
                Err(_) => Ok(()),
            },
            None => Ok(()),
        },
        Accepted::Tcp(stream) => converse(shared, stream, true).await,
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection of a client broke");
    }
}

enum Wish {
    List,
    Attach { port: String, mode: Mode, force: bool, raw: bool },
}

async fn converse<S: Duplex>(shared: &Arc<Shared>, mut stream: S, token: bool) -> io::Result<()> {
    let wish = timeout(REQUEST, read_wish(shared, &mut stream, token)).await;
    let wish = match wish {
        Ok(Ok(Some(wish))) => wish,
        Ok(Ok(None)) | Err(_) => return Ok(()),
        Ok(Err(why)) => return answer(&mut stream, &format!("ERROR {why}\n")).await,
    };
    match wish {
        Wish::List => {
            let text = list(shared);
            answer(&mut stream, &text).await
        }
        Wish::Attach { port, mode, force, raw: is_raw } => {
            let attached = shared.with(|inner, _| {
                let key = find(inner, &port)?;
                if force {
                    inner.table.let_go_of_writers(&key);
                }
                let id = inner.table.attach(&key, mode).map_err(|error| error.to_string())?;
                Ok::<_, String>((key, id, inner.attached(id)))
            });
            match attached {
                Err(why) => answer(&mut stream, &format!("ERROR {why}\n")).await,
                Ok((key, id, wake)) => {
                    tracing::info!(port = %key, ?mode, "client attached");
                    let guard = Attached { shared: Arc::clone(shared), id };
                    answer(&mut stream, &format!("OK {key}\n")).await?;
                    let outcome = carry(shared, id, &wake, stream, is_raw).await;
                    drop(guard);
                    tracing::info!(port = %key, "client detached");
                    outcome
                }
            }
        }
    }
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), text: &str) -> io::Result<()> {
    let write = async {
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await
    };
    timeout(ANSWER, write).await?
}

async fn read_wish<S: Duplex>(
    shared: &Shared,
    stream: &mut S,
    token: bool,
) -> Result<Option<Wish>, String> {
    let mut line = async || read_line(stream).await.map_err(|error| error.to_string());
    let Some(mut first) = line().await? else { return Ok(None) };
    let shown = first.strip_prefix("TOKEN ").map(str::to_owned);
    if shown.is_some() {
        let Some(next) = line().await? else { return Ok(None) };
        first = next;
    }
    if token {
        // Compared by digests: neither length nor place of a difference shows in the time it takes.
        let hash = |text: &str| digest(&SHA256, text.as_bytes());
        let own = shared.settings.token.as_deref();
        let good = match (own, &shown) {
            (Some(own), Some(shown)) => same(hash(own).as_ref(), hash(shown).as_ref()),
            _ => false,
        };
        if !good {
            tracing::warn!("a client showed no valid token");
            return Err("the token is missing or wrong".to_owned());
        }
    }
    let mut words = first.split(' ');
    match words.next() {
        Some("LIST") => Ok(Some(Wish::List)),
        Some("ATTACH") => {
            let port = words.next().ok_or("no port was named")?;
            let port = percent_decode_str(port).decode_utf8_lossy().into_owned();
            let mode = match words.next() {
                None | Some("shared") => Mode::Shared,
                Some("read-only") => Mode::ReadOnly,
                Some("exclusive") => Mode::Exclusive,
                Some(_) => return Err("the mode is shared, read-only or exclusive".to_owned()),
            };
            let rest: Vec<&str> = words.collect();
            let (force, raw) = match rest[..] {
                [] => (false, false),
                ["force"] => (true, false),
                ["raw"] => (false, true),
                ["force", "raw"] => (true, true),
                _ => return Err("what follows the mode is force, raw or nothing".to_owned()),
            };
            Ok(Some(Wish::Attach { port, mode, force, raw }))
        }
        _ => Err("say LIST or ATTACH".to_owned()),
    }
}

fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |d, (a, b)| d | (a ^ b)) == 0
}

/// `OK n`, then for each port its key, state, clients, host, name and service, with tabs between.
fn list(shared: &Arc<Shared>) -> String {
    let mut ports: Vec<_> = shared.with(|inner, _| inner.table.ports().collect());
    ports.sort_by(|a, b| a.key.cmp(&b.key));
    let mut text = format!("OK {}\n", ports.len());
    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    for port in ports {
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{}\t{}\t{}",
            port.key,
            port.status,
            port.clients,
            port.peer,
            escape(&port.name),
            escape(&port.service_uri)
        );
    }
    text
}

/// Detaches the client, also when its task is dropped.
struct Attached {
    shared: Arc<Shared>,
    id: ClientId,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.shared.with(|inner, _| inner.detached(self.id));
    }
}

/// Bare bytes between a port and a stream, of a client that is attached already.
pub(super) async fn raw(shared: &Arc<Shared>, id: ClientId, stream: impl Duplex) {
    let wake = shared.with(|inner, _| inner.attached(id));
    let _guard = Attached { shared: Arc::clone(shared), id };
    if let Err(error) = carry(shared, id, &wake, stream, true).await {
        tracing::debug!(%error, "a remote system's connection broke");
    }
}

async fn carry<S: Duplex>(
    shared: &Arc<Shared>,
    id: ClientId,
    wake: &ClientWake,
    stream: S,
    raw: bool,
) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    tokio::select! {
        outcome = from_client(shared, id, wake, &mut reader, raw) => outcome,
        outcome = to_client(shared, id, wake, &mut writer, raw) => outcome,
        // It was let go, and does not read why.
        () = async {
            wake.ended.notified().await;
            tokio::time::sleep(shared.goodbye).await;
        } => Ok(()),
    }
}

async fn from_client(
    shared: &Arc<Shared>,
    id: ClientId,
    wake: &ClientWake,
    reader: &mut (impl AsyncRead + Unpin),
    raw: bool,
) -> io::Result<()> {
    loop {
        let data = if raw {
            read_some(reader, <[u8]>::to_vec).await?
        } else {
            match read_frame(reader).await? {
                Some((DATA, data)) => Some(data),
                Some(_) => continue, // of a newer client
                None => None,
            }
        };
        let Some(data) = data else { return Ok(()) };
        let mut rest = &data[..];
        while !rest.is_empty() {
            let taken = shared.with(|inner, _| inner.table.client_data(id, rest));
            rest = &rest[taken..];
            if !rest.is_empty() && timeout(shared.stuck, wake.room.notified()).await.is_err() {
                if shared.with(|inner, _| inner.table.is_held(id)) {
                    continue;
                }
                // Whoever types this is not heard any more, not even if it goes. The other half tells it why.
                let why = "the machine takes nothing of what is typed";
                *wake.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
                wake.events.notify_one();
                wake.ended.notify_one();
                return std::future::pending().await;
            }
        }
    }
}

async fn to_client(
    shared: &Arc<Shared>,
    id: ClientId,
    wake: &ClientWake,
    writer: &mut (impl AsyncWrite + Unpin),
    raw: bool,
) -> io::Result<()> {
    loop {
        let events = shared.with(|inner, _| inner.table.take_events(id));
        if events.is_empty() {
            let end = wake.end.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(why) = end {
                let mut out = Vec::new();
                if !raw {
                    write_frames(&mut out, END, why.as_bytes());
                }
                writer.write_all(&out).await?;
                return writer.shutdown().await;
            }
            wake.events.notified().await;
            continue;
        }
        for event in events {
            match event {
                ClientEvent::Data(data) if raw => writer.write_all(&data).await?,
                ClientEvent::Data(data) => {
                    let mut out = Vec::with_capacity(data.len() + 3);
                    write_frames(&mut out, DATA, &data);
                    writer.write_all(&out).await?;
                }
                ClientEvent::Status(_) if raw => {}
                ClientEvent::Status(status) => {
                    let mut out = Vec::new();
                    write_frames(&mut out, STATUS, status.to_string().as_bytes());
                    writer.write_all(&out).await?;
                }
            }
        }
        writer.flush().await?;
    }
}
