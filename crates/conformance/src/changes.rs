//! Changes of the one domain that may be changed, each seen afterwards and taken back.

use virt_api::{
    Domain, DomainModificationFlags, DomainSelector, DomainState, DomainVcpuFlags, Driver,
    ErrorCode, Hypervisor, NoFlags, Snapshot, SnapshotCreateFlags, SnapshotDeleteFlags,
    SnapshotListFlags as List, SnapshotRevertFlags, SnapshotXmlFlags,
};
use virt_xml::Element;

use crate::{Expectations, Findings};

/// The domain that may be changed, while it is changed.
struct Scratch<'a> {
    hypervisor: &'a dyn Hypervisor,
    domain: Domain,
    /// Its state when the check began.
    before: DomainState,
}

impl<'a> Scratch<'a> {
    /// `None` if there is no such domain, which is a finding unless none was named.
    async fn find(
        driver: &'a dyn Driver,
        expect: &Expectations,
        found: &mut Findings,
    ) -> Option<Self> {
        let name = expect.scratch_domain.as_ref()?;
        let hypervisor = driver.hypervisor();
        let domain = found.answer(
            format!("lookup of the scratch domain {name:?}"),
            hypervisor.domain_lookup(&DomainSelector::Name(name.clone())).await,
        )?;
        let (before, _) = found.answer(
            format!("state of the scratch domain {name:?}"),
            hypervisor.domain_get_state(&domain, NoFlags::empty()).await,
        )?;
        Some(Self { hypervisor, domain, before })
    }

    async fn state(&self, found: &mut Findings) -> Option<DomainState> {
        let result = self.hypervisor.domain_get_state(&self.domain, NoFlags::empty()).await;
        found.answer("domain_get_state", result).map(|(state, _)| state)
    }

    /// It must be in this state now, and have an ID exactly if that is an active one.
    async fn expect_state(&self, after: &str, expected: DomainState, found: &mut Findings) {
        if let Some(state) = self.state(found).await {
            found.equal(format!("state after {after}"), &state, &expected);
        }
        let result = self.hypervisor.domain_lookup_by_uuid(self.domain.uuid).await;
        if let Some(now) = found.answer("domain_lookup_by_uuid", result) {
            let active = expected != DomainState::Shutoff;
            found.equal(format!("having an ID after {after}"), &now.id.is_some(), &active);
        }
    }

    async fn start(&self, found: &mut Findings) -> Option<Domain> {
        found.answer("domain_create", self.hypervisor.domain_create(&self.domain).await)
    }

    async fn destroy(&self, found: &mut Findings) -> Option<()> {
        found.answer("domain_destroy", self.hypervisor.domain_destroy(&self.domain).await)
    }

    async fn suspend(&self, found: &mut Findings) -> Option<()> {
        found.answer("domain_suspend", self.hypervisor.domain_suspend(&self.domain).await)
    }

    /// Takes it from the state it is in to another one: off, running or paused.
    async fn bring_to(&self, wanted: DomainState, found: &mut Findings) -> Option<()> {
        let state = self.state(found).await?;
        if state == wanted {
            return Some(());
        }
        if state == DomainState::Paused {
            // Not every host stops a suspended machine.
            found.answer("domain_resume", self.hypervisor.domain_resume(&self.domain).await)?;
        }
        if state != DomainState::Shutoff {
            self.destroy(found).await?;
        }
        if wanted != DomainState::Shutoff {
            self.start(found).await?;
        }
        if wanted == DomainState::Paused {
            self.suspend(found).await?;
        }
        Some(())
    }

    async fn restore(&self, found: &mut Findings) {
        self.bring_to(self.before, found).await;
    }
}

/// What the state of a domain does not allow.
const INVALID: &[ErrorCode] = &[ErrorCode::OperationInvalid];

