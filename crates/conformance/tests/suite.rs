//! The suite passes on a sound driver and notices each of a set of faults.

use async_trait::async_trait;
use esx_conformance::{Expectations, Report, run};
use uuid::Uuid;
use virt_api::{
    Definitions, Domain, DomainInfo, DomainState, DomainStateReason, DomainXmlFlags, Driver, Error,
    ErrorDomain, Hypervisor, ListAllDomainsFlags as Filter, ListedDomain, NoFlags, NodeInfo,
    Result, Snapshots, Version, check_flags,
};

/// What is wrong with the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    ForgetsPaused,
    WrongState,
    WrongName,
    AnyFlag,
    FindsAnything,
    NoXml,
    IdWhenInactive,
    BrokenCapabilities,
    TellsPassword,
    CountsWrong,
}

struct Fake(Fault);

impl Fake {
    fn domains() -> [ListedDomain; 3] {
        let item = |number: u128, name: &str, id, state| {
            ListedDomain::new(
                Domain { name: name.to_owned(), uuid: Uuid::from_u128(number), id },
                state,
            )
        };
        [
            item(1, "on", Some(4), DomainState::Running),
            item(2, "asleep", Some(5), DomainState::Paused),
            item(3, "off", None, DomainState::Shutoff),
        ]
    }

    fn find(&self, test: impl Fn(&ListedDomain) -> bool) -> Result<ListedDomain> {
        let mut all = Self::domains().into_iter();
        let first = all.next().filter(|_| self.0 == Fault::FindsAnything);
        Self::domains()
            .into_iter()
            .find(test)
            .or(first)
            .ok_or_else(|| Error::no_domain("no such domain"))
    }
}

impl Driver for Fake {
    fn hypervisor(&self) -> &dyn Hypervisor {
        self
    }
}

#[async_trait]
impl Hypervisor for Fake {
    async fn connect_get_type(&self) -> Result<String> {
        Ok("FAKE".to_owned())
    }

    async fn connect_get_version(&self) -> Result<Version> {
        Ok(Version::new(1, 0, 0))
    }

    async fn connect_get_uri(&self) -> Result<String> {
        let secret = if self.0 == Fault::TellsPassword { ":pa55" } else { "" };
        Ok(format!("fake://user{secret}@host/"))
    }

    async fn node_get_info(&self) -> Result<NodeInfo> {
        Ok(NodeInfo { memory_kib: 1024, cpus: 1, ..NodeInfo::default() })
    }

    async fn connect_get_capabilities(&self) -> Result<String> {
        let arch =
            if self.0 == Fault::BrokenCapabilities { "" } else { "<cpu><arch>x86_64</arch></cpu>" };
        Ok(format!(
            "<capabilities><host>{arch}</host><guest><os_type>hvm</os_type><arch name='x86_64'>\
             <wordsize>64</wordsize><domain type='fake'/></arch></guest></capabilities>"
        ))
    }

    async fn connect_num_of_domains(&self) -> Result<u32> {
        Ok(if self.0 == Fault::CountsWrong { 3 } else { 2 })
    }

    async fn connect_list_domains(&self, max: usize) -> Result<Vec<i32>> {
        Ok(Self::domains().iter().filter_map(|item| item.domain.id).take(max).collect())
    }

    async fn connect_list_all_domains(&self, flags: Filter) -> Result<Vec<ListedDomain>> {
        if self.0 != Fault::AnyFlag {
            check_flags("virConnectListAllDomains", flags, Filter::all())?;
        }
        let pass = |flag: Filter, group: Filter| !flags.intersects(group) || flags.contains(flag);
        let states = Filter::RUNNING | Filter::PAUSED | Filter::SHUTOFF | Filter::OTHER;
        let one = |yes, no| pass(yes, no | yes);
        Ok(Self::domains()
            .into_iter()
            .filter(|item| {
                let (activity, state) = match item.state {
                    DomainState::Running => (Filter::ACTIVE, Filter::RUNNING),
                    DomainState::Paused if self.0 == Fault::ForgetsPaused => {
                        (Filter::ACTIVE, Filter::RUNNING)
                    }
                    DomainState::Paused => (Filter::ACTIVE, Filter::PAUSED),
                    _ => (Filter::INACTIVE, Filter::SHUTOFF),
                };
                pass(activity, Filter::ACTIVE | Filter::INACTIVE)
                    && pass(state, states)
                    && one(Filter::PERSISTENT, Filter::TRANSIENT)
                    && one(Filter::NO_MANAGEDSAVE, Filter::MANAGEDSAVE)
                    && one(Filter::NO_AUTOSTART, Filter::AUTOSTART)
                    && one(Filter::NO_SNAPSHOT, Filter::HAS_SNAPSHOT)
            })
            .filter(|item| {
                self.0 != Fault::ForgetsPaused
                    || item.state != DomainState::Paused
                    || !flags.contains(Filter::PAUSED)
            })
            .collect())
    }

