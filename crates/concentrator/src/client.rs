//! The client of a concentrator: which ports there are, and a console on one.

use std::{net::IpAddr, time::Duration};

use esx_vi_client::{Thumbprint, TlsPolicy};
use esx_vspc::{Mode, PortKey, Status};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rustls_pki_types::ServerName;
use std::sync::Arc;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    Address, Error, Result,
    control::{DATA, END, STATUS, read_frame, read_line, write_frames},
};

const CONNECT: Duration = Duration::from_secs(10);

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// A connection to a concentrator, good for one request.
pub struct Client {
    stream: Box<dyn Duplex>,
    token: Option<String>,
}

/// A port that the concentrator knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Which.
    pub key: PortKey,
    /// How it stands.
    pub status: Status,
    /// How many clients are attached.
    pub clients: usize,
    /// The address of its host.
    pub peer: IpAddr,
    /// The machine's name, as it said it: show it through [`esx_vspc::identity::printable`].
    pub name: String,
    /// The service URI, as it said it.
    pub service_uri: String,
}

impl Client {
    /// Connects. `token`: what the concentrator asks for on sockets that are not in the file system.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`], also if the certificate is not the one that the address names.
    pub async fn connect(address: &Address, token: Option<&str>) -> Result<Self> {
        let failed = |source| Error::Connect { address: address.to_string(), source };
        let late = |_| failed(std::io::ErrorKind::TimedOut.into());
        let stream = timeout(CONNECT, dial(address)).await.map_err(late)?.map_err(failed)?;
        Ok(Self { stream, token: token.map(str::to_owned) })
    }

    /// All ports, by machine and label.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], [`Error::Connection`], [`Error::Protocol`].
    pub async fn list(mut self) -> Result<Vec<Port>> {
        let answer = self.ask("LIST").await?;
        let count: usize = answer.parse().map_err(|_| Error::Protocol("a list without a count"))?;
        let mut ports = Vec::new();
        for _ in 0..count {
            let line = read_line(&mut self.stream).await?;
            let line = line.ok_or(Error::Protocol("the list ends early"))?;
            ports.push(port(&line).ok_or(Error::Protocol("a line of the list means nothing"))?);
        }
        Ok(ports)
    }

    /// Attaches to a port: `machine` is an identifier or a name, `label` one of its ports if it has several.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if there is no such port or it cannot be had so, [`Error::Connection`], [`Error::Protocol`].
    pub async fn attach(self, machine: &str, label: Option<&str>, mode: Mode) -> Result<Console> {
        self.open(machine, label, mode, "").await
    }

    /// As [`Self::attach`]; who may write to the port is let go before.
    ///
    /// # Errors
    ///
    /// As [`Self::attach`].
    pub async fn take_over(
        self,
        machine: &str,
        label: Option<&str>,
        mode: Mode,
    ) -> Result<Console> {
        self.open(machine, label, mode, " force").await
    }

    async fn open(
        mut self,
        machine: &str,
        label: Option<&str>,
        mode: Mode,
        force: &str,
    ) -> Result<Console> {
        let port = match label {
            Some(label) => format!("{machine}#{label}"),
            None => machine.to_owned(),
        };
        let mode = match mode {
            Mode::Shared => "shared",
            Mode::ReadOnly => "read-only",
            Mode::Exclusive => "exclusive",
        };
        let port = utf8_percent_encode(&port, NON_ALPHANUMERIC);
        let port = self.ask(&format!("ATTACH {port} {mode}{force}")).await?;
        Ok(Console::over(port, self.stream))
    }

