//! Opening, holding and closing a connection (spec `connection.md` 3).

use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use esx_vi_api::MoRef;
use esx_vi_api::methods::{CurrentTime, FindByIp, FindByUuid};
use esx_vi_client::{Client, Endpoint, LogoutOnDrop, Retrieval, Scheme, SessionCookie};
use esx_vmx_domain::ProductLine;
use tokio::sync::OnceCell;
use uuid::Uuid;
use virt_api::{
    AuthCallback, Domain, Driver, Error, ErrorCode, ErrorDomain, Hypervisor, Interface, Network,
    ProgressCallback, ProgressStream, QuestionCallback, Questions, Result, Secret, Storage,
};

use crate::auth::{self, AuthError, CredentialSource, Environment};
use crate::domain::{ConsoleOpener, Machine, NameIndex};
use crate::error::{decode_error, vi_error};
use crate::host::{self, HostFacts};
use crate::inventory::{self, Binding, Inventory, read_way, steps_to_hosts};
use crate::product::Product;
use crate::recent::Recent;
use crate::uri::{ConnectionUri, UriScheme};
use crate::view::{LiveView, LiveViewOptions};
use crate::watchers::Watchers;

/// How a connection is opened.
#[derive(Clone, Default)]
pub struct OpenOptions {
    /// Refuse every function that changes something (`VIR_CONNECT_RO`).
    pub read_only: bool,
    /// Who answers questions for user name and password that URI and auth file leave open.
    pub auth: Option<Arc<dyn AuthCallback>>,
    /// Where auth files and known hosts are looked for; `None` means the environment of the process.
    pub environment: Option<Environment>,
    /// Who may choose answers to questions of machines, before the URI's `auto_answer` decides.
    pub questions: Option<Arc<dyn QuestionCallback>>,
    /// Who is told how far operations are.
    pub progress: Option<Arc<dyn ProgressCallback>>,
    /// When waiting for an operation is given up (`VIR_ERR_OPERATION_TIMEOUT`) and, if that is possible, the operation cancelled.
    /// Without one, and without `task_timeout=` in the URI, it may take for ever: copying a disk does.
    pub operation_timeout: Option<Duration>,
    /// Where a session is kept between connections. With it, `close` does not log out.
    pub sessions: Option<Arc<dyn SessionStore>>,
    /// Who opens consoles of domains: a serial port concentrator's client. Without one `virDomainOpenConsole` is not supported.
    pub consoles: Option<Arc<dyn ConsoleOpener>>,
    /// The longest upload of an unknown length, in bytes: it waits in a file of `TMPDIR` until it is complete. Without one,
    /// as much as there is room for.
    pub spool_bytes: Option<u64>,
    /// Keeps what reads ask for current in memory, by one update filter, and answers them from there: see
    /// [`Connection::live_view`] and `docs/live-view.md`. Without it every read asks the host.
    pub live_view: Option<LiveViewOptions>,
}

/// Keeps sessions for later connections. What it keeps gives access without a password: guard it as one.
pub trait SessionStore: Send + Sync {
    /// The session that was saved last, if any.
    fn load(&self, key: &SessionKey) -> Option<Secret>;
    /// Saves a session in place of an earlier one.
    fn save(&self, key: &SessionKey, session: &Secret);
    /// Forgets a session: the host does not know it any more.
    fn remove(&self, key: &SessionKey);
}

/// Whose session it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// `https://host:port`.
    pub endpoint: String,
    /// The user's name.
    pub user: String,
}

/// A session that is kept, and what was saved of it when it was opened.
struct Kept {
    store: Arc<dyn SessionStore>,
    key: SessionKey,
    loaded: Option<Secret>,
}

/// How many handles' machines are known besides those that were used before them. One that is not known costs a look-up.
const MAX_REMEMBERED: usize = 8_192;

/// An open connection to an ESX host, a GSX server or one host of a vCenter.
///
/// [`Driver::close`] ends it. Dropping it without that leaves the session to the host, which ends it
/// after some idle time (30 minutes unless configured otherwise).
#[derive(Clone)]
pub struct Connection {
    pub(crate) session: Arc<Session>,
}

