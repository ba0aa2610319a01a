//! The simulated server without a socket: an inventory, sessions, and the methods that work on them.
//!
//! Time, cookies and bytes are arguments. [`Model::call`] takes a decoded request and gives the result, a fault, or the
//! wish to be asked again when something has changed (a blocked `WaitForUpdatesEx`). The shell around it is
//! the private module `server`.
//!
//! | file | holds |
//! | --- | --- |
//! | `inventory`, `entities`, `host`, `datastore`, `machine` | managed objects and their properties |
//! | `content`, `files`, `folder` | datastore files and how they are reached |
//! | `preset`, `samples` | the built-in inventories |
//! | `path`, `collector`, `filter`, `view`, `search` | how clients find things |
//! | `session`, `context` | who asks, and what they can see |
//! | `task`, `tasks`, `question` | tasks, how they go on, what holds them up |
//! | `power`, `register`, `snapshots`, `migrate`, `autostart` | what operations do |
//! | `browser`, `disks`, `storage` | searches of datastores, virtual disks, adapters with their targets and LUNs |
//! | `lease`, `stream_disk` | export leases, and disks as they give them |
//! | `restrictions` | what a host refuses to everybody |
//! | `methods` | the table of methods |

// Pure, though the crate is not: no clock, no file, no environment.
#![warn(clippy::disallowed_methods)]

mod autostart;
mod browser;
mod collector;
mod content;
mod context;
mod datastore;
mod disks;
mod entities;
mod fault;
mod files;
mod filter;
mod folder;
mod host;
mod inventory;
mod lease;
mod machine;
mod methods;
mod migrate;
mod network;
mod path;
mod power;
mod preset;
mod question;
mod register;
mod restrictions;
mod samples;
mod screen;
mod search;
mod service;
mod session;
mod snapshots;
mod storage;
mod stream_disk;
mod task;
mod tasks;
#[cfg(test)]
mod tests;
mod time;
mod tree;
mod view;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use esx_escape::inventory_path;
use esx_vi_api::{ApiVersion, MoRef, Value};

pub use self::content::{FileContent, StoredFile};
pub use self::datastore::{Entry, Listed};
pub use self::fault::Fault;
pub use self::files::{FolderChange, Upload};
pub use self::folder::{FolderAnswer, FolderRequest};
pub use self::inventory::Preset;
pub(crate) use self::lease::{DiskStream, LeaseEnded};
pub use self::lease::{LeaseState, LeaseView};
pub use self::machine::PowerState;
pub(crate) use self::machine::Serial;
pub use self::screen::ScreenAnswer;
pub use self::task::TaskState;
pub use self::time::Timestamp;

use self::inventory::Inventory;
use self::lease::LeaseTerms;
use self::machine::Machine;
use self::restrictions::Restrictions;
use self::session::Sessions;
use self::tasks::{GuestWork, Hook, Pace};

/// The API versions that the simulator can speak, as users name them and as hosts call them.
const API_VERSIONS: [(&str, ApiVersion); 5] = [
    ("2.5", ApiVersion::V2_5),
    ("4.0", ApiVersion::V4_0),
    ("4.1", ApiVersion::V4_1),
    ("6.7", ApiVersion::new(6, 7, 0, 0)),
    ("8.0", ApiVersion::new(8, 0, 2, 0)),
];

/// What a model is made of.
#[derive(Clone)]
pub struct Config {
    /// Which built-in inventory.
    pub preset: Preset,
    /// The newest API version that the server speaks.
    pub api_version: ApiVersion,
    /// How many ordinary machines there are beside the built-in ones.
    pub vms: u32,
    /// How many disks there are on the datastore `bulk` of a host; without any, there is no such datastore.
    pub volumes: u32,
    /// The one user that can log in.
    pub username: String,
    /// Its password.
    pub password: String,
    /// The greatest number of objects in a page of `RetrievePropertiesEx`; `None` for no limit.
    pub page_size: Option<usize>,
    /// How long tasks run.
    pub task_duration: Duration,
    /// Where cookies are drawn from.
    pub seed: u64,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("preset", &self.preset)
            .field("api_version", &self.api_version)
            .field("vms", &self.vms)
            .field("username", &self.username)
            .field("page_size", &self.page_size)
            .finish_non_exhaustive()
    }
}

