//! The user's end of a console: a terminal in raw mode, or pipes.
//!
//! A serial line knows no size, so that a terminal may change its own at any time: nothing is drawn here but what comes.

use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// Most that is read at once.
const READ: usize = 4096;
/// Pieces that wait for the concentrator; then nothing more is read.
const WAITING: usize = 16;

/// Standard input in raw mode; as it was again when this is dropped.
pub(super) struct Raw(Option<Termios>);

impl Raw {
    /// Turns raw mode on, if there is a terminal.
    pub(super) fn enter() -> std::io::Result<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Ok(Self(None));
        }
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok(Self(Some(before)))
    }

    /// Whether there is a terminal.
    pub(super) const fn is_terminal(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // What was typed ahead stays for whoever reads next.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, before);
        }
    }
}

/// Standard input, read by a thread that ends when this is dropped.
pub(super) struct Keys {
    receiver: mpsc::Receiver<Vec<u8>>,
    _stop: UnixStream,
}

impl Keys {
    /// Starts to read.
    pub(super) fn listen() -> std::io::Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let (sender, receiver) = mpsc::channel(WAITING);
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
            let stdin = std::io::stdin();
            let mut space = [0; READ];
            while wait(&stdin, &stopped) {
                // Not through Rust's buffer: what is read is all that there is.
                match rustix::io::read(&stdin, &mut space) {
                    Ok(0) => break,
                    Ok(length) => {
                        if sender.blocking_send(space[..length].to_vec()).is_err() {
                            break;
                        }
                    }
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                    Err(_) => break,
                }
            }
        })?;
        Ok(Self { receiver, _stop: stop })
    }

    /// What was typed next; `None`: input ended.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        self.receiver.recv().await
    }
}

/// Waits for input. `false`: it is not wanted any more. A change of the terminal's size interrupts, and is nothing.
fn wait(stdin: &impl AsFd, stopped: &impl AsFd) -> bool {
    loop {
        let mut sources = [PollFd::new(stdin, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut sources, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
            Ok(_) if !sources[1].revents().is_empty() => return false,
            Ok(_) => return true,
        }
    }
}

/// Standard output. Where it is no terminal, what could steer one is left out.
pub(super) struct Screen {
    filter: Option<Plain>,
}

impl Screen {
    pub(super) fn new() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        Self { filter: (!is_terminal).then(Plain::default) }
    }

    /// Shows a piece at once.
    pub(super) fn show(&mut self, data: &[u8]) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        match &mut self.filter {
            None => out.write_all(data)?,
            Some(filter) => {
                let plain: Vec<u8> = data.iter().copied().filter(|b| filter.keeps(*b)).collect();
                out.write_all(&plain)?;
            }
        }
        out.flush()
    }
}

/// Leaves out escape sequences (ECMA-48) and control characters other than line ends and tabs.
#[derive(Default)]
struct Plain {
    state: Sequence,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Sequence {
    #[default]
    None,
    /// After ESC.
    Escape,
    /// After ESC [: ends with a byte from 0x40 on.
    Control,
    /// After ESC ], P, X, ^ or _: ends with BEL or ESC \.
    Text,
}

impl Plain {
    const fn keeps(&mut self, byte: u8) -> bool {
        let (state, keeps) = match (self.state, byte) {
            // Cancels whatever was begun.
            (_, 0x18 | 0x1a) => (Sequence::None, false),
            (_, 0x1b) => (Sequence::Escape, false),
            (Sequence::None, b'\n' | b'\r' | b'\t') => (Sequence::None, true),
            (Sequence::None, byte) => (Sequence::None, byte >= b' ' && byte != 0x7f),
            (Sequence::Escape, b'[') => (Sequence::Control, false),
            (Sequence::Escape, b']' | b'P' | b'X' | b'^' | b'_') => (Sequence::Text, false),
            // Intermediate bytes, then a final one.
            (Sequence::Escape, b' '..=b'/') => (Sequence::Escape, false),
            (Sequence::Escape, _) => (Sequence::None, false),
            (Sequence::Control, 0x40..=0x7e) => (Sequence::None, false),
            (Sequence::Control, _) => (Sequence::Control, false),
            (Sequence::Text, 0x07) => (Sequence::None, false),
            (Sequence::Text, _) => (Sequence::Text, false),
        };
        self.state = state;
        keeps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_do_not_get_into_pipes() {
        let mut filter = Plain::default();
        let mut plain = |text: &str| -> String {
            text.bytes().filter(|b| filter.keeps(*b)).map(char::from).collect()
        };
        assert_eq!(plain("a\x1b[31;1mb\x1b[0mc\r\n\td\x07\x08e"), "abc\r\n\tde");
        assert_eq!(plain("\x1b]0;title\x07x\x1bP1;2|abc\x1b\\y\x1b(Bz\x1bc"), "xyz");
        // Split between two pieces.
        assert_eq!(plain("1\x1b"), "1");
        assert_eq!(plain("[2J2"), "2");
    }
}
