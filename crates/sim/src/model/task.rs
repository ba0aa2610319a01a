//! Tasks as clients see them: the managed object `Task` and its `info`.

use std::time::Duration;

use esx_vi_api::{MoRef, Object, Value};

use super::context::localized;
use super::fault::Fault;
use super::time::Timestamp;
use super::tree::enumeration;

/// The state of a task (VI API `TaskInfoState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Waiting for its turn.
    Queued,
    /// At work.
    Running,
    /// Done.
    Success,
    /// Failed, or cancelled.
    Error,
}

impl TaskState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Error => "error",
        }
    }

    /// Whether the task is yet to end.
    pub const fn is_unfinished(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

/// A kind of task: the method that starts it, how lists call it, and whether `CancelTask` ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) method: &'static str,
    pub(crate) description: &'static str,
    pub(crate) cancelable: bool,
}

const fn kind(method: &'static str, description: &'static str, cancelable: bool) -> Kind {
    Kind { method, description, cancelable }
}

/// All methods that give a task here.
const KINDS: &[Kind] = &[
    kind("PowerOnVM_Task", "VirtualMachine.powerOn", false),
    kind("PowerOffVM_Task", "VirtualMachine.powerOff", false),
    kind("SuspendVM_Task", "VirtualMachine.suspend", false),
    kind("ResetVM_Task", "VirtualMachine.reset", false),
    kind("ReconfigVM_Task", "VirtualMachine.reconfigure", false),
    kind("CreateSnapshot_Task", "VirtualMachine.createSnapshot", true),
    kind("RemoveAllSnapshots_Task", "VirtualMachine.removeAllSnapshots", false),
    kind("RevertToCurrentSnapshot_Task", "VirtualMachine.revertToCurrentSnapshot", false),
    kind("RevertToSnapshot_Task", "vm.Snapshot.revert", false),
    kind("RemoveSnapshot_Task", "vm.Snapshot.remove", false),
    kind("MigrateVM_Task", "VirtualMachine.migrate", true),
    kind("RelocateVM_Task", "VirtualMachine.relocate", true),
    kind("RegisterVM_Task", "Folder.registerVm", false),
    kind("Destroy_Task", "VirtualMachine.destroy", false),
    kind("Rename_Task", "VirtualMachine.rename", false),
    kind("EnterMaintenanceMode_Task", "HostSystem.enterMaintenanceMode", true),
    kind("ExitMaintenanceMode_Task", "HostSystem.exitMaintenanceMode", true),
    kind("DeleteDatastoreFile_Task", "FileManager.deleteFile", false),
    kind("MoveDatastoreFile_Task", "FileManager.moveFile", false),
    kind("CopyDatastoreFile_Task", "FileManager.copyFile", false),
    kind("SearchDatastore_Task", "host.DatastoreBrowser.search", true),
    kind("SearchDatastoreSubFolders_Task", "host.DatastoreBrowser.searchSubFolders", true),
    kind("CreateVirtualDisk_Task", "VirtualDiskManager.createVirtualDisk", true),
    kind("CopyVirtualDisk_Task", "VirtualDiskManager.copyVirtualDisk", true),
    kind("MoveVirtualDisk_Task", "VirtualDiskManager.moveVirtualDisk", true),
    kind("DeleteVirtualDisk_Task", "VirtualDiskManager.deleteVirtualDisk", false),
    kind("ZeroFillVirtualDisk_Task", "VirtualDiskManager.zeroFillVirtualDisk", true),
    kind("EagerZeroVirtualDisk_Task", "VirtualDiskManager.eagerZeroVirtualDisk", true),
    kind("InflateVirtualDisk_Task", "VirtualDiskManager.inflateVirtualDisk", true),
    kind("ExtendVirtualDisk_Task", "VirtualDiskManager.extendVirtualDisk", false),
];

impl Kind {
    /// The kind of task that a method starts.
    pub(crate) fn of(method: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.method == method)
    }
}

/// What a task does when it ends well.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Work {
    pub(crate) target: MoRef,
    pub(crate) args: Object,
}

/// A task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task {
    pub(crate) moref: MoRef,
    pub(crate) kind: Kind,
    pub(crate) entity: MoRef,
    pub(crate) entity_name: String,
    pub(crate) state: TaskState,
    pub(crate) cancelled: bool,
    pub(crate) progress: Option<u8>,
    pub(crate) user: String,
    pub(crate) queued: Timestamp,
    pub(crate) started: Option<Timestamp>,
    pub(crate) completed: Option<Timestamp>,
    pub(crate) chain: i32,
    pub(crate) error: Option<Fault>,
    pub(crate) result: Option<Value>,
    /// The machine that it keeps for itself.
    pub(crate) machine: Option<MoRef>,
    /// Nothing for a task that a test made.
    pub(crate) work: Option<Work>,
    /// How long it runs; without it, until somebody says so.
    pub(crate) duration: Option<Duration>,
    /// A question holds it up.
    pub(crate) blocked: bool,
    /// Its time has come, and only the question holds it up.
    pub(crate) ready: bool,
    /// The serial ports whose files it has asked about.
    pub(crate) asked_ports: Vec<u8>,
}

impl Task {
    /// A property of the managed object.
    pub(crate) fn property(&self, name: &str) -> Option<Value> {
        (name == "info").then(|| self.info().into())
    }

    /// `TaskInfo`.
    fn info(&self) -> Object {
        let reason = Object::new("TaskReasonUser").with("userName", self.user.as_str());
        Object::new("TaskInfo")
            .with("key", self.moref.value.as_str())
            .with("task", &self.moref)
            .with("name", self.kind.method)
            .with("descriptionId", self.kind.description)
            .with("entity", &self.entity)
            .with("entityName", self.entity_name.as_str())
            .with("state", enumeration("TaskInfoState", self.state.as_str()))
            .with("cancelled", self.cancelled)
            .with("cancelable", self.kind.cancelable)
            .with_opt("error", self.error.as_ref().map(localized))
            .with_opt("result", self.result.clone())
            .with_opt("progress", self.progress.map(i32::from))
            .with("reason", reason)
            .with("queueTime", self.queued.date_time())
            .with_opt("startTime", self.started.map(Timestamp::date_time))
            .with_opt("completeTime", self.completed.map(Timestamp::date_time))
            .with("eventChainId", self.chain)
    }
}
