//! Where the disks of a lease are fetched from, and how the server there is trusted.
//!
//! A host that is spoken to directly does not know what it is called: its URLs have an asterisk for a host. A vCenter names
//! the host that has the disk, and tells the thumbprint of its certificate (VI API `HttpNfcLeaseDeviceUrl`).

use reqwest::Url;

use crate::{Endpoint, Scheme, Thumbprint, TlsPolicy};

/// Where a device's URL leads.
#[derive(Debug)]
pub(super) enum Place {
    /// To the server of the connection.
    Own {
        path: String,
    },
    Other {
        endpoint: Box<Endpoint>,
        path: String,
    },
}

impl Place {
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Own { path } | Self::Other { path, .. } => path,
        }
    }

    /// Reads the URL of a device.
    pub(super) fn find(url: &str, thumbprint: &str, own: &Endpoint) -> Result<Self, String> {
        let bad = || "it is no URL".to_owned();
        let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err(format!("its scheme is {scheme:?}")),
        };
        let slash = rest.find('/').ok_or_else(bad)?;
        let (authority, path) = rest.split_at(slash);
        if path.starts_with("//") || path.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(bad());
        }
        let path = path.to_owned();
        let (host, port) = match authority.strip_prefix('*') {
            Some("") => return Ok(Self::Own { path }),
            Some(port) => {
                let port = port.strip_prefix(':').and_then(|port| port.parse().ok());
                (own.host.clone(), port.ok_or_else(bad)?)
            }
            None => {
                let url = Url::parse(&format!("{}://{authority}/", scheme.as_str()));
                let url = url.map_err(|error| error.to_string())?;
                if !url.username().is_empty() || url.password().is_some() {
                    return Err("it names a user".to_owned());
                }
                let host = url.host_str().ok_or_else(bad)?;
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                (host, url.port_or_known_default().ok_or_else(bad)?)
            }
        };
        if host.eq_ignore_ascii_case(&own.host) && port == own.port && scheme == own.scheme {
            return Ok(Self::Own { path });
        }
        if scheme == Scheme::Http && own.scheme == Scheme::Https {
            return Err("it leaves TLS".to_owned());
        }
        let tls = match (&own.tls, thumbprint.trim()) {
            (TlsPolicy::NoVerify, _) => TlsPolicy::NoVerify,
            // That of another server says nothing of this one.
            (TlsPolicy::Thumbprint(_), "") => TlsPolicy::Verify,
            (policy, "") => policy.clone(),
            (_, told) => {
                let told = Thumbprint::parse(told);
                TlsPolicy::Thumbprint(told.map_err(|error| format!("its thumbprint: {error}"))?)
            }
        };
        // What was left of the time for everything is the connection's business.
        let timeouts = crate::Timeouts { total: None, ..own.timeouts };
        let endpoint = Endpoint { scheme, host, port, tls, timeouts, ..own.clone() };
        Ok(Self::Other { endpoint: Box::new(endpoint), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_to_servers() {
        let sha1 = "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD";
        let own = |tls| Endpoint { tls, ..Endpoint::new(Scheme::Https, "vc.example.org", 443) };
        let pin = || TlsPolicy::Thumbprint(Thumbprint::parse(sha1).unwrap());
        let mut table = String::new();
        for (url, thumbprint, own) in [
            ("https://*/nfc/52/disk-0.vmdk", "", own(pin())),
            ("https://*:902/nfc/52/disk-0.vmdk", sha1, own(TlsPolicy::Verify)),
            ("https://VC.example.org/nfc/52/d", "junk", own(TlsPolicy::Verify)),
            ("https://vc.example.org:443/nfc/52/d", "", own(TlsPolicy::Verify)),
            ("https://esx1.example.org/nfc/52/d?x=1", sha1, own(TlsPolicy::Verify)),
            ("https://esx1.example.org/nfc/52/d", "", own(pin())),
            ("https://esx1.example.org/nfc/52/d", sha1, own(TlsPolicy::NoVerify)),
            ("https://esx1.example.org/nfc/52/d", "junk", own(TlsPolicy::Verify)),
            ("https://[fe80::1]:8443/nfc/52/d", sha1, own(TlsPolicy::Verify)),
            ("http://esx1.example.org/nfc/52/d", sha1, own(TlsPolicy::Verify)),
            ("https://user@esx1.example.org/nfc/52/d", sha1, own(TlsPolicy::Verify)),
            ("https://esx1.example.org//evil.example.org/d", sha1, own(TlsPolicy::Verify)),
            ("ftp://esx1.example.org/d", sha1, own(TlsPolicy::Verify)),
            ("https://esx1.example.org", sha1, own(TlsPolicy::Verify)),
            ("https:///nfc/52/d", sha1, own(TlsPolicy::Verify)),
            ("disk-0.vmdk", sha1, own(TlsPolicy::Verify)),
        ] {
            let line = match Place::find(url, thumbprint, &own) {
                Ok(Place::Own { path }) => format!("own {path}"),
                Ok(Place::Other { endpoint, path }) => {
                    format!("{} {path} {:?}", endpoint.base_url(), endpoint.tls)
                }
                Err(problem) => format!("no: {problem}"),
            };
            table.push_str(&line.replace(sha1, "SHA1"));
            table.push('\n');
        }
        insta::assert_snapshot!(table);
    }
}
