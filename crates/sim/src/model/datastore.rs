//! Datastores: their properties, and the files on them.

use std::collections::{BTreeMap, BTreeSet};

use esx_vi_api::{Array, MoRef, Object, Value};

use super::inventory::Inventory;
use super::machine::{FileRef, Machine};
use super::tree::{objects, references, skeleton};

#[derive(Debug, Clone)]
pub(crate) struct Datastore {
    pub(crate) moref: MoRef,
    pub(crate) parent: MoRef,
    pub(crate) name: String,
    /// The identifier of the volume, as in `/vmfs/volumes/UUID`.
    pub(crate) volume: String,
    pub(crate) kind: DatastoreKind,
    pub(crate) capacity: i64,
    pub(crate) free: i64,
    pub(crate) browser: MoRef,
    /// Directories that may be empty.
    pub(crate) directories: BTreeSet<String>,
    /// Files that belong to no machine, by path.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DatastoreKind {
    Vmfs,
    Nfs { host: &'static str, path: &'static str },
}

impl Datastore {
    /// Where hosts mount the volume.
    pub(crate) fn mount_path(&self) -> String {
        format!("/vmfs/volumes/{}", self.volume)
    }

    fn url(&self) -> String {
        format!("ds:///vmfs/volumes/{}/", self.volume)
    }
}

/// What stands at a path of a datastore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file with its content.
    File(Vec<u8>),
    /// A directory with the names in it, those of directories with a slash at the end, and their sizes in bytes.
    Directory(BTreeMap<String, usize>),
}

impl Inventory {
    pub(super) fn datastore_property(&self, datastore: &Datastore, name: &str) -> Option<Value> {
        Some(match name {
            "info" => self.datastore_info(datastore).into(),
            "summary" => Object::new("DatastoreSummary")
                .with("datastore", &datastore.moref)
                .with("name", datastore.name.as_str())
                .with("url", datastore.url())
                .with("capacity", datastore.capacity)
                .with("freeSpace", datastore.free)
                .with("uncommitted", 0_i64)
                .with("accessible", true)
                .with("multipleHostAccess", self.mounts(datastore).len() > 1)
                .with("type", if datastore.kind == DatastoreKind::Vmfs { "VMFS" } else { "NFS" })
                .with("maintenanceMode", "normal")
                .into(),
            "host" => objects("DatastoreHostMount", self.mounts(datastore)),
            "vm" => references(
                self.machines_where(|machine| machine.datastores().contains(&&datastore.moref)),
            ),
            "browser" => (&datastore.browser).into(),
            "capability" => Object::new("DatastoreCapability")
                .with("directoryHierarchySupported", true)
                .with("rawDiskMappingsSupported", datastore.kind == DatastoreKind::Vmfs)
                .with("perFileThinProvisioningSupported", true)
                .with("storageIORMSupported", false)
                .with("nativeSnapshotSupported", false)
                .with("topLevelDirectoryCreateSupported", true)
                .with("seSparseSupported", true)
                .into(),
            "iormConfiguration" => {
                skeleton("StorageIORMInfo").with("congestionThreshold", 30).into()
            }
            _ => return None,
        })
    }

    fn mounts(&self, datastore: &Datastore) -> Vec<Object> {
        let hosts = self.hosts_with(|host| host.datastores.contains(&datastore.moref));
        let mount = |host| {
            let info = Object::new("HostMountInfo")
                .with("path", datastore.mount_path())
                .with("accessMode", "readWrite")
                .with("mounted", true)
                .with("accessible", true);
            Object::new("DatastoreHostMount").with("key", host).with("mountInfo", info)
        };
        hosts.into_iter().map(mount).collect()
    }

    fn datastore_info(&self, datastore: &Datastore) -> Object {
        let (class, member, volume) = match &datastore.kind {
            DatastoreKind::Vmfs => {
                let extent = Object::new("HostScsiDiskPartition")
                    .with("diskName", "mpx.vmhba0:C0:T0:L0")
                    .with("partition", 8);
                let volume = Object::new("HostVmfsVolume")
                    .with("type", "VMFS")
                    .with("name", datastore.name.as_str())
                    .with("capacity", datastore.capacity)
                    .with("blockSizeMb", 1)
                    .with("blockSize", 1024)
                    .with("maxBlocks", 63 << 20)
                    .with("majorVersion", 6)
                    .with("version", "6.82")
                    .with("uuid", datastore.volume.as_str())
                    .with("extent", objects("HostScsiDiskPartition", [extent]))
                    .with("vmfsUpgradable", false)
                    .with("ssd", true)
                    .with("local", true);
                ("VmfsDatastoreInfo", "vmfs", volume)
            }
            DatastoreKind::Nfs { host, path } => {
                let volume = Object::new("HostNasVolume")
                    .with("type", "NFS")
                    .with("name", datastore.name.as_str())
                    .with("capacity", datastore.capacity)
                    .with("remoteHost", *host)
                    .with("remotePath", *path)
                    .with("userName", "")
                    .with("remoteHostNames", Array::new("xsd:string", vec![(*host).into()]));
                ("NasDatastoreInfo", "nas", volume)
            }
        };
        Object::new(class)
            .with("name", datastore.name.as_str())
            .with("url", datastore.url())
            .with("freeSpace", datastore.free)
            .with("maxFileSize", 64_i64 << 40)
            .with(member, volume)
    }