/// Finds the API version that a user means by `8.0` or `8.0.2.0`.
pub(crate) fn api_version(text: &str) -> Option<ApiVersion> {
    API_VERSIONS
        .into_iter()
        .find(|(name, version)| *name == text || ApiVersion::parse(text) == Some(*version))
        .map(|(_, version)| version)
}

/// Who calls, and when.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The session cookie's value, without quotes.
    pub cookie: Option<&'a str>,
    /// The API version that the client asked for.
    pub dialect: ApiVersion,
    /// The time now.
    pub now: Timestamp,
    /// When the request arrived; earlier than `now` if it was told to wait.
    pub arrived: Timestamp,
}

/// What a call came to, if it was not refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The method's result; several items are an array.
    Result(Option<Value>),
    /// A login: the result, and the new session's cookie.
    LoggedIn(Value, String),
    /// Nothing has changed yet: call again after the next change, or at `until`.
    Wait {
        /// When waiting ends, if ever.
        until: Option<Timestamp>,
    },
}

/// Properties that no caller may read.
#[derive(Debug, Clone)]
struct Denied {
    object: MoRef,
    path: String,
}

impl Denied {
    /// Whether `path` is the refused one or a part of it.
    fn covers(&self, object: &MoRef, path: &str) -> bool {
        self.object == *object
            && path
                .strip_prefix(&self.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

/// A simulated server.
pub struct Model {
    inventory: Inventory,
    sessions: Sessions,
    username: String,
    password: String,
    page_size: usize,
    denied: Vec<Denied>,
    generation: u64,
    next_machine: u32,
    /// The newest time that was told.
    now: Timestamp,
    pace: Pace,
    next_task: i32,
    next_question: u64,
    next_snapshot: u32,
    guest_work: Vec<GuestWork>,
    hooks: Vec<Hook>,
    lease_terms: LeaseTerms,
    restrictions: Restrictions,
    /// Moving a file never replaces another, whatever the caller wants.
    ignores_force: bool,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("preset", &self.inventory.preset)
            .field("api_version", &self.inventory.api_version)
            .field("sessions", &self.sessions)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl Model {
    /// A fresh server: equal configurations give equal inventories.
    pub fn new(config: Config) -> Self {
        let inventory =
            preset::build(config.preset, config.api_version, config.vms, config.volumes);
        Self {
            inventory,
            sessions: Sessions::new(config.seed),
            username: config.username,
            password: config.password,
            page_size: config.page_size.unwrap_or(usize::MAX).max(1),
            denied: Vec::new(),
            generation: 0,
            next_machine: samples::FIRST_GENERATED + config.vms + 1,
            now: Timestamp::default(),
            pace: Pace::Timed(config.task_duration),
            next_task: 0,
            next_question: 0,
            next_snapshot: samples::FIRST_SNAPSHOT,
            guest_work: Vec::new(),
            hooks: Vec::new(),
            lease_terms: LeaseTerms::default(),
            restrictions: Restrictions::default(),
            ignores_force: false,
        }
    }

    /// A number that grows with every change of the inventory or of what is being watched.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The newest API version that the server speaks.
    pub fn api_version(&self) -> ApiVersion {
        self.inventory.api_version
    }

    /// The inventory path (as stored, `dc1/cluster1/host`) of the compute resource, and if it is a cluster the host, on
    /// which the built-in machines run.
    pub fn default_host_path(&self) -> String {
        let Some(machine) = self.machine_named("web01") else { return String::new() };
        let host = &machine.place.host;
        let Some(compute) = self.inventory.parent(host) else { return String::new() };
        let end = if compute.kind == "ClusterComputeResource" { host } else { compute };
        // The folder for hosts itself has no place in a path of this kind.
        let path = self.inventory.path(end);
        let datacenter = self
            .inventory
            .datacenter_of(end)
            .map(|datacenter| self.inventory.path(&datacenter.moref));
        match datacenter {
            Some(datacenter) => {
                let rest = path[datacenter.len()..].trim_start_matches('/');
                let below = inventory_path::items(rest).skip(1).collect::<Vec<_>>().join("/");
                format!("{datacenter}/{below}")
            }
            None => path,
        }
    }

    /// The references of all machines.
    pub fn machines(&self) -> Vec<MoRef> {
        self.inventory.machines().map(|machine| machine.moref.clone()).collect()
    }

    /// All machines.
    pub(crate) fn every_machine(&self) -> impl Iterator<Item = &Machine> {
        self.inventory.machines()
    }

    /// The reference of the first machine with this plain name.
    pub fn machine(&self, name: &str) -> Option<MoRef> {
        self.machine_named(name).map(|machine| machine.moref.clone())
    }

    fn machine_named(&self, name: &str) -> Option<&Machine> {
        self.inventory.machines().find(|machine| machine.name == name)
    }

    /// The text of a machine's VMX file, as `/folder` serves it.
    pub fn vmx(&self, machine: &MoRef) -> Option<String> {
        self.inventory.machine(machine).map(|machine| machine.vmx(&self.inventory))
    }

    /// Changes a machine's power state without a task. Returns whether there is such a machine.
    pub fn set_power_state(&mut self, machine: &MoRef, state: PowerState) -> bool {
        let found =
            self.inventory.machine_mut(machine).map(|machine| machine.power = state).is_some();
        self.changed(found)
    }

    /// A machine's power state.
    pub fn power_state(&self, machine: &MoRef) -> Option<PowerState> {
        self.inventory.machine(machine).map(|machine| machine.power)
    }

    /// Renames a machine; its files keep their names.
    pub fn rename(&mut self, machine: &MoRef, name: &str) -> bool {
        let found = self
            .inventory
            .machine_mut(machine)
            .map(|machine| machine.name = name.to_owned())
            .is_some();
        self.changed(found)
    }

    /// Gives a machine another instance UUID, as if another one had got its reference. Returns whether there is such a machine.
    pub fn set_instance_uuid(&mut self, machine: &MoRef, uuid: uuid::Uuid) -> bool {
        let found = self.inventory.machine_mut(machine).map(|machine| machine.instance_uuid = uuid);
        self.changed(found.is_some())
    }

    /// Adds an ordinary machine, switched off, where the first one lives.
    pub fn add_machine(&mut self, name: &str) -> Option<MoRef> {
        let first = self.inventory.machines().next()?.clone();
        let (place, network) =
            (Arc::clone(&first.place), first.networks().first().copied()?.clone());
        let (moref, id) = self.next_moref();
        let mut machine = Machine::ordinary(moref.clone(), id, name, place, network);
        machine.hardware_version = first.hardware_version.min(machine.hardware_version);
        self.inventory.add_machine(machine);
        self.changed(true);
        Some(moref)
    }

    /// Takes a machine out of the inventory. Returns whether it was there.
    pub fn remove_machine(&mut self, machine: &MoRef) -> bool {
        let found = self.inventory.remove_machine(machine);
        self.changed(found)
    }

    /// Makes the host unable, or able again, to read a machine's files: then its `config` is unset.
    pub fn set_accessible(&mut self, machine: &MoRef, accessible: bool) -> bool {
        let found = self
            .inventory
            .machine_mut(machine)
            .map(|machine| machine.accessible = accessible)
            .is_some();
        self.changed(found)
    }

    /// Puts a host into maintenance mode, or takes it out.
    pub fn set_maintenance_mode(&mut self, host: &MoRef, maintenance: bool) -> bool {
        let found = match self.inventory.get_mut(host) {
            Some(inventory::Item::Host(host)) => {
                host.maintenance = maintenance;
                true
            }
            _ => false,
        };
        self.changed(found)
    }

    /// Refuses a property to all callers from now on: it is reported in `missingSet`.
    pub fn deny_property(&mut self, object: &MoRef, path: &str) {
        self.denied.push(Denied { object: object.clone(), path: path.to_owned() });
        self.changed(true);
    }

    /// Ends all sessions, as a restart of the server does.
    pub fn expire_sessions(&mut self) {
        self.sessions.close_all();
        self.changed(true);
    }

    /// The cookies that logins were answered with, without quotes, the first thousand: secrets, to look for in logs.
    pub fn session_cookies(&self) -> &[String] {
        self.sessions.cookies()
    }

    /// How many sessions are open (some may have been idle for too long).
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// How long a session lives without a call.
    pub fn set_session_idle_timeout(&mut self, idle: Duration) {
        self.sessions.idle = idle;
    }

    /// Changes the greatest number of objects in a page; `None` for no limit.
    pub fn set_page_size(&mut self, page_size: Option<usize>) {
        self.page_size = page_size.unwrap_or(usize::MAX).max(1);
    }

    /// The key (not the cookie) of the session behind a cookie.
    pub fn session_key(&self, cookie: &str) -> Option<&str> {
        self.sessions.get(cookie).map(|session| session.key.as_str())
    }

    fn changed(&mut self, changed: bool) -> bool {
        self.generation += u64::from(changed);
        changed
    }
}
