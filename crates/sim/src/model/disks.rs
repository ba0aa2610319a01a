//! `VirtualDiskManager`: disks that are files and belong to no machine, and a little with those that do.
//!
//! A disk is a descriptor and the data file that it names. Disks of registered machines can be read, copied and asked
//! for their UUID, and be extended while the machine is off; anything else finds them locked.

use esx_vi_api::{MoRef, Object, Value};

use super::content::{BLOCK, FileContent};
use super::datastore::{Datastore, DiskText, Entry, data_name, extents};
use super::fault::Fault;
use super::files::file_locked;
use super::inventory::Item;
use super::machine::device_change::file_fault;
use super::machine::{FileRef, uuid_text};
use super::{Answer, Model};

type Outcome = Result<Option<Value>, Fault>;

/// What a descriptor says about a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) capacity_kib: i64,
    pub(super) thin: bool,
    pub(super) hardware_version: i32,
    create_type: String,
    /// The kind of controller that it was made for; a snapshot's disk does not say.
    pub(super) adapter: Option<String>,
    /// The descriptor that it builds on.
    pub(super) parent: Option<String>,
    uuid: String,
    text: String,
}

impl Descriptor {
    /// Reads a descriptor; nothing if it is none.
    pub(super) fn parse(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok()?;
        if !text.starts_with("# Disk DescriptorFile") {
            return None;
        }
        let value = |key: &str| {
            let value = text.lines().find_map(|line| {
                line.strip_prefix(key)?.trim_start().strip_prefix('=').map(str::trim)
            })?;
            Some(value.trim_matches('"').to_owned())
        };
        let sectors = text.lines().filter_map(|line| line.strip_prefix("RW ")?.split(' ').next());
        let sectors: i64 = sectors.filter_map(|number| number.parse::<i64>().ok()).sum();
        Some(Self {
            capacity_kib: sectors / 2,
            thin: value("ddb.thinProvisioned").as_deref() == Some("1"),
            hardware_version: value("ddb.virtualHWVersion")
                .and_then(|version| version.parse().ok())
                .unwrap_or(4),
            create_type: value("createType").unwrap_or_default(),
            adapter: value("ddb.adapterType"),
            parent: value("parentFileNameHint"),
            uuid: value("ddb.uuid").unwrap_or_default(),
            text: text.to_owned(),
        })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The class of the backing that such a disk has in a machine.
    pub(super) fn backing(&self) -> &'static str {
        match self.create_type.as_str() {
            "seSparse" => "VirtualDiskSeSparseBackingInfo",
            "vmfsSparse" => "VirtualDiskSparseVer2BackingInfo",
            "vmfsRawDeviceMap" | "vmfsPassthroughRawDeviceMap" => {
                "VirtualDiskRawDiskMappingVer1BackingInfo"
            }
            _ => "VirtualDiskFlatVer2BackingInfo",
        }
    }

    /// The class of the controller that it was made for.
    pub(super) fn controller(&self) -> &'static str {
        match self.adapter.as_deref().unwrap_or_default() {
            "buslogic" => "VirtualBusLogicController",
            "ide" => "VirtualIDEController",
            "lsisas1068" => "VirtualLsiLogicSASController",
            "pvscsi" => "ParaVirtualSCSIController",
            _ => "VirtualLsiLogicController",
        }
    }
}

/// What a new disk is to be.
struct NewDisk {
    capacity_kib: i64,
    thin: bool,
    adapter: &'static str,
}

impl NewDisk {
    fn descriptor(&self, path: &str, uuid: &str) -> Vec<u8> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let Self { capacity_kib, thin, adapter } = *self;
        DiskText { name, capacity_kib, thin, parent: None, adapter, uuid }.to_string().into_bytes()
    }
}

/// `VirtualDiskSpec.diskType`: whether such a disk grows as it is written to. Nothing for types that need more.
fn is_thin(disk_type: &str) -> Option<bool> {
    match disk_type {
        "thin" => Some(true),
        "preallocated" | "eagerZeroedThick" | "thick" => Some(false),
        _ => None,
    }
}

/// `VirtualDiskSpec.adapterType` in a descriptor's words.
fn adapter(adapter_type: &str) -> Option<&'static str> {
    match adapter_type {
        "lsiLogic" => Some("lsilogic"),
        "busLogic" => Some("buslogic"),
        "ide" => Some("ide"),
        _ => None,
    }
}

fn no_space(store: &Datastore) -> Fault {
    let name = store.name.as_str();
    let message = format!("Insufficient disk space on datastore '{name}'.");
    Fault::new("NoDiskSpace", message).with("datastore", name)
}

