//! The VMX file of a machine, as ESXi writes it: keys in its order, quoted values, UTF-8.

use std::fmt::Write as _;

use esx_escape::{percent_pipe, pipe};
use uuid::Uuid;

use super::{
    Allocation, Controller, ControllerModel, FileRef, Firmware, Floppy, MacKind, Machine, Medium,
    Nic, NicModel, Parallel, ParallelPort, PowerState, Serial, SerialPort, Shares, mac_text,
};
use crate::model::inventory::Inventory;

impl Machine {
    /// The text of the VMX file.
    pub(crate) fn vmx(&self, inventory: &Inventory) -> String {
        let mut vmx = Text(String::with_capacity(2048));
        let stem = self.stem();
        vmx.raw(".encoding", "UTF-8");
        vmx.raw("config.version", "8");
        vmx.number("virtualHW.version", self.hardware_version);
        vmx.raw("nvram", &format!("{stem}.nvram"));
        for (bridge, functions) in [(0, 1), (4, 8), (5, 8), (6, 8), (7, 8)] {
            vmx.flag(&format!("pciBridge{bridge}.present"), true);
            if functions > 1 {
                vmx.raw(&format!("pciBridge{bridge}.virtualDev"), "pcieRootPort");
                vmx.number(&format!("pciBridge{bridge}.functions"), functions);
            }
        }
        vmx.flag("vmci0.present", true);
        vmx.flag("hpet0.present", true);
        vmx.raw("displayName", &percent_pipe::escape(&self.name));
        vmx.raw("extendedConfigFile", &format!("{stem}.vmxf"));
        if let Firmware::Efi { secure_boot } = self.firmware {
            vmx.raw("firmware", "efi");
            if secure_boot {
                vmx.flag("uefi.secureBoot.enabled", true);
            }
        }
        if self.vtpm {
            vmx.flag("vtpm.present", true);
        }
        // A machine has one unless the file says that it has none.
        if self.floppies.iter().all(|drive| drive.number != 0) {
            vmx.flag("floppy0.present", false);
        }
        for drive in &self.floppies {
            vmx.floppy(drive, inventory);
        }
        if self.cpus > 1 {
            vmx.number("numvcpus", self.cpus);
        }
        if self.cores_per_socket > 1 {
            vmx.number("cpuid.coresPerSocket", self.cores_per_socket);
        }
        vmx.number("memSize", self.memory_mib);
        vmx.allocation("cpu", &self.cpu);
        vmx.allocation("mem", &self.memory);
        for (key, value) in [
            ("vcpu.hotadd", self.cpu_hot_add),
            ("vcpu.hotremove", self.cpu_hot_remove),
            ("mem.hotadd", self.memory_hot_add),
            ("vhv.enable", self.nested_hv),
            ("bios.forceSetupOnce", self.boot.enter_setup),
            ("bios.bootRetry.enabled", self.boot.retry),
        ] {
            if value {
                vmx.flag(key, true);
            }
        }
        if self.boot.delay_ms != 0 {
            vmx.number("bios.bootDelay", self.boot.delay_ms);
        }
        if self.boot.retry_delay_ms != 10_000 {
            vmx.number("bios.bootRetry.delay", self.boot.retry_delay_ms / 1000);
        }
        self.controllers.iter().for_each(|controller| vmx.controller(controller));
        self.drives(inventory, &mut vmx);
        for nic in &self.nics {
            vmx.nic(nic, inventory);
        }
        for port in &self.serials {
            vmx.serial(port, inventory);
        }
        for port in &self.parallels {
            vmx.parallel(port, inventory);
        }
        vmx.raw("guestOS", &self.os.vmx);
        if !self.annotation.is_empty() {
            // Line ends are escaped like the quote: a value has one line.
            let annotation = pipe::escape(&self.annotation).replace('\n', "|0A");
            vmx.raw("annotation", &annotation);
        }
        vmx.raw("uuid.bios", &uuid_text(self.bios_uuid));
        vmx.raw("uuid.location", &uuid_text(self.location.unwrap_or(self.bios_uuid)));
        vmx.raw("vc.uuid", &uuid_text(self.instance_uuid));
        if self.power == PowerState::Suspended {
            vmx.raw("checkpoint.vmState", &format!("{stem}.vmss"));
        }
        vmx.flag("cleanShutdown", self.power != PowerState::PoweredOn);
        vmx.number("svga.vramSize", 16_777_216);
        vmx.flag("tools.syncTime", self.sync_time);
        for (key, value) in &self.extra {
            vmx.raw(key, &pipe::escape(value).replace('\n', "|0A"));
        }
        vmx.0
    }

