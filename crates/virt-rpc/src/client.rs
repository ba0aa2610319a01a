//! The client's half: calls to bytes and replies to values, from the same layouts.

use virt_api::{Chunk, DomainEvent, Error, ErrorCode, ErrorDomain, Secret};

use crate::error::{WireError, without_opening};
use crate::frame::{Header, Packet, PacketType, REMOTE_PROGRAM, Status};
use crate::procedure::{Layout, Procedure};
use crate::session::event;
use crate::types::MAX_SASL;
use crate::xdr::{self, Chars, XdrError};

/// A call with these arguments.
///
/// # Errors
/// If they do not fit their layout.
pub fn call<L: Layout>(serial: u32, args: &L::Args) -> xdr::Result<Packet> {
    Ok(Packet::new(Header::call(L::PROCEDURE, serial), xdr::to_bytes(args)?))
}

/// What the reply to such a call says.
///
/// # Errors
/// The server's error; `VIR_ERR_RPC` if the packet is no reply to this procedure.
pub fn reply<L: Layout>(packet: &Packet) -> Result<L::Reply, Error> {
    let about = Procedure::of(&packet.header) == Some(L::PROCEDURE);
    if packet.header.kind != PacketType::Reply || !about {
        let message = format!("no reply to {}", L::PROCEDURE.function());
        return Err(Error::new(ErrorCode::Rpc, ErrorDomain::Rpc, message));
    }
    let unreadable = |error: XdrError| {
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

/// What a server tells without being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Something happened to a domain, and who registered for it hears of it.
    Event {
        /// The registration's number.
        callback: i32,
        /// What happened.
        event: DomainEvent,
    },
    /// The server has lost its host for good.
    HostGone,
}

/// What a message of the server says; `None` if it is none that a client of ours has registered for.
///
/// # Errors
/// If its payload cannot be read.
pub fn message(packet: &Packet) -> xdr::Result<Option<Message>> {
    let header = packet.header;
    if header.program != REMOTE_PROGRAM || header.kind != PacketType::Message {
        return Ok(None);
    }
    Ok(match event::decode(header.procedure, &packet.payload)? {
        Some(event::Decoded::Event(callback, event)) => Some(Message::Event { callback, event }),
        Some(event::Decoded::Closed) => Some(Message::HostGone),
        None => None,
    })
}

/// What a server sends on a stream.
#[derive(Debug)]
pub enum StreamOutput {
    /// More of a download.
    Chunk(Chunk),
    /// There is no more of it.
    End,
    /// The client's end or abort is taken note of: of an upload, everything is stored.
    Confirmed,
    /// The stream is broken; nothing follows.
    Broken(Error),
}

/// What a packet of a stream says.
///
/// # Errors
/// If it says nothing that a server may say.
pub fn stream(packet: &Packet) -> xdr::Result<StreamOutput> {
    let bad = |what, value: i64| Err(XdrError::BadValue { what, value });
    match (packet.header.kind, packet.header.status) {
        (PacketType::Stream, Status::Continue) if packet.payload.is_empty() => {
            Ok(StreamOutput::End)
        }
        (PacketType::Stream, Status::Continue) => {
            Ok(StreamOutput::Chunk(Chunk::Data(packet.payload.clone())))
        }
        (PacketType::StreamHole, Status::Continue) => {
            let ((length, _flags), _) = xdr::from_bytes::<(i64, u32)>(&packet.payload)?;
            match u64::try_from(length) {
                Ok(length) => Ok(StreamOutput::Chunk(Chunk::Hole(length))),
                Err(_) => bad("length of a hole", length),
            }
        }
        (PacketType::Stream, Status::Ok) => Ok(StreamOutput::Confirmed),
        (PacketType::Stream, Status::Error) => {
            Ok(StreamOutput::Broken(without_opening(error(packet)?)))
        }
        (kind, _) => bad("packet of a stream", i64::from(kind as u32)),
    }
}

/// SASL PLAIN's data: no other identity, name, password (RFC 4616).
#[must_use]
pub fn plain(username: &str, password: &Secret) -> Chars<MAX_SASL> {
    let parts = [username.as_bytes(), password.expose().as_bytes()];
    Chars(parts.into_iter().flat_map(|part| [b"\0", part].concat()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Header;

    #[test]
    fn packets_of_streams_mean_what_the_table_says() {
        let packet = |kind, status, payload: &[u8]| {
            Packet::new(Header::remote(209, kind, 7, status), payload.to_vec())
        };
        let shown = |kind, status, payload: &[u8]| match stream(&packet(kind, status, payload)) {
            Ok(StreamOutput::Broken(error)) => format!("Broken {error}"),
            other => format!("{other:?}"),
        };
        use PacketType::{Reply, Stream, StreamHole};
        let hole = [&70_000_i64.to_be_bytes()[..], &[0; 4]].concat();
        let negative = [&(-1_i64).to_be_bytes()[..], &[0; 4]].concat();
        let error = Error::new(ErrorCode::HttpError, ErrorDomain::Esx, "the host hung up");
        let error = xdr::to_bytes(&WireError::from(&error)).unwrap();
        for (kind, status, payload, expected) in [
            (Stream, Status::Continue, &b"ab"[..], "Ok(Chunk(Data(b\"ab\")))"),
            (Stream, Status::Continue, b"", "Ok(End)"),
            (StreamHole, Status::Continue, &hole, "Ok(Chunk(Hole(70000)))"),
            (Stream, Status::Ok, b"", "Ok(Confirmed)"),
            (Stream, Status::Error, &error, "Broken the host hung up"),
        ] {
            assert_eq!(shown(kind, status, payload), expected);
        }
        for (kind, status, payload) in [
            (StreamHole, Status::Continue, &negative[..]),
            (StreamHole, Status::Continue, &hole[..3]),
            (Stream, Status::Error, b""),
            (Reply, Status::Ok, b""),
        ] {
            assert!(stream(&packet(kind, status, payload)).is_err());
        }
    }

    #[test]
    fn plain_is_two_texts_behind_nul() {
        assert_eq!(plain("root", &Secret::new("pa55")).0, b"\0root\0pa55");
    }
}
