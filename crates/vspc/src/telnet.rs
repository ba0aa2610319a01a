//! Telnet as bytes: a decoder that takes any splitting, and an encoder (RFC 854, 856; spec 4.1).

use bytes::{BufMut, BytesMut};
use memchr::memchr;

/// Interpret as command.
pub const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;
const NOP: u8 = 241;
const SE: u8 = 240;

/// Eight-bit data both ways (RFC 856).
pub const BINARY: u8 = 0;
/// Echo (RFC 857).
pub const ECHO: u8 = 1;
/// No go-ahead marks (RFC 858).
pub const SUPPRESS_GO_AHEAD: u8 = 3;
/// Authentication (RFC 2941); machines use it to start TLS.
pub const AUTHENTICATION: u8 = 37;
/// Settings of a serial line (RFC 2217).
pub const COM_PORT: u8 = 44;
/// VMware's extension.
pub const VMWARE_EXT: u8 = 232;

/// The four words of option negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// The sender wants to use, or uses, the option.
    Will,
    /// The sender does not use it.
    Wont,
    /// The sender wants the other end to use it.
    Do,
    /// The sender wants the other end not to use it.
    Dont,
}

impl Verb {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            WILL => Some(Self::Will),
            WONT => Some(Self::Wont),
            DO => Some(Self::Do),
            DONT => Some(Self::Dont),
            _ => None,
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Will => WILL,
            Self::Wont => WONT,
            Self::Do => DO,
            Self::Dont => DONT,
        }
    }
}

/// What a piece of the stream means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// Data, doubled FFs made single. One write may arrive as several pieces.
    Data(&'a [u8]),
    /// A command from 242 to 249 (data mark to go ahead). No part of the data.
    Command(u8),
    /// A word about an option.
    Option(Verb, u8),
    /// The parameters of an option, doubled FFs made single.
    Subnegotiation(u8, &'a [u8]),
}

/// The peer broke telnet's rules: the stream cannot be trusted from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TelnetError {
    /// IAC SE without IAC SB.
    #[error("end of parameters outside of parameters")]
    StrayEnd,
    /// Inside parameters, IAC was followed by something else than IAC or SE.
    #[error("command {0} inside of parameters")]
    CommandInParameters(u8),
    /// More than the limit, unescaped.
    #[error("parameters longer than {0} bytes")]
    TooLong(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Data,
    Iac,
    Verb(Verb),
    Option,
    Parameters(u8),
    ParametersIac(u8),
}

/// Bytes of one direction to [`Event`]s. Keeps at most the limit it was given.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    parameters: Vec<u8>,
    /// The last event was made of `parameters`: they are cleared when the next is asked for.
    given: bool,
    limit: usize,
    line_mode: bool,
    after_cr: bool,
}

