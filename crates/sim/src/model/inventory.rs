//! The managed objects of a host, and how they hang together.

use std::collections::{BTreeMap, HashMap};

use esx_escape::percent;
use esx_vi_api::{ApiVersion, MoRef, Value, schema};
use uuid::Uuid;

use super::datastore::Datastore;
use super::host::Host;
use super::lease::Lease;
use super::machine::{FileRef, Machine, Snapshot, entity_default, uuid_for};
use super::task::Task;
use super::time::Timestamp;
use super::tree;

/// What kind of server is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// A stand-alone ESXi host with one inventory folder of each kind.
    Esx,
    /// A vCenter with folders, two datacenters, a cluster, stand-alone hosts and a distributed switch.
    VCenter,
}

#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) moref: MoRef,
    pub(crate) parent: Option<MoRef>,
    /// The plain name; as stored, it is percent-escaped.
    pub(crate) name: String,
    pub(crate) child_types: &'static [&'static str],
    pub(crate) children: Vec<MoRef>,
}

#[derive(Debug, Clone)]
pub(crate) struct Datacenter {
    pub(crate) moref: MoRef,
    pub(crate) parent: MoRef,
    pub(crate) name: String,
    pub(crate) vm_folder: MoRef,
    pub(crate) host_folder: MoRef,
    pub(crate) datastore_folder: MoRef,
    pub(crate) network_folder: MoRef,
}

/// A `ComputeResource`, or, by its reference, a `ClusterComputeResource`.
#[derive(Debug, Clone)]
pub(crate) struct Compute {
    pub(crate) moref: MoRef,
    pub(crate) parent: MoRef,
    pub(crate) name: String,
    pub(crate) pool: MoRef,
    pub(crate) hosts: Vec<MoRef>,
}

#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pub(crate) moref: MoRef,
    pub(crate) parent: MoRef,
    pub(crate) name: String,
    pub(crate) owner: MoRef,
}

/// The distributed switch of a port group.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    pub(crate) moref: MoRef,
    pub(crate) name: String,
    pub(crate) uuid: Uuid,
}

/// A `Network` or, with a switch, a `DistributedVirtualPortgroup`.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) moref: MoRef,
    pub(crate) parent: MoRef,
    pub(crate) name: String,
    pub(crate) switch: Option<Switch>,
}

/// A distributed switch as an entity of its own.
#[derive(Debug, Clone)]
pub(crate) struct SwitchEntity {
    pub(crate) parent: MoRef,
    pub(crate) switch: Switch,
    pub(crate) portgroups: Vec<MoRef>,
}

/// A managed object. Sessions, filters and views are not here: they belong to callers.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Folder(Folder),
    Datacenter(Datacenter),
    Compute(Compute),
    Pool(Pool),
    Host(Box<Host>),
    Datastore(Box<Datastore>),
    Network(Network),
    Switch(SwitchEntity),
    Machine(Box<Machine>),
    /// A snapshot of the machine given; the tree is there.
    Snapshot(MoRef),
    Task(Box<Task>),
    Lease(Box<Lease>),
    /// A manager: an object whose properties, if any, say nothing.
    Manager(MoRef),
}

impl Item {
    pub(crate) fn moref(&self) -> Option<&MoRef> {
        Some(match self {
            Self::Folder(item) => &item.moref,
            Self::Datacenter(item) => &item.moref,
            Self::Compute(item) => &item.moref,
            Self::Pool(item) => &item.moref,
            Self::Host(item) => &item.moref,
            Self::Datastore(item) => &item.moref,
            Self::Network(item) => &item.moref,
            Self::Switch(item) => &item.switch.moref,
            Self::Machine(item) => &item.moref,
            Self::Manager(moref) => moref,
            Self::Task(item) => &item.moref,
            Self::Lease(item) => &item.moref,
            Self::Snapshot(_) => return None,
        })
    }

    /// The plain name of a managed entity, and where it hangs.
    fn name_and_parent(&self) -> Option<(&str, Option<&MoRef>)> {
        Some(match self {
            Self::Folder(item) => (&item.name, item.parent.as_ref()),
            Self::Datacenter(item) => (&item.name, Some(&item.parent)),
            Self::Compute(item) => (&item.name, Some(&item.parent)),
            Self::Pool(item) => (&item.name, Some(&item.parent)),
            Self::Host(item) => (&item.name, Some(&item.parent)),
            Self::Datastore(item) => (&item.name, Some(&item.parent)),
            Self::Network(item) => (&item.name, Some(&item.parent)),
            Self::Switch(item) => (&item.switch.name, Some(&item.parent)),
            Self::Machine(item) => (&item.name, Some(&item.place.folder)),
            Self::Snapshot(_) | Self::Task(_) | Self::Lease(_) | Self::Manager(_) => return None,
        })
    }
}

