//! Credentials: from the URI, from a credentials file, from the person at the terminal (connection.md 2).
//!
//! User name and password are found separately. The user part of the URI wins, then the file, then the callback; a
//! password comes from the file or the callback, never from an argument.

mod error;
mod key_file;

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use virt_api::{AuthCallback, CredentialRequest, CredentialType, Error, Secret};

pub(crate) use self::error::{AuthError, Field};
use self::key_file::KeyFile;

/// Largest credentials file read, in bytes.
const MAX_AUTH_FILE_BYTES: u64 = 1 << 20;
/// The service name in group names, for vCenter and GSX as well.
const SERVICE: &str = "esx";

/// What of the process decides where credentials are looked for.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `LIBVIRT_AUTH_FILE`. If set, this file and no other, even if it is empty or unreadable.
    pub libvirt_auth_file: Option<OsString>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
    /// The home directory, for `~/.config`.
    pub home: Option<PathBuf>,
    /// The system's configuration directory, normally `/etc`.
    pub etc_dir: PathBuf,
}

impl Environment {
    /// The environment of this process.
    pub fn from_process() -> Self {
        let path = |name: &str| {
            std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
        };
        Self {
            libvirt_auth_file: std::env::var_os("LIBVIRT_AUTH_FILE"),
            xdg_config_home: path("XDG_CONFIG_HOME"),
            home: path("HOME"),
            etc_dir: PathBuf::from("/etc"),
        }
    }

    /// Name and password that the credentials file has for another service than the driver's own, as libvirt's clients of a
    /// daemon look for them: group `auth-SERVICE-HOST`, keys `authname` and `password`. `from_uri` is the `authfile` of a URI.
    ///
    /// # Errors
    /// `VIR_ERR_AUTH_FAILED` and others, if the file cannot be read or understood; none if there is no file, no group or no key.
    pub fn stored_login(
        &self,
        service: &str,
        host: &str,
        from_uri: Option<&str>,
    ) -> Result<(Option<String>, Option<Secret>), Error> {
        let stored = || {
            let source = CredentialSource::load(self, from_uri)?;
            let name = source.lookup_for(service, host, "authname")?.map(str::to_owned);
            let password = source.lookup_for(service, host, "password")?.map(Secret::new);
            Ok((name, password))
        };
        stored().map_err(|error: AuthError| {
            Error::new(error.code(), error.domain(), "cannot use the credentials file")
                .with_source(error)
        })
    }

    /// Where the user's configuration is.
    fn config_dir(&self) -> Option<PathBuf> {
        match (&self.xdg_config_home, &self.home) {
            (Some(config), _) => Some(config.clone()),
            (None, Some(home)) => Some(home.join(".config")),
            (None, None) => None,
        }
    }

    /// Where the personal credentials file would be.
    fn personal_file(&self) -> Option<PathBuf> {
        Some(self.config_dir()?.join("libvirt/auth.conf"))
    }

    /// Where the user's own known-hosts file is, if there is one: `virtesx/known_hosts` in the configuration directory.
    pub fn known_hosts(&self) -> Option<PathBuf> {
        Some(self.config_dir()?.join("virtesx/known_hosts"))
    }

    /// The first rule that applies wins (connection.md 2.1); only personal and system file must exist to count.
    fn auth_file(&self, from_uri: Option<&str>) -> Result<Option<PathBuf>, AuthError> {
        if let Some(path) = &self.libvirt_auth_file {
            if path.is_empty() {
                return Err(AuthError::EmptyVariable);
            }
            return Ok(Some(path.into()));
        }
        if let Some(path) = from_uri {
            return Ok(Some(path.into()));
        }
        let system = self.etc_dir.join("libvirt/auth.conf");
        let readable = |path: &PathBuf| path.is_file() && std::fs::File::open(path).is_ok();
        Ok(self.personal_file().into_iter().chain([system]).find(readable))
    }
}

/// What a server is logged in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// The login name.
    pub(crate) username: String,
    /// The password. Its `Debug` hides it.
    pub(crate) password: Secret,
}

