//! Who answers when the driver asks for a user name or a password.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::sync::oneshot;
use virt_api::{
    AuthCallback, CredentialRequest, CredentialType, Error, ErrorCode, ErrorDomain, Result, Secret,
};

/// Asks the person at the terminal; fails clearly if there is none. A password is never an argument.
#[derive(Default)]
pub(crate) struct Prompt {
    asks: Arc<AtomicBool>,
}

impl Prompt {
    /// One that shows whether it waits for an answer, when nothing is on its way to the host.
    pub(crate) fn new(asks: Arc<AtomicBool>) -> Self {
        Self { asks }
    }
}

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
        let mut answers = Vec::new();
        for request in requests {
            let (sender, answer) = oneshot::channel();
            let mut question = Question::begin(&self.asks);
            let request = request.clone();
            // A thread that nobody waits for: a read cannot be interrupted, and Ctrl-C must not wait for it.
            std::thread::spawn(move || sender.send(ask(&request)));
            let answer = answer.await;
            question.is_answered = true;
            let broken = |_| Error::internal(ErrorDomain::Auth, "the prompt broke");
            answers.push(answer.map_err(broken)??);
        }
        Ok(answers)
    }
}

/// While a question waits for its answer. If it is given up, the terminal becomes again what it was: it may hide what is typed.
struct Question<'a> {
    asks: &'a AtomicBool,
    is_answered: bool,
    #[cfg(unix)]
    terminal: Option<(std::fs::File, rustix::termios::Termios)>,
}

impl<'a> Question<'a> {
    fn begin(asks: &'a AtomicBool) -> Self {
        asks.store(true, Ordering::Relaxed);
        Self {
            asks,
            is_answered: false,
            #[cfg(unix)]
            terminal: std::fs::File::open("/dev/tty").ok().and_then(|terminal| {
                let before = rustix::termios::tcgetattr(&terminal).ok()?;
                Some((terminal, before))
            }),
        }
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.asks.store(false, Ordering::Relaxed);
        if self.is_answered {
            return;
        }
        #[cfg(unix)]
        if let Some((terminal, before)) = &self.terminal {
            let now = rustix::termios::OptionalActions::Now;
            let _ = rustix::termios::tcsetattr(terminal, now, before);
        }
        // What follows does not stand behind the question.
        let _unheard = std::io::stderr().write_all(b"\n");
    }
}

/// Asks one question, and blocks until it is answered.
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
