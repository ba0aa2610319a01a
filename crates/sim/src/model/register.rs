//! How machines come into the inventory and leave it: register, unregister, destroy, rename, templates.

use std::sync::Arc;

use esx_escape::DatastorePath;
use esx_vi_api::{MoRef, Object, Value};
use uuid::Uuid;

use super::datastore::{Entry, is_data};
use super::fault::Fault;
use super::inventory::{Inventory, Item};
use super::machine::read::Source;
use super::machine::reconfigure::{FileChange, invalid_name};
use super::machine::{FileRef, Machine, Placement, PowerState};
use super::{Answer, Model, preset};

type Outcome = Result<Option<Value>, Fault>;

impl Model {
    /// `RegisterVM_Task`.
    pub(super) fn register(&mut self, folder: &MoRef, args: &Object) -> Outcome {
        let text = args.str("path").unwrap_or_default();
        let wrong = || {
            Fault::new("InvalidDatastorePath", format!("Invalid datastore path '{text}'."))
                .with("datastorePath", text)
        };
        let path: DatastorePath = text.parse().map_err(|_| wrong())?;
        let of_machines = matches!(self.inventory.get(folder), Some(Item::Folder(folder))
            if folder.child_types.contains(&"VirtualMachine"));
        if !of_machines {
            return Err(Fault::not_supported());
        }
        let template = args.get("asTemplate").and_then(Value::as_bool).unwrap_or(false);
        let (host, pool) = self.site(args, template)?;
        let datastore = self
            .inventory
            .host(&host)
            .and_then(|host| {
                host.datastores.iter().find(|moref| {
                    self.inventory.datastore(moref).is_some_and(|d| d.name == path.datastore())
                })
            })
            .cloned()
            .ok_or_else(wrong)?;
        let file = path.path().to_owned();
        let taken =
            |machine: &&Machine| machine.place.datastore == datastore && machine.vmx_path() == file;
        if let Some(other) = self.inventory.machines().find(taken) {
            let name = other.name.as_str();
            let message =
                format!("The specified key, name, or identifier '{name}' already exists.");
            return Err(Fault::new("AlreadyExists", message).with("name", name));
        }
        let store = self.inventory.datastore(&datastore).ok_or_else(wrong)?;
        let Some(Entry::File(stored)) = self.inventory.entry(store, &file) else {
            return Err(Fault::new(
                "NotFound",
                "The object or item referred to could not be found.",
            ));
        };
        let content = stored.content.text();
        let place = Arc::new(Placement {
            folder: folder.clone(),
            host,
            pool,
            datastore: datastore.clone(),
        });
        let (moref, id) = self.next_moref();
        let source = Source { moref: moref.clone(), id, place, path: &file, content: &content };
        let mut machine = Machine::read(source, &self.inventory)?;
        machine.template |= template;
        if let Some(name) = args.str("name").filter(|name| !name.is_empty()) {
            machine.name =
                esx_escape::percent::unescape(name).map_err(|_| invalid_name(name))?.into_owned();
        }
        // A host gives every machine an instance UUID of its own.
        let uuid_taken = |uuid: Uuid| self.inventory.machines().any(|m| m.instance_uuid == uuid);
        if uuid_taken(machine.instance_uuid) {
            machine.instance_uuid = super::machine::uuid_for(id, 1);
        }
        let here = self.inventory.location_at(&datastore, &file);
        match Machine::location_in(&content) {
            Some(there) if there != here => {
                machine.location = Some(there);
                machine.moved = true;
            }
            _ => machine.location = Some(here),
        }
        if let Some(shelved) = self.inventory.shelf.remove(&(datastore.clone(), file)) {
            machine.take_snapshots_of(*shelved);
        }
        // From now on the machine itself says what is in these files.
        let own = self.inventory.machine_files(&machine);
        if let Some(Item::Datastore(datastore)) = self.inventory.get_mut(&datastore) {
            // Except for the data of disks.
            datastore.files.retain(|path, _| !own.contains(path) || is_data(path));
        }
        self.inventory.add_machine(machine);
        Ok(Some(moref.into()))
    }

