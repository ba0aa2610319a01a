//! Lists, lookups and states of domains.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;
use virt_api::{
    Domain, DomainSelector, DomainState, DomainStatsFlags, DomainStatsTypes, Driver, ErrorCode,
    Hypervisor, ListAllDomainsFlags as Filter, ListedDomain, NoFlags, TypedValue,
};

use crate::{Expectations, Findings};

/// All domains of the host.
pub(crate) async fn all(hypervisor: &dyn Hypervisor, found: &mut Findings) -> Vec<ListedDomain> {
    listed(hypervisor, Filter::ACTIVE | Filter::INACTIVE, found).await.unwrap_or_default()
}

/// The domains that can be asked about one by one: those the host describes without a problem, with a UUID that is
/// nobody else's, and not more than expected.
pub(crate) fn askable<'a>(
    list: &'a [ListedDomain],
    expect: &Expectations,
) -> Vec<&'a ListedDomain> {
    let mut count: HashMap<Uuid, usize> = HashMap::new();
    for item in list {
        *count.entry(item.domain.uuid).or_default() += 1;
    }
    list.iter()
        .filter(|item| {
            item.problem.is_none() && !item.domain.uuid.is_nil() && count[&item.domain.uuid] == 1
        })
        .take(expect.max_domains)
        .collect()
}

async fn listed(
    hypervisor: &dyn Hypervisor,
    flags: Filter,
    found: &mut Findings,
) -> Option<Vec<ListedDomain>> {
    found.answer(
        format!("connect_list_all_domains({flags:?})"),
        hypervisor.connect_list_all_domains(flags).await,
    )
}

/// Each listed domain is found by ID, UUID and name, as the same domain.
pub async fn list_agrees_with_lookups(
    driver: &dyn Driver,
    expect: &Expectations,
    found: &mut Findings,
) {
    let hypervisor = driver.hypervisor();
    let list = all(hypervisor, found).await;
    let mut names: HashMap<&str, usize> = HashMap::new();
    for item in &list {
        *names.entry(&item.domain.name).or_default() += 1;
    }
    for item in askable(&list, expect) {
        let domain = &item.domain;
        if let Some(by_uuid) = found.answer(
            format!("lookup of {domain:?} by UUID"),
            hypervisor.domain_lookup_by_uuid(domain.uuid).await,
        ) {
            found.equal("lookup by UUID", &by_uuid, domain);
        }
        // Several domains of one name are allowed on a vCenter; which of them a name means is not said.
        if names[domain.name.as_str()] == 1
            && let Some(by_name) = found.answer(
                format!("lookup of {domain:?} by name"),
                hypervisor.domain_lookup_by_name(&domain.name).await,
            )
        {
            found.equal("lookup by name", &by_name, domain);
        }
        if let Some(id) = domain.id
            && let Some(by_id) = found.answer(
                format!("lookup of {domain:?} by ID"),
                hypervisor.domain_lookup_by_id(id).await,
            )
        {
            found.equal("lookup by ID", &by_id, domain);
        }
        found.equal(
            format!("having an ID, of {domain:?}"),
            &domain.id.is_some(),
            &item.is_active(),
        );
    }
}

/// The list, `domain_get_state`, `domain_get_info` and `domain_is_active` tell the same.
pub async fn states_agree(driver: &dyn Driver, expect: &Expectations, found: &mut Findings) {
    let hypervisor = driver.hypervisor();
    let list = all(hypervisor, found).await;
    for ListedDomain { domain, state, .. } in askable(&list, expect) {
        if let Some((now, _)) = found.answer(
            format!("domain_get_state of {domain:?}"),
            hypervisor.domain_get_state(domain, NoFlags::empty()).await,
        ) {
            found.equal(format!("domain_get_state of {domain:?}"), &now, state);
        }
        if let Some(info) = found.answer(
            format!("domain_get_info of {domain:?}"),
            hypervisor.domain_get_info(domain).await,
        ) {
            found.equal(format!("state in domain_get_info of {domain:?}"), &info.state, state);
            if info.vcpus == 0 || info.max_memory_kib == 0 {
                found.wrong(format!("{domain:?} has no CPU or no memory: {info:?}"));
            }
        }
        if let Some(active) = found.answer(
            format!("domain_is_active of {domain:?}"),
            hypervisor.domain_is_active(domain).await,
        ) {
            found.equal(
                format!("domain_is_active of {domain:?}"),
                &active,
                &(*state != DomainState::Shutoff),
            );
        }
    }
}

