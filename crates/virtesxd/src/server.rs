//! Sockets, limits, and how the daemon ends.

use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use virt_rpc::session::{AuthMethod, SessionOptions};

use crate::client::{self, Service};
use crate::config::{Auth, Config};
use crate::front::Front;
use crate::hub::{Hub, Opener};
use crate::socket::Accepted;
pub use crate::socket::Socket;
use crate::tls;

/// How much longer than its calls a client may take to end.
const FLUSH: Duration = Duration::from_secs(2);
/// How long to wait after an accept that failed, as when descriptors have run out.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);

/// The daemon without its sockets.
pub struct Server {
    hub: Arc<Hub>,
    stop: watch::Sender<bool>,
    clients: Arc<Semaphore>,
    new_clients: Arc<Semaphore>,
    tls: Option<TlsAcceptor>,
    tasks: JoinSet<()>,
    /// Where clients are spoken with.
    front: Front,
    /// Where their calls are done.
    hosts: Handle,
}

impl Server {
    /// A daemon with this configuration; `opener` is [`crate::hub::esx`] outside tests. What it asks hosts is done in the Tokio runtime
    /// that calls it; with its clients it speaks in a thread of its own.
    ///
    /// # Errors
    /// If the system tells nothing about the process, or the files of TLS cannot be used.
    pub fn new(config: Config, opener: Opener) -> anyhow::Result<Self> {
        let (one_end, _other) =
            UnixStream::pair().context("cannot find out whose process this is")?;
        let own_uid = one_end.peer_cred().ok().map(|credentials| credentials.uid());
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let limits = &config.limits;
        let (clients, new_clients) = (limits.clients, limits.new_clients);
        Ok(Self {
            hub: Hub::new(config, own_uid, opener),
            stop: watch::Sender::new(false),
            clients: Arc::new(Semaphore::new(clients)),
            new_clients: Arc::new(Semaphore::new(new_clients)),
            tls,
            tasks: JoinSet::new(),
            front: Front::start().context("cannot start a thread for clients")?,
            hosts: Handle::current(),
        })
    }

    /// Serves whoever connects until `stop` ends, or nobody was connected for `idle`. Then running calls are finished,
    /// connections closed, and the sessions at the hosts ended. A configuration that comes by `reloads` holds from then on for
    /// whoever connects or opens something.
    pub async fn run(
        mut self,
        sockets: Vec<Socket>,
        idle: Option<Duration>,
        mut reloads: mpsc::Receiver<Config>,
        stop: impl Future<Output = ()>,
    ) {
        tokio::pin!(stop);
        loop {
            let quiet = idle.filter(|_| self.tasks.is_empty());
            tokio::select! {
                () = &mut stop => break,
                accepted = accept(&sockets) => match accepted {
                    Ok(accepted) => self.admit(accepted),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept");
                        tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                    }
                },
                Some(_) = self.tasks.join_next() => {}
                Some(config) = reloads.recv() => self.reload(config),
                () = tokio::time::sleep(quiet.unwrap_or_default()), if quiet.is_some() => break,
            }
        }
        drop(sockets);
        self.end().await;
    }

    /// Lets clients end, then ends those that do not: one that reads nothing would keep the daemon for ever.
    async fn end(mut self) {
        self.stop.send_replace(true);
        let patience = Duration::from_secs(self.hub.config().limits.stop_seconds) + FLUSH;
        let rest = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, rest).await.is_err() {
            tracing::warn!(clients = self.tasks.len(), "clients that do not end are cut off");
            self.tasks.shutdown().await;
        }
        self.hub.close().await;
    }

    /// Serves one client and ends: the helper that a client has started itself.
    pub async fn serve_one(mut self, stream: UnixStream, stop: impl Future<Output = ()>) {
        self.admit(Accepted::Unix(stream, false));
        tokio::select! {
            _ = self.tasks.join_next() => {}
            () = stop => {}
        }
        self.end().await;
    }

    /// Takes over a configuration, all of it or nothing. Sockets and the numbers of clients stay what they are.
    fn reload(&mut self, config: Config) {
        match config.tls.as_ref().map(tls::acceptor).transpose() {
            Ok(tls) => {
                self.tls = tls;
                self.hub.reload(config);
                tracing::info!("the configuration is read again");
            }
            Err(error) => tracing::error!("the configuration stays as it was: {error:#}"),
        }
    }

    fn admit(&mut self, accepted: Accepted) {
        let Some((place, greeting)) = self.place() else {
            tracing::warn!("too many clients, one is sent away");
            return;
        };
        let config = self.hub.config();
        let patience = Duration::from_secs(config.limits.greeting_seconds);
        let mut auth: Vec<AuthMethod> = config.auth.iter().copied().map(AuthMethod::from).collect();
        let uid = match &accepted {
            Accepted::Unix(stream, _) => stream.peer_cred().ok().map(|found| found.uid()),
            Accepted::Tcp(_) => {
                // A password does not travel in clear text.
                auth.retain(|method| *method == AuthMethod::None);
                if auth.is_empty() {
                    tracing::warn!("a client came by TCP, where nothing is offered");
                    return;
                }
                None
            }
            Accepted::Tls(_) => {
                // Without a password there is nothing for somebody whom nobody knows, unless a target says so.
                if !config.target.values().any(|target| target.from_network) {
                    auth.retain(|method| *method == AuthMethod::Sasl);
                }
                None
            }
        };
        let read_only = matches!(accepted, Accepted::Unix(_, true));
        let service = Service {
            hub: Arc::clone(&self.hub),
            options: SessionOptions { read_only, auth },
            uid,
            stop: self.stop.subscribe(),
            greeting: Some(greeting),
            hosts: self.hosts.clone(),
        };
        let acceptor = self.tls.clone();
        let speak = async move {
            if let Err(error) = converse(accepted, service, acceptor, patience).await {
                tracing::warn!(%error, "a client's socket cannot be used");
            }
            drop(place);
        };
        self.tasks.spawn_on(speak, self.front.handle());
    }

    fn place(&self) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let place = Arc::clone(&self.clients).try_acquire_owned().ok()?;
        let greeting = Arc::clone(&self.new_clients).try_acquire_owned().ok()?;
        Some((place, greeting))
    }
}

