//! Changing files: uploads, and the `FileManager`.

use esx_escape::DatastorePath;
use esx_vi_api::{MoRef, Object, Value};

use super::content::{FileContent, StoredFile};
use super::datastore::{Datastore, DatastoreKind, Entry, is_data};
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
    /// Someone has the file open.
    Locked,
    /// The datastore is full.
    NoSpace,
    /// Neither a session nor a password came with the request.
    Unauthorized,
}

/// A file that is being uploaded: what has arrived is in its place, as on real hosts.
#[derive(Debug)]
pub struct Upload {
    datastore: MoRef,
    path: String,
    replaces: bool,
}

impl Upload {
    /// What it comes to when all has arrived.
    pub fn outcome(&self) -> FolderChange {
        if self.replaces { FolderChange::Replaced } else { FolderChange::Created }
    }
}

impl Model {
    /// Writes a file to a datastore, whoever may have it open. Returns whether there is such a datastore.
    pub fn add_file(&mut self, datastore: &str, path: &str, content: &[u8]) -> bool {
        self.add_content(datastore, path, content.into())
    }

    /// As [`add_file`](Self::add_file), for a file that may be sparse.
    pub fn add_content(&mut self, datastore: &str, path: &str, content: FileContent) -> bool {
        let now = self.now;
        self.change_store(datastore, |store| store.put(path.to_owned(), content, now)).is_some()
    }

    /// The reference of the datacenter at an inventory path.
    pub fn datacenter(&self, path: &str) -> Option<MoRef> {
        self.inventory.find_by_path(path).filter(|moref| moref.kind == "Datacenter")
    }

    /// A file of a datastore, whether it belongs to a machine or not.
    pub fn file(&self, datastore: &str, path: &str) -> Option<StoredFile> {
        match self.inventory.entry(self.inventory.datastore(&self.datastore(datastore)?)?, path)? {
            Entry::File(file) => Some(file),
            Entry::Directory(_) => None,
        }
    }

    /// The names in a directory of a datastore, those of directories with a slash at the end; none if there is no such.
    pub fn file_names(&self, datastore: &str, directory: &str) -> Vec<String> {
        let store = self.datastore(datastore);
        let store = store.and_then(|moref| self.inventory.datastore(&moref));
        match store.and_then(|store| self.inventory.entry(store, directory)) {
            Some(Entry::Directory(names)) => names.into_keys().collect(),
            _ => Vec::new(),
        }
    }

    /// Takes a file away behind everybody's back. Returns whether it was there.
    pub fn remove_file(&mut self, datastore: &str, path: &str) -> bool {
        self.change_store(datastore, |store| store.remove(path).is_some()).unwrap_or(false)
    }

    /// Locks a file as if another host had it open, or unlocks it. Returns whether there is such a datastore.
    pub fn lock_file(&mut self, datastore: &str, path: &str, locked: bool) -> bool {
        self.change_store(datastore, |store| {
            if locked {
                store.locked.insert(path.to_owned());
            } else {
                store.locked.remove(path);
            }
        })
        .is_some()
    }

    /// Lets moves and copies refuse to replace a file, also if they are told to by `force`.
    pub fn ignore_force(&mut self, ignore: bool) {
        self.ignores_force = ignore;
    }

    /// Makes a datastore one of objects (vSAN): `/folder` does not serve what disks consist of. Returns whether there is such a
    /// datastore.
    pub fn set_object_store(&mut self, datastore: &str) -> bool {
        self.change_store(datastore, |store| store.kind = DatastoreKind::Vsan).is_some()
    }

    /// Sets the free bytes of a datastore. Returns whether there is such a datastore.
    pub fn set_free_space(&mut self, datastore: &str, bytes: i64) -> bool {
        self.change_store(datastore, |store| store.free = bytes).is_some()
    }

    /// The reference of the first datastore of this name.
    pub fn datastore(&self, name: &str) -> Option<MoRef> {
        let mut morefs = self.inventory.morefs();
        morefs
            .find(|m| self.inventory.datastore(m).is_some_and(|store| store.name == name))
            .cloned()
    }

