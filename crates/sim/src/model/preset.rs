//! The built-in inventories, the same in every process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use esx_vi_api::{ApiVersion, MoRef};
use uuid::Uuid;

use super::autostart::AutoStart;
use super::content::StoredFile;
use super::datastore::{Datastore, DatastoreKind};
use super::host::{Host, MANAGERS};
use super::inventory::{
    Compute, Datacenter, Folder, Inventory, Item, Network, Pool, Preset, Switch, SwitchEntity,
};
use super::machine::{Machine, Placement, PowerState};
use super::network::Networking;
use super::samples;
use super::service;
use super::storage::Storage;

const TIB: i64 = 1 << 40;

/// Where things of the built-in machines live.
pub(super) struct Sites {
    /// The usual place, and another one on the same host (elsewhere on a vCenter: another folder).
    pub(super) first: Arc<Placement>,
    pub(super) second: Arc<Placement>,
    /// The datastore whose name has a space and a plus sign.
    pub(super) odd_datastore: MoRef,
    pub(super) network: MoRef,
    /// A second network; on a vCenter, a distributed port group.
    pub(super) other_network: MoRef,
}

/// The inventory of `preset`, with `vms` ordinary machines beside the built-in ones, and on a host if there are `volumes`
/// the datastore `bulk` with so many disks.
pub(super) fn build(preset: Preset, api_version: ApiVersion, vms: u32, volumes: u32) -> Inventory {
    let (mut inventory, sites, generated) = match preset {
        Preset::Esx => esx(api_version, volumes),
        Preset::VCenter => vcenter(api_version),
    };
    for class in service::managers(preset) {
        inventory.add(Item::Manager(class));
    }
    inventory.add(Item::Manager(MoRef::new("EnvironmentBrowser", inventory.environment_browser())));
    for machine in samples::machines(preset, &sites) {
        inventory.add_machine(machine);
    }
    for number in 1..=vms {
        let id = samples::FIRST_GENERATED + number;
        let place = &generated[number as usize % generated.len()];
        let machine = generate(preset, id, number, Arc::clone(place), sites.network.clone());
        inventory.add_machine(machine);
    }
    let newest = newest_hardware(api_version);
    let morefs: Vec<MoRef> = inventory.machines().map(|machine| machine.moref.clone()).collect();
    for moref in morefs {
        if let Some(machine) = inventory.machine_mut(&moref) {
            machine.hardware_version = machine.hardware_version.min(newest);
        }
    }
    inventory
}

/// The reference of the machine number `id`.
pub(super) fn machine_moref(preset: Preset, id: u32) -> MoRef {
    let value = match preset {
        Preset::Esx => id.to_string(),
        Preset::VCenter => format!("vm-{id}"),
    };
    MoRef::new("VirtualMachine", value)
}

/// An ordinary machine of the kind that `--vms` makes: every other one runs.
fn generate(
    preset: Preset,
    id: u32,
    number: u32,
    place: Arc<Placement>,
    network: MoRef,
) -> Machine {
    let name = format!("vm-{number:05}");
    let mut machine = Machine::ordinary(machine_moref(preset, id), id, &name, place, network);
    machine.cpus = 1 + (number % 4) as i32;
    machine.memory_mib = 1024 << (number % 3);
    if number.is_multiple_of(2) {
        machine.power = PowerState::PoweredOn;
    }
    machine
}

/// The newest virtual hardware that a host of this API version runs.
fn newest_hardware(api_version: ApiVersion) -> u8 {
    let table = [
        (ApiVersion::new(8, 0, 0, 0), 20),
        (ApiVersion::new(6, 7, 0, 0), 14),
        (ApiVersion::V4_0, 7),
    ];
    table.into_iter().find(|(since, _)| *since <= api_version).map_or(4, |(_, version)| version)
}

fn folder(
    moref: &str,
    parent: Option<&MoRef>,
    name: &str,
    child_types: &'static [&'static str],
) -> Folder {
    Folder {
        moref: MoRef::new("Folder", moref),
        parent: parent.cloned(),
        name: name.to_owned(),
        child_types,
        children: Vec::new(),
    }
}

const OF_DATACENTERS: &[&str] = &["Folder", "Datacenter"];
const OF_HOSTS: &[&str] = &["Folder", "ComputeResource"];
const OF_MACHINES: &[&str] = &["Folder", "VirtualMachine", "VirtualApp"];
const OF_DATASTORES: &[&str] = &["Folder", "StoragePod", "Datastore"];
const OF_NETWORKS: &[&str] = &["Folder", "Network", "DistributedVirtualSwitch"];

