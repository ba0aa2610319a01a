//! Snapshots of a machine: the tree, what each has saved, and the files of its disks.

use esx_vi_api::MoRef;

use super::{Disk, FileRef, Machine, PowerState, Snapshot};
use crate::model::fault::Fault;
use crate::model::time::Timestamp;

/// What a new snapshot is called, and how it is taken.
#[derive(Debug, Clone)]
pub(crate) struct NewSnapshot {
    pub(crate) id: u32,
    pub(crate) moref: MoRef,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) memory: bool,
    pub(crate) quiesce: bool,
    pub(crate) now: Timestamp,
}

impl Snapshot {
    fn find_mut(&mut self, id: u32) -> Option<&mut Self> {
        if self.id == id {
            return Some(self);
        }
        self.children.iter_mut().find_map(|child| child.find_mut(id))
    }

    /// The ids below this one, children before their parents.
    fn below(&self) -> Vec<u32> {
        let mut ids = Vec::new();
        for child in &self.children {
            ids.extend(child.below());
            ids.push(child.id);
        }
        ids
    }

    fn each_mut(&mut self, change: &mut impl FnMut(&mut Self)) {
        change(self);
        self.children.iter_mut().for_each(|child| child.each_mut(change));
    }
}

impl Machine {
    /// Takes a snapshot.
    ///
    /// # Errors
    /// The fault of `CreateSnapshot_Task`.
    pub(crate) fn take_snapshot(&mut self, new: NewSnapshot) -> Result<(), Fault> {
        if self.template {
            return Err(Fault::not_supported());
        }
        if new.name.is_empty() {
            return Err(super::reconfigure::invalid_name(&new.name));
        }
        let running = self.power == PowerState::PoweredOn;
        let memory = running && new.memory;
        if memory && self.disks.iter().any(|disk| disk.mode.starts_with("independent")) {
            let reason = "Cannot take a memory snapshot of a machine with independent disks.";
            return Err(Fault::new("GenericVmConfigFault", reason).with("reason", reason));
        }
        // A snapshot with memory needs no quiet guest.
        let quiesced = running && new.quiesce && !memory;
        if quiesced && !self.tools {
            return Err(Fault::new(
                "ToolsUnavailable",
                "VMware Tools is not running: the guest cannot be quiesced.",
            ));
        }
        let mut saved = Box::new(self.clone());
        saved.snapshots.clear();
        saved.current_snapshot = None;
        saved.questions.clear();
        // Without its memory, a running machine comes back switched off.
        saved.power = match self.power {
            PowerState::PoweredOn if !memory => PowerState::PoweredOff,
            power => power,
        };
        let snapshot = Snapshot {
            id: new.id,
            moref: new.moref,
            name: new.name,
            description: new.description,
            created: new.now,
            power: saved.power,
            quiesced,
            saved,
            children: Vec::new(),
        };
        let parent = self.current_snapshot;
        match self.snapshots.iter_mut().find_map(|root| root.find_mut(parent?)) {
            Some(parent) => parent.children.push(snapshot),
            None => self.snapshots.push(snapshot),
        }
        self.current_snapshot = Some(new.id);
        self.branch_disks();
        self.touch();
        Ok(())
    }

    /// Goes back to a snapshot: what it has saved is what the machine is now, on new files.
    pub(crate) fn revert(&mut self, id: u32, suppress_power_on: bool) {
        let found = self.snapshots.iter().find_map(|root| root.find(&|s| s.id == id));
        let Some(snapshot) = found else { return };
        let mut now = (*snapshot.saved).clone();
        // Independent disks know nothing of snapshots.
        for disk in &self.disks {
            if let Some(old) = now.disks.iter_mut().find(|old| old.address == disk.address)
                && disk.mode.starts_with("independent")
            {
                *old = disk.clone();
            }
        }
        now.moref = self.moref.clone();
        now.id = self.id;
        now.name.clone_from(&self.name);
        now.place.clone_from(&self.place);
        now.directory.clone_from(&self.directory);
        now.file_stem.clone_from(&self.file_stem);
        now.instance_uuid = self.instance_uuid;
        now.location = self.location;
        now.tools = self.tools;
        now.snapshots = std::mem::take(&mut self.snapshots);
        now.current_snapshot = Some(id);
        now.revision = self.revision;
        if suppress_power_on && now.power == PowerState::PoweredOn {
            now.power = PowerState::PoweredOff;
        }
        *self = now;
        self.branch_disks();
        self.touch();
    }

    /// Removes a snapshot, with those below it if wanted.
    pub(crate) fn remove_snapshot(&mut self, id: u32, children: bool) {
        let mut doomed = Vec::new();
        if children {
            let found = self.snapshots.iter().find_map(|root| root.find(&|s| s.id == id));
            doomed.extend(found.map(Snapshot::below).unwrap_or_default());
        }
        doomed.push(id);
        for id in doomed {
            self.remove_one(id);
        }
        self.touch();
    }