/// A UUID that depends on the place alone, so that equal hosts give equal ones.
fn new_disk_uuid(datastore: &MoRef, path: &str) -> String {
    let hash = |text: &str| {
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let high = 0x6000_c290_0000_0000 | (hash(&datastore.value) & 0xffff_ffff);
    uuid_text(uuid::Uuid::from_u64_pair(high, hash(path)))
}

fn is_descriptor_name(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with(".vmdk")
}

impl Model {
    /// The disk that the arguments name: its datastore, path and descriptor.
    fn disk_at(
        &self,
        args: &Object,
        name: &str,
        datacenter: &str,
    ) -> Result<(MoRef, String, Descriptor), Fault> {
        let (datastore, path) = self.place(args, name, datacenter)?;
        let text = args.str(name).unwrap_or_default();
        let Some(Entry::File(file)) = self.file_at(&datastore, &path) else {
            return Err(file_fault("FileNotFound", text));
        };
        let descriptor = Descriptor::parse(&file.content.read(0, 1 << 16)).ok_or_else(|| {
            let message = format!("Unable to open {text}: unsupported or invalid disk type.");
            Fault::new("InvalidDiskFormat", message)
        })?;
        Ok((datastore, path, descriptor))
    }

    /// The same for one that is going to be changed: nobody has it open, and no machine owns it.
    fn free_disk_at(&self, args: &Object) -> Result<(MoRef, String, Descriptor), Fault> {
        let (datastore, path, descriptor) = self.disk_at(args, "name", "datacenter")?;
        let own = self.inventory.datastore(&datastore).is_some_and(|store| {
            store.files.contains_key(&path) && !self.is_disk_locked(store, &path, &descriptor)
        });
        if own {
            Ok((datastore, path, descriptor))
        } else {
            Err(file_locked(args.str("name").unwrap_or_default()))
        }
    }

    fn is_disk_locked(&self, store: &Datastore, path: &str, descriptor: &Descriptor) -> bool {
        let mut parts = extents(path, descriptor.text().as_bytes());
        parts.push((path.to_owned(), 0));
        parts.iter().any(|(path, _)| self.inventory.is_locked(store, path))
    }

    /// Refuses a place where no new disk can be.
    fn check_new_disk(
        &self,
        datastore: &MoRef,
        path: &str,
        name: &str,
        force: bool,
    ) -> Result<(), Fault> {
        if !is_descriptor_name(path) {
            return Err(Fault::new("InvalidName", format!("The name '{name}' is invalid."))
                .with("name", name));
        }
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        if !matches!(self.file_at(datastore, directory), Some(Entry::Directory(_))) {
            return Err(file_fault("FileNotFound", name));
        }
        let store = self.inventory.datastore(datastore);
        for path in [path.to_owned(), data_name(path, false)] {
            if self.file_at(datastore, &path).is_some() && !force {
                return Err(file_fault("FileAlreadyExists", name));
            }
            if store.is_some_and(|store| self.inventory.is_locked(store, &path)) {
                return Err(file_locked(name));
            }
        }
        Ok(())
    }

    /// Puts a disk in its place, if there is room for what it takes.
    fn put_new_disk(
        &mut self,
        datastore: &MoRef,
        path: &str,
        disk: &NewDisk,
        content: FileContent,
    ) -> Outcome {
        let uuid = new_disk_uuid(datastore, path);
        let now = self.now;
        let Some(Item::Datastore(store)) = self.inventory.get_mut(datastore) else {
            return Err(Fault::object_not_found(datastore));
        };
        let needed = content.allocated().saturating_add(BLOCK);
        if i64::try_from(needed).map_or(true, |needed| needed > store.free) {
            return Err(no_space(store));
        }
        store.put(data_name(path, false), content, now);
        store.put(path.to_owned(), disk.descriptor(path, &uuid), now);
        Ok(None)
    }

    /// `CreateVirtualDisk_Task`.
    pub(super) fn create_disk(&mut self, args: &Object) -> Outcome {
        let (datastore, path) = self.place(args, "name", "datacenter")?;
        let text = |member: &str| args.get_path(&format!("spec.{member}")).and_then(Value::as_str);
        let wrong = |member| Fault::invalid_argument(member);
        let thin = text("diskType").and_then(is_thin).ok_or_else(|| wrong("spec.diskType"))?;
        let adapter =
            text("adapterType").and_then(adapter).ok_or_else(|| wrong("spec.adapterType"))?;
        let capacity_kib = args
            .get_path("spec.capacityKb")
            .and_then(Value::as_i64)
            .filter(|kib| (1..=62 << 30).contains(kib))
            .ok_or_else(|| wrong("spec.capacityKb"))?;
        self.check_new_disk(&datastore, &path, args.str("name").unwrap_or_default(), false)?;
        let content = FileContent::hole(capacity_kib.unsigned_abs() * 1024);
        let content = if thin { content } else { content.preallocated() };
        self.put_new_disk(&datastore, &path, &NewDisk { capacity_kib, thin, adapter }, content)
    }

    /// `CopyVirtualDisk_Task`; without a specification the copy is as the original.
    pub(super) fn copy_disk(&mut self, args: &Object) -> Outcome {
        let (from, from_path, source) = self.disk_at(args, "sourceName", "sourceDatacenter")?;
        let to = if args.get("destDatacenter").is_some() {
            "destDatacenter"
        } else {
            "sourceDatacenter"
        };
        let (datastore, path) = self.place(args, "destName", to)?;
        let text =
            |member: &str| args.get_path(&format!("destSpec.{member}")).and_then(Value::as_str);
        let thin = match text("diskType") {
            Some(kind) => {
                is_thin(kind).ok_or_else(|| Fault::invalid_argument("destSpec.diskType"))?
            }
            None => source.thin,
        };
        let adapter = match text("adapterType") {
            Some(kind) => {
                adapter(kind).ok_or_else(|| Fault::invalid_argument("destSpec.adapterType"))?
            }
            None => adapter_word(source.adapter.as_deref()),
        };
        if let Some(store) = self.inventory.datastore(&from)
            && self.is_disk_locked(store, &from_path, &source)
        {
            return Err(file_locked(args.str("sourceName").unwrap_or_default()));
        }
        let force = args.get("force").and_then(Value::as_bool).unwrap_or(false);
        self.check_new_disk(&datastore, &path, args.str("destName").unwrap_or_default(), force)?;
        let content = self.data_of(&from, &from_path, &source)?;
        let content = if thin { content.unallocated() } else { content.preallocated() };
        let disk = NewDisk { capacity_kib: source.capacity_kib, thin, adapter };
        self.put_new_disk(&datastore, &path, &disk, content)
    }

    /// The data of a disk, all of it in one file.
    fn data_of(
        &self,
        datastore: &MoRef,
        path: &str,
        disk: &Descriptor,
    ) -> Result<FileContent, Fault> {
        let size = disk.capacity_kib.unsigned_abs() * 1024;
        let parts = extents(path, disk.text().as_bytes());
        match parts.first() {
            Some((part, _)) if disk.backing() == "VirtualDiskFlatVer2BackingInfo" => {
                match self.file_at(datastore, part) {
                    Some(Entry::File(file)) => Ok(file.content),
                    _ => Err(file_fault("FileNotFound", part)),
                }
            }
            // What a snapshot's disk holds is not simulated.
            _ => Ok(FileContent::hole(size)),
        }
    }

    /// `MoveVirtualDisk_Task`.
    pub(super) fn move_disk(&mut self, args: &Object) -> Outcome {
        let mut source = args.clone();
        if let Some(name) = args.get("sourceName").cloned() {
            source.set("name", name);
        }
        if let Some(datacenter) = args.get("sourceDatacenter").cloned() {
            source.set("datacenter", datacenter);
        }
        let (datastore, path, _) = self.free_disk_at(&source)?;
        self.copy_disk(args)?;
        self.drop_disk(&datastore, &path);
        Ok(None)
    }

    fn drop_disk(&mut self, datastore: &MoRef, path: &str) {
        if let Some(Item::Datastore(store)) = self.inventory.get_mut(datastore) {
            store.remove_disk(path);
        }
    }

    /// `DeleteVirtualDisk_Task`: the descriptor and the data.
    pub(super) fn delete_disk(&mut self, args: &Object) -> Outcome {
        let (datastore, path, _) = self.free_disk_at(args)?;
        self.drop_disk(&datastore, &path);
        Ok(None)
    }

    /// Changes the data and the descriptor of a disk that no machine owns.
    fn change_disk(
        &mut self,
        args: &Object,
        change: impl FnOnce(&mut NewDisk, FileContent) -> FileContent,
    ) -> Outcome {
        let (datastore, path, disk) = self.free_disk_at(args)?;
        let old = self.data_of(&datastore, &path, &disk)?;
        let mut new = NewDisk {
            capacity_kib: disk.capacity_kib,
            thin: disk.thin,
            adapter: adapter_word(disk.adapter.as_deref()),
        };
        let taken = old.allocated();
        let content = change(&mut new, old);
        let now = self.now;
        if let Some(Item::Datastore(store)) = self.inventory.get_mut(&datastore) {
            let more = content.allocated().saturating_sub(taken);
            if i64::try_from(more).map_or(true, |more| more > store.free) {
                return Err(no_space(store));
            }
            store.put(data_name(&path, false), content, now);
            store.put(path.clone(), new.descriptor(&path, &disk.uuid), now);
        }
        Ok(None)
    }

    /// `ZeroFillVirtualDisk_Task`: all of it is zero, and allocated.
    pub(super) fn zero_fill_disk(&mut self, args: &Object) -> Outcome {
        self.change_disk(args, |disk, old| {
            disk.thin = false;
            FileContent::hole(old.size()).preallocated()
        })
    }

    /// `InflateVirtualDisk_Task` and `EagerZeroVirtualDisk_Task`: what is not there yet is allocated.
    pub(super) fn inflate_disk(&mut self, args: &Object) -> Outcome {
        self.change_disk(args, |disk, old| {
            disk.thin = false;
            old.preallocated()
        })
    }

    /// `ExtendVirtualDisk_Task`.
    pub(super) fn extend_disk(&mut self, args: &Object) -> Outcome {
        let (datastore, path, disk) = self.disk_at(args, "name", "datacenter")?;
        let wanted = args.get("newCapacityKb").and_then(Value::as_i64).unwrap_or(0);
        if wanted <= disk.capacity_kib || wanted > 62 << 30 {
            return Err(Fault::invalid_argument("newCapacityKb"));
        }
        if self.extend_machine_disk(&datastore, &path, wanted) {
            return Ok(None);
        }
        let eager = args.get("eagerZero").and_then(Value::as_bool).unwrap_or(false);
        self.change_disk(args, |disk, mut content| {
            disk.capacity_kib = wanted;
            content.resize(wanted.unsigned_abs() * 1024);
            if eager { content.preallocated() } else { content }
        })
    }

    /// Extends the disk of a machine that is off and has no snapshots of it. Returns whether it did.
    fn extend_machine_disk(&mut self, datastore: &MoRef, path: &str, capacity_kib: i64) -> bool {
        let found = self.inventory.machines().find_map(|machine| {
            let index = machine.disks.iter().position(|disk| {
                let (store, own) = machine.file_place(&disk.file);
                store == datastore && own == path && disk.parents.is_empty()
            })?;
            let off = machine.power == super::PowerState::PoweredOff;
            (off && matches!(machine.disks[index].file, FileRef::Own(_)))
                .then(|| (machine.moref.clone(), index))
        });
        let Some((moref, index)) = found else { return false };
        match self.inventory.machine_mut(&moref).and_then(|machine| machine.disks.get_mut(index)) {
            Some(disk) => {
                disk.capacity_kib = capacity_kib;
                true
            }
            None => false,
        }
    }

    /// `QueryVirtualDiskUuid`.
    pub(super) fn query_disk_uuid(&self, args: &Object) -> Result<Answer, Fault> {
        let (_, _, disk) = self.disk_at(args, "name", "datacenter")?;
        if disk.uuid.is_empty() {
            return Err(Fault::new("InvalidDiskFormat", "The disk has no UUID."));
        }
        Ok(Answer::Result(Some(disk.uuid.as_str().into())))
    }

    /// `SetVirtualDiskUuid`.
    pub(super) fn set_disk_uuid(&mut self, args: &Object) -> Result<Answer, Fault> {
        let (datastore, path, disk) = self.free_disk_at(args)?;
        let uuid = args.str("uuid").unwrap_or_default();
        let old = format!("ddb.uuid = \"{}\"", disk.uuid);
        let text = disk.text().replace(&old, &format!("ddb.uuid = \"{uuid}\""));
        let now = self.now;
        if let Some(Item::Datastore(store)) = self.inventory.get_mut(&datastore) {
            store.put(path, text.into_bytes(), now);
        }
        self.changed(true);
        Ok(Answer::Result(None))
    }
}

/// A descriptor's word for the adapter that a new descriptor can say.
fn adapter_word(adapter: Option<&str>) -> &'static str {
    match adapter.unwrap_or_default() {
        "buslogic" => "buslogic",
        "ide" => "ide",
        "pvscsi" => "pvscsi",
        "lsisas1068" => "lsisas1068",
        _ => "lsilogic",
    }
}
