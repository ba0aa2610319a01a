//! `<devices>`.

use std::borrow::Cow;

use uuid::Uuid;

use crate::domain::{Secret, VMWARE_NAMESPACE};
use crate::element::Element;
use crate::error::Error;
use crate::number::MacAddress;

/// `<devices>`, by kind in the order libvirt writes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Devices {
    /// `<disk>`.
    pub disks: Vec<Disk>,
    /// `<controller>`.
    pub controllers: Vec<Controller>,
    /// `<filesystem>`.
    pub filesystems: Vec<Filesystem>,
    /// `<interface>`.
    pub interfaces: Vec<Interface>,
    /// `<serial>`.
    pub serials: Vec<CharDevice>,
    /// `<parallel>`.
    pub parallels: Vec<CharDevice>,
    /// `<console>`.
    pub consoles: Vec<CharDevice>,
    /// `<tpm>`.
    pub tpms: Vec<Tpm>,
    /// `<graphics>`.
    pub graphics: Vec<Graphics>,
    /// `<video>`.
    pub videos: Vec<Video>,
    /// Devices that are not modelled, in order.
    pub other: Vec<Element>,
}

/// One device by itself, as libvirt attaches, detaches and updates it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// `<disk>`.
    Disk(Box<Disk>),
    /// `<controller>`.
    Controller(Controller),
    /// `<filesystem>`.
    Filesystem(Filesystem),
    /// `<interface>`.
    Interface(Box<Interface>),
    /// `<serial>`.
    Serial(CharDevice),
    /// `<parallel>`.
    Parallel(CharDevice),
    /// Any other, by the name of its element.
    Other(String),
}

impl Device {
    /// Reads a device's element, be it cut out of a domain's document: the prefix `vmware` need not be declared.
    ///
    /// # Errors
    /// The text is not well-formed, or the element has a value that libvirt refuses as well.
    ///
    /// ```
    /// use virt_xml::domain::Device;
    ///
    /// let device = Device::parse("<disk type='file'><target dev='sdb' bus='scsi'/></disk>")?;
    /// assert!(matches!(device, Device::Disk(disk) if disk.target == "sdb"));
    /// # Ok::<(), virt_xml::Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, Error> {
        super::read_devices::device(Element::parse_cut_out(text, "vmware", VMWARE_NAMESPACE)?)
    }
}

/// `<disk>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// `@type`: `file`, `block`, …
    pub kind: Cow<'static, str>,
    /// `@device`: `disk`, `cdrom`, `lun`, `floppy`.
    pub device: Cow<'static, str>,
    /// `<driver>`.
    pub driver: Option<Driver>,
    /// `<source>`.
    pub source: Option<DiskSource>,
    /// `<target dev=…>`.
    pub target: String,
    /// `<target bus=…>`.
    pub bus: Option<Cow<'static, str>>,
    /// `<readonly/>`.
    pub readonly: bool,
    /// `<shareable/>`.
    pub shareable: bool,
    /// `<transient/>`.
    pub transient: bool,
    /// `<address>`.
    pub address: Option<Address>,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}

/// `<driver>` of a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// `@name`; old documents name the SCSI controller's model here.
    pub name: Option<String>,
    /// `@type`.
    pub kind: Option<String>,
    /// `@cache`.
    pub cache: Option<String>,
}

/// `<source>` of a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskSource {
    /// `@file`.
    pub file: Option<String>,
    /// `@dev`.
    pub dev: Option<String>,
    /// `@startupPolicy`.
    pub startup_policy: Option<String>,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}

/// `<address>` of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `type='drive'`.
    Drive {
        /// Number of the controller.
        controller: u32,
        /// Bus of the controller.
        bus: u32,
        /// Target on the bus.
        target: u32,
        /// Unit on the target.
        unit: u32,
    },
    /// `type='pci'`; without attributes if the address is not known.
    Pci(Option<PciAddress>),
    /// Any other type.
    Other(Box<Element>),
}

/// `<address type='pci'>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciAddress {
    /// `@domain`.
    pub domain: u32,
    /// `@bus`.
    pub bus: u32,
    /// `@slot`.
    pub slot: u32,
    /// `@function`.
    pub function: u32,
}

