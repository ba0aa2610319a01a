//! Where clients connect to: Unix sockets, our own or handed over by the system, TCP and TLS.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A socket that clients connect to. A file of our own goes when this is dropped.
pub struct Socket {
    listener: Listener,
    read_only: bool,
}

enum Listener {
    Unix {
        listener: UnixListener,
        path: PathBuf,
        /// Made by us, and not by whoever has started us.
        ours: bool,
    },
    Tcp(TcpListener),
    Tls(TcpListener),
}

/// Who has connected.
pub(crate) enum Accepted {
    /// A process of this machine, and whether it may only read.
    Unix(UnixStream, bool),
    /// Somebody on the network, in clear text.
    Tcp(TcpStream),
    /// Somebody on the network, who speaks TLS.
    Tls(TcpStream),
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
        let listener = Listener::Unix { listener, path: path.to_owned(), ours: true };
        Ok(Self { listener, read_only })
    }

    /// Takes over a socket that the system listens at (socket activation). One whose name ends in `-ro` is for readers.
    ///
    /// # Errors
    /// If it has no path.
    pub fn from_system(listener: std::os::unix::net::UnixListener) -> anyhow::Result<Self> {
        let address = listener.local_addr().context("cannot look at the system's socket")?;
        let path = address.as_pathname().context("the system's socket has no path")?.to_owned();
        let read_only = path.as_os_str().as_encoded_bytes().ends_with(b"-ro");
        listener.set_nonblocking(true).context("cannot use the system's socket")?;
        let listener =
            UnixListener::from_std(listener).context("cannot use the system's socket")?;
        Ok(Self { listener: Listener::Unix { listener, path, ours: false }, read_only })
    }

    /// Listens on the network, in clear text or with TLS.
    ///
    /// # Errors
    /// If the address is taken or none of this machine's.
    pub async fn network(address: SocketAddr, tls: bool) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen at {address}"))?;
        let listener = if tls { Listener::Tls(listener) } else { Listener::Tcp(listener) };
        Ok(Self { listener, read_only: false })
    }

    /// The URI that leads here.
    #[must_use]
    pub fn uri(&self) -> String {
        let address = |listener: &TcpListener| {
            listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string())
        };
        match &self.listener {
            Listener::Unix { path, .. } => format!("esx+unix:///?socket={}", path.display()),
            Listener::Tcp(listener) => format!("esx+tcp://{}/", address(listener)),
            Listener::Tls(listener) => format!("esx+tls://{}/", address(listener)),
        }
    }

    pub(crate) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        match &self.listener {
            Listener::Unix { listener, .. } => listener
                .poll_accept(context)
                .map_ok(|(stream, _)| Accepted::Unix(stream, self.read_only)),
            Listener::Tcp(listener) => {
                listener.poll_accept(context).map_ok(|(stream, _)| Accepted::Tcp(stream))
            }
            Listener::Tls(listener) => {
                listener.poll_accept(context).map_ok(|(stream, _)| Accepted::Tls(stream))
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Listener::Unix { path, ours: true, .. } = &self.listener {
            let _ = fs::remove_file(path);
        }
    }
}