impl Decoder {
    /// A decoder that takes parameters of at most `limit` bytes, unescaped.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            state: State::Data,
            parameters: Vec::new(),
            given: false,
            limit,
            line_mode: false,
            after_cr: false,
        }
    }

    /// Whether the sender refused BINARY: CR NUL then stands for CR (RFC 854).
    pub const fn set_line_mode(&mut self, on: bool) {
        self.line_mode = on;
    }

    /// The next event of `input`, which is moved past what was used. `None`: all of it was.
    ///
    /// # Errors
    ///
    /// [`TelnetError`]: close the connection; what follows means nothing.
    pub fn next<'e, 'i: 'e>(
        &'e mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Event<'e>>, TelnetError> {
        if std::mem::take(&mut self.given) {
            self.parameters = Vec::new(); // rare and small: nothing is kept of it
        }
        while let Some((&byte, rest)) = input.split_first() {
            match self.state {
                State::Data => {
                    if byte == IAC {
                        self.state = State::Iac;
                        *input = rest;
                    } else if let Some(data) = self.data(input, 0) {
                        return Ok(Some(Event::Data(data)));
                    }
                }
                State::Iac => {
                    self.state = State::Data;
                    if byte == IAC {
                        // The second FF is the data: the piece starts with it.
                        if let Some(data) = self.data(input, 1) {
                            return Ok(Some(Event::Data(data)));
                        }
                        continue;
                    }
                    *input = rest;
                    match byte {
                        SB => self.state = State::Option,
                        SE => return Err(TelnetError::StrayEnd),
                        NOP => {}
                        242..=249 => return Ok(Some(Event::Command(byte))),
                        _ => {
                            if let Some(verb) = Verb::from_byte(byte) {
                                self.state = State::Verb(verb);
                            }
                        }
                    }
                }
                State::Verb(verb) => {
                    self.state = State::Data;
                    *input = rest;
                    return Ok(Some(Event::Option(verb, byte)));
                }
                State::Option => {
                    *input = rest;
                    if byte == IAC {
                        return Err(TelnetError::CommandInParameters(byte));
                    }
                    self.state = State::Parameters(byte);
                }
                State::Parameters(option) => {
                    let end = memchr(IAC, input).unwrap_or(input.len());
                    self.keep(&input[..end])?;
                    if end < input.len() {
                        self.state = State::ParametersIac(option);
                        *input = &input[end + 1..];
                    } else {
                        *input = &[];
                    }
                }
                State::ParametersIac(option) => {
                    *input = rest;
                    match byte {
                        IAC => {
                            self.keep(&[IAC])?;
                            self.state = State::Parameters(option);
                        }
                        SE => {
                            self.state = State::Data;
                            self.given = true;
                            return Ok(Some(Event::Subnegotiation(option, &self.parameters)));
                        }
                        other => return Err(TelnetError::CommandInParameters(other)),
                    }
                }
            }
        }
        Ok(None)
    }

    fn keep(&mut self, piece: &[u8]) -> Result<(), TelnetError> {
        if self.parameters.len() + piece.len() > self.limit {
            return Err(TelnetError::TooLong(self.limit));
        }
        self.parameters.extend_from_slice(piece);
        Ok(())
    }

    /// The data at the front of `input`, of which the first `known` bytes are data whatever they are.
    fn data<'a>(&mut self, input: &mut &'a [u8], known: usize) -> Option<&'a [u8]> {
        let mut end = memchr(IAC, &input[known..]).map_or(input.len(), |at| known + at);
        if self.line_mode {
            if std::mem::take(&mut self.after_cr) && input[0] == 0 {
                *input = &input[1..];
                return None;
            }
            if let Some(at) = memchr(b'\r', &input[..end]) {
                end = at + 1;
                self.after_cr = true;
            }
        }
        let (data, rest) = input.split_at(end);
        *input = rest;
        Some(data)
    }
}

/// Appends data, FFs doubled.
pub fn write_data(out: &mut BytesMut, mut data: &[u8]) {
    out.reserve(data.len());
    while let Some(at) = memchr(IAC, data) {
        out.extend_from_slice(&data[..=at]);
        out.put_u8(IAC);
        data = &data[at + 1..];
    }
    out.extend_from_slice(data);
}

/// Appends data for an end that refused BINARY: CR becomes CR NUL, FFs are doubled.
pub fn write_line_data(out: &mut BytesMut, data: &[u8]) {
    for piece in data.split_inclusive(|&byte| byte == b'\r') {
        write_data(out, piece);
        if piece.ends_with(b"\r") {
            out.put_u8(0);
        }
    }
}

/// Appends a word about an option.
pub fn write_option(out: &mut BytesMut, verb: Verb, option: u8) {
    out.extend_from_slice(&[IAC, verb.byte(), option]);
}

/// Appends the parameters of an option, FFs doubled.
pub fn write_parameters(out: &mut BytesMut, option: u8, payload: &[u8]) {
    out.extend_from_slice(&[IAC, SB, option]);
    write_data(out, payload);
    out.extend_from_slice(&[IAC, SE]);
}