/// `<controller>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controller {
    /// `@type`: `scsi`, `sata`, `nvme`, `fdc`, `ide`, …
    pub kind: String,
    /// `@index`.
    pub index: Option<u32>,
    /// `@model`.
    pub model: Option<String>,
    /// `<address>`.
    pub address: Option<Address>,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}

/// `<filesystem>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filesystem {
    /// `@type`: `mount`.
    pub kind: String,
    /// `@accessmode`.
    pub access_mode: Option<String>,
    /// `<source dir=…>`.
    pub source_dir: Option<String>,
    /// `<target dir=…>`.
    pub target_dir: Option<String>,
    /// `<readonly/>`.
    pub readonly: bool,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}

/// `<interface>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// `@type`: `bridge`, `user`, `null`, `vds`, …
    pub kind: String,
    /// `<mac>`.
    pub mac: Option<Mac>,
    /// `<source>`.
    pub source: Option<InterfaceSource>,
    /// `<target dev=…>`.
    pub target_dev: Option<String>,
    /// `<model type=…>`.
    pub model: Option<String>,
    /// `<link state=…>`.
    pub link_state: Option<String>,
    /// `<address>`.
    pub address: Option<Address>,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}

/// `<mac>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mac {
    /// `@address`.
    pub address: MacAddress,
    /// `@type`: `generated` or `static`.
    pub kind: Option<String>,
    /// `@check`.
    pub check: Option<bool>,
}

/// `<source>` of an interface. Which fields count depends on the interface's type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceSource {
    /// `@bridge`.
    pub bridge: Option<String>,
    /// `@network`.
    pub network: Option<String>,
    /// `@dev`.
    pub dev: Option<String>,
    /// `@mode`.
    pub mode: Option<String>,
    /// `@switchid`: the distributed switch.
    pub switch_id: Option<Uuid>,
    /// `@portid`.
    pub port_id: Option<i64>,
    /// `@portgroupid`.
    pub portgroup_id: Option<String>,
    /// `@connectionid`.
    pub connection_id: Option<i64>,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}

/// `<serial>`, `<parallel>` or `<console>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CharDevice {
    /// `@type`: `dev`, `file`, `pipe`, `tcp`, `null`, …
    pub kind: String,
    /// `<source>`.
    pub source: Option<CharSource>,
    /// `<protocol type=…>`.
    pub protocol: Option<String>,
    /// `<target type=…>`.
    pub target_type: Option<String>,
    /// `<target port=…>`.
    pub target_port: Option<u32>,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}

/// `<source>` of a character device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CharSource {
    /// `@path`.
    pub path: Option<String>,
    /// `@mode`: `bind` or `connect`.
    pub mode: Option<String>,
    /// `@host`.
    pub host: Option<String>,
    /// `@service`.
    pub service: Option<String>,
}

/// `<tpm>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tpm {
    /// `@model`.
    pub model: Option<String>,
    /// `<backend>`.
    pub backend: Option<TpmBackend>,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}

/// `<backend>` of a TPM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TpmBackend {
    /// `@type`.
    pub kind: String,
    /// `@version`.
    pub version: Option<String>,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}

/// `<graphics>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graphics {
    /// `@type`: `vnc`, …
    pub kind: String,
    /// `@port`; -1 means that the host chooses one.
    pub port: Option<i32>,
    /// `@autoport`.
    pub autoport: Option<bool>,
    /// `@listen`.
    pub listen: Option<String>,
    /// `@socket`.
    pub socket: Option<String>,
    /// `@keymap`.
    pub keymap: Option<String>,
    /// `@passwd`.
    pub password: Option<Secret>,
    /// `<listen>`.
    pub listens: Vec<Listen>,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}

/// `<listen>` of a [`Graphics`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// `@type`: `address`, `network`, `socket`, `none`.
    pub kind: String,
    /// `@address`.
    pub address: Option<String>,
    /// `@network`.
    pub network: Option<String>,
    /// `@socket`.
    pub socket: Option<String>,
}

/// `<video>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Video {
    /// `<model>`.
    pub model: Option<VideoModel>,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}

/// `<model>` of a [`Video`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoModel {
    /// `@type`: `vmvga`.
    pub kind: Option<String>,
    /// `@vram`.
    pub vram_kib: Option<u32>,
    /// `@heads`.
    pub heads: Option<u32>,
    /// `@primary`.
    pub primary: bool,
    /// Elements that are not modelled.
    pub other: Vec<Element>,
}