    /// What stands at `path` (no slash at either end) of a datastore; nothing, or `None`, if there is no such path.
    pub(crate) fn entry(&self, datastore: &Datastore, path: &str) -> Option<Entry> {
        if let Some(content) = datastore.files.get(path) {
            return Some(Entry::File(content.clone()));
        }
        let here =
            |machine: &&Machine| machine.accessible && machine.place.datastore == datastore.moref;
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        for machine in
            self.machines().filter(here).filter(|machine| machine.directory() == directory)
        {
            if let Some(content) = self.machine_file(machine, path) {
                return Some(Entry::File(content));
            }
        }
        let mut names = BTreeMap::new();
        let mut add = |file: &str, size: usize| {
            let inside = if path.is_empty() {
                Some(file)
            } else {
                file.strip_prefix(path).and_then(|rest| rest.strip_prefix('/'))
            };
            match inside.map(|inside| inside.split_once('/')) {
                Some(Some((directory, _))) => names.insert(format!("{directory}/"), 0),
                Some(None) if inside != Some("") => {
                    names.insert(inside.unwrap_or_default().to_owned(), size)
                }
                // The directory itself.
                _ => None,
            };
        };
        for (file, content) in &datastore.files {
            add(file, content.len());
        }
        for directory in &datastore.directories {
            add(&format!("{directory}/"), 0);
        }
        for machine in self.machines().filter(here) {
            let directory = machine.directory();
            if path == directory {
                for file in self.machine_files(machine) {
                    let size = self.machine_file(machine, &file).map_or(0, |content| content.len());
                    add(&file, size);
                }
            } else {
                add(&format!("{directory}/"), 0);
            }
        }
        (path.is_empty() || !names.is_empty() || datastore.directories.contains(path))
            .then_some(Entry::Directory(names))
    }

    /// The paths of a machine's own files.
    pub(super) fn machine_files(&self, machine: &Machine) -> Vec<String> {
        let stem = machine.stem();
        let mut files = vec![
            machine.vmx_path(),
            machine.in_directory(&format!("{stem}.vmsd")),
            machine.in_directory(&format!("{stem}.nvram")),
        ];
        for (file, _) in machine.disk_files() {
            let path = match file {
                FileRef::Own(name) => machine.in_directory(name),
                FileRef::On { .. } => continue,
            };
            if !files.contains(&path) {
                files.push(path);
            }
        }
        files
    }

    /// The content of one of a machine's files, made when it is asked for.
    pub(super) fn machine_file(&self, machine: &Machine, path: &str) -> Option<Vec<u8>> {
        if path == machine.vmx_path() {
            return Some(machine.vmx(self).into_bytes());
        }
        let disk = machine.disk_files().into_iter().find_map(|(file, disk)| match file {
            FileRef::Own(name) if machine.in_directory(name) == path => Some((name, disk)),
            _ => None,
        });
        match disk {
            Some((name, disk)) => {
                Some(disk_descriptor(name, disk.capacity_kib, disk.thin).into_bytes())
            }
            None => self.machine_files(machine).iter().any(|file| file == path).then(Vec::new),
        }
    }
}

/// The capacity that a disk's descriptor tells.
pub(super) fn descriptor_capacity_kib(content: &[u8]) -> Option<i64> {
    let text = String::from_utf8_lossy(content);
    let sectors = text.lines().find_map(|line| line.strip_prefix("RW ")?.split(' ').next());
    sectors?.parse::<i64>().ok().filter(|sectors| *sectors > 0).map(|sectors| sectors / 2)
}

/// The text file that describes a virtual disk; the data lies in a flat file beside it.
pub(super) fn disk_descriptor(name: &str, capacity_kib: i64, thin: bool) -> String {
    let stem = name.strip_suffix(".vmdk").unwrap_or(name);
    let sectors = capacity_kib * 2;
    let cylinders = (sectors / (255 * 63)).min(65_535);
    let thin = if thin { "ddb.thinProvisioned = \"1\"\n" } else { "" };
    format!(
        "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"vmfs\"\n\n\
         # Extent description\nRW {sectors} VMFS \"{stem}-flat.vmdk\"\n\n# The Disk Data Base\n#DDB\n\n\
         ddb.adapterType = \"lsilogic\"\nddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"255\"\n\
         ddb.geometry.sectors = \"63\"\n{thin}ddb.virtualHWVersion = \"20\"\n"
    )
}
