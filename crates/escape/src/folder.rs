//! Path and query of datastore files below `/folder` (`libvirt-12-deltas.md` 11.4).
//!
//! Hosts decode the path once and the values of `dcPath` and `dsName` twice.

use crate::{DatastorePath, url};

/// Path and query for reading the file at `path`, every slash of the file's path encoded.
///
/// `datacenter_path` is the path of the datastore's datacenter as stored in the inventory, folders included and without
/// a leading slash: `ha-datacenter` on a stand-alone host.
pub fn folder_path_and_query(path: &DatastorePath, datacenter_path: &str) -> String {
    with_query(&url::encode(path.path()), path.datastore(), datacenter_path)
}

/// As [`folder_path_and_query`], but with the query values encoded once: what libvirt sent before 12.0 (`connection.md`
/// 13). Hosts and simulators that decode once want it; for names of letters, digits, `-`, `.`, `_` and `~` both are equal.
pub fn folder_path_and_query_once(path: &DatastorePath, datacenter_path: &str) -> String {
    let item = url::encode(path.path());
    let slash = if item.is_empty() { "" } else { "/" };
    let (datacenter, datastore) = (url::encode(datacenter_path), url::encode(path.datastore()));
    format!("/folder{slash}{item}?dcPath={datacenter}&dsName={datastore}")
}

/// Path and query for writing `file` into the directory of `path`; the slash before the name stays literal.
pub fn folder_upload_path_and_query(
    datastore: &str,
    directory: &str,
    file: &str,
    datacenter_path: &str,
) -> String {
    let mut item = url::encode(directory).into_owned();
    if !item.is_empty() {
        item.push('/');
    }
    item.push_str(&url::encode(file));
    with_query(&item, datastore, datacenter_path)
}

/// Path and query of the listing of a directory; the datastore's root if `directory` is empty.
pub fn folder_listing_path_and_query(
    datastore: &str,
    directory: &str,
    datacenter_path: &str,
) -> String {
    with_query(&url::encode(directory), datastore, datacenter_path)
}

fn with_query(encoded_item: &str, datastore: &str, datacenter_path: &str) -> String {
    let slash = if encoded_item.is_empty() { "" } else { "/" };
    let datacenter = url::encode_twice(datacenter_path);
    let datastore = url::encode_twice(datastore);
    format!("/folder{slash}{encoded_item}?dcPath={datacenter}&dsName={datastore}")
}
