//! The checks that change something pass on a sound driver, restore what they changed, and notice faults.

use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use esx_conformance::{
    CHECKS, Expectations, Findings, Report, life_cycle_changes_states, resources_are_read_back,
    snapshots_form_a_tree,
};
use uuid::Uuid;
use virt_api::{
    Definitions, Domain, DomainCreateFlags, DomainDestroyFlags, DomainInfo, DomainMemoryFlags,
    DomainModificationFlags, DomainState, DomainStateReason, DomainVcpuFlags, Driver, Error,
    ErrorCode, ErrorDomain, Hypervisor, NoFlags, Result, SchedulerType, Snapshot,
    SnapshotCreateFlags, SnapshotDeleteFlags, SnapshotListFlags, SnapshotRevertFlags,
    SnapshotXmlFlags, Snapshots, TypedParam, TypedValue,
};

/// What is wrong with the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    StartsTwice,
    SuspendStops,
    KeepsId,
    ForgetsMemory,
    TakesNoCpus,
    TakesAnyParameter,
    NoParents,
    RevertsNothing,
    KeepsChildren,
    TakesTwins,
    LosesDescription,
}

/// The host's one domain.
#[derive(Clone, Debug, PartialEq)]
struct Machine {
    state: DomainState,
    max_memory_kib: u64,
    memory_kib: u64,
    vcpus: u32,
    reservation: u64,
    limit: i64,
    /// Name, description, parent; parents first.
    snapshots: Vec<(String, String, Option<String>)>,
    current: Option<String>,
}

struct Fake {
    fault: Fault,
    machine: Mutex<Machine>,
}

const MACHINE: Machine = Machine {
    state: DomainState::Paused,
    max_memory_kib: 65_536,
    memory_kib: 65_536,
    vcpus: 4,
    reservation: 1024,
    limit: -1,
    snapshots: Vec::new(),
    current: None,
};

impl Fake {
    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap()
    }

    fn handle(&self) -> Domain {
        let active = self.machine().state != DomainState::Shutoff || self.fault == Fault::KeepsId;
        Domain { name: "scratch".to_owned(), uuid: Uuid::from_u128(1), id: active.then_some(1) }
    }

    /// Goes to a state from one of some others.
    fn go(&self, from: &[DomainState], to: DomainState) -> Result<()> {
        let mut machine = self.machine();
        if !from.contains(&machine.state) {
            return Err(refused(ErrorCode::OperationInvalid));
        }
        machine.state = to;
        Ok(())
    }

    fn children(&self, of: Option<&str>) -> Vec<String> {
        let machine = self.machine();
        let wanted = |item: &&(String, String, Option<String>)| item.2.as_deref() == of;
        machine.snapshots.iter().filter(wanted).map(|item| item.0.clone()).collect()
    }

    fn snapshot(&self, name: &str) -> Result<(String, String, Option<String>)> {
        let machine = self.machine();
        let found = machine.snapshots.iter().find(|item| item.0 == name).cloned();
        found.ok_or_else(|| refused(ErrorCode::NoDomainSnapshot))
    }

    fn handles(&self, names: Vec<String>) -> Vec<Snapshot> {
        let domain = self.handle();
        names.into_iter().map(|name| Snapshot { domain: domain.clone(), name }).collect()
    }
}

fn refused(code: ErrorCode) -> Error {
    Error::new(code, ErrorDomain::Test, "refused")
}

impl Driver for Fake {
    fn hypervisor(&self) -> &dyn Hypervisor {
        self
    }
}

#[async_trait]
impl Hypervisor for Fake {
    async fn domain_lookup_by_name(&self, name: &str) -> Result<Domain> {
        let domain = self.handle();
        if domain.name == name { Ok(domain) } else { Err(Error::no_domain("no such domain")) }
    }

    async fn domain_lookup_by_uuid(&self, _: Uuid) -> Result<Domain> {
        Ok(self.handle())
    }

    async fn domain_get_state(
        &self,
        _: &Domain,
        _: NoFlags,
    ) -> Result<(DomainState, DomainStateReason)> {
        Ok((self.machine().state, DomainStateReason::default()))
    }

