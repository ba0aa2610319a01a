//! The devices of a machine in libvirt's words: what `domblklist`, `domiflist` and `domblkinfo` show.

use esx_vi_api::properties::ObjectRow;
use esx_vi_api::schema::is_subtype;
use esx_vi_api::{Object, Value};
use virt_api::{
    Domain, DomainBlockDevice, DomainBlockInfo, DomainInterfaceDevice, Error, ErrorDomain, NoFlags,
    Result, check_flags,
};

use super::adapter::MODELS;
use super::hardware::{DEVICES, DriveAt, DriveKind, Hardware, VERSION, backing, number};
use crate::connection::Session;
use crate::domain::lookup::Wanted;
use crate::error::decode_error;

/// The property that tells the sizes of a machine's files.
pub(crate) const FILES: &str = "layoutEx";

/// The devices of a row that was read with [`DEVICES`] and [`VERSION`].
#[derive(Default)]
pub(crate) struct DeviceRow {
    devices: Option<Value>,
    version: Option<Value>,
    files: Option<Value>,
}

impl DeviceRow {
    pub(crate) fn read(row: &ObjectRow) -> Result<Self> {
        let value = |path| row.get::<Value>(path).map_err(decode_error);
        Ok(Self { devices: value(DEVICES)?, version: value(VERSION)?, files: value(FILES)? })
    }

    pub(crate) fn hardware(&self) -> Hardware<'_> {
        Hardware::new(self.devices.as_ref(), self.version.as_ref())
    }

    /// Sizes of a drive; nothing but the capacity if the host does not tell more.
    pub(crate) fn sizes(&self, drive: &DriveAt<'_>) -> DomainBlockInfo {
        let bytes = |value: Option<i64>| value.and_then(|n| u64::try_from(n).ok());
        let member = |name| drive.device.get(name).and_then(Value::as_i64);
        // `capacityInBytes` came with API 5.5.
        let capacity = bytes(member("capacityInBytes"))
            .or_else(|| bytes(member("capacityInKB")).map(|kib| kib.saturating_mul(1024)));
        let files = number(drive.device, "key")
            .and_then(|key| allocated(self.files.as_ref().and_then(Value::as_object)?, key));
        let allocated = files.or(capacity).unwrap_or(0);
        DomainBlockInfo {
            capacity_bytes: capacity.unwrap_or(0),
            allocation_bytes: allocated,
            physical_bytes: allocated,
        }
    }
}

/// The bytes of the files behind a disk, snapshots included: `VirtualMachineFileLayoutEx`.
fn allocated(layout: &Object, key: i32) -> Option<u64> {
    let objects = |object: &Object, name: &str| -> Vec<Object> {
        let items = object.get(name).map_or(&[][..], Value::items);
        items.iter().filter_map(Value::as_object).cloned().collect()
    };
    let disk = objects(layout, "disk").into_iter().find(|disk| number(disk, "key") == Some(key))?;
    let keys: Vec<i64> = objects(&disk, "chain")
        .iter()
        .flat_map(|unit| unit.get("fileKey").map_or(&[][..], Value::items).to_vec())
        .filter_map(|key| key.as_i64())
        .collect();
    let sizes = objects(layout, "file").into_iter().filter_map(|file| {
        let key = file.get("key").and_then(Value::as_i64)?;
        let size = file.get("size").and_then(Value::as_i64)?;
        keys.contains(&key).then(|| u64::try_from(size).unwrap_or(0))
    });
    Some(sizes.fold(0, u64::saturating_add))
}

/// The file or host device behind a disk or drive.
pub(crate) fn drive_source(device: &Object) -> Option<String> {
    let backing = backing(device)?;
    let text = |name| backing.str(name).filter(|text| !text.is_empty()).map(str::to_owned);
    text("fileName").or_else(|| text("deviceName"))
}

