//! Asking the caller for credentials (libvirt `virConnectAuth`).

use std::fmt;

use async_trait::async_trait;

use crate::Result;

/// Kind of a credential (libvirt `virConnectCredentialType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum CredentialType {
    /// Identity to act as (`VIR_CRED_USERNAME`).
    Username = 1,
    /// Identity to authorise as: the login name (`VIR_CRED_AUTHNAME`).
    AuthName = 2,
    /// Language of the prompts, RFC 1766 (`VIR_CRED_LANGUAGE`).
    Language = 3,
    /// Nonce of the client (`VIR_CRED_CNONCE`).
    Cnonce = 4,
    /// Secret to prove the identity (`VIR_CRED_PASSPHRASE`).
    Passphrase = 5,
    /// Answer to a challenge, shown while typed (`VIR_CRED_ECHOPROMPT`).
    EchoPrompt = 6,
    /// Answer to a challenge, hidden while typed (`VIR_CRED_NOECHOPROMPT`).
    NoEchoPrompt = 7,
    /// Authentication realm (`VIR_CRED_REALM`).
    Realm = 8,
    /// Handled outside (`VIR_CRED_EXTERNAL`).
    External = 9,
}

impl CredentialType {
    /// libvirt's number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// One question (libvirt `virConnectCredential` without its answer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRequest {
    /// What is asked for.
    pub kind: CredentialType,
    /// Text for a person, such as `Enter root's password for host`.
    pub prompt: String,
    /// What the answer is for, usually the host name.
    pub challenge: Option<String>,
    /// Answer to take if the person gives none.
    pub default_result: Option<String>,
}

/// A text that no log shows: `Debug` writes `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Whoever calls this keeps it out of logs and errors.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Who answers a driver's questions about credentials (libvirt `virConnectAuthCallbackPtr`).
#[async_trait]
pub trait AuthCallback: Send + Sync {
    /// The kinds it can answer, in the order it prefers them.
    fn credential_types(&self) -> &[CredentialType];

    /// Answers every request, one answer each and in their order. The driver does not put in `default_result`
    /// (connection.md 2.3); an implementation does, where an empty answer means "the default".
    ///
    /// # Errors
    /// Anything that leaves a question open; the driver turns it into `VIR_ERR_AUTH_FAILED` (login name) or
    /// `VIR_ERR_OPERATION_FAILED` (password), with this error as the source.
    async fn answer(&self, requests: &[CredentialRequest]) -> Result<Vec<Secret>>;
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn secrets_do_not_show() {
        let secret = Secret::new("pa55");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.expose(), "pa55");
    }
}