    async fn domain_get_info(&self, _: &Domain) -> Result<DomainInfo> {
        let Machine { state, max_memory_kib, memory_kib, vcpus, .. } = self.machine().clone();
        Ok(DomainInfo { state, max_memory_kib, memory_kib, vcpus, cpu_time_ns: 0 })
    }

    async fn domain_create_with_flags(&self, _: &Domain, _: DomainCreateFlags) -> Result<Domain> {
        let running = (self.fault == Fault::StartsTwice).then_some(DomainState::Running);
        let from: Vec<_> = running.into_iter().chain([DomainState::Shutoff]).collect();
        self.go(&from, DomainState::Running)?;
        Ok(self.handle())
    }

    async fn domain_suspend(&self, _: &Domain) -> Result<()> {
        let stops = self.fault == Fault::SuspendStops;
        let to = if stops { DomainState::Shutoff } else { DomainState::Paused };
        self.go(&[DomainState::Running], to)
    }

    async fn domain_resume(&self, _: &Domain) -> Result<()> {
        self.go(&[DomainState::Paused], DomainState::Running)
    }

    async fn domain_destroy_flags(&self, _: &Domain, _: DomainDestroyFlags) -> Result<()> {
        self.go(&[DomainState::Running, DomainState::Paused], DomainState::Shutoff)
    }

    async fn domain_get_max_memory(&self, _: &Domain) -> Result<u64> {
        Ok(self.machine().max_memory_kib)
    }

    async fn domain_set_max_memory(&self, _: &Domain, memory_kib: u64) -> Result<()> {
        match (memory_kib, self.fault) {
            (0, _) => return Err(refused(ErrorCode::InvalidArg)),
            (_, Fault::ForgetsMemory) => {}
            _ => self.machine().max_memory_kib = memory_kib,
        }
        Ok(())
    }

    async fn domain_set_memory_flags(
        &self,
        _: &Domain,
        memory_kib: u64,
        _: DomainMemoryFlags,
    ) -> Result<()> {
        if memory_kib == 0 {
            return Err(refused(ErrorCode::InvalidArg));
        }
        self.machine().memory_kib = memory_kib;
        Ok(())
    }

    async fn domain_get_vcpus_flags(&self, _: &Domain, flags: DomainVcpuFlags) -> Result<u32> {
        let max = flags.contains(DomainVcpuFlags::VCPU_MAXIMUM);
        Ok(if max { 8 } else { self.machine().vcpus })
    }

    async fn domain_set_vcpus_flags(
        &self,
        _: &Domain,
        vcpus: u32,
        _: DomainVcpuFlags,
    ) -> Result<()> {
        if vcpus > 8 || (vcpus == 0 && self.fault != Fault::TakesNoCpus) {
            return Err(refused(ErrorCode::InvalidArg));
        }
        self.machine().vcpus = vcpus;
        Ok(())
    }

    async fn domain_get_memory_parameters(
        &self,
        _: &Domain,
        _: DomainModificationFlags,
    ) -> Result<Vec<TypedParam>> {
        Ok(vec![TypedParam::new("min_guarantee", self.machine().reservation)])
    }

    async fn domain_set_memory_parameters(
        &self,
        _: &Domain,
        params: &[TypedParam],
        _: DomainModificationFlags,
    ) -> Result<()> {
        for param in params {
            match (param.name.as_str(), &param.value) {
                ("min_guarantee", TypedValue::ULLong(kib)) => self.machine().reservation = *kib,
                _ if self.fault == Fault::TakesAnyParameter => {}
                _ => return Err(refused(ErrorCode::ArgumentUnsupported)),
            }
        }
        Ok(())
    }

    async fn domain_get_scheduler_type(&self, _: &Domain) -> Result<SchedulerType> {
        Ok(SchedulerType { name: "fake".to_owned(), params: 1 })
    }

    async fn domain_get_scheduler_parameters_flags(
        &self,
        _: &Domain,
        _: DomainModificationFlags,
    ) -> Result<Vec<TypedParam>> {
        Ok(vec![TypedParam::new("limit", self.machine().limit)])
    }

