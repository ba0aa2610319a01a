//! Packets: how a stream of bytes is cut into messages (libvirt-rpc.md 3.1).

use bytes::{Buf as _, Bytes, BytesMut};

use crate::procedure::Procedure;
use crate::xdr::{self, Reader, Writer, Xdr, XdrError};

/// libvirt's API.
pub const REMOTE_PROGRAM: u32 = 0x2000_8086;
/// Keep-alive messages.
pub const KEEPALIVE_PROGRAM: u32 = 0x6b65_6570;
/// What virtesxd answers beyond libvirt (`docs/daemon.md`): whole lists in one call. Its procedures are numbered from 1 000 001,
/// so that no number means two things.
pub const OWN_PROGRAM: u32 = 0x7672_7478;
/// The only version of every program.
pub const VERSION: u32 = 1;
/// Length of a packet without payload.
pub const HEADER_BYTES: usize = 28;
/// Largest value of the length field, which counts itself.
pub const MAX_PACKET_BYTES: usize = 33_554_436;
/// Longest payload.
pub const MAX_PAYLOAD_BYTES: usize = MAX_PACKET_BYTES - HEADER_BYTES;

/// Gives an enum of numbers a layout.
macro_rules! wire_enum {
    ($(#[$meta:meta])* $type:ident, $what:literal { $($(#[$variant_meta:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$variant_meta])* $variant = $number,)*
        }

        impl Xdr for $type {
            const MIN_BYTES: usize = 4;

            fn encode(&self, out: &mut Writer) -> xdr::Result<()> {
                (*self as u32).encode(out)
            }

            fn decode(input: &mut Reader<'_>) -> xdr::Result<Self> {
                match u32::decode(input)? {
                    $($number => Ok(Self::$variant),)*
                    value => Err(XdrError::BadValue { what: $what, value: value.into() }),
                }
            }
        }
    };
}

wire_enum! {
    /// What a packet is.
    PacketType, "packet type" {
        /// A call from the client.
        Call = 0,
        /// The answer to one.
        Reply = 1,
        /// An event or a keep-alive message.
        Message = 2,
        /// Data or end of a stream.
        Stream = 3,
        /// A call with file descriptors.
        CallWithFds = 4,
        /// A reply with file descriptors.
        ReplyWithFds = 5,
        /// A hole in a stream.
        StreamHole = 6,
    }
}

wire_enum! {
    /// How a packet is meant.
    Status, "packet status" {
        /// Calls, events, good replies, the end of a stream.
        Ok = 0,
        /// An error, or a client's abort of a stream.
        Error = 1,
        /// More of a stream.
        Continue = 2,
    }
}

/// What every packet begins with, its length left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which program is called.
    pub program: u32,
    /// Its version.
    pub version: u32,
    /// Which procedure.
    pub procedure: i32,
    /// What the packet is.
    pub kind: PacketType,
    /// Which call it belongs to.
    pub serial: u32,
    /// How it is meant.
    pub status: Status,
}

impl Header {
    /// A header of the program for libvirt's API.
    #[must_use]
    pub const fn remote(procedure: i32, kind: PacketType, serial: u32, status: Status) -> Self {
        Self { program: REMOTE_PROGRAM, version: VERSION, procedure, kind, serial, status }
    }

    /// The header of a call.
    #[must_use]
    pub const fn call(procedure: Procedure, serial: u32) -> Self {
        let header = Self::remote(procedure.number(), PacketType::Call, serial, Status::Ok);
        Self { program: procedure.program(), ..header }
    }

    /// The header of an answer to this call.
    #[must_use]
    pub const fn reply(self, status: Status) -> Self {
        Self { kind: PacketType::Reply, status, ..self }
    }
}

impl Xdr for Header {
    const MIN_BYTES: usize = HEADER_BYTES - 4;

    fn encode(&self, out: &mut Writer) -> xdr::Result<()> {
        (self.program, self.version, self.procedure, self.kind, self.serial, self.status)
            .encode(out)
    }

    fn decode(input: &mut Reader<'_>) -> xdr::Result<Self> {
        let (program, version, procedure, kind, serial, status) = Xdr::decode(input)?;
        Ok(Self { program, version, procedure, kind, serial, status })
    }
}

/// A message as it travels.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its header.
    pub header: Header,
    /// What follows: XDR, or a stream's bytes as they are.
    pub payload: Bytes,
}

/// Tells the length only: payloads carry passwords and documents.
impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packet")
            .field("header", &self.header)
            .field("payload_bytes", &self.payload.len())
            .finish()
    }
}

impl Packet {
    /// A packet with this payload.
    pub fn new(header: Header, payload: impl Into<Bytes>) -> Self {
        Self { header, payload: payload.into() }
    }

    /// Its bytes on the wire.
    ///
    /// # Errors
    /// [`XdrError::TooLong`] if the payload is too long for any packet.
    pub fn to_bytes(&self) -> xdr::Result<Vec<u8>> {
        let mut bytes = BytesMut::new();
        self.append_to(&mut bytes)?;
        Ok(bytes.into())
    }

