//! Consoles of domains, from a serial port concentrator.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use esx_concentrator::{
    Access, Address, ConsoleEvent, ConsoleWriter, Error as ConcentratorError, Events, Mode, Status,
};
use esx_driver::{ConsoleOpener, ConsolePort};
use tokio::sync::Mutex;
use virt_api::{Chunk, Error, ErrorCode, ErrorDomain, Result, Stream};

/// How long a machine may be without a connection before its console ends: one that restarts dials anew.
pub const GRACE: Duration = Duration::from_secs(3);

/// Opens consoles at one concentrator.
#[derive(Debug)]
pub struct Consoles {
    /// Where it serves them.
    pub address: Address,
    /// A file with what it asks for, read for each console.
    pub token_file: Option<PathBuf>,
    /// As [`GRACE`].
    pub grace: Duration,
}

/// For clients to whom the configuration gives no concentrator.
pub struct NoConsoles;

#[async_trait]
impl ConsoleOpener for NoConsoles {
    async fn open(&self, _port: &ConsolePort, _force: bool) -> Result<Box<dyn Stream>> {
        let message = "consoles are for the daemon's own user unless its configuration names a concentrator in [console]";
        Err(Error::new(ErrorCode::AccessDenied, ErrorDomain::Rpc, message))
    }
}

impl Consoles {
    fn access(&self) -> Result<Access> {
        let mut access = Access { address: self.address.clone(), token: None };
        if let Some(file) = &self.token_file {
            let text = std::fs::read_to_string(file).map_err(|error| {
                let message = format!("cannot read '{}'", file.display());
                Error::new(ErrorCode::SystemError, ErrorDomain::Rpc, message).with_source(error)
            })?;
            access.token = Some(text.trim().to_owned());
        }
        Ok(access)
    }
}

#[async_trait]
impl ConsoleOpener for Consoles {
    async fn open(&self, port: &ConsolePort, force: bool) -> Result<Box<dyn Stream>> {
        let access = self.access()?;
        let failed = |error| failed(&port.domain, error);
        let found = access.find(&port.machines, &port.service).await.map_err(failed)?;
        let found = found.filter(|found| found.status != Status::Down).ok_or_else(|| {
            let message = format!(
                "domain '{}' is not connected to the concentrator at {}: its host must reach {}, and the host's firewall \
                 must let it (ruleset vSPC)",
                port.domain, access.address, port.proxy
            );
            Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message)
        })?;
        let console = access.attach(&found.key, Mode::Exclusive, force).await.map_err(failed)?;
        Ok(Box::new(ConsoleStream {
            domain: port.domain.clone(),
            grace: self.grace,
            events: Mutex::new(Events::listen(console.reader)),
            writer: Mutex::new(Some(console.writer)),
            ended: AtomicBool::new(false),
        }))
    }
}

fn failed(domain: &str, error: ConcentratorError) -> Error {
    let code = match &error {
        ConcentratorError::Refused(_) => ErrorCode::OperationFailed,
        _ => ErrorCode::SystemError,
    };
    let message = format!("cannot open the console of domain '{domain}'");
    Error::new(code, ErrorDomain::Esx, message).with_source(error)
}

struct ConsoleStream {
    domain: String,
    grace: Duration,
    events: Mutex<Events>,
    /// `None` once something was half written, or at the end.
    writer: Mutex<Option<ConsoleWriter>>,
    ended: AtomicBool,
}

impl ConsoleStream {
    fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Stream for ConsoleStream {
    async fn recv(&self) -> Result<Option<Chunk>> {
        let mut events = self.events.lock().await;
        let mut down = false;
        while !self.ended.load(Ordering::Relaxed) {
            let event = if down {
                match tokio::time::timeout(self.grace, events.next()).await {
                    Ok(event) => event,
                    // The machine has gone: libvirt's clients expect the end of the stream.
                    Err(_) => break,
                }
            } else {
                events.next().await
            };
            match event {
                Ok(Some(ConsoleEvent::Data(data))) if data.is_empty() => {}
                Ok(Some(ConsoleEvent::Data(data))) => return Ok(Some(Chunk::Data(data.into()))),
                Ok(Some(ConsoleEvent::Status(status))) => down = status == Status::Down,
                Ok(Some(ConsoleEvent::End(why))) => {
                    self.end();
                    let message =
                        format!("the console of domain '{}' has ended: {why}", self.domain);
                    return Err(Error::new(
                        ErrorCode::OperationAborted,
                        ErrorDomain::Streams,
                        message,
                    ));
                }
                Ok(None) => break,
                Err(error) => {
                    self.end();
                    return Err(failed(&self.domain, error));
                }
            }
        }
        self.end();
        Ok(None)
    }

    async fn send(&self, chunk: Chunk) -> Result<()> {
        let Chunk::Data(data) = chunk else {
            return Err(Error::invalid_arg(ErrorDomain::Streams, "a console has no holes"));
        };
        let mut writer = self.writer.lock().await;
        let ended = || Error::invalid_arg(ErrorDomain::Streams, "the console has ended");
        // If this is cancelled, part of the data may be on its way: then nobody can go on.
        let mut open = writer.take().ok_or_else(ended)?;
        open.write(&data).await.map_err(|error| failed(&self.domain, error))?;
        *writer = Some(open);
        Ok(())
    }

    async fn finish(&self) -> Result<()> {
        self.abort().await
    }

    async fn abort(&self) -> Result<()> {
        self.end();
        self.writer.lock().await.take();
        Ok(())
    }
}
