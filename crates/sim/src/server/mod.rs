//! The shell around the model: connections, HTTP, the clock and the journal. It decides nothing about the API.

mod body;
mod folder;
mod gzip;
mod nfc;
mod outflow;
mod screen;
pub(crate) mod serial;
mod soap;
pub(crate) mod tls;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, LOCATION, RANGE, RETRY_AFTER,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub use self::body::TransferStats;
pub(crate) use self::body::Transfers;
use self::body::{Hangup, ReplyBody};
use self::outflow::{Outflow, Told};
use crate::model::{Model, Timestamp};

/// The longest request that is read.
const MAX_BODY: usize = 16 << 20;
/// How many requests the journal remembers: a simulator may run for days.
const MAX_JOURNAL: usize = 100_000;
/// The name of the session cookie.
const SESSION_COOKIE: &str = "vmware_soap_session";

/// A request that was answered.
#[derive(Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// The SOAP method, or the HTTP method and path.
    pub method: String,
    /// The key of the session that it was sent in (`UserSession.key`, not the cookie).
    pub session: Option<String>,
    /// The header `SOAPAction`, as it was sent.
    pub soap_action: Option<String>,
    /// The header `Range`, as it was sent.
    pub range: Option<String>,
    /// The HTTP status of the answer; 0 if the connection was broken in place of one.
    pub status: u16,
    /// The size of the request's body.
    pub bytes_in: u64,
    /// The size of the answer's body, as it was announced.
    pub bytes_out: u64,
    /// The request's body, if bodies are recorded.
    pub body: Option<Bytes>,
}

impl fmt::Debug for JournalEntry {
    /// Without the body, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalEntry")
            .field("method", &self.method)
            .field("session", &self.session)
            .field("soap_action", &self.soap_action)
            .field("range", &self.range)
            .field("status", &self.status)
            .field("bytes_in", &self.bytes_in)
            .field("bytes_out", &self.bytes_out)
            .finish_non_exhaustive()
    }
}

/// The newest requests, and how many there were.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) entries: VecDeque<JournalEntry>,
    pub(crate) count: usize,
}

impl Journal {
    fn push(&mut self, entry: JournalEntry) {
        if self.entries.len() == MAX_JOURNAL {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.count += 1;
    }
}

/// A request that has arrived, as a plan sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// How many arrived before it.
    pub number: u64,
    /// The HTTP method and path.
    pub line: String,
    /// The SOAP method, if it is a SOAP request that can be read.
    pub method: Option<String>,
    /// The query, as it was sent.
    pub query: Option<String>,
    /// The header `Range`, as it was sent.
    pub range: Option<String>,
}

/// What becomes of the body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyChange {
    /// It ends in the middle; the length in the head is that of what is sent.
    Truncate,
    /// A tag in the middle is no tag.
    Corrupt,
    /// The same in front of this text, if the answer holds it: an object that spoils whatever tells of it.
    CorruptAt(String),
    /// It stays, but the head calls it something else.
    ContentType(String),
    /// It is compressed.
    Gzip,
}

