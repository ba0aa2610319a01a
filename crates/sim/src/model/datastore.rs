//! Datastores: their properties, and the files on them.

use std::collections::{BTreeMap, BTreeSet};

use esx_vi_api::{Array, MoRef, Object, Value};

use super::content::{BLOCK, FileContent, StoredFile};
use super::fault::Fault;
use super::inventory::Inventory;
use super::machine::{
    Bus, ControllerModel, Disk, FileRef, Machine, PowerState, uuid_for, uuid_text,
};
use super::time::Timestamp;
use super::tree::{objects, references, skeleton};

#[derive(Debug, Clone)]
pub(crate) struct Datastore {
    pub(crate) moref: MoRef,
    pub(crate) parent: MoRef,
    pub(crate) name: String,
    /// The identifier of the volume, as in `/vmfs/volumes/UUID`.
    pub(crate) volume: String,
    pub(crate) kind: DatastoreKind,
    /// Whether its hosts reach it.
    pub(crate) accessible: bool,
    pub(crate) capacity: i64,
    pub(crate) free: i64,
    pub(crate) browser: MoRef,
    /// Directories that may be empty.
    pub(crate) directories: BTreeSet<String>,
    /// Files that belong to no machine, by path.
    pub(crate) files: BTreeMap<String, StoredFile>,
    /// Files that someone unknown holds open.
    pub(crate) locked: BTreeSet<String>,
}

/// When the files of machines were written, as far as anybody knows: 2024-05-01.
const BUILT: Timestamp = Timestamp::from_secs(1_714_521_600);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DatastoreKind {
    Vmfs,
    Nfs {
        host: &'static str,
        path: &'static str,
    },
    /// A directory of a host that is no ESX.
    Local {
        path: &'static str,
    },
    Vsan,
}

impl DatastoreKind {
    /// `DatastoreSummary.type`.
    const fn type_name(&self) -> &'static str {
        match self {
            Self::Vmfs => "VMFS",
            Self::Nfs { .. } => "NFS",
            Self::Local { .. } => "OTHER",
            Self::Vsan => "vsan",
        }
    }
}

impl Datastore {
    /// Where hosts mount the volume.
    pub(crate) fn mount_path(&self) -> String {
        match &self.kind {
            DatastoreKind::Local { path } => (*path).to_owned(),
            _ => format!("/vmfs/volumes/{}", self.volume),
        }
    }

    /// Refuses a datastore that is out of reach.
    pub(crate) fn check_accessible(&self) -> Result<(), Fault> {
        if self.accessible {
            return Ok(());
        }
        let name = self.name.as_str();
        let message = format!("Datastore '{name}' is not accessible. Storage is unreachable.");
        Err(Fault::new("InaccessibleDatastore", message)
            .with("datastore", &self.moref)
            .with("name", name)
            .with("detail", "All paths are down"))
    }

    fn url(&self) -> String {
        format!("ds:///vmfs/volumes/{}/", self.volume)
    }

    /// Puts a file in its place; one that was there is gone.
    pub(crate) fn put(&mut self, path: String, content: impl Into<FileContent>, now: Timestamp) {
        let content = content.into();
        self.remove(&path);
        self.charge(content.allocated());
        self.files.insert(path, StoredFile { content, modified: now.max(BUILT) });
    }

    /// Puts the descriptor of a disk in its place, and beside it the data files that it names if they are not there.
    pub(crate) fn put_disk(&mut self, path: String, descriptor: Vec<u8>, now: Timestamp) {
        for (extent, size) in extents(&path, &descriptor) {
            if !self.files.contains_key(&extent) {
                self.put(extent, FileContent::hole(size), now);
            }
        }
        self.put(path, descriptor, now);
    }

    /// Puts a disk that belongs to no machine in its place, data file and all.
    pub(crate) fn put_sample_disk(&mut self, path: &str, capacity_kib: i64, thin: bool) {
        let name = path.rsplit('/').next().unwrap_or(path);
        let uuid = uuid::Uuid::from_u64_pair(0x6000_c290_0000_0000, u64::from(identity(path)));
        let uuid = &uuid_text(uuid);
        let (parent, adapter) = (None, "lsilogic");
        let text = DiskText { name, capacity_kib, thin, parent, adapter, uuid }.to_string();
        let data = FileContent::hole(capacity_kib.unsigned_abs() * 1024);
        let data = if thin { data } else { data.preallocated() };
        self.put(data_name(path, false), data, BUILT);
        self.put(path.to_owned(), text.into_bytes(), BUILT);
    }

    /// Takes a file away.
    pub(crate) fn remove(&mut self, path: &str) -> Option<StoredFile> {
        let file = self.files.remove(path)?;
        self.free = self.free.saturating_add_unsigned(file.content.allocated()).min(self.capacity);
        Some(file)
    }

