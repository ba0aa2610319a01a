//! From reqwest's error, whose meaning lies in its chain of sources, to ours.

use std::error::Error as StdError;
use std::io;

use super::error::{CloseStage, TransportError, Waiting, phrase};
use super::resolver::ResolveFailure;
use crate::endpoint::Endpoint;
use crate::tls;

type Link<'a> = &'a (dyn StdError + 'static);

/// Says who is at fault. `stage` is where the exchange stood when the error came up.
pub(super) fn classify(
    endpoint: &Endpoint,
    error: reqwest::Error,
    stage: CloseStage,
) -> TransportError {
    // The URL's query does not belong into messages.
    let error = error.without_url();
    let name = endpoint.to_string();
    if let Some(failure) = find::<ResolveFailure>(&error) {
        let (host, problem) = (failure.host.clone(), failure.problem.clone());
        return TransportError::Resolve { host, problem };
    }
    if let Some(failure) = find::<rustls::Error>(&error) {
        return TransportError::Tls { endpoint: name, reason: tls::failure(failure) };
    }
    if error.is_connect() {
        return connect_error(endpoint, &error);
    }
    if error.is_timeout() {
        // Only the operating system's own timeout is left here; ours are reported where they are set.
        return TransportError::Closed { endpoint: name, stage };
    }
    let hyper = find::<hyper::Error>(&error);
    if hyper.is_some_and(|error| {
        error.is_incomplete_message() || error.is_canceled() || error.is_closed()
    }) {
        return TransportError::Closed { endpoint: name, stage };
    }
    if hyper.is_some_and(hyper::Error::is_parse) {
        return TransportError::BadContent { endpoint: name, problem: last_words(&error) };
    }
    // Without hyper in the chain the error is the decompressor's, whose "unexpected end" is not the connection's.
    if hyper.is_some() && io_kind(&error).is_some_and(is_close) {
        return TransportError::Closed { endpoint: name, stage };
    }
    if error.is_decode() || error.is_body() {
        return TransportError::BadContent { endpoint: name, problem: last_words(&error) };
    }
    TransportError::Other { endpoint: name, problem: phrase(&error) }
}

fn connect_error(endpoint: &Endpoint, error: &reqwest::Error) -> TransportError {
    let name = endpoint.to_string();
    if error.is_timeout() && io_kind(error).is_none() {
        let (waiting, after) = (Waiting::Connection, endpoint.timeouts.connect);
        return TransportError::Timeout { endpoint: name, waiting, after };
    }
    if let Some(proxy) = &endpoint.proxy {
        let problem = match io_kind(error) {
            Some(io::ErrorKind::ConnectionRefused) => "it refuses connections".to_owned(),
            _ => last_words(error),
        };
        return TransportError::Proxy { endpoint: name, proxy: proxy.to_string(), problem };
    }
    match io_kind(error) {
        Some(io::ErrorKind::ConnectionRefused) => TransportError::Refused { endpoint: name },
        Some(kind) if is_close(kind) => {
            TransportError::Closed { endpoint: name, stage: CloseStage::Connecting }
        }
        _ => TransportError::Connect { endpoint: name, problem: last_words(error) },
    }
}

fn is_close(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
    )
}

/// The error and everything below it. `io::Error` hides what it wraps from `source`, so it is opened by hand.
fn chain<'a>(error: Link<'a>) -> impl Iterator<Item = Link<'a>> {
    std::iter::successors(Some(error), |link: &Link<'a>| {
        let link: Link<'a> = *link;
        let wrapped = link.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped {
            Some(inner) => Some(inner as Link<'a>),
            None => link.source(),
        }
    })
}

fn find<'a, T: StdError + 'static>(error: Link<'a>) -> Option<&'a T> {
    chain(error).find_map(|link| link.downcast_ref::<T>())
}

/// The kind of the innermost `io::Error`.
fn io_kind(error: Link<'_>) -> Option<io::ErrorKind> {
    chain(error).filter_map(|link| link.downcast_ref::<io::Error>()).last().map(io::Error::kind)
}

/// The innermost error's text: the layers above say only "error sending request" and the like.
fn last_words(error: Link<'_>) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}