/// What a plan wants to happen to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reaction {
    /// It is served.
    Serve,
    /// It is answered with this HTTP status, and the seconds after which to try again.
    Refuse {
        /// The status, for example 503.
        status: u16,
        /// The header `Retry-After`.
        retry_after: Option<u32>,
    },
    /// It is sent elsewhere, with status 302.
    Redirect {
        /// The header `Location`.
        location: String,
    },
    /// All sessions are ended, then it is served: as if the server had been restarted just before.
    ExpireSessions,
    /// It is served as if it had no header `Range`.
    IgnoreRange,
    /// As [`IgnoreRange`](Self::IgnoreRange), and the connection breaks after so many bytes of the whole.
    CutWhole {
        /// Bytes of the body that are sent.
        after: u64,
    },
    /// It is served, but the connection breaks after so many bytes of the answer's body.
    CutAnswer {
        /// Bytes of the body that are sent.
        after: u64,
    },
    /// It is served, but after so many bytes of the answer's body nothing more comes; the connection stays open.
    StallAnswer {
        /// Bytes of the body that are sent.
        after: u64,
    },
    /// The connection breaks after so many bytes of the request's body. An upload leaves what has arrived; other requests
    /// are not served.
    CutRequest {
        /// Bytes of the body that are read.
        after: u64,
    },
    /// It is served, but the connection breaks after so many bytes of the answer's head.
    CutHead {
        /// Bytes of the head that are sent.
        after: u64,
    },
    /// It is served, but the answer begins so late.
    DelayAnswer {
        /// How late; the greatest duration means never.
        by: Duration,
    },
    /// It is served, but the answer's body comes in small pieces with pauses.
    DripAnswer {
        /// The pause before each.
        pause: Duration,
    },
    /// It is served, and the answer never ends.
    EndlessAnswer,
    /// It is served, and the answer's body is changed.
    Change(BodyChange),
    /// It is served with what the last `WaitForUpdatesEx` that told something was answered with, if there was one.
    RepeatUpdates,
    /// As [`RepeatUpdates`](Self::RepeatUpdates), but at once, and each answer says that the rest follows in the next.
    EndlessUpdates,
    /// Tasks make no progress from then on; it is served.
    HoldTasks,
    /// All sessions are ended and the connection breaks before it is served.
    Restart,
    /// The connection breaks in place of an answer.
    Hangup {
        /// Whether the request is served before.
        served: bool,
    },
}

/// Decides about each request.
pub(crate) type Plan = Arc<dyn Fn(&Arrival) -> Reaction + Send + Sync>;

/// What all connections share.
pub(crate) struct Shared {
    model: Mutex<Model>,
    journal: Mutex<Journal>,
    /// The generation of the model; those who wait for updates watch it.
    pub(crate) generation: watch::Sender<u64>,
    /// How far the clock was put forward, in milliseconds.
    clock_ahead: AtomicU64,
    arrivals: AtomicU64,
    tls: bool,
    plan: Mutex<Option<Plan>>,
    record_bodies: bool,
    pub(crate) transfers: Arc<Transfers>,
    /// The last answer to `WaitForUpdatesEx` that told something, kept while there is a plan.
    last_updates: Mutex<Option<Bytes>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(model: Model, tls: bool, plan: Option<Plan>, record_bodies: bool) -> Self {
        Self {
            generation: watch::Sender::new(model.generation()),
            model: Mutex::new(model),
            journal: Mutex::new(Journal::default()),
            clock_ahead: AtomicU64::new(0),
            arrivals: AtomicU64::new(0),
            tls,
            plan: Mutex::new(plan),
            record_bodies,
            transfers: Arc::default(),
            last_updates: Mutex::default(),
        }
    }

    /// The model. A panic in a test's closure must not stop the server: the model has no invariant that spans a lock.
    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan(&self) -> Option<Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_plan(&self, plan: Option<Plan>) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the model and wakes those who wait, if it has changed.
    pub(crate) fn with_model<T>(&self, work: impl FnOnce(&mut Model) -> T) -> T {
        let mut model = self.model();
        let before = model.generation();
        model.tick(self.now());
        let result = work(&mut model);
        let after = model.generation();
        drop(model);
        if after != before {
            self.generation.send_replace(after);
        }
        result
    }

    pub(crate) fn advance_clock(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.clock_ahead.fetch_add(millis, Ordering::SeqCst);
        // Whoever waits looks at the clock again.
        self.generation.send_modify(|_| {});
    }

