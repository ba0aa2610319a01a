//! Finding a domain's console at a concentrator, and listening to it.

use std::{ffi::OsStr, fmt, path::PathBuf};

use esx_vspc::{MachineId, Mode, PortKey};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{Address, Client, Console, ConsoleEvent, ConsoleReader, Port, Result};

/// Events that wait for whoever listens; then no more are read.
const WAITING: usize = 64;

/// How a concentrator is reached: for each request anew, since a [`Client`] is good for one.
#[derive(Clone)]
pub struct Access {
    /// Where it serves consoles.
    pub address: Address,
    /// What it asks for on sockets that are not in the file system.
    pub token: Option<String>,
}

/// Without the token.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Address {
    /// The socket that a user's own concentrator serves: below `XDG_RUNTIME_DIR`, which is the argument, or `/run`.
    #[must_use]
    pub fn of_user(runtime_dir: Option<&OsStr>) -> Self {
        let folder = runtime_dir.filter(|folder| !folder.is_empty());
        let folder = folder.map_or_else(|| PathBuf::from("/run"), PathBuf::from);
        Self::Unix(folder.join("virtesx").join("vspc.sock"))
    }
}

impl Access {
    /// Connects for one request.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub async fn connect(&self) -> Result<Client> {
        Client::connect(&self.address, self.token.as_deref()).await
    }

    /// The port that asks for `service` and whose machine introduced itself by one of `machines`, in the form of
    /// [`MachineId`]'s `Display`; never by a name alone. `None`: it has not connected.
    ///
    /// # Errors
    ///
    /// As [`Client::list`].
    pub async fn find(&self, machines: &[String], service: &str) -> Result<Option<Port>> {
        let machines: Vec<MachineId> =
            machines.iter().filter_map(|text| text.parse().ok()).collect();
        let known = self.connect().await?.list().await?;
        Ok(known
            .into_iter()
            .find(|port| port.service_uri == service && machines.contains(&port.key.machine)))
    }

    /// Attaches to a port; with `force`, others who may write to it are let go.
    ///
    /// # Errors
    ///
    /// As [`Client::attach`].
    pub async fn attach(&self, port: &PortKey, mode: Mode, force: bool) -> Result<Console> {
        let client = self.connect().await?;
        let (machine, label) = (port.machine.to_string(), Some(port.label.as_str()));
        match force {
            true => client.take_over(&machine, label, mode).await,
            false => client.attach(&machine, label, mode).await,
        }
    }
}

/// What a console tells, read by a task of its own: waiting for it may be given up at any time.
pub struct Events {
    receiver: mpsc::Receiver<Result<ConsoleEvent>>,
    task: JoinHandle<()>,
}

impl Events {
    /// Begins to listen.
    #[must_use]
    pub fn listen(mut reader: ConsoleReader) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let task = tokio::spawn(async move {
            while let Some(event) = reader.next().await.transpose() {
                let goes_on = matches!(event, Ok(ConsoleEvent::Data(_) | ConsoleEvent::Status(_)));
                if sender.send(event).await.is_err() || !goes_on {
                    break;
                }
            }
        });
        Self { receiver, task }
    }

    /// The next event; `None`: the concentrator closed, or has said that it ends.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Connection`], once.
    pub async fn next(&mut self) -> Result<Option<ConsoleEvent>> {
        self.receiver.recv().await.transpose()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}
