//! Export leases (`HttpNfcLease`): the disks of a machine or of a snapshot behind URLs, for as long as the client says that
//! it is still there.
//!
//! ```text
//! initializing --> ready --> done     (HttpNfcLeaseComplete)
//!                    |-----> error    (HttpNfcLeaseAbort, or no HttpNfcLeaseProgress in time)
//! ```
//!
//! A disk is given as it is without its snapshots: what those have changed is not simulated.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use esx_vi_api::{MoRef, Object, Value};
use ring::digest;

use super::content::FileContent;
use super::context::localized;
use super::datastore::Entry;
use super::fault::Fault;
use super::inventory::Item;
use super::machine::{Bus, Disk, Machine, PowerState};
use super::power::wrong_state;
use super::stream_disk::StreamDisk;
use super::task::Kind;
use super::time::Timestamp;
use super::tree::{enumeration, objects};
use super::{Answer, Caller, Model};

/// How long an ended lease can still be looked at.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The state of a lease (VI API `HttpNfcLeaseState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// The host prepares it.
    Initializing,
    /// Its URLs may be used.
    Ready,
    /// It was completed.
    Done,
    /// It was aborted, or has expired.
    Error,
}

impl LeaseState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Ready => "ready",
            Self::Done => "done",
            Self::Error => "error",
        }
    }

    /// Whether the lease is held.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Initializing | Self::Ready)
    }
}

/// A lease as tests see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    /// Its reference.
    pub moref: MoRef,
    /// What it is for: a machine or a snapshot.
    pub entity: MoRef,
    /// Its state.
    pub state: LeaseState,
    /// The last progress that the client told, in percent.
    pub percent: i32,
    /// How often it told any.
    pub renewals: u32,
}

/// How leases are given.
#[derive(Debug, Clone)]
pub(super) struct LeaseTerms {
    pub(super) timeout: Duration,
    /// New ones stay `initializing` until a test lets them go on.
    pub(super) held: bool,
    /// What stands before `/nfc` in URLs; an asterisk is the address that the client knows the host by.
    pub(super) door: String,
    pub(super) thumbprint: String,
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(300),
            held: false,
            door: "https://*".to_owned(),
            thumbprint: String::new(),
        }
    }
}

/// A disk of a lease.
#[derive(Debug, Clone)]
struct Device {
    key: String,
    file: String,
    content: FileContent,
}

/// What was sent of a device: the SHA-1 sum in hexadecimal and the number of bytes.
type Sent = Arc<Mutex<HashMap<String, (String, u64)>>>;

#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) moref: MoRef,
    entity: MoRef,
    machine: MoRef,
    state: LeaseState,
    error: Option<Fault>,
    ticket: String,
    devices: Vec<Device>,
    /// When the client last said something; when it ended, of one that has ended.
    since: Timestamp,
    terms: LeaseTerms,
    percent: i32,
    renewals: u32,
    /// False as soon as it is held no more: what is on its way breaks off.
    alive: Arc<AtomicBool>,
    sent: Sent,
}

impl Lease {
    fn end(&mut self, state: LeaseState, error: Option<Fault>, now: Timestamp) {
        self.state = state;
        self.error = error;
        self.since = now;
        self.alive.store(false, Ordering::SeqCst);
    }

    fn view(&self) -> LeaseView {
        LeaseView {
            moref: self.moref.clone(),
            entity: self.entity.clone(),
            state: self.state,
            percent: self.percent,
            renewals: self.renewals,
        }
    }

    pub(crate) fn property(&self, name: &str) -> Option<Value> {
        Some(match name {
            "initializeProgress" => {
                if self.state == LeaseState::Initializing { 50 } else { 100 }.into()
            }
            "transferProgress" => self.percent.into(),
            "mode" => "pushOrGet".into(),
            "capabilities" => Object::new("HttpNfcLeaseCapabilities")
                .with("pullModeSupported", false)
                .with("corsSupported", false)
                .into(),
            "state" => enumeration("HttpNfcLeaseState", self.state.as_str()),
            "info" if self.state == LeaseState::Ready => self.info().into(),
            "error" => localized(self.error.as_ref()?).into(),
            _ => return None,
        })
    }

