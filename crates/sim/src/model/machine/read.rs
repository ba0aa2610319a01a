//! A machine from its VMX file, as registering reads it.

use std::sync::Arc;

use esx_escape::{percent_pipe, pipe};
use esx_vi_api::MoRef;
use esx_vmx::{Document, Group};
use uuid::Uuid;

use super::{
    Address, Allocation, Bus, Cdrom, Controller, ControllerModel, Disk, FileRef, Firmware, Floppy,
    MacKind, Machine, Medium, Nic, NicModel, Parallel, ParallelPort, Placement, Serial, SerialPort,
    Shares, guest,
};
use crate::model::datastore::descriptor_capacity_kib;
use crate::model::fault::Fault;
use crate::model::inventory::Inventory;

/// Where a machine comes from.
pub(crate) struct Source<'a> {
    pub(crate) moref: MoRef,
    pub(crate) id: u32,
    pub(crate) place: Arc<Placement>,
    /// The path of the VMX file on the datastore of `place`.
    pub(crate) path: &'a str,
    pub(crate) content: &'a [u8],
}

impl Machine {
    /// Reads a VMX file. What it does not say has a host's defaults; what the model does not know is kept as it is.
    ///
    /// # Errors
    /// A fault if the file is no VMX file.
    pub(crate) fn read(source: Source<'_>, inventory: &Inventory) -> Result<Self, Fault> {
        let broken = |reason: String| {
            Fault::new("GenericVmConfigFault", reason.clone()).with("reason", reason.as_str())
        };
        let document =
            Document::parse(source.content).map_err(|error| broken(error.to_string()))?;
        if let Some(problem) = document.syntax_error() {
            return Err(broken(format!("{problem:?}")));
        }
        let (directory, file) = source.path.rsplit_once('/').unwrap_or(("", source.path));
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let mut machine =
            Self::ordinary(source.moref, source.id, stem, source.place, MoRef::default());
        machine.directory = directory.to_owned();
        machine.file_stem = stem.to_owned();
        machine.template = source.path.ends_with(".vmtx");
        machine.controllers.clear();
        machine.disks.clear();
        machine.nics.clear();
        let reader = Reader { document: &document, inventory };
        reader.facts(&mut machine);
        reader.devices(&mut machine);
        reader.keep_the_rest(&mut machine);
        Ok(machine)
    }

    /// What `uuid.location` of a VMX file says.
    pub(crate) fn location_in(content: &[u8]) -> Option<Uuid> {
        uuid(Document::parse(content).ok()?.get("uuid.location")?)
    }
}

struct Reader<'a> {
    document: &'a Document,
    inventory: &'a Inventory,
}

