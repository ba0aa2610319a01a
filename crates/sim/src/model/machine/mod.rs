//! A virtual machine: one small record, from which its properties and its VMX file both follow.

mod config;
pub(super) mod device_change;
mod devices;
mod guest;
mod port_change;
mod properties;
pub(super) mod read;
pub(super) mod reconfigure;
pub(super) mod snapshots;
mod vmx;

use std::borrow::Cow;
use std::sync::Arc;

use esx_escape::{DatastorePath, datastore_item};
use esx_vi_api::MoRef;
use uuid::Uuid;

use super::inventory::Inventory;
use super::question::Question;
use super::time::Timestamp;

pub(crate) use self::properties::entity_default;
pub(crate) use self::vmx::uuid_text;

/// Where a machine lives. Machines that live in one place share one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) folder: MoRef,
    pub(crate) host: MoRef,
    pub(crate) pool: MoRef,
    pub(crate) datastore: MoRef,
}

/// Whether a machine runs (VI API `VirtualMachinePowerState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerState {
    /// Off.
    PoweredOff,
    /// Running.
    PoweredOn,
    /// Saved to a file.
    Suspended,
}

impl PowerState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::PoweredOff => "poweredOff",
            Self::PoweredOn => "poweredOn",
            Self::Suspended => "suspended",
        }
    }
}

/// An operating system, by its three names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GuestOs {
    /// VI API `guestId`.
    pub(crate) id: Cow<'static, str>,
    /// VMX key `guestOS`.
    pub(crate) vmx: Cow<'static, str>,
    /// The name for people.
    pub(crate) full: Cow<'static, str>,
}

const fn guest_os(id: &'static str, vmx: &'static str, full: &'static str) -> GuestOs {
    GuestOs { id: Cow::Borrowed(id), vmx: Cow::Borrowed(vmx), full: Cow::Borrowed(full) }
}

pub(crate) const DEBIAN: GuestOs =
    guest_os("debian12_64Guest", "debian12-64", "Debian GNU/Linux 12 (64-bit)");
pub(crate) const WINDOWS: GuestOs = guest_os(
    "windows2019srvNext_64Guest",
    "windows2019srvNext-64",
    "Microsoft Windows Server 2022 (64-bit)",
);
pub(crate) const OTHER_32: GuestOs =
    guest_os("otherLinuxGuest", "otherlinux", "Other Linux (32-bit)");

/// How many shares of a resource a machine has (VI API `SharesInfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shares {
    Low,
    Normal,
    High,
    Custom(i32),
}

/// What a machine may have of a resource, in MHz or MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allocation {
    pub(crate) reservation: i64,
    pub(crate) limit: Option<i64>,
    pub(crate) shares: Shares,
}

impl Allocation {
    const FREE: Self = Self { reservation: 0, limit: None, shares: Shares::Normal };
}

/// How the firmware starts (VI API `VirtualMachineBootOptions`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BootOptions {
    pub(crate) delay_ms: i64,
    pub(crate) enter_setup: bool,
    pub(crate) retry: bool,
    pub(crate) retry_delay_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Firmware {
    Bios,
    Efi { secure_boot: bool },
}

/// A controller that disks hang on. IDE controllers always exist and are not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Controller {
    pub(crate) model: ControllerModel,
    pub(crate) number: u8,
    pub(crate) pci_slot: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ControllerModel {
    LsiLogic,
    LsiLogicSas,
    BusLogic,
    ParaVirtual,
    Sata,
    Nvme,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bus {
    Scsi,
    Sata,
    Nvme,
    Ide,
}

impl ControllerModel {
    pub(crate) const fn bus(self) -> Bus {
        match self {
            Self::Sata => Bus::Sata,
            Self::Nvme => Bus::Nvme,
            _ => Bus::Scsi,
        }
    }
}

impl ControllerModel {
    /// Its class in the VI API, which leases name disks by.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::LsiLogic => "VirtualLsiLogicController",
            Self::LsiLogicSas => "VirtualLsiLogicSASController",
            Self::BusLogic => "VirtualBusLogicController",
            Self::ParaVirtual => "ParaVirtualSCSIController",
            Self::Sata => "VirtualAHCIController",
            Self::Nvme => "VirtualNVMEController",
        }
    }
}

impl Bus {
    /// The prefix of VMX keys.
    pub(crate) const fn vmx(self) -> &'static str {
        match self {
            Self::Scsi => "scsi",
            Self::Sata => "sata",
            Self::Nvme => "nvme",
            Self::Ide => "ide",
        }
    }
}

/// Where on a bus a disk or drive hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) bus: Bus,
    pub(crate) controller: u8,
    pub(crate) unit: u8,
}