/// Appends a command that means nothing, which shows that the line lives.
pub fn write_nop(out: &mut BytesMut) {
    out.extend_from_slice(&[IAC, NOP]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Owned {
        Data(Vec<u8>),
        Command(u8),
        Option(Verb, u8),
        Sub(u8, Vec<u8>),
    }

    fn decode(decoder: &mut Decoder, pieces: &[&[u8]]) -> Result<Vec<Owned>, TelnetError> {
        let mut out: Vec<Owned> = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(event) = decoder.next(&mut input)? {
                match event {
                    Event::Data(data) => match out.last_mut() {
                        Some(Owned::Data(before)) => before.extend_from_slice(data),
                        _ => out.push(Owned::Data(data.to_vec())),
                    },
                    Event::Command(command) => out.push(Owned::Command(command)),
                    Event::Option(verb, option) => out.push(Owned::Option(verb, option)),
                    Event::Subnegotiation(option, payload) => {
                        out.push(Owned::Sub(option, payload.to_vec()));
                    }
                }
            }
        }
        Ok(out)
    }

    fn one_by_one(bytes: &[u8]) -> Vec<&[u8]> {
        bytes.chunks(1).collect()
    }

    #[test]
    fn data_options_and_parameters_mix_and_split_anywhere() {
        let bytes = [
            b'a', IAC, IAC, b'b', IAC, WILL, 0, IAC, SB, 232, 40, IAC, IAC, 1, IAC, SE, 0, 0x11,
            IAC, NOP, IAC, 243, IAC, 236, IAC, IAC,
        ];
        let expected = [
            Owned::Data(b"a\xffb".to_vec()),
            Owned::Option(Verb::Will, 0),
            Owned::Sub(232, vec![40, 255, 1]),
            Owned::Data(vec![0, 0x11]),
            Owned::Command(243),
            Owned::Data(vec![255]),
        ];
        assert_eq!(decode(&mut Decoder::new(16), &[&bytes]).unwrap(), expected);
        assert_eq!(decode(&mut Decoder::new(16), &one_by_one(&bytes)).unwrap(), expected);
        for at in 0..bytes.len() {
            let (left, right) = bytes.split_at(at);
            assert_eq!(decode(&mut Decoder::new(16), &[left, right]).unwrap(), expected, "{at}");
        }
    }

    #[test]
    fn broken_streams_are_errors() {
        let cases: [(&[u8], TelnetError); 4] = [
            (&[IAC, SE], TelnetError::StrayEnd),
            (&[IAC, SB, 1, IAC, DO], TelnetError::CommandInParameters(DO)),
            (&[IAC, SB, IAC], TelnetError::CommandInParameters(IAC)),
            (&[IAC, SB, 1, 1, 2, 3, 4, 5], TelnetError::TooLong(4)),
        ];
        for (bytes, error) in cases {
            assert_eq!(decode(&mut Decoder::new(4), &[bytes]).unwrap_err(), error);
            assert_eq!(decode(&mut Decoder::new(4), &one_by_one(bytes)).unwrap_err(), error);
        }
        // The limit itself is taken, and escapes do not count.
        let four = [IAC, SB, 1, IAC, IAC, 2, 3, 4, IAC, SE];
        assert_eq!(
            decode(&mut Decoder::new(4), &[&four]).unwrap(),
            [Owned::Sub(1, vec![255, 2, 3, 4])]
        );
    }

    #[test]
    fn cr_nul_is_cr_without_binary_only() {
        let bytes = b"a\r\0b\r\nc\r\r\0\0d";
        for pieces in [vec![&bytes[..]], one_by_one(bytes)] {
            let mut lines = Decoder::new(4);
            lines.set_line_mode(true);
            assert_eq!(
                decode(&mut lines, &pieces).unwrap(),
                [Owned::Data(b"a\rb\r\nc\r\r\0d".to_vec())]
            );
            assert_eq!(
                decode(&mut Decoder::new(4), &pieces).unwrap(),
                [Owned::Data(bytes.to_vec())]
            );
        }
        let mut out = BytesMut::new();
        write_line_data(&mut out, b"a\rb\xff\r");
        assert_eq!(out, b"a\r\0b\xff\xff\r\0"[..]);
    }

    #[test]
    fn all_bytes_survive() {
        let data: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        let mut out = BytesMut::new();
        write_data(&mut out, &data);
        assert_eq!(decode(&mut Decoder::new(4), &[&out]).unwrap(), [Owned::Data(data)]);
    }
}
