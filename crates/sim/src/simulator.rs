//! The simulator as others use it: built, started, poked, stopped.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::model::{self, Config, Model, Preset};
use crate::server::{self, Arrival, JournalEntry, Reaction, Shared, TransferStats, tls};

/// What may stand in the user part and the path of a URI.
const URI_PART: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a simulator cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is not of this machine alone, and that was not asked for.
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// There is no snapshot of this API version.
    #[error("unknown API version {0:?}, known are 2.5, 4.0, 4.1, 6.7 and 8.0")]
    UnknownApiVersion(String),
    /// The address is taken, for example.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// No certificate could be made.
    #[error("cannot make a certificate")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The operating system gave no random numbers.
    #[error("no random numbers")]
    Random,
}

/// Makes simulators. See [`Builder`].
#[derive(Debug)]
pub struct Simulator;

impl Simulator {
    /// A stand-alone ESXi 8.0 host with the built-in machines, on HTTP and a free port.
    pub fn builder() -> Builder {
        Builder {
            preset: Preset::Esx,
            api_version: "8.0".to_owned(),
            vms: 0,
            volumes: 0,
            tls: false,
            wrong_certificate: false,
            lease_door: false,
            dial_consoles: false,
            username: "user".to_owned(),
            password: "pass".to_owned(),
            page_size: None,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            allow_any_address: false,
            plan: None,
            task_duration: Duration::ZERO,
            record_bodies: false,
        }
    }
}

