//! HTTP with one server: SOAP posts, `/folder` downloads, the session cookie, and honest errors.
//!
//! HTTP/1.1 only, no redirect is followed, no proxy is taken from the environment, no wait is without a bound unless
//! the caller asks for it (connection.md 4; users-and-servers.md, facts 5, 24, 27, 31, 32). Nothing is retried here:
//! what may be repeated is known one level up.

mod body;
mod classify;
mod error;
mod head;
mod redact;
mod resolver;
mod stats;

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{self, HeaderValue};
use reqwest::{Method, Request, Response, Url};

pub use self::body::Body;
pub use self::error::{CloseStage, TransportError, Waiting};
pub use self::head::ContentRange;
#[cfg(fuzzing)]
pub(crate) use self::head::fuzz as fuzz_head;
use self::head::{Head, retry_after, text_of};
pub use self::redact::redact;
pub use self::stats::Stats;
use crate::cookie::{Jar, SessionCookie};
use crate::endpoint::{Endpoint, Scheme};
use crate::tls;

/// What we call ourselves to servers.
const USER_AGENT: &str = concat!("virtesx/", env!("CARGO_PKG_VERSION"));
/// What every SOAP post carries.
const SOAP_CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/xml; charset=UTF-8");
/// Connections kept open between calls; more callers at once open more.
const MAX_IDLE_CONNECTIONS: usize = 8;
/// How long an unused connection is kept. Hosts close theirs after about a minute or more; being first avoids
/// sending a call into a connection that is just being closed.
const KEEP_IDLE: Duration = Duration::from_secs(50);
/// Longest redirect target shown in a message, in characters.
const MAX_TARGET_SHOWN: usize = 300;
/// Longest body shown at trace level, in bytes.
const MAX_BODY_SHOWN: usize = 64 * 1024;

/// Bounds of one call. [`Transport::options`] gives the endpoint's defaults to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallOptions {
    /// Longest silence of the server; `None` waits for ever (`WaitForUpdatesEx` without a limit).
    pub idle: Option<Duration>,
    /// Longest time for the whole call; `None` has no bound.
    pub call: Option<Duration>,
    /// Most bytes of reply after decompression.
    pub max_reply_bytes: u64,
}

/// The reply to a post: status 200 or 500 (a SOAP fault travels with 500).
#[derive(Debug, Clone)]
pub struct HttpReply {
    /// 200 or 500.
    pub status: u16,
    /// `Content-Type`, as sent. HTML from something that is no VI server arrives here as it is.
    pub content_type: Option<String>,
    /// The body, decompressed.
    pub body: Bytes,
}

/// A part of a file, for [`Transport::get`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte wanted.
    pub start: u64,
    /// How many bytes; `None` to the end.
    pub length: Option<NonZeroU64>,
}

impl ByteRange {
    /// The `Range` header: `bytes=0-99`, `bytes=100-` (connection.md 13).
    fn header(self) -> String {
        match self.length {
            Some(length) => {
                let last = self.start.saturating_add(length.get() - 1);
                format!("bytes={}-{last}", self.start)
            }
            None => format!("bytes={}-", self.start),
        }
    }
}

/// The reply to a download: status 200, or 206 if a range was asked for and granted.
#[derive(Debug)]
pub struct GetReply {
    /// 200 or 206. A server may ignore a range and answer 200 with the whole file.
    pub status: u16,
    /// Bytes to come, if the server said so.
    pub content_length: Option<u64>,
    /// `Content-Type`, as sent.
    pub content_type: Option<String>,
    /// Which part a 206 holds; `None` if absent or unreadable.
    pub content_range: Option<ContentRange>,
    /// The size of the whole file, if the server said so.
    pub total: Option<u64>,
    /// `Last-Modified`, as sent: only to be compared.
    pub last_modified: Option<String>,
    /// `ETag`, as sent: only to be compared.
    pub entity_tag: Option<String>,
    /// The content, piece by piece.
    pub body: Body,
}

