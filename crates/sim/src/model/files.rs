//! Changing files: uploads, and the `FileManager`.

use esx_escape::DatastorePath;
use esx_vi_api::{MoRef, Object, Value};

use super::datastore::Entry;
use super::fault::Fault;
use super::folder::FolderRequest;
use super::inventory::Item;
use super::machine::device_change::file_fault;
use super::time::Timestamp;
use super::{Answer, Model};

type Outcome = Result<Option<Value>, Fault>;

/// What an upload or a removal over HTTP came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderChange {
    /// There is a new file.
    Created,
    /// The file has other content now.
    Replaced,
    /// The file is gone.
    Deleted,
    /// There is no such datastore, directory or file.
    NotFound,
    /// The file belongs to a registered machine, or is a directory.
    Refused,
    /// Neither a session nor a password came with the request.
    Unauthorized,
}

impl Model {
    /// Serves an upload to `/folder` for the session behind `cookie`.
    pub fn upload(
        &mut self,
        request: &FolderRequest,
        content: &[u8],
        cookie: Option<&str>,
        now: Timestamp,
    ) -> FolderChange {
        if cookie.and_then(|cookie| self.sessions.touch(cookie, now)).is_none() {
            return FolderChange::Unauthorized;
        }
        if self.check_allowed("MakeDirectory", &self.inventory.root.clone()).is_err() {
            return FolderChange::Refused;
        }
        let Some(datastore) = self.inventory.folder_datastore(request).cloned() else {
            return FolderChange::NotFound;
        };
        let path = request.path.trim_matches('/').to_owned();
        let Some(store) = self.inventory.datastore(&datastore) else {
            return FolderChange::NotFound;
        };
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        if path.is_empty()
            || !matches!(self.inventory.entry(store, directory), Some(Entry::Directory(_)))
        {
            return FolderChange::NotFound;
        }
        let replaces = match self.inventory.entry(store, &path) {
            Some(Entry::Directory(_)) => return FolderChange::Refused,
            Some(Entry::File(_)) if !store.files.contains_key(&path) => {
                return FolderChange::Refused;
            }
            found => found.is_some(),
        };
        if let Some(Item::Datastore(store)) = self.inventory.get_mut(&datastore) {
            store.files.insert(path, content.to_vec());
        }
        self.changed(true);
        if replaces { FolderChange::Replaced } else { FolderChange::Created }
    }

    /// Serves a `DELETE` of `/folder`.
    pub fn delete(
        &mut self,
        request: &FolderRequest,
        cookie: Option<&str>,
        now: Timestamp,
    ) -> FolderChange {
        if cookie.and_then(|cookie| self.sessions.touch(cookie, now)).is_none() {
            return FolderChange::Unauthorized;
        }
        if self.check_allowed("DeleteDatastoreFile_Task", &self.inventory.root.clone()).is_err() {
            return FolderChange::Refused;
        }
        let path = request.path.trim_matches('/').to_owned();
        let Some(datastore) = self.inventory.folder_datastore(request).cloned() else {
            return FolderChange::NotFound;
        };
        match self.remove_path(&datastore, &path, &path) {
            Ok(()) => {
                self.changed(true);
                FolderChange::Deleted
            }
            Err(fault) if fault.detail.type_name == "FileNotFound" => FolderChange::NotFound,
            Err(_) => FolderChange::Refused,
        }
    }

    /// `MakeDirectory`.
    pub(super) fn make_directory(&mut self, args: &Object) -> Result<Answer, Fault> {
        let (datastore, path) = self.place(args, "name", "datacenter")?;
        let parents = args.get("createParentDirectories").and_then(Value::as_bool);
        let name = args.str("name").unwrap_or_default();
        if self.file_at(&datastore, &path).is_some() {
            return Err(file_fault("FileAlreadyExists", name));
        }
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if parents != Some(true)
            && !matches!(self.file_at(&datastore, parent), Some(Entry::Directory(_)))
        {
            return Err(file_fault("FileNotFound", name));
        }
        if let Some(Item::Datastore(store)) = self.inventory.get_mut(&datastore) {
            store.directories.insert(path);
        }
        self.changed(true);
        Ok(Answer::Result(None))
    }

