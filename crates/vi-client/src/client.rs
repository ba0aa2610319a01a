//! A connection to one VI API endpoint: service content, login, method calls.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use esx_vi_api::data::{ServiceContent, UserSession};
use esx_vi_api::methods::{Login, Logout, RetrieveProperties, RetrieveServiceContent};
use esx_vi_api::soap::{self, Encoded, Reply, SoapFault};
use esx_vi_api::{ApiVersion, DecodeError, Method, MoRef};
use tracing::Instrument as _;

use crate::changes::Changes;
use crate::collector::Retrieval;
use crate::error::{Error, Fault, Result};
use crate::session::{Session, to_the_end};
use crate::{CallOptions, Endpoint, SessionCookie, Transport};

/// The newest API that our types describe; newer hosts are spoken to in it.
const NEWEST: ApiVersion = ApiVersion::new(8, 0, 2, 0);
/// Where SOAP is served.
const SDK: &str = "/sdk";
/// The language of fault messages and event texts. Only people read them (server fact 26).
const LOCALE: &str = "en_US";

/// A connection to one endpoint. Cheap to clone; clones share the session. Dropping it does not
/// log out: call [`Client::logout`].
///
/// A session that the host has ended (idle too long, host restarted) is opened again by the call that
/// notices, once for all calls that wait, and that call is sent once more: a host that does not know the
/// session has not begun to do what was asked. A call that only reads is also sent once more if the connection
/// breaks or the host says that it is busy; one that changes something is not, unless nothing of it was sent.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    transport: Transport,
    content: ServiceContent,
    version: ApiVersion,
    soap_action: String,
    session: Session,
    /// Collectors of watches that have ended.
    collectors: Mutex<Vec<MoRef>>,
    changes: Arc<Changes>,
    task_limit: OnceLock<Duration>,
}

