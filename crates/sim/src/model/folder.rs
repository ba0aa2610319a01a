//! `/folder`: datastore files over HTTP.

use std::collections::BTreeMap;

use esx_escape::percent;
use esx_vi_api::MoRef;

use super::Model;
use super::datastore::{DatastoreKind, Entry, Listed};
use super::inventory::{Inventory, Preset};
use super::time::Timestamp;

/// A request for a file or a listing, decoded once as every URL is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderRequest {
    /// The path below `/folder`, without a leading slash.
    pub path: String,
    /// `dcPath`.
    pub datacenter: Option<String>,
    /// `dsName`.
    pub datastore: Option<String>,
}

/// What `/folder` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FolderAnswer {
    /// A file or a directory.
    Found(Entry),
    /// There is no such thing.
    NotFound,
    /// The file cannot be opened: someone else has it open, or it is no file but an object of its store.
    Locked,
    /// Neither a session nor a password came with the request.
    Unauthorized,
}

impl Model {
    /// Opens a session for a request that brought a password instead of a cookie, as hosts do for each such request.
    pub fn basic_login(&mut self, user: &str, password: &str, now: Timestamp) -> Option<String> {
        self.knows(user, password).then(|| self.sessions.open(user, now))
    }

    /// Serves `/folder` for the session behind `cookie`.
    pub fn folder(
        &mut self,
        request: &FolderRequest,
        cookie: Option<&str>,
        now: Timestamp,
    ) -> FolderAnswer {
        if cookie.and_then(|cookie| self.sessions.touch(cookie, now)).is_none() {
            return FolderAnswer::Unauthorized;
        }
        let datastore = self.inventory.folder_datastore(request);
        let path = request.path.trim_matches('/');
        let closed = datastore.and_then(|moref| self.inventory.datastore(moref)).is_some_and(|d| {
            // What a disk consists of on such a store are objects.
            d.kind == DatastoreKind::Vsan && path.ends_with(".vmdk")
                || self.inventory.is_locked(d, path)
        });
        if closed {
            return FolderAnswer::Locked;
        }
        self.inventory.folder(request).map_or(FolderAnswer::NotFound, FolderAnswer::Found)
    }
}

impl Inventory {
    /// The datastore that a request is about.
    pub(super) fn folder_datastore(&self, request: &FolderRequest) -> Option<&MoRef> {
        let datacenter = match &request.datacenter {
            Some(path) => self.datacenter_by_path(path)?,
            None if self.preset == Preset::Esx => self.find_by_path("ha-datacenter")?,
            None => return None,
        };
        let folder = &self.datacenter(&datacenter)?.datastore_folder;
        let names = decodings(request.datastore.as_deref()?);
        let datastores = self.folder_children(folder);
        let named = |name: &String| {
            datastores.iter().find(|d| self.datastore(d).is_some_and(|d| d.name == *name))
        };
        names.iter().find_map(named)
    }

    fn folder(&self, request: &FolderRequest) -> Option<Entry> {
        let datacenter = match &request.datacenter {
            Some(path) => Some(self.datacenter_by_path(path)?),
            // A host has one datacenter, and does not insist on its name.
            None if self.preset == Preset::Esx => self.find_by_path("ha-datacenter"),
            None => None,
        };
        let Some(datacenter) = datacenter else {
            let names = self.morefs().filter(|moref| self.datacenter(moref).is_some());
            return Some(listing(names.map(|moref| self.path(moref))));
        };
        let folder = &self.datacenter(&datacenter)?.datastore_folder;
        let datastores =
            || self.folder_children(folder).iter().filter_map(|moref| self.datastore(moref));
        match &request.datastore {
            None if request.path.is_empty() => {
                Some(listing(datastores().map(|datastore| datastore.name.clone())))
            }
            None => None,
            Some(name) => {
                let datastore = decodings(name)
                    .into_iter()
                    .find_map(|name| datastores().find(|datastore| datastore.name == name))?;
                let path = request.path.trim_matches('/');
                self.entry(datastore, path)
            }
        }
    }

    /// The datacenter at a path of stored names, itself possibly encoded once more.
    fn datacenter_by_path(&self, path: &str) -> Option<MoRef> {
        let wanted = decodings(path);
        self.morefs()
            .filter(|moref| self.datacenter(moref).is_some())
            .find(|moref| {
                let own = self.path(moref);
                wanted.iter().any(|path| path.trim_matches('/') == own)
            })
            .cloned()
    }
}

/// A query value as it came, and decoded once more: clients encode it twice, older ones once.
fn decodings(value: &str) -> Vec<String> {
    let mut decodings = vec![value.to_owned()];
    if let Ok(decoded) = percent::unescape(value)
        && decoded != value
    {
        decodings.insert(0, decoded.into_owned());
    }
    decodings
}

fn listing(names: impl Iterator<Item = String>) -> Entry {
    Entry::Directory(
        names.map(|name| (format!("{name}/"), Listed::default())).collect::<BTreeMap<_, _>>(),
    )
}
