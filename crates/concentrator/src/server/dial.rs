//! Ports in direction client: the concentrator dials for the machine (spec 13: only what was allowed, never itself).

use std::{sync::Arc, time::Duration};

use esx_vspc::{Mode, PortKey, uri};
use tokio::net::TcpStream;

use super::{console, shared::Shared, stream::tune};
const CONNECT: Duration = Duration::from_secs(10);

/// Dials the remote system of a port and attaches it. A failure is told in the log: the machine can do nothing about it.
pub(super) async fn dial(shared: Arc<Shared>, port: PortKey, service_uri: String) {
    let stream = match connect(&shared, &service_uri).await {
        Ok(stream) => stream,
        Err(why) => {
            let uri = esx_vspc::identity::printable_uri(&service_uri);
            return tracing::warn!(%port, uri, why, "not dialled");
        }
    };
    if let Err(error) = tune(&stream) {
        tracing::debug!(%error, "a socket cannot be set up");
    }
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
    let allowed: Vec<_> = found.filter(|address| (shared.may_be_dialled)(*address)).collect();
    if allowed.is_empty() {
        return Err("it leads to an address that is never dialled".to_owned());
    }
    tokio::time::timeout(CONNECT, TcpStream::connect(&allowed[..]))
        .await
        .map_err(|_| "it does not answer".to_owned())?
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use esx_vspc::{Direction, Machine, MachineConfig, MachineEvent};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::server::{Settings, accept_machines};

    const LONG: Duration = Duration::from_secs(60);

    /// A machine whose guest echoes, until the concentrator closes.
    async fn echo(mut stream: TcpStream, mut machine: Machine) -> std::io::Result<()> {
        let mut space = [0; 1024];
        loop {
            while let Some(event) = machine.next_event() {
                if let MachineEvent::Data(data) = event {
                    machine.write(&data);
                }
            }
            stream.write_all(&machine.take_output()).await?;
            match stream.read(&mut space).await? {
                0 => return Ok(()),
                length => machine.receive(&space[..length]).map_err(std::io::Error::other)?,
            }
        }
    }

    /// What is not dialled is in `tests/server.rs`. Here loopback is, which nobody can allow from outside.
    #[tokio::test]
    async fn a_remote_system_is_dialled_and_attached() {
        let remote = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = format!("tcp://{}", remote.local_addr().unwrap());
        let dial = vec![remote.local_addr().unwrap().to_string()];
        let mut shared = Shared::new(Settings { dial, ..Settings::default() }, None, None);
        Arc::get_mut(&mut shared).unwrap().may_be_dialled = |_| true;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let machines = listener.local_addr().unwrap();
        let server = tokio::spawn(accept_machines(Arc::clone(&shared), listener, false));
        let config = MachineConfig {
            direction: Direction::Client,
            service_uri: format!("{service}?port=1"),
            name: "machine".to_owned(),
            uuid: "00 11 22 33 44 55 66 77-88 99 aa bb cc dd ee ff".to_owned(),
            ..MachineConfig::default()
        };
        let connect = || {
            let machine = Machine::dial(config.clone());
            tokio::spawn(async move { echo(TcpStream::connect(machines).await?, machine).await })
        };
        let before = connect();
        let (mut first, _) = tokio::time::timeout(LONG, remote.accept()).await.unwrap().unwrap();
        // The machine connects anew: the remote system is dialled anew, and the line before ends.
        let machine = connect();
        let mut rest = Vec::new();
        tokio::time::timeout(LONG, first.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert_eq!(rest, []);
        tokio::time::timeout(LONG, before).await.unwrap().unwrap().unwrap();
        let (mut system, _) = tokio::time::timeout(LONG, remote.accept()).await.unwrap().unwrap();
        // All values, and those that telnet doubles: the remote system sees bare bytes.
        let bytes: Vec<u8> = (0..=255).chain([255; 4]).collect();
        system.write_all(&bytes).await.unwrap();
        let mut heard = vec![0; bytes.len()];
        tokio::time::timeout(LONG, system.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(heard, bytes);
        // It is a client like others, and leaves nothing behind.
        let clients =
            || shared.with(|inner, _| inner.table.ports().map(|p| p.clients).sum::<usize>());
        assert_eq!(clients(), 1);
        drop(system);
        tokio::time::timeout(LONG, async {
            while clients() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        assert!(!machine.is_finished(), "the machine stays connected");
        machine.abort();
        server.abort();
    }
}