    fn info(&self) -> Object {
        let kib = |device: &Device| (device.content.size() / 1024).cast_signed();
        let url = |device: &Device| {
            let url = format!("{}/nfc/{}/{}", self.terms.door, self.ticket, device.file);
            Object::new("HttpNfcLeaseDeviceUrl")
                .with("key", device.key.as_str())
                .with("importKey", "")
                .with("url", url)
                .with("sslThumbprint", self.terms.thumbprint.as_str())
                .with("disk", true)
                .with("targetId", device.file.as_str())
        };
        let timeout = i32::try_from(self.terms.timeout.as_secs()).unwrap_or(i32::MAX);
        Object::new("HttpNfcLeaseInfo")
            .with("lease", &self.moref)
            .with("entity", &self.entity)
            .with("deviceUrl", objects("HttpNfcLeaseDeviceUrl", self.devices.iter().map(url)))
            .with("totalDiskCapacityInKB", self.devices.iter().map(kib).sum::<i64>())
            .with("leaseTimeout", timeout)
    }

    /// `HttpNfcLeaseGetManifest`: what has been sent to its end.
    fn manifest(&self) -> Value {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = self.devices.iter().filter_map(|device| {
            let (sum, size) = sent.get(&device.file)?;
            Some(
                Object::new("HttpNfcLeaseManifestEntry")
                    .with("key", device.key.as_str())
                    .with("sha1", sum.as_str())
                    .with("size", size.cast_signed())
                    .with("disk", true)
                    .with("capacity", device.content.size().cast_signed())
                    .with("populatedSize", device.content.allocated().cast_signed()),
            )
        });
        objects("HttpNfcLeaseManifestEntry", entries)
    }
}

/// The lease is not held any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaseEnded;

/// A disk on its way to a client.
pub(crate) struct DiskStream {
    disk: StreamDisk,
    file: String,
    sum: Option<digest::Context>,
    bytes: u64,
    alive: Arc<AtomicBool>,
    sent: Sent,
}

impl std::fmt::Debug for DiskStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskStream").field("file", &self.file).finish_non_exhaustive()
    }
}

impl DiskStream {
    /// The next piece, `None` at the end.
    pub(crate) fn piece(&mut self) -> Result<Option<Bytes>, LeaseEnded> {
        if !self.alive.load(Ordering::SeqCst) {
            return Err(LeaseEnded);
        }
        let piece = self.disk.piece();
        match (&piece, &mut self.sum) {
            (Some(piece), Some(sum)) => {
                sum.update(piece);
                self.bytes += piece.len() as u64;
            }
            _ => {
                if let Some(sum) = self.sum.take() {
                    let sum = sum.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect();
                    let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
                    sent.insert(self.file.clone(), (sum, self.bytes));
                }
            }
        }
        Ok(piece)
    }
}

impl Model {
    /// Makes the disks of a machine this large, as its configuration tells; their files stay as they are. Returns whether
    /// there is such a machine.
    pub fn set_capacity(&mut self, machine: &MoRef, kib: i64) -> bool {
        let found = self.inventory.machine_mut(machine).map(|machine| machine.resize(kib));
        self.changed(found.is_some())
    }

    /// After what time without a word a lease that is made from now on expires; five minutes if nothing is said. Clients are
    /// told whole seconds.
    pub fn set_lease_timeout(&mut self, timeout: Duration) {
        self.lease_terms.timeout = timeout;
    }

    /// Lets leases that are made from now on stay `initializing`, or not.
    pub fn hold_leases(&mut self, held: bool) {
        self.lease_terms.held = held;
    }

    /// What stands before `/nfc` in the URLs of leases that are made from now on, `https://host:port` for example, and the
    /// SHA-1 thumbprint that is told of the server there.
    pub fn set_lease_door(&mut self, door: impl Into<String>, thumbprint: impl Into<String>) {
        self.lease_terms.door = door.into();
        self.lease_terms.thumbprint = thumbprint.into();
    }

    /// What stands before `/nfc` in the URLs of leases that are made from now on.
    pub fn lease_door(&self) -> &str {
        &self.lease_terms.door
    }

    /// All leases, ended ones too for a minute.
    pub fn leases(&self) -> Vec<LeaseView> {
        let mut leases: Vec<_> = self.inventory.leases().map(Lease::view).collect();
        leases.sort_by(|a, b| a.moref.value.cmp(&b.moref.value));
        leases
    }

