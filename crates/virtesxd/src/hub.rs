//! Connections to hosts, shared by the clients that may share them.
//!
//! A host has few sessions to give away and a login takes time. Clients of one user with one name and password share
//! a connection, and it stays open for a while after the last one has gone.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use esx_concentrator::Address;
use esx_driver::{ConsoleOpener, Environment, LiveViewOptions, OpenOptions};
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use virt_api::{
    AuthCallback, CredentialRequest, CredentialType, Driver, Error, ErrorCode, ErrorDomain, Result,
    Secret,
};
use virt_rpc::session::Credentials;

use crate::config::Config;
use crate::console::{Consoles, GRACE, NoConsoles};
use crate::target;

/// How long a host may take over a logout.
const LOGOUT: Duration = Duration::from_secs(5);

/// Who a client is and what it wants.
#[derive(Debug)]
pub struct Request {
    /// The name that it opens.
    pub name: String,
    /// It will not change anything.
    pub read_only: bool,
    /// What SASL brought.
    pub credentials: Option<Credentials>,
    /// Its user, if the socket tells.
    pub uid: Option<u32>,
}

/// What makes two requests ask for the same connection.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    uri: String,
    target: Option<String>,
    read_only: bool,
    uid: Option<u32>,
    /// Of name and password, with a key that only this process has; the password itself is not kept here.
    credentials: Option<Vec<u8>>,
}

/// A connection, once it is open.
type Cell = Arc<OnceCell<Arc<dyn Driver>>>;
/// A connection on its way.
type Opening = Pin<Box<dyn Future<Output = Result<Arc<dyn Driver>>> + Send>>;
/// How connections are opened.
pub type Opener = Box<dyn Fn(String, OpenOptions) -> Opening + Send + Sync>;

/// Opens hosts by `esx-driver`.
#[must_use]
pub fn esx() -> Opener {
    Box::new(|uri, options| {
        Box::pin(async move {
            let connection = esx_driver::open(&uri, options).await?;
            Ok(Arc::new(connection) as Arc<dyn Driver>)
        })
    })
}

struct Entry {
    key: Key,
    cell: Cell,
    users: usize,
    /// Counts how often it has become unused.
    generation: u64,
}

/// All connections of the daemon.
pub struct Hub {
    config: RwLock<Arc<Config>>,
    /// The user whom the daemon runs as.
    own_uid: Option<u32>,
    opener: Opener,
    mac: Option<hmac::Key>,
    entries: Mutex<Vec<Entry>>,
    /// Where connections that nobody uses any more are closed.
    runtime: Option<Handle>,
}

/// A client's share of a connection. Dropping it gives it back.
pub struct Lease {
    _share: Share,
    connection: Arc<dyn Driver>,
    read_only: bool,
}

/// A use of an entry, from the moment on that the hub counts it: also while it is opened, and if the opening is given up.
struct Share {
    hub: Arc<Hub>,
    key: Key,
    cell: Cell,
}

impl Lease {
    /// The connection.
    #[must_use]
    pub fn driver(&self) -> &dyn Driver {
        &*self.connection
    }

    /// Whether the target is for reading only.
    #[must_use]
    pub const fn read_only(&self) -> bool {
        self.read_only
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.hub.give_back(&self.key, &self.cell);
    }
}

impl Hub {
    /// No connections yet.
    #[must_use]
    pub fn new(config: Config, own_uid: Option<u32>, opener: Opener) -> Arc<Self> {
        let mac = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok();
        let config = RwLock::new(Arc::new(config));
        let runtime = Handle::try_current().ok();
        Arc::new(Self { config, own_uid, opener, mac, entries: Mutex::default(), runtime })
    }