    /// Adds its bytes on the wire to `out`.
    ///
    /// # Errors
    /// [`XdrError::TooLong`] if the payload is too long for any packet; `out` is then what it was.
    pub fn append_to(&self, out: &mut BytesMut) -> xdr::Result<()> {
        let (len, max) = (self.payload.len(), MAX_PAYLOAD_BYTES);
        let Some(length) = u32::try_from(len + HEADER_BYTES).ok().filter(|_| len <= max) else {
            return Err(XdrError::TooLong { len, max });
        };
        let mut head = Writer::default();
        length.encode(&mut head)?;
        self.header.encode(&mut head)?;
        out.reserve(HEADER_BYTES + len);
        out.extend_from_slice(&head.into_bytes());
        out.extend_from_slice(&self.payload);
        Ok(())
    }
}

/// Why a peer's bytes are no packets. The connection is of no further use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length field says less than a header or more than is allowed.
    #[error("a packet of {0} bytes")]
    Length(u32),
    /// The header holds a number that means nothing.
    #[error("a packet header: {0}")]
    Header(#[from] XdrError),
}

/// Cuts received bytes into packets.
///
/// Memory is taken for what has arrived, not for what a length field promises.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    max_bytes: usize,
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self { buffer: BytesMut::new(), max_bytes: MAX_PACKET_BYTES }
    }
}

impl FrameDecoder {
    /// Refuses packets with a length field above `max_bytes`, from the next one on.
    pub fn limit(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes.min(MAX_PACKET_BYTES);
    }

    /// Adds bytes of the peer.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Where a reader may put bytes of the peer directly.
    pub const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next packet; `None` until more bytes have come.
    ///
    /// # Errors
    /// [`FrameError`]: the bytes cannot be cut any further.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, FrameError> {
        let Some(length) = self.buffer.first_chunk().copied().map(u32::from_be_bytes) else {
            return Ok(None);
        };
        let size = usize::try_from(length).unwrap_or(usize::MAX);
        if size < HEADER_BYTES || size > self.max_bytes {
            return Err(FrameError::Length(length));
        }
        if self.buffer.len() < size {
            return Ok(None);
        }
        let mut packet = self.buffer.split_to(size);
        packet.advance(4);
        let header = Header::decode(&mut Reader::new(&packet))?;
        packet.advance(HEADER_BYTES - 4);
        Ok(Some(Packet { header, payload: packet.freeze() }))
    }

    /// Whether the peer stopped in the middle of a packet.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: [u8; 28] = [
        0, 0, 0, 28, 0x6b, 0x65, 0x65, 0x70, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0,
        0, 0,
    ];

    #[test]
    fn a_packet_has_the_fields_of_the_table() {
        let header = Header {
            program: KEEPALIVE_PROGRAM,
            version: 1,
            procedure: 1,
            kind: PacketType::Message,
            serial: 0,
            status: Status::Ok,
        };
        let ping = Packet::new(header, Bytes::new());
        assert_eq!(ping.to_bytes().unwrap(), PING);
        let call = Header::remote(66, PacketType::Call, 0x0102_0304, Status::Ok);
        let reply = Packet::new(call.reply(Status::Error), &b"abcd"[..]).to_bytes().unwrap();
        assert_eq!(
            reply,
            [
                0, 0, 0, 32, 0x20, 0, 0x80, 0x86, 0, 0, 0, 1, 0, 0, 0, 66, 0, 0, 0, 1, 1, 2, 3, 4,
                0, 0, 0, 1, b'a', b'b', b'c', b'd'
            ]
        );
    }

    #[test]
    fn lengths_out_of_range_end_the_connection() {
        for (length, legal) in [
            (0_u32, false),
            (27, false),
            (28, true),
            (33_554_436, true),
            (33_554_437, false),
            (u32::MAX, false),
        ] {
            let mut decoder = FrameDecoder::default();
            decoder.push(&length.to_be_bytes());
            let expected = if legal { Ok(None) } else { Err(FrameError::Length(length)) };
            assert_eq!(decoder.next_packet(), expected);
            // Nothing is kept ready for what was announced.
            assert!(decoder.buffer.capacity() < 4096);
        }
    }

    #[test]
    fn the_largest_packet_passes_and_one_byte_more_is_not_written() {
        let header = Header::remote(209, PacketType::Stream, 7, Status::Continue);
        let largest = Packet::new(header, vec![1; MAX_PAYLOAD_BYTES]);
        let mut decoder = FrameDecoder::default();
        decoder.push(&largest.to_bytes().unwrap());
        assert_eq!(decoder.next_packet(), Ok(Some(largest)));
        assert!(!decoder.is_partial());
        let larger = Packet::new(header, vec![1; MAX_PAYLOAD_BYTES + 1]);
        assert!(matches!(larger.to_bytes(), Err(XdrError::TooLong { .. })));
    }

    #[test]
    fn unknown_types_are_refused() {
        let mut bytes = PING;
        bytes[19] = 7;
        let mut decoder = FrameDecoder::default();
        decoder.push(&bytes);
        assert_eq!(
            decoder.next_packet(),
            Err(FrameError::Header(XdrError::BadValue { what: "packet type", value: 7 }))
        );
    }
}