    /// Takes a disk away: the descriptor and the data files that it names.
    pub(crate) fn remove_disk(&mut self, path: &str) -> bool {
        let Some(descriptor) = self.remove(path) else { return false };
        for (extent, _) in extents(path, &descriptor.content.text()) {
            self.remove(&extent);
        }
        true
    }

    /// Appends to a file, if there is room. Returns whether there was.
    pub(crate) fn append(&mut self, path: &str, bytes: &[u8], now: Timestamp) -> bool {
        let free = self.free;
        let Some(file) = self.files.get_mut(path) else { return false };
        let before = file.content.allocated();
        // An upload takes what it is told to take, zeros included.
        let needed = (file.content.size() + bytes.len() as u64).div_ceil(BLOCK) * BLOCK;
        if i64::try_from(needed.saturating_sub(before)).is_ok_and(|needed| needed > free) {
            return false;
        }
        let end = file.content.size();
        file.content.write(end, bytes);
        file.modified = now.max(BUILT);
        let grown = file.content.allocated().saturating_sub(before);
        self.charge(grown);
        true
    }

    fn charge(&mut self, bytes: u64) {
        self.free = self.free.saturating_sub_unsigned(bytes).max(0);
    }
}

/// The data files that a disk's descriptor names, with their sizes in bytes.
pub(crate) fn extents(path: &str, descriptor: &[u8]) -> Vec<(String, u64)> {
    let text = String::from_utf8_lossy(descriptor);
    let extent = |line: &str| {
        let mut words = line.strip_prefix("RW ")?.splitn(3, ' ');
        let sectors: u64 = words.next()?.parse().ok()?;
        let kind = words.next()?;
        let name = words.next()?.trim().trim_matches('"');
        let size = if kind == "VMFS" { sectors.checked_mul(512)? } else { BLOCK };
        let directory = path.rsplit_once('/').map(|(directory, _)| directory);
        Some((directory.map_or_else(|| name.to_owned(), |dir| format!("{dir}/{name}")), size))
    };
    text.lines().filter_map(extent).collect()
}

/// What stands at a path of a datastore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file.
    File(StoredFile),
    /// A directory with the names in it, those of directories with a slash at the end.
    Directory(BTreeMap<String, Listed>),
}

/// What a listing tells about a file; nothing about a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Listed {
    /// Apparent size in bytes.
    pub size: u64,
    /// Bytes that it takes on the datastore.
    pub allocated: u64,
    /// When it was last written to.
    pub modified: Timestamp,
}

impl From<&StoredFile> for Listed {
    fn from(file: &StoredFile) -> Self {
        Self {
            size: file.content.size(),
            allocated: file.content.allocated(),
            modified: file.modified,
        }
    }
}

