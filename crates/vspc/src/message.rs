//! The messages of option 232 (spec 5): read from parameters, written to them.

use std::fmt;

use bytes::BytesMut;

use crate::telnet::{self, VMWARE_EXT};

/// The codes, one byte each, of the table in the specification.
pub mod code {
    /// What the machine's end can send or take.
    pub const KNOWN_1: u8 = 0;
    /// What the proxy can.
    pub const KNOWN_2: u8 = 1;
    /// The machine's end did not understand a code.
    pub const UNKNOWN_1: u8 = 2;
    /// The proxy did not.
    pub const UNKNOWN_2: u8 = 3;
    /// The source is about to move.
    pub const VMOTION_BEGIN: u8 = 40;
    /// The proxy lets it.
    pub const VMOTION_GOAHEAD: u8 = 41;
    /// The proxy does not.
    pub const VMOTION_NOTNOW: u8 = 43;
    /// The target shows the secret.
    pub const VMOTION_PEER: u8 = 44;
    /// The proxy knows it.
    pub const VMOTION_PEER_OK: u8 = 45;
    /// The machine runs at the target.
    pub const VMOTION_COMPLETE: u8 = 46;
    /// The machine stays at the source.
    pub const VMOTION_ABORT: u8 = 48;
    /// The machine's end asks to be served.
    pub const DO_PROXY: u8 = 70;
    /// Accepted.
    pub const WILL_PROXY: u8 = 71;
    /// Refused.
    pub const WONT_PROXY: u8 = 73;
    /// The machine's `vc.uuid`.
    pub const VM_VC_UUID: u8 = 80;
    /// Asks for it.
    pub const GET_VM_VC_UUID: u8 = 81;
    /// The machine's display name.
    pub const VM_NAME: u8 = 82;
    /// Asks for it.
    pub const GET_VM_NAME: u8 = 83;
    /// The machine's `uuid.bios`.
    pub const VM_BIOS_UUID: u8 = 84;
    /// Asks for it.
    pub const GET_VM_BIOS_UUID: u8 = 85;
    /// The machine's `uuid.location`.
    pub const VM_LOCATION_UUID: u8 = 86;
    /// Asks for it.
    pub const GET_VM_LOCATION_UUID: u8 = 87;

    /// All of them.
    pub const ALL: [u8; 22] =
        [0, 1, 2, 3, 40, 41, 43, 44, 45, 46, 48, 70, 71, 73, 80, 81, 82, 83, 84, 85, 86, 87];
}

/// Which of a machine's identifiers is meant; the order in which a proxy asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UuidKind {
    /// `vc.uuid`, the API's `config.instanceUuid`.
    Instance,
    /// `uuid.bios`, the API's `config.uuid`.
    Bios,
    /// `uuid.location`.
    Location,
}

impl UuidKind {
    const fn answer(self) -> u8 {
        match self {
            Self::Instance => code::VM_VC_UUID,
            Self::Bios => code::VM_BIOS_UUID,
            Self::Location => code::VM_LOCATION_UUID,
        }
    }

    /// The code that asks for it.
    #[must_use]
    pub const fn request(self) -> u8 {
        self.answer() + 1
    }

    /// The one to ask for if this one is not to be had.
    #[must_use]
    pub const fn fallback(self) -> Option<Self> {
        match self {
            Self::Instance => Some(Self::Bios),
            Self::Bios => Some(Self::Location),
            Self::Location => None,
        }
    }
}

/// Who opens the connection to the remote system (`VirtualDeviceURIBackingInfo.direction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Remote systems come to the proxy.
    Server,
    /// The proxy goes to the remote system.
    Client,
}

/// Bytes that let whoever knows them take over a port: no `Debug` shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// One message of option 232, of either end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// KNOWN-SUBOPTIONS-1: the codes of the machine's end.
    Known1(Vec<u8>),
    /// KNOWN-SUBOPTIONS-2: the codes of the proxy.
    Known2(Vec<u8>),
    /// UNKNOWN-SUBOPTION-RCVD-1: the machine's end did not understand this code.
    Unknown1(u8),
    /// UNKNOWN-SUBOPTION-RCVD-2: the proxy did not.
    Unknown2(u8),
    /// VMOTION-BEGIN with the sequence.
    Begin(Vec<u8>),
    /// VMOTION-GOAHEAD with sequence and secret, between which the wire shows no border.
    GoAhead(Secret),
    /// VMOTION-NOTNOW with the sequence.
    NotNow(Vec<u8>),
    /// VMOTION-PEER with sequence and secret.
    Peer(Secret),
    /// VMOTION-PEER-OK with the sequence.
    PeerOk(Vec<u8>),
    /// VMOTION-COMPLETE with the sequence.
    Complete(Vec<u8>),
    /// VMOTION-ABORT; a sequence is accepted and forgotten.
    Abort,
    /// DO-PROXY: direction and service URI, which is any text.
    DoProxy(Direction, String),
    /// WILL-PROXY.
    WillProxy,
    /// WONT-PROXY.
    WontProxy,
    /// The answer to [`Message::GetUuid`], as text.
    Uuid(UuidKind, String),
    /// Asks for an identifier.
    GetUuid(UuidKind),
    /// The machine's display name. What is not UTF-8 is replaced.
    Name(String),
    /// Asks for the name.
    GetName,
}