/// Start, suspend, resume, reset and destroy lead to the states they are named after, and are refused in others.
pub async fn life_cycle_changes_states(
    driver: &dyn Driver,
    expect: &Expectations,
    found: &mut Findings,
) {
    let Some(scratch) = Scratch::find(driver, expect, found).await else { return };
    walk(&scratch, found).await;
    scratch.restore(found).await;
}

/// `None` if a step failed on which the others build.
async fn walk(scratch: &Scratch<'_>, found: &mut Findings) -> Option<()> {
    let Scratch { hypervisor, domain, .. } = scratch;
    scratch.bring_to(DomainState::Shutoff, found).await?;
    scratch.expect_state("bringing it down", DomainState::Shutoff, found).await;
    found.refused("destroy while off", hypervisor.domain_destroy(domain).await, INVALID);
    found.refused("suspend while off", hypervisor.domain_suspend(domain).await, INVALID);
    found.refused("resume while off", hypervisor.domain_resume(domain).await, INVALID);

    let started = scratch.start(found).await?;
    found.equal("UUID of the started domain", &started.uuid, &domain.uuid);
    found.equal("having an ID, of the started domain", &started.id.is_some(), &true);
    scratch.expect_state("start", DomainState::Running, found).await;
    found.refused("start while running", hypervisor.domain_create(domain).await, INVALID);
    found.refused("resume while running", hypervisor.domain_resume(domain).await, INVALID);

    if scratch.suspend(found).await.is_some() {
        scratch.expect_state("suspend", DomainState::Paused, found).await;
        found.refused("suspend while paused", hypervisor.domain_suspend(domain).await, INVALID);
        found.answer("domain_resume", hypervisor.domain_resume(domain).await)?;
        scratch.expect_state("resume", DomainState::Running, found).await;
    }
    let reset = hypervisor.domain_reset(domain, NoFlags::empty()).await;
    if found.answer("domain_reset", reset).is_some() {
        scratch.expect_state("reset", DomainState::Running, found).await;
    }
    scratch.destroy(found).await?;
    scratch.expect_state("destroy", DomainState::Shutoff, found).await;
    Some(())
}

/// Names of the snapshots that the suite makes.
const NAMES: [&str; 2] = ["esx-conformance <1>", "esx-conformance & 2"];

/// Snapshots are listed, found, current and each other's parents as they were made; reverting and deleting show, too.
pub async fn snapshots_form_a_tree(
    driver: &dyn Driver,
    expect: &Expectations,
    found: &mut Findings,
) {
    let Some(scratch) = Scratch::find(driver, expect, found).await else { return };
    let Some(before) = names(&scratch, List::empty(), found).await else { return };
    if before.iter().any(|name| NAMES.contains(&name.as_str())) {
        return found
            .wrong(format!("the scratch domain has snapshots of an earlier run: {before:?}"));
    }
    grow(&scratch, &before, found).await;
    // Whatever went wrong above, nothing stays behind.
    for name in NAMES.into_iter().rev() {
        let none = NoFlags::empty();
        let result =
            scratch.hypervisor.domain_snapshot_lookup_by_name(&scratch.domain, name, none).await;
        if let Ok(snapshot) = result {
            delete(&scratch, &snapshot, SnapshotDeleteFlags::empty(), found).await;
        }
    }
    if let Some(after) = names(&scratch, List::empty(), found).await {
        found.equal("snapshots in the end", &after, &before);
    }
    scratch.restore(found).await;
}

async fn names(scratch: &Scratch<'_>, flags: List, found: &mut Findings) -> Option<Vec<String>> {
    let result = scratch.hypervisor.domain_list_all_snapshots(&scratch.domain, flags).await;
    let snapshots = found.answer(format!("domain_list_all_snapshots({flags:?})"), result)?;
    Some(snapshots.into_iter().map(|snapshot| snapshot.name).collect())
}

async fn delete(
    scratch: &Scratch<'_>,
    snapshot: &Snapshot,
    flags: SnapshotDeleteFlags,
    found: &mut Findings,
) -> Option<()> {
    let result = scratch.hypervisor.domain_snapshot_delete(snapshot, flags).await;
    found.answer(format!("domain_snapshot_delete({:?}, {flags:?})", snapshot.name), result)
}

