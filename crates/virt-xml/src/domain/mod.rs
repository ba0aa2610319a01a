//! The domain document.

mod devices;
mod os;
mod read;
mod read_devices;
mod words;
mod write;

use std::fmt;

use uuid::Uuid;

use crate::element::Element;
use crate::error::{Error, ErrorKind};
use crate::number::CpuSet;

pub use devices::{
    Address, CharDevice, CharSource, Controller, Device, Devices, Disk, DiskSource, Driver,
    Filesystem, Graphics, Interface, InterfaceSource, Listen, Mac, PciAddress, Tpm, TpmBackend,
    Video, VideoModel,
};
pub use os::{FirmwareFeature, Loader, Nvram, Os};
pub use words::SCSI_MODELS;

/// The namespace of [`VmwareData`].
pub const VMWARE_NAMESPACE: &str = "http://libvirt.org/schemas/domain/vmware/1.0";

/// A domain: `<domain>`. Fields are in the order of the document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Domain {
    /// `@type`, the hypervisor: `vmware`.
    pub kind: String,
    /// `@id`, of running domains.
    pub id: Option<i32>,
    /// `<name>`; libvirt asks for one when reading.
    pub name: Option<String>,
    /// `<uuid>`.
    pub uuid: Option<Uuid>,
    /// `<hwuuid>`: what the guest sees as SMBIOS UUID, since libvirt 12.4.
    pub hwuuid: Option<Uuid>,
    /// `<genid>`.
    pub genid: Option<Uuid>,
    /// `<title>`.
    pub title: Option<String>,
    /// `<description>`.
    pub description: Option<String>,
    /// `<metadata>`, kept as it is.
    pub metadata: Option<Element>,
    /// `<memory>`.
    pub memory_kib: u64,
    /// `<currentMemory>`; absent means all of the memory.
    pub current_memory_kib: Option<u64>,
    /// `<memtune><min_guarantee>`.
    pub min_guarantee_kib: Option<u64>,
    /// The rest of `<memtune>`.
    pub memtune_other: Vec<Element>,
    /// `<vcpu>`.
    pub vcpu: Vcpu,
    /// `<cputune><shares>`.
    pub shares: Option<u64>,
    /// The rest of `<cputune>`.
    pub cputune_other: Vec<Element>,
    /// `<os>`.
    pub os: Os,
    /// `<cpu>`.
    pub cpu: Option<Cpu>,
    /// `<clock>`.
    pub clock: Option<Clock>,
    /// `<on_poweroff>`.
    pub on_poweroff: Option<String>,
    /// `<on_reboot>`.
    pub on_reboot: Option<String>,
    /// `<on_crash>`.
    pub on_crash: Option<String>,
    /// `<devices>`.
    pub devices: Devices,
    /// The elements in the VMware namespace.
    pub vmware: VmwareData,
    /// Elements that are not modelled, in order.
    pub other: Vec<Element>,
}

/// `<vcpu>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vcpu {
    /// The number of virtual CPUs, the maximum if `current` is lower.
    pub count: u32,
    /// `@current`: how many of them are plugged in.
    pub current: Option<u32>,
    /// `@placement`.
    pub placement: Option<String>,
    /// `@cpuset`: the host CPUs they may run on.
    pub cpuset: Option<CpuSet>,
}

impl Default for Vcpu {
    fn default() -> Self {
        Self { count: 1, current: None, placement: None, cpuset: None }
    }
}

/// `<cpu>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// `@mode`; absent means `custom`.
    pub mode: Option<String>,
    /// `<topology>`.
    pub topology: Option<Topology>,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}

/// `<topology>` of a [`Cpu`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Sockets.
    pub sockets: u32,
    /// Dies in a socket.
    pub dies: u32,
    /// Clusters in a die.
    pub clusters: u32,
    /// Cores in a cluster.
    pub cores: u32,
    /// Threads of a core.
    pub threads: u32,
}

/// `<clock>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// `@offset`.
    pub offset: String,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}

/// What libvirt's ESX driver adds in the VMware namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmwareData {
    /// `<vmware:datacenterpath>`: inventory path of the datacenter.
    pub datacenter_path: Option<String>,
    /// `<vmware:moref>`: managed object id.
    pub moref: Option<String>,
}

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// libvirt's flags for a domain's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FormatOptions {
    /// `VIR_DOMAIN_XML_SECURE`: write passwords.
    pub secure: bool,
    /// `VIR_DOMAIN_XML_INACTIVE`: leave out what only a running domain has. Implied without an id.
    pub inactive: bool,
    /// `VIR_DOMAIN_XML_MIGRATABLE`: leave out what older releases would not read.
    pub migratable: bool,
}

impl Domain {
    /// Reads a definition. What only a running domain has (`@id`, generated target names) is not read.
    ///
    /// # Errors
    /// The text is no domain document, or an element has a value that libvirt refuses as well; the error
    /// names the element.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let domain = read::domain(Element::parse(text)?, false)?;
        let error = |kind, path: &str, reason: &str| {
            Err(Error { kind, path: path.to_owned(), reason: reason.to_owned() })
        };
        if domain.memory_kib == 0 {
            return error(ErrorKind::Element, "/domain/memory", "the size is missing");
        }
        for (i, disk) in domain.devices.disks.iter().enumerate() {
            if disk.target.is_empty() {
                let path = format!("/domain/devices/disk[{}]", i + 1);
                return error(ErrorKind::NoTarget, &path, "the target is missing");
            }
        }
        for (i, folder) in domain.devices.filesystems.iter().enumerate() {
            if folder.target_dir.is_none() {
                let path = format!("/domain/devices/filesystem[{}]", i + 1);
                return error(ErrorKind::NoTarget, &path, "the target is missing");
            }
        }
        Ok(domain)
    }

    /// Reads a definition as libvirt does: words it does not know are errors, and of several errors the one
    /// it meets first is reported. What it checks after reading is left to the caller, so that memory may
    /// be 0 and targets may be missing.
    ///
    /// # Errors
    /// As [`Domain::parse`], and a word that libvirt does not know.
    pub fn parse_strict(text: &str) -> Result<Self, Error> {
        read::domain(Element::parse(text)?, true)
    }

    /// The document as libvirt writes it: no XML declaration, one line feed at the end.
    pub fn to_xml(&self, options: &FormatOptions) -> String {
        write::domain(self, options)
    }
}

#[cfg(test)]
mod tests;
