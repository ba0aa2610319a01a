//! The built-in machines: each shows something that clients get wrong.

use std::sync::Arc;

use esx_vi_api::MoRef;

use super::inventory::Preset;
use super::machine::{
    Address, Bus, Cdrom, Controller, ControllerModel, Disk, FileRef, Firmware, MacKind, Machine,
    Medium, Nic, NicModel, OTHER_32, PowerState, Serial, SerialPort, Snapshot, WINDOWS,
};
use super::preset::{Sites, machine_moref};
use super::time::Timestamp;

/// Generated machines have greater numbers than this one.
pub(super) const FIRST_GENERATED: u32 = 1000;
/// Snapshots that clients take have this number or a greater one.
pub(super) const FIRST_SNAPSHOT: u32 = 101;

struct Maker<'a> {
    preset: Preset,
    sites: &'a Sites,
    next_id: u32,
    next_snapshot: u32,
}

/// All built-in machines.
pub(super) fn machines(preset: Preset, sites: &Sites) -> Vec<Machine> {
    // Below 10, a vCenter has machines that its datacenters made.
    let first = if preset == Preset::Esx { 1 } else { 10 };
    let mut maker = Maker { preset, sites, next_id: first, next_snapshot: 1 };
    vec![
        maker.web(),
        maker.database(),
        maker.many_disks(),
        maker.secure(),
        maker.console(),
        maker.named("100% of a/b\\c", PowerState::PoweredOff),
        maker.named("pipe | \"quoted\"", PowerState::PoweredOn),
        maker.named("C++ build +1", PowerState::PoweredOff),
        maker.named("Größe 東京", PowerState::PoweredOn),
        maker.twin("twin-a", PowerState::PoweredOn),
        maker.twin("twin-b", PowerState::PoweredOff),
        maker.lost(),
        maker.template(),
    ]
}