impl Client {
    /// Asks the endpoint what it is (`RetrieveServiceContent`): one request, no login yet.
    ///
    /// The question goes out without an API version, which every host understands; from then on the
    /// connection speaks `about.apiVersion`, or our newest version if the host's is newer still.
    ///
    /// # Errors
    /// If the endpoint cannot be reached or is no VMware host.
    pub async fn connect(endpoint: Endpoint) -> Result<Self> {
        let transport = Transport::new(endpoint)?;
        let this = MoRef::new("ServiceInstance", "ServiceInstance");
        let encoded = soap::encode_call(&RetrieveServiceContent {}, &this, ApiVersion::V2_5);
        let options = transport.options();
        let call =
            Call { this: &this, method: RetrieveServiceContent::NAME, soap_action: "urn:vim25" };
        let envelope = Envelope::from(encoded);
        let content = match call
            .send(&transport, envelope.clone(), options, read::<RetrieveServiceContent>)
            .await
        {
            Err(error) if let Some(pause) = error.worth_repeating() => {
                tracing::debug!(%error, "asking once more");
                transport.pause(pause).await;
                call.send(&transport, envelope, options, read::<RetrieveServiceContent>).await?
            }
            result => result?,
        };
        let spoken = ApiVersion::parse(&content.about.api_version);
        let (version, soap_action) = match spoken {
            Some(host) if host <= NEWEST => {
                (host, format!("urn:vim25/{}", content.about.api_version))
            }
            Some(_) => (NEWEST, format!("urn:vim25/{NEWEST}")),
            // A version that cannot be read: the oldest dialect is what is left.
            None => (ApiVersion::V2_5, "urn:vim25".to_owned()),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                transport,
                content,
                version,
                soap_action,
                session: Session::default(),
                collectors: Mutex::default(),
                changes: Arc::default(),
                task_limit: OnceLock::new(),
            }),
        })
    }

    /// What the host offers (VI API `ServiceContent`).
    pub fn content(&self) -> &ServiceContent {
        &self.inner.content
    }

    /// The API version that the connection speaks.
    pub fn api_version(&self) -> ApiVersion {
        self.inner.version
    }

    /// Says how long [`Client::run_plain_task`] waits for a task, the last ones of an upload included, before it cancels it;
    /// without, as long as it takes. Only the first such word counts.
    pub fn limit_tasks(&self, longest: Duration) {
        // The first word stands.
        let _ = self.inner.task_limit.set(longest);
    }

    /// What [`Client::limit_tasks`] has said.
    pub(crate) fn task_limit(&self) -> Option<Duration> {
        self.inner.task_limit.get().copied()
    }

    /// The HTTP layer below, with its counters.
    pub fn transport(&self) -> &Transport {
        &self.inner.transport
    }

    /// Opens a session. VI API `SessionManager.Login`. Name and password are kept in memory, to open it
    /// again when the host has ended it. A login that is on its way when this future is dropped is followed by a logout in the
    /// background.
    ///
    /// # Errors
    /// A fault `InvalidLogin` if name or password are wrong; `NoPermission` if the user may not log in.
    pub async fn login(&self, user_name: &str, password: &str) -> Result<UserSession> {
        let login = Login {
            user_name: user_name.to_owned(),
            password: password.to_owned(),
            locale: Some(LOCALE.to_owned()),
        };
        let mut held = self.inner.session.hold().await;
        let unclaimed = LogoutOnDrop::new(self.clone());
        let client = self.clone();
        let result = to_the_end(async move {
            let session = client.log_in(&login).await?;
            held.opened(login);
            Ok(session)
        });
        let result = result.await;
        unclaimed.keep();
        result
    }

    /// Takes up a session that was opened earlier, by its cookie, if the host still knows it; whether it does. One
    /// request. `login` opens it again when the host ends it later; without it the session then stays ended.
    ///
    /// # Errors
    /// Any [`Error`] but `NotAuthenticated`.
    pub async fn resume(
        &self,
        cookie: &SessionCookie,
        login: Option<(&str, &str)>,
    ) -> Result<bool> {
        let mut held = self.inner.session.hold().await;
        self.inner.transport.set_session(cookie);
        match self.session_lives().await {
            Ok(true) => {
                held.resumed(login.map(|(user_name, password)| Login {
                    user_name: user_name.to_owned(),
                    password: password.to_owned(),
                    locale: Some(LOCALE.to_owned()),
                }));
                Ok(true)
            }
            other => {
                self.inner.transport.clear_session();
                other
            }
        }
    }

    async fn log_in(&self, login: &Login) -> Result<UserSession> {
        let this = self.service("sessionManager", &self.inner.content.session_manager)?;
        let options = self.inner.transport.options();
        self.inner.transport.clear_session();
        let result = match self.call_once(this, login, options).await {
            Err(error) if error.is_fault("InvalidLocale") => {
                self.call_once(this, &Login { locale: None, ..login.clone() }, options).await
            }
            result => result,
        };
        if result.is_ok() {
            self.inner.transport.settle_session();
        }
        if result.is_err() && self.inner.transport.session_cookie().is_some() {
            // The host has opened a session and the rest of its answer was lost.
            let logout = self.call_once(this, &Logout {}, options);
            if !matches!(tokio::time::timeout(Self::FAREWELL, logout).await, Ok(Ok(()))) {
                tracing::debug!("a session that was hardly opened could not be closed");
            }
            self.inner.transport.clear_session();
        }
        result
    }

    /// Ends the session. VI API `SessionManager.Logout`.
    ///
    /// # Errors
    /// If the host could not be told. The session is forgotten here in any case, and no call opens it
    /// again.
    pub async fn logout(&self) -> Result<()> {
        let this = self.service("sessionManager", &self.inner.content.session_manager)?;
        self.inner.session.hold().await.closed();
        self.inner.transport.lift_end();
        let result = self.call_once(this, &Logout {}, self.inner.transport.options()).await;
        self.inner.transport.clear_session();
        match result {
            // The host has ended it already.
            Err(error) if error.is_fault("NotAuthenticated") => Ok(()),
            result => result,
        }
    }

    /// Opens the session again after a `NotAuthenticated` fault; whether that was the cause. `seen` is
    /// the session's number when the call was sent.
    pub(crate) async fn heal(&self, seen: u64) -> Result<bool> {
        if self.session_number() != seen {
            return Ok(true);
        }
        let client = self.clone();
        to_the_end(async move { client.heal_alone(seen).await }).await
    }

    async fn heal_alone(&self, seen: u64) -> Result<bool> {
        let mut held = self.inner.session.hold().await;
        if held.number() != seen {
            // Another call was faster.
            return Ok(true);
        }
        let Some(login) = held.login() else { return Ok(false) };
        // The fault may also mean that a privilege is missing (server fact 3): then the session lives.
        if self.session_lives().await? {
            return Ok(false);
        }
        tracing::info!(endpoint = %self.inner.transport.endpoint(), "the session has ended, logging in again");
        self.log_in(&login).await?;
        self.inner.collectors.lock().unwrap_or_else(PoisonError::into_inner).clear();
        held.opened(login);
        Ok(true)
    }

    /// Name and password of the session; none before the login and after the logout.
    pub(crate) async fn credentials(&self) -> Option<Login> {
        self.inner.session.hold().await.login()
    }

    /// Whether the host knows our session: it can always be asked for that.
    async fn session_lives(&self) -> Result<bool> {
        let manager = self.service("sessionManager", &self.inner.content.session_manager)?;
        let spec = Retrieval::from(manager).read("SessionManager", ["currentSession"]).spec();
        let this = &self.inner.content.property_collector;
        let call = RetrieveProperties { spec_set: vec![spec] };
        match self.call_once(this, &call, self.inner.transport.options()).await {
            Ok(objects) => Ok(objects.iter().any(|object| !object.prop_set.is_empty())),
            Err(error) if error.is_fault("NotAuthenticated") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The number of the session: another one after each login. What was made on the host in an earlier one, such as the filter
    /// of a [`Watch`](crate::Watch), has gone.
    pub fn session_number(&self) -> u64 {
        self.inner.session.number()
    }

    /// A member of the service content that a call cannot do without.
    ///
    /// # Errors
    /// [`Error::NoService`] if the host does not offer it.
    pub fn service<'a>(&self, name: &'static str, moref: &'a Option<MoRef>) -> Result<&'a MoRef> {
        moref.as_ref().ok_or(Error::NoService(name))
    }

    /// Calls a method. The call is sent once, and once more if the host did not know the session, or if it only
    /// reads and the connection broke.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn call<M: Method + Sync>(&self, this: &MoRef, method: &M) -> Result<M::Output> {
        let idle = self.inner.transport.options().idle;
        self.call_within(this, method, idle).await
    }

    /// As [`Client::call`], for a call during which the host may be silent for `idle` (`None`: for ever).
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn call_within<M: Method + Sync>(
        &self,
        this: &MoRef,
        method: &M,
        idle: Option<Duration>,
    ) -> Result<M::Output> {
        let version = self.inner.version;
        if M::SINCE > version {
            return Err(Error::TooOld { method: M::NAME, since: M::SINCE, version });
        }
        let encoded = soap::encode_call(method, this, version);
        let defaults = self.inner.transport.options();
        // A wait that the caller asked for comes on top of what a call may take.
        let call = defaults.call.zip(idle).map(|(call, idle)| call.saturating_add(idle));
        let options = CallOptions { idle, call, ..defaults };
        let _changing = self.changing(M::NAME);
        self.exchange(M::NAME, this, encoded, options, read::<M>).await
    }

    /// A call that is never sent a second time.
    async fn call_once<M: Method + Sync>(
        &self,
        this: &MoRef,
        method: &M,
        options: CallOptions,
    ) -> Result<M::Output> {
        let encoded = soap::encode_call(method, this, self.inner.version);
        let call = Call { this, method: M::NAME, soap_action: &self.inner.soap_action };
        call.send(&self.inner.transport, encoded.into(), options, read::<M>).await
    }

    pub(crate) fn change_count(&self) -> &Arc<Changes> {
        &self.inner.changes
    }

    /// A collector that an ended watch has left, if there is one.
    pub(crate) fn take_collector(&self) -> Option<MoRef> {
        self.inner.collectors.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps a collector for the next watch, unless `most` are kept already.
    pub(crate) fn keep_collector(&self, collector: MoRef, most: usize) {
        let mut collectors = self.inner.collectors.lock().unwrap_or_else(PoisonError::into_inner);
        if collectors.len() < most {
            collectors.push(collector);
        }
    }

    /// Posts an envelope and hands the body of the reply to `decode`; opens the session again if need be.
    pub(crate) async fn exchange<T>(
        &self,
        method: &'static str,
        this: &MoRef,
        encoded: Encoded,
        options: CallOptions,
        decode: impl Fn(&[u8]) -> Result<Reply<T>, DecodeError>,
    ) -> Result<T> {
        let inner = &self.inner;
        let body = Envelope::from(encoded);
        let call = Call { this, method, soap_action: &inner.soap_action };
        let (mut healed, mut repeated) = (false, !is_repeatable(method));
        loop {
            let seen = inner.session.number();
            match call.send(&inner.transport, body.clone(), options, &decode).await {
                Err(error) if !healed && error.is_fault("NotAuthenticated") => {
                    healed = true;
                    if !self.heal(seen).await? {
                        return Err(error);
                    }
                }
                Err(error) if !repeated && let Some(pause) = error.worth_repeating() => {
                    repeated = true;
                    tracing::debug!(method, %error, "asking once more");
                    inner.transport.pause(pause).await;
                }
                result => return result,
            }
        }
    }

    /// The time limit that a login or logout at the end of a program should be given.
    pub const FAREWELL: Duration = Duration::from_secs(5);
}

/// Logs out in the background when it is dropped, unless it was told to [`keep`](Self::keep) the session: for the time in
/// which a caller may stop waiting before anybody knows the client.
#[derive(Debug)]
pub struct LogoutOnDrop(Option<Client>);

impl LogoutOnDrop {
    /// Guards the session of a client.
    pub fn new(client: Client) -> Self {
        Self(Some(client))
    }

    /// The session belongs to somebody now.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for LogoutOnDrop {
    fn drop(&mut self) {
        let Some(client) = self.0.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        // A login that is still on its way holds the session until it has ended.
        runtime.spawn(async move {
            if let Err(error) = client.logout().await {
                tracing::debug!(%error, "a session that nobody waited for could not be closed");
            }
        });
    }
}

/// Whether a method may be called twice without harm: it only reads. Pages are not among them, since a token works
/// once; [`Client::retrieve`] begins again instead.
fn is_repeatable(method: &str) -> bool {
    const READS: [&str; 4] = ["Find", "Query", "Current", "WaitForUpdates"];
    READS.iter().any(|read| method.starts_with(read)) || method == "RetrieveProperties"
}

/// An envelope that can be sent again.
#[derive(Clone)]
struct Envelope {
    body: Bytes,
    withheld: Vec<String>,
}

impl From<Encoded> for Envelope {
    fn from(encoded: Encoded) -> Self {
        Self { body: encoded.body.into(), withheld: encoded.withheld }
    }
}

/// Reads the reply to a method.
fn read<M: Method>(body: &[u8]) -> Result<Reply<M::Output>, DecodeError> {
    let (text, repaired) = esx_vi_api::repair(body);
    if repaired > 0 {
        tracing::warn!(method = M::NAME, repaired, "the reply has characters that XML forbids");
    }
    soap::decode_reply(M::NAME, &text, M::read_output)
}

/// What is called on what, and in which dialect.
struct Call<'a> {
    this: &'a MoRef,
    method: &'static str,
    soap_action: &'a str,
}

