//! `HostStorageSystem`: a host's adapters, iSCSI targets and LUNs.

use esx_vi_api::{MoRef, Object};

use super::fault::Fault;
use super::inventory::Item;
use super::tree::{objects, skeleton, strings};
use super::{Answer, Model};

const SECTOR: i32 = 512;

/// The storage that a host sees beside its datastores.
#[derive(Debug, Clone, Default)]
pub(crate) struct Storage {
    adapters: Vec<Adapter>,
    luns: Vec<Lun>,
}

#[derive(Debug, Clone)]
struct Adapter {
    device: String,
    kind: AdapterKind,
    /// `online`, `offline`, `fault` or `unknown`.
    status: &'static str,
    targets: Vec<Target>,
}

#[derive(Debug, Clone)]
enum AdapterKind {
    Block,
    Iscsi {
        name: String,
    },
    /// A class of its own, for example `HostPcieHba`.
    Other(&'static str),
}

#[derive(Debug, Clone)]
struct Target {
    name: String,
    address: String,
    port: Option<i32>,
    /// What is behind it: indexes into the host's LUNs.
    luns: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Lun {
    name: String,
    uuid: String,
    sectors: i64,
}

impl Lun {
    fn new(name: &str, size: i64) -> Self {
        // As hosts make it: a type, the identifier, and a piece of the model's name.
        let digits = name.rsplit('.').next().unwrap_or_default();
        let uuid = format!("0200000000{digits:0<32}565249525445");
        Self { name: name.to_owned(), uuid, sectors: size / i64::from(SECTOR) }
    }

    fn key(&self) -> String {
        format!("key-vim.host.ScsiDisk-{}", self.uuid)
    }

    fn device_path(&self) -> String {
        format!("/vmfs/devices/disks/{}", self.name)
    }

    fn object(&self) -> Object {
        let path = self.device_path();
        let capacity = Object::new("HostDiskDimensionsLba")
            .with("blockSize", SECTOR)
            .with("block", self.sectors);
        Object::new("HostScsiDisk")
            .with("deviceName", path.as_str())
            .with("deviceType", "disk")
            .with("key", self.key())
            .with("uuid", self.uuid.as_str())
            .with("canonicalName", self.name.as_str())
            .with("displayName", format!("virtesx disk ({})", self.name))
            .with("lunType", "disk")
            .with("vendor", "virtesx ")
            .with("model", "Virtual disk    ")
            .with("operationalState", strings(["ok"]))
            .with("capacity", capacity)
            .with("devicePath", path.as_str())
    }
}

impl Adapter {
    fn key(&self) -> String {
        let class = match &self.kind {
            AdapterKind::Block => "BlockHba",
            AdapterKind::Iscsi { .. } => "InternetScsiHba",
            AdapterKind::Other(class) => class.trim_start_matches("Host"),
        };
        format!("key-vim.host.{class}-{}", self.device)
    }

    fn object(&self) -> Object {
        let (class, driver, model) = match &self.kind {
            AdapterKind::Block => ("HostBlockHba", "vmw_ahci", "Simulated AHCI controller"),
            AdapterKind::Iscsi { .. } => {
                ("HostInternetScsiHba", "iscsi_vmk", "iSCSI Software Adapter")
            }
            AdapterKind::Other(class) => (*class, "nvme_pcie", "Simulated controller"),
        };
        let mut object = skeleton(class)
            .with("key", self.key())
            .with("device", self.device.as_str())
            .with("bus", 0)
            .with("status", self.status)
            .with("model", model)
            .with("driver", driver);
        if let AdapterKind::Iscsi { name } = &self.kind {
            let targets = self.targets.iter().map(|target| {
                Object::new("HostInternetScsiHbaStaticTarget")
                    .with("address", target.address.as_str())
                    .with_opt("port", target.port)
                    .with("iScsiName", target.name.as_str())
            });
            object.set("isSoftwareBased", true);
            object.set("iScsiName", name.as_str());
            object.set("iScsiAlias", "");
            object
                .set("configuredStaticTarget", objects("HostInternetScsiHbaStaticTarget", targets));
        }
        object
    }