    async fn domain_set_scheduler_parameters_flags(
        &self,
        _: &Domain,
        params: &[TypedParam],
        _: DomainModificationFlags,
    ) -> Result<()> {
        for param in params {
            match (param.name.as_str(), &param.value) {
                ("limit", TypedValue::LLong(limit)) => self.machine().limit = *limit,
                _ => return Err(refused(ErrorCode::ArgumentUnsupported)),
            }
        }
        Ok(())
    }
}

impl Definitions for Fake {}

#[async_trait]
impl Snapshots for Fake {
    async fn domain_snapshot_create_xml(
        &self,
        _: &Domain,
        xml: &str,
        _: SnapshotCreateFlags,
    ) -> Result<Snapshot> {
        let request = virt_xml::snapshot::SnapshotRequest::parse(xml).unwrap();
        let name = request.name.unwrap();
        if self.snapshot(&name).is_ok() && self.fault != Fault::TakesTwins {
            return Err(refused(ErrorCode::OperationInvalid));
        }
        {
            let mut machine = self.machine();
            let parent = machine.current.clone().filter(|_| self.fault != Fault::NoParents);
            machine.snapshots.push((name.clone(), request.description.unwrap_or_default(), parent));
            machine.current = Some(name.clone());
        }
        Ok(Snapshot { domain: self.handle(), name })
    }

    async fn domain_snapshot_get_xml_desc(
        &self,
        snapshot: &Snapshot,
        _: SnapshotXmlFlags,
    ) -> Result<String> {
        let (name, description, parent) = self.snapshot(&snapshot.name)?;
        let lost = self.fault == Fault::LosesDescription;
        let document = virt_xml::snapshot::Snapshot {
            name,
            description: Some(if lost { String::new() } else { description }),
            state: "shutoff".to_owned(),
            parent,
            creation_time: 1,
            domain_uuid: Uuid::from_u128(1),
        };
        Ok(document.to_xml())
    }

    async fn domain_snapshot_num(&self, _: &Domain, _: SnapshotListFlags) -> Result<u32> {
        Ok(self.machine().snapshots.len() as u32)
    }

    async fn domain_list_all_snapshots(
        &self,
        _: &Domain,
        flags: SnapshotListFlags,
    ) -> Result<Vec<Snapshot>> {
        let all: Vec<_> = self.machine().snapshots.clone();
        let leaf = |name: &str| self.children(Some(name)).is_empty();
        let names = all.into_iter().filter(|(name, _, parent)| {
            (!flags.contains(SnapshotListFlags::ROOTS) || parent.is_none())
                && (!flags.contains(SnapshotListFlags::LEAVES) || leaf(name))
                && (!flags.contains(SnapshotListFlags::NO_LEAVES) || !leaf(name))
        });
        let names = names.map(|(name, ..)| name).collect();
        Ok(self.handles(names))
    }

    async fn domain_snapshot_list_all_children(
        &self,
        snapshot: &Snapshot,
        _: SnapshotListFlags,
    ) -> Result<Vec<Snapshot>> {
        Ok(self.handles(self.children(Some(&snapshot.name))))
    }

    async fn domain_snapshot_lookup_by_name(
        &self,
        domain: &Domain,
        name: &str,
        _: NoFlags,
    ) -> Result<Snapshot> {
        self.snapshot(name)?;
        Ok(Snapshot { domain: domain.clone(), name: name.to_owned() })
    }

    async fn domain_snapshot_current(&self, domain: &Domain, _: NoFlags) -> Result<Snapshot> {
        let current = self.machine().current.clone();
        let name = current.ok_or_else(|| refused(ErrorCode::NoDomainSnapshot))?;
        Ok(Snapshot { domain: domain.clone(), name })
    }

    async fn domain_snapshot_get_parent(
        &self,
        snapshot: &Snapshot,
        _: NoFlags,
    ) -> Result<Snapshot> {
        let (.., parent) = self.snapshot(&snapshot.name)?;
        let name = parent.ok_or_else(|| refused(ErrorCode::NoDomainSnapshot))?;
        Ok(Snapshot { name, ..snapshot.clone() })
    }

    async fn domain_revert_to_snapshot(
        &self,
        snapshot: &Snapshot,
        _: SnapshotRevertFlags,
    ) -> Result<()> {
        if self.fault != Fault::RevertsNothing {
            let mut machine = self.machine();
            machine.current = Some(snapshot.name.clone());
            machine.state = DomainState::Shutoff;
        }
        Ok(())
    }