    /// `ManagedEntity.Reload`: a machine reads its VMX file again, which somebody has edited. A file that is none makes
    /// the machine unusable until there is a better one.
    pub(super) fn reload(&mut self, moref: &MoRef) -> Result<Answer, Fault> {
        if moref.kind != "VirtualMachine" {
            return Ok(Answer::Result(None));
        }
        let old = self.machine_at(moref)?.clone();
        let path = old.vmx_path();
        let store = self.inventory.datastore(&old.place.datastore);
        let Some(edited) = store.and_then(|store| store.files.get(&path)) else {
            return Ok(Answer::Result(None));
        };
        let content = edited.content.text();
        let source = Source {
            moref: moref.clone(),
            id: old.id,
            place: Arc::clone(&old.place),
            path: &path,
            content: &content,
        };
        match Machine::read(source, &self.inventory) {
            Ok(mut machine) => {
                machine.power = old.power;
                machine.booted = old.booted;
                machine.tools = old.tools;
                machine.questions.clone_from(&old.questions);
                machine.location = old.location;
                machine.moved = old.moved;
                machine.template = old.template;
                machine.revision = old.revision;
                let datastore = old.place.datastore.clone();
                machine.take_snapshots_of(old);
                machine.touch();
                *self.machine_at_mut(moref)? = machine;
                if let Some(Item::Datastore(store)) = self.inventory.get_mut(&datastore) {
                    store.remove(&path);
                }
            }
            Err(_) => self.machine_at_mut(moref)?.accessible = false,
        }
        self.changed(true);
        Ok(Answer::Result(None))
    }

    /// `UnregisterVM`.
    pub(super) fn unregister(&mut self, moref: &MoRef) -> Result<Answer, Fault> {
        if let Some(busy) = self.task_of(moref) {
            return Err(Fault::new("TaskInProgress", "Another task is already in progress.")
                .with("task", &busy));
        }
        let machine = self.machine_at(moref)?;
        if machine.power == PowerState::PoweredOn {
            return Err(super::power::wrong_state(machine, PowerState::PoweredOff));
        }
        let machine = machine.clone();
        let mut files = Vec::new();
        for path in self.inventory.machine_files(&machine) {
            if let Some(file) = self.inventory.machine_file(&machine, &path) {
                files.push((path, file));
            }
        }
        let key = (machine.place.datastore.clone(), machine.vmx_path());
        let location = machine.location.unwrap_or(machine.bios_uuid);
        if !machine.moved {
            self.inventory.locations.insert(key.clone(), location);
        }
        if let Some(Item::Datastore(datastore)) = self.inventory.get_mut(&key.0) {
            for (path, file) in files {
                // Data that was written over stays.
                datastore.files.entry(path).or_insert(file);
            }
        }
        self.inventory.shelf.insert(key, Box::new(machine));
        self.remove_machine(moref);
        Ok(Answer::Result(None))
    }

    /// `Destroy_Task`.
    pub(super) fn destroy(&mut self, moref: &MoRef) -> Outcome {
        if moref.kind != "VirtualMachine" {
            return Err(Fault::not_supported());
        }
        let machine = self.machine_at(moref)?;
        if machine.power == PowerState::PoweredOn {
            return Err(super::power::wrong_state(machine, PowerState::PoweredOff));
        }
        let elsewhere: Vec<FileRef> = machine
            .disk_files()
            .into_iter()
            .map(|(file, _)| file.clone())
            .filter(|file| matches!(file, FileRef::On { .. }))
            .collect();
        let machine = machine.clone();
        let changes = elsewhere.into_iter().map(FileChange::Delete).collect();
        self.change_files(&machine, changes);
        let own = self.inventory.machine_files(&machine);
        if let Some(Item::Datastore(datastore)) = self.inventory.get_mut(&machine.place.datastore) {
            for path in own {
                datastore.remove(&path);
            }
        }
        self.remove_machine(moref);
        Ok(None)
    }

    /// `Rename_Task`.
    pub(super) fn rename_task(&mut self, moref: &MoRef, args: &Object) -> Outcome {
        if moref.kind != "VirtualMachine" {
            return Err(Fault::not_supported());
        }
        let stored = args.str("newName").unwrap_or_default();
        let name = esx_escape::percent::unescape(stored).map_err(|_| invalid_name(stored))?;
        self.inventory.check_new_name(moref, &name)?;
        let name = name.into_owned();
        let machine = self.machine_at_mut(moref)?;
        machine.name = name;
        machine.touch();
        Ok(None)
    }

    /// `ReconfigVM_Task`.
    pub(super) fn reconfigure(&mut self, moref: &MoRef, args: &Object) -> Outcome {
        let spec = args.get("spec").and_then(Value::as_object);
        let spec = spec.ok_or_else(|| Fault::invalid_argument("spec"))?;
        let (machine, files) = self.machine_at(moref)?.reconfigured(spec, &self.inventory)?;
        self.change_files(&machine, files);
        *self.machine_at_mut(moref)? = machine;
        Ok(None)
    }

