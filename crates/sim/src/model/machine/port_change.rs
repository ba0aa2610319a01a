//! Adding, editing and removing what hangs on the SIO controller: serial and parallel ports, floppy drives.

use super::device_change::{Change, Operation, file_fault};
use super::{Floppy, Machine, Medium, Parallel, ParallelPort, Serial, SerialPort};
use crate::model::fault::Fault;
use crate::model::inventory::Inventory;

/// A host of hardware version 11 and later has 32 serial ports, older ones four.
const SERIAL_PORTS: (u8, u8) = (32, 4);
const MANY_SERIAL_PORTS: u8 = 11;
const PARALLEL_PORTS: u8 = 3;
const FLOPPIES: u8 = 2;

impl Change<'_> {
    /// The number of a new port: the wanted unit if it is free, else the first that is.
    fn free_number(&self, count: u8, taken: impl Fn(u8) -> bool) -> Result<u8, Fault> {
        match self.number("unitNumber").filter(|unit| *unit >= 0) {
            Some(unit) => u8::try_from(unit)
                .ok()
                .filter(|unit| *unit < count && !taken(*unit))
                .ok_or_else(|| self.bad("device.unitNumber")),
            None => (0..count)
                .find(|number| !taken(*number))
                .ok_or_else(|| self.fault("TooManyDevices", "device")),
        }
    }
}

impl Machine {
    pub(super) fn change_serial(
        &mut self,
        change: &Change<'_>,
        inventory: &Inventory,
    ) -> Result<(), Fault> {
        self.require_off_unless(false)?;
        let backing = match change.backing() {
            None if change.operation == Operation::Add => return Err(change.bad_backing()),
            None => None,
            Some(backing) => {
                let text = |name| backing.str(name).unwrap_or_default().to_owned();
                let is_server = |name| match backing.str(name) {
                    Some("server") => Ok(true),
                    Some("client") => Ok(false),
                    _ => Err(change.bad_backing()),
                };
                Some(match backing.type_name.as_ref() {
                    "VirtualSerialPortFileBackingInfo" => {
                        Serial::File(self.file_named(&text("fileName"), inventory)?)
                    }
                    "VirtualSerialPortURIBackingInfo" if !inventory.serial_uri_licensed => {
                        let message = "Current license or ESXi version prohibits execution of the \
                                       requested operation.";
                        return Err(Fault::new("RestrictedVersion", message));
                    }
                    "VirtualSerialPortURIBackingInfo" => Serial::Network {
                        uri: text("serviceURI"),
                        server: is_server("direction")?,
                        proxy: Some(text("proxyURI")).filter(|proxy| !proxy.is_empty()),
                    },
                    "VirtualSerialPortPipeBackingInfo" => {
                        Serial::Pipe { name: text("pipeName"), server: is_server("endpoint")? }
                    }
                    "VirtualSerialPortDeviceBackingInfo" => Serial::Device(change.host_device()),
                    _ => return Err(change.bad_backing()),
                })
            }
        };
        let index = self.serials.iter().position(|port| port.key() == change.key());
        match (change.operation, index, backing) {
            (Operation::Add, _, Some(backing)) => {
                let (many, few) = SERIAL_PORTS;
                let count = if self.hardware_version >= MANY_SERIAL_PORTS { many } else { few };
                let taken = |number| self.serials.iter().any(|port| port.number == number);
                let number = change.free_number(count, taken)?;
                self.serials.push(SerialPort { number, backing });
                self.serials.sort_by_key(|port| port.number);
            }
            (Operation::Remove, Some(index), _) => drop(self.serials.remove(index)),
            (Operation::Edit, Some(index), Some(backing)) => self.serials[index].backing = backing,
            (Operation::Edit, Some(_), None) => {}
            _ => return Err(change.bad("device.key")),
        }
        Ok(())
    }

    pub(super) fn change_parallel(
        &mut self,
        change: &Change<'_>,
        inventory: &Inventory,
    ) -> Result<(), Fault> {
        self.require_off_unless(false)?;
        let backing = match change.backing() {
            None if change.operation == Operation::Add => return Err(change.bad_backing()),
            None => None,
            Some(backing) => Some(match backing.type_name.as_ref() {
                "VirtualParallelPortFileBackingInfo" => {
                    let name = backing.str("fileName").unwrap_or_default();
                    Parallel::File(self.file_named(name, inventory)?)
                }
                "VirtualParallelPortDeviceBackingInfo" => Parallel::Device(change.host_device()),
                _ => return Err(change.bad_backing()),
            }),
        };
        let index = self.parallels.iter().position(|port| port.key() == change.key());
        match (change.operation, index, backing) {
            (Operation::Add, _, Some(backing)) => {
                let taken = |number| self.parallels.iter().any(|port| port.number == number);
                let number = change.free_number(PARALLEL_PORTS, taken)?;
                self.parallels.push(ParallelPort { number, backing });
                self.parallels.sort_by_key(|port| port.number);
            }
            (Operation::Remove, Some(index), _) => drop(self.parallels.remove(index)),
            (Operation::Edit, Some(index), Some(backing)) => {
                self.parallels[index].backing = backing
            }
            (Operation::Edit, Some(_), None) => {}
            _ => return Err(change.bad("device.key")),
        }
        Ok(())
    }

    /// Drives come and go while the machine is off; what is in them changes at any time.
    pub(super) fn change_floppy(
        &mut self,
        change: &Change<'_>,
        inventory: &Inventory,
    ) -> Result<(), Fault> {
        let medium = match change.backing() {
            None if change.operation == Operation::Add => return Err(change.bad_backing()),
            None => None,
            Some(backing) => Some(match backing.type_name.as_ref() {
                "VirtualFloppyImageBackingInfo" => {
                    let name = backing.str("fileName").unwrap_or_default();
                    let file = self.file_named(name, inventory)?;
                    if self.file_content(&file, inventory).is_none() {
                        return Err(file_fault("FileNotFound", name));
                    }
                    Medium::Iso(file)
                }
                "VirtualFloppyRemoteDeviceBackingInfo" => Medium::Client,
                "VirtualFloppyDeviceBackingInfo" => Medium::HostDrive(change.host_device()),
                _ => return Err(change.bad_backing()),
            }),
        };
        let index = self.floppies.iter().position(|drive| drive.key() == change.key());
        match (change.operation, index, medium) {
            (Operation::Add, _, Some(medium)) => {
                self.require_off_unless(false)?;
                let taken = |number| self.floppies.iter().any(|drive| drive.number == number);
                let number = change.free_number(FLOPPIES, taken)?;
                self.floppies.push(Floppy { number, medium });
                self.floppies.sort_by_key(|drive| drive.number);
            }
            (Operation::Remove, Some(index), _) => {
                self.require_off_unless(false)?;
                self.floppies.remove(index);
            }
            (Operation::Edit, Some(index), Some(medium)) => self.floppies[index].medium = medium,
            (Operation::Edit, Some(_), None) => {}
            _ => return Err(change.bad("device.key")),
        }
        Ok(())
    }
}