    async fn domain_snapshot_delete(
        &self,
        snapshot: &Snapshot,
        flags: SnapshotDeleteFlags,
    ) -> Result<()> {
        let (name, _, parent) = self.snapshot(&snapshot.name)?;
        let mut doomed = vec![name.clone()];
        let with_children = flags.contains(SnapshotDeleteFlags::CHILDREN);
        if with_children && self.fault != Fault::KeepsChildren {
            doomed.extend(self.children(Some(&name)));
        }
        let mut machine = self.machine();
        machine.snapshots.retain(|item| !doomed.contains(&item.0));
        for item in &mut machine.snapshots {
            if item.2.as_ref() == Some(&name) {
                item.2.clone_from(&parent);
            }
        }
        if machine.current.as_ref().is_some_and(|current| doomed.contains(current)) {
            machine.current = parent;
        }
        Ok(())
    }
}

/// What the three checks find, and what becomes of the machine.
fn run(fault: Fault, scratch: Option<&str>) -> (Report, Machine) {
    let fake = Fake { fault, machine: Mutex::new(MACHINE) };
    let expect =
        Expectations { scratch_domain: scratch.map(str::to_owned), ..Expectations::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut report = Report::default();
    let mut add = |name, check: &dyn Fn(&mut Findings)| {
        let mut found = Findings::default();
        check(&mut found);
        report.add(name, found);
    };
    add("life_cycle", &|found| {
        runtime.block_on(life_cycle_changes_states(&fake, &expect, found));
    });
    add("snapshots", &|found| runtime.block_on(snapshots_form_a_tree(&fake, &expect, found)));
    add("resources", &|found| runtime.block_on(resources_are_read_back(&fake, &expect, found)));
    (report, fake.machine.into_inner().unwrap())
}

#[test]
fn a_sound_driver_passes_and_is_left_as_it_was() {
    let (report, machine) = run(Fault::Nothing, Some("scratch"));
    report.assert();
    assert_eq!(machine, MACHINE);
    // What the fake lacks is told.
    let skipped: Vec<_> = report.skipped.iter().map(|finding| finding.message.as_str()).collect();
    for function in ["virDomainReset", "virDomainSnapshotIsCurrent"] {
        assert!(skipped.iter().any(|message| message.ends_with(function)), "{report}");
    }
}

#[test]
fn nothing_is_changed_unless_that_is_allowed() {
    // The fake's suspend would stop the domain.
    let (report, machine) = run(Fault::SuspendStops, None);
    assert_eq!(report.passed.len(), 3);
    assert_eq!(machine, MACHINE);
    let (report, machine) = run(Fault::SuspendStops, Some("elsewhere"));
    assert_eq!(report.wrong.len(), 3, "{report}");
    assert_eq!(machine, MACHINE);
}

#[test]
fn faults_are_noticed() {
    for (fault, check) in [
        (Fault::StartsTwice, "life_cycle"),
        (Fault::SuspendStops, "life_cycle"),
        (Fault::KeepsId, "life_cycle"),
        (Fault::ForgetsMemory, "resources"),
        (Fault::TakesNoCpus, "resources"),
        (Fault::TakesAnyParameter, "resources"),
        (Fault::NoParents, "snapshots"),
        (Fault::RevertsNothing, "snapshots"),
        (Fault::KeepsChildren, "snapshots"),
        (Fault::TakesTwins, "snapshots"),
        (Fault::LosesDescription, "snapshots"),
    ] {
        let (report, machine) = run(fault, Some("scratch"));
        assert!(report.wrong.iter().any(|finding| finding.check == check), "{fault:?}: {report}");
        if fault != Fault::TakesTwins {
            assert_eq!(machine.snapshots, [], "{fault:?} leaves snapshots behind");
        }
    }
}

#[test]
fn the_suite_has_these_checks() {
    for name in ["life_cycle_changes_states", "snapshots_form_a_tree", "resources_are_read_back"] {
        assert!(CHECKS.iter().any(|check| check.name == name), "{name}");
    }
}
