//! virtesxd: the ESX driver for every libvirt client.
//!
//! Started by hand or by the system it listens at sockets; started by a client (`esx+ext:///?command=virtesxd`) its
//! standard input is the connection.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use tokio::sync::mpsc;
use tracing_subscriber::filter::EnvFilter;
use virtesxd::config::Config;
use virtesxd::server::{Server, Socket};

fn main() -> ExitCode {
    let matches = command().get_matches();
    log(matches.get_count("verbose"));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&matches)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Command {
    let path = |name: &'static str| {
        Arg::new(name).long(name).value_name("PATH").value_parser(value_parser!(PathBuf))
    };
    let address = |name: &'static str, help: &'static str| {
        let parser = value_parser!(SocketAddr);
        Arg::new(name).long(name).value_name("ADDRESS:PORT").value_parser(parser).help(help)
    };
    Command::new("virtesxd")
        .about("Lets every libvirt client use the ESX driver: virsh -c esx+unix:///NAME")
        .version(env!("CARGO_PKG_VERSION"))
        .arg(path("config").help("Configuration file (TOML)"))
        .arg(path("socket").help("Socket to listen at"))
        .arg(path("socket-ro").help("Socket for reading only"))
        .arg(address("listen-tcp", "Listen for TCP in clear text, where no password is taken"))
        .arg(address("listen-tls", "Listen for TLS; the configuration names the certificate"))
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("SECONDS")
                .value_parser(value_parser!(u64))
                .help("End after so long without clients"),
        )
        .arg(
            Arg::new("stdio")
                .long("stdio")
                .action(ArgAction::SetTrue)
                .help("The connection is standard input (the default if that is a socket and --socket is not given)"),
        )
        .arg(
            Arg::new("verbose")
                .long("verbose")
                .short('v')
                .action(ArgAction::Count)
                .help("Tell more; twice, each call"),
        )
}

/// Warnings only, unless asked for more here or by `VIRTESXD_LOG`.
fn log(verbose: u8) {
    let default = match verbose {
        0 => "warn",
        1 => "warn,virtesxd=info",
        _ => "warn,virtesxd=debug,virt_rpc=debug",
    };
    let filter =
        EnvFilter::try_from_env("VIRTESXD_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}

async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let path = |name| matches.get_one::<PathBuf>(name).cloned();
    let root = is_root()?;
    let file = path("config").or_else(|| default_config(root).filter(|file| file.exists()));
    let read = {
        let network = |name: &str| matches.get_one::<SocketAddr>(name).copied();
        let (tcp, tls) = (network("listen-tcp"), network("listen-tls"));
        move || Config::load(file.as_deref(), tcp, tls)
    };
    let config = read()?;
    let listen = config.listen.clone();
    let server = Server::new(config, virtesxd::hub::esx())?;
    let stop = stop_signal()?;
    let from_client = path("socket").is_none() && stdin_is_socket();
    if matches.get_flag("stdio") || from_client {
        server.serve_one(stdin_stream()?, stop).await;
        return Ok(());
    }
    let mut sockets = system_sockets()?;
    if sockets.is_empty() {
        let main = match path("socket") {
            Some(path) => path,
            None => default_socket(root)?,
        };
        sockets.push(Socket::bind(&main, false)?);
        // Beside a socket of the system's there is one for readers; elsewhere only on demand.
        let readers = path("socket-ro").or_else(|| {
            (root && path("socket").is_none()).then(|| main.with_file_name("virtesxd-sock-ro"))
        });
        if let Some(readers) = readers {
            sockets.push(Socket::bind(&readers, true)?);
        }
    }
    for (address, tls) in [(listen.tcp, false), (listen.tls, true)] {
        if let Some(address) = address {
            sockets.push(Socket::network(address, tls).await?);
        }
    }
    announce(&sockets)?;
    let idle = matches.get_one::<u64>("timeout").map(|&seconds| Duration::from_secs(seconds));
    server.run(sockets, idle, reloads(read)?, stop).await;
    Ok(())
}

/// The sockets that the system has handed over (`LISTEN_FDS`).
fn system_sockets() -> anyhow::Result<Vec<Socket>> {
    let mut handed = listenfd::ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..handed.len() {
        let listener = handed.take_unix_listener(index);
        let listener = listener.context("the system handed over what is no Unix socket")?;
        if let Some(listener) = listener {
            sockets.push(Socket::from_system(listener)?);
        }
    }
    Ok(sockets)
}

/// Reads the configuration again at each SIGHUP. One that cannot be used changes nothing.
fn reloads(
    read: impl Fn() -> anyhow::Result<Config> + Send + 'static,
) -> anyhow::Result<mpsc::Receiver<Config>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup()).context("cannot wait for signals")?;
    let (sender, reloads) = mpsc::channel(1);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match read() {
                Ok(config) => {
                    if sender.send(config).await.is_err() {
                        return;
                    }
                }
                Err(error) => tracing::error!("the configuration stays as it was: {error:#}"),
            }
        }
    });
    Ok(reloads)
}

/// A line per socket that a person or a program can use at once; the first is for those that read no more.
fn announce(sockets: &[Socket]) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout();
    for socket in sockets {
        let uri = socket.uri();
        tracing::info!("listening at {uri}");
        writeln!(out, "{uri}").context("cannot write")?;
    }
    out.flush().context("cannot write")
}

fn is_root() -> anyhow::Result<bool> {
    let (one_end, _other) =
        tokio::net::UnixStream::pair().context("cannot find out whose process this is")?;
    Ok(one_end.peer_cred().is_ok_and(|credentials| credentials.uid() == 0))
}

fn environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn default_config(root: bool) -> Option<PathBuf> {
    if root {
        return Some("/etc/virtesxd.toml".into());
    }
    let folder = environment("XDG_CONFIG_HOME")
        .or_else(|| environment("HOME").map(|home| home.join(".config")))?;
    Some(folder.join("virtesxd.toml"))
}

/// Where clients look: for root that of the system, else that of the user's session.
fn default_socket(root: bool) -> anyhow::Result<PathBuf> {
    if root {
        return Ok("/run/libvirt/virtesxd-sock".into());
    }
    let folder = environment("XDG_RUNTIME_DIR")
        .context("XDG_RUNTIME_DIR is not set: name a socket with --socket")?;
    Ok(folder.join("libvirt/virtesxd-sock"))
}

fn stdin_is_socket() -> bool {
    std::fs::metadata("/proc/self/fd/0").is_ok_and(|found| found.file_type().is_socket())
}

fn stdin_stream() -> anyhow::Result<tokio::net::UnixStream> {
    let descriptor: OwnedFd = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("cannot take over the standard input")?;
    let stream = std::os::unix::net::UnixStream::from(descriptor);
    stream.set_nonblocking(true).context("standard input is no socket")?;
    tokio::net::UnixStream::from_std(stream).context("standard input is no socket")
}

/// Ends with the first SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
