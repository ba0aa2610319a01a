//! What a conversion has to be told.

use esx_vmx::Document;

/// How closely a conversion follows libvirt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// libvirt's result wherever it is right; a better one, with a warning, wherever libvirt fails, loses
    /// or misplaces something.
    #[default]
    Default,
    /// libvirt 12.8 to the byte, defects and error codes included.
    Exact,
}

/// Facts about host and machine, gathered beforehand, and options.
///
/// [`Context::default`] knows of no host: 64-bit guests are supported, there are no datastores, and the
/// machine's directory shows as `[?] ?`. Make others with `Context { field, ..Context::default() }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// How closely to follow libvirt.
    pub mode: Mode,
    /// Where the VMX file is: `[datastore] dir/file.vmx`. `None` for free-standing text.
    pub vmx_path: Option<String>,
    /// The host's datastores, in the server's order. Needed if [`needs_datastores`] says so, and for
    /// writing a VMX file that names one.
    pub datastores: Vec<Datastore>,
    /// Whether the host runs 64-bit guests (long mode).
    pub long_mode: bool,
    /// The id of a machine that is not powered off.
    pub domain_id: Option<i32>,
    /// URI parameter `legacy_uuid=1`: the domain's `<uuid>` is `uuid.bios` even where there is a
    /// `vc.uuid`. libvirt heeds it for registered machines only.
    pub legacy_uuid: bool,
    /// Inventory path of the machine's datacenter.
    pub datacenter_path: Option<String>,
    /// Managed object id of the machine, such as `vm-42`.
    pub moref: Option<String>,
    /// `virtualHW.version` for a VMX file to be written; see [`virtual_hardware_version`].
    pub hardware_version: u32,
    /// The controllers that the disks of a domain to be written were made for, by source
    /// (`[ds] dir/file.vmdk`): answers to [`needs_scsi_models`](crate::needs_scsi_models).
    pub scsi_models: Vec<(String, ScsiModel)>,
    /// Keep the keys that have no place in domain XML in `<metadata>`, namespace `urn:virtesx:vmx:1`;
    /// writing puts them back. In default mode only. Keys of encrypted machines and passwords are among
    /// what is not kept.
    pub keep_keys: bool,
    /// Up to which a hardware version among kept keys counts more than [`Context::hardware_version`]: with a
    /// host its newest one, 0 if none is to count.
    pub newest_kept_hardware: u32,
    /// A random number, for the UUID and MAC addresses that a domain to be written lacks.
    pub seed: u64,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            mode: Mode::Default,
            vmx_path: None,
            datastores: Vec::new(),
            long_mode: true,
            domain_id: None,
            legacy_uuid: false,
            datacenter_path: None,
            moref: None,
            hardware_version: 8,
            scsi_models: Vec::new(),
            keep_keys: false,
            newest_kept_hardware: u32::MAX,
            seed: 0,
        }
    }
}

impl Context {
    pub(crate) fn exact(&self) -> bool {
        self.mode == Mode::Exact
    }
}

/// A datastore as the host mounts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datastore {
    /// Its name, unescaped (`summary.name`).
    pub name: String,
    /// Where the host mounts it (`mountInfo.path`): `/vmfs/volumes/5f3c…`, on GSX `D:\VMs`.
    pub mount_path: String,
}

/// The SCSI controller models of VMware, by the names of libvirt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScsiModel {
    /// `buslogic`
    BusLogic,
    /// `lsilogic`
    LsiLogic,
    /// `lsisas1068`
    LsiSas1068,
    /// `vmpvscsi`, in VMX files `pvscsi`
    VmPvScsi,
}

impl ScsiModel {
    /// The model of a `controllerType` as the datastore browser reports it (`spec/domain.md` 3.15).
    pub fn from_controller_type(name: &str) -> Option<Self> {
        let table = [
            ("VirtualBusLogicController", Self::BusLogic),
            ("VirtualLsiLogicController", Self::LsiLogic),
            ("VirtualLsiLogicSASController", Self::LsiSas1068),
            ("ParaVirtualSCSIController", Self::VmPvScsi),
        ];
        table.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, model)| model)
    }

    /// libvirt's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::BusLogic => "buslogic",
            Self::LsiLogic => "lsilogic",
            Self::LsiSas1068 => "lsisas1068",
            Self::VmPvScsi => "vmpvscsi",
        }
    }

    /// The word of VMX files.
    pub fn vmx_word(self) -> &'static str {
        match self {
            Self::VmPvScsi => "pvscsi",
            other => other.word(),
        }
    }

    /// Every model.
    pub const ALL: [Self; 4] = [Self::BusLogic, Self::LsiLogic, Self::LsiSas1068, Self::VmPvScsi];
}

/// The product a connection talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProductLine {
    /// GSX, VMware Server.
    Gsx,
    /// ESX and ESXi.
    Esx,
    /// vCenter.
    VCenter,
}

/// The hardware version that libvirt writes for a product of that version (`spec/domain.md` 2.3).
///
/// ```
/// use esx_vmx_domain::{ProductLine, virtual_hardware_version};
///
/// assert_eq!(virtual_hardware_version(ProductLine::Esx, "6.5.0"), 10);
/// assert_eq!(virtual_hardware_version(ProductLine::Esx, "8.0.2"), 8);
/// ```
pub fn virtual_hardware_version(line: ProductLine, version: &str) -> u32 {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match (line, major, minor) {
        (ProductLine::Gsx, _, _) => 7,
        (ProductLine::Esx, 3, _) | (ProductLine::VCenter, 2, _) => 4,
        (_, 4, _) => 7,
        (_, 5, 0..5) => 9,
        (_, 5 | 6, _) => 10,
        _ => 8,
    }
}

/// Whether converting this file takes [`Context::datastores`]: whether it names a file in another way
/// than relative to its own directory. May be true for a file that would not be looked at in the end,
/// never false for one that would.
pub fn needs_datastores(document: &Document) -> bool {
    let is_file = |key: &str| {
        key.eq_ignore_ascii_case("nvram")
            || key.rsplit_once('.').is_some_and(|(_, name)| name.eq_ignore_ascii_case("fileName"))
    };
    document.entries().filter(|e| is_file(e.key)).any(|entry| {
        let value = entry.value;
        let elsewhere = value.starts_with('/') || value.contains('\\');
        // Devices of the host are no files.
        elsewhere && !value.starts_with("/vmfs/devices/") && !value.starts_with("/dev/")
    })
}
