//! How tasks come to be, go on and end.
//!
//! A task takes its time from the model's clock ([`Model::set_task_duration`]), or waits to be pushed: held, it runs and
//! stays at the progress that a test gives it; queued, it does not even run. Its effect comes all at once, at its end.
//! Whether an operation is possible is found out then, too, and the refusal is the task's error, as it is on hosts;
//! only a machine that another task has for itself refuses the call.

use std::time::Duration;

use esx_vi_api::soap::Request;
use esx_vi_api::{MoRef, Value};

use super::fault::Fault;
use super::inventory::{Item, Preset};
use super::machine::PowerState;
use super::task::{Kind, Task, TaskState, Work};
use super::time::Timestamp;
use super::{Answer, Caller, Model};

/// How long a task that has ended can still be seen.
const REMEMBERED: Duration = Duration::from_secs(600);
/// How many tasks are remembered at the most.
const MAX_TASKS: usize = 1000;
/// Where a task stops that waits for an answer.
const BLOCKED_AT: u8 = 95;

/// How new tasks go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// They run for this long.
    Timed(Duration),
    /// They run until they are told.
    Held,
    /// They do not even run.
    Queued,
}

/// What a guest was asked to do, and when it does it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GuestWork {
    pub(super) machine: MoRef,
    /// What becomes of the machine; running, it starts again.
    pub(super) to: PowerState,
    pub(super) due: Option<Timestamp>,
}

/// Something that a test wants to happen right before a call.
pub(super) struct Hook {
    method: String,
    work: Box<dyn FnOnce(&mut Model) + Send>,
}

impl Model {
    /// How long new tasks run. Nothing at all, which is the default: they have ended before their method returns.
    pub fn set_task_duration(&mut self, duration: Duration) {
        self.pace = Pace::Timed(duration);
    }

    /// From now on a new task runs until [`finish_task`](Self::finish_task) or [`fail_task`](Self::fail_task) ends it.
    /// What guests are asked to do waits for [`finish_guest`](Self::finish_guest).
    pub fn hold_tasks(&mut self) {
        self.pace = Pace::Held;
    }

    /// As [`hold_tasks`](Self::hold_tasks), and new tasks stay queued until the first [`step_task`](Self::step_task).
    pub fn queue_tasks(&mut self) {
        self.pace = Pace::Queued;
    }

    /// Ends all tasks that wait to be pushed; new ones run for no time at all.
    pub fn release_tasks(&mut self) {
        self.pace = Pace::Timed(Duration::ZERO);
        for task in self.unfinished_tasks() {
            self.finish_task(&task);
        }
        for work in std::mem::take(&mut self.guest_work) {
            self.guest_does(work);
        }
    }

    /// The references of all tasks that have not ended, the oldest first.
    pub fn unfinished_tasks(&self) -> Vec<MoRef> {
        let unfinished = |moref: &&MoRef| {
            self.inventory.task(moref).is_some_and(|task| task.state.is_unfinished())
        };
        self.inventory.tasks.iter().filter(unfinished).cloned().collect()
    }

    /// The references of all tasks that can be seen, the oldest first.
    pub fn tasks(&self) -> Vec<MoRef> {
        self.inventory.tasks.clone()
    }

    /// The state of a task.
    pub fn task_state(&self, task: &MoRef) -> Option<TaskState> {
        self.inventory.task(task).map(|task| task.state)
    }