    /// Sends a request, returns what stands behind `OK`.
    async fn ask(&mut self, request: &str) -> Result<String> {
        let token = self.token.take().map(|token| format!("TOKEN {token}\n")).unwrap_or_default();
        self.stream.write_all(format!("{token}{request}\n").as_bytes()).await?;
        self.stream.flush().await?;
        let line = read_line(&mut self.stream).await?.ok_or(Error::Protocol("no answer"))?;
        match line.split_once(' ') {
            Some(("OK", rest)) => Ok(rest.to_owned()),
            Some(("ERROR", why)) => Err(Error::Refused(esx_vspc::identity::printable(why))),
            _ => Err(Error::Protocol("neither OK nor ERROR")),
        }
    }
}

async fn dial(address: &Address) -> std::io::Result<Box<dyn Duplex>> {
    let tcp = async |authority: &String| {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    };
    Ok(match address {
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Address::Tcp(authority) => Box::new(tcp(authority).await?),
        Address::Tls { authority, thumbprint } => {
            let policy = match thumbprint {
                Some(text) => {
                    TlsPolicy::Thumbprint(Thumbprint::parse(text).map_err(std::io::Error::other)?)
                }
                None => TlsPolicy::Verify,
            };
            let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
            let connector = TlsConnector::from(Arc::new(policy.client_config()?));
            Box::new(connector.connect(name, tcp(authority).await?).await?)
        }
    })
}

fn port(line: &str) -> Option<Port> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let (machine, label) = next()?.rsplit_once('#')?;
    let text = |field: &str| percent_decode_str(field).decode_utf8_lossy().into_owned();
    Some(Port {
        key: PortKey { machine: machine.parse().ok()?, label: label.to_owned() },
        status: status(next()?)?,
        clients: next()?.parse().ok()?,
        peer: next()?.parse().ok()?,
        name: text(next()?),
        service_uri: text(next()?),
    })
}

fn status(word: &str) -> Option<Status> {
    [Status::Up, Status::Moving, Status::Down].into_iter().find(|status| status.to_string() == word)
}

/// What a console tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsoleEvent {
    /// Output of the machine.
    Data(Vec<u8>),
    /// The port's state, at first and whenever it changes.
    Status(Status),
    /// The concentrator let go, and why.
    End(String),
}

/// An attached console.
pub struct Console {
    /// The port's key, as the concentrator writes it.
    pub port: String,
    /// What the machine says.
    pub reader: ConsoleReader,
    /// What it is told.
    pub writer: ConsoleWriter,
}

impl Console {
    /// One whose frames go over the stream.
    pub(crate) fn over(port: String, stream: Box<dyn Duplex>) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self { port, reader: ConsoleReader { reader }, writer: ConsoleWriter { writer } }
    }
}

/// The reading half of a console.
pub struct ConsoleReader {
    reader: ReadHalf<Box<dyn Duplex>>,
}

impl ConsoleReader {
    /// The next event; `None`: the concentrator closed. Not to be dropped half-way: a frame may be lost then.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`].
    pub async fn next(&mut self) -> Result<Option<ConsoleEvent>> {
        loop {
            return Ok(Some(match read_frame(&mut self.reader).await? {
                None => return Ok(None),
                Some((DATA, data)) => ConsoleEvent::Data(data),
                Some((END, why)) => {
                    ConsoleEvent::End(esx_vspc::identity::printable(&String::from_utf8_lossy(&why)))
                }
                Some((STATUS, word)) => match status(&String::from_utf8_lossy(&word)) {
                    Some(status) => ConsoleEvent::Status(status),
                    None => continue,
                },
                Some(_) => continue, // of a newer concentrator
            }));
        }
    }
}

/// The writing half of a console.
pub struct ConsoleWriter {
    writer: WriteHalf<Box<dyn Duplex>>,
}

impl ConsoleWriter {
    /// Sends input to the machine. Waits while the machine takes none.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`].
    pub async fn write(&mut self, data: &[u8]) -> Result<()> {
        let mut out = Vec::with_capacity(data.len() + 3);
        write_frames(&mut out, DATA, data);
        self.writer.write_all(&out).await?;
        Ok(self.writer.flush().await?)
    }
}