/// The credentials file of one connection, if there is one. Read once; a connection with a vCenter asks it twice.
#[derive(Debug)]
pub(crate) struct CredentialSource {
    file: Option<(PathBuf, KeyFile)>,
}

/// Whose credentials are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Login<'a> {
    /// The host as the credentials file names it: the URI's host, an IPv6 address without brackets.
    pub(crate) host: &'a str,
    /// The user part of the URI.
    pub(crate) user: Option<&'a str>,
    /// Offered to the person who is asked for a user name: [`UriScheme::default_user`](crate::uri::UriScheme).
    pub(crate) default_user: &'a str,
}

impl CredentialSource {
    /// Finds and reads the credentials file: `LIBVIRT_AUTH_FILE`, else `authfile` of the URI, else the personal file,
    /// else the system's, else none.
    ///
    /// # Errors
    /// If the file chosen by the first two cannot be read, or the chosen file is no key file.
    pub(crate) fn load(
        environment: &Environment,
        from_uri: Option<&str>,
    ) -> Result<Self, AuthError> {
        let Some(path) = environment.auth_file(from_uri)? else { return Ok(Self { file: None }) };
        let bytes = match read_bounded(&path, MAX_AUTH_FILE_BYTES) {
            Ok(bytes) => bytes,
            Err(source) => return Err(AuthError::Unreadable { path, source }),
        };
        match KeyFile::parse(&bytes) {
            Ok(file) => Ok(Self { file: Some((path, file)) }),
            Err(error) => Err(AuthError::Syntax { path, line: error.line, problem: error.problem }),
        }
    }

    /// User name for one server, and the password if nobody needs to be asked for it.
    ///
    /// # Errors
    /// As for [`credentials`](Self::credentials).
    pub(crate) async fn user_name(
        &self,
        login: Login<'_>,
        callback: Option<&dyn AuthCallback>,
    ) -> Result<(String, Option<Secret>), AuthError> {
        let user_name = match login.user {
            Some(user) => user.to_owned(),
            None => match self.lookup(login.host, "username")? {
                Some(user) => user.to_owned(),
                None => self.ask_user(login, callback).await?,
            },
        };
        Ok((user_name, self.lookup(login.host, "password")?.map(Secret::new)))
    }

    /// User name and password for one server. The password of the file is chosen by host alone, as in libvirt: a user
    /// name from the URI does not matter to it.
    ///
    /// # Errors
    /// [`AuthError`]; its [`code`](AuthError::code) is libvirt's.
    pub(crate) async fn credentials(
        &self,
        login: Login<'_>,
        callback: Option<&dyn AuthCallback>,
    ) -> Result<Credentials, AuthError> {
        let (username, password) = self.user_name(login, callback).await?;
        let password = match password {
            Some(password) => password,
            None => self.ask_password(login.host, &username, callback).await?,
        };
        Ok(Credentials { username, password })
    }

