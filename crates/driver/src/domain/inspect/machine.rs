//! One machine's row in plain words.

use esx_vi_api::data::VirtualMachineSnapshotTree;
use esx_vi_api::properties::ObjectRow;
use esx_vi_api::schema::is_subtype;
use esx_vi_api::{Decode, MoRef, Object, Value};
use virt_api::{DomainInspection, InspectedDisk};

use super::Surroundings;
use super::findings::{self, Seen};
use crate::domain::Machine;
use crate::domain::device::{DeviceRow, DriveAt, DriveKind, Hardware, drive_source};

/// The classes of backings of disks, and what we call them.
const FORMATS: &[(&str, &str)] = &[
    ("VirtualDiskFlatVer1BackingInfo", "flat"),
    ("VirtualDiskFlatVer2BackingInfo", "flat"),
    ("VirtualDiskSparseVer1BackingInfo", "sparse"),
    ("VirtualDiskSparseVer2BackingInfo", "sparse"),
    ("VirtualDiskSeSparseBackingInfo", "sesparse"),
    ("VirtualDiskRawDiskMappingVer1BackingInfo", "rdm-virtual"),
    ("VirtualDiskRawDiskVer2BackingInfo", "rdm-physical"),
    ("VirtualDiskPartitionedRawDiskVer2BackingInfo", "rdm-physical"),
    ("VirtualDiskRemoteRawDiskBackingInfo", "remote"),
];
/// More files than this behind one disk are no chain but nonsense.
const MAX_CHAIN: u32 = 256;

/// A machine whose row lacks something is described as far as the row goes: a list never fails for one machine.
pub(in crate::domain) fn inspect(
    row: &ObjectRow,
    uuid_path: &str,
    around: &Surroundings,
) -> DomainInspection {
    let machine = Machine::read(row, uuid_path);
    let devices = DeviceRow::read(row).unwrap_or_default();
    let hardware = devices.hardware();
    let drives = hardware.sorted_drives();
    let of_kind = |kind| drives.iter().filter(move |drive| drive.kind == kind);
    let disks: Vec<_> = of_kind(DriveKind::Disk)
        .map(|drive| disk(drive, devices.sizes(drive).capacity_bytes, &hardware, around))
        .collect();
    let roots: Vec<VirtualMachineSnapshotTree> =
        row.get_lenient("snapshot.rootSnapshotList").ok().flatten().unwrap_or_default();
    let (snapshots, snapshot_depth) = shape(&roots);
    let mut seen = DomainInspection {
        state: machine.state,
        vmx_path: get(row, "config.files.vmPathName"),
        guest_id: get(row, "config.guestId"),
        hardware_version: row.has(crate::domain::device::VERSION).then_some(hardware.version),
        firmware: get(row, "config.firmware"),
        secure_boot: get(row, "config.bootOptions.efiSecureBootEnabled"),
        vtpm: hardware.of("VirtualTPM").next().is_some(),
        encrypted: row.has("config.keyId"),
        change_tracking: get(row, "config.changeTrackingEnabled"),
        snapshots,
        snapshot_depth,
        tools: get(row, "guest.toolsRunningStatus"),
        disks,
        findings: Vec::new(),
        domain: machine.domain,
    };
    let extra = Seen {
        problem: machine.problem,
        unreadable: !row.has(crate::domain::device::DEVICES),
        connection: get(row, "runtime.connectionState"),
        template: get::<bool>(row, "config.template") == Some(true),
        consolidation: get::<bool>(row, "runtime.consolidationNeeded") == Some(true),
        question: get::<Value>(row, "runtime.question")
            .and_then(|value| value.as_object()?.str("text").map(str::to_owned)),
        fault_tolerant: row.has("config.ftInfo"),
        managed_by: get::<Value>(row, "config.managedBy")
            .and_then(|value| value.as_object()?.str("extensionKey").map(str::to_owned))
            .filter(|key| !key.is_empty()),
        passthrough: names(&hardware, &["VirtualPCIPassthrough", "VirtualSriovEthernetCard"]),
        usb: names(&hardware, &["VirtualUSB"]),
        nvme: hardware.of("VirtualNVMEController").next().is_some(),
        connected_cdrom: of_kind(DriveKind::Cdrom)
            .filter(|drive| {
                drive.device.get_path("connectable.connected").and_then(Value::as_bool)
                    == Some(true)
            })
            .find_map(|drive| drive_source(drive.device)),
        inaccessible: seen
            .disks
            .iter()
            .filter_map(|disk| disk.datastore.as_deref())
            .find(|name| around.datastores.iter().any(|s| s.name == *name && !s.accessible))
            .map(str::to_owned),
    };
    seen.findings = findings::judge(&seen, &extra, around);
    seen
}

