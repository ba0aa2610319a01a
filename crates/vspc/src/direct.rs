//! The console's end of a telnet port that a host serves itself: direction server, no proxy (spec 2.2, 4).
//!
//! Telnet and nothing more: option 232 is for concentrators. TLS by the AUTHENTICATION option is refused, so that both ends
//! stay in clear text.

use bytes::{Bytes, BytesMut};

use crate::{
    options::Options,
    telnet::{self, Decoder, Event, TelnetError},
};

/// Longest parameters that are looked at: none are wanted.
const PARAMETERS_BYTES: usize = 4 << 10;

/// One connection to a port.
#[derive(Debug)]
pub struct Direct {
    decoder: Decoder,
    options: Options,
    out: BytesMut,
}

impl Default for Direct {
    fn default() -> Self {
        Self::new()
    }
}

impl Direct {
    /// Asks for a line that carries every byte as it is.
    #[must_use]
    pub fn new() -> Self {
        let mut options = Options::new(&[
            (telnet::BINARY, true, true),
            (telnet::SUPPRESS_GO_AHEAD, true, true),
            (telnet::ECHO, false, true),
        ]);
        let mut out = BytesMut::new();
        for option in [telnet::BINARY, telnet::SUPPRESS_GO_AHEAD] {
            for verb in
                [options.want_ours(option), options.want_theirs(option)].into_iter().flatten()
            {
                telnet::write_option(&mut out, verb, option);
            }
        }
        let mut decoder = Decoder::new(PARAMETERS_BYTES);
        decoder.set_line_mode(true);
        Self { decoder, options, out }
    }

    /// Takes bytes of the host; what the machine wrote is appended.
    ///
    /// # Errors
    ///
    /// [`TelnetError`]: it does not speak telnet.
    pub fn receive(&mut self, mut input: &[u8], shown: &mut Vec<u8>) -> Result<(), TelnetError> {
        loop {
            match self.decoder.next(&mut input)? {
                None => return Ok(()),
                Some(Event::Data(data)) => shown.extend_from_slice(data),
                Some(Event::Option(verb, option)) => {
                    let reaction = self.options.received(verb, option);
                    if let Some(answer) = reaction.answer {
                        telnet::write_option(&mut self.out, answer, option);
                    }
                    if option == telnet::BINARY
                        && let Some(on) = reaction.theirs
                    {
                        self.decoder.set_line_mode(!on);
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// What is typed.
    pub fn write(&mut self, data: &[u8]) {
        if self.options.ours(telnet::BINARY) {
            telnet::write_data(&mut self.out, data);
        } else {
            telnet::write_line_data(&mut self.out, data);
        }
    }

    /// What there is to send.
    pub fn take_output(&mut self) -> Bytes {
        self.out.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(direct: &mut Direct, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut shown = Vec::new();
        direct.receive(bytes, &mut shown).unwrap();
        (shown, direct.take_output().to_vec())
    }

    #[test]
    fn a_host_that_agrees_and_one_that_does_not() {
        let mut direct = Direct::new();
        let opening = [255, 251, 0, 255, 253, 0, 255, 251, 3, 255, 253, 3];
        assert_eq!(direct.take_output()[..], opening);
        // Before anything is agreed upon, a return is CR NUL, both ways.
        direct.write(b"a\r\xff");
        assert_eq!(direct.take_output()[..], *b"a\r\0\xff\xff");
        assert_eq!(heard(&mut direct, b"x\r\0y"), (b"x\ry".to_vec(), vec![]));
        // AUTHENTICATION and COM-PORT are refused, ECHO is the guest's.
        let offers = [255, 251, 37, 255, 251, 44, 255, 251, 1, 255, 253, 24];
        let answers = [255, 254, 37, 255, 254, 44, 255, 253, 1, 255, 252, 24];
        assert_eq!(heard(&mut direct, &offers), (vec![], answers.to_vec()));
        let agreed = [255, 253, 0, 255, 251, 0, 255, 253, 3, 255, 251, 3];
        assert_eq!(heard(&mut direct, &agreed), (vec![], vec![]));
        direct.write(b"a\r\xff");
        assert_eq!(direct.take_output()[..], *b"a\r\xff\xff");
        let data = heard(&mut direct, b"x\r\0y\xff\xff\xff\xf1\xff\xfa\x2c\x01\xff\xf0z");
        assert_eq!(data, (b"x\r\0y\xffz".to_vec(), vec![]));
        assert!(direct.receive(b"\xff\xf0", &mut Vec::new()).is_err());
    }
}