    /// The first of a server's names that the file has a group of its own for.
    pub(crate) fn named<'h>(&self, hosts: &[&'h str]) -> Option<&'h str> {
        let (_, file) = self.file.as_ref()?;
        hosts.iter().copied().find(|host| file.group(&format!("auth-{SERVICE}-{host}")).is_some())
    }

    /// The user name that the file has for `host`.
    ///
    /// # Errors
    /// As for [`credentials`](Self::credentials).
    pub(crate) fn stored_user(&self, host: &str) -> Result<Option<&str>, AuthError> {
        self.lookup(host, "username")
    }

    /// A key of the credentials that the file has for `host`. Without a file, without an `auth-esx-...` group, or
    /// without the key the search goes on elsewhere.
    fn lookup(&self, host: &str, key: &str) -> Result<Option<&str>, AuthError> {
        self.lookup_for(SERVICE, host, key)
    }

    fn lookup_for(&self, service: &str, host: &str, key: &str) -> Result<Option<&str>, AuthError> {
        let Some((path, file)) = &self.file else { return Ok(None) };
        let groups = [format!("auth-{service}-{host}"), format!("auth-{service}-default")];
        let Some((name, group)) = groups.iter().find_map(|name| Some((name, file.group(name)?)))
        else {
            return Ok(None);
        };
        let Some(credentials) = group.value("credentials") else {
            return Err(AuthError::NoCredentialsKey { path: path.clone(), group: name.clone() });
        };
        let wanted = format!("credentials-{credentials}");
        let Some(credentials) = file.group(&wanted) else {
            return Err(AuthError::NoCredentialsGroup {
                path: path.clone(),
                group: name.clone(),
                wanted,
            });
        };
        Ok(credentials.value(key))
    }

    async fn ask_user(
        &self,
        login: Login<'_>,
        callback: Option<&dyn AuthCallback>,
    ) -> Result<String, AuthError> {
        let Login { host, default_user, .. } = login;
        let callback = callback.ok_or_else(|| self.nobody_to_ask(Field::UserName, host))?;
        if !callback.credential_types().contains(&CredentialType::AuthName) {
            return Err(AuthError::CannotAsk { field: Field::UserName, host: host.to_owned() });
        }
        let request = CredentialRequest {
            kind: CredentialType::AuthName,
            prompt: format!("Enter username for {host} [{default_user}]"),
            challenge: Some(host.to_owned()),
            default_result: Some(default_user.to_owned()),
        };
        let answer = ask(callback, request, Field::UserName, host).await?;
        Ok(answer.expose().to_owned())
    }

    async fn ask_password(
        &self,
        host: &str,
        username: &str,
        callback: Option<&dyn AuthCallback>,
    ) -> Result<Secret, AuthError> {
        let callback = callback.ok_or_else(|| self.nobody_to_ask(Field::Password, host))?;
        let fits = |kind: &&CredentialType| {
            matches!(kind, CredentialType::Passphrase | CredentialType::NoEchoPrompt)
        };
        let Some(kind) = callback.credential_types().iter().find(fits) else {
            return Err(AuthError::CannotAsk { field: Field::Password, host: host.to_owned() });
        };
        // libvirt's manual promises the host as the challenge, its driver gives none; callbacks read the prompt.
        let request = CredentialRequest {
            kind: *kind,
            prompt: format!("Enter {username}'s password for {host}"),
            challenge: None,
            default_result: None,
        };
        ask(callback, request, Field::Password, host).await
    }

    fn nobody_to_ask(&self, field: Field, host: &str) -> AuthError {
        let looked_in = self.file.as_ref().map(|(path, _)| path.clone());
        AuthError::NobodyToAsk { field, host: host.to_owned(), looked_in }
    }
}

async fn ask(
    callback: &dyn AuthCallback,
    request: CredentialRequest,
    field: Field,
    host: &str,
) -> Result<Secret, AuthError> {
    let host = || host.to_owned();
    let answers = callback.answer(&[request]).await;
    let mut answers = answers.map_err(|source| AuthError::Refused {
        field,
        host: host(),
        source: Some(Box::new(source)),
    })?;
    answers.pop().ok_or_else(|| AuthError::Refused { field, host: host(), source: None })
}

/// A whole regular file of bounded size. Devices and pipes, which might never end, are refused.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // Looked at before opening, since opening a pipe waits for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let problem = format!("it is larger than {} KiB", limit / 1024);
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok(bytes)
}

/// For `fuzz/fuzz_targets/auth_file.rs`: any bytes are a file or an error with the number of one of its lines; no value of the
/// file is in `Debug`.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    match KeyFile::parse(bytes) {
        Ok(file) => {
            let source = CredentialSource { file: Some((PathBuf::from("auth.conf"), file)) };
            for host in ["h", "", "::1"] {
                let secret = source.lookup(host, "password").ok().flatten().unwrap_or_default();
                let _ = source.lookup(host, "username").map_err(|error| error.to_string());
                // A canary: nothing short, which may be in a name by chance.
                if secret.starts_with("canary-") {
                    let names = String::from_utf8_lossy(bytes).matches(secret).count();
                    assert!(names > 1 || !format!("{source:?}").contains(secret));
                }
            }
        }
        Err(error) => assert!(error.line >= 1 && error.line <= bytes.len() + 1),
    }
}

#[cfg(test)]
mod tests;