    fn drives(&self, inventory: &Inventory, vmx: &mut Text) {
        for disk in &self.disks {
            let address = disk.address;
            let key = format!("{}{}:{}", address.bus.vmx(), address.controller, address.unit);
            match address.bus {
                super::Bus::Scsi => vmx.raw(&format!("{key}.deviceType"), "scsi-hardDisk"),
                super::Bus::Ide => vmx.raw(&format!("{key}.deviceType"), "ata-hardDisk"),
                super::Bus::Sata | super::Bus::Nvme => {}
            }
            vmx.raw(&format!("{key}.fileName"), &file_name(inventory, &disk.file));
            if disk.mode != "persistent" {
                vmx.raw(&format!("{key}.mode"), &disk.mode.replace('_', "-"));
            }
            vmx.flag(&format!("{key}.present"), true);
        }
        for drive in &self.cdroms {
            let address = drive.address;
            let key = format!("{}{}:{}", address.bus.vmx(), address.controller, address.unit);
            match &drive.medium {
                Medium::Iso(file) => {
                    vmx.raw(&format!("{key}.deviceType"), "cdrom-image");
                    vmx.raw(&format!("{key}.fileName"), &file_name(inventory, file));
                }
                Medium::Client => {
                    vmx.raw(&format!("{key}.deviceType"), "cdrom-raw");
                    vmx.flag(&format!("{key}.clientDevice"), true);
                    vmx.raw(&format!("{key}.fileName"), "emptyBackingString");
                    vmx.flag(&format!("{key}.startConnected"), false);
                }
                Medium::HostDrive(name) => {
                    vmx.raw(&format!("{key}.deviceType"), "atapi-cdrom");
                    vmx.host_drive(&key, name);
                }
            }
            vmx.flag(&format!("{key}.present"), true);
        }
    }
}

/// The lines of the file.
struct Text(String);