impl Inventory {
    pub(super) fn datastore_property(&self, datastore: &Datastore, name: &str) -> Option<Value> {
        Some(match name {
            "info" => self.datastore_info(datastore).into(),
            "summary" => Object::new("DatastoreSummary")
                .with("datastore", &datastore.moref)
                .with("name", datastore.name.as_str())
                .with("url", datastore.url())
                .with("capacity", if datastore.accessible { datastore.capacity } else { 0 })
                .with("freeSpace", if datastore.accessible { datastore.free } else { 0 })
                .with("uncommitted", 0_i64)
                .with("accessible", datastore.accessible)
                .with("multipleHostAccess", self.mounts(datastore).len() > 1)
                .with("type", datastore.kind.type_name())
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
                .with("mounted", datastore.accessible)
                .with("accessible", datastore.accessible)
                .with_opt(
                    "inaccessibleReason",
                    (!datastore.accessible).then_some("AllPathsDown_Timeout"),
                );
            Object::new("DatastoreHostMount").with("key", host).with("mountInfo", info)
        };
        hosts.into_iter().map(mount).collect()
    }

    fn datastore_info(&self, datastore: &Datastore) -> Object {
        let info = |class: &'static str| {
            Object::new(class)
                .with("name", datastore.name.as_str())
                .with("url", datastore.url())
                .with("freeSpace", datastore.free)
                .with("maxFileSize", 64_i64 << 40)
        };
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
            DatastoreKind::Local { path } => {
                return info("LocalDatastoreInfo").with("path", *path);
            }
            DatastoreKind::Vsan => {
                return info("VsanDatastoreInfo").with("membershipUuid", datastore.volume.as_str());
            }
        };
        info(class).with(member, volume)
    }

    /// What stands at `path` (no slash at either end) of a datastore; nothing, or `None`, if there is no such path.
    pub(crate) fn entry(&self, datastore: &Datastore, path: &str) -> Option<Entry> {
        if let Some(file) = datastore.files.get(path) {
            return Some(Entry::File(file.clone()));
        }
        let here =
            |machine: &&Machine| machine.accessible && machine.place.datastore == datastore.moref;
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        for machine in
            self.machines().filter(here).filter(|machine| machine.directory() == directory)
        {
            if let Some(file) = self.machine_file(machine, path) {
                return Some(Entry::File(file));
            }
        }
        let mut names = BTreeMap::new();
        let mut add = |file: &str, facts: Listed| {
            let inside = if path.is_empty() {
                Some(file)
            } else {
                file.strip_prefix(path).and_then(|rest| rest.strip_prefix('/'))
            };
            match inside.map(|inside| inside.split_once('/')) {
                Some(Some((directory, _))) => {
                    names.insert(format!("{directory}/"), Listed::default())
                }
                Some(None) if inside != Some("") => {
                    names.insert(inside.unwrap_or_default().to_owned(), facts)
                }
                // The directory itself.
                _ => None,
            };
        };
        for (path, file) in &datastore.files {
            add(path, file.into());
        }
        for directory in &datastore.directories {
            add(&format!("{directory}/"), Listed::default());
        }
        for machine in self.machines().filter(here) {
            let directory = machine.directory();
            if path == directory {
                for path in self.machine_files(machine) {
                    // What was written in place of a machine's own file counts.
                    if !datastore.files.contains_key(&path)
                        && let Some(file) = self.machine_file(machine, &path)
                    {
                        add(&path, (&file).into());
                    }
                }
            } else {
                add(&format!("{directory}/"), Listed::default());
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
            for path in [machine.data_path(file), path] {
                if !files.contains(&path) {
                    files.push(path);
                }
            }
        }
        files
    }

    /// One of a machine's files, made when it is asked for.
    pub(super) fn machine_file(&self, machine: &Machine, path: &str) -> Option<StoredFile> {
        let file = |content| Some(StoredFile { content, modified: BUILT });
        if path == machine.vmx_path() {
            return file(machine.vmx(self).into_bytes().into());
        }
        for (reference, disk) in machine.disk_files() {
            let FileRef::Own(name) = reference else { continue };
            if machine.in_directory(name) == path {
                return file(machine.descriptor(reference, disk).into());
            }
            if machine.data_path(reference) == path {
                return file(machine.data(reference, disk));
            }
        }
        self.machine_files(machine)
            .iter()
            .any(|other| other == path)
            .then(FileContent::default)
            .and_then(file)
    }

    /// Whether a file cannot be opened: a running machine writes to it, or a test has locked it.
    pub(super) fn is_locked(&self, datastore: &Datastore, path: &str) -> bool {
        let written = |machine: &Machine| {
            machine.power == PowerState::PoweredOn
                && machine.disks.iter().any(|disk| {
                    *machine.file_place(&disk.file).0 == datastore.moref
                        && machine.data_path(&disk.file) == path
                })
        };
        datastore.locked.contains(path) || self.machines().any(written)
    }
}

impl Machine {
    /// The path of the file with the data of one of its disks' files.
    pub(super) fn data_path(&self, file: &FileRef) -> String {
        let (_, path) = self.file_place(file);
        data_name(&path, self.parent_of(file).is_some())
    }

    /// The file that one of its disks' files builds on.
    fn parent_of(&self, file: &FileRef) -> Option<&FileRef> {
        let (_, disk) = self.disk_files().into_iter().find(|(other, _)| *other == file)?;
        let chain: Vec<&FileRef> = disk.chain().collect();
        let index = chain.iter().position(|other| *other == file)?;
        index.checked_sub(1).map(|index| chain[index])
    }

    /// The descriptor of one of its disks' files.
    pub(crate) fn descriptor(&self, file: &FileRef, disk: &Disk) -> Vec<u8> {
        let name = |file: &FileRef| {
            let (_, path) = self.file_place(file);
            path.rsplit('/').next().unwrap_or(&path).to_owned()
        };
        let parent = self.parent_of(file).map(name);
        let text = DiskText {
            name: &name(file),
            capacity_kib: disk.capacity_kib,
            thin: disk.thin,
            parent: parent.as_deref(),
            adapter: self.adapter_word(disk),
            uuid: &uuid_text(self.disk_uuid(disk)),
        };
        text.to_string().into_bytes()
    }

    /// The UUID of a disk, the same for all files of its chain.
    pub(super) fn disk_uuid(&self, disk: &Disk) -> uuid::Uuid {
        let number = self.disks.iter().position(|other| other.address == disk.address);
        uuid_for(self.id, 17 + number.unwrap_or_default() as u64)
    }