    fn has_told_updates(&self) -> bool {
        self.last_updates.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Remembers an answer to `WaitForUpdatesEx`, or puts the remembered one in its place.
    fn repeat_updates(&self, response: &mut Response<ReplyBody>, reaction: &Reaction) {
        let mut last = self.last_updates.lock().unwrap_or_else(PoisonError::into_inner);
        let endless = *reaction == Reaction::EndlessUpdates;
        match &*last {
            Some(body) if endless || *reaction == Reaction::RepeatUpdates => {
                *response.body_mut() = body.clone().into();
            }
            _ => {
                let told = |body: &Bytes| body.windows(9).any(|part| part == b"filterSet");
                if let Some(body) = response.body().bytes().filter(told) {
                    *last = Some(body);
                }
            }
        }
        if endless && let Some(body) = response.body().bytes() {
            // The schema has the mark behind the changes.
            let text = String::from_utf8_lossy(&body);
            let more = text.replacen("</returnval>", "<truncated>true</truncated></returnval>", 1);
            *response.body_mut() = Bytes::from(more).into();
        }
    }

    fn now(&self) -> Timestamp {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(
            real.saturating_add(Duration::from_millis(self.clock_ahead.load(Ordering::SeqCst))),
        )
    }

    /// The header that gives a client its session.
    fn set_cookie(&self, cookie: &str) -> Option<HeaderValue> {
        let secure = if self.tls { "; Secure" } else { "" };
        HeaderValue::from_str(&format!("{SESSION_COOKIE}=\"{cookie}\"; Path=/; HttpOnly{secure}"))
            .ok()
    }
}

/// Accepts connections until `stopped` becomes true; then ends them all.
pub(crate) async fn serve(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = ended(&mut stopped) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, acceptor.clone(), Arc::clone(&shared)));
                }
                Err(error) => {
                    // Out of file handles, most likely: let some connections end.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}

/// Waits until the owner has said so, or has gone.
async fn ended(stopped: &mut watch::Receiver<bool>) {
    // The guard inside the result must not live across another await.
    drop(stopped.wait_for(|stopped| *stopped).await);
}

async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch off Nagle's algorithm");
    }
    match acceptor {
        None => http(stream, shared).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => http(stream, shared).await,
            Err(error) => tracing::debug!(%error, "TLS handshake failed"),
        },
    }
}