/// `domain_get_details` tells what the single functions tell, however the domain is named.
pub async fn details_agree_with_single_questions(
    driver: &dyn Driver,
    expect: &Expectations,
    found: &mut Findings,
) {
    let hypervisor = driver.hypervisor();
    let list = all(hypervisor, found).await;
    for ListedDomain { domain, .. } in askable(&list, expect) {
        let selector = DomainSelector::Uuid(domain.uuid);
        let Some(details) = found.answer(
            format!("domain_get_details of {domain:?}"),
            hypervisor.domain_get_details(&selector).await,
        ) else {
            continue;
        };
        found.equal("domain in domain_get_details", &details.domain, domain);
        if let Ok(os_type) = hypervisor.domain_get_os_type(domain).await {
            found.equal(format!("OS type of {domain:?}"), &details.os_type, &os_type);
        }
        if let Ok(info) = hypervisor.domain_get_info(domain).await {
            let steady = virt_api::DomainInfo { cpu_time_ns: details.info.cpu_time_ns, ..info };
            found.equal(format!("info of {domain:?}"), &details.info, &steady);
        }
        found.equal(
            format!("persistence of {domain:?}"),
            &details.persistent,
            &hypervisor.domain_is_persistent(domain).await.ok(),
        );
        found.equal(
            format!("autostart of {domain:?}"),
            &details.autostart,
            &hypervisor.domain_get_autostart(domain).await.ok(),
        );
        found.equal(
            format!("managed save of {domain:?}"),
            &details.managed_save,
            &hypervisor.domain_has_managed_save_image(domain, NoFlags::empty()).await.ok(),
        );
    }
}

/// The flags of a group divide the list: each domain passes exactly one of them. No flag at all, and all flags of a
/// group together, filter nothing.
pub async fn filters_partition_the_list(
    driver: &dyn Driver,
    _: &Expectations,
    found: &mut Findings,
) {
    let hypervisor = driver.hypervisor();
    let whole = sorted(all(hypervisor, found).await);
    let groups: [&[Filter]; 6] = [
        &[Filter::ACTIVE, Filter::INACTIVE],
        &[Filter::PERSISTENT, Filter::TRANSIENT],
        &[Filter::RUNNING, Filter::PAUSED, Filter::SHUTOFF, Filter::OTHER],
        &[Filter::MANAGEDSAVE, Filter::NO_MANAGEDSAVE],
        &[Filter::AUTOSTART, Filter::NO_AUTOSTART],
        &[Filter::HAS_SNAPSHOT, Filter::NO_SNAPSHOT],
    ];
    if let Some(unfiltered) = listed(hypervisor, Filter::empty(), found).await {
        found.equal("the list without a filter", &sorted(unfiltered), &whole);
    }
    for group in groups {
        let mut parts = Vec::new();
        for &flag in group {
            let Some(part) = listed(hypervisor, flag, found).await else { return };
            parts.extend(part);
        }
        found.equal(format!("the parts by {group:?}"), &sorted(parts), &whole);
        let Some(together) = listed(hypervisor, group.iter().copied().collect(), found).await
        else {
            return;
        };
        found.equal(format!("the list with all of {group:?}"), &sorted(together), &whole);
    }
    // Groups are conjunctive.
    if let Some(none) = listed(hypervisor, Filter::ACTIVE | Filter::SHUTOFF, found).await {
        found.equal("active domains that are shut off", &sorted(none), &Vec::new());
    }
}