/// Adds a folder below another and returns its reference.
fn add_folder(
    inventory: &mut Inventory,
    moref: &str,
    parent: &MoRef,
    name: &str,
    types: &'static [&'static str],
) -> MoRef {
    let folder = folder(moref, Some(parent), name, types);
    let moref = folder.moref.clone();
    inventory.add(Item::Folder(folder));
    moref
}

/// Adds a datacenter with its four folders, whose references are made of the prefixes and `suffix`.
fn add_datacenter(
    inventory: &mut Inventory,
    parent: &MoRef,
    moref: &str,
    name: &str,
    folders: [&str; 4],
) -> Datacenter {
    let moref = MoRef::new("Datacenter", moref);
    let [vm, host, datastore, network] = folders.map(|value| MoRef::new("Folder", value));
    let datacenter = Datacenter {
        moref: moref.clone(),
        parent: parent.clone(),
        name: name.to_owned(),
        vm_folder: vm,
        host_folder: host,
        datastore_folder: datastore,
        network_folder: network,
    };
    inventory.add(Item::Datacenter(datacenter.clone()));
    let kinds = [
        ("vm", OF_MACHINES),
        ("host", OF_HOSTS),
        ("datastore", OF_DATASTORES),
        ("network", OF_NETWORKS),
    ];
    for (value, (name, types)) in folders.into_iter().zip(kinds) {
        add_folder(inventory, value, &moref, name, types);
    }
    datacenter
}

struct DatastoreSpec<'a> {
    moref: &'a str,
    name: &'a str,
    volume: &'a str,
    kind: DatastoreKind,
    browser: &'a str,
    capacity: i64,
}

fn add_datastore(inventory: &mut Inventory, parent: &MoRef, spec: DatastoreSpec<'_>) -> MoRef {
    let moref = MoRef::new("Datastore", spec.moref);
    let browser = MoRef::new("HostDatastoreBrowser", spec.browser);
    inventory.add(Item::Manager(browser.clone()));
    inventory.add(Item::Datastore(Box::new(Datastore {
        moref: moref.clone(),
        parent: parent.clone(),
        name: spec.name.to_owned(),
        volume: spec.volume.to_owned(),
        kind: spec.kind,
        accessible: true,
        capacity: spec.capacity,
        free: spec.capacity / 2,
        browser,
        directories: BTreeSet::new(),
        files: BTreeMap::from([("iso/debian-12.iso".to_owned(), StoredFile::default())]),
        locked: BTreeSet::new(),
    })));
    moref
}

fn add_network(
    inventory: &mut Inventory,
    parent: &MoRef,
    moref: &str,
    name: &str,
    switch: Option<Switch>,
) -> MoRef {
    let kind = if switch.is_some() { "DistributedVirtualPortgroup" } else { "Network" };
    let moref = MoRef::new(kind, moref);
    let network =
        Network { moref: moref.clone(), parent: parent.clone(), name: name.to_owned(), switch };
    inventory.add(Item::Network(network));
    moref
}

/// Adds a compute resource or cluster with its pool and hosts.
fn add_compute(inventory: &mut Inventory, compute: Compute, hosts: Vec<Host>) {
    let pool = Pool {
        moref: compute.pool.clone(),
        parent: compute.moref.clone(),
        name: "Resources".to_owned(),
        owner: compute.moref.clone(),
    };
    for host in hosts {
        for manager in &host.managers {
            inventory.add(Item::Manager(manager.clone()));
        }
        inventory.add(Item::Manager(host.browser.clone()));
        inventory.add(Item::Host(Box::new(host)));
    }
    inventory.add(Item::Pool(pool));
    inventory.add(Item::Compute(compute));
}

struct HostSpec<'a> {
    moref: &'a str,
    number: u8,
    name: &'a str,
    manager: &'a dyn Fn(&str) -> String,
    preset: Preset,
    datastores: &'a [MoRef],
    networks: &'a [MoRef],
}