impl Maker<'_> {
    fn named(&mut self, name: &str, power: PowerState) -> Machine {
        let id = self.next_id;
        self.next_id += 1;
        let moref = machine_moref(self.preset, id);
        let place =
            Arc::clone(if id.is_multiple_of(2) { &self.sites.second } else { &self.sites.first });
        let mut machine = Machine::ordinary(moref, id, name, place, self.sites.network.clone());
        machine.power = power;
        machine
    }

    /// Runs, with snapshots three deep and two cards.
    fn web(&mut self) -> Machine {
        let mut machine = self.named("web01", PowerState::PoweredOn);
        machine.annotation = "Front end \"blue\"\nAsk the web team | before a restart.".to_owned();
        machine.cpus = 4;
        machine.cores_per_socket = 2;
        machine.memory_mib = 8192;
        set_chain(&mut machine, 3);
        machine.nics.push(Nic {
            number: 1,
            model: NicModel::E1000e,
            network: self.sites.other_network.clone(),
            mac: [0x00, 0x50, 0x56, 0x01, 0x02, 0x03],
            mac_kind: MacKind::Static,
            pci_slot: 224,
            connected: true,
        });
        let (on, off) = (PowerState::PoweredOn, PowerState::PoweredOff);
        let after = self.snapshot(&machine, 2, "after update 2/3", on, Vec::new());
        let mut failed = self.snapshot(&machine, 2, "failed try", off, Vec::new());
        // Its own branch.
        failed.saved.disks[0].file = FileRef::Own("web01-000004.vmdk".to_owned());
        let before = self.snapshot(&machine, 1, "before update", on, vec![after, failed]);
        let fresh = self.snapshot(&machine, 0, "fresh install", off, vec![before]);
        machine.snapshots = vec![fresh];
        machine.current_snapshot = Some(1);
        machine
    }

    fn snapshot(
        &mut self,
        machine: &Machine,
        depth: usize,
        name: &str,
        power: PowerState,
        children: Vec<Snapshot>,
    ) -> Snapshot {
        let mut saved = Box::new(machine.clone());
        set_chain(&mut saved, depth);
        saved.power = power;
        let id = self.next_snapshot;
        self.next_snapshot += 1;
        let value = match self.preset {
            Preset::Esx => format!("{}-snapshot-{id}", machine.moref.value),
            Preset::VCenter => format!("snapshot-{}", 500 + id),
        };
        Snapshot {
            id,
            moref: MoRef::new("VirtualMachineSnapshot", value),
            name: name.to_owned(),
            description: format!("Taken for a test: {name}"),
            // A child is made, and numbered, before its parent here; the parent is older.
            created: Timestamp::from_secs(1_720_000_000 - u64::from(id) * 86_400),
            power,
            quiesced: power == PowerState::PoweredOff,
            saved,
            children,
        }
    }

    /// Suspended, 32-bit, with a memory limit.
    fn database(&mut self) -> Machine {
        let mut machine = self.named("db01", PowerState::Suspended);
        machine.os = OTHER_32;
        machine.hardware_version = 13;
        machine.memory_mib = 4096;
        machine.memory.limit = Some(3072);
        machine.controllers =
            vec![Controller { model: ControllerModel::LsiLogic, number: 0, pci_slot: 16 }];
        machine.nics[0].model = NicModel::E1000;
        machine.nics[0].pci_slot = 32;
        machine.cdroms = vec![Cdrom {
            address: Address { bus: Bus::Ide, controller: 1, unit: 0 },
            medium: Medium::HostDrive(String::new()),
        }];
        machine
    }

    /// Every kind of controller, disks on two datastores, media of every kind.
    fn many_disks(&mut self) -> Machine {
        let mut machine = self.named("storage01", PowerState::PoweredOff);
        machine.controllers = vec![
            Controller { model: ControllerModel::LsiLogicSas, number: 0, pci_slot: 160 },
            Controller { model: ControllerModel::ParaVirtual, number: 1, pci_slot: 224 },
            Controller { model: ControllerModel::LsiLogic, number: 2, pci_slot: 37 },
            Controller { model: ControllerModel::BusLogic, number: 3, pci_slot: 38 },
            Controller { model: ControllerModel::Sata, number: 0, pci_slot: 33 },
            Controller { model: ControllerModel::Nvme, number: 0, pci_slot: 256 },
        ];
        let own = |suffix: &str| FileRef::Own(format!("storage01{suffix}.vmdk"));
        let elsewhere = FileRef::On {
            datastore: self.sites.odd_datastore.clone(),
            path: "storage01 data/storage01_9.vmdk".to_owned(),
        };
        let disk = |bus, controller, unit, file, gib: i64, mode| Disk {
            address: Address { bus, controller, unit },
            file,
            parents: Vec::new(),
            capacity_kib: gib << 20,
            thin: gib < 100,
            mode,
        };
        machine.disks = vec![
            disk(Bus::Scsi, 0, 0, own(""), 16, "persistent"),
            disk(Bus::Scsi, 0, 1, own("_1"), 200, "independent_persistent"),
            disk(Bus::Scsi, 0, 8, own("_2"), 1, "independent_nonpersistent"),
            disk(Bus::Scsi, 1, 0, own("_3"), 500, "persistent"),
            disk(Bus::Scsi, 1, 15, elsewhere, 1024, "persistent"),
            disk(Bus::Scsi, 2, 3, own("_4"), 8, "persistent"),
            disk(Bus::Sata, 0, 0, own("_5"), 4, "persistent"),
            disk(Bus::Nvme, 0, 0, own("_6"), 64, "persistent"),
            disk(Bus::Ide, 0, 0, own("_7"), 2, "persistent"),
        ];
        let iso = FileRef::On {
            datastore: self.sites.odd_datastore.clone(),
            path: "iso/debian-12.iso".to_owned(),
        };
        machine.cdroms = vec![
            Cdrom {
                address: Address { bus: Bus::Sata, controller: 0, unit: 1 },
                medium: Medium::Iso(iso),
            },
            Cdrom {
                address: Address { bus: Bus::Ide, controller: 1, unit: 0 },
                medium: Medium::Client,
            },
        ];
        machine
    }

    /// EFI, secure boot, TPM, an NVMe disk.
    fn secure(&mut self) -> Machine {
        let mut machine = self.named("secure-win", PowerState::PoweredOn);
        machine.os = WINDOWS;
        machine.firmware = Firmware::Efi { secure_boot: true };
        machine.vtpm = true;
        machine.memory_mib = 16_384;
        machine.cpus = 8;
        machine.cores_per_socket = 8;
        machine.controllers = vec![
            Controller { model: ControllerModel::Nvme, number: 0, pci_slot: 224 },
            Controller { model: ControllerModel::Sata, number: 0, pci_slot: 33 },
        ];
        machine.disks[0].address = Address { bus: Bus::Nvme, controller: 0, unit: 0 };
        machine.cdroms = vec![Cdrom {
            address: Address { bus: Bus::Sata, controller: 0, unit: 0 },
            medium: Medium::Client,
        }];
        machine
    }

    /// A serial port into a file, and two on the network.
    fn console(&mut self) -> Machine {
        let mut machine = self.named("console01", PowerState::PoweredOff);
        let network = |uri: &str, server, proxy: Option<&str>| Serial::Network {
            uri: uri.to_owned(),
            server,
            proxy: proxy.map(str::to_owned),
        };
        let backings = [
            Serial::File(FileRef::Own("serial.log".to_owned())),
            network("telnet://0.0.0.0:13370", true, None),
            network("tcp://10.80.0.9:4000", false, None),
            network("tcp://console01:4001", false, Some("telnet://10.80.0.9:13371")),
        ];
        let port = |(number, backing)| SerialPort { number, backing };
        machine.serials = (0..).zip(backings).map(port).collect();
        machine
    }

    /// One of two machines that a copy gave one BIOS UUID.
    fn twin(&mut self, name: &str, power: PowerState) -> Machine {
        let mut machine = self.named(name, power);
        machine.bios_uuid = super::machine::uuid_for(900, 0);
        machine
    }

    /// A machine whose files the host cannot read: no `config`.
    fn lost(&mut self) -> Machine {
        let mut machine = self.named("lost", PowerState::PoweredOff);
        machine.accessible = false;
        machine
    }

    fn template(&mut self) -> Machine {
        let mut machine = self.named("debian-template", PowerState::PoweredOff);
        machine.template = true;
        machine
    }
}

/// Gives the first disk the files that it has after so many snapshots.
fn set_chain(machine: &mut Machine, depth: usize) {
    let stem = machine.stem().to_owned();
    let name = |number: usize| {
        let number = if number == 0 { String::new() } else { format!("-{number:06}") };
        FileRef::Own(format!("{stem}{number}.vmdk"))
    };
    machine.disks[0].parents = (0..depth).map(name).collect();
    machine.disks[0].file = name(depth);
}