pub(crate) struct Session {
    pub(crate) uri: ConnectionUri,
    pub(crate) client: Client,
    pub(crate) product: Product,
    pub(crate) read_only: bool,
    pub(crate) watchers: Watchers,
    pub(crate) consoles: Option<Arc<dyn ConsoleOpener>>,
    pub(crate) spool_bytes: Option<u64>,
    /// The index of names, once it has paid to make one.
    pub(crate) names: Mutex<Option<Arc<NameIndex>>>,
    /// Where datastores are.
    pub(crate) storage: crate::storage::Known,
    /// What is kept current of the host, if that is wanted.
    pub(crate) view: Option<LiveView>,
    looked_up: AtomicBool,
    no_auto_start_manager: AtomicBool,
    machines: Mutex<Recent<(Uuid, String), MoRef, MAX_REMEMBERED>>,
    /// The reverse, vCenter's references included.
    domains: Mutex<Recent<MoRef, Domain, MAX_REMEMBERED>>,
    facts: OnceCell<(Binding, HostFacts)>,
    binding: OnceCell<Binding>,
    vcenter: Option<VCenter>,
    kept: Option<Kept>,
    closed: AtomicBool,
}

/// The vCenter that manages the host of an `esx://` connection, from `vcenter=`.
struct VCenter {
    client: Client,
}

/// Opens a connection: two requests (`RetrieveServiceContent` and `Login`), on `vpx://` one more that
/// resolves the path; `vcenter=` adds its own.
///
/// libvirt: `virConnectOpenAuth`.
///
/// # Errors
/// `VIR_ERR_INVALID_ARG` for a bad URI; `VIR_ERR_AUTH_FAILED` for wrong credentials; the fitting code
/// for anything that keeps the host from being reached. A session that was opened is closed again.
pub async fn open(uri: &str, options: OpenOptions) -> Result<Connection> {
    let uri = ConnectionUri::parse(uri).map_err(|e| {
        Error::invalid_arg(ErrorDomain::Esx, format!("cannot use the connection URI: {e}"))
    })?;
    for warning in uri.warnings() {
        tracing::warn!("{warning}");
    }
    let environment = options.environment.unwrap_or_else(Environment::from_process);
    let source = CredentialSource::load(&environment, uri.auth_file()).map_err(auth_error)?;
    let login = Login { source, auth: options.auth.as_deref() };
    let known_hosts = environment.known_hosts();
    let tls = |host: &str, port: u16| {
        uri.load_tls_policy(host, port, known_hosts.as_deref())
            .map_err(|e| Error::internal(ErrorDomain::Esx, "cannot prepare TLS").with_source(e))
    };
    let wanted = match uri.scheme() {
        UriScheme::Esx => ProductLine::Esx,
        UriScheme::Gsx => ProductLine::Gsx,
        UriScheme::Vpx => ProductLine::VCenter,
    };
    let (client, product, kept) = login
        .open(
            uri.endpoint(tls(uri.host(), uri.port())?),
            auth::Login {
                host: uri.host(),
                user: uri.user(),
                default_user: uri.scheme().default_user(),
            },
            wanted,
            options.sessions,
        )
        .await?;
    let task_timeout = options.operation_timeout.or(uri.task_timeout());
    if let Some(longest) = task_timeout {
        client.limit_tasks(longest);
    }
    let mut session = Session {
        client,
        product,
        read_only: options.read_only,
        watchers: Watchers::new(options.questions, options.progress, task_timeout),
        consoles: options.consoles,
        spool_bytes: options.spool_bytes,
        names: Mutex::default(),
        storage: crate::storage::Known::default(),
        view: None,
        looked_up: AtomicBool::new(false),
        no_auto_start_manager: AtomicBool::new(false),
        machines: Mutex::default(),
        domains: Mutex::default(),
        facts: OnceCell::new(),
        binding: OnceCell::new(),
        vcenter: None,
        kept,
        closed: AtomicBool::new(false),
        uri: uri.clone(),
    };
    // Whoever stops waiting for the rest leaves no session behind, but for one that was saved before.
    let saved = session.kept.as_ref().is_some_and(|kept| kept.loaded.is_some());
    let unclaimed = (!saved).then(|| LogoutOnDrop::new(session.client.clone()));
    let rest = async {
        if session.is_vcenter() {
            let binding = inventory::resolve_path(&session.client, uri.path_items()).await?;
            // The cell was made above and nobody else has it yet.
            let _ = session.binding.set(binding);
            return Ok(None);
        }
        match uri.vcenter() {
            Some(vcenter) => open_vcenter(&session, &login, vcenter, &tls).await.map(Some),
            None => Ok(None),
        }
    };
    let result = rest.await;
    if let Some(unclaimed) = unclaimed {
        unclaimed.keep();
    }
    match result {
        Ok(vcenter) => {
            session.vcenter = vcenter;
            let other = session.vcenter.as_ref().map(|vcenter| &vcenter.client);
            session.view =
                options.live_view.map(|options| LiveView::new(options, &session.client, other));
            let session = Arc::new(session);
            if let Some(pause) = uri.keepalive() {
                keep_alive(&session, pause);
            }
            Ok(Connection { session })
        }
        Err(error) => {
            // libvirt leaves the session open here until the host ends it.
            session.end().await;
            Err(error)
        }
    }
}