fn host(parent: &MoRef, spec: &HostSpec<'_>) -> Host {
    let address = format!("10.80.0.{}", 10 + spec.number);
    let host_name = spec.name.split('.').next().unwrap_or_default();
    Host {
        moref: MoRef::new("HostSystem", spec.moref),
        parent: parent.clone(),
        name: spec.name.to_owned(),
        uuid: format!("4c4c4544-0042-4a10-8057-b4c04f4d30{:02x}", 0x31 + spec.number),
        host_name: host_name.to_owned(),
        domain: "sim.test".to_owned(),
        address: address.clone(),
        packages: 2,
        cores: 16,
        threads: 32,
        hz: 1_995_379_000,
        memory_bytes: 274_877_906_944,
        maintenance: false,
        autostart: AutoStart::default(),
        manager_address: None,
        datastores: spec.datastores.to_vec(),
        networks: spec.networks.to_vec(),
        storage: Storage::sample(spec.number),
        networking: Networking::sample(spec.number, &address, spec.preset),
        browser: MoRef::new("HostDatastoreBrowser", (spec.manager)("datastoreBrowser")),
        managers: MANAGERS
            .iter()
            .map(|(member, class)| MoRef::new(*class, (spec.manager)(member)))
            .collect(),
    }
}

/// Puts disks of various sizes on a datastore, fifty to a folder.
fn fill(store: &mut Datastore, volumes: u32) {
    for number in 0..volumes {
        let path = format!("set-{:03}/disk-{number:05}.vmdk", number / 50);
        store.put_sample_disk(&path, 1024 * (1 + i64::from(number % 64)), number % 2 == 0);
    }
}

fn esx(api_version: ApiVersion, volumes: u32) -> (Inventory, Sites, Vec<Arc<Placement>>) {
    let root = folder("ha-folder-root", None, "ha-folder-root", &["Datacenter"]);
    let mut inventory = Inventory::new(Preset::Esx, api_version, root.moref.clone());
    let root_moref = root.moref.clone();
    inventory.add(Item::Folder(root));
    let folders = ["ha-folder-vm", "ha-folder-host", "ha-folder-datastore", "ha-folder-network"];
    let datacenter =
        add_datacenter(&mut inventory, &root_moref, "ha-datacenter", "ha-datacenter", folders);

    let stores = &datacenter.datastore_folder;
    let first = add_datastore(
        &mut inventory,
        stores,
        DatastoreSpec {
            moref: "65a1b2c3-0d4e5f60-7a8b-000c29d1e2f3",
            name: "datastore1",
            volume: "65a1b2c3-0d4e5f60-7a8b-000c29d1e2f3",
            kind: DatastoreKind::Vmfs,
            browser: "ha-datastorebrowser-1",
            capacity: 4 * TIB,
        },
    );
    let odd = add_datastore(
        &mut inventory,
        stores,
        DatastoreSpec {
            moref: "65a1b2c3-1d4e5f60-7a8b-000c29d1e2f3",
            name: "fast +1",
            volume: "65a1b2c3-1d4e5f60-7a8b-000c29d1e2f3",
            kind: DatastoreKind::Vmfs,
            browser: "ha-datastorebrowser-2",
            capacity: TIB,
        },
    );
    let nfs = add_datastore(
        &mut inventory,
        stores,
        DatastoreSpec {
            moref: "10.80.0.5:/export/iso",
            name: "nfs-iso",
            volume: "a1b2c3d4-e5f60718",
            kind: DatastoreKind::Nfs { host: "10.80.0.5", path: "/export/iso" },
            browser: "ha-datastorebrowser-3",
            capacity: TIB,
        },
    );
    // What pools trip over: no VMFS, no name that needs no escapes, not within reach.
    let more = [
        ("odd (50%2f)", "65a1b2c3-2d4e5f60-7a8b-000c29d1e2f3", DatastoreKind::Vmfs),
        ("local (1)", "local-1", DatastoreKind::Local { path: "/var/lib/vmware/local 1" }),
        ("vsanDatastore", "vsan:52a1b2c30d4e5f60-7a8b9c0d1e2f3041", DatastoreKind::Vsan),
        (
            "nfs-lost",
            "b2c3d4e5-f6071829",
            DatastoreKind::Nfs { host: "10.80.0.6", path: "/export/lost" },
        ),
    ];
    let mut all = vec![first.clone(), odd.clone(), nfs];
    for (number, (name, volume, kind)) in (4..).zip(more) {
        let browser = &format!("ha-datastorebrowser-{number}");
        let spec = DatastoreSpec { moref: volume, name, volume, kind, browser, capacity: TIB };
        let moref = add_datastore(&mut inventory, stores, spec);
        if let Some(Item::Datastore(store)) = inventory.get_mut(&moref) {
            store.accessible = store.name != "nfs-lost";
        }
        all.push(moref);
    }
    if volumes > 0 {
        let volume = "65a1b2c3-3d4e5f60-7a8b-000c29d1e2f3";
        let spec = DatastoreSpec {
            moref: volume,
            name: "bulk",
            volume,
            kind: DatastoreKind::Vmfs,
            browser: "ha-datastorebrowser-9",
            capacity: 64 * TIB,
        };
        let moref = add_datastore(&mut inventory, stores, spec);
        if let Some(Item::Datastore(store)) = inventory.get_mut(&moref) {
            fill(store, volumes);
        }
        all.push(moref);
    }
    let networks = &datacenter.network_folder;
    let network = add_network(&mut inventory, networks, "HaNetwork-VM Network", "VM Network", None);
    let other = add_network(&mut inventory, networks, "HaNetwork-storage", "storage", None);

    let compute = Compute {
        moref: MoRef::new("ComputeResource", "ha-compute-res"),
        parent: datacenter.host_folder.clone(),
        name: "esx01.sim.test".to_owned(),
        pool: MoRef::new("ResourcePool", "ha-root-pool"),
        hosts: vec![MoRef::new("HostSystem", "ha-host")],
    };
    let manager = |member: &str| match member {
        "autoStartManager" => "ha-autostart-mgr".to_owned(),
        "networkSystem" => "networkSystem".to_owned(),
        other => format!("ha-{other}"),
    };
    let spec = HostSpec {
        moref: "ha-host",
        number: 1,
        name: "esx01.sim.test",
        manager: &manager,
        preset: Preset::Esx,
        datastores: &all,
        networks: &[network.clone(), other.clone()],
    };
    let host = host(&compute.moref, &spec);
    let place = Arc::new(Placement {
        folder: datacenter.vm_folder,
        host: host.moref.clone(),
        pool: compute.pool.clone(),
        datastore: first,
    });
    add_compute(&mut inventory, compute, vec![host]);
    let second = Arc::new(Placement { datastore: odd.clone(), ..(*place).clone() });
    let sites = Sites {
        first: Arc::clone(&place),
        second,
        odd_datastore: odd,
        network,
        other_network: other,
    };
    (inventory, sites, vec![place])
}