    fn topology(&self, luns: &[Lun]) -> Object {
        let targets = self.targets.iter().enumerate().map(|(number, target)| {
            let key = format!("key-vim.host.ScsiTopology.Target-{}:0:{number}", self.device);
            let behind = target.luns.iter().enumerate().filter_map(|(number, lun)| {
                let lun = luns.get(*lun)?;
                Some(
                    Object::new("HostScsiTopologyLun")
                        .with("key", format!("key-vim.host.ScsiTopology.Lun-{}", lun.uuid))
                        .with("lun", i32::try_from(number).unwrap_or(i32::MAX))
                        .with("scsiLun", lun.key()),
                )
            });
            let transport = match &self.kind {
                AdapterKind::Iscsi { .. } => Object::new("HostInternetScsiTargetTransport")
                    .with("iScsiName", target.name.as_str())
                    .with("iScsiAlias", "")
                    .with("address", strings([format!("{}:3260", target.address)])),
                AdapterKind::Block => Object::new("HostBlockAdapterTargetTransport"),
                AdapterKind::Other(_) => Object::new("HostPcieTargetTransport"),
            };
            Object::new("HostScsiTopologyTarget")
                .with("key", key)
                .with("target", i32::try_from(number).unwrap_or(i32::MAX))
                .with("lun", objects("HostScsiTopologyLun", behind))
                .with("transport", transport)
        });
        Object::new("HostScsiTopologyInterface")
            .with("key", format!("key-vim.host.ScsiTopology.Interface-{}", self.device))
            .with("adapter", self.key())
            .with("target", objects("HostScsiTopologyTarget", targets))
    }
}

impl Storage {
    /// A local disk, and a software iSCSI adapter with two targets. `number` tells hosts apart.
    pub(crate) fn sample(number: u8) -> Self {
        let luns = vec![
            Lun::new("mpx.vmhba0:C0:T0:L0", 4 << 40),
            Lun::new(&format!("naa.6001405{number:02x}0000000000000000000001"), 10 << 30),
            Lun::new(&format!("naa.6001405{number:02x}0000000000000000000002"), 20 << 30),
            Lun::new(&format!("naa.6001405{number:02x}0000000000000000000003"), 1 << 40),
        ];
        let target = |name: &str, address: &str, port, luns| Target {
            name: name.to_owned(),
            address: address.to_owned(),
            port,
            luns,
        };
        let local = Adapter {
            device: "vmhba0".to_owned(),
            kind: AdapterKind::Block,
            status: "unknown",
            targets: vec![target("", "", None, vec![0])],
        };
        let iscsi = Adapter {
            device: "vmhba64".to_owned(),
            kind: AdapterKind::Iscsi { name: format!("iqn.1998-01.com.vmware:esx{number:02}") },
            status: "online",
            targets: vec![
                target("iqn.2001-05.com.example:target.lun0", "10.80.0.20", Some(3260), vec![1, 2]),
                target("iqn.2001-05.com.example:target.big", "10.80.0.21", None, vec![3]),
            ],
        };
        Self { adapters: vec![local, iscsi], luns }
    }

    /// `HostStorageDeviceInfo`.
    pub(crate) fn device_info(&self) -> Object {
        let topology = Object::new("HostScsiTopology").with(
            "adapter",
            objects(
                "HostScsiTopologyInterface",
                self.adapters.iter().map(|adapter| adapter.topology(&self.luns)),
            ),
        );
        let iscsi = self.adapters.iter().any(|a| matches!(a.kind, AdapterKind::Iscsi { .. }));
        Object::new("HostStorageDeviceInfo")
            .with(
                "hostBusAdapter",
                objects("HostHostBusAdapter", self.adapters.iter().map(Adapter::object)),
            )
            .with("scsiLun", objects("ScsiLun", self.luns.iter().map(Lun::object)))
            .with("scsiTopology", topology)
            .with("softwareInternetScsiEnabled", iscsi)
    }
}

impl Model {
    /// `RescanHba`.
    pub(super) fn rescan_adapter(&mut self, system: &MoRef, device: &str) -> Result<Answer, Fault> {
        let host = self.inventory.host_of_manager(system);
        let host = host.and_then(|host| self.inventory.host(&host));
        let found = host.and_then(|host| host.storage.adapters.iter().find(|a| a.device == device));
        match found {
            Some(adapter) if adapter.status == "fault" => {
                let message = format!("Unable to rescan adapter {device}: it is faulty.");
                Err(Fault::new("HostConfigFault", message))
            }
            Some(_) => Ok(Answer::Result(None)),
            None => {
                Err(Fault::new("NotFound", "The object or item referred to could not be found."))
            }
        }
    }

    fn change_storage(&mut self, host: &MoRef, change: impl FnOnce(&mut Storage) -> bool) -> bool {
        let changed = match self.inventory.get_mut(host) {
            Some(Item::Host(host)) => change(&mut host.storage),
            _ => false,
        };
        self.changed(changed)
    }

    /// Gives a host an adapter of another class, for example `HostPcieHba`, or one that no schema knows. Returns whether
    /// there is such a host.
    pub fn add_adapter(&mut self, host: &MoRef, class: &'static str, device: &str) -> bool {
        self.change_storage(host, |storage| {
            storage.adapters.insert(
                0,
                Adapter {
                    device: device.to_owned(),
                    kind: AdapterKind::Other(class),
                    status: "online",
                    targets: Vec::new(),
                },
            );
            true
        })
    }

    /// Gives a host another iSCSI adapter, with one target and one LUN of a GiB behind it.
    pub fn add_iscsi_adapter(&mut self, host: &MoRef, device: &str, target: &str) -> bool {
        self.change_storage(host, |storage| {
            let number = storage.luns.len();
            storage
                .luns
                .push(Lun::new(&format!("naa.6001405ff000000000000000000{number:05}"), 1 << 30));
            storage.adapters.push(Adapter {
                device: device.to_owned(),
                kind: AdapterKind::Iscsi { name: format!("iqn.1998-01.com.vmware:{device}") },
                status: "online",
                targets: vec![Target {
                    name: target.to_owned(),
                    address: "10.80.0.22".to_owned(),
                    port: Some(3260),
                    luns: vec![number],
                }],
            });
            true
        })
    }

    /// Breaks an adapter: it is faulty, has lost its targets, and cannot be rescanned. Returns whether it is there.
    pub fn break_adapter(&mut self, host: &MoRef, device: &str) -> bool {
        self.change_storage(host, |storage| {
            let found = storage.adapters.iter_mut().find(|adapter| adapter.device == device);
            found.is_some_and(|adapter| {
                adapter.status = "fault";
                adapter.targets.clear();
                true
            })
        })
    }
}
