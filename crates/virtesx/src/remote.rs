//! `esx+unix:///` and `esx+ext:///`: a driver behind a daemon's socket, by libvirt's remote protocol.
//!
//! [`uri`] reads the URI, [`link`] moves packets, [`stream`] is a byte stream over them; what is asked and answered is
//! [`virt_rpc::remote`].

mod link;
mod stream;
#[cfg(test)]
mod tests;
mod uri;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use esx_driver::Environment;
use tokio::net::UnixStream;
use virt_api::{
    AuthCallback, CredentialRequest, CredentialType, Driver, Error, ErrorCode, ErrorDomain, Result,
    Secret,
};
use virt_rpc::client;
use virt_rpc::procedure::call;
use virt_rpc::remote::Remote;

use self::link::Link;
pub(crate) use self::uri::is_remote;
use self::uri::{RemoteUri, Transport};

/// `VIR_CONNECT_RO`.
const READ_ONLY: u32 = 1;
/// Methods of authentication, by number.
const AUTH_NONE: i32 = 0;
const AUTH_SASL: i32 = 1;
/// The keep-alive program, as a feature.
const FEATURE_KEEPALIVE: i32 = 10;
/// How `auth.conf` names the daemon of this machine.
const AUTH_SERVICE: &str = "libvirt";
const AUTH_HOST: &str = "localhost";

/// Opens a connection through a daemon.
///
/// # Errors
/// What keeps the daemon from being reached, and what it says.
pub(crate) async fn open(
    uri: &str,
    read_only: bool,
    auth: &dyn AuthCallback,
) -> Result<impl Driver + use<>> {
    let parsed = RemoteUri::parse(uri)?;
    let (stream, child) = match parsed.transport {
        Transport::Unix => (connect(&parsed, read_only).await?, None),
        Transport::Ext => {
            let (stream, child) = start(&parsed)?;
            (stream, Some(child))
        }
    };
    let (read, write) = stream.into_split();
    let link = Link::new(read, write, child);
    match greet(&link, &parsed, read_only, auth).await {
        Ok(()) => Ok(Remote::new(link, uri.to_owned())),
        Err(error) => {
            link.end().await;
            Err(error)
        }
    }
}

async fn connect(uri: &RemoteUri, read_only: bool) -> Result<UnixStream> {
    let runtime_dir =
        std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let sockets = uri.sockets(read_only, runtime_dir);
    let mut problem = None;
    for socket in &sockets {
        match UnixStream::connect(socket).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                let missing = error.kind() == std::io::ErrorKind::NotFound;
                let shown = socket.display();
                let error = system(format!("cannot connect to the daemon at '{shown}'"), error);
                if !missing {
                    return Err(error);
                }
                problem.get_or_insert(error);
            }
        }
    }
    Err(problem.unwrap_or_else(|| {
        let message = "XDG_RUNTIME_DIR is not set: name the daemon's socket by socket=PATH";
        Error::new(ErrorCode::SystemError, ErrorDomain::Rpc, message)
    }))
}

/// Starts a program whose standard input and output are one socket, to us.
fn start(uri: &RemoteUri) -> Result<(UnixStream, Child)> {
    let program = uri.command.clone().unwrap_or_default();
    let failed = |error| system(format!("cannot start '{}'", program.display()), error);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
    let input = OwnedFd::from(theirs);
    let output = input.try_clone().map_err(failed)?;
    let mut command = Command::new(&program);
    // What it says about itself goes where ours goes.
    command.stdin(Stdio::from(input)).stdout(Stdio::from(output));
    let child = command.spawn().map_err(failed)?;
    // The command holds the other end, which the program alone shall have.
    drop(command);
    ours.set_nonblocking(true).map_err(failed)?;
    Ok((UnixStream::from_std(ours).map_err(failed)?, child))
}

async fn greet(
    link: &Link,
    uri: &RemoteUri,
    read_only: bool,
    auth: &dyn AuthCallback,
) -> Result<()> {
    let offered = link.ask::<call::AuthList>(&()).await?.0;
    // libvirt takes the first, unless it is told otherwise.
    let method = match offered.first() {
        _ if uri.wants_sasl => AUTH_SASL,
        Some(&first) => first,
        None => AUTH_NONE,
    };
    match method {
        AUTH_NONE => {}
        AUTH_SASL if offered.contains(&AUTH_SASL) => log_in(link, uri, auth).await?,
        AUTH_SASL => return Err(refused("the daemon does not offer SASL")),
        other => {
            return Err(refused(format!("the daemon wants method {other}, which is not SASL")));
        }
    }
    let flags = if read_only { READ_ONLY } else { 0 };
    link.ask::<call::ConnectOpen>(&(Some(uri.name.clone()), flags)).await?;
    if link.ask::<call::ConnectSupportsFeature>(&(FEATURE_KEEPALIVE,)).await? {
        link.keep_alive();
    }
    Ok(())
}

/// SASL PLAIN with what the credentials file has for the daemon, or a person says.
async fn log_in(link: &Link, uri: &RemoteUri, auth: &dyn AuthCallback) -> Result<()> {
    let mechanisms = link.ask::<call::AuthSaslInit>(&()).await?;
    if !mechanisms.split([' ', ',']).any(|mechanism| mechanism == "PLAIN") {
        return Err(refused(format!("the daemon offers no SASL PLAIN, only '{mechanisms}'")));
    }
    let environment = Environment::from_process();
    let (name, password) =
        environment.stored_login(AUTH_SERVICE, AUTH_HOST, uri.auth_file.as_deref())?;
    let name = match name {
        Some(name) => name,
        None => {
            let prompt = format!("Enter username for the host behind {}", uri.name);
            ask(auth, CredentialType::AuthName, prompt).await?.expose().to_owned()
        }
    };
    let password = match password {
        Some(password) => password,
        None => {
            let prompt = format!("Enter {name}'s password for the host behind {}", uri.name);
            ask(auth, CredentialType::NoEchoPrompt, prompt).await?
        }
    };
    let data = client::plain(&name, &password);
    let (complete, ..) =
        link.ask::<call::AuthSaslStart>(&("PLAIN".to_owned(), false, data)).await?;
    if complete { Ok(()) } else { Err(refused("SASL PLAIN goes on where it should have ended")) }
}

async fn ask(auth: &dyn AuthCallback, kind: CredentialType, prompt: String) -> Result<Secret> {
    let request = CredentialRequest { kind, prompt, challenge: None, default_result: None };
    let answer = auth.answer(&[request]).await?.pop();
    answer.ok_or_else(|| refused("nobody has answered"))
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::AuthFailed, ErrorDomain::Auth, message)
}

fn system(message: String, source: std::io::Error) -> Error {
    Error::new(ErrorCode::SystemError, ErrorDomain::Rpc, message).with_source(source)
}
