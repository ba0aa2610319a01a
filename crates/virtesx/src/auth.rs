//! Who answers when the driver asks for a user name or a password.

use std::io::{IsTerminal, Write};

use async_trait::async_trait;
use virt_api::{
    AuthCallback, CredentialRequest, CredentialType, Error, ErrorCode, ErrorDomain, Result, Secret,
};

/// Asks the person at the terminal; fails clearly if there is none. A password is never an argument.
pub(crate) struct Prompt;

#[async_trait]
impl AuthCallback for Prompt {
    fn credential_types(&self) -> &[CredentialType] {
        &[
            CredentialType::AuthName,
            CredentialType::EchoPrompt,
            CredentialType::Passphrase,
            CredentialType::NoEchoPrompt,
        ]
    }

    async fn answer(&self, requests: &[CredentialRequest]) -> Result<Vec<Secret>> {
        requests.iter().map(ask).collect()
    }
}

/// Asks one question. It blocks the runtime, which has nothing else to do before the login.
fn ask(request: &CredentialRequest) -> Result<Secret> {
    let hidden = matches!(request.kind, CredentialType::Passphrase | CredentialType::NoEchoPrompt);
    let what = if hidden { "password" } else { "user name" };
    if !std::io::stdin().is_terminal() {
        return Err(Error::new(
            ErrorCode::AuthFailed,
            ErrorDomain::Auth,
            format!(
                "cannot ask for the {what}: standard input is not a terminal; put it into an auth file \
                 (LIBVIRT_AUTH_FILE or ~/.config/libvirt/auth.conf){}",
                if hidden { "" } else { " or into the URI (esx://USER@HOST/)" }
            ),
        ));
    }
    let prompt = format!("{}: ", request.prompt.trim_end_matches([':', ' ']));
    let answer = if hidden { rpassword::prompt_password(prompt) } else { read_line(&prompt) };
    let answer = answer.map_err(|error| {
        Error::new(ErrorCode::AuthFailed, ErrorDomain::Auth, format!("cannot read the {what}"))
            .with_source(error)
    })?;
    let default = request.default_result.as_deref().unwrap_or_default();
    Ok(Secret::new(if answer.is_empty() { default } else { &answer }))
}

/// Asks on stderr, so that stdout stays clean, and reads a line.
fn read_line(prompt: &str) -> std::io::Result<String> {
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(prompt.as_bytes())?;
    stderr.flush()?;
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Knows the answers beforehand: the built-in simulated host.
pub(crate) struct Known {
    username: String,
    password: Secret,
}

impl Known {
    /// The two answers.
    pub(crate) fn new(username: &str, password: &str) -> Self {
        Self { username: username.to_owned(), password: Secret::new(password) }
    }
}

#[async_trait]
impl AuthCallback for Known {
    fn credential_types(&self) -> &[CredentialType] {
        &[CredentialType::AuthName, CredentialType::Passphrase]
    }

    async fn answer(&self, requests: &[CredentialRequest]) -> Result<Vec<Secret>> {
        Ok(requests
            .iter()
            .map(|request| match request.kind {
                CredentialType::Passphrase | CredentialType::NoEchoPrompt => self.password.clone(),
                _ => Secret::new(self.username.clone()),
            })
            .collect())
    }
}
