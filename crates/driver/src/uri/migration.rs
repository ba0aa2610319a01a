//! `vpxmigr://VCENTER/POOL/HOST`: where a machine is to move to, told by the destination (spec `domain.md` 14).

use std::fmt;

use super::error::UriError;
use super::generic::{Parts, decode, split, split_authority};

/// The parameter with the vCenter's own UUID. It is ours: libvirt compares addresses as text, which fails with names, several
/// addresses and IPv6; its parser passes over parameters here.
const INSTANCE: &str = "instance";

/// Where a machine is to move to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MigrationUri {
    /// The vCenter, as the destination reaches it.
    pub(crate) vcenter: String,
    /// The managed object ID of the resource pool.
    pub(crate) pool: String,
    /// The managed object ID of the host.
    pub(crate) host: String,
    /// `AboutInfo.instanceUuid` of the vCenter, if the destination told it.
    pub(crate) instance: Option<String>,
}

/// Why a migration URI is refused; every one is `VIR_ERR_INVALID_ARG`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MigrationUriError {
    /// Not a URI at all, or not with a host.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// Another scheme.
    #[error("only vpxmigr:// migration URIs are supported, not {0:?}")]
    Scheme(String),
    /// The path is not `/POOL/HOST`.
    #[error("the path of the migration URI must name the resource pool and the host system")]
    Path,
}

impl MigrationUri {
    /// Reads a migration URI.
    pub(crate) fn parse(text: &str) -> Result<Self, MigrationUriError> {
        let Parts { scheme, authority, path, query } = split(text)?;
        if !scheme.eq_ignore_ascii_case("vpxmigr") {
            return Err(MigrationUriError::Scheme(scheme.to_owned()));
        }
        let (_, vcenter, _) = split_authority(authority.ok_or(UriError::NoHost)?)?;
        let path = decode(path)?;
        let (pool, host) = path
            .trim_start_matches('/')
            .split_once('/')
            .filter(|(pool, host)| !pool.is_empty() && !host.is_empty())
            .ok_or(MigrationUriError::Path)?;
        let mut pairs =
            query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        let instance = pairs.rfind(|(name, _)| *name == INSTANCE);
        let instance = instance.map(|(_, value)| decode(value)).transpose()?;
        Ok(Self { vcenter, pool: pool.to_owned(), host: host.to_owned(), instance })
    }
}

impl fmt::Display for MigrationUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vcenter, pool, host, instance } = self;
        // An IPv6 address stands in brackets.
        let (open, close) = if vcenter.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "vpxmigr://{open}{vcenter}{close}/{pool}/{host}")?;
        match instance {
            Some(instance) => write!(f, "?{INSTANCE}={instance}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_wrong_is_said() {
        let uri = |vcenter: &str, instance: Option<&str>| MigrationUri {
            vcenter: vcenter.to_owned(),
            pool: "resgroup-8".to_owned(),
            host: "host-21".to_owned(),
            instance: instance.map(str::to_owned),
        };
        for (written, text) in [
            (uri("192.0.2.10", None), "vpxmigr://192.0.2.10/resgroup-8/host-21"),
            (uri("vc.test", Some("1-2")), "vpxmigr://vc.test/resgroup-8/host-21?instance=1-2"),
            (uri("2001:db8::1", None), "vpxmigr://[2001:db8::1]/resgroup-8/host-21"),
        ] {
            assert_eq!(written.to_string(), text);
            assert_eq!(MigrationUri::parse(text), Ok(written));
        }
        assert!(MigrationUri::parse("VPXMIGR://vc/a/b?x=y").is_ok());
        for (text, says) in [
            ("tcp://vc/a/b", "only vpxmigr://"),
            ("vpxmigr://vc/a", "resource pool"),
            ("vpxmigr://vc/a/", "resource pool"),
            ("vpxmigr://vc", "resource pool"),
            ("vpxmigr:///a/b", "names no host"),
            ("nonsense", "malformed"),
        ] {
            let error = MigrationUri::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