    async fn domain_lookup_by_id(&self, id: i32) -> Result<Domain> {
        Ok(self.find(|item| item.domain.id == Some(id))?.domain)
    }

    async fn domain_lookup_by_uuid(&self, uuid: Uuid) -> Result<Domain> {
        let mut domain = self.find(|item| item.domain.uuid == uuid)?.domain;
        if self.0 == Fault::WrongName {
            domain.name.push('!');
        }
        Ok(domain)
    }

    async fn domain_lookup_by_name(&self, name: &str) -> Result<Domain> {
        Ok(self.find(|item| item.domain.name == name)?.domain)
    }

    async fn domain_get_os_type(&self, _: &Domain) -> Result<String> {
        Ok("hvm".to_owned())
    }

    async fn domain_get_info(&self, domain: &Domain) -> Result<DomainInfo> {
        let state = self.find(|item| item.domain.uuid == domain.uuid)?.state;
        Ok(DomainInfo { state, max_memory_kib: 4096, memory_kib: 4096, vcpus: 1, cpu_time_ns: 0 })
    }

    async fn domain_get_state(
        &self,
        domain: &Domain,
        _: NoFlags,
    ) -> Result<(DomainState, DomainStateReason)> {
        let state = self.find(|item| item.domain.uuid == domain.uuid)?.state;
        let state = if self.0 == Fault::WrongState { DomainState::Crashed } else { state };
        Ok((state, DomainStateReason::default()))
    }
}

#[async_trait]
impl Definitions for Fake {
    async fn domain_get_xml_desc(&self, domain: &Domain, flags: DomainXmlFlags) -> Result<String> {
        if self.0 == Fault::NoXml {
            return Err(Error::internal(ErrorDomain::Esx, "the file is gone"));
        }
        let known = DomainXmlFlags::INACTIVE | DomainXmlFlags::SECURE;
        check_flags("virDomainGetXMLDesc", flags, known)?;
        let hidden = flags.contains(DomainXmlFlags::INACTIVE) && self.0 != Fault::IdWhenInactive;
        let id = domain.id.filter(|_| !hidden).map(|id| format!(" id='{id}'")).unwrap_or_default();
        let Domain { name, uuid, .. } = domain;
        Ok(format!(
            "<domain type='vmware'{id}>\n  <name>{name}</name>\n  <uuid>{uuid}</uuid>\n  \
             <memory unit='KiB'>4096</memory>\n  <vcpu>1</vcpu>\n  <os>\n    <type arch='x86_64'>hvm</type>\n  \
             </os>\n</domain>\n"
        ))
    }
}

impl Snapshots for Fake {}

fn report(fault: Fault) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(run(&Fake(fault), &Expectations::default()))
}

#[test]
fn a_sound_driver_passes() {
    let report = report(Fault::Nothing);
    report.assert();
    assert_eq!(report.passed.len(), esx_conformance::CHECKS.len());
    // What the fake lacks is told.
    assert!(
        report.skipped.iter().any(|finding| finding.message.ends_with("virConnectGetHostname")),
        "{report}"
    );
}

#[test]
fn faults_are_noticed() {
    for (fault, check) in [
        (Fault::ForgetsPaused, "filters_partition_the_list"),
        (Fault::WrongState, "states_agree"),
        (Fault::WrongName, "list_agrees_with_lookups"),
        (Fault::AnyFlag, "unknown_list_flags_are_refused"),
        (Fault::FindsAnything, "unknown_domains_are_no_domain"),
        (Fault::NoXml, "documents_agree_with_handles"),
        (Fault::IdWhenInactive, "documents_agree_with_handles"),
        (Fault::BrokenCapabilities, "capabilities_describe_a_host"),
        (Fault::TellsPassword, "host_facts_make_sense"),
        (Fault::CountsWrong, "classic_lists_agree_with_each_other"),
    ] {
        let report = report(fault);
        assert!(report.wrong.iter().any(|finding| finding.check == check), "{fault:?}: {report}");
    }
}

#[test]
fn documents_may_be_missing_where_that_is_expected() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let expect = Expectations { every_domain_has_a_document: false, ..Expectations::default() };
    let report = runtime.block_on(run(&Fake(Fault::NoXml), &expect));
    assert!(
        report.wrong.iter().all(|finding| finding.check == "unknown_xml_flags_are_refused"),
        "{report}"
    );
    assert!(
        report.skipped.iter().any(|finding| finding.message.contains("the file is gone")),
        "{report}"
    );
}