/// The network an adapter is in: a name, or the key of a distributed port group.
pub(crate) fn network_name(adapter: &Object) -> Option<&str> {
    let backing = backing(adapter)?;
    backing
        .str("deviceName")
        .or_else(|| backing.get_path("port.portgroupKey").and_then(Value::as_str))
}

/// libvirt's word for an adapter's model.
pub(crate) fn adapter_model(adapter: &Object) -> Option<&'static str> {
    MODELS.iter().find(|(_, class)| *class == adapter.type_name).map(|(word, _)| *word)
}

fn block_device(drive: &DriveAt<'_>) -> DomainBlockDevice {
    let is_file = backing(drive.device)
        .is_none_or(|backing| !is_subtype(&backing.type_name, "VirtualDeviceDeviceBackingInfo"));
    DomainBlockDevice {
        kind: if is_file { "file" } else { "block" }.to_owned(),
        device: drive.kind.word().to_owned(),
        target: drive.target.clone(),
        bus: drive.place.bus.word().to_owned(),
        source: drive_source(drive.device),
    }
}

fn interface_device(adapter: &Object) -> DomainInterfaceDevice {
    let class = backing(adapter).map(|backing| &*backing.type_name);
    let vds = class == Some("VirtualEthernetCardDistributedVirtualPortBackingInfo");
    DomainInterfaceDevice {
        name: None,
        kind: if vds { "vds" } else { "bridge" }.to_owned(),
        source: network_name(adapter).map(str::to_owned),
        model: adapter_model(adapter).map(str::to_owned),
        mac: adapter.str("macAddress").map(str::to_ascii_lowercase),
        link_up: adapter.get_path("connectable.startConnected").and_then(Value::as_bool),
    }
}

impl Session {
    async fn device_row(&self, domain: &Domain, paths: &[&str]) -> Result<DeviceRow> {
        let found = self.find_domain(domain, Wanted { paths, autostart: false }).await?;
        DeviceRow::read(&found.row)
    }

    /// The disks and drives, in the order of their buses and places: one request.
    pub(crate) async fn block_devices(&self, domain: &Domain) -> Result<Vec<DomainBlockDevice>> {
        let row = self.device_row(domain, &[DEVICES, VERSION]).await?;
        Ok(row.hardware().sorted_drives().iter().map(block_device).collect())
    }

    /// The network adapters: one request.
    pub(crate) async fn interface_devices(
        &self,
        domain: &Domain,
    ) -> Result<Vec<DomainInterfaceDevice>> {
        let row = self.device_row(domain, &[DEVICES, VERSION]).await?;
        let hardware = row.hardware();
        Ok(hardware.of("VirtualEthernetCard").map(interface_device).collect())
    }

    /// libvirt `virDomainGetBlockInfo`: one request. Allocation and physical size are those of all files of the
    /// disk, its snapshots included.
    pub(crate) async fn block_info(
        &self,
        domain: &Domain,
        disk: &str,
        flags: NoFlags,
    ) -> Result<DomainBlockInfo> {
        check_flags("virDomainGetBlockInfo", flags, NoFlags::empty())?;
        let row = self.device_row(domain, &[DEVICES, VERSION, FILES]).await?;
        let hardware = row.hardware();
        let drives = hardware.sorted_drives();
        let named = |drive: &&DriveAt<'_>| {
            drive.target == disk || drive_source(drive.device).as_deref() == Some(disk)
        };
        // One target may be of a disk and of a drive, on two buses: the disk has a size.
        let fitting: Vec<_> = drives.iter().filter(named).collect();
        let disk_first = fitting.iter().find(|drive| drive.kind == DriveKind::Disk);
        let found = disk_first.or(fitting.first()).ok_or_else(|| {
            let message = format!("domain {:?} has no disk {disk:?}", domain.name);
            Error::invalid_arg(ErrorDomain::Esx, message)
        })?;
        Ok(row.sizes(found))
    }
}
