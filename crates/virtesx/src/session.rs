//! The connection of a run: opened when the first request needs it, used by all of them, closed at the end.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell};
use tokio::task::JoinHandle;
use virt_api::{
    Driver, Error, ErrorCode, ErrorDomain, Hypervisor, Interface, Network, Questions, Storage,
};

use crate::auth::Prompt;
use crate::backend::{self, Opened, SessionStore, Simulator};
use crate::cli::{Options, Target};
use crate::failure::{Context, usage};
use crate::progress::Progress;
use crate::session_cache::SessionCache;

/// The URI of the built-in simulated host.
const SIMULATED: &str = "sim:///";

/// How long closing may take: the host may be gone.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// One run of the program.
pub(crate) struct Session {
    /// What holds for the whole run.
    pub(crate) options: Options,
    connection: OnceCell<Connection>,
    /// A connection that is just being opened. It goes on if the run is interrupted, so that it can be closed.
    opening: RefCell<Option<JoinHandle<Result<Opened, Error>>>>,
    failed: Cell<bool>,
    progress: Option<Arc<Progress>>,
    /// Whether the command that runs has something to put away if it is interrupted.
    holding: Cell<bool>,
    interrupted: Notify,
    /// Whether the connection that is being opened waits for a name or a password.
    asks: Arc<AtomicBool>,
}

struct Connection {
    driver: Arc<dyn Driver>,
    /// The URI to tell, if it is not the driver's.
    uri: Option<&'static str>,
    /// Keeps the built-in simulated host alive.
    _simulator: Option<Simulator>,
}

impl Session {
    /// A session that has not connected yet.
    pub(crate) fn new(options: Options) -> Self {
        let progress = if options.quiet { None } else { Progress::on_terminal() };
        Self {
            options,
            connection: OnceCell::new(),
            opening: RefCell::new(None),
            failed: Cell::new(false),
            progress,
            holding: Cell::new(false),
            interrupted: Notify::new(),
            asks: Arc::default(),
        }
    }

    /// A session on an open connection.
    #[cfg(test)]
    pub(crate) fn connected(options: Options, driver: Arc<dyn Driver>) -> Self {
        let connection = Connection { driver, uri: None, _simulator: None };
        let connection = OnceCell::new_with(Some(connection));
        Self { connection, progress: None, ..Self::new(options) }
    }

    /// Tells the command that the run is to end. Whether it wants to be waited for.
    pub(crate) fn interrupt(&self) -> bool {
        self.interrupted.notify_one();
        self.holding.get()
    }

