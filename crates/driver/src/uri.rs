//! Connection URIs: `esx://`, `gsx://` and `vpx://` with their query parameters.
//!
//! Parsing follows libvirt (connection.md 1, libvirt-12-deltas.md 11.2): one round of percent-decoding, its rule for
//! `;`, the last of several equal parameters wins, names in any case. What libvirt passes over in silence and so
//! turns a typo into an insecure or surprising connection is an error here:
//!
//! - an unknown parameter, as in `no-verify=1`;
//! - `thumbprint` (our own parameter) together with another parameter that says whom to trust, or with
//!   `transport=http`;
//! - a fragment (`#...`), which would cut off what follows it.
//!
//! A colon in the user part belongs to the user name, as for libvirt: a URI has no place for a password.

mod error;
mod generic;
mod migration;
mod parameters;
mod proxy;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use esx_vi_client::{Endpoint, Scheme, Thumbprint, TlsPolicy};

pub(crate) use self::error::{CaFileError, TrustError, UriError};
pub(crate) use self::migration::MigrationUri;
use self::parameters::Parameters;
use crate::known_hosts::KnownHosts;

/// Largest `cacert` file read, in bytes; the CA certificates of a whole system are a quarter of this.
const MAX_CA_FILE_BYTES: u64 = 1 << 20;

/// What kind of server a URI names (connection.md 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum UriScheme {
    /// `esx`: one ESX or ESXi host.
    Esx,
    /// `gsx`: one GSX or VMware Server 2 host.
    Gsx,
    /// `vpx`: a vCenter, restricted to one of its hosts.
    Vpx,
}

impl UriScheme {
    /// All of them, in the order messages list them.
    pub(crate) const ALL: [Self; 3] = [Self::Esx, Self::Gsx, Self::Vpx];

    /// The scheme as it stands in a URI; lower case is the only spelling.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Esx => "esx",
            Self::Gsx => "gsx",
            Self::Vpx => "vpx",
        }
    }

    /// The user name offered when a person is asked for one.
    pub(crate) fn default_user(self) -> &'static str {
        match self {
            Self::Esx | Self::Gsx => "root",
            Self::Vpx => "administrator@vsphere.local",
        }
    }

    /// The port of a URI without one (connection.md 1.3).
    pub(crate) fn default_port(self, transport: Scheme) -> u16 {
        match (self, transport) {
            (Self::Esx | Self::Vpx, Scheme::Https) => 443,
            (Self::Esx | Self::Vpx, Scheme::Http) => 80,
            (Self::Gsx, Scheme::Https) => 8333,
            (Self::Gsx, Scheme::Http) => 8222,
        }
    }
}

/// Whom to trust over TLS, as the URI says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The certificate that the known-hosts file has for the server, else the system's CA certificates. The file is
    /// that of `known_hosts`, or the user's own.
    Known(Option<String>),
    /// `cacert`: the CA certificates of this file instead, taken as given (relative to the process).
    CaFile(String),
    /// `thumbprint`: exactly this certificate.
    Thumbprint(Thumbprint),
    /// `no_verify=1`: anybody.
    Anybody,
}

/// A parsed and checked connection URI. `Display` writes it as libvirt reports it (`virConnectGetURI`): as it was
/// given, with the port made explicit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionUri {
    scheme: UriScheme,
    user: Option<String>,
    host: String,
    port: u16,
    path: Vec<String>,
    parameters: Parameters,
    canonical: String,
}

impl ConnectionUri {
    /// Parses and checks a URI.
    ///
    /// # Errors
    /// [`UriError`], always the caller's mistake: libvirt's `VIR_ERR_INVALID_ARG`. Parameters are checked in their
    /// order, before the path. That a `vpx` path has at least one item is checked here; what it names is not.
    pub(crate) fn parse(text: &str) -> Result<Self, UriError> {
        let parts = generic::split(text)?;
        let scheme = UriScheme::ALL
            .into_iter()
            .find(|scheme| scheme.as_str() == parts.scheme)
            .ok_or_else(|| UriError::scheme(parts.scheme))?;
        let authority = parts.authority.ok_or(UriError::NoHost)?;
        let (user, host, port) = generic::split_authority(authority)?;
        let parameters = parameters::parse(parts.query)?;
        let path = generic::path_items(parts.path)?;
        if scheme == UriScheme::Vpx && path.is_empty() {
            return Err(UriError::NoPath);
        }
        let port = port.unwrap_or_else(|| scheme.default_port(parameters.transport));
        let raw_user =
            generic::raw_user(authority).map_or(String::new(), |user| format!("{user}@"));
        let raw_host = generic::raw_host(authority);
        let query = parts.query.map_or(String::new(), |query| format!("?{query}"));
        let canonical =
            format!("{}://{raw_user}{raw_host}:{port}{}{query}", parts.scheme, parts.path);
        Ok(Self { scheme, user, host, port, path, parameters, canonical })
    }

    /// What kind of server.
    pub(crate) fn scheme(&self) -> UriScheme {
        self.scheme
    }

    /// The user part, decoded; a colon in it is part of the name.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host, decoded; an IPv6 address without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The items of the path, decoded; empty ones are left out. For `vpx` these are folders, datacenter, folders,
    /// compute resource and host (connection.md 1.7); for the others they mean nothing.
    pub(crate) fn path_items(&self) -> &[String] {
        &self.path
    }

    /// `transport`: HTTPS unless told otherwise.
    pub(crate) fn transport(&self) -> Scheme {
        self.parameters.transport
    }