fn get<T: Decode>(row: &ObjectRow, path: &str) -> Option<T> {
    row.get_lenient(path).ok().flatten()
}

/// How the devices of these classes are called in the host's own client.
fn names(hardware: &Hardware<'_>, classes: &[&'static str]) -> Vec<String> {
    let label = |device: &Object| {
        let label = device.get_path("deviceInfo.label").and_then(Value::as_str);
        label.unwrap_or(&device.type_name).to_owned()
    };
    classes.iter().flat_map(|class| hardware.of(class).map(label).collect::<Vec<_>>()).collect()
}

/// How many snapshots, and how many levels of them.
fn shape(nodes: &[VirtualMachineSnapshotTree]) -> (u32, u32) {
    // The reader refuses documents that are nested too deep for this.
    nodes.iter().fold((0, 0), |(count, depth), node| {
        let (below, deeper) = shape(&node.child_snapshot_list);
        (count + 1 + below, depth.max(1 + deeper))
    })
}

fn disk(
    drive: &DriveAt<'_>,
    capacity_bytes: u64,
    hardware: &Hardware<'_>,
    around: &Surroundings,
) -> InspectedDisk {
    let backing = drive.device.get("backing").and_then(Value::as_object);
    let text = |member| backing.and_then(|b| b.str(member)).map(str::to_owned);
    let flag = |member| backing.and_then(|b| b.get(member)).and_then(Value::as_bool) == Some(true);
    let class = backing.map_or("", |b| &*b.type_name);
    let format = match FORMATS.iter().find(|(known, _)| *known == class).map(|(_, word)| *word) {
        Some("flat") if flag("thinProvisioned") => "thin",
        Some("rdm-virtual") if text("compatibilityMode").as_deref() == Some("physicalMode") => {
            "rdm-physical"
        }
        Some(word) => word,
        None => class,
    };
    let controller = drive.device.get("controllerKey").and_then(Value::as_i64);
    let shared_bus = hardware
        .of("VirtualSCSIController")
        .filter(|c| c.get("key").and_then(Value::as_i64) == controller)
        .any(|c| c.str("sharedBus").is_some_and(|word| word != "noSharing"));
    let sharing = text("sharing").is_some_and(|word| word != "sharingNone");
    let store = backing
        .and_then(|b| b.get("datastore"))
        .and_then(Value::as_moref)
        .and_then(|moref: &MoRef| around.store(moref));
    let path = drive_source(drive.device).filter(|path| !path.is_empty());
    InspectedDisk {
        target: drive.target.clone(),
        bus: drive.place.bus.word().to_owned(),
        capacity_bytes,
        format: format.to_owned(),
        mode: text("diskMode"),
        shared: sharing || shared_bus,
        encrypted: backing.is_some_and(|b| b.get("keyId").is_some()),
        chain: chain(backing),
        datastore: store.map(|store| store.name.clone()).or_else(|| {
            path.as_deref()?.strip_prefix('[')?.split_once(']').map(|(name, _)| name.to_owned())
        }),
        datastore_kind: store.and_then(|store| store.kind.clone()),
        path,
    }
}

/// How many files the data are spread over, by the parents of the backing.
fn chain(backing: Option<&Object>) -> u32 {
    let mut count = 0;
    let mut link = backing;
    while let Some(object) = link.filter(|_| count < MAX_CHAIN) {
        if !is_subtype(&object.type_name, "VirtualDeviceBackingInfo") {
            break;
        }
        count += 1;
        link = object.get("parent").and_then(Value::as_object);
    }
    count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_counted_to_its_base() {
        let flat = || Object::new("VirtualDiskFlatVer2BackingInfo");
        assert_eq!(chain(None), 1);
        assert_eq!(chain(Some(&flat())), 1);
        let child = flat().with("parent", flat().with("parent", flat()));
        assert_eq!(chain(Some(&child)), 3);
    }
}