/// All managed objects that exist for every caller.
#[derive(Debug, Clone)]
pub(crate) struct Inventory {
    pub(crate) preset: Preset,
    pub(crate) api_version: ApiVersion,
    pub(crate) root: MoRef,
    items: HashMap<MoRef, Item>,
    /// The machines in the order of their registration.
    machines: Vec<MoRef>,
    /// The tasks that can still be seen, the oldest first.
    pub(crate) tasks: Vec<MoRef>,
    leases: Vec<MoRef>,
    /// `uuid.location` of VMX files that were registered once: datastore and path.
    pub(crate) locations: BTreeMap<(MoRef, String), Uuid>,
    /// Machines that were unregistered, by datastore and path: what their `.vmsd` files would tell.
    pub(crate) shelf: BTreeMap<(MoRef, String), Box<Machine>>,
    /// Whether the licence covers serial ports on the network.
    pub(crate) serial_uri_licensed: bool,
    /// Whether it is the licence without charge, under which nothing may be changed.
    pub(crate) free_license: bool,
}

impl Inventory {
    pub(crate) fn new(preset: Preset, api_version: ApiVersion, root: MoRef) -> Self {
        Self {
            preset,
            api_version,
            root,
            items: HashMap::new(),
            machines: Vec::new(),
            tasks: Vec::new(),
            leases: Vec::new(),
            locations: BTreeMap::new(),
            shelf: BTreeMap::new(),
            serial_uri_licensed: true,
            free_license: false,
        }
    }

    pub(crate) fn get(&self, moref: &MoRef) -> Option<&Item> {
        self.items.get(moref)
    }

    pub(crate) fn get_mut(&mut self, moref: &MoRef) -> Option<&mut Item> {
        self.items.get_mut(moref)
    }

    /// Adds a managed object. A folder learns of its new child.
    pub(crate) fn add(&mut self, item: Item) {
        let Some(moref) = item.moref().cloned() else { return };
        if let Some((_, Some(parent))) = item.name_and_parent()
            && let Some(Item::Folder(folder)) = self.items.get_mut(parent)
            && !folder.children.contains(&moref)
        {
            folder.children.push(moref.clone());
        }
        self.items.insert(moref, item);
    }

    pub(crate) fn add_machine(&mut self, machine: Machine) {
        let moref = machine.moref.clone();
        // Its own files are served from the record; those elsewhere lie there.
        let mut elsewhere = Vec::new();
        for (file, disk) in machine.disk_files() {
            if let FileRef::On { datastore, path } = file
                && disk.capacity_kib > 0
            {
                elsewhere.push((datastore.clone(), path.clone(), machine.descriptor(file, disk)));
            }
        }
        for (datastore, path, content) in elsewhere {
            if let Some(Item::Datastore(datastore)) = self.items.get_mut(&datastore)
                && !datastore.files.contains_key(&path)
            {
                datastore.put_disk(path, content, Timestamp::default());
            }
        }
        for root in &machine.snapshots {
            self.add_snapshot(root, &moref);
        }
        if let Some(Item::Folder(folder)) = self.items.get_mut(&machine.place.folder) {
            folder.children.push(moref.clone());
        }
        self.machines.push(moref.clone());
        self.items.insert(moref, Item::Machine(Box::new(machine)));
    }

    fn add_snapshot(&mut self, snapshot: &Snapshot, machine: &MoRef) {
        self.items.insert(snapshot.moref.clone(), Item::Snapshot(machine.clone()));
        for child in &snapshot.children {
            self.add_snapshot(child, machine);
        }
    }

    /// Learns anew which snapshots a machine has.
    pub(crate) fn know_snapshots(&mut self, moref: &MoRef) {
        self.items.retain(|_, item| !matches!(item, Item::Snapshot(owner) if owner == moref));
        let roots = self.machine(moref).map(|machine| machine.snapshots.clone());
        for root in roots.unwrap_or_default() {
            self.add_snapshot(&root, moref);
        }
    }

