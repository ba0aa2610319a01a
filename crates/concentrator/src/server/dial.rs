//! Ports in direction client: the concentrator dials for the machine (spec 13: only what was allowed, never itself).

use std::{sync::Arc, time::Duration};

use esx_vspc::{Mode, PortKey, uri};
use tokio::net::TcpStream;

use super::{console, shared::Shared};
use crate::address::may_be_dialled;

const CONNECT: Duration = Duration::from_secs(10);

/// Dials the remote system of a port and attaches it. A failure is told in the log: the machine can do nothing about it.
pub(super) async fn dial(shared: Arc<Shared>, port: PortKey, service_uri: String) {
    let stream = match connect(&shared, &service_uri).await {
        Ok(stream) => stream,
        Err(why) => {
            let uri = esx_vspc::identity::printable(&service_uri);
            return tracing::warn!(%port, uri, why, "not dialled");
        }
    };
    match shared.with(|inner, _| inner.table.attach(&port, Mode::Shared)) {
        Ok(id) => console::raw(&shared, id, stream).await,
        Err(why) => tracing::warn!(%port, %why, "not attached"),
    }
}

async fn connect(shared: &Shared, service_uri: &str) -> Result<TcpStream, String> {
    let service = service_uri.split_once('?').map_or(service_uri, |(service, _)| service);
    let parsed = uri::PortUri::parse_service(service, true).map_err(|error| error.to_string())?;
    if parsed.transport != uri::Transport::Tcp {
        return Err("only tcp is dialled".to_owned());
    }
    let authority = parsed.authority();
    if !shared.settings.dial.contains(&authority) {
        return Err("it is not in the list of what may be dialled".to_owned());
    }
    let found = tokio::net::lookup_host(&authority).await.map_err(|error| error.to_string())?;
    // The name may lead anywhere: what counts is where it leads now.
    let allowed: Vec<_> = found.filter(|address| may_be_dialled(*address)).collect();
    if allowed.is_empty() {
        return Err("it leads to an address that is never dialled".to_owned());
    }
    tokio::time::timeout(CONNECT, TcpStream::connect(&allowed[..]))
        .await
        .map_err(|_| "it does not answer".to_owned())?
        .map_err(|error| error.to_string())
}
