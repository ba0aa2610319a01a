//! URIs that lead to a daemon, and what of them it is told (libvirt-rpc.md 2).

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use virt_api::{Error, ErrorDomain, Result};

/// How the daemon is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// A socket of this machine.
    Unix,
    /// A program that is started for this connection.
    Ext,
}

/// Parameters that are for the client and that no daemon is told.
const OURS: [&str; 16] = [
    "name",
    "command",
    "socket",
    "auth",
    "sshauth",
    "netcat",
    "keyfile",
    "pkipath",
    "known_hosts",
    "known_hosts_verify",
    "tls_priority",
    "mode",
    "proxy",
    "no_sanity",
    "no_verify",
    "no_tty",
];

/// A URI of a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteUri {
    /// `esx`, `vpx` or `gsx`.
    pub(super) scheme: String,
    pub(super) transport: Transport,
    /// What the daemon is to open.
    pub(super) name: String,
    pub(super) socket: Option<PathBuf>,
    pub(super) command: Option<PathBuf>,
    /// `auth=sasl`.
    pub(super) wants_sasl: bool,
    pub(super) auth_file: Option<String>,
    /// The socket is that of the user's own daemon.
    pub(super) session: bool,
}

/// Whether a URI names a transport, as in `esx+unix:///`: the way to a daemon and not to a host.
pub(crate) fn is_remote(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, _)| scheme.contains('+'))
}

impl RemoteUri {
    /// Reads a URI for which [`is_remote`] holds.
    ///
    /// # Errors
    /// `VIR_ERR_INVALID_ARG` if it leads to no daemon that can be reached.
    pub(super) fn parse(uri: &str) -> Result<Self> {
        let (scheme, rest) = uri.split_once("://").ok_or_else(|| {
            invalid(format!("'{uri}' is no URI of a daemon: esx+unix:///NAME is one"))
        })?;
        let (scheme, transport) = scheme.split_once('+').unwrap_or((scheme, ""));
        let scheme = scheme.to_ascii_lowercase();
        if !["esx", "gsx", "vpx"].contains(&scheme.as_str()) {
            return Err(invalid(format!("the scheme '{scheme}' is none of esx, gsx and vpx")));
        }
        let transport = match transport.to_ascii_lowercase().as_str() {
            "unix" => Transport::Unix,
            "ext" => Transport::Ext,
            other => {
                return Err(invalid(format!(
                    "the transport '{other}' is none of unix and ext; a socket of another machine can be had by \
                     ssh -L /path/sock:/run/libvirt/virtesxd-sock HOST and socket=/path/sock"
                )));
            }
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let Some(path) = place.strip_prefix('/') else {
            return Err(invalid(format!(
                "a daemon of this machine has no host in its URI: {scheme}+unix:///USER@HOST names a host to the daemon"
            )));
        };
        let mut found = Self {
            name: String::new(),
            transport,
            socket: None,
            command: None,
            wants_sasl: false,
            auth_file: None,
            session: path == "session",
            scheme,
        };
        let mut kept = Vec::new();
        let mut name = None;
        for parameter in query.split(['&', ';']).filter(|parameter| !parameter.is_empty()) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let decode = |text: &str| -> Result<String> {
                let text = percent_decode_str(text).decode_utf8();
                Ok(text.map_err(|_| invalid("a parameter that is not UTF-8".to_owned()))?.into())
            };
            let key = decode(key)?.to_ascii_lowercase();
            match key.as_str() {
                "name" => name = Some(decode(value)?),
                "socket" => found.socket = Some(decode(value)?.into()),
                "command" => found.command = Some(decode(value)?.into()),
                "authfile" => found.auth_file = Some(decode(value)?),
                "auth" => match value {
                    "sasl" => found.wants_sasl = true,
                    _ => return Err(invalid(format!("auth={value}: only sasl can be asked for"))),
                },
                "no_verify" | "proxy" => {
                    return Err(invalid(format!(
                        "{key} does not reach the daemon; use verify=0, via=PROXY, or a whole URI in name="
                    )));
                }
                key if OURS.contains(&key) => {}
                _ => kept.push(parameter),
            }
        }
        let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
        let plain = || format!("{}:///{path}{query}", found.scheme);
        found.name = name.unwrap_or_else(plain);
        if transport == Transport::Ext && found.command.is_none() {
            return Err(invalid("the transport ext needs command=PROGRAM".to_owned()));
        }
        Ok(found)
    }