/// What the simulator should be like.
pub struct Builder {
    preset: Preset,
    api_version: String,
    vms: u32,
    volumes: u32,
    tls: bool,
    wrong_certificate: bool,
    lease_door: bool,
    dial_consoles: bool,
    username: String,
    password: String,
    page_size: Option<usize>,
    listen: SocketAddr,
    allow_any_address: bool,
    plan: Option<server::Plan>,
    task_duration: Duration,
    record_bodies: bool,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("preset", &self.preset)
            .field("api_version", &self.api_version)
            .field("vms", &self.vms)
            .field("tls", &self.tls)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Which inventory.
    #[must_use]
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset = preset;
        self
    }

    /// The newest API version that the server speaks: `2.5`, `4.0`, `4.1`, `6.7` or `8.0`.
    #[must_use]
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = version.into();
        self
    }

    /// How many ordinary machines there are beside the built-in ones.
    #[must_use]
    pub fn vms(mut self, vms: u32) -> Self {
        self.vms = vms;
        self
    }

    /// How many disks there are on a host's datastore `bulk`; without any, there is no such datastore.
    #[must_use]
    pub fn volumes(mut self, volumes: u32) -> Self {
        self.volumes = volumes;
        self
    }

    /// HTTPS with a certificate made for the occasion, in place of HTTP.
    #[must_use]
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// HTTPS with another certificate than the one whose thumbprint [`Running::uri`] and [`Running::thumbprint`] tell.
    #[must_use]
    pub fn wrong_certificate(mut self) -> Self {
        self.tls = true;
        self.wrong_certificate = true;
        self
    }

    /// Serves the disks of leases at a second address with a certificate of its own, as the hosts behind a vCenter do.
    #[must_use]
    pub fn lease_door(mut self) -> Self {
        self.lease_door = true;
        self
    }

    /// Lets running machines connect their serial ports to concentrators on loopback addresses (`telnet://`), with guests
    /// that ask for a login and echo what is typed.
    #[must_use]
    pub fn dial_consoles(mut self, dial: bool) -> Self {
        self.dial_consoles = dial;
        self
    }

    /// The one user that can log in; `user` and `pass` if nothing is said.
    #[must_use]
    pub fn credentials(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.username = username.into();
        self.password = password.into();
        self
    }

    /// The greatest number of objects in a page of `RetrievePropertiesEx`. Without it there is no limit but the client's.
    #[must_use]
    pub fn page_size(mut self, page_size: usize) -> Self {
        self.page_size = Some(page_size);
        self
    }

    /// Where to listen; a free port of 127.0.0.1 if nothing is said.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Lets [`listen`](Self::listen) take an address that other machines reach.
    #[must_use]
    pub fn allow_any_address(mut self, allow: bool) -> Self {
        self.allow_any_address = allow;
        self
    }

    /// Asks `plan` about every request before it is served.
    #[must_use]
    pub fn plan(mut self, plan: impl Fn(&Arrival) -> Reaction + Send + Sync + 'static) -> Self {
        self.plan = Some(Arc::new(plan));
        self
    }

    /// How long tasks run; nothing at all if nothing is said: they have ended before their method returns.
    #[must_use]
    pub fn task_duration(mut self, duration: Duration) -> Self {
        self.task_duration = duration;
        self
    }

    /// Keeps the bodies of requests in the journal, that of `Login` with its password included.
    #[must_use]
    pub fn record_bodies(mut self, record: bool) -> Self {
        self.record_bodies = record;
        self
    }

    /// Starts serving, on the current Tokio runtime.
    ///
    /// # Errors
    /// [`Error`]: nothing is running then.
    pub async fn start(self) -> Result<Running, Error> {
        let api_version = model::api_version(&self.api_version)
            .ok_or_else(|| Error::UnknownApiVersion(self.api_version.clone()))?;
        if !self.allow_any_address && !self.listen.ip().is_loopback() {
            return Err(Error::NotLoopback(self.listen));
        }
        let mut seed = [0; 8];
        SystemRandom::new().fill(&mut seed).map_err(|_| Error::Random)?;
        let identity =
            if self.tls { Some(tls::Identity::new().map_err(Error::Certificate)?) } else { None };
        let listen = |source| Error::Listen { address: self.listen, source };
        let listener = TcpListener::bind(self.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let mut model = Model::new(Config {
            preset: self.preset,
            api_version,
            vms: self.vms,
            volumes: self.volumes,
            username: self.username.clone(),
            password: self.password.clone(),
            page_size: self.page_size,
            task_duration: self.task_duration,
            seed: u64::from_be_bytes(seed),
        });
        let thumbprint = identity.as_ref().map(|identity| identity.short_thumbprint.clone());
        let thumbprint = thumbprint.unwrap_or_default();
        let door = match (self.preset, self.tls) {
            // A host does not know what its client calls it.
            (Preset::Esx, _) => "https://*".to_owned(),
            (Preset::VCenter, true) => format!("https://{address}"),
            (Preset::VCenter, false) => format!("http://{address}"),
        };
        model.set_lease_door(door, thumbprint);
        let mut second = None;
        if self.lease_door {
            let identity = tls::Identity::new().map_err(Error::Certificate)?;
            let own = SocketAddr::new(self.listen.ip(), 0);
            let listen = |source| Error::Listen { address: own, source };
            let listener = TcpListener::bind(own).await.map_err(listen)?;
            let address = listener.local_addr().map_err(listen)?;
            model.set_lease_door(format!("https://{address}"), identity.short_thumbprint);
            second = Some((listener, identity.acceptor));
        }
        let shared = Arc::new(Shared::new(model, self.tls, self.plan, self.record_bodies));
        let (stop, stopped) = watch::channel(false);
        let told = match self.wrong_certificate {
            true => Some(tls::Identity::new().map_err(Error::Certificate)?.thumbprint),
            false => None,
        };
        let (acceptor, thumbprint) = match identity {
            Some(identity) => (Some(identity.acceptor), told.or(Some(identity.thumbprint))),
            None => (None, None),
        };
        let mut tasks = Vec::new();
        if let Some((listener, acceptor)) = second {
            let (shared, stopped) = (Arc::clone(&shared), stopped.clone());
            tasks.push(tokio::spawn(server::serve(listener, Some(acceptor), shared, stopped)));
        }
        if self.dial_consoles {
            tasks.push(tokio::spawn(server::serial::run(Arc::clone(&shared), stopped.clone())));
        }
        tasks.push(tokio::spawn(server::serve(listener, acceptor, Arc::clone(&shared), stopped)));
        Ok(Running {
            preset: self.preset,
            address,
            username: self.username,
            password: self.password,
            thumbprint,
            shared,
            stop,
            tasks,
        })
    }
}

