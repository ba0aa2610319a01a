//! What a client costs by itself: a server that looks nothing up. `virsh list --all` asks it as it asks `virtesxd`, and is answered with packets of the
//! same sizes that were made before, from one thread that blocks: what is left is the client's and the system's.
//!
//! `cargo run --release -p virtesxd --example floor -- SOCKET MACHINES [spin]`, then
//! `virsh -c 'esx+unix:///floor?socket=SOCKET' list --all`. With `spin` the thread never sleeps, which shows what waking it takes.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};

use uuid::Uuid;
use virt_api::{Domain, DomainState, DomainStateReason, Error};
use virt_rpc::dispatch::error_reply;
use virt_rpc::frame::{FrameDecoder, Packet, Status};
use virt_rpc::procedure::{Layout, Procedure, call};
use virt_rpc::types::StateAndReason;
use virt_rpc::xdr::{self, Xdr};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, machines, rest @ ..] = &arguments[..] else {
        anyhow::bail!("floor SOCKET MACHINES [spin]");
    };
    let machines: Vec<Domain> = (1..=machines.parse()?).map(machine).collect();
    let count = u32::try_from(machines.len())?;
    let list = bytes::<call::ConnectListAllDomains>(&(machines.into(), count))?;
    let state =
        bytes::<call::DomainGetState>(&StateAndReason(DomainState::Shutoff, DomainStateReason(0)))?;
    for stream in UnixListener::bind(socket)?.incoming() {
        let mut stream = stream?;
        stream.set_nonblocking(!rest.is_empty())?;
        let mut decoder = FrameDecoder::default();
        while let Some(packet) = next(&mut stream, &mut decoder)? {
            let payload = match Procedure::of(&packet.header) {
                Some(Procedure::DomainGetState) => state.clone(),
                Some(Procedure::ConnectListAllDomains) => list.clone(),
                Some(Procedure::AuthList) => bytes::<call::AuthList>(&vec![0].into())?,
                Some(Procedure::ConnectSupportsFeature) => {
                    bytes::<call::ConnectSupportsFeature>(&true)?
                }
                Some(
                    Procedure::ConnectOpen
                    | Procedure::ConnectClose
                    | Procedure::ConnectRegisterCloseCallback
                    | Procedure::ConnectUnregisterCloseCallback,
                ) => Vec::new(),
                _ => {
                    let error = error_reply(&packet, &Error::no_support("this"));
                    send(&mut stream, &error.to_bytes()?)?;
                    continue;
                }
            };
            let reply = Packet::new(packet.header.reply(Status::Ok), payload);
            send(&mut stream, &reply.to_bytes()?)?;
        }
    }
    Ok(())
}

fn machine(number: u32) -> Domain {
    Domain { name: format!("vm-{number:05}"), uuid: Uuid::from_u128(number.into()), id: None }
}

fn bytes<L: Layout>(reply: &L::Reply) -> anyhow::Result<Vec<u8>>
where
    L::Reply: Xdr,
{
    Ok(xdr::to_bytes(reply)?)
}

/// The client's next packet; `None` if it has gone.
fn next(stream: &mut UnixStream, decoder: &mut FrameDecoder) -> anyhow::Result<Option<Packet>> {
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(packet) = decoder.next_packet()? {
            return Ok(Some(packet));
        }
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(read) => decoder.push(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::hint::spin_loop(),
            Err(error) => return Err(error.into()),
        }
    }
}

fn send(stream: &mut UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::hint::spin_loop(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