    /// The configuration of this moment.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another configuration for what is opened from now on. Connections that are open stay open.
    pub fn reload(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// A connection for a client: one that is open already, if it may have it.
    ///
    /// # Errors
    /// `VIR_ERR_INVALID_ARG` for a name that means nothing, `VIR_ERR_AUTH_FAILED` without credentials that the host
    /// takes, and what keeps the host from being reached.
    pub async fn open(self: &Arc<Self>, request: Request) -> Result<Lease> {
        let trusted = request.uid.is_some() && request.uid == self.own_uid;
        let config = self.config();
        let destination = target::resolve(&config, &request.name, trusted)?;
        let target = destination.target.as_ref().and_then(|name| config.target.get(name));
        let read_only = request.read_only || target.is_some_and(|target| target.read_only);
        let live_view = config.live_view.then(LiveViewOptions::default);
        let mut options = OpenOptions { read_only, live_view, ..OpenOptions::default() };
        options.spool_bytes = Some(config.limits.spool_mib.saturating_mul(1 << 20));
        options.consoles = Some(consoles(&config, trusted || request.uid == Some(0))?);
        let mut uri = destination.uri.clone();
        let nobody = Arc::<Nobody>::default();
        if let Some(credentials) = &request.credentials {
            // What a person has just typed is meant; what a file or the URI says is not.
            options.environment =
                Some(Environment { etc_dir: "/dev/null".into(), ..Environment::default() });
            if !credentials.username.is_empty() {
                uri = without_user(&uri);
            }
            options.auth = Some(Arc::new(Answers(credentials.clone())));
        } else {
            let allowed = match target.and_then(|target| target.users.as_ref()) {
                Some(users) => request.uid.is_some_and(|uid| users.contains(&uid)),
                None => trusted || request.uid == Some(0),
            };
            let allowed = allowed
                || request.uid.is_none() && target.is_some_and(|target| target.from_network);
            if !allowed {
                return Err(no_credentials("the stored credentials are not for this user"));
            }
            let mut environment = Environment::from_process();
            if let Some(file) = target.and_then(|target| target.auth_file.as_ref()) {
                environment.libvirt_auth_file = Some(file.clone().into_os_string());
            }
            options.environment = Some(environment);
            options.auth = Some(Arc::clone(&nobody) as Arc<dyn AuthCallback>);
        }
        let key = Key {
            uri,
            target: destination.target,
            read_only,
            uid: request.uid,
            credentials: request.credentials.as_ref().map(|credentials| self.digest(credentials)),
        };
        let share = self.take(key);
        let open = || (self.opener)(share.key.uri.clone(), options);
        let opened = share.cell.get_or_try_init(open).await.cloned();
        match opened {
            Ok(connection) => Ok(Lease { _share: share, connection, read_only }),
            Err(error) => {
                if nobody.was_asked.load(Ordering::Relaxed) {
                    return Err(no_credentials("there are no stored credentials for this host"));
                }
                if request.credentials.is_none() && error.code == ErrorCode::AuthFailed {
                    return Err(
                        no_credentials("the stored credentials do not work").with_source(error)
                    );
                }
                Err(error)
            }
        }
    }

    /// Logs out everywhere, at all hosts at once.
    pub async fn close(&self) {
        let entries = std::mem::take(&mut *self.lock());
        let mut logouts = JoinSet::new();
        for entry in entries {
            logouts.spawn(async move { log_out(&entry.cell).await });
        }
        while logouts.join_next().await.is_some() {}
    }

    fn digest(&self, credentials: &Credentials) -> Vec<u8> {
        let text = format!("{}\0{}", credentials.username, credentials.password.expose());
        match &self.mac {
            Some(key) => hmac::sign(key, text.as_bytes()).as_ref().to_vec(),
            // Without random numbers nothing is shared, as no digest is equal to one with another time.
            None => format!("{:?}", std::time::Instant::now()).into_bytes(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, key: Key) -> Share {
        let mut entries = self.lock();
        let known = entries.iter_mut().find(|entry| entry.key == key);
        let cell = if let Some(entry) = known {
            entry.users += 1;
            Arc::clone(&entry.cell)
        } else {
            let cell = Cell::default();
            let (key, entry) = (key.clone(), Arc::clone(&cell));
            entries.push(Entry { key, cell: entry, users: 1, generation: 0 });
            cell
        };
        Share { hub: Arc::clone(self), key, cell }
    }

    /// One user less. An opening that failed or was given up is forgotten: the next client starts anew. A connection that is
    /// open stays for a while.
    fn give_back(self: &Arc<Self>, key: &Key, cell: &Cell) {
        let mut entries = self.lock();
        let known = entries.iter().position(|e| e.key == *key && Arc::ptr_eq(&e.cell, cell));
        let Some(at) = known else { return };
        let entry = &mut entries[at];
        entry.users = entry.users.saturating_sub(1);
        if entry.users > 0 {
            return;
        }
        if !entry.cell.initialized() {
            entries.swap_remove(at);
            return;
        }
        entry.generation += 1;
        let generation = entry.generation;
        drop(entries);
        let Some(runtime) = &self.runtime else { return };
        let (hub, key) = (Arc::clone(self), key.clone());
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_secs(hub.config().linger_seconds)).await;
            let unused = {
                let mut entries = hub.lock();
                let at = entries
                    .iter()
                    .position(|e| e.key == key && e.users == 0 && e.generation == generation);
                at.map(|at| entries.swap_remove(at))
            };
            if let Some(entry) = unused {
                log_out(&entry.cell).await;
            }
        });
    }
}