/// HTTP with one [`Endpoint`]. Cheap to clone; clones share connections, session and counters.
#[derive(Clone)]
pub struct Transport {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    base: Url,
    client: reqwest::Client,
    jar: Mutex<Jar>,
    /// Counts the sessions: what a reply to a request of an earlier one sets is not taken.
    era: AtomicU64,
    stats: stats::Counters,
    /// When the time for everything is over.
    end: Mutex<Option<tokio::time::Instant>>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("endpoint", &self.inner.endpoint).finish_non_exhaustive()
    }
}

impl Transport {
    /// Prepares to talk to `endpoint`; nothing is sent yet. Must run inside a tokio runtime when first used.
    ///
    /// # Errors
    /// [`TransportError::Setup`] if the host name, the CA certificates or the proxy cannot be used at all.
    pub fn new(endpoint: Endpoint) -> Result<Self, TransportError> {
        let setup =
            |problem: String| TransportError::Setup { endpoint: endpoint.to_string(), problem };
        let base =
            base_url(&endpoint).ok_or_else(|| setup("it is not a valid host name".into()))?;
        if endpoint.proxy.is_some()
            && endpoint.scheme == Scheme::Https
            && endpoint.is_ipv6_literal()
        {
            // reqwest hands the bracketed literal to TLS as a server name, which fails later and obscurely.
            return Err(setup(
                "HTTPS to an IPv6 address through a proxy is not supported, use a host name".into(),
            ));
        }
        let policy = match endpoint.scheme {
            Scheme::Https => &endpoint.tls,
            // No TLS will happen; spare the reading of the system store.
            Scheme::Http => &tls::TlsPolicy::NoVerify,
        };
        let config = tls::client_config(policy).map_err(|error| setup(error::phrase(&error)))?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .http1_only()
            // As Go's clients write them, which every host has met.
            .http1_title_case_headers()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(USER_AGENT)
            // Only a certificate that nobody has verified is ever asked for.
            .tls_info(matches!(policy, tls::TlsPolicy::NoVerify))
            .connect_timeout(endpoint.timeouts.connect)
            .pool_idle_timeout(KEEP_IDLE)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .dns_resolver(Arc::new(resolver::SystemResolver));
        if let Some(proxy) = &endpoint.proxy {
            let bad = |error: &dyn std::error::Error| {
                setup(format!("proxy {proxy}: {}", error::phrase(error)))
            };
            let url = Url::parse(&proxy.url()).map_err(|error| bad(&error))?;
            let proxy = reqwest::Proxy::all(url).map_err(|error| bad(&error))?;
            builder = builder.proxy(proxy);
        }
        let client = builder.build().map_err(|error| setup(error::phrase(&error)))?;
        let (jar, era, stats) = Default::default();
        let end = endpoint.timeouts.total.and_then(|t| tokio::time::Instant::now().checked_add(t));
        let end = Mutex::new(end);
        Ok(Self { inner: Arc::new(Inner { endpoint, base, client, jar, era, stats, end }) })
    }

    /// The server this talks to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    /// The bounds a call has unless it brings its own.
    pub fn options(&self) -> CallOptions {
        let Endpoint { timeouts, max_reply_bytes, .. } = self.inner.endpoint;
        CallOptions { idle: timeouts.idle, call: timeouts.call, max_reply_bytes }
    }

    /// Requests and bytes so far.
    pub fn stats(&self) -> Stats {
        self.inner.stats.read()
    }

    /// The session to send with every request, `None` before `Login` set one.
    pub fn session_cookie(&self) -> Option<SessionCookie> {
        self.jar().header()
    }

    /// Takes up a session that was established elsewhere.
    pub fn set_session(&self, cookie: &SessionCookie) {
        self.begin_era(Some(Jar::parse(cookie.expose()).unwrap_or_default()));
    }

    /// Forgets the session, as before a new `Login`.
    pub fn clear_session(&self) {
        self.begin_era(Some(Jar::default()));
    }