/// Speaks with a client. Its socket is one of the runtime that runs this, from here on.
async fn converse(
    accepted: Accepted,
    service: Service,
    acceptor: Option<TlsAcceptor>,
    patience: Duration,
) -> io::Result<()> {
    match accepted {
        Accepted::Unix(stream, _) => {
            let (read, write) = UnixStream::from_std(stream.into_std()?)?.into_split();
            serve(read, write, service).await;
        }
        Accepted::Tcp(stream) => {
            let stream = TcpStream::from_std(stream.into_std()?)?;
            let _ = stream.set_nodelay(true);
            let (read, write) = stream.into_split();
            serve(read, write, service).await;
        }
        Accepted::Tls(stream) => {
            let stream = TcpStream::from_std(stream.into_std()?)?;
            let _ = stream.set_nodelay(true);
            let Some(acceptor) = acceptor else { return Ok(()) };
            let mut stop = service.stop.clone();
            let hands = tokio::time::timeout(patience, tls::accept(&acceptor, stream));
            let stream = tokio::select! {
                hands = hands => hands,
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
            };
            match stream {
                Ok(Ok(stream)) => {
                    let (read, write) = tokio::io::split(stream);
                    serve(read, write, service).await;
                }
                Ok(Err(error)) => tracing::info!(%error, "no TLS with a client"),
                Err(_) => tracing::info!("a client took too long over TLS"),
            }
        }
    }
    Ok(())
}

async fn serve<R, W>(read: R, write: W, service: Service)
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let uid = service.uid;
    let end = client::serve(read, write, service).await;
    tracing::debug!(?uid, ?end, "a client has gone");
}

impl From<Auth> for AuthMethod {
    fn from(auth: Auth) -> Self {
        match auth {
            Auth::None => Self::None,
            Auth::Sasl => Self::Sasl,
        }
    }
}

/// The next client of any socket.
async fn accept(sockets: &[Socket]) -> io::Result<Accepted> {
    std::future::poll_fn(|context| {
        for socket in sockets {
            if let Poll::Ready(accepted) = socket.poll_accept(context) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}