/// Parameters of option 232 that mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not even a code.
    #[error("a message without a code")]
    Empty,
    /// To be answered with UNKNOWN-SUBOPTION-RCVD.
    #[error("unknown code {0}")]
    UnknownCode(u8),
    /// The code is known, what follows does not fit it.
    #[error("malformed message with code {0}")]
    Malformed(u8),
}

impl Message {
    /// Reads the parameters of option 232, FFs already single. No length is checked: the decoder has a limit.
    ///
    /// # Errors
    ///
    /// [`MessageError`], none of which ends a session.
    pub fn parse(parameters: &[u8]) -> Result<Self, MessageError> {
        let (&code, payload) = parameters.split_first().ok_or(MessageError::Empty)?;
        let lossy = || String::from_utf8_lossy(payload).into_owned();
        let one = || match *payload {
            [unknown] => Ok(unknown),
            _ => Err(MessageError::Malformed(code)),
        };
        Ok(match code {
            code::KNOWN_1 => Self::Known1(payload.to_vec()),
            code::KNOWN_2 => Self::Known2(payload.to_vec()),
            code::UNKNOWN_1 => Self::Unknown1(one()?),
            code::UNKNOWN_2 => Self::Unknown2(one()?),
            code::VMOTION_BEGIN => Self::Begin(payload.to_vec()),
            code::VMOTION_GOAHEAD => Self::GoAhead(Secret(payload.to_vec())),
            code::VMOTION_NOTNOW => Self::NotNow(payload.to_vec()),
            code::VMOTION_PEER => Self::Peer(Secret(payload.to_vec())),
            code::VMOTION_PEER_OK => Self::PeerOk(payload.to_vec()),
            code::VMOTION_COMPLETE => Self::Complete(payload.to_vec()),
            code::VMOTION_ABORT => Self::Abort,
            code::DO_PROXY => {
                let malformed = MessageError::Malformed(code);
                let (&direction, uri) = payload.split_first().ok_or(malformed)?;
                let direction = match direction {
                    b'S' => Direction::Server,
                    b'C' => Direction::Client,
                    _ => return Err(malformed),
                };
                let uri = std::str::from_utf8(uri).map_err(|_| malformed)?;
                Self::DoProxy(direction, uri.to_owned())
            }
            code::WILL_PROXY => Self::WillProxy,
            code::WONT_PROXY => Self::WontProxy,
            code::VM_VC_UUID => Self::Uuid(UuidKind::Instance, lossy()),
            code::VM_BIOS_UUID => Self::Uuid(UuidKind::Bios, lossy()),
            code::VM_LOCATION_UUID => Self::Uuid(UuidKind::Location, lossy()),
            code::VM_NAME => Self::Name(lossy()),
            code::GET_VM_VC_UUID => Self::GetUuid(UuidKind::Instance),
            code::GET_VM_BIOS_UUID => Self::GetUuid(UuidKind::Bios),
            code::GET_VM_LOCATION_UUID => Self::GetUuid(UuidKind::Location),
            code::GET_VM_NAME => Self::GetName,
            other => return Err(MessageError::UnknownCode(other)),
        })
    }