/// Where a client's consoles come from. A console may give more than a login at the host does, so it is the configuration that
/// opens them to others than the daemon's own user.
fn consoles(config: &Config, trusted: bool) -> Result<Arc<dyn ConsoleOpener>> {
    let (address, token_file) = match &config.console {
        Some(console) => {
            let address = console.address().map_err(|error| {
                let message = "the concentrator of the configuration";
                Error::invalid_arg(ErrorDomain::Rpc, message).with_source(error)
            })?;
            (address, console.token_file.clone())
        }
        None if trusted => (Address::of_user(std::env::var_os("XDG_RUNTIME_DIR").as_deref()), None),
        None => return Ok(Arc::new(NoConsoles)),
    };
    Ok(Arc::new(Consoles { address, token_file, grace: GRACE }))
}

async fn log_out(cell: &OnceCell<Arc<dyn Driver>>) {
    let Some(connection) = cell.get() else { return };
    match tokio::time::timeout(LOGOUT, connection.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "cannot log out"),
        Err(_) => tracing::warn!("the host did not answer the logout in time"),
    }
}

fn no_credentials(problem: &str) -> Error {
    let message = format!("{problem}; use auth=sasl in the URI to give a name and a password");
    Error::new(ErrorCode::AuthFailed, ErrorDomain::Auth, message)
}

/// The URI without its user part.
fn without_user(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{after}")
}

/// Where a person would be asked: without SASL there is none.
#[derive(Default)]
struct Nobody {
    was_asked: AtomicBool,
}

#[async_trait]
impl AuthCallback for Nobody {
    fn credential_types(&self) -> &[CredentialType] {
        &[CredentialType::AuthName, CredentialType::NoEchoPrompt]
    }

    async fn answer(&self, _requests: &[CredentialRequest]) -> Result<Vec<Secret>> {
        self.was_asked.store(true, Ordering::Relaxed);
        Err(no_credentials("there is nobody to ask"))
    }
}

/// Answers the driver with what SASL brought.
struct Answers(Credentials);

#[async_trait]
impl AuthCallback for Answers {
    fn credential_types(&self) -> &[CredentialType] {
        &[CredentialType::AuthName, CredentialType::NoEchoPrompt]
    }

