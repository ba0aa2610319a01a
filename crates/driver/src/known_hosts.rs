//! Pinned certificates: the known-hosts file (govc's format, so that both can use one).
//!
//! A line is `HOST:PORT THUMBPRINT`, the thumbprint SHA-1 or SHA-256 with colons; an IPv6 address stands in brackets.
//! Empty lines and lines that begin with `#` mean nothing. The last line of a host counts.

use std::io;
use std::path::{Path, PathBuf};

use esx_vi_client::{Endpoint, Scheme, Thumbprint, ThumbprintError};

/// Largest file read, in bytes: some ten thousand hosts.
const MAX_BYTES: u64 = 2 << 20;

/// Why a known-hosts file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnownHostsError {
    /// It cannot be read.
    #[error("cannot read the known-hosts file {path:?}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The line of a host has no thumbprint. Passing over it would trust somebody else.
    #[error("the known-hosts line of {host} is malformed: {problem}")]
    Malformed {
        /// `HOST:PORT`.
        host: String,
        /// What is wrong with the thumbprint.
        problem: ThumbprintError,
    },
}

/// The content of a known-hosts file. Lines that are not changed stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownHosts {
    lines: Vec<String>,
}

impl KnownHosts {
    /// Reads the text of a file.
    pub fn parse(text: &str) -> Self {
        // Not `lines`, which would take the carriage returns of another system's editor.
        Self { lines: text.split_terminator('\n').map(str::to_owned).collect() }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`KnownHostsError::Unreadable`].
    pub fn read(path: &Path) -> Result<Self, KnownHostsError> {
        match crate::auth::read_bounded(path, MAX_BYTES) {
            Ok(bytes) => Ok(Self::parse(&String::from_utf8_lossy(&bytes))),
            Err(source) => Err(KnownHostsError::Unreadable { path: path.to_owned(), source }),
        }
    }

    /// The certificate that is pinned for a server.
    ///
    /// # Errors
    /// [`KnownHostsError::Malformed`].
    pub fn pin(&self, host: &str, port: u16) -> Result<Option<Thumbprint>, KnownHostsError> {
        let name = name(host, port);
        let Some(line) = self.lines.iter().rev().find(|line| is_of(line, &name)) else {
            return Ok(None);
        };
        let thumbprint = line.trim_start().split_once(char::is_whitespace).map_or("", |(_, t)| t);
        Thumbprint::parse(thumbprint)
            .map(Some)
            .map_err(|problem| KnownHostsError::Malformed { host: name, problem })
    }

    /// Pins a certificate, by its thumbprint as `AA:BB:...` with or without a label, in place of any other of this server.
    pub fn set(&mut self, host: &str, port: u16, thumbprint: &str) {
        let name = name(host, port);
        self.lines.retain(|line| !is_of(line, &name));
        // Without the label, which others may not expect.
        let digits = thumbprint.split_once("SHA-").map_or(thumbprint, |(_, rest)| {
            rest.split_once(':').map_or(rest, |(_, digits)| digits)
        });
        self.lines.push(format!("{name} {digits}"));
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// `HOST:PORT`, as messages show it.
fn name(host: &str, port: u16) -> String {
    Endpoint::new(Scheme::Https, host, port).to_string()
}

/// Whether a line is about the server; case means nothing in host names.
fn is_of(line: &str, name: &str) -> bool {
    line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use esx_vi_client::ThumbprintAlgorithm;

    use super::*;

    #[test]
    fn lines() {
        let thumbprint = Thumbprint::of_certificate(ThumbprintAlgorithm::Sha1, b"abc");
        let other = Thumbprint::of_certificate(ThumbprintAlgorithm::Sha256, b"abc");
        let digits = thumbprint.to_string().replace("SHA-1:", "");
        let text = format!(
            "# mine\n\nesx1:443 AA:BB\n  ESX2:443\t{digits}  \nesx3:443 00:{digits}\n[::1]:8443 {digits}\nesx1:443 {digits}\nesx4:443\n"
        );
        let mut known = KnownHosts::parse(&text);
        for (host, port) in [("esx1", 443), ("esx2", 443), ("::1", 8443)] {
            assert_eq!(known.pin(host, port).unwrap().as_ref(), Some(&thumbprint), "{host}");
        }
        for (host, port) in [("esx1", 8443), ("esx", 443), ("# mine", 443), ("", 443)] {
            assert_eq!(known.pin(host, port).unwrap(), None, "{host}");
        }
        insta::assert_snapshot!(
            format!("{}\n{}", known.pin("esx3", 443).unwrap_err(), known.pin("esx4", 443).unwrap_err()),
            @r"
        the known-hosts line of esx3:443 is malformed: a thumbprint has 40 digits (SHA-1) or 64 (SHA-256), not 42
        the known-hosts line of esx4:443 is malformed: a thumbprint has 40 digits (SHA-1) or 64 (SHA-256), not 0
        "
        );
        assert_eq!(known.to_text(), text, "what is not changed stays");
        let text = format!("esx1:443 {digits}\r\n\r\r\n# theirs\r\n");
        let foreign = KnownHosts::parse(&text);
        assert_eq!(foreign.pin("esx1", 443).unwrap(), Some(thumbprint));
        assert_eq!(foreign.to_text(), text, "line ends, too");
        known.set("esx1", 443, &other.to_string());
        assert_eq!(known.pin("esx1", 443).unwrap(), Some(other));
        assert_eq!(known.to_text().matches("esx1:443").count(), 1);
        assert!(known.to_text().starts_with("# mine\n\n  ESX2"));
    }
}