    /// The method that started a task.
    pub fn task_method(&self, task: &MoRef) -> Option<&'static str> {
        self.inventory.task(task).map(|task| task.kind.method)
    }

    /// The machine's task that has not ended.
    pub fn task_of(&self, machine: &MoRef) -> Option<MoRef> {
        let busy =
            |task: &&Task| task.machine.as_ref() == Some(machine) && task.state.is_unfinished();
        self.inventory.all_tasks().find(busy).map(|task| task.moref.clone())
    }

    /// Makes a task of some other client's that does nothing: it runs until it is told. `method` names a method that gives
    /// tasks, for example `CreateSnapshot_Task`.
    pub fn add_task(&mut self, machine: &MoRef, method: &str, state: TaskState) -> Option<MoRef> {
        let kind = *Kind::of(method)?;
        self.inventory.machine(machine)?;
        let task = self.new_task(kind, machine, Some(machine.clone()), "root", None);
        if let Some(item) = self.inventory.task_mut(&task) {
            item.state = state;
            item.started = (state != TaskState::Queued).then_some(item.queued);
            item.completed = (!state.is_unfinished()).then_some(item.queued);
        }
        self.changed(true);
        Some(task)
    }

    /// Moves a task on: it runs now and has come this far, in percent. Returns whether it could.
    pub fn step_task(&mut self, task: &MoRef, progress: u8) -> bool {
        let now = self.now;
        let Some(task) = self.inventory.task_mut(task).filter(|task| task.state.is_unfinished())
        else {
            return false;
        };
        task.state = TaskState::Running;
        task.started.get_or_insert(now);
        task.progress = Some(progress.min(100));
        self.changed(true)
    }

    /// Lets a task do its work and end. One that a question holds up ends when it is answered. Returns whether there is
    /// such an unfinished task.
    pub fn finish_task(&mut self, task: &MoRef) -> bool {
        match self.inventory.task_mut(task).filter(|task| task.state.is_unfinished()) {
            Some(task) => task.ready = true,
            None => return false,
        }
        self.run_task(task);
        true
    }

    /// Ends a task with a fault; it has no effect then.
    pub fn fail_task(&mut self, task: &MoRef, fault: Fault) -> bool {
        let unfinished = self.inventory.task(task).is_some_and(|task| task.state.is_unfinished());
        if unfinished {
            self.end_task(task, Err(fault));
        }
        unfinished
    }

    /// Makes a task vanish without a trace, whatever its state; its question goes with it.
    pub fn forget_task(&mut self, task: &MoRef) -> bool {
        self.drop_question_of(task);
        let found = self.inventory.remove_task(task);
        self.changed(found)
    }

    /// Lets a task be cancelled, or not.
    pub fn set_cancelable(&mut self, task: &MoRef, cancelable: bool) -> bool {
        let found =
            self.inventory.task_mut(task).map(|task| task.kind.cancelable = cancelable).is_some();
        self.changed(found)
    }

    /// Does `work` right before the next call of `method` is looked at. Several for one method belong to one call each, in
    /// their order. What may happen between two calls of a client can so be tried without a race.
    pub fn before(&mut self, method: &str, work: impl FnOnce(&mut Self) + Send + 'static) {
        self.hooks.push(Hook { method: method.to_owned(), work: Box::new(work) });
    }

    /// Brings the model to the time `now`: tasks whose time is over end, old ones are forgotten.
    pub fn tick(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        let now = self.now;
        let mut over = Vec::new();
        let mut moved = false;
        for moref in &self.inventory.tasks.clone() {
            let Some(task) = self.inventory.task_mut(moref) else { continue };
            if !task.state.is_unfinished() {
                continue;
            }
            let (Some(started), Some(duration)) = (task.started, task.duration) else { continue };
            if now >= started.after(duration) {
                task.duration = None;
                over.push(moref.clone());
            } else if !task.blocked {
                let quarter = quarters(started, duration, now) * 25;
                moved |= task.progress != Some(quarter);
                task.progress = Some(quarter);
            }
        }
        self.changed(moved);
        for task in over {
            self.finish_task(&task);
        }
        let (due, later) = std::mem::take(&mut self.guest_work)
            .into_iter()
            .partition(|work: &GuestWork| work.due.is_some_and(|due| due <= now));
        self.guest_work = later;
        for work in due {
            self.guest_does(work);
        }
        let old =
            |task: &Task| task.completed.is_some_and(|completed| completed.after(REMEMBERED) < now);
        let forgotten = self.inventory.forget_tasks(old);
        self.changed(forgotten);
        self.tick_leases(now);
    }

    /// When [`tick`](Self::tick) will next have something to do.
    pub(super) fn next_event(&self) -> Option<Timestamp> {
        let tasks = self.inventory.all_tasks().filter_map(|task| {
            let (started, duration) = (task.started?, task.duration?);
            let quarter = quarters(started, duration, self.now) + 1;
            task.state.is_unfinished().then(|| started.after(duration * quarter.into() / 4))
        });
        let guests = self.guest_work.iter().filter_map(|work| work.due);
        tasks.chain(guests).chain(self.next_lease_end()).min()
    }

    /// Runs the hook of a method, if there is one.
    pub(super) fn run_hook(&mut self, method: &str) {
        if let Some(index) = self.hooks.iter().position(|hook| hook.method == method) {
            let hook = self.hooks.remove(index);
            (hook.work)(self);
        }
    }

    /// Starts the task that a method stands for.
    pub(super) fn start_task(
        &mut self,
        kind: Kind,
        request: &Request,
        caller: &Caller<'_>,
    ) -> Result<Answer, Fault> {
        let this = &request.this;
        let machine = match this.kind.as_str() {
            "VirtualMachine" => Some(this.clone()),
            "VirtualMachineSnapshot" => self.inventory.owner_of_snapshot(this).cloned(),
            _ => None,
        };
        if let Some(busy) = machine.as_ref().and_then(|machine| self.task_of(machine)) {
            return Err(Fault::new("TaskInProgress", "Another task is already in progress.")
                .with("task", &busy));
        }
        let user = self.session(caller, this)?.user.clone();
        let work = Work { target: this.clone(), args: request.args.clone() };
        let entity = machine.clone().unwrap_or_else(|| this.clone());
        let task = self.new_task(kind, &entity, machine, &user, Some(work));
        let pace = self.pace;
        if let Some(item) = self.inventory.task_mut(&task) {
            match pace {
                Pace::Timed(duration) => item.duration = Some(duration),
                Pace::Held => {}
                Pace::Queued => {
                    item.state = TaskState::Queued;
                    item.started = None;
                    item.progress = None;
                }
            }
        }
        self.changed(true);
        if pace == Pace::Timed(Duration::ZERO) {
            self.tick(self.now);
        }
        Ok(Answer::Result(Some(task.into())))
    }

    /// A new task that runs until it is told.
    fn new_task(
        &mut self,
        kind: Kind,
        entity: &MoRef,
        machine: Option<MoRef>,
        user: &str,
        work: Option<Work>,
    ) -> MoRef {
        self.next_task += 1;
        let number = self.next_task;
        let value = match self.inventory.preset {
            Preset::Esx => {
                format!("haTask-{}-vim.{}-{number}", entity.value, kind.description)
            }
            Preset::VCenter => format!("task-{number}"),
        };
        let moref = MoRef::new("Task", value);
        if self.inventory.tasks.len() >= MAX_TASKS {
            let oldest = self
                .inventory
                .all_tasks()
                .find(|task| !task.state.is_unfinished())
                .map(|task| task.moref.clone());
            if let Some(oldest) = oldest {
                self.inventory.remove_task(&oldest);
            }
        }
        self.inventory.add_task(Task {
            moref: moref.clone(),
            kind,
            entity: entity.clone(),
            entity_name: self.inventory.name(entity).unwrap_or_default().to_owned(),
            state: TaskState::Running,
            cancelled: false,
            progress: Some(0),
            user: user.to_owned(),
            queued: self.now,
            started: Some(self.now),
            completed: None,
            chain: number,
            error: None,
            result: None,
            machine,
            work,
            duration: None,
            blocked: false,
            ready: false,
            asked_ports: Vec::new(),
        });
        moref
    }

    /// Goes on with a task that is ready, up to its end or to a question.
    pub(super) fn run_task(&mut self, moref: &MoRef) {
        let now = self.now;
        let Some(task) = self.inventory.task_mut(moref) else { return };
        if !task.state.is_unfinished() || !task.ready || task.blocked {
            return;
        }
        task.state = TaskState::Running;
        task.started.get_or_insert(now);
        let (method, work, machine) = (task.kind.method, task.work.clone(), task.machine.clone());
        let Some(work) = work else { return self.end_task(moref, Ok(None)) };
        if method == "PowerOnVM_Task"
            && let Some(machine) = &machine
        {
            match self.may_power_on(machine) {
                Err(fault) => return self.end_task(moref, Err(fault)),
                Ok(()) => {
                    if self.asks_before_power_on(machine, moref) {
                        return;
                    }
                }
            }
        }
        let outcome = self.perform(method, &work);
        self.end_task(moref, outcome);
    }

    /// Holds a task up until its question is answered.
    pub(super) fn block_task(&mut self, moref: &MoRef) {
        let now = self.now;
        if let Some(task) = self.inventory.task_mut(moref).filter(|task| task.state.is_unfinished())
        {
            task.blocked = true;
            task.state = TaskState::Running;
            task.started.get_or_insert(now);
            task.progress = Some(BLOCKED_AT);
        }
    }

    /// Ends a task.
    pub(super) fn end_task(&mut self, moref: &MoRef, outcome: Result<Option<Value>, Fault>) {
        let now = self.now;
        self.drop_question_of(moref);
        if let Some(task) = self.inventory.task_mut(moref) {
            task.blocked = false;
            task.duration = None;
            task.started.get_or_insert(now);
            task.completed = Some(now);
            match outcome {
                Ok(result) => {
                    task.state = TaskState::Success;
                    task.progress = Some(100);
                    task.result = result;
                }
                Err(fault) => {
                    task.state = TaskState::Error;
                    task.error = Some(fault);
                }
            }
        }
        self.changed(true);
    }

    /// `CancelTask`.
    pub(super) fn cancel_task(&mut self, moref: &MoRef) -> Result<Answer, Fault> {
        let task = self.inventory.task_mut(moref).ok_or_else(|| Fault::object_not_found(moref))?;
        if !task.state.is_unfinished() {
            return Err(Fault::new("InvalidState", "The task has ended."));
        }
        if !task.kind.cancelable {
            return Err(Fault::not_supported());
        }
        task.cancelled = true;
        let fault = Fault::new("RequestCanceled", "The task was canceled by a user.");
        self.end_task(moref, Err(fault));
        Ok(Answer::Result(None))
    }

    /// The effect of a task.
    fn perform(&mut self, method: &str, work: &Work) -> Result<Option<Value>, Fault> {
        let Work { target, args } = work;
        if let Some(fault) = self.refusal_of(method) {
            return Err(fault);
        }
        match method {
            "PowerOnVM_Task" => self.power_on(target),
            "PowerOffVM_Task" => self.power_off(target),
            "SuspendVM_Task" => self.suspend(target),
            "ResetVM_Task" => self.reset(target),
            "ReconfigVM_Task" => self.reconfigure(target, args),
            "CreateSnapshot_Task" => self.create_snapshot(target, args),
            "RevertToSnapshot_Task" => self.revert(target, args),
            "RevertToCurrentSnapshot_Task" => self.revert_to_current(target, args),
            "RemoveSnapshot_Task" => self.remove_snapshot(target, args),
            "RemoveAllSnapshots_Task" => self.remove_all_snapshots(target),
            "MigrateVM_Task" => self.migrate(target, args),
            "RelocateVM_Task" => self.relocate(target, args),
            "RegisterVM_Task" => self.register(target, args),
            "Destroy_Task" => self.destroy(target),
            "Rename_Task" => self.rename_task(target, args),
            "DeleteDatastoreFile_Task" => self.delete_file(args),
            "CopyDatastoreFile_Task" => self.copy_file(args, true),
            "MoveDatastoreFile_Task" => self.copy_file(args, false),
            "SearchDatastore_Task" => self.search_datastore(target, args, false),
            "SearchDatastoreSubFolders_Task" => self.search_datastore(target, args, true),
            "CreateVirtualDisk_Task" => self.create_disk(args),
            "CopyVirtualDisk_Task" => self.copy_disk(args),
            "MoveVirtualDisk_Task" => self.move_disk(args),
            "DeleteVirtualDisk_Task" => self.delete_disk(args),
            "ZeroFillVirtualDisk_Task" => self.zero_fill_disk(args),
            "EagerZeroVirtualDisk_Task" | "InflateVirtualDisk_Task" => self.inflate_disk(args),
            "ExtendVirtualDisk_Task" => self.extend_disk(args),
            "EnterMaintenanceMode_Task" | "ExitMaintenanceMode_Task" => {
                self.maintenance(target, method.starts_with("Enter"))
            }
            _ => Err(Fault::not_supported()),
        }
    }

    /// `EnterMaintenanceMode_Task` and `ExitMaintenanceMode_Task`.
    fn maintenance(&mut self, host: &MoRef, enter: bool) -> Result<Option<Value>, Fault> {
        let running = self
            .inventory
            .machines()
            .any(|machine| machine.place.host == *host && machine.power == PowerState::PoweredOn);
        match self.inventory.get_mut(host) {
            // A host waits until nobody runs; a task that can never end helps no test.
            Some(Item::Host(_)) if enter && running => {
                Err(Fault::new("Timedout", "Machines are running on the host."))
            }
            Some(Item::Host(host)) if host.maintenance == enter => {
                Err(Fault::new("InvalidState", "The host is in that state already."))
            }
            Some(Item::Host(host)) => {
                host.maintenance = enter;
                Ok(None)
            }
            _ => Err(Fault::object_not_found(host)),
        }
    }
}

/// How many quarters of its duration a task has behind it, 0 to 3.
fn quarters(started: Timestamp, duration: Duration, now: Timestamp) -> u8 {
    let passed = now.0.saturating_sub(started.0);
    (1..4).rev().find(|quarter| passed >= duration * u32::from(*quarter) / 4).unwrap_or(0)
}
