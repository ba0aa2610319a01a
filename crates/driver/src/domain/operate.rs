//! How operations reach a machine: where, checked how, with which errors.

use std::sync::Arc;

use esx_task::{AutoAnswer, Policy};
use esx_vi_api::{Method, MoRef, Value};
use esx_vi_client::{Checked, Client, Error as ViError, TaskOptions};
use virt_api::{Domain, DomainState, Error, ErrorCode, ErrorDomain, Result};

use super::lookup::Wanted;
use crate::connection::Session;
use crate::error::vi_error;

/// The machine's property that says whether it runs.
pub(super) const POWER: &str = "runtime.powerState";

/// What ends an operation early: the VI API, or our own look at the machine.
pub(super) enum Stop {
    Vi(ViError),
    Driver(Error),
}

impl From<ViError> for Stop {
    fn from(error: ViError) -> Self {
        Self::Vi(error)
    }
}

impl Stop {
    pub(super) fn into_error(self, what: &str) -> Error {
        match self {
            Self::Vi(error) => vi_error(what, error),
            Self::Driver(error) => error,
        }
    }
}

/// The state that the look before a start has found.
pub(super) fn checked_state(checked: &Checked) -> DomainState {
    match checked.get(POWER).and_then(Value::as_str) {
        Some("poweredOn") => DomainState::Running,
        Some("suspended") => DomainState::Paused,
        Some("poweredOff") => DomainState::Shutoff,
        _ => DomainState::NoState,
    }
}

/// Refuses a machine that is in none of these states.
pub(super) fn require_state(
    domain: &Domain,
    state: DomainState,
    allowed: &[DomainState],
) -> Result<(), Stop> {
    if allowed.contains(&state) {
        return Ok(());
    }
    let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
    let message = format!("domain {:?} is {state}, not {}", domain.name, allowed.join(" or "));
    Err(Stop::Driver(Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message)))
}

/// The VI API's operation in one word of virsh's.
fn operation(method: &'static str) -> &'static str {
    match method {
        "PowerOnVM_Task" => "start",
        "PowerOffVM_Task" => "destroy",
        "SuspendVM_Task" => "suspend",
        "ResetVM_Task" => "reset",
        "ReconfigVM_Task" => "change",
        "CreateSnapshot_Task" => "snapshot-create",
        "RevertToSnapshot_Task" => "snapshot-revert",
        "RemoveSnapshot_Task" => "snapshot-delete",
        "MigrateVM_Task" | "RelocateVM_Task" => "migrate",
        other => other,
    }
}

impl Session {
    /// Refuses a function that changes something if the connection is read-only.
    pub(crate) fn check_writable(&self, function: &str) -> Result<()> {
        if self.read_only { Err(Error::read_only(function)) } else { Ok(()) }
    }

    /// The machine behind a handle: remembered if possible, else looked up.
    pub(super) async fn machine_of(&self, domain: &Domain) -> Result<MoRef> {
        match self.remembered(domain) {
            Some(moref) => Ok(moref),
            None => {
                let machine = self.find_domain(domain, Wanted::default()).await?.machine;
                self.remember(&machine);
                Ok(machine.moref)
            }
        }
    }

    /// How the operation `method` on a machine is run: who answers its questions, who is told how far it is.
    pub(super) fn task_options(&self, machine: &MoRef, method: &'static str) -> TaskOptions {
        let auto_answer =
            if self.uri.auto_answer() { AutoAnswer::Default } else { AutoAnswer::Never };
        let mut options =
            TaskOptions { auto_answer, deadline: self.watchers.timeout, ..TaskOptions::default() };
        if let Some(callback) = self.watchers.questions.clone() {
            let domain = self.domain_of(machine);
            options.policy = Some(Policy::new(move |question| {
                let asked = super::question::shown(&domain, question);
                let chosen = asked.choices.get(callback.choose(&asked)?)?;
                Some(chosen.key.clone())
            }));
        }
        let tell = self.watchers.teller(self.domain_of(machine), operation(method));
        options.progress = Some(Arc::new(tell));
        options
    }

    /// Runs an operation of a machine that ends in a task. `may_start` sees the power state and `paths`.
    pub(super) async fn run<M: Method<Output = MoRef> + Sync>(
        &self,
        domain: &Domain,
        what: &str,
        operation: &M,
        paths: &[&str],
        may_start: impl FnOnce(&Checked) -> Result<(), Stop> + Send,
    ) -> Result<()> {
        let machine = self.machine_of(domain).await?;
        self.run_on(&self.client, &machine, &machine, what, operation, paths, may_start).await
    }

    /// The same with another endpoint, or on another object than the machine itself.
    #[allow(clippy::too_many_arguments, reason = "each is one fact, and there are two callers")]
    pub(super) async fn run_on<M: Method<Output = MoRef> + Sync>(
        &self,
        client: &Client,
        machine: &MoRef,
        target: &MoRef,
        what: &str,
        operation: &M,
        paths: &[&str],
        may_start: impl FnOnce(&Checked) -> Result<(), Stop> + Send,
    ) -> Result<()> {
        let paths: Vec<_> = std::iter::once(POWER).chain(paths.iter().copied()).collect();
        client
            .run_task(
                machine,
                target,
                operation,
                &paths,
                may_start,
                &self.task_options(machine, M::NAME),
            )
            .await
            .map_err(|stop| stop.into_error(what))
    }
}