    pub(super) fn change_store<T>(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Datastore) -> T,
    ) -> Option<T> {
        let moref = self.datastore(name)?;
        let Some(Item::Datastore(store)) = self.inventory.get_mut(&moref) else { return None };
        let result = change(store);
        self.changed(true);
        Some(result)
    }

    /// Serves an upload of a whole file to `/folder` for the session behind `cookie`.
    pub fn upload(
        &mut self,
        request: &FolderRequest,
        content: &[u8],
        cookie: Option<&str>,
        now: Timestamp,
    ) -> FolderChange {
        match self.start_upload(request, cookie, now) {
            Ok(upload) => match self.append(&upload, content, now) {
                Ok(()) => upload.outcome(),
                Err(refusal) => refusal,
            },
            Err(refusal) => refusal,
        }
    }

    /// Starts an upload: the file is there, and empty.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn start_upload(
        &mut self,
        request: &FolderRequest,
        cookie: Option<&str>,
        now: Timestamp,
    ) -> Result<Upload, FolderChange> {
        if cookie.and_then(|cookie| self.sessions.touch(cookie, now)).is_none() {
            return Err(FolderChange::Unauthorized);
        }
        if self.check_allowed("MakeDirectory", &self.inventory.root.clone()).is_err() {
            return Err(FolderChange::Refused);
        }
        let datastore =
            self.inventory.folder_datastore(request).cloned().ok_or(FolderChange::NotFound)?;
        let path = request.path.trim_matches('/').to_owned();
        let store = self.inventory.datastore(&datastore).ok_or(FolderChange::NotFound)?;
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        if path.is_empty()
            || !matches!(self.inventory.entry(store, directory), Some(Entry::Directory(_)))
        {
            return Err(FolderChange::NotFound);
        }
        let replaces = match self.inventory.entry(store, &path) {
            Some(Entry::Directory(_)) => return Err(FolderChange::Refused),
            Some(Entry::File(_)) if self.inventory.is_locked(store, &path) => {
                return Err(FolderChange::Locked);
            }
            Some(Entry::File(_)) if self.inventory.is_running_config(&datastore, &path) => {
                return Err(FolderChange::Refused);
            }
            Some(Entry::File(_))
                if !store.files.contains_key(&path)
                    && !is_data(&path)
                    && self.inventory.configured_by(&datastore, &path).is_none() =>
            {
                return Err(FolderChange::Refused);
            }
            found => found.is_some(),
        };
        if let Some(Item::Datastore(store)) = self.inventory.get_mut(&datastore) {
            store.put(path.clone(), FileContent::default(), now);
        }
        self.changed(true);
        Ok(Upload { datastore, path, replaces })
    }

    /// Takes more of an upload.
    ///
    /// # Errors
    /// [`FolderChange::NoSpace`]; [`FolderChange::NotFound`] if the file has been removed meanwhile.
    pub fn append(
        &mut self,
        upload: &Upload,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), FolderChange> {
        match self.inventory.get_mut(&upload.datastore) {
            Some(Item::Datastore(store)) if store.files.contains_key(&upload.path) => {
                let fits = store.append(&upload.path, bytes, now);
                self.changed(fits);
                fits.then_some(()).ok_or(FolderChange::NoSpace)
            }
            _ => Err(FolderChange::NotFound),
        }
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
            Err(fault) if fault.detail.type_name == "FileLocked" => FolderChange::Locked,
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
        let store = self.inventory.datastore(datastore);
        if locked || store.is_some_and(|store| store.locked.iter().any(|file| inside(file))) {
            return Err(file_locked(name));
        }
        if self.file_at(datastore, path).is_none() {
            return Err(file_fault("FileNotFound", name));
        }
        if let Some(Item::Datastore(store)) = self.inventory.get_mut(datastore) {
            let gone: Vec<String> =
                store.files.keys().filter(|file| inside(file)).cloned().collect();
            for file in gone {
                store.remove(&file);
            }
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
        let Some(Entry::File(file)) = self.file_at(&datastore, &path) else {
            return Err(file_fault("FileNotFound", text("sourceName")));
        };
        let directory = to_path.rsplit_once('/').map_or("", |(directory, _)| directory);
        if !matches!(self.file_at(&to_datastore, directory), Some(Entry::Directory(_))) {
            return Err(file_fault("FileNotFound", text("destinationName")));
        }
        let force = args.get("force").and_then(Value::as_bool).unwrap_or(false);
        let force = force && !self.ignores_force;
        if self.file_at(&to_datastore, &to_path).is_some() && !force {
            return Err(file_fault("FileAlreadyExists", text("destinationName")));
        }
        for (datastore, path, name) in
            [(&datastore, &path, "sourceName"), (&to_datastore, &to_path, "destinationName")]
        {
            let store = self.inventory.datastore(datastore);
            if store.is_some_and(|store| self.inventory.is_locked(store, path)) {
                return Err(file_locked(text(name)));
            }
        }
        if (&datastore, &path) == (&to_datastore, &to_path) {
            return Ok(None);
        }
        if !keep {
            let removed = match self.inventory.get_mut(&datastore) {
                Some(Item::Datastore(store)) => store.remove(&path).is_some(),
                _ => false,
            };
            if !removed {
                return Err(file_locked(text("sourceName")));
            }
        }
        if let Some(Item::Datastore(store)) = self.inventory.get_mut(&to_datastore) {
            // A move keeps the time.
            let time = if keep { self.now } else { file.modified };
            store.put(to_path, file.content, time);
        }
        Ok(None)
    }

    pub(super) fn file_at(&self, datastore: &MoRef, path: &str) -> Option<Entry> {
        self.inventory.entry(self.inventory.datastore(datastore)?, path)
    }

    /// The datastore and the path on it that an argument names. A host needs no datacenter.
    pub(super) fn place(
        &self,
        args: &Object,
        name: &str,
        datacenter: &str,
    ) -> Result<(MoRef, String), Fault> {
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
        if let Some(store) = self.inventory.datastore(datastore) {
            store.check_accessible()?;
        }
        Ok((datastore.clone(), path.path().trim_matches('/').to_owned()))
    }
}

pub(super) fn file_locked(name: &str) -> Fault {
    Fault::new("FileLocked", format!("Unable to access file {name} since it is locked"))
        .with("file", name)
}