    async fn answer(&self, requests: &[CredentialRequest]) -> Result<Vec<Secret>> {
        let answers = requests.iter().map(|request| match request.kind {
            CredentialType::AuthName if self.0.username.is_empty() => {
                Secret::new(request.default_result.clone().unwrap_or_default())
            }
            CredentialType::AuthName => Secret::new(self.0.username.clone()),
            _ => self.0.password.clone(),
        });
        Ok(answers.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::{Barrier, Notify};
    use virt_api::{Hypervisor, Unsupported};

    use super::*;

    /// A host whose logouts are counted, and wait for one another.
    struct Fake {
        logouts: Arc<AtomicUsize>,
        together: Arc<Barrier>,
        out: Arc<Notify>,
    }

    #[async_trait]
    impl Driver for Fake {
        fn hypervisor(&self) -> &dyn Hypervisor {
            &Unsupported
        }

        async fn close(&self) -> Result<()> {
            self.together.wait().await;
            self.logouts.fetch_add(1, Ordering::Relaxed);
            self.out.notify_one();
            Ok(())
        }
    }

    struct Hosts {
        hub: Arc<Hub>,
        /// Lets one opening end.
        answer: Arc<Notify>,
        logouts: Arc<AtomicUsize>,
        out: Arc<Notify>,
    }

    /// Hosts that say nothing until they are to; `together` logouts end at once.
    fn hosts(together: usize) -> Hosts {
        let config = "linger_seconds = 0\n[target.a]\nuri = 'esx://a/'\nusers = [7]\n\
             [target.b]\nuri = 'esx://b/'\nusers = [7]\n";
        let (answer, out) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let logouts = Arc::<AtomicUsize>::default();
        let together = Arc::new(Barrier::new(together));
        let (asked, counted, told) = (Arc::clone(&answer), Arc::clone(&logouts), Arc::clone(&out));
        let opener: Opener = Box::new(move |_, _| {
            let answer = Arc::clone(&asked);
            let (logouts, together) = (Arc::clone(&counted), Arc::clone(&together));
            let host = Fake { logouts, together, out: Arc::clone(&told) };
            Box::pin(async move {
                answer.notified().await;
                Ok(Arc::new(host) as Arc<dyn Driver>)
            })
        });
        let hub = Hub::new(Config::parse(config).unwrap(), Some(7), opener);
        Hosts { hub, answer, logouts, out }
    }

    fn request(name: &str) -> Request {
        Request { name: name.to_owned(), read_only: false, credentials: None, uid: Some(7) }
    }

    fn users(hub: &Hub) -> Vec<usize> {
        hub.lock().iter().map(|entry| entry.users).collect()
    }

    /// Begins to open a connection, and does not wait for its end.
    macro_rules! begun {
        ($hub:expr, $name:expr) => {{
            let mut opening = Box::pin($hub.open(request($name)));
            std::future::poll_fn(|context| {
                assert!(opening.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            opening
        }};
    }

    #[tokio::test]
    async fn an_opening_that_is_given_up_gives_its_share_back() {
        let Hosts { hub, answer, logouts, out } = hosts(1);
        let alone = begun!(hub, "esx:///a");
        assert_eq!(users(&hub), [1]);
        drop(alone);
        assert!(users(&hub).is_empty());
        // One that waits for another's opening leaves that alone.
        let first = begun!(hub, "esx:///a");
        let second = begun!(hub, "esx:///a");
        let third = begun!(hub, "esx:///a");
        drop(second);
        assert_eq!(users(&hub), [2]);
        answer.notify_one();
        let lease = first.await.unwrap();
        drop(lease);
        // The connection is open now, and whom it was for has not noticed yet: it lingers and is logged out.
        drop(third);
        assert_eq!(users(&hub), [0]);
        out.notified().await;
        assert!(users(&hub).is_empty());
        assert_eq!(logouts.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn logouts_do_not_wait_for_one_another() {
        let Hosts { hub, answer, logouts, .. } = hosts(2);
        let mut leases = Vec::new();
        for name in ["esx:///a", "esx:///b"] {
            answer.notify_one();
            leases.push(hub.open(request(name)).await.unwrap());
        }
        hub.close().await;
        assert_eq!(logouts.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn consoles_are_for_whom_the_configuration_says() {
        let port = esx_driver::ConsolePort {
            domain: "a".to_owned(),
            number: 0,
            machines: Vec::new(),
            service: String::new(),
            proxy: String::new(),
        };
        let nowhere = "[console]\nconcentrator = 'unix:/nowhere/vspc.sock'\n";
        let secret = format!("{nowhere}token_file = '/nowhere/token'\n");
        for (config, trusted, code, part) in [
            ("", false, ErrorCode::AccessDenied, "[console]"),
            (nowhere, false, ErrorCode::SystemError, "cannot open the console of domain 'a'"),
            (nowhere, true, ErrorCode::SystemError, "cannot open the console of domain 'a'"),
            (&secret, true, ErrorCode::SystemError, "cannot read '/nowhere/token'"),
        ] {
            let opener = consoles(&Config::parse(config).unwrap(), trusted).unwrap();
            let Err(error) = opener.open(&port, false).await else { panic!("{config}") };
            assert_eq!(error.code, code, "{config}");
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[test]
    fn the_user_is_taken_out() {
        for (uri, expected) in [
            ("esx://root@h/", "esx://h/"),
            ("esx://a%40b@h:1/?x=@", "esx://h:1/?x=@"),
            ("vpx://h/a@b", "vpx://h/a@b"),
        ] {
            assert_eq!(without_user(uri), expected);
        }
    }
}