/// A simulator that serves. Dropping it ends the service.
pub struct Running {
    preset: Preset,
    address: SocketAddr,
    username: String,
    password: String,
    thumbprint: Option<String>,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Running {
    /// The connection URI with user and port, and with `transport=http` or the certificate's `thumbprint`. For a vCenter it
    /// names the host that the built-in machines run on.
    pub fn uri(&self) -> String {
        let user = utf8_percent_encode(&self.username, &URI_PART);
        let address = self.address;
        let query = match &self.thumbprint {
            Some(thumbprint) => format!("thumbprint={thumbprint}"),
            None => "transport=http".to_owned(),
        };
        match self.preset {
            Preset::Esx => format!("esx://{user}@{address}/?{query}"),
            Preset::VCenter => {
                let path = self.shared.model().default_host_path();
                let path = path
                    .split('/')
                    .map(|item| utf8_percent_encode(item, &URI_PART).to_string())
                    .collect::<Vec<_>>()
                    .join("/");
                format!("vpx://{user}@{address}/{path}?{query}")
            }
        }
    }

    /// The URL of the SOAP endpoint.
    pub fn url(&self) -> String {
        let scheme = if self.thumbprint.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/sdk", self.address)
    }

    /// The address that it listens on, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The user that can log in.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The user's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The SHA-256 digest of the certificate, `AA:BB:...`; none for HTTP.
    pub fn thumbprint(&self) -> Option<&str> {
        self.thumbprint.as_deref()
    }

    /// The requests so far, in the order of the answers; the newest 100 000 if there were more.
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.shared.journal().entries.iter().cloned().collect()
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.shared.journal().count
    }

    /// Forgets all requests so far.
    pub fn reset_journal(&self) {
        *self.shared.journal() = Default::default();
    }

    /// Asks another plan from now on, see [`Builder::plan`].
    pub fn set_plan(&self, plan: impl Fn(&Arrival) -> Reaction + Send + Sync + 'static) {
        self.shared.set_plan(Some(Arc::new(plan)));
    }

    /// Serves everything from now on.
    pub fn clear_plan(&self) {
        self.shared.set_plan(None);
    }

    /// What went over `/folder` so far.
    pub fn transfers(&self) -> TransferStats {
        self.shared.transfers.read()
    }

    /// Counts what goes over `/folder` from now on.
    pub fn reset_transfers(&self) {
        self.shared.transfers.reset();
    }

    /// The model, to look at or to change.
    pub fn model(&self) -> ModelHandle<'_> {
        ModelHandle { shared: &self.shared }
    }

    /// Waits until the model is as wanted: `reached` looks at it after every change.
    pub async fn until(&self, mut reached: impl FnMut(&Model) -> bool) {
        let mut changes = self.shared.generation.subscribe();
        while !self.shared.with_model(|model| reached(model)) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Puts the server's clock forward: sessions expire, waits end.
    pub fn advance_clock(&self, by: Duration) {
        self.shared.advance_clock(by);
    }

    /// Ends the service and all connections, and waits until that is done.
    pub async fn stop(self) {
        // The receivers live in the tasks: an error means that they have ended already.
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

/// Access to the model of a running simulator.
#[derive(Debug)]
pub struct ModelHandle<'a> {
    shared: &'a Shared,
}

impl ModelHandle<'_> {
    /// Looks at the model.
    pub fn read<T>(&self, look: impl FnOnce(&Model) -> T) -> T {
        self.shared.with_model(|model| look(model))
    }

    /// Changes the model; clients that wait for updates are told.
    pub fn change<T>(&self, change: impl FnOnce(&mut Model) -> T) -> T {
        self.shared.with_model(change)
    }
}