/// Makes a snapshot, which is then listed and the current one.
async fn create(scratch: &Scratch<'_>, name: &str, found: &mut Findings) -> Option<Snapshot> {
    let Scratch { hypervisor, domain, .. } = scratch;
    let flags = SnapshotCreateFlags::DISK_ONLY;
    let xml = document(name);
    let snapshot = found.answer(
        format!("domain_snapshot_create_xml({name:?})"),
        hypervisor.domain_snapshot_create_xml(domain, &xml, flags).await,
    )?;
    found.equal("name of the new snapshot", &snapshot.name.as_str(), &name);
    let none = NoFlags::empty();
    let lookup = hypervisor.domain_snapshot_lookup_by_name(domain, name, none).await;
    found.answer(format!("lookup of snapshot {name:?}"), lookup)?;
    expect_current(scratch, &snapshot, "its creation", found).await;
    let again = hypervisor.domain_snapshot_create_xml(domain, &xml, flags).await;
    found.refused(format!("a second snapshot {name:?}"), again, INVALID);
    let xml = hypervisor.domain_snapshot_get_xml_desc(&snapshot, SnapshotXmlFlags::empty()).await;
    if let Some(xml) = found.answer("domain_snapshot_get_xml_desc", xml) {
        match Element::parse(&xml) {
            Ok(root) => {
                let text = |name: &str| root.children_named(name).next().map(Element::text);
                found.equal("name in the document", &text("name").as_deref(), &Some(name));
                let description = text("description");
                found.equal("description", &description.as_deref(), &Some("conformance"));
            }
            Err(error) => found.wrong(format!("a snapshot's document cannot be read: {error}")),
        }
    }
    Some(snapshot)
}

fn document(name: &str) -> String {
    let name = name.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<domainsnapshot><name>{name}</name><description>conformance</description></domainsnapshot>"
    )
}

async fn expect_current(
    scratch: &Scratch<'_>,
    snapshot: &Snapshot,
    after: &str,
    found: &mut Findings,
) {
    let Scratch { hypervisor, domain, .. } = scratch;
    let none = NoFlags::empty();
    let name = &snapshot.name;
    let result = hypervisor.domain_snapshot_current(domain, none).await;
    if let Some(current) = found.answer("domain_snapshot_current", result) {
        found.equal(format!("current snapshot after {after}"), &current.name, name);
    }
    let result = hypervisor.domain_snapshot_is_current(snapshot, none).await;
    if let Some(current) = found.answer("domain_snapshot_is_current", result) {
        found.equal(format!("{name:?} being current after {after}"), &current, &true);
    }
    let result = hypervisor.domain_has_current_snapshot(domain, none).await;
    if let Some(has) = found.answer("domain_has_current_snapshot", result) {
        found.equal("having a current snapshot", &has, &true);
    }
}

