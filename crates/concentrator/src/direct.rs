//! Consoles without a concentrator: serial ports that hosts serve themselves (spec 2.2, direction server).

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use esx_vspc::Direct;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::timeout,
};

use crate::{
    Console, Error, Result,
    control::{DATA, END, read_frame, write_frames},
};

const CONNECT: Duration = Duration::from_secs(10);
/// What may wait for either end, in bytes.
const WAITING: usize = 64 << 10;
/// Most that is read at once.
const READ: usize = 16 << 10;
/// Pieces on their way to the port.
const PIECES: usize = 16;

/// Connects to a port at `host:port`, which speaks telnet or carries bare bytes. TLS is not spoken.
///
/// # Errors
///
/// [`Error::Connect`].
pub async fn connect_direct(authority: &str, telnet: bool) -> Result<Console> {
    let failed = |source| Error::Direct { address: authority.to_owned(), source };
    let late = |_| failed(io::ErrorKind::TimedOut.into());
    let dialled = timeout(CONNECT, TcpStream::connect(authority)).await.map_err(late)?;
    let stream = dialled.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let (ours, theirs) = tokio::io::duplex(WAITING);
    let telnet = telnet.then(Direct::new);
    tokio::spawn(async move {
        let (reader, writer) = stream.into_split();
        let (typed, shown) = tokio::io::split(theirs);
        carry(reader, writer, typed, shown, telnet).await;
    });
    Ok(Console::over(authority.to_owned(), Box::new(ours)))
}

/// Until either end leaves. Frames on one side, as a concentrator's client has them, the port's bytes on the other.
async fn carry(
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    typed: ReadHalf<DuplexStream>,
    mut shown: WriteHalf<DuplexStream>,
    telnet: Option<Direct>,
) {
    // Both directions speak telnet: what is heard may have to be answered.
    let telnet = Mutex::new(telnet);
    let (out, pieces) = mpsc::channel(PIECES);
    let why = {
        let hears = hear(reader, &mut shown, &telnet, out.clone());
        let (speaks, writes) = (speak(typed, &telnet, out), write(writer, pieces));
        tokio::select! {
            heard = hears => heard.err(),
            // Who leaves has what was typed sent.
            (_, written) = async { tokio::join!(speaks, writes) } => match written {
                Ok(()) => return,
                Err(error) => Some(error),
            },
        }
    };
    let why = why.map_or_else(|| "the host closed the connection".to_owned(), |e| e.to_string());
    let mut end = Vec::new();
    write_frames(&mut end, END, why.as_bytes());
    let _ = shown.write_all(&end).await;
    let _ = shown.shutdown().await;
}

/// From the user. An empty piece is the end.
async fn speak(
    mut typed: ReadHalf<DuplexStream>,
    telnet: &Mutex<Option<Direct>>,
    out: mpsc::Sender<Bytes>,
) {
    let mut data = Vec::new();
    loop {
        let piece = match telnet.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(telnet) => {
                telnet.write(&data);
                telnet.take_output()
            }
            None => Bytes::from(std::mem::take(&mut data)),
        };
        if !piece.is_empty() && out.send(piece).await.is_err() {
            return;
        }
        data = match read_frame(&mut typed).await {
            Ok(Some((DATA, data))) => data,
            Ok(Some(_)) => Vec::new(),
            Ok(None) | Err(_) => break,
        };
    }
    let _ = out.send(Bytes::new()).await;
}

async fn write(mut writer: OwnedWriteHalf, mut pieces: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(piece) = pieces.recv().await.filter(|piece| !piece.is_empty()) {
        writer.write_all(&piece).await?;
    }
    writer.shutdown().await
}

/// From the port.
async fn hear(
    mut reader: OwnedReadHalf,
    shown: &mut WriteHalf<DuplexStream>,
    telnet: &Mutex<Option<Direct>>,
    out: mpsc::Sender<Bytes>,
) -> io::Result<()> {
    let mut space = vec![0; READ];
    loop {
        let length = reader.read(&mut space).await?;
        if length == 0 {
            return Ok(());
        }
        let mut heard = Vec::new();
        let answer = match telnet.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(telnet) => {
                telnet.receive(&space[..length], &mut heard).map_err(io::Error::other)?;
                telnet.take_output()
            }
            None => {
                heard.extend_from_slice(&space[..length]);
                Bytes::new()
            }
        };
        if !answer.is_empty() && out.send(answer).await.is_err() {
            return Ok(());
        }
        let mut frames = Vec::with_capacity(heard.len() + 3);
        write_frames(&mut frames, DATA, &heard);
        shown.write_all(&frames).await?;
    }
}