impl Call<'_> {
    /// Sends the call, once.
    async fn send<T>(
        &self,
        transport: &Transport,
        envelope: Envelope,
        options: CallOptions,
        decode: impl Fn(&[u8]) -> Result<Reply<T>, DecodeError>,
    ) -> Result<T> {
        let Call { this, method, soap_action } = *self;
        let span = tracing::debug_span!("call", method, moref = %this);
        async move {
            for withheld in &envelope.withheld {
                tracing::warn!(withheld, "not sent: the host's API does not know it");
            }
            let reply = transport.post_with(SDK, soap_action, envelope.body, options).await?;
            let endpoint = || transport.endpoint().to_string();
            match decode(&reply.body) {
                Ok(Reply::Result(result)) => Ok(result),
                Ok(Reply::Fault(SoapFault { code, message, detail })) => {
                    let name = detail.as_ref().map_or(code, |d| d.type_name.clone().into_owned());
                    tracing::debug!(fault = name, "refused");
                    let fault = Box::new(Fault { name, message, detail });
                    Err(Error::Fault { method, target: this.clone(), fault })
                }
                Err(source) => match foreign(reply.content_type.as_deref(), &reply.body) {
                    Some(found) => Err(Error::NotVi { endpoint: endpoint(), method, found }),
                    None => Err(Error::Decode { endpoint: endpoint(), method, source }),
                },
            }
        }
        .instrument(span)
        .await
    }
}