    /// `MarkAsTemplate` and `MarkAsVirtualMachine`.
    pub(super) fn mark(
        &mut self,
        moref: &MoRef,
        template: bool,
        args: &Object,
    ) -> Result<Answer, Fault> {
        let machine = self.machine_at(moref)?;
        if machine.power != PowerState::PoweredOff {
            return Err(super::power::wrong_state(machine, PowerState::PoweredOff));
        }
        if machine.template == template {
            return Err(Fault::not_supported());
        }
        let mut place = (*machine.place).clone();
        if !template {
            (place.host, place.pool) = self.site(args, false)?;
        }
        let machine = self.machine_at_mut(moref)?;
        machine.place = Arc::new(place);
        machine.template = template;
        machine.touch();
        self.changed(true);
        Ok(Answer::Result(None))
    }

    /// The host and the pool that arguments name: at least the pool.
    pub(super) fn site(&self, args: &Object, template: bool) -> Result<(MoRef, MoRef), Fault> {
        let host = args.get("host").and_then(Value::as_moref);
        let pool = match (args.get("pool").and_then(Value::as_moref), host) {
            (Some(pool), _) => pool.clone(),
            (None, Some(host)) if template => {
                self.inventory.pool_of(host).ok_or_else(|| Fault::invalid_argument("host"))?
            }
            _ => return Err(Fault::invalid_argument("pool")),
        };
        let hosts = self.inventory.hosts_of_pool(&pool);
        let host = match host {
            Some(host) if hosts.contains(host) => host.clone(),
            Some(_) => return Err(Fault::invalid_argument("host")),
            None => hosts.first().cloned().ok_or_else(|| Fault::invalid_argument("pool"))?,
        };
        Ok((host, pool))
    }

    /// A new machine's reference and number.
    pub(super) fn next_moref(&mut self) -> (MoRef, u32) {
        let id = self.next_machine;
        self.next_machine += 1;
        (preset::machine_moref(self.inventory.preset, id), id)
    }

    /// Makes and removes files beside those that belong to machines.
    pub(super) fn change_files(&mut self, machine: &Machine, changes: Vec<FileChange>) {
        let now = self.now;
        for change in changes {
            let (FileChange::Keep(file, _) | FileChange::Delete(file)) = &change;
            let (datastore, path) = machine.file_place(file);
            let datastore = datastore.clone();
            let Some(Item::Datastore(datastore)) = self.inventory.get_mut(&datastore) else {
                continue;
            };
            match change {
                FileChange::Keep(_, content) => datastore.put_disk(path, content, now),
                FileChange::Delete(_) => {
                    datastore.remove_disk(&path);
                }
            }
        }
    }
}

impl Machine {
    /// Takes over the snapshots that a machine with the same files had, as its `.vmsd` file would tell.
    fn take_snapshots_of(&mut self, old: Self) {
        for disk in &mut self.disks {
            if let Some(same) = old.disks.iter().find(|same| same.file == disk.file) {
                disk.parents.clone_from(&same.parents);
            }
        }
        self.snapshots = old.snapshots;
        self.current_snapshot = old.current_snapshot;
    }
}

impl Inventory {
    /// The machine whose VMX file is at this path.
    pub(crate) fn configured_by(&self, datastore: &MoRef, path: &str) -> Option<&Machine> {
        self.machines().find(|m| m.place.datastore == *datastore && m.vmx_path() == path)
    }

    /// Whether a machine that is not off has the file open as its configuration.
    pub(crate) fn is_running_config(&self, datastore: &MoRef, path: &str) -> bool {
        self.configured_by(datastore, path).is_some_and(|m| m.power != PowerState::PoweredOff)
    }

    /// Whether an entity may get a name.
    ///
    /// # Errors
    /// `InvalidName` for an empty or overlong one, `DuplicateName` if a sibling has it.
    pub(crate) fn check_new_name(&self, moref: &MoRef, name: &str) -> Result<(), Fault> {
        // Eighty characters are allowed.
        if name.is_empty() || name.chars().count() > 80 {
            return Err(invalid_name(name));
        }
        let siblings = self.parent(moref).map(|parent| self.children(parent)).unwrap_or_default();
        let twin = siblings.into_iter().find(|o| *o != moref && self.name(o) == Some(name));
        match twin {
            Some(twin) => {
                Err(Fault::new("DuplicateName", format!("The name '{name}' already exists."))
                    .with("name", name)
                    .with("object", twin))
            }
            None => Ok(()),
        }
    }

    /// The hosts whose resources a pool shares out.
    pub(crate) fn hosts_of_pool(&self, pool: &MoRef) -> Vec<MoRef> {
        let Some(Item::Pool(pool)) = self.get(pool) else { return Vec::new() };
        match self.get(&pool.owner) {
            Some(Item::Compute(compute)) => compute.hosts.clone(),
            _ => Vec::new(),
        }
    }

    /// The root pool of a host's resources.
    pub(crate) fn pool_of(&self, host: &MoRef) -> Option<MoRef> {
        match self.get(self.parent(host)?) {
            Some(Item::Compute(compute)) => Some(compute.pool.clone()),
            _ => None,
        }
    }
}