/// A file: in the machine's directory, or anywhere on a datastore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileRef {
    Own(String),
    On { datastore: MoRef, path: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) address: Address,
    pub(crate) file: FileRef,
    /// The files that it builds on, the oldest first: one for each snapshot.
    pub(crate) parents: Vec<FileRef>,
    pub(crate) capacity_kib: i64,
    pub(crate) thin: bool,
    pub(crate) mode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cdrom {
    pub(crate) address: Address,
    pub(crate) medium: Medium,
}

/// What is in a CD-ROM or floppy drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Medium {
    Iso(FileRef),
    /// A drive of the client's; nothing is in it.
    Client,
    /// The host's drive; without a name the host looks for one.
    HostDrive(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Floppy {
    /// As in `floppy0`; it is also in the key.
    pub(crate) number: u8,
    pub(crate) medium: Medium,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nic {
    /// As in `ethernet0`; it is also in the key.
    pub(crate) number: u8,
    pub(crate) model: NicModel,
    pub(crate) network: MoRef,
    pub(crate) mac: [u8; 6],
    pub(crate) mac_kind: MacKind,
    pub(crate) pci_slot: u16,
    pub(crate) connected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NicModel {
    E1000,
    E1000e,
    Vmxnet3,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MacKind {
    /// Made by the host.
    Generated,
    /// Made by the vCenter.
    Vpx,
    Static,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SerialPort {
    /// As in `serial0`; it is also in the key.
    pub(crate) number: u8,
    pub(crate) backing: Serial,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Serial {
    File(FileRef),
    Network {
        uri: String,
        server: bool,
        proxy: Option<String>,
    },
    /// A named pipe of the host.
    Pipe {
        name: String,
        server: bool,
    },
    /// A port of the host.
    Device(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParallelPort {
    /// As in `parallel0`; it is also in the key.
    pub(crate) number: u8,
    pub(crate) backing: Parallel,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parallel {
    File(FileRef),
    Device(String),
}

/// A node of the snapshot tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) id: u32,
    pub(crate) moref: MoRef,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) created: Timestamp,
    pub(crate) power: PowerState,
    pub(crate) quiesced: bool,
    /// The machine as it was, without snapshots.
    pub(crate) saved: Box<Machine>,
    pub(crate) children: Vec<Self>,
}

impl Snapshot {
    /// This snapshot or the one below it that `found` accepts.
    pub(crate) fn find(&self, found: &impl Fn(&Self) -> bool) -> Option<&Self> {
        if found(self) {
            Some(self)
        } else {
            self.children.iter().find_map(|child| child.find(found))
        }
    }
}

impl Disk {
    /// All its files, the oldest first.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &FileRef> {
        self.parents.iter().chain([&self.file])
    }
}

/// A virtual machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Machine {
    pub(crate) moref: MoRef,
    /// The number in the reference; it also seeds what should differ between machines.
    pub(crate) id: u32,
    /// The plain name, without escapes.
    pub(crate) name: String,
    pub(crate) place: Arc<Placement>,
    pub(crate) bios_uuid: Uuid,
    pub(crate) instance_uuid: Uuid,
    pub(crate) os: GuestOs,
    pub(crate) hardware_version: u8,
    pub(crate) firmware: Firmware,
    pub(crate) vtpm: bool,
    pub(crate) template: bool,
    pub(crate) annotation: String,
    pub(crate) memory_mib: i32,
    pub(crate) cpus: i32,
    pub(crate) cores_per_socket: i32,
    pub(crate) cpu: Allocation,
    pub(crate) memory: Allocation,
    pub(crate) cpu_hot_add: bool,
    pub(crate) cpu_hot_remove: bool,
    pub(crate) memory_hot_add: bool,
    pub(crate) boot: BootOptions,
    pub(crate) sync_time: bool,
    pub(crate) nested_hv: bool,
    /// Keys of the VMX file that nothing else here stands for.
    pub(crate) extra: Vec<(String, String)>,
    pub(crate) power: PowerState,
    /// When it was last switched on, suspended or reset, since the simulator runs.
    pub(crate) booted: Option<Timestamp>,
    /// Whether VMware Tools run when the machine does.
    pub(crate) tools: bool,
    /// The open questions; it asks the first.
    pub(crate) questions: Vec<Question>,
    /// `uuid.location`, where it differs from the BIOS UUID.
    pub(crate) location: Option<Uuid>,
    /// Its files are not where `uuid.location` says: it will ask.
    pub(crate) moved: bool,
    /// How often the configuration has changed since the simulator runs.
    pub(crate) revision: u32,
    /// The directory of its files, and the stem of their names: they stay when a machine is renamed.
    pub(crate) directory: String,
    pub(crate) file_stem: String,
    /// Whether the host can read the machine's files. If not, `config` is unset.
    pub(crate) accessible: bool,
    pub(crate) controllers: Vec<Controller>,
    pub(crate) disks: Vec<Disk>,
    pub(crate) cdroms: Vec<Cdrom>,
    pub(crate) floppies: Vec<Floppy>,
    pub(crate) nics: Vec<Nic>,
    pub(crate) serials: Vec<SerialPort>,
    pub(crate) parallels: Vec<ParallelPort>,
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) current_snapshot: Option<u32>,
}

impl Machine {
    /// An ordinary machine: one processor, one disk, one network card, switched off.
    pub(crate) fn ordinary(
        moref: MoRef,
        id: u32,
        name: &str,
        place: Arc<Placement>,
        network: MoRef,
    ) -> Self {
        let on_vcenter = moref.value.starts_with("vm-");
        let seed = uuid_for(id, 0).into_bytes();
        Self {
            moref,
            id,
            name: name.to_owned(),
            place,
            bios_uuid: uuid_for(id, 0),
            instance_uuid: uuid_for(id, 1),
            os: DEBIAN,
            hardware_version: 20,
            firmware: Firmware::Bios,
            vtpm: false,
            template: false,
            annotation: String::new(),
            memory_mib: 2048,
            cpus: 1,
            cores_per_socket: 1,
            cpu: Allocation::FREE,
            memory: Allocation::FREE,
            cpu_hot_add: false,
            cpu_hot_remove: false,
            memory_hot_add: false,
            boot: BootOptions {
                delay_ms: 0,
                enter_setup: false,
                retry: false,
                retry_delay_ms: 10_000,
            },
            sync_time: false,
            nested_hv: false,
            extra: Vec::new(),
            power: PowerState::PoweredOff,
            booted: None,
            tools: true,
            questions: Vec::new(),
            location: None,
            moved: false,
            revision: 0,
            directory: datastore_item::escape(name),
            file_stem: datastore_item::escape(name),
            accessible: true,
            controllers: vec![Controller {
                model: ControllerModel::ParaVirtual,
                number: 0,
                pci_slot: 160,
            }],
            disks: vec![Disk {
                address: Address { bus: Bus::Scsi, controller: 0, unit: 0 },
                file: FileRef::Own(format!("{}.vmdk", datastore_item::escape(name))),
                parents: Vec::new(),
                capacity_kib: 16 << 20,
                thin: true,
                mode: "persistent",
            }],
            cdroms: Vec::new(),
            floppies: Vec::new(),
            nics: vec![Nic {
                number: 0,
                model: NicModel::Vmxnet3,
                network,
                // The ranges of VMware's own addresses: one for hosts, one for vCenter.
                mac: if on_vcenter {
                    [0x00, 0x50, 0x56, 0x80 | (seed[0] & 0x3f), seed[1], seed[2]]
                } else {
                    [0x00, 0x0c, 0x29, seed[0], seed[1], seed[2]]
                },
                mac_kind: if on_vcenter { MacKind::Vpx } else { MacKind::Generated },
                pci_slot: 192,
                connected: true,
            }],
            serials: Vec::new(),
            parallels: Vec::new(),
            snapshots: Vec::new(),
            current_snapshot: None,
        }
    }

    /// The stem of the machine's file names.
    pub(crate) fn stem(&self) -> &str {
        &self.file_stem
    }

    /// The directory of the machine's files, relative to its datastore.
    pub(crate) fn directory(&self) -> &str {
        &self.directory
    }

    /// A path in the machine's directory.
    pub(crate) fn in_directory(&self, name: &str) -> String {
        if self.directory.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.directory)
        }
    }

    /// The configuration has changed.
    pub(crate) fn touch(&mut self) {
        self.revision = self.revision.saturating_add(1);
    }

    /// Another BIOS UUID, and other generated addresses: a copy is a machine of its own.
    pub(crate) fn renew_identity(&mut self) {
        let salt = 32 + u64::from(self.revision);
        let bios = uuid_for(self.id, salt);
        let mut bytes = bios.into_bytes();
        bytes[0] = 0x56;
        self.bios_uuid = Uuid::from_bytes(bytes);
        for nic in self.nics.iter_mut().filter(|nic| nic.mac_kind != MacKind::Static) {
            nic.mac[3..].copy_from_slice(&bytes[4..7]);
            nic.mac[5] = nic.mac[5].wrapping_add(nic.number);
            if nic.mac_kind == MacKind::Vpx {
                nic.mac[3] = 0x80 | (nic.mac[3] & 0x3f);
            }
        }
    }

    /// The path of the VMX file, relative to its datastore.
    pub(crate) fn vmx_path(&self) -> String {
        let suffix = if self.template { "vmtx" } else { "vmx" };
        self.in_directory(&format!("{}.{suffix}", self.stem()))
    }

    /// The datastore path of a file.
    pub(crate) fn datastore_path(&self, inventory: &Inventory, file: &FileRef) -> String {
        let (datastore, path) = self.file_place(file);
        match inventory.datastore(datastore) {
            Some(datastore) => DatastorePath::new(&datastore.name, &path)
                .map_or_else(|_| path.clone(), |path| path.to_string()),
            None => path,
        }
    }

    /// The datastore path of the VMX file.
    pub(crate) fn vmx_datastore_path(&self, inventory: &Inventory) -> String {
        let file = FileRef::On { datastore: self.place.datastore.clone(), path: self.vmx_path() };
        self.datastore_path(inventory, &file)
    }

    /// All files of its disks, those that only snapshots need included, with the disk that each belongs to.
    pub(crate) fn disk_files(&self) -> Vec<(&FileRef, &Disk)> {
        fn collect<'a>(snapshots: &'a [Snapshot], found: &mut Vec<(&'a FileRef, &'a Disk)>) {
            for snapshot in snapshots {
                collect_disks(&snapshot.saved.disks, found);
                collect(&snapshot.children, found);
            }
        }
        fn collect_disks<'a>(disks: &'a [Disk], found: &mut Vec<(&'a FileRef, &'a Disk)>) {
            for disk in disks {
                for file in disk.chain() {
                    if found.iter().all(|(other, _)| *other != file) {
                        found.push((file, disk));
                    }
                }
            }
        }
        let mut found = Vec::new();
        collect_disks(&self.disks, &mut found);
        collect(&self.snapshots, &mut found);
        found
    }

    /// The snapshot with this reference.
    pub(crate) fn snapshot(&self, moref: &MoRef) -> Option<&Snapshot> {
        self.snapshots.iter().find_map(|root| root.find(&|snapshot| snapshot.moref == *moref))
    }

    /// All datastores that hold files of the machine, its own first.
    pub(crate) fn datastores(&self) -> Vec<&MoRef> {
        let mut found = vec![&self.place.datastore];
        let media = self.cdroms.iter().filter_map(|drive| match &drive.medium {
            Medium::Iso(file) => Some(file),
            _ => None,
        });
        let files = self.disks.iter().flat_map(Disk::chain).chain(media);
        for file in files {
            if let FileRef::On { datastore, .. } = file
                && !found.contains(&datastore)
            {
                found.push(datastore);
            }
        }
        found
    }

    /// All networks that the machine has a card in.
    pub(crate) fn networks(&self) -> Vec<&MoRef> {
        let mut found = Vec::new();
        for nic in &self.nics {
            if !found.contains(&&nic.network) {
                found.push(&nic.network);
            }
        }
        found
    }

    /// The guest's host name, if it runs and tells.
    pub(crate) fn guest_host_name(&self) -> Option<String> {
        (self.power == PowerState::PoweredOn && self.accessible && self.tools).then(|| {
            let plain: String = self
                .name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
                .collect();
            format!("{}.sim.test", plain.trim_matches('-'))
        })
    }

    /// The guest's address, if it runs and tells. Ids up to 65 535 have addresses of their own.
    pub(crate) fn guest_ip(&self) -> Option<String> {
        let [.., high, low] = self.id.to_be_bytes();
        (self.power == PowerState::PoweredOn
            && self.accessible
            && self.tools
            && !self.nics.is_empty())
        .then(|| format!("10.80.{high}.{low}"))
    }
}

/// A UUID that is the same in every process: a mix of the machine's number and a salt.
pub(crate) fn uuid_for(id: u32, salt: u64) -> Uuid {
    let mut state = u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (salt << 56) ^ 0x564d;
    let mut next = || {
        // SplitMix64: every machine gets bytes that look unrelated to its neighbour's.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&next().to_be_bytes());
    bytes[8..].copy_from_slice(&next().to_be_bytes());
    // As VMware's own: 56 4d for a host's UUIDs, 50 for a vCenter's.
    bytes[0] = if salt == 0 { 0x56 } else { 0x52 };
    Uuid::from_bytes(bytes)
}

/// Reads a MAC address with colons or dashes.
pub(crate) fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut parts = text.split([':', '-']);
    let mut mac = [0; 6];
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

/// A MAC address as hosts write it.
pub(crate) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