impl Text {
    /// A value that needs no escapes, or has them already.
    fn raw(&mut self, key: &str, value: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{key} = \"{value}\"");
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.raw(key, if value { "TRUE" } else { "FALSE" });
    }

    fn number(&mut self, key: &str, value: impl Into<i64>) {
        self.raw(key, &value.into().to_string());
    }

    /// What differs from no reservation, no limit and normal shares.
    fn allocation(&mut self, of: &str, allocation: &Allocation) {
        if allocation.reservation != 0 {
            self.number(&format!("sched.{of}.min"), allocation.reservation);
        }
        if let Some(limit) = allocation.limit {
            self.number(&format!("sched.{of}.max"), limit);
        }
        let shares = match allocation.shares {
            Shares::Normal => return,
            Shares::Low => "low".to_owned(),
            Shares::High => "high".to_owned(),
            Shares::Custom(number) => number.to_string(),
        };
        self.raw(&format!("sched.{of}.shares"), &shares);
    }

    fn controller(&mut self, controller: &Controller) {
        let key = format!("{}{}", controller.model.bus().vmx(), controller.number);
        match controller.model {
            ControllerModel::LsiLogic => self.raw(&format!("{key}.virtualDev"), "lsilogic"),
            ControllerModel::LsiLogicSas => self.raw(&format!("{key}.virtualDev"), "lsisas1068"),
            ControllerModel::BusLogic => self.raw(&format!("{key}.virtualDev"), "buslogic"),
            ControllerModel::ParaVirtual => self.raw(&format!("{key}.virtualDev"), "pvscsi"),
            ControllerModel::Sata | ControllerModel::Nvme => {}
        }
        self.number(&format!("{key}.pciSlotNumber"), controller.pci_slot);
        self.flag(&format!("{key}.present"), true);
    }

    fn nic(&mut self, nic: &Nic, inventory: &Inventory) {
        let index = usize::from(nic.number);
        let key = format!("ethernet{index}");
        let model = match nic.model {
            NicModel::E1000 => "e1000",
            NicModel::E1000e => "e1000e",
            NicModel::Vmxnet3 => "vmxnet3",
        };
        self.raw(&format!("{key}.virtualDev"), model);
        if let Some(network) = inventory.network(&nic.network) {
            match &network.switch {
                Some(switch) => {
                    self.raw(&format!("{key}.dvs.switchId"), &uuid_text(switch.uuid));
                    self.raw(&format!("{key}.dvs.portId"), &(100 + index).to_string());
                    self.raw(&format!("{key}.dvs.portgroupId"), &network.moref.value);
                    self.raw(&format!("{key}.dvs.connectionId"), "1815291547");
                }
                None => self.raw(&format!("{key}.networkName"), &network.name),
            }
        }
        let mac = mac_text(nic.mac);
        match nic.mac_kind {
            MacKind::Generated => {
                self.raw(&format!("{key}.addressType"), "generated");
                self.raw(&format!("{key}.generatedAddress"), &mac);
                self.raw(&format!("{key}.generatedAddressOffset"), &(index * 10).to_string());
            }
            MacKind::Vpx => {
                self.raw(&format!("{key}.addressType"), "vpx");
                self.raw(&format!("{key}.generatedAddress"), &mac);
            }
            MacKind::Static => {
                self.raw(&format!("{key}.addressType"), "static");
                self.raw(&format!("{key}.address"), &mac);
            }
        }
        self.number(&format!("{key}.pciSlotNumber"), nic.pci_slot);
        if !nic.connected {
            self.flag(&format!("{key}.startConnected"), false);
        }
        self.flag(&format!("{key}.present"), true);
    }

    fn serial(&mut self, port: &SerialPort, inventory: &Inventory) {
        let key = format!("serial{}", port.number);
        match &port.backing {
            Serial::File(file) => {
                self.raw(&format!("{key}.fileType"), "file");
                self.raw(&format!("{key}.fileName"), &file_name(inventory, file));
            }
            Serial::Network { uri, server, proxy } => {
                self.raw(&format!("{key}.fileType"), "network");
                self.raw(&format!("{key}.fileName"), uri);
                self.raw(
                    &format!("{key}.network.endPoint"),
                    if *server { "server" } else { "client" },
                );
                if let Some(proxy) = proxy {
                    self.raw(&format!("{key}.vspc"), proxy);
                }
            }
            Serial::Pipe { name, server } => {
                self.raw(&format!("{key}.fileType"), "pipe");
                self.raw(&format!("{key}.fileName"), name);
                self.raw(
                    &format!("{key}.pipe.endPoint"),
                    if *server { "server" } else { "client" },
                );
            }
            Serial::Device(name) => {
                self.raw(&format!("{key}.fileType"), "device");
                self.raw(&format!("{key}.fileName"), name);
            }
        }
        self.flag(&format!("{key}.yieldOnMsrRead"), true);
        self.flag(&format!("{key}.present"), true);
    }

    fn parallel(&mut self, port: &ParallelPort, inventory: &Inventory) {
        let key = format!("parallel{}", port.number);
        match &port.backing {
            Parallel::File(file) => {
                self.raw(&format!("{key}.fileType"), "file");
                self.raw(&format!("{key}.fileName"), &file_name(inventory, file));
            }
            Parallel::Device(name) => {
                self.raw(&format!("{key}.fileType"), "device");
                self.raw(&format!("{key}.fileName"), name);
            }
        }
        self.flag(&format!("{key}.present"), true);
    }

    fn floppy(&mut self, drive: &Floppy, inventory: &Inventory) {
        let key = format!("floppy{}", drive.number);
        match &drive.medium {
            Medium::Iso(file) => {
                self.raw(&format!("{key}.fileType"), "file");
                self.raw(&format!("{key}.fileName"), &file_name(inventory, file));
            }
            Medium::Client => {
                self.flag(&format!("{key}.clientDevice"), true);
                self.flag(&format!("{key}.startConnected"), false);
            }
            Medium::HostDrive(name) => {
                self.raw(&format!("{key}.fileType"), "device");
                self.host_drive(&key, name);
            }
        }
        self.flag(&format!("{key}.present"), true);
    }

    /// A drive of the host's, by name or found by itself.
    fn host_drive(&mut self, key: &str, name: &str) {
        if name.is_empty() {
            self.flag(&format!("{key}.autodetect"), true);
            self.raw(&format!("{key}.fileName"), "auto detect");
            self.flag(&format!("{key}.startConnected"), false);
        } else {
            self.raw(&format!("{key}.fileName"), name);
        }
    }
}

/// A file's name inside a VMX file: relative to it, or absolute below `/vmfs/volumes`.
fn file_name(inventory: &Inventory, file: &FileRef) -> String {
    match file {
        FileRef::Own(name) => name.clone(),
        FileRef::On { datastore, path } => match inventory.datastore(datastore) {
            Some(datastore) => format!("{}/{path}", datastore.mount_path()),
            None => path.clone(),
        },
    }
}

/// `56 4d 8c 1a 3b 2e 9f 40-7c 11 ...`: VMware's way of writing a UUID.
pub(crate) fn uuid_text(uuid: Uuid) -> String {
    let bytes = uuid.as_bytes();
    let half =
        |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    format!("{}-{}", half(&bytes[..8]), half(&bytes[8..]))
}