    /// The session is open. A reply to something that was asked before, without a session, may still come, and with a cookie of its
    /// own, which would take the place of the session's.
    pub(crate) fn settle_session(&self) {
        self.begin_era(None);
    }

    fn begin_era(&self, new: Option<Jar>) {
        let mut jar = self.jar();
        if let Some(new) = new {
            *jar = new;
        }
        self.inner.era.fetch_add(1, Ordering::AcqRel);
    }

    /// Posts a SOAP envelope to `path` (such as `/sdk`) and reads the whole reply.
    ///
    /// # Errors
    /// Every kind of [`TransportError`]; any status but 200 and 500 is [`TransportError::Status`] or
    /// [`TransportError::Redirect`].
    pub async fn post(
        &self,
        path: &str,
        soap_action: &str,
        body: impl Into<Bytes>,
    ) -> Result<HttpReply, TransportError> {
        self.post_with(path, soap_action, body, self.options()).await
    }

    /// [`post`](Self::post) with bounds of its own.
    ///
    /// # Errors
    /// As for [`post`](Self::post).
    pub async fn post_with(
        &self,
        path: &str,
        soap_action: &str,
        body: impl Into<Bytes>,
        options: CallOptions,
    ) -> Result<HttpReply, TransportError> {
        let exchange = self.post_exchange(path, soap_action, body.into(), options);
        match options.call {
            Some(call) => match tokio::time::timeout(call, exchange).await {
                Ok(result) => result,
                Err(_) => Err(self.timed_out(Waiting::Call, call)),
            },
            None => exchange.await,
        }
    }

    async fn post_exchange(
        &self,
        path: &str,
        soap_action: &str,
        body: Bytes,
        options: CallOptions,
    ) -> Result<HttpReply, TransportError> {
        let mut request = self.request(Method::POST, path)?;
        let soap_action = HeaderValue::from_str(soap_action)
            .map_err(|_| self.setup("the SOAP action is not a valid header"))?;
        request.headers_mut().insert(header::CONTENT_TYPE, SOAP_CONTENT_TYPE);
        request.headers_mut().insert("SOAPAction", soap_action);
        trace_body("request", &body);
        self.inner.stats.sent(body.len());
        *request.body_mut() = Some(body.into());

        let started = Instant::now();
        let response = self.send(request, options.idle).await?;
        let status = response.status().as_u16();
        if !matches!(status, 200 | 500) {
            return Err(self.refused("POST", path, &response));
        }
        let content_type = text_of(response.headers(), header::CONTENT_TYPE);
        let body = Body::new(self.clone(), response, options.idle).then_as_usual();
        let body = body.collect(options.max_reply_bytes).await?;
        trace_body("reply", &body);
        tracing::debug!(
            method = "POST",
            path = %shown_path(path),
            status,
            bytes = body.len(),
            elapsed = ?started.elapsed(),
            "http"
        );
        Ok(HttpReply { status, content_type, body })
    }

    /// The certificate that the server presents. Of an endpoint with [`TlsPolicy::NoVerify`](crate::TlsPolicy): with
    /// any other policy there is no need to ask. One request, for the page `/`, without a session.
    ///
    /// # Errors
    /// Every kind of [`TransportError`] that ends an exchange before there is a reply.
    pub async fn certificate(&self) -> Result<tls::Certificate, TransportError> {
        let request = Request::new(Method::GET, self.inner.base.clone());
        let response = self.send(request, self.options().idle).await?;
        let info = response.extensions().get::<reqwest::tls::TlsInfo>();
        let der = info.and_then(|info| info.peer_certificate());
        der.map(tls::Certificate::read).ok_or_else(|| {
            self.setup("it is not spoken to over TLS, so that it has no certificate")
        })
    }