impl Reader<'_> {
    fn flag(&self, key: &str) -> bool {
        self.document.get_bool(key).ok().flatten().unwrap_or(false)
    }

    fn number(&self, key: &str) -> Option<i64> {
        self.document.get_integer(key).ok().flatten()
    }

    fn facts(&self, machine: &mut Machine) {
        let document = self.document;
        if let Some(name) = document.get("displayName") {
            machine.name =
                percent_pipe::unescape(name).map_or_else(|_| name.to_owned(), |n| n.into_owned());
        }
        if let Some(text) = document.get("annotation") {
            machine.annotation =
                pipe::unescape(text).map_or_else(|_| text.to_owned(), |text| text.into_owned());
        }
        machine.os = guest::from_vmx(document.get("guestOS").unwrap_or("other"));
        let small = |key, default: i32| {
            self.number(key)
                .and_then(|number| i32::try_from(number).ok())
                .filter(|number| *number > 0)
                .unwrap_or(default)
        };
        machine.memory_mib = small("memSize", 32);
        machine.cpus = small("numvcpus", 1);
        machine.cores_per_socket = small("cpuid.coresPerSocket", 1);
        machine.hardware_version =
            u8::try_from(small("virtualHW.version", 4)).unwrap_or(machine.hardware_version);
        machine.cpu = self.allocation("cpu");
        machine.memory = self.allocation("mem");
        machine.cpu_hot_add = self.flag("vcpu.hotadd");
        machine.cpu_hot_remove = self.flag("vcpu.hotremove");
        machine.memory_hot_add = self.flag("mem.hotadd");
        machine.nested_hv = self.flag("vhv.enable");
        machine.boot.enter_setup = self.flag("bios.forceSetupOnce");
        machine.boot.retry = self.flag("bios.bootRetry.enabled");
        machine.boot.delay_ms = self.number("bios.bootDelay").unwrap_or(0).max(0);
        machine.boot.retry_delay_ms =
            self.number("bios.bootRetry.delay").map_or(10_000, |s| s.clamp(0, 1 << 31) * 1000);
        machine.sync_time = self.flag("tools.syncTime");
        machine.vtpm = self.flag("vtpm.present");
        machine.firmware = match document.get("firmware") {
            Some(text) if text.eq_ignore_ascii_case("efi") => {
                Firmware::Efi { secure_boot: self.flag("uefi.secureBoot.enabled") }
            }
            _ => Firmware::Bios,
        };
        let of_file = |key| document.get(key).and_then(uuid);
        if let Some(uuid) = of_file("uuid.bios") {
            machine.bios_uuid = uuid;
        }
        if let Some(uuid) = of_file("vc.uuid") {
            machine.instance_uuid = uuid;
        }
    }

    fn allocation(&self, of: &str) -> Allocation {
        let number = |name| self.number(&format!("sched.{of}.{name}")).filter(|n| *n >= 0);
        let shares = self.document.get(&format!("sched.{of}.shares")).unwrap_or_default();
        Allocation {
            reservation: number("min").unwrap_or(0),
            limit: number("max"),
            shares: match shares.to_ascii_lowercase().as_str() {
                "low" => Shares::Low,
                "high" => Shares::High,
                text => text.parse().map_or(Shares::Normal, Shares::Custom),
            },
        }
    }

    fn devices(&self, machine: &mut Machine) {
        for (bus, controllers, units) in
            [(Bus::Scsi, 4, 16), (Bus::Sata, 4, 30), (Bus::Nvme, 4, 15), (Bus::Ide, 2, 2)]
        {
            for controller in 0..controllers {
                let prefix = format!("{}{controller}", bus.vmx());
                if bus != Bus::Ide {
                    if !self.flag(&format!("{prefix}.present")) {
                        continue;
                    }
                    let model = self.document.get(&format!("{prefix}.virtualDev"));
                    let slot = self.number(&format!("{prefix}.pciSlotNumber"));
                    machine.controllers.push(Controller {
                        model: controller_model(bus, model.unwrap_or_default()),
                        number: controller,
                        pci_slot: slot
                            .and_then(|s| u16::try_from(s).ok())
                            .unwrap_or_else(|| 160 + 32 * machine.controllers.len() as u16),
                    });
                }
                for unit in 0..units {
                    let prefix = format!("{prefix}:{unit}.");
                    let group = self.document.group(&prefix);
                    if group.get_bool("present").ok().flatten() == Some(true) {
                        self.drive(machine, &group, Address { bus, controller, unit });
                    }
                }
            }
        }
        for number in 0..10 {
            let prefix = format!("ethernet{number}.");
            let group = self.document.group(&prefix);
            if group.get_bool("present").ok().flatten() == Some(true) {
                self.nic(machine, &group, number);
            }
        }
        for number in 0..4 {
            let prefix = format!("serial{number}.");
            let group = self.document.group(&prefix);
            if group.get_bool("present").ok().flatten() == Some(true)
                && let Some(backing) = self.serial(machine, &group)
            {
                machine.serials.push(SerialPort { number, backing });
            }
        }
        for number in 0..3 {
            let prefix = format!("parallel{number}.");
            let group = self.document.group(&prefix);
            if group.get_bool("present").ok().flatten() == Some(true)
                && let Some(backing) = self.parallel(machine, &group)
            {
                machine.parallels.push(ParallelPort { number, backing });
            }
        }
        for number in 0..2 {
            let prefix = format!("floppy{number}.");
            let group = self.document.group(&prefix);
            if group.get_bool("present").ok().flatten() == Some(true) {
                let medium = self.floppy(machine, &group);
                machine.floppies.push(Floppy { number, medium });
            }
        }
    }

    fn drive(&self, machine: &mut Machine, group: &Group<'_>, address: Address) {
        let kind = group.get("deviceType").unwrap_or_default().to_ascii_lowercase();
        let name = group.get("fileName").unwrap_or_default();
        if kind.contains("cdrom") {
            let medium = match kind.as_str() {
                "cdrom-image" => Medium::Iso(self.file(machine, name)),
                _ if group.get_bool("clientDevice").ok().flatten() == Some(true) => Medium::Client,
                _ => Medium::HostDrive(host_drive(name)),
            };
            machine.cdroms.push(Cdrom { address, medium });
        } else if !name.is_empty() {
            let file = self.file(machine, name);
            let content = machine.file_content(&file, self.inventory);
            let capacity_kib = content.as_deref().and_then(descriptor_capacity_kib).unwrap_or(0);
            let text = content.map(|c| String::from_utf8_lossy(&c).into_owned());
            let mode = group.get("mode").map(|mode| mode.replace('-', "_"));
            machine.disks.push(Disk {
                address,
                file,
                parents: Vec::new(),
                capacity_kib,
                thin: text.is_some_and(|text| text.contains("ddb.thinProvisioned")),
                mode: mode
                    .and_then(|mode| super::device_change::disk_mode(&mode))
                    .unwrap_or("persistent"),
            });
        }
    }

    fn nic(&self, machine: &mut Machine, group: &Group<'_>, number: u8) {
        let host = self.inventory.host(&machine.place.host);
        let networks = host.map_or(&[][..], |host| &host.networks);
        let portgroup = group.get("dvs.portgroupId");
        let network = networks
            .iter()
            .find(|moref| match portgroup {
                Some(key) => moref.value == key,
                None => {
                    let name = self.inventory.network(moref).map(|network| network.name.as_str());
                    name.is_some() && name == group.get("networkName")
                }
            })
            .cloned();
        let mac = |key| group.get(key).and_then(super::parse_mac);
        let (mac, mac_kind) = match (group.get("addressType"), mac("address")) {
            (Some("static"), Some(mac)) => (mac, MacKind::Static),
            (Some("vpx"), _) if mac("generatedAddress").is_some() => {
                (mac("generatedAddress").unwrap_or_default(), MacKind::Vpx)
            }
            _ => match mac("generatedAddress") {
                Some(mac) => (mac, MacKind::Generated),
                None => machine.new_mac(number),
            },
        };
        let slot = group.get_integer("pciSlotNumber").ok().flatten();
        machine.nics.push(Nic {
            number,
            model: match group.get("virtualDev") {
                Some("e1000") => NicModel::E1000,
                Some("e1000e") => NicModel::E1000e,
                Some("vmxnet3") => NicModel::Vmxnet3,
                // A host chooses by the guest.
                _ => NicModel::E1000,
            },
            network: network.unwrap_or_default(),
            mac,
            mac_kind,
            pci_slot: slot
                .and_then(|slot| u16::try_from(slot).ok())
                .unwrap_or(192 + 32 * u16::from(number)),
            connected: group.get_bool("startConnected").ok().flatten() != Some(false),
        });
    }

    fn serial(&self, machine: &Machine, group: &Group<'_>) -> Option<Serial> {
        let name = group.get("fileName")?;
        match group.get("fileType")? {
            "file" => Some(Serial::File(self.file(machine, name))),
            "network" => Some(Serial::Network {
                uri: name.to_owned(),
                server: group.get("network.endPoint") == Some("server"),
                proxy: group.get("vspc").map(str::to_owned),
            }),
            "pipe" => Some(Serial::Pipe {
                name: name.to_owned(),
                server: group.get("pipe.endPoint") == Some("server"),
            }),
            "device" => Some(Serial::Device(name.to_owned())),
            _ => None,
        }
    }

    fn parallel(&self, machine: &Machine, group: &Group<'_>) -> Option<Parallel> {
        let name = group.get("fileName")?;
        match group.get("fileType")? {
            "file" => Some(Parallel::File(self.file(machine, name))),
            "device" => Some(Parallel::Device(name.to_owned())),
            _ => None,
        }
    }

    fn floppy(&self, machine: &Machine, group: &Group<'_>) -> Medium {
        match (group.get("fileType"), group.get("fileName")) {
            (Some("file"), Some(name)) => Medium::Iso(self.file(machine, name)),
            (Some("device"), Some(name)) => Medium::HostDrive(host_drive(name)),
            _ => Medium::Client,
        }
    }

    /// A file by its name inside a VMX file.
    fn file(&self, machine: &Machine, name: &str) -> FileRef {
        let absolute = name.strip_prefix("/vmfs/volumes/").and_then(|rest| rest.split_once('/'));
        let found = absolute.and_then(|(volume, path)| {
            let host = self.inventory.host(&machine.place.host)?;
            let datastore = host.datastores.iter().find(|moref| {
                self.inventory
                    .datastore(moref)
                    .is_some_and(|store| store.volume == volume || store.name == volume)
            })?;
            Some(machine.file_ref(datastore, path))
        });
        found.unwrap_or_else(|| FileRef::Own(name.to_owned()))
    }

    /// Keys that would be lost when the file is written anew.
    fn keep_the_rest(&self, machine: &mut Machine) {
        let written = machine.vmx(self.inventory);
        let written: Vec<&str> =
            written.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key).collect();
        for entry in self.document.entries() {
            let known = written.iter().any(|key| key.eq_ignore_ascii_case(entry.key));
            if !known && !DERIVED.iter().any(|key| key.eq_ignore_ascii_case(entry.key)) {
                let value = pipe::unescape(entry.value)
                    .map_or_else(|_| entry.value.to_owned(), |value| value.into_owned());
                machine.extra.push((entry.key.to_owned(), value));
            }
        }
    }
}

/// Keys that are not written where their value is the default.
const DERIVED: &[&str] = &[
    "numvcpus",
    "cpuid.coresPerSocket",
    "sched.cpu.min",
    "sched.cpu.max",
    "sched.cpu.shares",
    "sched.mem.min",
    "sched.mem.max",
    "sched.mem.shares",
    "annotation",
    "checkpoint.vmState",
    "firmware",
];

/// The name of a host's drive; none if the host looks for one.
fn host_drive(name: &str) -> String {
    if name.eq_ignore_ascii_case("auto detect") { String::new() } else { name.to_owned() }
}

fn controller_model(bus: Bus, name: &str) -> ControllerModel {
    match (bus, name.to_ascii_lowercase().as_str()) {
        (Bus::Sata, _) => ControllerModel::Sata,
        (Bus::Nvme, _) => ControllerModel::Nvme,
        (_, "lsisas1068") => ControllerModel::LsiLogicSas,
        (_, "pvscsi") => ControllerModel::ParaVirtual,
        (_, "buslogic") => ControllerModel::BusLogic,
        _ => ControllerModel::LsiLogic,
    }
}

fn uuid(text: &str) -> Option<Uuid> {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    Uuid::try_parse(&digits).ok()
}
