//! File names: VMX file to domain document and back (`spec/libvirt-12-deltas.md` 6, `spec/domain.md` 3.14).

use std::borrow::Cow;

use crate::context::{Context, Datastore};
use crate::error::{Code, Error, ErrorDomain, Warning};

/// Where libvirt says free-standing text is.
const UNKNOWN_DIRECTORY: &str = "[?] ?";
const VOLUMES: &str = "/vmfs/volumes/";

/// What to do about a file that lies nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Fail,
    /// CD-ROM images: the drive shows empty.
    Omit,
}

/// The source path of the file that `key` names, or `None` if it is missing and may be.
pub(crate) fn to_source(
    context: &Context,
    warnings: &mut Vec<Warning>,
    key: &dyn Fn() -> String,
    name: &str,
    missing: Missing,
) -> Result<Option<String>, Error> {
    let exact = context.exact();
    let mut warn = |reason: String| warnings.push(Warning { key: key(), reason });
    if !name.starts_with('/') && !name.bytes().any(|b| b == b'\\') {
        if !exact && is_datastore_path(name) {
            warn("kept as a datastore path; libvirt puts it below the machine's directory".into());
            return Ok(Some(name.to_owned()));
        }
        if !exact && is_on_drive(name) {
            warn("kept as a path of Windows; libvirt puts it below the machine's directory".into());
            return Ok(Some(name.to_owned()));
        }
        let directory = match &context.vmx_path {
            Some(path) => Cow::Owned(vm_directory(path, exact, &mut warn)),
            None => Cow::Borrowed(UNKNOWN_DIRECTORY),
        };
        let mut path = String::with_capacity(directory.len() + 1 + name.len());
        path.push_str(&directory);
        if !directory.ends_with(' ') {
            path.push('/');
        }
        path.push_str(name);
        return Ok(Some(path));
    }
    let mounted = context.datastores.iter().filter_map(|datastore| {
        Some((datastore, name.strip_prefix(datastore.mount_path.as_str())?))
    });
    let found = if exact {
        mounted.into_iter().next()
    } else {
        mounted.into_iter().find(|(datastore, rest)| {
            rest.is_empty()
                || rest.starts_with(['/', '\\'])
                || datastore.mount_path.ends_with(['/', '\\'])
        })
    };
    let first = || context.datastores.iter().find(|d| name.starts_with(&d.mount_path));
    if let Some((datastore, rest)) = found {
        if !exact && first() != Some(datastore) {
            warn("libvirt takes another datastore, whose path starts alike".into());
        }
        let rest = rest.trim_start_matches(['/', '\\']).replace('\\', "/");
        return Ok(Some(format!("[{}] {rest}", datastore.name)));
    }
    let reason = match name.strip_prefix(VOLUMES) {
        Some(rest) => match rest.split_once('/') {
            Some((volume, path)) if !volume.is_empty() && !path.is_empty() => {
                if context.datastores.iter().any(|d| d.name == volume) {
                    return Ok(Some(format!("[{volume}] {path}")));
                }
                if exact && missing == Missing::Omit {
                    return Ok(None);
                }
                format!("'{name}' lies on unknown datastore '{volume}'")
            }
            _ => format!("'{name}' names no file of a datastore"),
        },
        None if name.starts_with('/') => return Ok(Some(name.to_owned())),
        None => format!("'{name}' lies on no datastore of the host"),
    };
    if exact {
        return Err(Error::internal(key(), reason).in_domain(ErrorDomain::Esx));
    }
    warn(format!("{reason}; the name is kept as it is"));
    Ok(Some(name.to_owned()))
}

/// `X:/…`, as a VMware Server on Windows may write it.
fn is_on_drive(name: &str) -> bool {
    matches!(name.as_bytes(), [drive, b':', b'/', ..] if drive.is_ascii_alphabetic())
}

/// `[name] …`, with a name.
fn is_datastore_path(name: &str) -> bool {
    split_datastore_path(name).is_some()
}

/// The datastore and the path in it.
pub(crate) fn split_datastore_path(path: &str) -> Option<(&str, &str)> {
    let (name, path) = path.strip_prefix('[')?.split_once(']')?;
    (!name.is_empty()).then(|| (name, path.trim_start_matches(' ')))
}