    /// Removes all snapshots.
    pub(crate) fn remove_all_snapshots(&mut self) {
        let roots: Vec<u32> = self.snapshots.iter().map(|root| root.id).collect();
        for root in roots {
            self.remove_snapshot(root, true);
        }
    }

    /// Gives a snapshot another name or description.
    pub(crate) fn rename_snapshot(
        &mut self,
        id: u32,
        name: Option<&str>,
        description: Option<&str>,
    ) {
        if let Some(snapshot) = self.snapshots.iter_mut().find_map(|root| root.find_mut(id)) {
            if let Some(name) = name {
                snapshot.name = name.to_owned();
            }
            if let Some(description) = description {
                snapshot.description = description.to_owned();
            }
        }
    }

    /// Takes one snapshot out of the tree; its children go to its parent. If only one state was built on it, that state's
    /// changes are merged into its files.
    fn remove_one(&mut self, id: u32) {
        let mut parent = None;
        for root in &self.snapshots {
            let above = root.find(&|s| s.children.iter().any(|child| child.id == id));
            parent = parent.or(above.map(|above| above.id));
        }
        let siblings = match self.snapshots.iter_mut().find_map(|root| root.find_mut(parent?)) {
            Some(parent) => &mut parent.children,
            None => &mut self.snapshots,
        };
        let Some(index) = siblings.iter().position(|snapshot| snapshot.id == id) else { return };
        let removed = siblings.remove(index);
        let heirs = removed.children.len();
        siblings.splice(index..index, removed.children);
        let was_current = self.current_snapshot == Some(id);
        if was_current {
            self.current_snapshot = parent;
        }
        if heirs + usize::from(was_current) != 1 {
            return;
        }
        for old in &removed.saved.disks {
            merge(&mut self.disks, &old.file);
            for root in &mut self.snapshots {
                root.each_mut(&mut |snapshot| merge(&mut snapshot.saved.disks, &old.file));
            }
        }
    }

    /// Makes all disks this large, those that snapshots have saved too.
    pub(crate) fn resize(&mut self, capacity_kib: i64) {
        let resize = |disks: &mut [Disk]| {
            disks.iter_mut().for_each(|disk| disk.capacity_kib = capacity_kib);
        };
        resize(&mut self.disks);
        for root in &mut self.snapshots {
            root.each_mut(&mut |snapshot| resize(&mut snapshot.saved.disks));
        }
    }

    /// Lets every disk that snapshots keep go on in a file of its own.
    fn branch_disks(&mut self) {
        for index in 0..self.disks.len() {
            if self.disks[index].mode.starts_with("independent") {
                continue;
            }
            let next = self.next_file(&self.disks[index].file);
            let disk = &mut self.disks[index];
            let old = std::mem::replace(&mut disk.file, next);
            disk.parents.push(old);
        }
    }

    /// `disk-000003.vmdk` after `disk-000002.vmdk`, and after `disk.vmdk` if that is taken.
    fn next_file(&self, file: &FileRef) -> FileRef {
        let (base, _) = numbered(path(file));
        let same_place = |other: &&FileRef| match (file, other) {
            (FileRef::Own(_), FileRef::Own(_)) => true,
            (FileRef::On { datastore: a, .. }, FileRef::On { datastore: b, .. }) => a == b,
            _ => false,
        };
        let newest = self
            .disk_files()
            .into_iter()
            .map(|(file, _)| file)
            .filter(same_place)
            .map(|file| numbered(path(file)))
            .filter(|(other, _)| *other == base)
            .map(|(_, number)| number)
            .max()
            .unwrap_or(0);
        let next = format!("{base}-{:06}.vmdk", newest.saturating_add(1));
        match file {
            FileRef::Own(_) => FileRef::Own(next),
            FileRef::On { datastore, .. } => {
                FileRef::On { datastore: datastore.clone(), path: next }
            }
        }
    }
}

fn path(file: &FileRef) -> &str {
    match file {
        FileRef::Own(path) | FileRef::On { path, .. } => path,
    }
}

/// A disk's name without the number that snapshots give it, and that number.
fn numbered(path: &str) -> (&str, u32) {
    let stem = path.strip_suffix(".vmdk").unwrap_or(path);
    let number = stem.rsplit_once('-').filter(|(_, digits)| digits.len() == 6);
    let number = number.and_then(|(base, digits)| Some((base, digits.parse().ok()?)));
    number.unwrap_or((stem, 0))
}

/// Removes from each disk the file that was built on `base`.
fn merge(disks: &mut [Disk], base: &FileRef) {
    for disk in disks {
        let Some(index) = disk.parents.iter().position(|file| file == base) else { continue };
        if index + 1 < disk.parents.len() {
            disk.parents.remove(index + 1);
        } else {
            // The disk itself: it goes on in the older file.
            disk.file = disk.parents.remove(index);
        }
    }
}