/// What a login needs beside the endpoint.
struct Login<'a> {
    source: CredentialSource,
    auth: Option<&'a dyn AuthCallback>,
}

impl Login<'_> {
    /// Connects, checks what answers, and logs in.
    async fn open(
        &self,
        endpoint: Endpoint,
        asked: auth::Login<'_>,
        wanted: ProductLine,
        sessions: Option<Arc<dyn SessionStore>>,
    ) -> Result<(Client, Product, Option<Kept>)> {
        let (shown, url) = (endpoint.to_string(), endpoint.base_url());
        let mut kept = None;
        if let Some(store) = sessions {
            let (user, password) =
                self.source.user_name(asked, self.auth).await.map_err(auth_error)?;
            let key = SessionKey { endpoint: url, user };
            if let Some(loaded) = store.load(&key) {
                let client = connect(endpoint.clone(), &shown).await?;
                let product = Product::check(&client.content().about, wanted, &shown)?;
                let cookie = SessionCookie::from_saved(loaded.expose());
                let login = password.as_ref().map(|p| (key.user.as_str(), p.expose()));
                let resumed = match &cookie {
                    Some(cookie) => client.resume(cookie, login).await.map_err(|e| {
                        vi_error(&format!("cannot take up the saved session on {shown}"), e)
                    })?,
                    None => false,
                };
                if resumed {
                    return Ok((client, product, Some(Kept { store, key, loaded: Some(loaded) })));
                }
                tracing::info!(endpoint = shown, "the saved session has ended");
                store.remove(&key);
            }
            kept = Some(Kept { store, key, loaded: None });
        }
        let asked = match &kept {
            // Nobody is asked for the name twice.
            Some(kept) => auth::Login { user: Some(&kept.key.user), ..asked },
            None => asked,
        };
        let credentials = self.source.credentials(asked, self.auth).await.map_err(auth_error)?;
        let client = connect(endpoint, &shown).await?;
        let product = Product::check(&client.content().about, wanted, &shown)?;
        client.login(&credentials.username, credentials.password.expose()).await.map_err(|e| {
            vi_error(&format!("cannot log in to {shown} as {:?}", credentials.username), e)
        })?;
        Ok((client, product, kept))
    }
}

async fn connect(endpoint: Endpoint, shown: &str) -> Result<Client> {
    Client::connect(endpoint).await.map_err(|e| vi_error(&format!("cannot connect to {shown}"), e))
}

/// Touches the session every now and then, as long as somebody holds the connection and it is not closed.
fn keep_alive(session: &Arc<Session>, pause: Duration) {
    let session = Arc::downgrade(session);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(pause).await;
            let Some(session) = session.upgrade().filter(|session| !session.is_closed()) else {
                return;
            };
            if !session.is_alive().await {
                tracing::debug!("the host did not answer the keep-alive");
            }
        }
    });
}

/// Why there are no credentials: libvirt's numbers are the error's own.
fn auth_error(error: AuthError) -> Error {
    Error::new(error.code(), error.domain(), "cannot log in without user name and password")
        .with_source(error)
}