    /// How many leases are held.
    pub fn held_leases(&self) -> usize {
        self.leases().iter().filter(|lease| lease.state.is_held()).count()
    }

    /// Lets a lease that is `initializing` go on: it is ready, or has failed. Returns whether there is such a lease.
    pub fn settle_lease(&mut self, lease: &MoRef, outcome: Result<(), Fault>) -> bool {
        let now = self.now;
        let found = match self.inventory.get_mut(lease) {
            Some(Item::Lease(lease)) if lease.state == LeaseState::Initializing => {
                lease.since = now;
                match outcome {
                    Ok(()) => lease.state = LeaseState::Ready,
                    Err(fault) => lease.end(LeaseState::Error, Some(fault), now),
                }
                true
            }
            _ => false,
        };
        self.changed(found)
    }

    /// The disk behind `/nfc/TICKET/FILE`: the ticket is all that is asked for.
    pub(crate) fn lease_file(&self, ticket: &str, file: &str) -> Option<DiskStream> {
        let lease = self.inventory.leases().find(|lease| lease.ticket == ticket)?;
        let device = lease.devices.iter().find(|device| device.file == file)?;
        (lease.state == LeaseState::Ready).then(|| DiskStream {
            disk: StreamDisk::new(device.content.clone(), file),
            file: file.to_owned(),
            sum: Some(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY)),
            bytes: 0,
            alive: Arc::clone(&lease.alive),
            sent: Arc::clone(&lease.sent),
        })
    }

    /// `ExportVm`.
    pub(super) fn export_machine(
        &mut self,
        this: &MoRef,
        caller: &Caller<'_>,
    ) -> Result<Answer, Fault> {
        let machine = self.machine_at(this)?;
        if machine.power != PowerState::PoweredOff {
            return Err(wrong_state(machine, PowerState::PoweredOff));
        }
        let devices = self.devices_of(machine, &machine.disks)?;
        self.lease(this.clone(), this.clone(), devices, caller)
    }

    /// `ExportSnapshot`.
    pub(super) fn export_snapshot(
        &mut self,
        this: &MoRef,
        caller: &Caller<'_>,
    ) -> Result<Answer, Fault> {
        let gone = || Fault::object_not_found(this);
        let owner = self.inventory.owner_of_snapshot(this).cloned().ok_or_else(gone)?;
        let machine = self.machine_at(&owner)?;
        let saved = &machine.snapshot(this).ok_or_else(gone)?.saved;
        let kept = saved.disks.iter().filter(|disk| !disk.mode.starts_with("independent"));
        let devices = self.devices_of(machine, kept)?;
        self.lease(this.clone(), owner, devices, caller)
    }

    fn devices_of<'a>(
        &self,
        machine: &Machine,
        disks: impl IntoIterator<Item = &'a Disk>,
    ) -> Result<Vec<Device>, Fault> {
        if !machine.accessible {
            let message = "The operation is not allowed in the current connection state.";
            return Err(Fault::new("InvalidState", message));
        }
        if let Some(busy) = self.task_of(&machine.moref) {
            return Err(Fault::new("TaskInProgress", "Another task is already in progress.")
                .with("task", &busy));
        }
        let device = |(number, disk): (usize, &Disk)| {
            let base = disk.chain().next()?;
            let (datastore, _) = machine.file_place(base);
            let datastore = self.inventory.datastore(datastore)?;
            let Some(Entry::File(data)) = self.inventory.entry(datastore, &machine.data_path(base))
            else {
                return None;
            };
            let (class, address) = (self.controller_class(machine, disk), disk.address);
            Some(Device {
                key: format!(
                    "/{}/{class}{}:{}",
                    machine.moref.value, address.controller, address.unit
                ),
                file: format!("disk-{number}.vmdk"),
                content: data.content,
            })
        };
        disks
            .into_iter()
            .enumerate()
            .map(|item| {
                device(item).ok_or_else(|| {
                    let path = machine.datastore_path(&self.inventory, &item.1.file);
                    super::machine::device_change::file_fault("FileNotFound", &path)
                })
            })
            .collect()
    }

    fn controller_class(&self, machine: &Machine, disk: &Disk) -> &'static str {
        let found = machine.controllers.iter().find(|controller| {
            controller.model.bus() == disk.address.bus
                && controller.number == disk.address.controller
        });
        match found {
            Some(controller) => controller.model.class(),
            None if disk.address.bus == Bus::Ide => "VirtualIDEController",
            None => "VirtualSCSIController",
        }
    }

    fn lease(
        &mut self,
        entity: MoRef,
        machine: MoRef,
        devices: Vec<Device>,
        caller: &Caller<'_>,
    ) -> Result<Answer, Fault> {
        let value = self.session(caller, &entity)?.next_value();
        let ticket = self.sessions.ticket();
        let moref = MoRef::new("HttpNfcLease", value);
        let terms = self.lease_terms.clone();
        let state = if terms.held { LeaseState::Initializing } else { LeaseState::Ready };
        self.inventory.add_lease(Lease {
            moref: moref.clone(),
            entity,
            machine,
            state,
            error: None,
            ticket,
            devices,
            since: self.now,
            terms,
            percent: 0,
            renewals: 0,
            alive: Arc::new(AtomicBool::new(true)),
            sent: Arc::default(),
        });
        self.changed(true);
        Ok(Answer::Result(Some(moref.into())))
    }

    /// The methods of a lease.
    pub(super) fn lease_method(
        &mut self,
        this: &MoRef,
        method: &str,
        args: &Object,
    ) -> Result<Answer, Fault> {
        let now = self.now;
        let Some(Item::Lease(lease)) = self.inventory.get_mut(this) else {
            return Err(Fault::object_not_found(this));
        };
        if !lease.state.is_held()
            || lease.state != LeaseState::Ready && method != "HttpNfcLeaseAbort"
        {
            let message = "The operation is not allowed in the current state of the lease.";
            return Err(Fault::new("InvalidState", message));
        }
        let mut result = None;
        match method {
            "HttpNfcLeaseProgress" => {
                let percent = args.get("percent").and_then(Value::as_i64).unwrap_or(-1);
                lease.percent = i32::try_from(percent)
                    .ok()
                    .filter(|percent| (0..=100).contains(percent))
                    .ok_or_else(|| Fault::invalid_argument("percent"))?;
                lease.renewals += 1;
                lease.since = now;
            }
            "HttpNfcLeaseComplete" => lease.end(LeaseState::Done, None, now),
            "HttpNfcLeaseAbort" => {
                let fault = Fault::new("RequestCanceled", "The lease was aborted by its owner.");
                lease.end(LeaseState::Error, Some(fault), now);
            }
            _ => result = Some(lease.manifest()),
        }
        self.changed(true);
        Ok(Answer::Result(result))
    }

    /// Whether a lease keeps a machine, or a snapshot of it, as it is.
    pub(super) fn check_leases(&self, this: &MoRef, method: &str) -> Result<(), Fault> {
        let changes = method == "UnregisterVM" || Kind::of(method).is_some();
        let held = self.inventory.leases().any(|lease| {
            let all = lease.machine == *this && method == "RemoveAllSnapshots_Task";
            lease.state.is_held() && (lease.entity == *this || all)
        });
        if held && changes {
            let message = "The operation is not allowed in the current state: a lease is held.";
            return Err(Fault::new("InvalidState", message));
        }
        Ok(())
    }

    /// Ends leases of which nothing was heard in time, and forgets those that ended long ago.
    pub(super) fn tick_leases(&mut self, now: Timestamp) {
        let mut expired = false;
        for lease in self.inventory.leases_mut() {
            if lease.state == LeaseState::Ready && now >= lease.since.after(lease.terms.timeout) {
                let fault = Fault::new("Timedout", "The lease has timed out.");
                lease.end(LeaseState::Error, Some(fault), now);
                expired = true;
            }
        }
        let old = |lease: &Lease| !lease.state.is_held() && lease.since.after(REMEMBERED) < now;
        let forgotten = self.inventory.forget_leases(old);
        self.changed(expired || forgotten);
    }

    /// When the next lease expires.
    pub(super) fn next_lease_end(&self) -> Option<Timestamp> {
        let ready = self.inventory.leases().filter(|lease| lease.state == LeaseState::Ready);
        ready.map(|lease| lease.since.after(lease.terms.timeout)).min()
    }
}
