//! Serial ports behind a concentrator: the running machines' own ends of them, with guests that ask for a login and echo.
//!
//! A host dials the proxy of each such port of a machine that runs; this one dials loopback addresses only, over `telnet`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use esx_vi_api::MoRef;
use esx_vspc::uri::{PortUri, Transport};
use esx_vspc::{Direction, Machine, MachineConfig, MachineEvent, MachineId, UuidKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::{Shared, ended};
use crate::model::{Model, PowerState, Serial};

/// How long a host waits before it dials again. Real ones' intervals are not known.
const AGAIN: Duration = Duration::from_secs(1);

/// Which port of which machine.
type Key = (MoRef, u8);

/// A port that should be connected.
#[derive(Clone, PartialEq, Eq)]
struct Wanted {
    proxy: SocketAddr,
    name: String,
    service: String,
    server: bool,
    instance: Uuid,
    bios: Uuid,
}

/// Keeps the ports of running machines connected until the service ends.
pub(crate) async fn run(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut changes = shared.generation.subscribe();
    let mut connected: HashMap<Key, (Wanted, AbortHandle)> = HashMap::new();
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let wanted = shared.with_model(|model| wanted(model));
        connected.retain(|key, (now, task)| {
            let stays = wanted.get(key) == Some(now);
            if !stays {
                task.abort();
            }
            stays
        });
        for (key, port) in wanted {
            connected.entry(key).or_insert_with(|| (port.clone(), tasks.spawn(keep(port))));
        }
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = ended(&mut stopped) => return,
        }
    }
}

fn wanted(model: &Model) -> HashMap<Key, Wanted> {
    let mut wanted = HashMap::new();
    for machine in model.every_machine().filter(|m| m.power == PowerState::PoweredOn) {
        for port in &machine.serials {
            let Serial::Network { uri, server, proxy: Some(proxy) } = &port.backing else {
                continue;
            };
            let Some(proxy) = reachable(proxy) else { continue };
            let port_of = Wanted {
                proxy,
                name: machine.name.clone(),
                service: uri.clone(),
                server: *server,
                instance: machine.instance_uuid,
                bios: machine.bios_uuid,
            };
            wanted.insert((machine.moref.clone(), port.number), port_of);
        }
    }
    wanted
}

/// The address of a proxy, if it is on this machine and needs no TLS.
fn reachable(proxy: &str) -> Option<SocketAddr> {
    let uri = PortUri::parse_proxy(proxy).ok()?;
    let address: IpAddr = uri.host.parse().ok()?;
    (uri.transport == Transport::Telnet && uri.parameters.is_empty() && address.is_loopback())
        .then(|| SocketAddr::new(address, uri.port))
}

async fn keep(port: Wanted) {
    loop {
        if let Err(error) = converse(&port).await {
            tracing::debug!(%error, "a serial port is not connected");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn converse(port: &Wanted) -> std::io::Result<()> {
    let vmx = |kind, uuid: Uuid| MachineId { kind, uuid: *uuid.as_bytes() }.to_vmx();
    let mut machine = Machine::dial(MachineConfig {
        direction: if port.server { Direction::Server } else { Direction::Client },
        service_uri: port.service.clone(),
        name: port.name.clone(),
        uuid: vmx(UuidKind::Instance, port.instance),
        bios_uuid: vmx(UuidKind::Bios, port.bios),
        ..MachineConfig::default()
    });
    let mut stream = TcpStream::connect(port.proxy).await?;
    stream.set_nodelay(true)?;
    let prompt = format!("\r\n{} login: ", port.name);
    let mut space = vec![0; 4096];
    loop {
        stream.write_all(&machine.take_output()).await?;
        let length = stream.read(&mut space).await?;
        if length == 0 {
            return Ok(());
        }
        machine.receive(&space[..length]).map_err(std::io::Error::other)?;
        while let Some(event) = machine.next_event() {
            match event {
                MachineEvent::Accepted => machine.write(prompt.as_bytes()),
                MachineEvent::Data(data) => {
                    for piece in data.split_inclusive(|byte| *byte == b'\r') {
                        machine.write(piece.strip_suffix(b"\r").unwrap_or(piece));
                        if piece.ends_with(b"\r") {
                            machine.write(prompt.as_bytes());
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_dialled() {
        for (proxy, address) in [
            ("telnet://127.0.0.1:13370", Some("127.0.0.1:13370")),
            ("TELNET://[::1]:1", Some("[::1]:1")),
            ("telnet://192.0.2.1:13370", None),
            ("telnet://localhost:13370", None),
            ("telnets://127.0.0.1:13370", None),
            ("telnet://127.0.0.1:13370#verify", None),
            ("vSPC.py", None),
        ] {
            assert_eq!(reachable(proxy), address.map(|a| a.parse().unwrap()), "{proxy}");
        }
    }
}