/// Opens the vCenter that manages the host, found or checked by the host's own word (3.3).
async fn open_vcenter(
    session: &Session,
    login: &Login<'_>,
    (name, port): (&str, u16),
    tls: impl Fn(&str, u16) -> Result<esx_vi_client::TlsPolicy>,
) -> Result<VCenter> {
    let failed = |what: String| Error::internal(ErrorDomain::Esx, what);
    let managed_by = session.facts().await?.management_server.clone();
    let host = match (name, managed_by.clone()) {
        ("*", None) => {
            return Err(failed(
                "vcenter=* does not work: the host is not managed by a vCenter".to_owned(),
            ));
        }
        ("*", Some(address)) => address,
        (name, None) => name.to_owned(),
        (name, Some(address)) => {
            if !is_address_of(&address, name, session).await? {
                return Err(failed(format!(
                    "the host is managed by the vCenter {address}, and {name:?} is another"
                )));
            }
            // The name, not the address: certificates bear names.
            name.to_owned()
        }
    };
    let endpoint = session.uri.endpoint_of(&host, port, tls(&host, port)?);
    // libvirt knows it by its address only.
    let named = login.source.named(&[&host, managed_by.as_deref().unwrap_or(&host)]);
    // The URI's user is the host's, unless the file has no user for this vCenter.
    let own = named.map(|named| login.source.stored_user(named)).transpose().map_err(auth_error)?;
    let asked = auth::Login {
        host: named.unwrap_or(&host),
        user: own.flatten().or(session.uri.user()),
        default_user: UriScheme::Vpx.default_user(),
    };
    let (client, ..) = login.open(endpoint, asked, ProductLine::VCenter, None).await?;
    let unclaimed = LogoutOnDrop::new(client.clone());
    let vcenter = VCenter { client };
    let found = vcenter.find_host(session).await;
    unclaimed.keep();
    match found {
        Ok(_) => Ok(vcenter),
        Err(error) => {
            farewell(vcenter.client.logout()).await;
            Err(error)
        }
    }
}

impl VCenter {
    /// The host of the connection as the vCenter knows it.
    async fn find_host(&self, session: &Session) -> Result<MoRef> {
        let content = self.client.content();
        let failed = |e| vi_error("cannot find the host in its vCenter", e);
        let index = self.client.service("searchIndex", &content.search_index).map_err(failed)?;
        match resolve(session.uri.host(), session.uri.connect_timeout()).await {
            Ok(addresses) => {
                for ip in addresses {
                    let call = FindByIp { datacenter: None, ip: ip.to_string(), vm_search: false };
                    if let Some(host) = self.client.call(index, &call).await.map_err(failed)? {
                        return Ok(host);
                    }
                }
            }
            // Perhaps only the proxy knows the name.
            Err(_) if session.uri.has_proxy() => {}
            Err(error) => return Err(error),
        }
        // Behind a translated address, or one of its other addresses: the vCenter knows it by its hardware, too.
        let uuid = session.facts().await?.uuid;
        if !uuid.is_nil() {
            let call = FindByUuid {
                datacenter: None,
                uuid: uuid.to_string(),
                vm_search: false,
                instance_uuid: None,
            };
            if let Some(host) = self.client.call(index, &call).await.map_err(failed)? {
                return Ok(host);
            }
        }
        Err(Error::internal(
            ErrorDomain::Esx,
            format!("the vCenter does not know the host {}", session.uri.host()),
        ))
    }
}