/// `None` if a step failed on which the others build.
async fn grow(scratch: &Scratch<'_>, before: &[String], found: &mut Findings) -> Option<()> {
    let Scratch { hypervisor, domain, .. } = scratch;
    let none = NoFlags::empty();
    let first = create(scratch, NAMES[0], found).await?;
    let second = create(scratch, NAMES[1], found).await?;

    let all = names(scratch, List::empty(), found).await?;
    found.equal("number of snapshots", &all.len(), &(before.len() + 2));
    let place = |name: &str| all.iter().position(|other| other == name);
    if place(NAMES[0]) >= place(NAMES[1]) || place(NAMES[0]).is_none() {
        found.wrong(format!("a parent is not listed before its child: {all:?}"));
    }
    let count = hypervisor.domain_snapshot_num(domain, List::empty()).await;
    if let Some(count) = found.answer("domain_snapshot_num", count) {
        found.equal("domain_snapshot_num", &(count as usize), &all.len());
    }
    for (flags, listed) in [(List::LEAVES, [false, true]), (List::NO_LEAVES, [true, false])] {
        if let Some(some) = names(scratch, flags, found).await {
            let has = NAMES.map(|name| some.iter().any(|other| other == name));
            found.equal(format!("ours among {flags:?}"), &has, &listed);
        }
    }
    if let Some(roots) = names(scratch, List::ROOTS, found).await {
        let has = roots.iter().any(|name| name == NAMES[1]);
        found.equal("the second snapshot being a root", &has, &false);
    }
    let parent = hypervisor.domain_snapshot_get_parent(&second, none).await;
    if let Some(parent) = found.answer("domain_snapshot_get_parent", parent) {
        found.equal("parent of the second snapshot", &parent.name, &first.name);
    }
    let children = hypervisor.domain_snapshot_list_all_children(&first, List::empty()).await;
    if let Some(children) = found.answer("domain_snapshot_list_all_children", children) {
        let children: Vec<_> = children.into_iter().map(|child| child.name).collect();
        found.equal("children of the first snapshot", &children, &vec![NAMES[1].to_owned()]);
    }

    let reverted = hypervisor.domain_revert_to_snapshot(&first, SnapshotRevertFlags::empty()).await;
    if found.answer("domain_revert_to_snapshot", reverted).is_some() {
        expect_current(scratch, &first, "reverting to it", found).await;
    }
    delete(scratch, &second, SnapshotDeleteFlags::empty(), found).await?;
    let gone = hypervisor.domain_snapshot_lookup_by_name(domain, NAMES[1], none).await;
    let missing = &[ErrorCode::NoDomainSnapshot];
    found.refused("lookup of a deleted snapshot", gone, missing);

    create(scratch, NAMES[1], found).await?;
    delete(scratch, &first, SnapshotDeleteFlags::CHILDREN, found).await?;
    if let Some(after) = names(scratch, List::empty(), found).await {
        found.equal("snapshots after deleting ours with children", &after, &before.to_vec());
    }
    Some(())
}

/// Memory, CPUs and parameters are read back as they were set, and nonsense is refused.
pub async fn resources_are_read_back(
    driver: &dyn Driver,
    expect: &Expectations,
    found: &mut Findings,
) {
    let Some(scratch) = Scratch::find(driver, expect, found).await else { return };
    // Few hosts let these be changed while it runs.
    if scratch.bring_to(DomainState::Shutoff, found).await.is_some() {
        memory(&scratch, found).await;
        vcpus(&scratch, found).await;
        parameters(&scratch, found).await;
    }
    scratch.restore(found).await;
}

/// Steps of memory that every VMware host takes.
const STEP_KIB: u64 = 4096;

async fn memory(scratch: &Scratch<'_>, found: &mut Findings) -> Option<()> {
    let Scratch { hypervisor, domain, .. } = scratch;
    let invalid = &[ErrorCode::InvalidArg];
    let max =
        found.answer("domain_get_max_memory", hypervisor.domain_get_max_memory(domain).await)?;
    let nothing = hypervisor.domain_set_max_memory(domain, 0).await;
    found.refused("domain_set_max_memory(0)", nothing, invalid);
    let more = max.saturating_add(STEP_KIB);
    for kib in [more, max] {
        let set = hypervisor.domain_set_max_memory(domain, kib).await;
        found.answer(format!("domain_set_max_memory({kib})"), set)?;
        let now = hypervisor.domain_get_max_memory(domain).await;
        let now = found.answer("domain_get_max_memory", now)?;
        found.equal("maximum memory as set", &now, &kib);
        let info = found.answer("domain_get_info", hypervisor.domain_get_info(domain).await)?;
        found.equal("maximum memory in domain_get_info", &info.max_memory_kib, &kib);
    }
    found.refused("domain_set_memory(0)", hypervisor.domain_set_memory(domain, 0).await, invalid);
    for kib in [max.saturating_sub(STEP_KIB).max(1024), max] {
        let set = hypervisor.domain_set_memory(domain, kib).await;
        if set.as_ref().is_err_and(|error| error.code == ErrorCode::OperationInvalid) {
            found.skipped("the memory of a domain that is off cannot be set");
            return None;
        }
        found.answer(format!("domain_set_memory({kib})"), set)?;
        let info = found.answer("domain_get_info", hypervisor.domain_get_info(domain).await)?;
        found.equal("memory as set", &info.memory_kib, &kib);
    }
    Some(())
}