    /// `vcenter`: `None`, `*` for the host's own vCenter, or a name or address (IPv6 without brackets), and its port: that of
    /// the URI unless it is said. Means nothing for `vpx`.
    pub(crate) fn vcenter(&self) -> Option<(&str, u16)> {
        let (name, port) = self.parameters.vcenter.as_ref()?;
        Some((name, port.unwrap_or(self.port)))
    }

    /// `auto_answer`: answer questions of virtual machines with their default.
    pub(crate) fn auto_answer(&self) -> bool {
        self.parameters.auto_answer
    }

    /// `legacy_uuid`: identify virtual machines by their BIOS UUID, as libvirt did before 12.4.
    pub(crate) fn legacy_uuid(&self) -> bool {
        self.parameters.legacy_uuid
    }

    /// `keepalive`: how often an idle session is touched.
    pub(crate) fn keepalive(&self) -> Option<Duration> {
        self.parameters.keepalive
    }

    /// `task_timeout`: when waiting for an operation is given up.
    pub(crate) fn task_timeout(&self) -> Option<Duration> {
        self.parameters.task_timeout
    }

    /// The port of the URI, or that of its scheme.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether certificates are not verified at all.
    pub(crate) fn trusts_anybody(&self) -> bool {
        self.parameters.trust == Trust::Anybody && self.transport() == Scheme::Https
    }

    /// Longest time to set up a connection.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.parameters.timeouts.connect
    }

    /// Whether the server is reached through a proxy, which may know names that this machine does not.
    pub(crate) fn has_proxy(&self) -> bool {
        self.parameters.proxy.is_some()
    }

    /// `authfile`: path of a credentials file.
    pub(crate) fn auth_file(&self) -> Option<&str> {
        self.parameters.auth_file.as_deref()
    }

    /// What is legal and yet probably not meant, one sentence each, without secrets.
    pub(crate) fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.scheme != UriScheme::Vpx && !self.path.is_empty() {
            warnings.push("the path of the URI is ignored, only vpx:// has a use for it");
        }
        if self.user.as_deref().is_some_and(|user| user.contains(':')) {
            warnings.push(
                "the user name of the URI contains a colon; a URI cannot carry a password, use an auth file",
            );
        }
        if self.trusts_anybody() {
            warnings.push(
                "no_verify=1: the server's certificate is not verified, anybody on the way can read everything, the password included",
            );
        }
        warnings
    }

    /// The TLS policy of `thumbprint`, `no_verify`, `cacert` and `known_hosts` for the server at `host` and `port`, which is
    /// the URI's own or its vCenter. Reads the file that is named, if TLS is used at all; `personal` is the user's own known-hosts
    /// file, which need not be there.
    ///
    /// # Errors
    /// [`TrustError`] if a file cannot be read: libvirt's `VIR_ERR_INTERNAL_ERROR`.
    pub(crate) fn load_tls_policy(
        &self,
        host: &str,
        port: u16,
        personal: Option<&Path>,
    ) -> Result<TlsPolicy, TrustError> {
        Ok(match &self.parameters.trust {
            Trust::Known(_) if self.transport() == Scheme::Http => TlsPolicy::Verify,
            Trust::Known(file) => {
                let pin = match file {
                    Some(file) => KnownHosts::read(Path::new(file))?.pin(host, port)?,
                    None => match personal {
                        Some(file) if file.is_file() => KnownHosts::read(file)?.pin(host, port)?,
                        _ => None,
                    },
                };
                pin.map_or(TlsPolicy::Verify, TlsPolicy::Thumbprint)
            }
            Trust::Anybody => TlsPolicy::NoVerify,
            Trust::Thumbprint(thumbprint) => TlsPolicy::Thumbprint(thumbprint.clone()),
            // Over plain HTTP the file does not matter, even if it is missing.
            Trust::CaFile(_) if self.transport() == Scheme::Http => TlsPolicy::Verify,
            Trust::CaFile(path) => TlsPolicy::CaPem(read_ca_file(path)?),
        })
    }

    /// How to reach the URI's own server.
    pub(crate) fn endpoint(&self, tls: TlsPolicy) -> Endpoint {
        self.endpoint_of(&self.host, self.port, tls)
    }

    /// How to reach another server in the same way: the vCenter of an `esx` URI is spoken to with the transport and
    /// proxy of its host (connection.md 3.3).
    pub(crate) fn endpoint_of(&self, host: &str, port: u16, tls: TlsPolicy) -> Endpoint {
        Endpoint {
            tls,
            proxy: self.parameters.proxy.clone(),
            timeouts: self.parameters.timeouts,
            ..Endpoint::new(self.parameters.transport, host, port)
        }
    }
}

impl fmt::Display for ConnectionUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical)
    }
}

impl std::str::FromStr for ConnectionUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

fn read_ca_file(path: &str) -> Result<Vec<u8>, CaFileError> {
    crate::auth::read_bounded(Path::new(path), MAX_CA_FILE_BYTES)
        .map_err(|source| CaFileError { path: path.to_owned(), source })
}

/// For `fuzz/fuzz_targets/uri.rs`: any text is a URI or a mistake in one line; what is reported as the connection's URI is one,
/// and means the same.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &str) {
    let _ = MigrationUri::parse(text).map_err(|error| error.to_string());
    match ConnectionUri::parse(text) {
        Ok(uri) => {
            let again = ConnectionUri::parse(&uri.to_string()).expect("what is reported is a URI");
            assert_eq!(again, uri);
            let _ = (uri.warnings(), uri.endpoint(TlsPolicy::Verify).base_url());
        }
        Err(error) => assert!(!error.to_string().contains(['\n', '\r'])),
    }
}

#[cfg(test)]
mod tests;