/// What tells rows of a list apart.
type Row = (Option<String>, Uuid, String, Option<i32>, DomainState);

/// The rows in an order of their own.
fn sorted(list: Vec<ListedDomain>) -> Vec<Row> {
    let mut rows: Vec<_> = list
        .into_iter()
        .map(|ListedDomain { domain: Domain { name, uuid, id }, state, moref, .. }| {
            (moref, uuid, name, id, state)
        })
        .collect();
    rows.sort();
    rows
}

/// A flag bit that libvirt does not have is an invalid argument.
pub async fn unknown_list_flags_are_refused(
    driver: &dyn Driver,
    _: &Expectations,
    found: &mut Findings,
) {
    let flags = Filter::from_bits_retain(1 << 30);
    let result = driver.hypervisor().connect_list_all_domains(flags).await;
    found.refused(
        "connect_list_all_domains with an unknown flag",
        result,
        &[ErrorCode::InvalidArg],
    );
}

/// The old pairs of number and list agree, keep to the maximum, and name domains that exist.
pub async fn classic_lists_agree_with_each_other(
    driver: &dyn Driver,
    expect: &Expectations,
    found: &mut Findings,
) {
    let hypervisor = driver.hypervisor();
    let whole = all(hypervisor, found).await;
    if let Some(ids) =
        found.answer("connect_list_domains", hypervisor.connect_list_domains(usize::MAX).await)
    {
        if let Some(count) =
            found.answer("connect_num_of_domains", hypervisor.connect_num_of_domains().await)
        {
            found.equal("connect_num_of_domains", &(count as usize), &ids.len());
        }
        if let Some(one) =
            found.answer("connect_list_domains(1)", hypervisor.connect_list_domains(1).await)
        {
            found.equal("connect_list_domains(1)", &one.as_slice(), &&ids[..ids.len().min(1)]);
        }
        for id in ids.iter().take(expect.max_domains) {
            if !whole.iter().any(|item| item.domain.id == Some(*id)) {
                found.wrong(format!(
                    "connect_list_domains tells ID {id}, which no listed domain has"
                ));
            }
        }
    }
    let names = hypervisor.connect_list_defined_domains(usize::MAX).await;
    if let Some(names) = found.answer("connect_list_defined_domains", names) {
        let count = hypervisor.connect_num_of_defined_domains().await;
        if let Some(count) = found.answer("connect_num_of_defined_domains", count) {
            found.equal("connect_num_of_defined_domains", &(count as usize), &names.len());
        }
        for name in names.iter().take(expect.max_domains) {
            if !whole.iter().any(|item| item.domain.name == *name) {
                found.wrong(format!(
                    "connect_list_defined_domains tells {name:?}, which no listed domain is called"
                ));
            }
        }
    }
}

/// Looking for a domain that does not exist is `VIR_ERR_NO_DOMAIN`.
pub async fn unknown_domains_are_no_domain(
    driver: &dyn Driver,
    _: &Expectations,
    found: &mut Findings,
) {
    let hypervisor = driver.hypervisor();
    let list = all(hypervisor, found).await;
    let uuid = Uuid::from_u128(0x5a17_c0de_0000_4000_8000_0123_4567_89ab);
    let no_domain = &[ErrorCode::NoDomain];
    if list.iter().all(|item| item.domain.uuid != uuid) {
        found.refused(
            "lookup of a stray UUID",
            hypervisor.domain_lookup_by_uuid(uuid).await,
            no_domain,
        );
        let stray = Domain { name: "stray".to_owned(), uuid, id: None };
        found.refused(
            "state of a stray domain",
            hypervisor.domain_get_state(&stray, NoFlags::empty()).await,
            no_domain,
        );
    }
    for name in ["", "no such domain <&>\"'%2f\u{1f980}", "*"] {
        if list.iter().all(|item| item.domain.name != name) {
            let result = hypervisor.domain_lookup_by_name(name).await;
            found.refused(format!("lookup of the name {name:?}"), result, no_domain);
        }
    }
    if list.iter().all(|item| item.domain.id != Some(i32::MAX)) {
        found.refused(
            "lookup of a stray ID",
            hypervisor.domain_lookup_by_id(i32::MAX).await,
            no_domain,
        );
    }
    let refused = &[ErrorCode::InvalidArg, ErrorCode::NoDomain];
    found.refused("lookup of the ID -1", hypervisor.domain_lookup_by_id(-1).await, refused);
    // An ID belongs to active domains only.
    if let Some(item) = list.iter().find(|item| !item.is_active() && item.problem.is_none()) {
        found.equal(format!("ID of the inactive {:?}", item.domain), &item.domain.id, &None);
    }
}