    /// Moves a machine to another place, folder included.
    pub(crate) fn move_machine(&mut self, moref: &MoRef, place: super::machine::Placement) {
        let Some(machine) = self.machine_mut(moref) else { return };
        let old = machine.place.folder.clone();
        let new = place.folder.clone();
        machine.place = std::sync::Arc::new(place);
        if let Some(Item::Folder(folder)) = self.items.get_mut(&old) {
            folder.children.retain(|child| child != moref);
        }
        if let Some(Item::Folder(folder)) = self.items.get_mut(&new) {
            folder.children.push(moref.clone());
        }
    }

    pub(crate) fn remove_machine(&mut self, moref: &MoRef) -> bool {
        let Some(Item::Machine(machine)) = self.items.remove(moref) else { return false };
        self.machines.retain(|other| other != moref);
        self.items.retain(|_, item| !matches!(item, Item::Snapshot(owner) if owner == moref));
        if let Some(Item::Folder(folder)) = self.items.get_mut(&machine.place.folder) {
            folder.children.retain(|child| child != moref);
        }
        for item in self.items.values_mut() {
            if let Item::Host(host) = item {
                host.autostart.forget(moref);
            }
        }
        true
    }

    pub(crate) fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().filter_map(|moref| self.machine(moref))
    }

    pub(crate) fn machine(&self, moref: &MoRef) -> Option<&Machine> {
        if let Some(Item::Machine(machine)) = self.items.get(moref) { Some(machine) } else { None }
    }

    pub(crate) fn machine_mut(&mut self, moref: &MoRef) -> Option<&mut Machine> {
        if let Some(Item::Machine(machine)) = self.items.get_mut(moref) {
            Some(machine)
        } else {
            None
        }
    }

    /// What `uuid.location` of a machine's VMX file should be, where the file lies now.
    pub(crate) fn location(&self, machine: &Machine) -> Uuid {
        self.location_at(&machine.place.datastore, &machine.vmx_path())
    }

    /// The same for any VMX file.
    pub(crate) fn location_at(&self, datastore: &MoRef, path: &str) -> Uuid {
        let known = self.locations.get(&(datastore.clone(), path.to_owned())).copied();
        known.unwrap_or_else(|| {
            // FNV-1a: the same path gives the same UUID in every process.
            let hash = path
                .bytes()
                .chain(datastore.value.bytes())
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                });
            uuid_for((hash >> 32) as u32, hash & 0xff | 0x40)
        })
    }

    pub(crate) fn task(&self, moref: &MoRef) -> Option<&Task> {
        if let Some(Item::Task(task)) = self.items.get(moref) { Some(task) } else { None }
    }

    pub(crate) fn task_mut(&mut self, moref: &MoRef) -> Option<&mut Task> {
        if let Some(Item::Task(task)) = self.items.get_mut(moref) { Some(task) } else { None }
    }

    /// All tasks that can be seen, the oldest first.
    pub(crate) fn all_tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter_map(|moref| self.task(moref))
    }

    pub(crate) fn add_task(&mut self, task: Task) {
        self.tasks.push(task.moref.clone());
        self.items.insert(task.moref.clone(), Item::Task(Box::new(task)));
    }

    pub(crate) fn remove_task(&mut self, moref: &MoRef) -> bool {
        let found = self.task(moref).is_some();
        if found {
            self.items.remove(moref);
            self.tasks.retain(|other| other != moref);
        }
        found
    }

    /// Removes the tasks that `old` accepts. Returns whether there were any.
    pub(crate) fn forget_tasks(&mut self, old: impl Fn(&Task) -> bool) -> bool {
        let gone: Vec<MoRef> =
            self.all_tasks().filter(|task| old(task)).map(|task| task.moref.clone()).collect();
        for moref in &gone {
            self.remove_task(moref);
        }
        !gone.is_empty()
    }

    /// All leases, in no order.
    pub(crate) fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.iter().filter_map(|moref| match self.items.get(moref) {
            Some(Item::Lease(lease)) => Some(&**lease),
            _ => None,
        })
    }

    pub(crate) fn leases_mut(&mut self) -> impl Iterator<Item = &mut Lease> {
        // There are few: looking at everything would be slow for the machines' sake.
        let mut found = Vec::new();
        if !self.leases.is_empty() {
            found.extend(self.items.values_mut().filter_map(|item| match item {
                Item::Lease(lease) => Some(&mut **lease),
                _ => None,
            }));
        }
        found.into_iter()
    }

    pub(crate) fn add_lease(&mut self, lease: Lease) {
        self.leases.push(lease.moref.clone());
        self.items.insert(lease.moref.clone(), Item::Lease(Box::new(lease)));
    }

    /// Removes the leases that `old` accepts. Returns whether there were any.
    pub(crate) fn forget_leases(&mut self, old: impl Fn(&Lease) -> bool) -> bool {
        let gone: Vec<MoRef> =
            self.leases().filter(|lease| old(lease)).map(|lease| lease.moref.clone()).collect();
        for moref in &gone {
            self.items.remove(moref);
        }
        self.leases.retain(|moref| !gone.contains(moref));
        !gone.is_empty()
    }

    /// The machine that a snapshot is of.
    pub(crate) fn owner_of_snapshot(&self, snapshot: &MoRef) -> Option<&MoRef> {
        if let Some(Item::Snapshot(owner)) = self.items.get(snapshot) { Some(owner) } else { None }
    }

    pub(crate) fn datastore(&self, moref: &MoRef) -> Option<&Datastore> {
        if let Some(Item::Datastore(datastore)) = self.items.get(moref) {
            Some(datastore)
        } else {
            None
        }
    }

    pub(crate) fn network(&self, moref: &MoRef) -> Option<&Network> {
        if let Some(Item::Network(network)) = self.items.get(moref) { Some(network) } else { None }
    }

    pub(crate) fn host(&self, moref: &MoRef) -> Option<&Host> {
        if let Some(Item::Host(host)) = self.items.get(moref) { Some(host) } else { None }
    }

    pub(crate) fn datacenter(&self, moref: &MoRef) -> Option<&Datacenter> {
        if let Some(Item::Datacenter(datacenter)) = self.items.get(moref) {
            Some(datacenter)
        } else {
            None
        }
    }

    /// All references, in no order.
    pub(crate) fn morefs(&self) -> impl Iterator<Item = &MoRef> {
        self.items.keys()
    }

    /// The plain name of a managed entity.
    pub(crate) fn name(&self, moref: &MoRef) -> Option<&str> {
        self.get(moref)?.name_and_parent().map(|(name, _)| name)
    }

    pub(crate) fn parent(&self, moref: &MoRef) -> Option<&MoRef> {
        self.get(moref)?.name_and_parent()?.1
    }

    /// Whether `moref` is `ancestor` or hangs somewhere below it.
    pub(crate) fn is_below(&self, moref: &MoRef, ancestor: &MoRef) -> bool {
        let mut current = Some(moref);
        while let Some(moref) = current {
            if moref == ancestor {
                return true;
            }
            current = self.parent(moref);
        }
        false
    }

    /// The datacenter that an entity belongs to.
    pub(crate) fn datacenter_of(&self, moref: &MoRef) -> Option<&Datacenter> {
        let mut current = Some(moref);
        while let Some(moref) = current {
            if let Some(datacenter) = self.datacenter(moref) {
                return Some(datacenter);
            }
            current = self.parent(moref);
        }
        None
    }

    /// Names from below the root folder down to `moref`, as stored, joined by slashes.
    pub(crate) fn path(&self, moref: &MoRef) -> String {
        let mut names = Vec::new();
        let mut current = Some(moref);
        while let Some(moref) = current.filter(|moref| **moref != self.root) {
            names.extend(self.name(moref).map(percent::escape));
            current = self.parent(moref);
        }
        names.reverse();
        names.join("/")
    }

    /// The entities right below an entity, in the hierarchy that containers and inventory paths go down.
    pub(crate) fn children(&self, moref: &MoRef) -> Vec<&MoRef> {
        match self.get(moref) {
            Some(Item::Folder(folder)) => folder.children.iter().collect(),
            Some(Item::Datacenter(item)) => {
                vec![
                    &item.vm_folder,
                    &item.host_folder,
                    &item.datastore_folder,
                    &item.network_folder,
                ]
            }
            Some(Item::Compute(item)) => item.hosts.iter().chain([&item.pool]).collect(),
            Some(Item::Pool(item)) => {
                self.machines_where(|machine| machine.place.pool == item.moref)
            }
            Some(Item::Host(item)) => {
                self.machines_where(|machine| machine.place.host == item.moref)
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn machines_where(&self, found: impl Fn(&Machine) -> bool) -> Vec<&MoRef> {
        self.machines().filter(|machine| found(machine)).map(|machine| &machine.moref).collect()
    }

    /// The datastores and networks of a datacenter: what its folders for them hold.
    pub(crate) fn folder_children(&self, folder: &MoRef) -> &[MoRef] {
        if let Some(Item::Folder(folder)) = self.get(folder) { &folder.children } else { &[] }
    }

    /// The reference value of the object behind `environmentBrowser`.
    pub(crate) fn environment_browser(&self) -> &'static str {
        match self.preset {
            Preset::Esx => "ha-env-browser",
            Preset::VCenter => "envbrowser-1",
        }
    }

    /// A property by its name; `None` if it is unset (or no property of the class: paths are checked before).
    pub(crate) fn property(&self, moref: &MoRef, name: &str) -> Option<Value> {
        let item = self.get(moref)?;
        let own = match item {
            Item::Folder(item) => self.folder_property(item, name),
            Item::Datacenter(item) => self.datacenter_property(item, name),
            Item::Compute(item) => self.compute_property(item, name),
            Item::Pool(item) => self.pool_property(item, name),
            Item::Host(item) => self.host_property(item, name),
            Item::Datastore(item) => self.datastore_property(item, name),
            Item::Network(item) => self.network_property(item, name),
            Item::Switch(item) => self.switch_property(item, name),
            Item::Machine(item) => item.property(self, name),
            Item::Snapshot(owner) => {
                let machine = self.machine(owner)?;
                return machine.snapshot_property(self, machine.snapshot(moref)?, name);
            }
            Item::Task(task) => return task.property(name),
            Item::Lease(lease) => return lease.property(name),
            Item::Manager(moref) => return self.manager_property(moref, name),
        };
        own.or_else(|| match (name, item.name_and_parent()?) {
            ("name", (name, _)) => Some(percent::escape(name).as_ref().into()),
            ("parent", (_, parent)) => parent.map(Value::from),
            ("recentTask", _) => {
                let own = self.all_tasks().filter(|task| task.entity == *moref);
                Some(tree::references(own.map(|task| &task.moref)))
            }
            // A machine has unset properties of its own; these are set for every entity.
            _ => entity_default(name),
        })
    }

    /// Managers have only what the schema calls mandatory, and the few properties that somebody reads.
    fn manager_property(&self, moref: &MoRef, name: &str) -> Option<Value> {
        match (moref.kind.as_str(), name) {
            ("HostAutoStartManager", "config") => {
                let host = self.host(&self.host_of_manager(moref)?)?;
                Some(host.autostart.config().into())
            }
            ("TaskManager", "recentTask") => Some(tree::references(&self.tasks)),
            ("HostStorageSystem", "storageDeviceInfo") => {
                let host = self.host(&self.host_of_manager(moref)?)?;
                Some(host.storage.device_info().into())
            }
            ("HostDatastoreSystem", "datastore") => {
                let host = self.host(&self.host_of_manager(moref)?)?;
                Some(tree::references(&host.datastores))
            }
            ("HostNetworkSystem", name) => {
                let host = self.host(&self.host_of_manager(moref)?)?;
                self.network_system_property(host, name)
            }
            ("HostDatastoreBrowser", "datastore") => {
                Some(tree::references(self.items.values().filter_map(|item| match item {
                    Item::Datastore(datastore) if datastore.browser == *moref => {
                        Some(&datastore.moref)
                    }
                    _ => None,
                })))
            }
            _ => {
                let property =
                    schema::properties(&moref.kind).find(|property| property.name == name)?;
                (!property.optional).then(|| tree::default(property))
            }
        }
    }

    /// Takes a network out of the inventory.
    pub(crate) fn remove_network(&mut self, moref: &MoRef) {
        if let Some(Item::Network(network)) = self.items.remove(moref)
            && let Some(Item::Folder(folder)) = self.items.get_mut(&network.parent)
        {
            folder.children.retain(|child| child != moref);
        }
    }

    /// A value, `prefix` and a number, that no object of the class has.
    pub(crate) fn free_value(&self, class: &'static str, prefix: &str) -> String {
        let numbers = self.items.keys().filter(|moref| moref.kind == class);
        let numbers = numbers.filter_map(|moref| moref.value.strip_prefix(prefix)?.parse().ok());
        format!("{prefix}{}", numbers.max().unwrap_or(0_u32).saturating_add(1))
    }

    pub(crate) fn host_of_manager(&self, manager: &MoRef) -> Option<MoRef> {
        self.items.values().find_map(|item| match item {
            Item::Host(host) if host.managers.contains(manager) => Some(host.moref.clone()),
            _ => None,
        })
    }
}
