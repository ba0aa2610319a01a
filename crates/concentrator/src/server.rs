//! The server: listeners, and the tasks behind them.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use esx_vspc::{Claim, Config, PortKey, Verified};
use tokio::{
    net::{TcpListener, TcpSocket, UnixListener},
    sync::Semaphore,
    task::JoinSet,
};

use crate::{Address, Error, Identity, Network, Result};

mod console;
mod dial;
mod log;
mod machine;
mod shared;
mod stream;

use shared::Shared;

/// Connections that a listener holds for us until we take them: a power-on of many machines comes at once.
const BACKLOG: u32 = 1024;
/// Clients at a time, of all ports.
const CLIENTS: usize = 1024;

/// Where machines dial in.
#[derive(Debug, Clone, Copy)]
pub struct MachineListener {
    /// Port 13370 is what others use.
    pub address: SocketAddr,
    /// Whether TLS comes first (`telnets://`); needs [`Settings::identity`].
    pub tls: bool,
}

/// What a concentrator is to do.
#[derive(Debug, Default)]
pub struct Settings {
    /// Where machines dial in.
    pub machines: Vec<MachineListener>,
    /// Where consoles are served. Other than in the file system they need a token, and TLS beyond loopback.
    pub clients: Vec<Address>,
    /// The certificate, for both.
    pub identity: Option<Identity>,
    /// What clients must show on every listener that is not in the file system.
    pub token: Option<String>,
    /// The hosts that may dial in; empty: any.
    pub allow: Vec<Network>,
    /// Which addresses, `host:port`, may be dialled for machines whose port is in direction client. Never our own
    /// machine, nor link-local ones.
    pub dial: Vec<String>,
    /// A folder for what machines write, a file for each port.
    pub log_dir: Option<PathBuf>,
    /// A log of this size gets the suffix `.1`, and a new one begins; 0: never.
    pub log_bytes: u64,
    /// What the protocol allows. `direction_client`, `verify` and `upgrade` are set by the fields above.
    pub config: Config,
    /// Whether machines must have TLS: connections in clear must start it, or end.
    pub require_tls: bool,
}

/// Checks what machines say of themselves with somebody who knows, such as the VI API.
#[async_trait]
pub trait Verifier: Send + Sync {
    /// Whether there is such a machine with a port that asks for this, and, if that is known, running at that host: only then
    /// may it take its port over while it is up from elsewhere.
    ///
    /// # Errors
    ///
    /// Why the claim does not hold, for the log.
    async fn verify(
        &self,
        port: &PortKey,
        claim: &Claim,
        peer: IpAddr,
    ) -> std::result::Result<Verified, String>;
}

/// A running concentrator. Dropping it ends it at once; [`Server::shutdown`] lets logs be written first.
pub struct Server {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    machines: Vec<SocketAddr>,
    clients: Vec<Address>,
    log: Option<tokio::task::JoinHandle<()>>,
    sockets: Vec<PathBuf>,
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Server {
    /// Listens, and returns when all listeners do.
    ///
    /// # Errors
    ///
    /// [`Error::Settings`], [`Error::Listen`], [`Error::File`].
    pub async fn start(settings: Settings, verifier: Option<Arc<dyn Verifier>>) -> Result<Self> {
        check(&settings)?;
        let mut machine_listeners = Vec::new();
        for listener in &settings.machines {
            machine_listeners.push((listen(listener.address)?, listener.tls));
        }
        let (mut client_listeners, mut sockets) = (Vec::new(), Vec::new());
        let mut clients = Vec::new();
        for address in &settings.clients {
            let (listening, bound) = listen_for_clients(address).await?;
            if let Address::Unix(path) = address {
                sockets.push(path.clone());
            }
            let bound = match (bound, &settings.identity) {
                (Address::Tls { authority, .. }, Some(identity)) => {
                    Address::Tls { authority, thumbprint: Some(identity.sha256().to_owned()) }
                }
                (bound, _) => bound,
            };
            client_listeners.push((listening, matches!(address, Address::Tls { .. })));
            clients.push(bound);
        }
        let (log, log_task) = match &settings.log_dir {
            Some(folder) => {
                let (log, task) = log::start(folder.clone(), settings.log_bytes)?;
                (Some(log), Some(task))
            }
            None => (None, None),
        };
        let shared = Shared::new(settings, verifier, log);
        let mut machines = Vec::new();
        let mut tasks = JoinSet::new();
        for (listener, tls) in machine_listeners {
            machines.extend(listener.local_addr().ok());
            tasks.spawn(accept_machines(Arc::clone(&shared), listener, tls));
        }
        let room = Arc::new(Semaphore::new(CLIENTS));
        for (listener, tls) in client_listeners {
            tasks.spawn(accept_clients(Arc::clone(&shared), listener, tls, Arc::clone(&room)));
        }
        tasks.spawn(shared::keep_time(Arc::clone(&shared)));
        Ok(Self { shared, tasks, machines, clients, log: log_task, sockets })
    }

    /// Where machines dial in.
    #[must_use]
    pub fn machine_addresses(&self) -> &[SocketAddr] {
        &self.machines
    }

    /// Where consoles are served.
    #[must_use]
    pub fn client_addresses(&self) -> &[Address] {
        &self.clients
    }

    /// How many machines' connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.with(|inner, _| inner.table.connections())
    }