/// What a body is that certainly is no SOAP; `None` if it may be one.
fn foreign(content_type: Option<&str>, body: &[u8]) -> Option<String> {
    let start = body.trim_ascii_start();
    let kind = content_type.map(|t| t.split(';').next().unwrap_or(t).trim().to_ascii_lowercase());
    if start.is_empty() {
        return Some("an empty reply".to_owned());
    }
    let html = [&b"<!doctype html"[..], b"<html"]
        .iter()
        .any(|mark| start.get(..mark.len()).is_some_and(|s| s.eq_ignore_ascii_case(mark)));
    if html || kind.as_deref() == Some("text/html") {
        return Some("an HTML page".to_owned());
    }
    if !start.starts_with(b"<") {
        let kind: String =
            kind.unwrap_or_else(|| "no content type".to_owned()).chars().take(80).collect();
        return Some(format!("something that is not XML ({kind})"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_soap_is_named() {
        for (content_type, body, expected) in [
            (Some("text/html; charset=utf-8"), "<p>login</p>", Some("an HTML page")),
            (None, " <!DOCTYPE HTML><html>", Some("an HTML page")),
            (Some("application/json"), "{}", Some("something that is not XML (application/json)")),
            (Some("text/xml"), "", Some("an empty reply")),
            (Some("text/xml"), "<soapenv:Envelope", None),
        ] {
            assert_eq!(foreign(content_type, body.as_bytes()).as_deref(), expected, "{body}");
        }
    }
}