fn vcenter(api_version: ApiVersion) -> (Inventory, Sites, Vec<Arc<Placement>>) {
    let root = folder("group-d1", None, "Datacenters", OF_DATACENTERS);
    let mut inventory = Inventory::new(Preset::VCenter, api_version, root.moref.clone());
    let root_moref = root.moref.clone();
    inventory.add(Item::Folder(root));
    // A slash in a name: stored as %2f.
    let region = add_folder(&mut inventory, "group-d2", &root_moref, "Europe/West", OF_DATACENTERS);
    let folders = ["group-v4", "group-h5", "group-s6", "group-n7"];
    let first = add_datacenter(&mut inventory, &root_moref, "datacenter-3", "dc1", folders);
    let folders = ["group-v14", "group-h15", "group-s16", "group-n17"];
    let second = add_datacenter(&mut inventory, &region, "datacenter-13", "dc 2", folders);

    let store = |moref, name, volume, browser| DatastoreSpec {
        moref,
        name,
        volume,
        kind: DatastoreKind::Vmfs,
        browser,
        capacity: 4 * TIB,
    };
    let shared = add_datastore(
        &mut inventory,
        &first.datastore_folder,
        store(
            "datastore-30",
            "shared",
            "65a1b2c3-0d4e5f60-7a8b-005056d1e2f3",
            "datastoreBrowser-datastore-30",
        ),
    );
    let odd = add_datastore(
        &mut inventory,
        &first.datastore_folder,
        store(
            "datastore-31",
            "fast +1",
            "65a1b2c3-1d4e5f60-7a8b-005056d1e2f3",
            "datastoreBrowser-datastore-31",
        ),
    );
    let remote = add_datastore(
        &mut inventory,
        &second.datastore_folder,
        store(
            "datastore-32",
            "remote",
            "65a1b2c3-2d4e5f60-7a8b-005056d1e2f3",
            "datastoreBrowser-datastore-32",
        ),
    );
    let network =
        add_network(&mut inventory, &first.network_folder, "network-40", "VM Network", None);
    let switch = Switch {
        moref: MoRef::new("VmwareDistributedVirtualSwitch", "dvs-50"),
        name: "dvs".to_owned(),
        uuid: Uuid::from_u128(0x5034_26b2_94e9_3b16_1d68_87bf_ff4a_5440),
    };
    let portgroup = add_network(
        &mut inventory,
        &first.network_folder,
        "dvportgroup-51",
        "production",
        Some(switch.clone()),
    );
    inventory.add(Item::Switch(SwitchEntity {
        parent: first.network_folder.clone(),
        switch: switch.clone(),
        portgroups: vec![portgroup.clone()],
    }));
    let remote_network =
        add_network(&mut inventory, &second.network_folder, "network-41", "VM Network", None);

    let racks = add_folder(&mut inventory, "group-h8", &first.host_folder, "racks", OF_HOSTS);
    let web = add_folder(&mut inventory, "group-v60", &first.vm_folder, "web", OF_MACHINES);
    let nested = add_folder(&mut inventory, "group-v61", &web, "front/end", OF_MACHINES);
    let generated =
        add_folder(&mut inventory, "group-v62", &first.vm_folder, "generated", OF_MACHINES);

    let datastores = [shared.clone(), odd.clone()];
    let networks = [network.clone(), portgroup.clone()];
    let mut add = |class: &str,
                   value: &str,
                   folder: &MoRef,
                   name: &str,
                   pool: &str,
                   hosts: &[(&str, u8, &str)],
                   remote_site: bool| {
        let compute = Compute {
            moref: MoRef::new(class, value),
            parent: folder.clone(),
            name: name.to_owned(),
            pool: MoRef::new("ResourcePool", pool),
            hosts: hosts.iter().map(|(moref, ..)| MoRef::new("HostSystem", *moref)).collect(),
        };
        let (datastores, networks) = if remote_site {
            (vec![remote.clone()], vec![remote_network.clone()])
        } else {
            (datastores.to_vec(), networks.to_vec())
        };
        let made = hosts
            .iter()
            .map(|&(moref, number, name)| {
                let manager =
                    |member: &str| format!("{member}-{}", moref.trim_start_matches("host-"));
                let spec = HostSpec {
                    moref,
                    number,
                    name,
                    manager: &manager,
                    preset: Preset::VCenter,
                    datastores: &datastores,
                    networks: &networks,
                };
                let mut host = host(&compute.moref, &spec);
                host.manager_address = Some("10.80.0.2".to_owned());
                if !remote_site {
                    let uuid = super::machine::uuid_text(switch.uuid);
                    host.networking.join(&switch.name, uuid, "vmnic2");
                }
                host
            })
            .collect();
        add_compute(&mut inventory, compute, made);
    };
    let cluster = [("host-21", 1, "esx1.sim.test"), ("host-22", 2, "esx2.sim.test")];
    add(
        "ClusterComputeResource",
        "domain-c20",
        &first.host_folder,
        "cluster1",
        "resgroup-23",
        &cluster,
        false,
    );
    add(
        "ComputeResource",
        "domain-s24",
        &racks,
        "esx3.sim.test",
        "resgroup-26",
        &[("host-25", 3, "esx3.sim.test")],
        false,
    );
    add(
        "ComputeResource",
        "domain-s27",
        &second.host_folder,
        "esx4.sim.test",
        "resgroup-29",
        &[("host-28", 4, "esx4.sim.test")],
        true,
    );

    let place = |folder: &MoRef, host: &str, pool: &str, datastore: &MoRef| {
        Arc::new(Placement {
            folder: folder.clone(),
            host: MoRef::new("HostSystem", host),
            pool: MoRef::new("ResourcePool", pool),
            datastore: datastore.clone(),
        })
    };
    let sites = Sites {
        first: place(&nested, "host-21", "resgroup-23", &shared),
        second: place(&first.vm_folder, "host-21", "resgroup-23", &odd),
        odd_datastore: odd,
        network,
        other_network: portgroup,
    };
    let places = vec![
        place(&generated, "host-21", "resgroup-23", &shared),
        place(&generated, "host-22", "resgroup-23", &shared),
    ];
    // One machine on each stand-alone host.
    let samples = [
        (1, "rack-vm", place(&first.vm_folder, "host-25", "resgroup-26", &shared), &sites.network),
        (
            2,
            "remote-vm",
            place(&second.vm_folder, "host-28", "resgroup-29", &remote),
            &remote_network,
        ),
    ];
    for (id, name, place, network) in samples {
        let moref = machine_moref(Preset::VCenter, id);
        inventory.add_machine(Machine::ordinary(moref, id, name, place, network.clone()));
    }
    (inventory, sites, places)
}
