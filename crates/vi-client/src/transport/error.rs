//! Why an HTTP exchange failed.

use std::fmt;
use std::time::Duration;

use crate::tls::TlsFailure;

/// Why there is no usable reply. The variant says whose fault it is; each `Display` is one phrase that names the
/// endpoint as `host:port` and never a URL with its query.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The endpoint cannot be used as it is described; nothing was sent.
    #[error("cannot use {endpoint}: {problem}")]
    Setup {
        /// `host:port`.
        endpoint: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A name has no address. With a proxy this can be the proxy's name.
    #[error("cannot resolve host name {host:?}: {problem}")]
    Resolve {
        /// The name looked up.
        host: String,
        /// The resolver's words.
        problem: String,
    },
    /// Nobody listens there.
    #[error("{endpoint} refuses connections")]
    Refused {
        /// `host:port`.
        endpoint: String,
    },
    /// The connection failed in another way (no route, network down).
    #[error("cannot connect to {endpoint}: {problem}")]
    Connect {
        /// `host:port`.
        endpoint: String,
        /// The system's words.
        problem: String,
    },
    /// The server was silent for too long.
    #[error("{endpoint} {waiting} within {} s", after.as_secs_f32())]
    Timeout {
        /// `host:port`.
        endpoint: String,
        /// For what was waited.
        waiting: Waiting,
        /// The bound that was reached.
        after: Duration,
    },
    /// No secure connection: usually the certificate.
    #[error("TLS with {endpoint} failed: {reason}")]
    Tls {
        /// `host:port`.
        endpoint: String,
        /// What is wrong.
        reason: TlsFailure,
    },
    /// The proxy could not be reached or did not connect us.
    #[error("proxy {proxy} does not connect to {endpoint}: {problem}")]
    Proxy {
        /// `host:port` of the server wanted.
        endpoint: String,
        /// The proxy as a URL.
        proxy: String,
        /// What went wrong.
        problem: String,
    },
    /// The server closed the connection before the reply was complete.
    #[error("{endpoint} closed the connection {stage}")]
    Closed {
        /// `host:port`.
        endpoint: String,
        /// How far the exchange had come.
        stage: CloseStage,
    },
    /// A status that carries no usable reply.
    #[error("{endpoint} answered {method} {path} with HTTP status {status}{}", reason_phrase(*status))]
    Status {
        /// `host:port`.
        endpoint: String,
        /// `POST` or `GET`.
        method: &'static str,
        /// The path without its query.
        path: String,
        /// The status.
        status: u16,
        /// `Retry-After` in seconds, if the server gave one.
        retry_after: Option<Duration>,
    },
    /// The server points elsewhere; redirects are not followed.
    #[error("{endpoint} redirects {path} to {target:?} (HTTP status {status})")]
    Redirect {
        /// `host:port`.
        endpoint: String,
        /// The path asked for, without its query.
        path: String,
        /// The status, 301 for example.
        status: u16,
        /// Where to, in the server's words.
        target: String,
    },
    /// The reply has more bytes than allowed.
    #[error("the reply of {endpoint} is larger than {limit} bytes")]
    TooLarge {
        /// `host:port`.
        endpoint: String,
        /// The bound.
        limit: u64,
    },
    /// What came back is not HTTP, or cannot be decompressed.
    #[error("{endpoint} sent a malformed reply: {problem}")]
    BadContent {
        /// `host:port`.
        endpoint: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A failure of none of these kinds.
    #[error("the exchange with {endpoint} failed: {problem}")]
    Other {
        /// `host:port`.
        endpoint: String,
        /// The HTTP library's words.
        problem: String,
    },
}

impl TransportError {
    /// Whether the server surely did not act on the request, because no connection to it came about.
    pub fn is_before_send(&self) -> bool {
        match self {
            Self::Setup { .. }
            | Self::Resolve { .. }
            | Self::Refused { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Proxy { .. }
            | Self::Timeout { waiting: Waiting::Connection, .. }
            | Self::Closed { stage: CloseStage::Connecting, .. } => true,
            Self::Timeout { .. }
            | Self::Closed { .. }
            | Self::Status { .. }
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::BadContent { .. }
            | Self::Other { .. } => false,
        }
    }
}

/// What a timeout was waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// TCP, proxy and TLS.
    Connection,
    /// The head of the reply.
    Reply,
    /// More of the body.
    Content,
    /// The end of a call that goes on and on.
    Call,
    /// The end of everything: the time for the whole connection is over.
    Total,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "did not accept a connection",
            Self::Reply => "did not reply",
            Self::Content => "sent no more of its reply",
            Self::Call => "did not complete its reply",
            Self::Total => "did not do everything that was asked of it",
        })
    }
}

/// How far an exchange had come when the server hung up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseStage {
    /// While TLS or the proxy was being set up.
    Connecting,
    /// Before the head of the reply was complete: the request may or may not have been acted upon.
    BeforeReply,
    /// In the middle of the body.
    InReply,
}

impl fmt::Display for CloseStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "while it was being set up",
            Self::BeforeReply => "before replying",
            Self::InReply => "in the middle of its reply",
        })
    }
}

fn reason_phrase(status: u16) -> String {
    let reason = reqwest::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
    reason.map_or(String::new(), |reason| format!(" ({reason})"))
}

/// The innermost error that says something, for messages that are one phrase.
pub(super) fn phrase(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let words = inner.to_string();
        if !words.is_empty() && !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = inner.source();
    }
    text
}