/// Statistics of all domains name each listed domain once, in its state; each has a type that its name promises. A
/// driver that has none says so.
pub async fn statistics_agree(driver: &dyn Driver, _expect: &Expectations, found: &mut Findings) {
    let hypervisor = driver.hypervisor();
    let list = all(hypervisor, found).await;
    let flags = DomainStatsFlags::empty();
    let stats = hypervisor.connect_get_all_domain_stats(&[], DomainStatsTypes::STATE, flags).await;
    if matches!(&stats, Err(error) if error.code == ErrorCode::NoSupport) {
        return;
    }
    let Some(stats) = found.answer("connect_get_all_domain_stats", stats) else { return };
    found.equal("number of domains with statistics", &stats.len(), &list.len());
    for ListedDomain { domain, state, problem, .. } in &list {
        let Some(one) = stats.iter().find(|one| one.domain == *domain) else {
            found.wrong(format!("{domain:?} has no statistics"));
            continue;
        };
        let told = one.params.iter().find(|param| param.name == "state.state");
        let told = told.map(|param| param.value.clone());
        let number = i32::try_from(state.number()).unwrap_or(-1);
        if problem.is_none() && told != Some(TypedValue::Int(number)) {
            found.wrong(format!("{domain:?} is {state} and its statistics say {told:?}"));
        }
    }
}

/// Every disk that a domain lists has a size, and targets are unique on their bus; adapters have distinct addresses. A
/// driver that lists none says so.
pub async fn devices_agree(driver: &dyn Driver, expect: &Expectations, found: &mut Findings) {
    let hypervisor = driver.hypervisor();
    let list = all(hypervisor, found).await;
    for ListedDomain { domain, .. } in askable(&list, expect) {
        let blocks = hypervisor.domain_list_block_devices(domain).await;
        if matches!(&blocks, Err(error) if error.code == ErrorCode::NoSupport) {
            return;
        }
        let blocks = found.answer(format!("domain_list_block_devices of {domain:?}"), blocks);
        let mut places = HashSet::new();
        for block in blocks.unwrap_or_default() {
            if !places.insert((block.bus.clone(), block.target.clone())) {
                found.wrong(format!("{domain:?} has {} twice on {}", block.target, block.bus));
            }
            let Some(source) = block.source.filter(|_| block.device == "disk") else { continue };
            let info = hypervisor.domain_get_block_info(domain, &source, NoFlags::empty()).await;
            let info = found.answer(format!("domain_get_block_info of {source}"), info);
            if info.is_some_and(|info| info.capacity_bytes == 0) {
                found.wrong(format!("the disk {source} of {domain:?} has no size"));
            }
        }
        let adapters = hypervisor.domain_list_interface_devices(domain).await;
        let adapters =
            found.answer(format!("domain_list_interface_devices of {domain:?}"), adapters);
        let mut addresses = HashSet::new();
        for mac in adapters.unwrap_or_default().into_iter().filter_map(|adapter| adapter.mac) {
            if !addresses.insert(mac.clone()) {
                found.wrong(format!("{domain:?} has the address {mac} twice"));
            }
        }
    }
}