async fn http<S: AsyncRead + AsyncWrite + Unpin>(stream: S, shared: Arc<Shared>) {
    let outflow = Arc::new(Outflow::default());
    let stream = Told { stream, outflow: Arc::clone(&outflow) };
    let service = service_fn(move |request| {
        let (shared, outflow) = (Arc::clone(&shared), Arc::clone(&outflow));
        async move { respond(&shared, outflow, request).await }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended early");
    }
}

/// An answer before it is sent, with what the journal wants to know.
struct Reply {
    response: Response<ReplyBody>,
    method: String,
    session: Option<String>,
}

impl Reply {
    /// An answer to a request that needs no session and is named by its line.
    fn of(response: Response<ReplyBody>) -> Self {
        Self { response, method: String::new(), session: None }
    }
}

async fn respond(
    shared: &Shared,
    outflow: Arc<Outflow>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Hangup> {
    let line = format!("{} {}", request.method(), request.uri().path());
    let number = shared.arrivals.fetch_add(1, Ordering::SeqCst);
    let (mut parts, body) = request.into_parts();
    let header = |name: &str| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let soap_action = header("SOAPAction");
    let range = header("Range");
    let upload = parts.method == Method::PUT && is_folder(parts.uri.path());
    // A file is taken as it comes; everything else is looked at before anything is decided.
    let (mut file, mut small) = (None, Bytes::new());
    if upload {
        file = Some(body);
    } else {
        small = match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                tracing::debug!(error, "unreadable request");
                let text = "request too large or cut off";
                return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, text));
            }
        };
    }
    let mut entry = JournalEntry {
        method: String::new(),
        session: None,
        soap_action,
        range: range.clone(),
        status: 0,
        bytes_in: small.len() as u64,
        bytes_out: 0,
        body: (shared.record_bodies && !upload).then(|| small.clone()),
    };
    let mut named = None;
    let reaction = match shared.plan() {
        Some(plan) => {
            named = is_sdk(parts.uri.path()).then(|| soap::method(&small)).flatten();
            plan(&Arrival {
                number,
                line: line.clone(),
                method: named.clone(),
                query: parts.uri.query().map(str::to_owned),
                range,
            })
        }
        None => Reaction::Serve,
    };
    // Whoever hangs up tells the journal, too.
    let hang_up = |entry: JournalEntry, method: String| {
        let method =
            if method.is_empty() { named.clone().unwrap_or_else(|| line.clone()) } else { method };
        tracing::debug!(method, "hung up");
        shared.journal().push(JournalEntry { method, ..entry });
        Err(Hangup)
    };
    let mut delay = Duration::ZERO;
    let reply = match reaction {
        Reaction::Refuse { .. }
        | Reaction::Redirect { .. }
        | Reaction::Restart
        | Reaction::Hangup { served: false } => {
            if reaction == Reaction::Restart {
                shared.with_model(Model::expire_sessions);
            }
            if let Some(file) = file {
                entry.bytes_in = drain(file).await;
            }
            Reply::of(match &reaction {
                Reaction::Refuse { status, retry_after } => refuse(*status, *retry_after),
                Reaction::Redirect { location } => redirect(location),
                _ => return hang_up(entry, String::new()),
            })
        }
        _ => {
            match reaction {
                Reaction::ExpireSessions => shared.with_model(Model::expire_sessions),
                Reaction::HoldTasks => shared.with_model(Model::hold_tasks),
                Reaction::IgnoreRange | Reaction::CutWhole { .. } => {
                    parts.headers.remove(RANGE);
                }
                _ => {}
            }
            let cut = match reaction {
                Reaction::CutRequest { after } => Some(after),
                _ => None,
            };
            let reply = if let Some(file) = file {
                match folder::put(shared, &parts, file, cut, &mut entry.bytes_in).await {
                    Ok(reply) => reply,
                    Err(Hangup) => return hang_up(entry, String::new()),
                }
            } else if cut.is_some() {
                return hang_up(entry, String::new());
            } else if reaction == Reaction::EndlessUpdates && shared.has_told_updates() {
                // Nothing is waited for.
                let response = xml(StatusCode::OK, String::new());
                Reply { response, method: named.clone().unwrap_or_default(), session: None }
            } else {
                route(
                    shared,
                    &parts.method,
                    parts.uri.path(),
                    parts.uri.query(),
                    &parts.headers,
                    small,
                )
                .await
            };
            let Reply { mut response, method, session } = reply;
            if named.is_some() && method == "WaitForUpdatesEx" {
                shared.repeat_updates(&mut response, &reaction);
            }
            if matches!(reaction, Reaction::Hangup { .. }) {
                return hang_up(JournalEntry { session, ..entry }, method);
            }
            delay = spoil(&mut response, reaction, outflow);
            Reply { response, method, session }
        }
    };
    let method = if reply.method.is_empty() { line } else { reply.method };
    let bytes_out = match reply.response.body().left() {
        // Nobody knows yet.
        u64::MAX => 0,
        left => left,
    };
    let status = reply.response.status().as_u16();
    tracing::debug!(method, status, bytes_out, "answered");
    shared.journal().push(JournalEntry {
        method,
        session: reply.session,
        status,
        bytes_out,
        ..entry
    });
    if delay == Duration::MAX {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(delay).await;
    Ok(reply.response)
}

fn is_sdk(path: &str) -> bool {
    matches!(path, "/sdk" | "/sdk/")
}

