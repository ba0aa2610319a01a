//! Packets of streams (libvirt-rpc.md 11).

use std::collections::BTreeMap;

use bytes::Bytes;
use virt_api::{Chunk, Error};

use crate::error::WireError;
use crate::frame::{Header, Packet, PacketType, Status};
use crate::procedure::StreamDirection;
use crate::xdr;

/// Longest data of a packet that we send.
pub const MAX_CHUNK_BYTES: usize = 262_120;
/// How many downloads are remembered that only the client has not ended yet: go-libvirt never does.
const MAX_DRAINED: usize = 1_024;

/// What the packets of one stream have in common: serial and procedure of the call that opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamHeader {
    serial: u32,
    procedure: i32,
}

impl StreamHeader {
    /// Of the packets that follow this reply.
    #[must_use]
    pub const fn of(reply: &Packet) -> Self {
        Self { serial: reply.header.serial, procedure: reply.header.procedure }
    }

    fn packet(self, kind: PacketType, status: Status, payload: impl Into<Bytes>) -> Packet {
        Packet::new(Header::remote(self.procedure, kind, self.serial, status), payload)
    }

    /// Bytes for the peer; callers cut them at [`MAX_CHUNK_BYTES`]. No bytes are the end: see [`Self::end`].
    #[must_use]
    pub fn data(self, bytes: Bytes) -> Packet {
        self.packet(PacketType::Stream, Status::Continue, bytes)
    }

    /// So many zeros that are not sent; only to a client that can take it.
    #[must_use]
    pub fn hole(self, bytes: u64) -> Packet {
        let length = i64::try_from(bytes).unwrap_or(i64::MAX);
        let payload = [&length.to_be_bytes()[..], &[0; 4]].concat();
        self.packet(PacketType::StreamHole, Status::Continue, payload)
    }

    /// There is no more data.
    #[must_use]
    pub fn end(self) -> Packet {
        self.data(Bytes::new())
    }

    /// The client's end has been taken note of: for an upload, everything is stored.
    #[must_use]
    pub fn confirmation(self) -> Packet {
        self.packet(PacketType::Stream, Status::Ok, Bytes::new())
    }

    /// A client is done with the stream and wants that confirmed.
    #[must_use]
    pub fn finish(self) -> Packet {
        self.confirmation()
    }

    /// A client gives the stream up and wants that confirmed.
    #[must_use]
    pub fn abort(self) -> Packet {
        self.packet(PacketType::Stream, Status::Error, Bytes::new())
    }

    /// The stream is broken; nothing follows.
    #[must_use]
    pub fn error(self, error: &Error) -> Packet {
        let bytes = xdr::to_bytes(&WireError::from(error)).unwrap_or_default();
        self.packet(PacketType::Stream, Status::Error, bytes)
    }
}

/// What a client sends on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamInput {
    /// More of an upload, or for a console.
    Chunk(StreamHeader, Chunk),
    /// The client is done. An upload is confirmed when everything is stored, a console when everything is sent, a download
    /// at once.
    Finish(StreamHeader),
    /// The client gives up; confirm it.
    Abort(StreamHeader),
}

#[derive(Debug)]
struct State {
    direction: StreamDirection,
    sparse: bool,
    /// All data of a download is sent, or the other end of a console has gone; only the client's end is missing.
    drained: bool,
}

/// The streams of one connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: BTreeMap<StreamHeader, State>,
}

impl Streams {
    pub(super) fn open(
        &mut self,
        reply: &Packet,
        direction: StreamDirection,
        sparse: bool,
    ) -> StreamHeader {
        let header = StreamHeader::of(reply);
        self.open.insert(header, State { direction, sparse, drained: false });
        header
    }

    pub(super) fn drained(&mut self, header: StreamHeader) {
        if let Some(state) = self.open.get_mut(&header) {
            state.drained = true;
        }
        let drained = |(_, state): &(&StreamHeader, &State)| state.drained;
        if self.open.iter().filter(drained).count() > MAX_DRAINED
            && let Some(oldest) = self.open.iter().find(drained).map(|(header, _)| *header)
        {
            self.open.remove(&oldest);
        }
    }

    pub(super) fn closed(&mut self, header: StreamHeader) {
        self.open.remove(&header);
    }

    /// What a packet says; nothing if its stream is unknown: it has ended and the packet is late.
    pub(super) fn receive(&mut self, packet: Packet) -> Result<Option<StreamInput>, &'static str> {
        let header = StreamHeader::of(&packet);
        let Some(state) = self.open.get(&header) else { return Ok(None) };
        let hole = packet.header.kind == PacketType::StreamHole;
        match packet.header.status {
            Status::Continue if state.direction == StreamDirection::Download => {
                Err("data on a stream that only goes to the client")
            }
            Status::Continue if hole => {
                if !state.sparse {
                    return Err("a hole that was not agreed upon");
                }
                let ((length, _flags), _) = xdr::from_bytes::<(i64, u32)>(&packet.payload)
                    .map_err(|_| "a hole without a length")?;
                let length = u64::try_from(length).map_err(|_| "a hole of negative length")?;
                Ok((length > 0).then_some(StreamInput::Chunk(header, Chunk::Hole(length))))
            }
            Status::Continue if packet.payload.is_empty() => Ok(None),
            Status::Continue => Ok(Some(StreamInput::Chunk(header, Chunk::Data(packet.payload)))),
            Status::Ok => {
                if state.direction == StreamDirection::Download {
                    self.open.remove(&header);
                }
                Ok(Some(StreamInput::Finish(header)))
            }
            Status::Error => {
                self.open.remove(&header);
                Ok(Some(StreamInput::Abort(header)))
            }
        }
    }
}
