//! The configuration file (TOML). Every key has a default; a key that is not known is an error.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use esx_concentrator::{Address, AddressError};
use serde::Deserialize;

/// Everything that can be configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of the target that a client gets who names none.
    pub default: Option<String>,
    /// Whether clients may name hosts that are not configured. Without it the daemon connects nowhere else.
    pub ad_hoc: bool,
    /// What clients are offered, in this order.
    pub auth: Vec<Auth>,
    /// How long a connection to a host is kept for the next client, in seconds.
    pub linger_seconds: u64,
    /// Whether reads are answered from a picture of the host that one update filter keeps current.
    pub live_view: bool,
    /// Limits.
    pub limits: Limits,
    /// Where to listen on the network: nowhere, unless it is said here.
    pub listen: Listen,
    /// What TLS needs.
    pub tls: Option<Tls>,
    /// Where consoles of domains are, for everybody who may open a connection. Without it: for the daemon's own user and root,
    /// at that user's own concentrator.
    pub console: Option<Console>,
    /// Hosts by the name that clients use: `esx+unix:///NAME`.
    pub target: BTreeMap<String, Target>,
}

/// A method of authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// Whoever reaches the socket may use it, with the credentials that are configured.
    None,
    /// SASL PLAIN: name and password of the client's user are those for the host.
    Sasl,
}

/// Where to listen beside the Unix sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// In clear text. Nobody can give a password there: for targets with `from_network` only.
    pub tcp: Option<SocketAddr>,
    /// With TLS.
    pub tls: Option<SocketAddr>,
}

/// Files in PEM format.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The daemon's certificate, and those between it and an authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Authorities of clients. With it, nobody is let in without a certificate of one of them.
    pub client_ca: Option<PathBuf>,
}

/// A serial port concentrator: `virtesx vspc serve`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// Where it serves consoles: `unix:PATH`, `HOST:PORT` or `tls://HOST:PORT#thumbprint=X`.
    pub concentrator: String,
    /// A file with what it asks for, other than at `unix:`.
    pub token_file: Option<PathBuf>,
}

impl Console {
    /// The concentrator's address.
    ///
    /// # Errors
    /// If it is none.
    pub fn address(&self) -> Result<Address, AddressError> {
        self.concentrator.parse()
    }
}

/// What keeps a client from taking too much.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connected clients.
    pub clients: usize,
    /// Clients that have not opened a connection yet.
    pub new_clients: usize,
    /// Calls of one client that run at once.
    pub calls: usize,
    /// Calls of one client that wait for their turn; one more ends its connection.
    pub waiting_calls: usize,
    /// Streams of one client at once.
    pub streams: usize,
    /// How long the machine of a console may take nothing of what waits for it, once as much waits as may, in seconds.
    pub stuck_seconds: u64,
    /// How long a new client may take until it opens a connection, in seconds.
    pub greeting_seconds: u64,
    /// The longest upload of an unknown length, in MiB: it waits in a file of `TMPDIR`, one for each stream.
    pub spool_mib: u64,
    /// How long running calls may take to end when the daemon stops, in seconds.
    pub stop_seconds: u64,
}

/// A host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its URI, as for virsh and virtesx: `esx://root@esx1.example.org/`.
    pub uri: String,
    /// A credentials file in libvirt's format. Without it the usual places are searched.
    pub auth_file: Option<PathBuf>,
    /// The users (by number) who may use those credentials. Without it: the daemon's own user and root.
    pub users: Option<Vec<u32>>,
    /// Whether clients from the network may use those credentials, of whom nobody knows which user they are.
    #[serde(default)]
    pub from_network: bool,
    /// Nobody may change anything.
    #[serde(default)]
    pub read_only: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            default: None,
            ad_hoc: true,
            auth: vec![Auth::None, Auth::Sasl],
            linger_seconds: 60,
            live_view: true,
            limits: Limits::default(),
            listen: Listen::default(),
            tls: None,
            console: None,
            target: BTreeMap::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 200,
            new_clients: 20,
            calls: 5,
            waiting_calls: 256,
            streams: 16,
            stuck_seconds: 30,
            spool_mib: 65_536,
            greeting_seconds: 60,
            stop_seconds: 15,
        }
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read or says something impossible.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not valid", path.display()))
    }

    /// Reads a file, if there is one, with addresses that stand instead of its own.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn load(
        file: Option<&Path>,
        tcp: Option<SocketAddr>,
        tls: Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        let mut config = file.map(Self::read).transpose()?.unwrap_or_default();
        config.listen.tcp = tcp.or(config.listen.tcp);
        config.listen.tls = tls.or(config.listen.tls);
        config.check()?;
        Ok(config)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// If it says something impossible.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// Whether it can be meant.
    fn check(&self) -> anyhow::Result<()> {
        let config = self;
        if let Some(name) = &config.default {
            anyhow::ensure!(config.target.contains_key(name), "there is no target {name:?}");
        }
        anyhow::ensure!(!config.auth.is_empty(), "auth must name a method");
        let from_network = config.target.values().any(|target| target.from_network);
        if config.listen.tls.is_some() {
            anyhow::ensure!(config.tls.is_some(), "listen.tls needs a certificate: [tls]");
            let reachable = from_network || config.auth.contains(&Auth::Sasl);
            anyhow::ensure!(reachable, "nobody could open anything by TLS: auth has no \"sasl\"");
        }
        if config.listen.tcp.is_some() {
            let reachable = from_network && config.auth.contains(&Auth::None);
            anyhow::ensure!(
                reachable,
                "nobody could open anything by TCP, as no password is taken there: it needs \"none\" in auth and a target with \
                 from_network"
            );
        }
        if let Some(console) = &config.console {
            console.address().context("console.concentrator")?;
        }
        let limits = &config.limits;
        let counts = [limits.clients, limits.new_clients, limits.calls, limits.streams];
        anyhow::ensure!(!counts.contains(&0), "a limit of 0 lets nobody in");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_hosts_and_mistakes_are_told() {
        let config = Config::parse(
            "default = 'esx1'\nad_hoc = false\nauth = ['sasl']\n[limits]\ncalls = 9\n\
             [target.esx1]\nuri = 'esx://root@esx1/'\nusers = [1000]\n",
        )
        .unwrap();
        assert_eq!(config.default.as_deref(), Some("esx1"));
        assert_eq!((config.ad_hoc, config.limits.calls), (false, 9));
        assert_eq!(config.limits.clients, Limits::default().clients);
        assert_eq!(config.target["esx1"].users, Some(vec![1000]));
        for (bad, part) in [
            ("adhoc = true", "unknown field"),
            ("default = 'esx1'", "no target"),
            ("auth = []", "must name"),
            ("auth = ['polkit']", "unknown variant"),
            ("[limits]\ncalls = 0", "lets nobody in"),
            ("[target.a]\nread_only = true", "missing field"),
            ("[console]\nconcentrator = 'here'", "no unix:PATH"),
            ("[listen]\ntcp = '127.0.0.1:16509'", "no password"),
            ("[listen]\ntcp = 'somewhere'", "invalid socket address"),
            ("[listen]\ntls = '127.0.0.1:16514'", "needs a certificate"),
            (
                "auth = ['none']\n[listen]\ntls = '[::1]:0'\n[tls]\ncertificate = 'c'\nkey = 'k'",
                "no \"sasl\"",
            ),
        ] {
            let error = format!("{:#}", Config::parse(bad).unwrap_err());
            assert!(error.contains(part), "{bad}: {error}");
        }
    }
}