/// Does to an answer what the plan wants; returns how late it is to begin.
fn spoil(
    response: &mut Response<ReplyBody>,
    reaction: Reaction,
    outflow: Arc<Outflow>,
) -> Duration {
    match reaction {
        Reaction::CutAnswer { after } | Reaction::CutWhole { after } => {
            response.body_mut().cut(after, outflow);
        }
        Reaction::StallAnswer { after } => response.body_mut().stall(after),
        Reaction::CutHead { after } => outflow.break_after(after),
        Reaction::DripAnswer { pause } => response.body_mut().drip(pause),
        Reaction::EndlessAnswer => response.body_mut().never_end(),
        Reaction::DelayAnswer { by } => return by,
        Reaction::Change(BodyChange::ContentType(kind)) => {
            if let Ok(kind) = HeaderValue::from_str(&kind) {
                response.headers_mut().insert(CONTENT_TYPE, kind);
            }
        }
        Reaction::Change(change) => {
            let Some(body) = response.body().bytes() else { return Duration::ZERO };
            let middle = match change {
                // In the text of the innermost elements, not in an attribute that nobody reads.
                BodyChange::CorruptAt(ref text) => {
                    let found =
                        body.windows(text.len().max(1)).position(|at| at == text.as_bytes());
                    let Some(found) = found else { return Duration::ZERO };
                    found
                }
                BodyChange::Corrupt => {
                    let ends = (0..body.len()).rev().filter(|at| body[*at..].starts_with(b"</"));
                    ends.take(3).last().unwrap_or(body.len() / 2)
                }
                _ => body.len() / 2,
            };
            let changed: Vec<u8> = match change {
                BodyChange::Truncate => body[..middle].to_vec(),
                BodyChange::Corrupt | BodyChange::CorruptAt(_) => {
                    [&body[..middle], b"<<&\x01>", &body[middle..]].concat()
                }
                BodyChange::Gzip => {
                    let gzip = HeaderValue::from_static("gzip");
                    response.headers_mut().insert(CONTENT_ENCODING, gzip);
                    gzip::stored(&body)
                }
                BodyChange::ContentType(_) => body.to_vec(),
            };
            *response.body_mut() = changed.into();
        }
        _ => {}
    }
    Duration::ZERO
}

/// Reads a body to its end, or to where it breaks off, and forgets it.
async fn drain(mut body: Incoming) -> u64 {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    bytes
}

fn is_folder(path: &str) -> bool {
    path == "/folder" || path.starts_with("/folder/")
}

async fn route(
    shared: &Shared,
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Bytes,
) -> Reply {
    let answered = Reply::of;
    match (method, path) {
        (&Method::POST, path) if is_sdk(path) => soap::post(shared, headers, &body).await,
        (&Method::GET, "/sdk/vimServiceVersions.xml") => {
            let version = shared.model().api_version();
            answered(xml(StatusCode::OK, soap::versions(version)))
        }
        (_, path) if is_sdk(path) => {
            answered(plain(StatusCode::METHOD_NOT_ALLOWED, "POST a SOAP request here"))
        }
        (&Method::GET, "/screen") => screen::serve(shared, query, headers),
        (_, path) if nfc::is_nfc(path) => nfc::serve(shared, method, path),
        (_, path) if is_folder(path) => folder::serve(shared, method, path, query, headers),
        (&Method::GET, "/") => answered(plain(
            StatusCode::OK,
            "A simulated host. SOAP is at /sdk, files are at /folder.\n",
        )),
        _ => answered(plain(StatusCode::NOT_FOUND, "not found\n")),
    }
}

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<ReplyBody>,
) -> Response<ReplyBody> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<ReplyBody> {
    response(status, "text/plain; charset=utf-8", text)
}

fn xml(status: StatusCode, text: String) -> Response<ReplyBody> {
    response(status, "text/xml; charset=utf-8", text)
}

fn refuse(status: u16, retry_after: Option<u32>) -> Response<ReplyBody> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = plain(status, "refused by plan\n");
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn redirect(location: &str) -> Response<ReplyBody> {
    let mut response = plain(StatusCode::FOUND, "elsewhere\n");
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The value of the session cookie, without its quotes.
fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == SESSION_COOKIE)
        .map(|(_, value)| value.trim_matches('"'))
}