    /// The content ID that the descriptor of one of its disks' files tells, in hexadecimal.
    pub(super) fn content_id(&self, inventory: &Inventory, file: &FileRef) -> String {
        let (datastore, path) = self.file_place(file);
        // A descriptor that was written in place of the machine's own counts.
        let written = inventory.datastore(datastore).and_then(|store| store.files.get(&path));
        let told = written.and_then(|file| {
            let text = String::from_utf8_lossy(&file.content.text()).into_owned();
            text.lines().find_map(|line| line.strip_prefix("CID=").map(str::to_owned))
        });
        told.unwrap_or_else(|| {
            format!("{:08x}", identity(path.rsplit('/').next().unwrap_or(&path)))
        })
    }

    /// The controller that a disk hangs on, in a descriptor's words.
    fn adapter_word(&self, disk: &Disk) -> &'static str {
        let found = self.controllers.iter().find(|controller| {
            controller.model.bus() == disk.address.bus
                && controller.number == disk.address.controller
        });
        match found.map(|controller| controller.model) {
            Some(ControllerModel::BusLogic) => "buslogic",
            Some(ControllerModel::LsiLogicSas) => "lsisas1068",
            Some(ControllerModel::ParaVirtual) => "pvscsi",
            _ if disk.address.bus == Bus::Ide => "ide",
            _ => "lsilogic",
        }
    }

    /// The data of one of its disks' files: something at the start, in the middle and at the end, of a base; a little of a
    /// snapshot's.
    fn data(&self, file: &FileRef, disk: &Disk) -> FileContent {
        let seed = u64::from(identity(&self.data_path(file))) << 32 | u64::from(self.id);
        if self.parent_of(file).is_some() {
            return FileContent::generated(seed, 2 * BLOCK);
        }
        let size = u64::try_from(disk.capacity_kib).unwrap_or(0) * 1024;
        let mut content = FileContent::hole(size);
        for offset in [0, size / 2, size.saturating_sub(1)] {
            content.generate(offset, 1, seed);
        }
        if disk.thin { content } else { content.preallocated() }
    }
}

/// The name of the data file beside a descriptor: of a base, or of a snapshot's disk.
pub(super) fn data_name(descriptor: &str, child: bool) -> String {
    let stem = descriptor.strip_suffix(".vmdk").unwrap_or(descriptor);
    format!("{stem}-{}.vmdk", if child { "sesparse" } else { "flat" })
}

/// The capacity that a disk's descriptor tells.
pub(super) fn descriptor_capacity_kib(content: &[u8]) -> Option<i64> {
    let text = String::from_utf8_lossy(content);
    let sectors = text.lines().find_map(|line| line.strip_prefix("RW ")?.split(' ').next());
    sectors?.parse::<i64>().ok().filter(|sectors| *sectors > 0).map(|sectors| sectors / 2)
}

/// Whether a file holds the data of a disk.
pub(super) fn is_data(path: &str) -> bool {
    ["-flat.vmdk", "-sesparse.vmdk", "-delta.vmdk"].iter().any(|end| path.ends_with(end))
}

/// A number that a disk's content has, until someone writes to it.
fn identity(name: &str) -> u32 {
    // FNV-1a; the two greatest numbers have a meaning of their own.
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.min(0xffff_fffd)
}

/// The text file that describes a virtual disk; the data lies in another file beside it.
pub(super) struct DiskText<'a> {
    /// The name of the file itself.
    pub(super) name: &'a str,
    pub(super) capacity_kib: i64,
    pub(super) thin: bool,
    /// The descriptor that it builds on.
    pub(super) parent: Option<&'a str>,
    /// The kind of controller that it is made for.
    pub(super) adapter: &'a str,
    /// As VMX files write UUIDs.
    pub(super) uuid: &'a str,
}

impl std::fmt::Display for DiskText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, capacity_kib, thin, parent, adapter, uuid } = *self;
        let data = data_name(name, parent.is_some());
        let sectors = capacity_kib * 2;
        let cylinders = (sectors / (255 * 63)).min(65_535);
        let (format, kind) =
            if parent.is_some() { ("seSparse", "SESPARSE") } else { ("vmfs", "VMFS") };
        write!(
            f,
            "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID={:08x}\nparentCID={:08x}\ncreateType=\"{format}\"\n",
            identity(name),
            parent.map_or(u32::MAX, identity),
        )?;
        if let Some(parent) = parent {
            writeln!(f, "parentFileNameHint=\"{parent}\"")?;
        }
        write!(
            f,
            "\n# Extent description\nRW {sectors} {kind} \"{data}\"\n\n# The Disk Data Base\n#DDB\n\n"
        )?;
        if parent.is_none() {
            write!(
                f,
                "ddb.adapterType = \"{adapter}\"\nddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"255\"\n\
                 ddb.geometry.sectors = \"63\"\n"
            )?;
            if thin {
                f.write_str("ddb.thinProvisioned = \"1\"\n")?;
            }
        }
        write!(f, "ddb.uuid = \"{uuid}\"\nddb.virtualHWVersion = \"20\"\n")
    }
}
