//! How operations reach a machine: where, checked how, with which errors.

use std::sync::Arc;

use esx_task::{AutoAnswer, Policy};
use esx_vi_api::{Method, MoRef, Value};
use esx_vi_client::{Checked, Client, Error as ViError, Retrieval, Retrieved, TaskOptions};
use virt_api::{Domain, DomainState, Error, ErrorCode, ErrorDomain, Result};
use virt_xml::parse_uuid;

use super::lookup::Wanted;
use crate::connection::Session;
use crate::error::vi_error;

/// The machine's property that says whether it runs.
pub(super) const POWER: &str = "runtime.powerState";

/// What ends an operation early: the VI API, or our own look at the machine.
pub(super) enum Stop {
    Vi(ViError),
    Driver(Error),
    /// What was taken for the domain's machine is another's: nothing was started.
    Another,
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
            Self::Another => {
                Error::no_domain(format!("{what}: it has gone, another machine is in its place"))
            }
        }
    }

    /// Whether the machine is not where it was taken to be, if the look at it has not succeeded.
    fn is_elsewhere(&self) -> bool {
        match self {
            Self::Another => true,
            Self::Vi(error) => error.is_fault("ManagedObjectNotFound"),
            Self::Driver(_) => false,
        }
    }
}

/// Refuses to go on if the look has found another machine than that of the handle: references can be given anew, and a machine that
/// was registered anew has another.
pub(super) fn require_domain(
    domain: &Domain,
    checked: &Checked,
    uuid_path: &str,
) -> Result<(), Stop> {
    let found = checked.get(uuid_path).and_then(Value::as_str).and_then(parse_uuid);
    match found {
        Some(found) if found != domain.uuid && !domain.uuid.is_nil() => Err(Stop::Another),
        _ => Ok(()),
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

    /// The machine behind a handle: as the view has it, remembered, or else looked up. What is remembered may be out of date: a
    /// change looks whether it is ([`require_domain`]), or takes [`Session::sure_machine_of`].
    pub(super) async fn machine_of(&self, domain: &Domain) -> Result<MoRef> {
        if let Some(found) = self.view_find_domain(domain, Wanted::default()).await {
            return Ok(found.machine.moref);
        }
        match self.remembered(domain) {
            Some(moref) => Ok(moref),
            None => self.sure_machine_of(domain).await,
        }
    }

    /// The machine that is the handle's at this moment: one request, or none with a view.
    pub(super) async fn sure_machine_of(&self, domain: &Domain) -> Result<MoRef> {
        let machine = self.find_domain(domain, Wanted::default()).await?.machine;
        self.remember(&machine);
        Ok(machine.moref)
    }

    /// Retrieves what `build` asks of the machines of `domains`; `None` if there are none. Those that have gone are left out, as libvirt does.
    pub(super) async fn retrieve_of(
        &self,
        domains: &[Domain],
        build: impl Fn(&MoRef, &[MoRef]) -> Retrieval + Send,
        what: &str,
    ) -> Result<Option<Retrieved>> {
        let mut sure = false;
        loop {
            let mut machines = Vec::with_capacity(domains.len());
            for domain in domains {
                let machine = if sure {
                    self.sure_machine_of(domain).await
                } else {
                    self.machine_of(domain).await
                };
                match machine {
                    Ok(machine) => machines.push(machine),
                    Err(error) if error.code == ErrorCode::NoDomain => self.forget(domain),
                    Err(error) => return Err(error),
                }
            }
            let Some((first, rest)) = machines.split_first() else { return Ok(None) };
            match self.client.retrieve(&build(first, rest)).await {
                Err(error) if !sure && error.is_fault("ManagedObjectNotFound") => sure = true,
                found => return found.map(Some).map_err(|error| vi_error(what, error)),
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
        self.run_somewhere(domain, what, operation, paths, may_start).await.map(|_| ())
    }

    /// The same; says which machine it was.
    pub(super) async fn run_somewhere<M: Method<Output = MoRef> + Sync>(
        &self,
        domain: &Domain,
        what: &str,
        operation: &M,
        paths: &[&str],
        may_start: impl FnOnce(&Checked) -> Result<(), Stop> + Send,
    ) -> Result<MoRef> {
        let paths = [&[self.uuid_path()], paths].concat();
        let mut may_start = Some(may_start);
        let mut machine = self.machine_of(domain).await?;
        loop {
            let look = |checked: &Checked| {
                require_domain(domain, checked, self.uuid_path())?;
                may_start.take().map_or(Ok(()), |may_start| may_start(checked))
            };
            let done = self.run_on(&self.client, &machine, &machine, operation, &paths, look).await;
            let Err(stop) = done else { return Ok(machine) };
            match self.moved(domain, &machine, may_start.is_none(), &stop).await? {
                Some(found) => machine = found,
                None => return Err(stop.into_error(what)),
            }
        }
    }

    /// Where the domain's machine is now, if it was not where it was taken to be. As long as the look has not succeeded (`looked`)
    /// nothing was started, so that it can be done there.
    pub(super) async fn moved(
        &self,
        domain: &Domain,
        machine: &MoRef,
        looked: bool,
        stop: &Stop,
    ) -> Result<Option<MoRef>> {
        if looked || !stop.is_elsewhere() {
            return Ok(None);
        }
        self.forget(domain);
        let found = self.sure_machine_of(domain).await?;
        Ok((found != *machine).then_some(found))
    }

    /// The same with another endpoint, or on another object than the machine itself.
    pub(super) async fn run_on<M: Method<Output = MoRef> + Sync>(
        &self,
        client: &Client,
        machine: &MoRef,
        target: &MoRef,
        operation: &M,
        paths: &[&str],
        may_start: impl FnOnce(&Checked) -> Result<(), Stop> + Send,
    ) -> Result<(), Stop> {
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
    }
}
