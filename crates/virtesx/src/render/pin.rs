//! The result of `pin`.

use jiff::Timestamp;
use serde_json::{Value, json};
use virt_api::{Error, ErrorCode, ErrorDomain};

use super::{Fields, Render, printable};

/// A certificate, and what became of it.
pub(crate) struct Pinned {
    /// `host:port`.
    pub(crate) server: String,
    /// The host alone.
    pub(crate) host: String,
    /// The port alone.
    pub(crate) port: u16,
    /// Distinguished name of whom it is for.
    pub(crate) subject: String,
    /// Distinguished name of who signed it.
    pub(crate) issuer: String,
    /// Names and addresses that it is valid for.
    pub(crate) names: Vec<String>,
    /// X.509 version, 0 if it cannot be read.
    pub(crate) version: u8,
    /// First and last second of its validity.
    pub(crate) validity: (Option<u64>, Option<u64>),
    /// Fingerprint, `SHA-1:AA:BB:...`.
    pub(crate) sha1: String,
    /// Fingerprint, `SHA-256:AA:BB:...`.
    pub(crate) sha256: String,
    /// What was pinned before, if it was another.
    pub(crate) before: Option<String>,
    /// The file that holds the pin now.
    pub(crate) file: Option<String>,
}

impl Pinned {
    /// Whether it has this fingerprint, in any spelling.
    ///
    /// # Errors
    /// If not.
    pub(crate) fn must_be(&self, thumbprint: &str) -> Result<(), Error> {
        let digits = |text: &str| -> String {
            let text = text.trim();
            let text = ["SHA-256", "SHA256", "SHA-1", "SHA1"]
                .iter()
                .find_map(|label| {
                    let head = text.get(..label.len())?;
                    head.eq_ignore_ascii_case(label).then(|| &text[label.len()..])
                })
                .unwrap_or(text);
            text.chars()
                .filter(|c| !matches!(c, ':' | ' ' | '='))
                .collect::<String>()
                .to_lowercase()
        };
        let wanted = digits(thumbprint);
        if [&self.sha1, &self.sha256].iter().any(|own| digits(own) == wanted) {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::AuthFailed,
            ErrorDomain::None,
            format!(
                "the certificate of {} has the fingerprints {} and {}, not {}: it is not pinned",
                self.server,
                self.sha1,
                self.sha256,
                printable(thumbprint)
            ),
        ))
    }
}

/// `2026-11-25 16:00:00Z`.
fn date(seconds: Option<u64>) -> String {
    seconds
        .and_then(|seconds| Timestamp::from_second(i64::try_from(seconds).ok()?).ok())
        .map_or("unknown".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

impl Render for Pinned {
    fn table(&self, _quiet: bool) -> String {
        let names = if self.names.is_empty() { "none".to_owned() } else { self.names.join(", ") };
        let version = match self.version {
            0 => "unknown".to_owned(),
            version => version.to_string(),
        };
        Fields::new(20)
            .with("Server:", printable(&self.server))
            .with("Subject:", printable(&self.subject))
            .with("Issuer:", printable(&self.issuer))
            .with("Names:", printable(&names))
            .with("X.509 version:", version)
            .with("Valid from:", date(self.validity.0))
            .with("Valid until:", date(self.validity.1))
            .with("Fingerprint:", &self.sha256)
            .with("Fingerprint:", &self.sha1)
            .with_some("Pinned before:", self.before.clone())
            .with_some("Pinned in:", self.file.as_deref().map(printable))
            .into_text()
    }

    fn value(&self) -> Value {
        json!({
            "server": self.server,
            "subject": self.subject,
            "issuer": self.issuer,
            "names": self.names,
            "version": self.version,
            "not_before_s": self.validity.0,
            "not_after_s": self.validity.1,
            "sha1": self.sha1,
            "sha256": self.sha256,
            "pinned_before": self.before,
            "file": self.file,
        })
    }

    fn warnings(&self) -> Vec<String> {
        let changed = self.before.as_ref().map(|before| {
            format!("{} had another certificate pinned before: {before}", self.server)
        });
        changed.into_iter().collect()
    }
}
