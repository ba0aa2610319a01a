//! The client's half: calls to bytes and replies to values, from the same layouts.

use virt_api::{Error, ErrorCode, ErrorDomain};

use crate::error::WireError;
use crate::frame::{Header, Packet, PacketType, Status};
use crate::procedure::Layout;
use crate::xdr;

/// A call with these arguments.
///
/// # Errors
/// If they do not fit their layout.
pub fn call<L: Layout>(serial: u32, args: &L::Args) -> xdr::Result<Packet> {
    let header = Header::remote(L::PROCEDURE.number(), PacketType::Call, serial, Status::Ok);
    Ok(Packet::new(header, xdr::to_bytes(args)?))
}

/// What the reply to such a call says.
///
/// # Errors
/// The server's error; `VIR_ERR_RPC` if the packet is no reply to this procedure.
pub fn reply<L: Layout>(packet: &Packet) -> Result<L::Reply, Error> {
    if packet.header.kind != PacketType::Reply || packet.header.procedure != L::PROCEDURE.number() {
        let message = format!("no reply to {}", L::PROCEDURE.function());
        return Err(Error::new(ErrorCode::Rpc, ErrorDomain::Rpc, message));
    }
    let unreadable = |error: xdr::XdrError| {
        let message = format!("cannot read the reply to {}", L::PROCEDURE.function());
        Error::new(ErrorCode::Rpc, ErrorDomain::Rpc, message).with_source(error)
    };
    match packet.header.status {
        Status::Ok => Ok(xdr::from_bytes(&packet.payload).map_err(unreadable)?.0),
        _ => Err(error(packet).map_err(unreadable)?),
    }
}

/// The error in a reply or a stream packet with status error.
///
/// # Errors
/// If the payload is none.
pub fn error(packet: &Packet) -> xdr::Result<Error> {
    Ok(xdr::from_bytes::<WireError>(&packet.payload)?.0.into_error())
}