    /// Ends all connections and waits until the logs are written.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
        self.shared.end();
        if let Some(log) = self.log.take() {
            let _ = tokio::time::timeout(Duration::from_secs(5), log).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.end();
        for socket in &self.sockets {
            let _ = std::fs::remove_file(socket);
        }
    }
}

fn check(settings: &Settings) -> Result<()> {
    let wrong = |text: &str| Err(Error::Settings(text.to_owned()));
    let tls = settings.machines.iter().any(|listener| listener.tls)
        || settings.clients.iter().any(|address| matches!(address, Address::Tls { .. }))
        || settings.require_tls;
    if tls && settings.identity.is_none() {
        return wrong("TLS needs a certificate");
    }
    let open = settings.clients.iter().any(|address| !matches!(address, Address::Unix(_)));
    if open && settings.token.as_ref().is_none_or(|token| token.len() < 16) {
        return wrong("consoles on the network need a token of at least 16 characters");
    }
    Ok(())
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|source| Error::Listen { address: address.to_string(), source })
}

async fn listen_for_clients(address: &Address) -> Result<(Listening, Address)> {
    let failed = |source: io::Error| Error::Listen { address: address.to_string(), source };
    let resolve = async |authority: &String, loopback: bool| {
        let found = tokio::net::lookup_host(authority).await.map_err(failed)?.next();
        let found = found.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        if loopback && !found.ip().to_canonical().is_loopback() {
            return Err(Error::Settings(format!("{authority} is not loopback: use tls://")));
        }
        listen(found)
    };
    match address {
        Address::Unix(path) => {
            let listener = listen_in_files(path).await.map_err(failed)?;
            Ok((Listening::Unix(listener), address.clone()))
        }
        Address::Tcp(authority) => {
            let listener = resolve(authority, true).await?;
            let bound = listener.local_addr().map_err(failed)?;
            Ok((Listening::Tcp(listener), Address::Tcp(bound.to_string())))
        }
        Address::Tls { authority, .. } => {
            let listener = resolve(authority, false).await?;
            let authority = listener.local_addr().map_err(failed)?.to_string();
            Ok((Listening::Tcp(listener), Address::Tls { authority, thumbprint: None }))
        }
    }
}

/// A socket that only its owner may use. One that nobody listens at any more is replaced.
async fn listen_in_files(path: &PathBuf) -> io::Result<UnixListener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    if let Ok(found) = std::fs::symlink_metadata(path) {
        let lives = tokio::net::UnixStream::connect(path).await.is_ok();
        if !found.file_type().is_socket() || lives {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    // Born under another name, so that nobody can come before the permissions are set.
    let mut hidden = path.clone().into_os_string();
    hidden.push(format!(".{}", std::process::id()));
    let hidden = PathBuf::from(hidden);
    let _ = std::fs::remove_file(&hidden);
    let listener = UnixListener::bind(&hidden)?;
    std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&hidden, path)?;
    Ok(listener)
}

async fn accept_machines(shared: Arc<Shared>, listener: TcpListener, tls: bool) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let peer = peer.ip().to_canonical();
                    if !shared.may_come(peer) {
                        tracing::info!(%peer, "refused: not an address of a known host");
                        continue;
                    }
                    match shared.with(|inner, now| inner.accepted(now, peer, tls)) {
                        Ok((id, wake)) => {
                            let shared = Arc::clone(&shared);
                            tasks.spawn(machine::serve(shared, id, wake, stream, tls));
                        }
                        Err(why) => tracing::info!(%peer, %why, "refused"),
                    }
                }
                Err(error) => pause(&error).await,
            },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
}

async fn accept_clients(shared: Arc<Shared>, listener: Listening, tls: bool, room: Arc<Semaphore>) {
    let mut tasks = JoinSet::new();
    loop {
        let accepted = async {
            match &listener {
                Listening::Tcp(listener) => {
                    listener.accept().await.map(|(stream, _)| console::Accepted::Tcp(stream))
                }
                Listening::Unix(listener) => {
                    listener.accept().await.map(|(stream, _)| console::Accepted::Unix(stream))
                }
            }
        };
        tokio::select! {
            accepted = accepted => match accepted {
                Ok(stream) => {
                    if let Ok(permit) = Arc::clone(&room).try_acquire_owned() {
                        let shared = Arc::clone(&shared);
                        tasks.spawn(async move {
                            console::serve(&shared, stream, tls).await;
                            drop(permit);
                        });
                    }
                }
                Err(error) => pause(&error).await,
            },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
}

/// No descriptors, most likely: others may become free.
async fn pause(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(Duration::from_millis(100)).await;
}