async fn vcpus(scratch: &Scratch<'_>, found: &mut Findings) -> Option<()> {
    let Scratch { hypervisor, domain, .. } = scratch;
    let config = DomainVcpuFlags::AFFECT_CONFIG;
    let get = || hypervisor.domain_get_vcpus_flags(domain, config);
    let before = found.answer("domain_get_vcpus_flags", get().await)?;
    let max = hypervisor.domain_get_vcpus_flags(domain, config | DomainVcpuFlags::VCPU_MAXIMUM);
    let max = found.answer("domain_get_vcpus_flags(VCPU_MAXIMUM)", max.await)?;
    if max < before {
        found.wrong(format!("a domain with {before} CPUs may have {max} at most"));
    }
    for count in [0, max.saturating_add(1)] {
        let set = hypervisor.domain_set_vcpus_flags(domain, count, config).await;
        found.refused(format!("{count} CPUs"), set, &[ErrorCode::InvalidArg]);
    }
    // Twice as many always fill the sockets that the host has made for them.
    let twice = before.saturating_mul(2);
    if twice > max || before == 0 {
        found.skipped("the number of CPUs cannot be doubled");
        return None;
    }
    for count in [twice, before] {
        let set = hypervisor.domain_set_vcpus_flags(domain, count, config).await;
        found.answer(format!("domain_set_vcpus_flags({count})"), set)?;
        let now = found.answer("domain_get_vcpus_flags", get().await)?;
        found.equal("CPUs as set", &now, &count);
        let info = found.answer("domain_get_info", hypervisor.domain_get_info(domain).await)?;
        found.equal("CPUs in domain_get_info", &info.vcpus, &count);
    }
    Some(())
}

/// Parameters set to the values they have stay as they are; one of another name is refused.
async fn parameters(scratch: &Scratch<'_>, found: &mut Findings) {
    let Scratch { hypervisor, domain, .. } = scratch;
    let flags = DomainModificationFlags::empty();
    let unknown = [virt_api::TypedParam::new("no_such_parameter", 1_u64)];
    let refused = &[ErrorCode::ArgumentUnsupported, ErrorCode::InvalidArg];

    let get = || hypervisor.domain_get_memory_parameters(domain, flags);
    if let Some(params) = found.answer("domain_get_memory_parameters", get().await) {
        let set = hypervisor.domain_set_memory_parameters(domain, &params, flags).await;
        found.answer("domain_set_memory_parameters", set);
        if let Some(now) = found.answer("domain_get_memory_parameters", get().await) {
            found.equal("memory parameters as set", &now, &params);
        }
        let set = hypervisor.domain_set_memory_parameters(domain, &unknown, flags).await;
        found.refused("an unknown memory parameter", set, refused);
    }
    let get = || hypervisor.domain_get_scheduler_parameters_flags(domain, flags);
    if let Some(params) = found.answer("domain_get_scheduler_parameters_flags", get().await) {
        let set = hypervisor.domain_set_scheduler_parameters_flags(domain, &params, flags).await;
        found.answer("domain_set_scheduler_parameters_flags", set);
        if let Some(now) = found.answer("domain_get_scheduler_parameters_flags", get().await) {
            found.equal("scheduler parameters as set", &now, &params);
        }
        let set = hypervisor.domain_set_scheduler_parameters_flags(domain, &unknown, flags).await;
        found.refused("an unknown scheduler parameter", set, refused);
    }
}