/// Whether `name`, which a user wrote, leads to the address of a host's vCenter. A name that only a proxy knows is taken for it:
/// whether the vCenter behind it knows the host is asked anyway.
async fn is_address_of(address: &str, name: &str, session: &Session) -> Result<bool> {
    if name.eq_ignore_ascii_case(address) {
        return Ok(true);
    }
    match resolve(name, session.uri.connect_timeout()).await {
        // An IPv6 address has several spellings.
        Ok(found) => Ok(address.parse().is_ok_and(|address| found.contains(&address))),
        Err(error) if session.uri.has_proxy() => {
            tracing::debug!(%error, name, "the name of the vCenter is left to the proxy");
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

async fn resolve(name: &str, limit: Duration) -> Result<Vec<IpAddr>> {
    let looking = tokio::time::timeout(limit, tokio::net::lookup_host((name, 0)));
    let found = looking.await.unwrap_or_else(|late| Err(late.into())).map_err(|e| {
        Error::new(
            ErrorCode::UnknownHost,
            ErrorDomain::Esx,
            format!("cannot resolve host name {name:?}"),
        )
        .with_source(e)
    })?;
    Ok(found.map(|address| address.ip()).collect())
}

/// Logs out on the way out: bounded, and without a say in the result.
async fn farewell(logout: impl Future<Output = esx_vi_client::Result<()>>) {
    match tokio::time::timeout(Client::FAREWELL, logout).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "logout failed"),
        Err(_) => tracing::debug!("logout took too long"),
    }
}

impl Session {
    /// Logs out, or keeps the session for the next connection.
    async fn end(&self) {
        match self.keep() {
            true => {}
            false => farewell(self.client.logout()).await,
        }
    }

    /// Saves the session, if that is wanted; whether it must not be logged out then.
    fn keep(&self) -> bool {
        let Some(Kept { store, key, loaded }) = &self.kept else { return false };
        let Some(cookie) = self.client.transport().session_cookie() else { return false };
        let cookie = Secret::new(cookie.expose());
        let saved = store.load(key);
        if saved.is_some() && saved != *loaded && saved.as_ref() != Some(&cookie) {
            // Somebody else was faster. One session is enough.
            return false;
        }
        store.save(key, &cookie);
        true
    }

    pub(crate) fn is_vcenter(&self) -> bool {
        self.product.line == ProductLine::VCenter
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.uri.transport() == Scheme::Https
    }

    /// Host facts and binding, read when first needed: one request.
    async fn facts_and_binding(&self) -> Result<&(Binding, HostFacts)> {
        self.facts
            .get_or_try_init(|| async {
                let failed = |e| vi_error("cannot read facts about the host", e);
                if let Some(binding) = self.binding.get() {
                    let row = self.client.read(&binding.host, host::PATHS).await.map_err(failed)?;
                    let row =
                        row.ok_or_else(|| Error::internal(ErrorDomain::Esx, "the host has gone"))?;
                    return Ok((binding.clone(), HostFacts::read(&row)?));
                }
                let root = &self.client.content().root_folder;
                let paths = ["name", "parent"].iter().chain(host::PATHS).copied();
                let retrieval = read_way(Retrieval::from(root).via(steps_to_hosts([])))
                    .read("HostSystem", paths);
                let found = self.client.retrieve(&retrieval).await.map_err(failed)?;
                let binding = Inventory::new(&found)?.default_binding(root)?;
                let row = found.objects.iter().find(|row| row.moref == binding.host);
                let row = row.ok_or_else(|| {
                    Error::internal(ErrorDomain::Esx, "the host has no host system")
                })?;
                Ok((binding, HostFacts::read(row)?))
            })
            .await
    }

    /// Facts about the host.
    pub(crate) async fn facts(&self) -> Result<&HostFacts> {
        Ok(&self.facts_and_binding().await?.1)
    }

    /// The objects that the connection is bound to.
    pub(crate) async fn binding(&self) -> Result<Binding> {
        match self.known_binding() {
            Some(binding) => Ok(binding.clone()),
            None => Ok(self.facts_and_binding().await?.0.clone()),
        }
    }

    /// The same, if it is known already.
    pub(crate) fn known_binding(&self) -> Option<&Binding> {
        self.binding.get().or_else(|| self.facts.get().map(|(binding, _)| binding))
    }

    /// Free memory in bytes (spec `domain.md` 4.7), never below 0.
    pub(crate) async fn free_memory(&self) -> Result<u64> {
        const USED_MIB: &str = "summary.quickStats.overallMemoryUsage";
        const SIZE: &str = "hardware.memorySize";
        let host = self.binding().await?.host;
        let row = self
            .client
            .read(&host, &[USED_MIB, SIZE])
            .await
            .map_err(|e| vi_error("cannot read the host's memory", e))?;
        let row = row.ok_or_else(|| Error::internal(ErrorDomain::Esx, "the host has gone"))?;
        let number = |path| {
            row.require::<i64>(path).map(|n| u64::try_from(n).unwrap_or(0)).map_err(decode_error)
        };
        Ok(number(SIZE)?.saturating_sub(number(USED_MIB)? << 20))
    }

    /// Whether the connection has been closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether the host still answers: libvirt does not ask.
    pub(crate) async fn is_alive(&self) -> bool {
        if self.is_closed() {
            return false;
        }
        let this = MoRef::new("ServiceInstance", "ServiceInstance");
        self.client.call(&this, &CurrentTime {}).await.is_ok()
    }

    pub(crate) fn name_index(&self) -> Option<Arc<NameIndex>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether this is the session's first look-up by name.
    pub(crate) fn first_name_lookup(&self) -> bool {
        !self.looked_up.swap(true, Ordering::AcqRel)
    }

    /// Keeps where the machine of a handle is.
    pub(crate) fn remember(&self, machine: &Machine) {
        let key = (machine.domain.uuid, machine.domain.name.clone());
        self.machines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, machine.moref.clone());
        self.remember_domain(&machine.moref, &machine.domain);
    }

    /// Keeps whose machine this is.
    fn remember_domain(&self, moref: &MoRef, domain: &Domain) {
        let mut domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        domains.insert(moref.clone(), domain.clone());
    }

    /// The domain that was last seen in this machine; without a name if none was.
    pub(crate) fn domain_of(&self, moref: &MoRef) -> Domain {
        let mut known = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        let nobody = || Domain { name: String::new(), uuid: Uuid::nil(), id: None };
        known.get(moref).cloned().unwrap_or_else(nobody)
    }

    /// No longer knows where the machine of this handle is.
    pub(crate) fn forget(&self, domain: &Domain) {
        let key = (domain.uuid, domain.name.clone());
        self.machines.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    /// Where the machine of this handle was when it was last seen.
    pub(crate) fn remembered(&self, domain: &Domain) -> Option<MoRef> {
        let key = (domain.uuid, domain.name.clone());
        self.machines.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// The vCenter of the connection: the one it is connected to, or the one that manages its host.
    pub(crate) fn vcenter_client(&self) -> Option<&Client> {
        if self.is_vcenter() {
            return Some(&self.client);
        }
        self.vcenter.as_ref().map(|vcenter| &vcenter.client)
    }

    /// The connection's host as the vCenter that manages it knows it; `None` if the connection is to the vCenter itself, or to
    /// none.
    pub(crate) async fn host_in_vcenter(&self) -> Result<Option<MoRef>> {
        match &self.vcenter {
            Some(vcenter) => Ok(Some(vcenter.find_host(self).await?)),
            None => Ok(None),
        }
    }

    /// The machine of a handle as the connection's vCenter knows it; `None` without a vCenter.
    pub(crate) async fn vcenter_machine(&self, domain: &Domain) -> Result<Option<(Client, MoRef)>> {
        let Some(VCenter { client }) = &self.vcenter else { return Ok(None) };
        let failed = |e| vi_error("cannot look up the domain in the vCenter", e);
        let index =
            client.service("searchIndex", &client.content().search_index).map_err(failed)?;
        let call = FindByUuid {
            datacenter: None,
            uuid: domain.uuid.to_string(),
            vm_search: true,
            instance_uuid: (!self.uri.legacy_uuid()).then_some(true),
        };
        let found = client.call(index, &call).await.map_err(failed)?;
        let machine = found.ok_or_else(|| {
            Error::no_domain(format!(
                "the vCenter does not know the domain {:?} ({})",
                domain.name, domain.uuid
            ))
        })?;
        self.remember_domain(&machine, domain);
        Ok(Some((client.clone(), machine)))
    }

    pub(crate) async fn auto_start_manager(&self) -> Result<Option<MoRef>> {
        if self.no_auto_start_manager.load(Ordering::Acquire) {
            return Ok(None);
        }
        Ok(self.facts().await?.auto_start_manager.clone())
    }

    pub(crate) fn forget_auto_start_manager(&self) {
        self.no_auto_start_manager.store(true, Ordering::Release);
    }
}

impl Connection {
    /// What is legal in the connection's URI and yet probably not meant, one sentence each: `no_verify=1`, for one.
    pub fn warnings(&self) -> Vec<&'static str> {
        self.session.uri.warnings()
    }

    /// HTTP requests sent so far and bytes received, over all sessions of the connection.
    pub fn traffic(&self) -> esx_vi_client::Stats {
        self.session.client.transport().stats()
    }
}

#[async_trait]
impl Driver for Connection {
    fn hypervisor(&self) -> &dyn Hypervisor {
        self
    }

    fn storage(&self) -> &dyn Storage {
        self
    }

    fn network(&self) -> &dyn Network {
        self
    }

    fn interface(&self) -> &dyn Interface {
        self
    }

    fn questions(&self) -> &dyn Questions {
        self
    }

    fn progress(&self) -> Result<Box<dyn ProgressStream>> {
        Ok(Box::new(self.session.watchers.listen()))
    }

    async fn close(&self) -> Result<()> {
        if self.session.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.session.watchers.close();
        if let Some(vcenter) = &self.session.vcenter {
            farewell(vcenter.client.logout()).await;
        }
        let kept = self.session.keep();
        if let Some(view) = &self.session.view {
            view.close(kept).await;
        }
        if kept {
            return Ok(());
        }
        self.session.client.logout().await.map_err(|e| vi_error("cannot log out", e))
    }
}
