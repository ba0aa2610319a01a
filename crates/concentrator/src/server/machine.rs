//! One connection of a machine's end.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use esx_vspc::ConnectionId;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    net::TcpStream,
    time::timeout,
};

use super::{
    shared::{Shared, Wake},
    stream::{Duplex, Prefixed, read_some, tune},
};

/// Most that is written at once.
const WRITE: usize = 64 << 10;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long what was sent last may take to be read before the end.
const LINGER: Duration = Duration::from_secs(1);

enum End {
    Closed,
    StartTls(Vec<u8>),
}

/// Serves a connection to its end, and reports that.
pub(super) async fn serve(
    shared: Arc<Shared>,
    id: ConnectionId,
    wake: Arc<Wake>,
    stream: TcpStream,
    tls: bool,
) {
    let _report = Report { shared: Arc::clone(&shared), id };
    if let Err(error) = tune(&stream) {
        tracing::debug!(%error, "a socket cannot be set up");
    }
    let outcome = if tls {
        Box::pin(with_tls(&shared, id, &wake, Bytes::new(), stream)).await
    } else {
        match pump(&shared, id, &wake, stream).await {
            Ok((End::StartTls(first), stream)) => {
                Box::pin(with_tls(&shared, id, &wake, first.into(), stream)).await
            }
            Ok((End::Closed, _)) => Ok(()),
            Err(error) => Err(error),
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection of a machine broke");
    }
}

/// Says that the connection is gone, also when the task is dropped.
struct Report {
    shared: Arc<Shared>,
    id: ConnectionId,
}

impl Drop for Report {
    fn drop(&mut self) {
        self.shared.with(|inner, now| inner.closed(now, self.id));
    }
}

async fn with_tls(
    shared: &Arc<Shared>,
    id: ConnectionId,
    wake: &Wake,
    first: Bytes,
    stream: TcpStream,
) -> io::Result<()> {
    let Some(identity) = shared.identity() else { return Ok(()) };
    let accept = identity.acceptor.accept(Prefixed { first, rest: stream });
    let stream = timeout(HANDSHAKE, accept).await??;
    shared.with(|inner, now| inner.table.tls_established(now, id));
    pump(shared, id, wake, stream).await.map(drop)
}

/// Carries bytes both ways until either end closes or TLS is to start.
async fn pump<S: Duplex>(
    shared: &Arc<Shared>,
    id: ConnectionId,
    wake: &Wake,
    stream: S,
) -> io::Result<(End, S)> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let end = tokio::select! {
        end = read(shared, id, wake, &mut reader) => end,
        end = write(shared, id, wake, &mut writer) => end,
        // It does not read: what it was to be told stays unsaid.
        () = wake.has_lingered(shared.goodbye) => Ok(End::Closed),
    };
    let end = end?;
    if matches!(end, End::Closed) && wake.is_closing() {
        linger(&mut reader, &mut writer).await;
    }
    Ok((end, reader.unsplit(writer)))
}

async fn read<S: AsyncRead>(
    shared: &Arc<Shared>,
    id: ConnectionId,
    wake: &Wake,
    reader: &mut ReadHalf<S>,
) -> io::Result<End> {
    loop {
        let take = |bytes: &[u8]| shared.with(|inner, now| inner.table.received(now, id, bytes));
        if read_some(reader, take).await?.is_none() {
            return Ok(End::Closed);
        }
        if wake.is_starting_tls() || wake.is_closing() {
            // The other half knows what to do.
            std::future::pending::<()>().await;
        }
        // One busy machine is not to keep the others from their turn.
        tokio::task::coop::consume_budget().await;
    }
}

async fn write<S: AsyncWrite>(
    shared: &Arc<Shared>,
    id: ConnectionId,
    wake: &Wake,
    writer: &mut WriteHalf<S>,
) -> io::Result<End> {
    loop {
        let piece = shared.with(|inner, _| inner.table.take_output(id, WRITE));
        if !piece.is_empty() {
            writer.write_all(&piece).await?;
            continue;
        }
        writer.flush().await?;
        if let Some(first) = wake.take_start_tls() {
            return Ok(End::StartTls(first));
        }
        if wake.is_closing() {
            return Ok(End::Closed);
        }
        wake.notify.notified().await;
    }
}

/// A socket that is closed with bytes unread takes those with it that it sent last.
async fn linger<S: Duplex>(reader: &mut ReadHalf<S>, writer: &mut WriteHalf<S>) {
    let read_out = async {
        let _ = writer.shutdown().await;
        while let Ok(Some(())) = read_some(reader, |_| ()).await {}
    };
    let _ = timeout(LINGER, read_out).await;
}