    /// Appends the message as it goes over the wire, escaped.
    pub fn write(&self, out: &mut BytesMut) {
        let mut parameters = vec![self.code()];
        match self {
            Self::Known1(codes) | Self::Known2(codes) => parameters.extend_from_slice(codes),
            Self::Unknown1(unknown) | Self::Unknown2(unknown) => parameters.push(*unknown),
            Self::Begin(sequence)
            | Self::NotNow(sequence)
            | Self::PeerOk(sequence)
            | Self::Complete(sequence) => parameters.extend_from_slice(sequence),
            Self::GoAhead(secret) | Self::Peer(secret) => parameters.extend_from_slice(&secret.0),
            Self::DoProxy(direction, uri) => {
                parameters.push(match direction {
                    Direction::Server => b'S',
                    Direction::Client => b'C',
                });
                parameters.extend_from_slice(uri.as_bytes());
            }
            Self::Uuid(_, text) | Self::Name(text) => parameters.extend_from_slice(text.as_bytes()),
            Self::Abort | Self::WillProxy | Self::WontProxy | Self::GetUuid(_) | Self::GetName => {}
        }
        telnet::write_parameters(out, VMWARE_EXT, &parameters);
    }

    /// Its code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Known1(_) => code::KNOWN_1,
            Self::Known2(_) => code::KNOWN_2,
            Self::Unknown1(_) => code::UNKNOWN_1,
            Self::Unknown2(_) => code::UNKNOWN_2,
            Self::Begin(_) => code::VMOTION_BEGIN,
            Self::GoAhead(_) => code::VMOTION_GOAHEAD,
            Self::NotNow(_) => code::VMOTION_NOTNOW,
            Self::Peer(_) => code::VMOTION_PEER,
            Self::PeerOk(_) => code::VMOTION_PEER_OK,
            Self::Complete(_) => code::VMOTION_COMPLETE,
            Self::Abort => code::VMOTION_ABORT,
            Self::DoProxy(..) => code::DO_PROXY,
            Self::WillProxy => code::WILL_PROXY,
            Self::WontProxy => code::WONT_PROXY,
            Self::Uuid(kind, _) => kind.answer(),
            Self::GetUuid(kind) => kind.request(),
            Self::Name(_) => code::VM_NAME,
            Self::GetName => code::GET_VM_NAME,
        }
    }
}

/// A set of codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CodeSet([u64; 4]);

impl CodeSet {
    pub(crate) fn new(codes: &[u8]) -> Self {
        let mut set = Self::default();
        for &code in codes {
            set.0[usize::from(code >> 6)] |= 1 << (code & 63);
        }
        set
    }

    pub(crate) const fn has(&self, code: u8) -> bool {
        self.0[(code >> 6) as usize] >> (code & 63) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_parses_and_writes_back() {
        for code in 0..=255_u8 {
            let parameters: &[u8] = match code {
                code::UNKNOWN_1 | code::UNKNOWN_2 => &[code, 81],
                code::DO_PROXY => &[code, b'C', b'a', 0xc3, 0xa9],
                code::VM_NAME => &[code, b'n'],
                code::VM_VC_UUID | code::VM_BIOS_UUID | code::VM_LOCATION_UUID => &[code, b'0'],
                code::VMOTION_ABORT
                | code::WILL_PROXY
                | code::WONT_PROXY
                | code::GET_VM_NAME
                | code::GET_VM_VC_UUID
                | code::GET_VM_BIOS_UUID
                | code::GET_VM_LOCATION_UUID => &[code],
                _ => &[code, 0xff, 0, 1],
            };
            if !code::ALL.contains(&code) {
                assert_eq!(Message::parse(parameters), Err(MessageError::UnknownCode(code)));
                continue;
            }
            let message = Message::parse(parameters).unwrap();
            assert_eq!(message.code(), code);
            let mut wire = BytesMut::new();
            message.write(&mut wire);
            let mut expected = BytesMut::new();
            telnet::write_parameters(&mut expected, 232, parameters);
            assert_eq!(wire, expected);
        }
    }

    #[test]
    fn malformed_messages() {
        assert_eq!(Message::parse(&[]), Err(MessageError::Empty));
        for parameters in [&[70][..], b"\x46X", b"\x46S\xff", &[2], &[3, 1, 2]] {
            assert_eq!(Message::parse(parameters), Err(MessageError::Malformed(parameters[0])));
        }
        assert_eq!(Message::parse(&[48, 1, 2]), Ok(Message::Abort));
    }

    #[test]
    fn debug_hides_secrets() {
        let text = format!("{:?}", Message::Peer(Secret(vec![0xab, 0xcd])));
        assert_eq!(text, "Peer(Secret(2 bytes))");
    }

    #[test]
    fn sets_of_codes() {
        let set = CodeSet::new(&[0, 63, 64, 255]);
        let members: Vec<u8> = (0..=255).filter(|&code| set.has(code)).collect();
        assert_eq!(members, [0, 63, 64, 255]);
    }
}