/// The directory a VMX file is in. libvirt takes a file in the root of a datastore for a directory.
fn vm_directory(vmx_path: &str, exact: bool, warn: &mut impl FnMut(String)) -> String {
    let Some((datastore, path)) = split_datastore_path(vmx_path) else {
        return vmx_path.to_owned();
    };
    match path.rsplit_once('/') {
        Some((directory, _)) => format!("[{datastore}] {directory}"),
        None if exact => format!("[{datastore}] {path}"),
        None => {
            warn("the machine is in the datastore's root, which libvirt gets wrong".into());
            format!("[{datastore}] ")
        }
    }
}

/// The name a VMX file has for the file at a source path, and what was assumed to find it.
pub(crate) fn to_file_name(
    context: &Context,
    location: &str,
    source: &str,
) -> Result<(String, Option<String>), Error> {
    if source.starts_with('/') {
        return Ok((source.to_owned(), None));
    }
    let error = |code, reason| Err(Error::new(code, location, reason).in_domain(ErrorDomain::Esx));
    if !context.exact() {
        if let Some(name) = source.strip_prefix(UNKNOWN_DIRECTORY) {
            // What `to_source` says for want of a directory.
            return Ok((name.trim_start_matches('/').to_owned(), None));
        }
        if !source.starts_with('[') && !source.is_empty() {
            let reason = format!("'{source}' is taken for relative to the VMX file");
            return Ok((source.to_owned(), Some(reason)));
        }
    }
    if !source.starts_with('[') {
        let reason = format!("'{source}' is neither a datastore path nor absolute");
        return error(Code::InternalError, reason);
    }
    let Some((name, path)) = split_datastore_path(source) else {
        return error(Code::InvalidArg, format!("'{source}' is not a datastore path"));
    };
    if let Some(datastore) = context.datastores.iter().find(|d| d.name == name) {
        return Ok((mounted_name(datastore, path), None));
    }
    let reason = format!("the host has no datastore '{name}'");
    if context.exact() {
        return error(Code::InternalError, reason);
    }
    let reason = format!("{reason}; written as a path below {VOLUMES}");
    Ok((format!("{VOLUMES}{name}/{path}"), Some(reason)))
}

fn mounted_name(datastore: &Datastore, path: &str) -> String {
    let mount = datastore.mount_path.trim_end_matches(['/', '\\']);
    if datastore.mount_path.contains('\\') {
        format!("{mount}\\{}", path.replace('/', "\\"))
    } else {
        format!("{mount}/{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Mode;

    #[test]
    fn file_names() {
        let datastores = [("ds", "/vmfs/volumes/ds/"), ("win", "D:\\VMs\\")]
            .map(|(name, path)| Datastore { name: name.to_owned(), mount_path: path.to_owned() });
        let default = Context { datastores: datastores.to_vec(), ..Context::default() };
        let exact = Context { mode: Mode::Exact, ..default.clone() };
        let ok = Ok::<_, (Code, ErrorDomain)>;
        let table = [
            ("/a/b", ok("/a/b"), Some("/a/b")),
            ("[ds] a/b", ok("/vmfs/volumes/ds/a/b"), Some("/vmfs/volumes/ds/a/b")),
            ("[win] a/b", ok("D:\\VMs\\a\\b"), Some("D:\\VMs\\a\\b")),
            ("[?] ?/b", Err((Code::InternalError, ErrorDomain::Esx)), Some("b")),
            (
                "[no] a/b",
                Err((Code::InternalError, ErrorDomain::Esx)),
                Some("/vmfs/volumes/no/a/b"),
            ),
            ("a/b", Err((Code::InternalError, ErrorDomain::Esx)), Some("a/b")),
            ("[] a", Err((Code::InvalidArg, ErrorDomain::Esx)), None),
            ("", Err((Code::InternalError, ErrorDomain::Esx)), None),
        ];
        for (source, expected, bent) in table {
            let name = to_file_name(&exact, "x", source).map_err(|e| (e.code, e.domain));
            assert_eq!(name, expected.map(|n| (n.to_owned(), None)), "{source}");
            let name = to_file_name(&default, "x", source).ok().map(|(name, _)| name);
            assert_eq!(name.as_deref(), bent, "{source}");
        }
    }
}