    /// Where the daemon may listen, the first that is there is meant. A daemon of the system is asked before the user's own,
    /// as libvirt does; whoever is root has no other.
    pub(super) fn sockets(&self, read_only: bool, runtime_dir: Option<PathBuf>) -> Vec<PathBuf> {
        if let Some(socket) = &self.socket {
            return vec![socket.clone()];
        }
        let suffix = if read_only { "-ro" } else { "" };
        let mut names = vec![format!("virt{}d-sock", self.scheme)];
        if self.scheme != "esx" {
            names.push("virtesxd-sock".to_owned());
        }
        let system = names.iter().map(|name| PathBuf::from(format!("/run/libvirt/{name}{suffix}")));
        // The user's own has no socket for readers.
        let own = runtime_dir.into_iter().flat_map(|dir| {
            names.iter().map(move |name| dir.join("libvirt").join(name)).collect::<Vec<_>>()
        });
        match self.session {
            true => own.collect(),
            false => system.chain(own).collect(),
        }
    }
}

fn invalid(message: String) -> Error {
    Error::invalid_arg(ErrorDomain::Uri, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_libvirts_client_would_send() {
        for (uri, name) in [
            ("esx+unix:///", "esx:///"),
            ("ESX+Unix:///esx1", "esx:///esx1"),
            ("esx+unix:///esx1?socket=/a%20b", "esx:///esx1"),
            ("vpx+unix:///a@vc/dc/h?transport=http&mode=direct", "vpx:///a@vc/dc/h?transport=http"),
            (
                "esx+unix:///root@h?verify=0;via=socks5://p:1",
                "esx:///root@h?verify=0&via=socks5://p:1",
            ),
            (
                "esx+unix:///?name=esx%3A%2F%2Froot%40h%2F%3Fno_verify%3D1",
                "esx://root@h/?no_verify=1",
            ),
            ("esx+ext:///esx1?command=/usr/bin/virtesxd&auth=sasl#x", "esx:///esx1"),
        ] {
            let found = RemoteUri::parse(uri);
            assert_eq!(
                found.map(|found| found.name).map_err(|e| e.to_string()),
                Ok(name.to_owned())
            );
            assert!(is_remote(uri));
        }
        let found = RemoteUri::parse("esx+unix:///x?socket=/a%20b&authfile=/f&auth=sasl").unwrap();
        assert_eq!(found.socket, Some("/a b".into()));
        assert_eq!((found.auth_file.as_deref(), found.wants_sasl), (Some("/f"), true));
        assert!(!is_remote("esx://h/?a=b+c:d"));
    }

    #[test]
    fn what_leads_nowhere_is_said() {
        for (uri, part) in [
            ("esx+unix://host/", "no host"),
            ("esx+unix:/x", "no URI"),
            ("qemu+unix:///system", "scheme"),
            ("esx+ssh:///x", "ssh -L"),
            ("esx+ext:///x", "command="),
            ("esx+unix:///x?no_verify=1", "verify=0"),
            ("esx+unix:///x?proxy=socks5://p:1", "via="),
            ("esx+unix:///x?auth=polkit", "only sasl"),
            ("esx+unix:///x?socket=%ff", "UTF-8"),
        ] {
            let error = RemoteUri::parse(uri).unwrap_err();
            assert!(error.message.contains(part), "{uri}: {error}");
            assert_eq!(error.code, virt_api::ErrorCode::InvalidArg);
        }
    }

    #[test]
    fn sockets_are_where_libvirts_client_looks() {
        let sockets = |uri: &str, read_only| {
            let sockets = RemoteUri::parse(uri).unwrap().sockets(read_only, Some("/r".into()));
            sockets.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            sockets("esx+unix:///esx1", false),
            "/run/libvirt/virtesxd-sock /r/libvirt/virtesxd-sock"
        );
        assert_eq!(
            sockets("esx+unix:///", true),
            "/run/libvirt/virtesxd-sock-ro /r/libvirt/virtesxd-sock"
        );
        assert_eq!(sockets("esx+unix:///session", false), "/r/libvirt/virtesxd-sock");
        assert_eq!(
            sockets("vpx+unix:///session", false),
            "/r/libvirt/virtvpxd-sock /r/libvirt/virtesxd-sock"
        );
        assert_eq!(sockets("esx+unix:///?socket=/s", true), "/s");
    }
}