    /// `DeleteDatastoreFile_Task`: a file, or a directory with all that is in it.
    pub(super) fn delete_file(&mut self, args: &Object) -> Outcome {
        let (datastore, path) = self.place(args, "name", "datacenter")?;
        let name = args.str("name").unwrap_or_default();
        self.remove_path(&datastore, &path, name)?;
        Ok(None)
    }

    /// Removes a file, or a directory with all that is in it.
    fn remove_path(&mut self, datastore: &MoRef, path: &str, name: &str) -> Result<(), Fault> {
        if path.is_empty() {
            return Err(Fault::invalid_argument("name"));
        }
        let inside = |file: &str| {
            file == path || file.strip_prefix(path).is_some_and(|r| r.starts_with('/'))
        };
        let locked = self.inventory.machines().any(|machine| {
            machine.place.datastore == *datastore
                && self.inventory.machine_files(machine).iter().any(|file| inside(file))
        });
        if locked {
            return Err(Fault::new("FileLocked", format!("Unable to access file {name}."))
                .with("file", name));
        }
        if self.file_at(datastore, path).is_none() {
            return Err(file_fault("FileNotFound", name));
        }
        if let Some(Item::Datastore(store)) = self.inventory.get_mut(datastore) {
            store.files.retain(|file, _| !inside(file));
            store.directories.retain(|file| !inside(file));
        }
        Ok(())
    }

    /// `CopyDatastoreFile_Task` and `MoveDatastoreFile_Task`, of files.
    pub(super) fn copy_file(&mut self, args: &Object, keep: bool) -> Outcome {
        let (datastore, path) = self.place(args, "sourceName", "sourceDatacenter")?;
        let to = if args.get("destinationDatacenter").is_some() {
            "destinationDatacenter"
        } else {
            "sourceDatacenter"
        };
        let (to_datastore, to_path) = self.place(args, "destinationName", to)?;
        let text = |name| args.str(name).unwrap_or_default();
        let Some(Entry::File(content)) = self.file_at(&datastore, &path) else {
            return Err(file_fault("FileNotFound", text("sourceName")));
        };
        let force = args.get("force").and_then(Value::as_bool).unwrap_or(false);
        if self.file_at(&to_datastore, &to_path).is_some() && !force {
            return Err(file_fault("FileAlreadyExists", text("destinationName")));
        }
        if !keep {
            let removed = match self.inventory.get_mut(&datastore) {
                Some(Item::Datastore(store)) => store.files.remove(&path).is_some(),
                _ => false,
            };
            if !removed {
                let name = text("sourceName");
                let message = format!("Unable to access file {name}.");
                return Err(Fault::new("FileLocked", message).with("file", name));
            }
        }
        if let Some(Item::Datastore(store)) = self.inventory.get_mut(&to_datastore) {
            store.files.insert(to_path, content);
        }
        Ok(None)
    }

    fn file_at(&self, datastore: &MoRef, path: &str) -> Option<Entry> {
        self.inventory.entry(self.inventory.datastore(datastore)?, path)
    }

    /// The datastore and the path on it that an argument names. A host needs no datacenter.
    fn place(&self, args: &Object, name: &str, datacenter: &str) -> Result<(MoRef, String), Fault> {
        let text = args.str(name).unwrap_or_default();
        let wrong = || {
            Fault::new("InvalidDatastorePath", format!("Invalid datastore path '{text}'."))
                .with("datastorePath", text)
        };
        let path: DatastorePath = text.parse().map_err(|_| wrong())?;
        let given = args.get(datacenter).and_then(Value::as_moref);
        let datacenter = match (given, self.inventory.preset) {
            (Some(moref), _) => moref.clone(),
            (None, super::Preset::Esx) => {
                self.inventory.find_by_path("ha-datacenter").ok_or_else(wrong)?
            }
            (None, super::Preset::VCenter) => return Err(Fault::invalid_argument(datacenter)),
        };
        let folder = self
            .inventory
            .datacenter(&datacenter)
            .map(|datacenter| &datacenter.datastore_folder)
            .ok_or_else(|| Fault::object_not_found(&datacenter))?;
        let datastore = self
            .inventory
            .folder_children(folder)
            .iter()
            .find(|moref| {
                self.inventory.datastore(moref).is_some_and(|d| d.name == path.datastore())
            })
            .ok_or_else(wrong)?;
        Ok((datastore.clone(), path.path().trim_matches('/').to_owned()))
    }
}