    /// Starts the download of `path_and_query` (percent-encoded already, as `esx-escape` writes `/folder` URLs).
    ///
    /// The server is asked not to compress, so that lengths and ranges mean the file's bytes.
    ///
    /// # Errors
    /// Every kind of [`TransportError`]; any status but 200 and 206 is [`TransportError::Status`] or
    /// [`TransportError::Redirect`]. Errors in the middle of the content come from [`Body::chunk`].
    pub async fn get(
        &self,
        path_and_query: &str,
        range: Option<ByteRange>,
    ) -> Result<GetReply, TransportError> {
        match self.get_part(path_and_query, range).await {
            Ok(GetReply { status: status @ 416, .. }) => {
                Err(self.status("GET", path_and_query, status, None))
            }
            result => result,
        }
    }

    /// As [`get`](Self::get), but a range that lies outside the file is a reply, too: it tells the file's size.
    pub(crate) async fn get_part(
        &self,
        path_and_query: &str,
        range: Option<ByteRange>,
    ) -> Result<GetReply, TransportError> {
        let request = self.request(Method::GET, path_and_query)?;
        self.got(request, path_and_query, range, self.options().idle).await
    }

    /// Starts the download of something that is made while it is read: the server may be silent for `idle`.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub(crate) async fn get_stream(
        &self,
        path_and_query: &str,
        idle: Option<Duration>,
    ) -> Result<GetReply, TransportError> {
        let request = self.request(Method::GET, path_and_query)?;
        self.got(request, path_and_query, None, idle).await
    }

    /// [`get`](Self::get) as a user with a password of HTTP's basic authentication instead of the session: for
    /// servers beside the SOAP service that do not know its sessions.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub(crate) async fn get_as(
        &self,
        path_and_query: &str,
        user_name: &str,
        password: &str,
    ) -> Result<GetReply, TransportError> {
        let url = self.request(Method::GET, path_and_query)?.url().clone();
        let request = self.inner.client.get(url).basic_auth(user_name, Some(password)).build();
        let request = request.map_err(|_| self.setup("the user name is not a valid header"))?;
        self.got(request, path_and_query, None, self.options().idle).await
    }

    async fn got(
        &self,
        mut request: Request,
        path_and_query: &str,
        range: Option<ByteRange>,
        idle: Option<Duration>,
    ) -> Result<GetReply, TransportError> {
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(range) = range {
            let range = HeaderValue::try_from(range.header()).expect("digits and ASCII signs only");
            headers.insert(header::RANGE, range);
        }
        let started = Instant::now();
        let response = self.send(request, idle).await?;
        let status = response.status().as_u16();
        if status != 200 && !(matches!(status, 206 | 416) && range.is_some()) {
            return Err(self.refused("GET", path_and_query, &response));
        }
        tracing::debug!(
            method = "GET",
            path = %shown_path(path_and_query),
            status,
            elapsed = ?started.elapsed(),
            "http"
        );
        let content_length = response.content_length();
        let head = Head::read(response.headers(), status, content_length);
        Ok(GetReply {
            status,
            content_length,
            content_type: head.content_type,
            content_range: head.content_range,
            total: head.total,
            last_modified: head.last_modified,
            entity_tag: head.entity_tag,
            body: Body::new(self.clone(), response, idle),
        })
    }

    /// Writes a file: `PUT` with its length, and 200 or 201 for an answer.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn put_bytes(
        &self,
        path_and_query: &str,
        content: Bytes,
    ) -> Result<(), TransportError> {
        let mut request = self.request(Method::PUT, path_and_query)?;
        let kind = HeaderValue::from_static("application/octet-stream");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(content.len()));
        self.inner.stats.sent(content.len());
        *request.body_mut() = Some(content.into());
        let response = self.send(request, self.options().idle).await?;
        let status = response.status().as_u16();
        tracing::debug!(method = "PUT", path = &*shown_path(path_and_query), status, "http");
        if matches!(status, 200 | 201) {
            Ok(())
        } else {
            Err(self.refused("PUT", path_and_query, &response))
        }
    }

    /// Writes a file of `length` bytes that come piece by piece. `stalled` is asked after each idle time
    /// whether nothing has moved since.
    pub(crate) async fn put_stream(
        &self,
        path_and_query: &str,
        body: reqwest::Body,
        length: u64,
        mut stalled: impl FnMut() -> bool + Send,
    ) -> Result<(), TransportError> {
        let mut request = self.request(Method::PUT, path_and_query)?;
        let kind = HeaderValue::from_static("application/octet-stream");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        // In words, as an empty body would have none.
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        *request.body_mut() = Some(body);
        let mut sending = std::pin::pin!(self.send(request, None));
        let response = match self.options().idle {
            None => sending.await?,
            Some(idle) => loop {
                match tokio::time::timeout(idle, &mut sending).await {
                    Ok(response) => break response?,
                    Err(_) if stalled() => return Err(self.timed_out(Waiting::Reply, idle)),
                    Err(_) => {}
                }
            },
        };
        let status = response.status().as_u16();
        tracing::debug!(method = "PUT", path = &*shown_path(path_and_query), status, "http");
        if matches!(status, 200 | 201) {
            Ok(())
        } else {
            Err(self.refused("PUT", path_and_query, &response))
        }
    }

    /// Downloads a small file (a VMX, say) whole; more than `limit` bytes are [`TransportError::TooLarge`].
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn get_bytes(
        &self,
        path_and_query: &str,
        limit: u64,
    ) -> Result<Bytes, TransportError> {
        self.get(path_and_query, None).await?.body.collect(limit).await
    }

    fn jar(&self) -> std::sync::MutexGuard<'_, Jar> {
        // Nothing panics while holding the lock; if it did, the jar would still be whole.
        self.inner.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn setup(&self, problem: &str) -> TransportError {
        TransportError::Setup {
            endpoint: self.inner.endpoint.to_string(),
            problem: problem.to_owned(),
        }
    }

    fn request(&self, method: Method, path_and_query: &str) -> Result<Request, TransportError> {
        // A full join would let a path such as `//elsewhere/` change the host.
        let url = (path_and_query.starts_with('/') && !path_and_query.starts_with("//"))
            .then(|| self.inner.base.join(path_and_query).ok())
            .flatten()
            .filter(|url| url.authority() == self.inner.base.authority())
            .ok_or_else(|| self.setup("the path is not a valid URL path"))?;
        let mut request = Request::new(method, url);
        if let Some(cookie) = self.session_cookie() {
            let mut value = HeaderValue::from_str(cookie.expose())
                .map_err(|_| self.setup("the session cookie is not a valid header"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::COOKIE, value);
        }
        Ok(request)
    }

    /// Sends and waits for the head of the reply; takes its cookies.
    async fn send(
        &self,
        request: Request,
        idle: Option<Duration>,
    ) -> Result<Response, TransportError> {
        self.inner.stats.request();
        let method = request.method().clone();
        let path = request.url().path().to_owned();
        let era = self.inner.era.load(Ordering::Acquire);
        let sending = self.inner.client.execute(request);
        let result = match self.bounded(idle, Waiting::Reply, sending).await {
            Ok(result) => result.map_err(|error| self.classify(error, CloseStage::BeforeReply)),
            Err(late) => Err(late),
        };
        match result {
            Ok(response) => {
                let mut jar = self.jar();
                let is_current = era == self.inner.era.load(Ordering::Acquire);
                for cookie in
                    response.headers().get_all(header::SET_COOKIE).iter().filter(|_| is_current)
                {
                    if let Ok(cookie) = cookie.to_str() {
                        jar.set_cookie(cookie);
                    }
                }
                drop(jar);
                Ok(response)
            }
            Err(error) => {
                tracing::debug!(%method, path = %shown_path(&path), %error, "http");
                Err(error)
            }
        }
    }

    /// Waits for `work` as long as the server may be silent, and not beyond the end of everything.
    async fn bounded<T>(
        &self,
        idle: Option<Duration>,
        waiting: Waiting,
        work: impl Future<Output = T>,
    ) -> Result<T, TransportError> {
        let now = tokio::time::Instant::now();
        let left = self.end().map(|end| end.saturating_duration_since(now));
        let (limit, waiting, after) = match (idle, left) {
            (Some(idle), left) if left.is_none_or(|left| idle <= left) => (idle, waiting, idle),
            (_, Some(left)) => {
                let total = self.inner.endpoint.timeouts.total.unwrap_or_default();
                (left, Waiting::Total, total)
            }
            (_, None) => return Ok(work.await),
        };
        if limit.is_zero() {
            return Err(self.timed_out(waiting, after));
        }
        tokio::time::timeout(limit, work).await.map_err(|_| self.timed_out(waiting, after))
    }

    /// When the time for everything is over, if it ever is.
    pub(crate) fn end(&self) -> Option<tokio::time::Instant> {
        *self.inner.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pause between two requests: not longer than there is time, after which the next request says that it is over.
    pub(crate) async fn pause(&self, pause: Duration) {
        let over = async {
            match self.end() {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = over => {}
        }
    }

    /// Lifts the bound on everything together, for the logout.
    pub(crate) fn lift_end(&self) {
        *self.inner.end.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn classify(&self, error: reqwest::Error, stage: CloseStage) -> TransportError {
        classify::classify(&self.inner.endpoint, error, stage)
    }

    fn timed_out(&self, waiting: Waiting, after: Duration) -> TransportError {
        TransportError::Timeout { endpoint: self.inner.endpoint.to_string(), waiting, after }
    }

    /// The error for a status that carries no reply we can use.
    fn refused(&self, method: &'static str, path: &str, response: &Response) -> TransportError {
        let endpoint = self.inner.endpoint.to_string();
        let path = shown_path(path).into_owned();
        let status = response.status().as_u16();
        let headers = response.headers();
        tracing::debug!(method, path, status, "http");
        if response.status().is_redirection()
            && let Some(target) = text_of(headers, header::LOCATION)
        {
            let target = target.chars().take(MAX_TARGET_SHOWN).collect();
            return TransportError::Redirect { endpoint, path, status, target };
        }
        let retry_after = retry_after(headers);
        TransportError::Status { endpoint, method, path, status, retry_after }
    }

    fn status(
        &self,
        method: &'static str,
        path: &str,
        status: u16,
        retry_after: Option<Duration>,
    ) -> TransportError {
        let (endpoint, path) = (self.inner.endpoint.to_string(), shown_path(path).into_owned());
        TransportError::Status { endpoint, method, path, status, retry_after }
    }
}

/// The URL all paths are joined to, if the host is one: `evil@host` or `host/path` are not.
fn base_url(endpoint: &Endpoint) -> Option<Url> {
    let url = Url::parse(&endpoint.base_url()).ok()?;
    let clean = url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.port_or_known_default() == Some(endpoint.port)
        && !endpoint.host.contains(['@', '/', '\\', '?', '#', '[', ']', '\t', '\r', '\n']);
    clean.then_some(url)
}

/// The path for logs and messages: without the query, and without the ticket in the URL of an NFC lease, which
/// gives access without a session.
fn shown_path(path_and_query: &str) -> std::borrow::Cow<'_, str> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    match path.strip_prefix("/nfc/").and_then(|rest| rest.split_once('/')) {
        Some((_, file)) => format!("/nfc/hidden/{file}").into(),
        None => path.into(),
    }
}

fn trace_body(what: &str, body: &Bytes) {
    if tracing::enabled!(tracing::Level::TRACE) {
        // Cut first: `redact` hides a secret that has lost its end.
        let text = String::from_utf8_lossy(&body[..body.len().min(MAX_BODY_SHOWN)]);
        tracing::trace!(bytes = body.len(), body = &*redact(&text), "{what}");
    }
}

#[cfg(test)]
mod tests;