    /// For a command with something to put away on the host: until what this gives is dropped, an interrupt does not end the
    /// run but [`interrupted`](Self::interrupted).
    pub(crate) fn hold(&self) -> impl Drop + '_ {
        struct Held<'a>(&'a Cell<bool>);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        self.holding.set(true);
        Held(&self.holding)
    }

    /// Comes when the run is to end.
    pub(crate) async fn interrupted(&self) {
        self.interrupted.notified().await;
    }

    /// The hypervisor driver of the connection, which is opened now if it is not open yet.
    ///
    /// # Errors
    /// What keeps it from being opened. The run ends then: asking again would only fail again.
    pub(crate) async fn hypervisor(&self) -> Result<&dyn Hypervisor, Error> {
        Ok(self.connection().await?.driver.hypervisor())
    }

    /// The driver of the connection.
    ///
    /// # Errors
    /// As [`hypervisor`](Self::hypervisor).
    pub(crate) async fn driver(&self) -> Result<&dyn Driver, Error> {
        Ok(&*self.connection().await?.driver)
    }

    /// The driver of the connection, for what outlives a command's own future.
    ///
    /// # Errors
    /// As [`hypervisor`](Self::hypervisor).
    pub(crate) async fn shared_driver(&self) -> Result<Arc<dyn Driver>, Error> {
        Ok(Arc::clone(&self.connection().await?.driver))
    }

    /// Opens another connection beside this session's.
    ///
    /// # Errors
    /// What keeps it from being opened.
    pub(crate) async fn open_other(&self, uri: &str) -> Result<Arc<dyn Driver>, Error> {
        let prompt = Arc::new(Prompt::default());
        let read_only = self.options.read_only;
        let opened = backend::open(uri, read_only, prompt, self.progress.clone(), None).await?;
        Ok(opened.driver)
    }

    /// Closes a connection, as [`close`](Self::close) does.
    pub(crate) async fn close_other(&self, driver: &dyn Driver) {
        match tokio::time::timeout(CLOSE_TIMEOUT, driver.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot log out"),
            Err(_) => tracing::warn!("the host did not answer the logout in time"),
        }
    }

    /// What looks at questions of domains, on the same connection.
    ///
    /// # Errors
    /// As [`hypervisor`](Self::hypervisor).
    pub(crate) async fn questions(&self) -> Result<&dyn Questions, Error> {
        Ok(self.connection().await?.driver.questions())
    }

    /// What looks at networks, on the same connection.
    ///
    /// # Errors
    /// As [`hypervisor`](Self::hypervisor).
    pub(crate) async fn network(&self) -> Result<&dyn Network, Error> {
        Ok(self.connection().await?.driver.network())
    }

    /// What looks at interfaces of the host, on the same connection.
    ///
    /// # Errors
    /// As [`hypervisor`](Self::hypervisor).
    pub(crate) async fn interface(&self) -> Result<&dyn Interface, Error> {
        Ok(self.connection().await?.driver.interface())
    }

    /// What shows how far something is, if somebody looks.
    pub(crate) fn progress(&self) -> Option<&Progress> {
        self.progress.as_deref()
    }

    /// Takes away what shows how far an operation is.
    pub(crate) fn clear_progress(&self) {
        if let Some(progress) = &self.progress {
            progress.clear();
        }
    }

    /// The storage driver of the connection, as [`hypervisor`](Self::hypervisor).
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn storage(&self) -> Result<&dyn Storage, Error> {
        Ok(self.connection().await?.driver.storage())
    }

    /// The URI of the connection.
    ///
    /// # Errors
    /// As [`hypervisor`](Self::hypervisor), and what the driver says.
    pub(crate) async fn connection_uri(&self) -> Result<String, Error> {
        let connection = self.connection().await?;
        match connection.uri {
            Some(uri) => Ok(uri.to_owned()),
            None => connection.driver.hypervisor().connect_get_uri().await,
        }
    }

    /// Whether the connection could not be opened.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.get()
    }

    /// Closes the connection, if there is one, within a few seconds. A host that does not answer is no error: the
    /// results are there already.
    pub(crate) async fn close(&self) {
        let closing = async {
            let opening = self.opening.borrow_mut().take();
            match (self.connection.get(), opening) {
                (Some(connection), _) => connection.driver.close().await,
                // Interrupted at a question: nobody has logged in, and nobody will answer.
                (None, Some(opening)) if self.asks.load(Ordering::Relaxed) => {
                    opening.abort();
                    let _ = opening.await;
                    Ok(())
                }
                // Interrupted between the login and its answer: the session is there, or will be.
                (None, Some(opening)) => match opening.await {
                    Ok(Ok(opened)) => opened.driver.close().await,
                    _ => Ok(()),
                },
                (None, None) => Ok(()),
            }
        };
        match tokio::time::timeout(CLOSE_TIMEOUT, closing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot log out"),
            Err(_) => tracing::warn!("the host did not answer the logout in time"),
        }
    }

    async fn connection(&self) -> Result<&Connection, Error> {
        let result = self.connection.get_or_try_init(|| self.open()).await;
        if result.is_err() {
            self.failed.set(true);
        }
        result.context(|| "failed to connect to the hypervisor".to_owned())
    }

    async fn open(&self) -> Result<Connection, Error> {
        let uri = match &self.options.target {
            Target::Argument(uri) | Target::Environment(uri) => uri.as_str(),
            Target::Nothing => SIMULATED,
        };
        if uri.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("sim")) {
            return self.open_simulated(uri).await;
        }
        let sessions = self.saved_sessions()?;
        let (uri, read_only) = (uri.to_owned(), self.options.read_only);
        let progress = self.progress.clone();
        let prompt = Arc::new(Prompt::new(Arc::clone(&self.asks)));
        let opening =
            async move { backend::open(&uri, read_only, prompt, progress, sessions).await };
        *self.opening.borrow_mut() = Some(tokio::spawn(opening));
        let opened = std::future::poll_fn(|context| match &mut *self.opening.borrow_mut() {
            Some(opening) => std::pin::Pin::new(opening).poll(context),
            // Only `close` takes it, after this future has been dropped.
            None => std::task::Poll::Pending,
        })
        .await;
        *self.opening.borrow_mut() = None;
        let Opened { driver, warnings } = opened.unwrap_or_else(|broken| {
            let error = Error::internal(ErrorDomain::None, "the connection could not be opened");
            Err(error.with_source(broken))
        })?;
        for warning in warnings {
            let _unheard = writeln!(std::io::stderr(), "warning: {warning}");
        }
        Ok(Connection { driver, uri: None, _simulator: None })
    }

    /// Where `--session-cache` keeps sessions.
    fn saved_sessions(&self) -> Result<Option<Arc<dyn SessionStore>>, Error> {
        if !self.options.session_cache {
            return Ok(None);
        }
        let cache = SessionCache::of_user(|name| std::env::var(name).ok());
        let cache = cache.ok_or_else(|| {
            usage("--session-cache needs XDG_CACHE_HOME or HOME: there is no place to keep sessions in")
        })?;
        Ok(Some(Arc::new(cache)))
    }

    async fn open_simulated(&self, uri: &str) -> Result<Connection, Error> {
        if !matches!(uri.get(4..), Some("" | "/" | "//" | "///")) {
            return Err(Error::new(
                ErrorCode::InvalidArg,
                ErrorDomain::Uri,
                format!(
                    "'{uri}' is not {SIMULATED}: the built-in simulated host has no name and no parameters"
                ),
            ));
        }
        if self.options.target == Target::Nothing {
            self.note(
                "no URI given (-c, VIRTESX_DEFAULT_URI): using the built-in simulated host sim:///",
            );
        } else {
            self.note("using the built-in simulated host sim:///");
        }
        let simulator = Simulator::start().await?;
        let driver = simulator.open(self.options.read_only, self.progress.clone()).await?;
        Ok(Connection { driver, uri: Some(SIMULATED), _simulator: Some(simulator) })
    }

    /// A line on stderr that is neither a result nor an error. A closed stderr is nobody's concern.
    fn note(&self, text: &str) {
        if !self.options.quiet {
            let _unheard = writeln!(std::io::stderr(), "note: {text}");
        }
    }
}
