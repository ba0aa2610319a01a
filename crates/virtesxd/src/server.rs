//! Sockets, limits, and how the daemon ends.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use virt_rpc::session::{AuthMethod, SessionOptions};

use crate::client::{self, Service};
use crate::config::{Auth, Config};
use crate::hub::{Hub, Opener};

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
    tasks: JoinSet<()>,
}

/// A socket that clients connect to. Its file goes when this is dropped.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    read_only: bool,
}

impl Socket {
    /// Listens at `path`; what a daemon that has died left there is taken away.
    ///
    /// # Errors
    /// If another daemon listens there, something else is there, or the file system does not let us.
    pub fn bind(path: &Path, read_only: bool) -> anyhow::Result<Self> {
        let shown = path.display();
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => anyhow::bail!("{shown} is no socket"),
            Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => anyhow::bail!("another daemon listens at {shown}"),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path).with_context(|| format!("cannot remove {shown}"))?;
                }
                Err(error) => return Err(error).with_context(|| format!("cannot look at {shown}")),
            },
            Err(_) => {
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder)
                        .with_context(|| format!("cannot make {}", folder.display()))?;
                }
            }
        }
        let listener =
            UnixListener::bind(path).with_context(|| format!("cannot listen at {shown}"))?;
        // Reading is for everybody, unless credentials say otherwise; the rest for the daemon's user.
        let mode = if read_only { 0o777 } else { 0o700 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .with_context(|| format!("cannot set the mode of {shown}"))?;
        Ok(Self { listener, path: path.to_owned(), read_only })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Server {
    /// A daemon with this configuration; `opener` is [`crate::hub::esx`] outside tests. It runs in the Tokio runtime that calls it.
    ///
    /// # Errors
    /// If the system tells nothing about the process.
    pub fn new(config: Config, opener: Opener) -> anyhow::Result<Self> {
        let (one_end, _other) =
            UnixStream::pair().context("cannot find out whose process this is")?;
        let own_uid = one_end.peer_cred().ok().map(|credentials| credentials.uid());
        let limits = &config.limits;
        let (clients, new_clients) = (limits.clients, limits.new_clients);
        Ok(Self {
            hub: Hub::new(config, own_uid, opener),
            stop: watch::Sender::new(false),
            clients: Arc::new(Semaphore::new(clients)),
            new_clients: Arc::new(Semaphore::new(new_clients)),
            tasks: JoinSet::new(),
        })
    }

    /// Serves whoever connects until `stop` ends, or nobody was connected for `idle`. Then running calls are finished,
    /// connections closed, and the sessions at the hosts ended.
    pub async fn run(
        mut self,
        sockets: Vec<Socket>,
        idle: Option<Duration>,
        stop: impl Future<Output = ()>,
    ) {
        tokio::pin!(stop);
        loop {
            let quiet = idle.filter(|_| self.tasks.is_empty());
            tokio::select! {
                () = &mut stop => break,
                accepted = accept(&sockets) => match accepted {
                    Ok((stream, read_only)) => self.admit(stream, read_only),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept");
                        tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                    }
                },
                Some(_) = self.tasks.join_next() => {}
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
        self.admit(stream, false);
        tokio::select! {
            _ = self.tasks.join_next() => {}
            () = stop => {}
        }
        self.end().await;
    }

    fn admit(&mut self, stream: UnixStream, read_only: bool) {
        let Some((place, greeting)) = self.place() else {
            tracing::warn!("too many clients, one is sent away");
            return;
        };
        let auth = self.hub.config().auth.iter().map(|auth| match auth {
            Auth::None => AuthMethod::None,
            Auth::Sasl => AuthMethod::Sasl,
        });
        let service = Service {
            hub: Arc::clone(&self.hub),
            options: SessionOptions { read_only, auth: auth.collect() },
            uid: stream.peer_cred().ok().map(|credentials| credentials.uid()),
            stop: self.stop.subscribe(),
            greeting: Some(greeting),
        };
        self.tasks.spawn(async move {
            let uid = service.uid;
            let (read, write) = stream.into_split();
            let end = client::serve(read, write, service).await;
            tracing::debug!(?uid, ?end, "a client has gone");
            drop(place);
        });
    }

    fn place(&self) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let place = Arc::clone(&self.clients).try_acquire_owned().ok()?;
        let greeting = Arc::clone(&self.new_clients).try_acquire_owned().ok()?;
        Some((place, greeting))
    }
}

/// The next client of any socket.
async fn accept(sockets: &[Socket]) -> io::Result<(UnixStream, bool)> {
    std::future::poll_fn(|context| {
        for socket in sockets {
            if let std::task::Poll::Ready(accepted) = socket.listener.poll_accept(context) {
                return std::task::Poll::Ready(
                    accepted.map(|(stream, _)| (stream, socket.read_only)),
                );
            }
        }
        std::task::Poll::Pending
    })
    .await
}
