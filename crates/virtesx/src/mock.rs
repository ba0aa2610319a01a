//! A driver made of plain data, for tests of the program.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;
use virt_api::{
    Definitions, Domain, DomainCreateFlags, DomainDefineFlags, DomainDestroyFlags, DomainInfo,
    DomainInterface, DomainMemoryFlags, DomainModificationFlags, DomainRebootFlags,
    DomainShutdownFlags, DomainState, DomainStateReason, DomainUndefineFlags, DomainVcpuFlags,
    DomainXmlFlags, Driver, Error, ErrorCode, ErrorDomain, Hypervisor, InterfaceAddressesSource,
    IpAddress, IpAddressType, ListAllDomainsFlags as Filter, ListedDomain, NativeConversionFlags,
    NoFlags, NodeInfo, Result, SchedulerType, Snapshot, SnapshotCreateFlags, SnapshotDeleteFlags,
    SnapshotListFlags, SnapshotRevertFlags, SnapshotXmlFlags, Snapshots, TypedParam, Version,
    check_flags,
};

/// A host with a few domains. It changes nothing, but remembers what it was told to change.
pub(crate) struct Mock {
    domains: Vec<ListedDomain>,
    calls: Mutex<Vec<String>>,
}

/// A snapshot: name, parent, state.
type Row = (&'static str, Option<&'static str>, &'static str);

/// The snapshots of every domain. The last one is the current one.
const SNAPSHOTS: [Row; 4] = [
    ("base", None, "shutoff"),
    ("Before <upgrade>", Some("base"), "running"),
    ("after", Some("Before <upgrade>"), "paused"),
    ("aside", Some("base"), "running"),
];

impl Mock {
    /// A running, a stopped, a suspended domain, one with a number for a name and one the host describes badly.
    pub(crate) fn new() -> Self {
        let item = |number: u128, name: &str, id: Option<i32>, state| {
            let domain = Domain { name: name.to_owned(), uuid: Uuid::from_u128(number), id };
            let mut item = ListedDomain::new(domain, state);
            item.moref = Some(number.to_string());
            item
        };
        let mut titled = item(1, "web01", Some(7), DomainState::Running);
        titled.title = Some("The front".to_owned());
        let mut broken = item(9, "", None, DomainState::NoState);
        broken.domain.uuid = Uuid::nil();
        broken.problem = Some("the host does not tell its configuration".to_owned());
        let domains = vec![
            item(2, "München 東京", None, DomainState::Shutoff),
            titled,
            item(3, "db/primary 100%", Some(3), DomainState::Paused),
            item(4, "1234", None, DomainState::Shutoff),
            item(5, "Alpha \u{1b}[31m", None, DomainState::Shutoff),
            broken,
        ];
        Self { domains, calls: Mutex::default() }
    }

    /// A host without domains.
    pub(crate) fn empty() -> Self {
        Self { domains: Vec::new(), calls: Mutex::default() }
    }

    /// What the driver was told to change, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, function: &str, of: &str, told: impl Debug) -> Result<()> {
        let call = format!("{function}({of}, {told:?})");
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        Ok(())
    }

    /// As [`note`](Self::note), for a domain that must be in this state.
    fn note_in(&self, state: DomainState, function: &str, domain: &Domain) -> Result<()> {
        let now = self.by_uuid(domain.uuid)?.state;
        if now == state {
            return self.note(function, &domain.name, ());
        }
        let message = format!("domain is {now}, not {state}");
        Err(Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message))
    }

    fn snapshots_of(
        domain: &Domain,
        parent: Option<&str>,
        flags: SnapshotListFlags,
    ) -> Vec<Snapshot> {
        let below_base = parent == Some("base") && flags.contains(SnapshotListFlags::ROOTS);
        let wanted = |item: &&Row| match parent {
            None if flags.contains(SnapshotListFlags::ROOTS) => item.1.is_none(),
            None => true,
            Some(_) if below_base => item.1.is_some(),
            Some(_) => item.1 == parent,
        };
        let handle = |item: &Row| Snapshot { domain: domain.clone(), name: item.0.to_owned() };
        SNAPSHOTS.iter().filter(wanted).map(handle).collect()
    }

    fn snapshot(name: &str) -> Result<(usize, Row)> {
        let found = SNAPSHOTS.iter().position(|item| item.0 == name);
        found.map(|place| (place, SNAPSHOTS[place])).ok_or_else(|| {
            let message = format!("no snapshot '{name}'");
            Error::new(ErrorCode::NoDomainSnapshot, ErrorDomain::Esx, message)
        })
    }

    fn find(&self, what: &str, test: impl Fn(&ListedDomain) -> bool) -> Result<&ListedDomain> {
        self.domains.iter().find(|item| test(item)).ok_or_else(|| {
            Error::no_domain(format!("no domain with {what}; the nearest name is 'web01'"))
        })
    }

    fn by_uuid(&self, uuid: Uuid) -> Result<&ListedDomain> {
        self.find(&format!("UUID {uuid}"), |item| item.domain.uuid == uuid)
    }
}

impl Driver for Mock {
    fn hypervisor(&self) -> &dyn Hypervisor {
        self
    }
}

#[async_trait]
impl Hypervisor for Mock {
    async fn connect_get_uri(&self) -> Result<String> {
        Ok("esx://host.example:443/".to_owned())
    }

    async fn connect_get_type(&self) -> Result<String> {
        Ok("ESX".to_owned())
    }

    async fn connect_get_version(&self) -> Result<Version> {
        Ok(Version::new(8, 0, 3))
    }

    async fn connect_get_hostname(&self) -> Result<String> {
        let refused =
            Error::internal(ErrorDomain::Esx, "RetrieveProperties was refused: no permission");
        Err(Error::internal(ErrorDomain::Esx, "cannot read the host's DNS configuration")
            .with_source(refused))
    }

    async fn node_get_info(&self) -> Result<NodeInfo> {
        Ok(NodeInfo {
            model: "Intel Xeon Gold 6338 CPU @ 2.00".to_owned(),
            memory_kib: 268_435_456,
            cpus: 64,
            mhz: 1_995,
            nodes: 2,
            sockets: 2,
            cores: 32,
            threads: 2,
        })
    }

    async fn connect_get_capabilities(&self) -> Result<String> {
        Ok("<capabilities>\n\n  <host>\n  </host>\n\n</capabilities>\n".to_owned())
    }

    async fn connect_list_all_domains(&self, flags: Filter) -> Result<Vec<ListedDomain>> {
        let states = Filter::RUNNING | Filter::PAUSED | Filter::SHUTOFF | Filter::OTHER;
        let pass = |item: &&ListedDomain| {
            let activity = if item.is_active() { Filter::ACTIVE } else { Filter::INACTIVE };
            let state = match item.state {
                DomainState::Running => Filter::RUNNING,
                DomainState::Paused => Filter::PAUSED,
                DomainState::Shutoff => Filter::SHUTOFF,
                _ => Filter::OTHER,
            };
            flags.contains(activity) && (!flags.intersects(states) || flags.contains(state))
        };
        Ok(self.domains.iter().filter(pass).cloned().collect())
    }

    async fn domain_lookup_by_id(&self, id: i32) -> Result<Domain> {
        Ok(self.find(&format!("ID {id}"), |item| item.domain.id == Some(id))?.domain.clone())
    }

    async fn domain_lookup_by_uuid(&self, uuid: Uuid) -> Result<Domain> {
        Ok(self.by_uuid(uuid)?.domain.clone())
    }

    async fn domain_lookup_by_name(&self, name: &str) -> Result<Domain> {
        Ok(self.find(&format!("name '{name}'"), |item| item.domain.name == name)?.domain.clone())
    }

    async fn domain_get_os_type(&self, _domain: &Domain) -> Result<String> {
        Ok("hvm".to_owned())
    }

    async fn domain_get_info(&self, domain: &Domain) -> Result<DomainInfo> {
        Ok(DomainInfo {
            state: self.by_uuid(domain.uuid)?.state,
            max_memory_kib: 4_194_304,
            memory_kib: 2_097_152,
            vcpus: 2,
            cpu_time_ns: 0,
        })
    }

    async fn domain_get_state(
        &self,
        domain: &Domain,
        _: NoFlags,
    ) -> Result<(DomainState, DomainStateReason)> {
        Ok((self.by_uuid(domain.uuid)?.state, DomainStateReason::default()))
    }

    async fn domain_is_persistent(&self, _domain: &Domain) -> Result<bool> {
        Ok(true)
    }

    async fn domain_has_managed_save_image(&self, _domain: &Domain, _: NoFlags) -> Result<bool> {
        Ok(false)
    }

    async fn domain_get_autostart(&self, domain: &Domain) -> Result<bool> {
        Ok(domain.id.is_some())
    }

    async fn domain_create_with_flags(
        &self,
        domain: &Domain,
        flags: DomainCreateFlags,
    ) -> Result<Domain> {
        check_flags("virDomainCreateWithFlags", flags, DomainCreateFlags::FORCE_BOOT)?;
        self.note_in(DomainState::Shutoff, "create", domain)?;
        Ok(domain.clone())
    }

    async fn domain_suspend(&self, domain: &Domain) -> Result<()> {
        self.note_in(DomainState::Running, "suspend", domain)
    }

    async fn domain_resume(&self, domain: &Domain) -> Result<()> {
        self.note_in(DomainState::Paused, "resume", domain)
    }

    async fn domain_reset(&self, domain: &Domain, _: NoFlags) -> Result<()> {
        self.note_in(DomainState::Running, "reset", domain)
    }

    async fn domain_shutdown_flags(
        &self,
        domain: &Domain,
        flags: DomainShutdownFlags,
    ) -> Result<()> {
        self.note("shutdown", &domain.name, flags)
    }

    async fn domain_reboot(&self, domain: &Domain, flags: DomainRebootFlags) -> Result<()> {
        self.note("reboot", &domain.name, flags)
    }

    async fn domain_destroy_flags(&self, domain: &Domain, flags: DomainDestroyFlags) -> Result<()> {
        self.note("destroy", &domain.name, flags)
    }

    async fn domain_set_autostart(&self, domain: &Domain, autostart: bool) -> Result<()> {
        self.note("set_autostart", &domain.name, autostart)
    }

    async fn domain_get_hostname(&self, domain: &Domain, flags: NoFlags) -> Result<String> {
        check_flags("virDomainGetHostname", flags, NoFlags::empty())?;
        Ok(format!("{}.example", domain.name))
    }

    async fn domain_interface_addresses(
        &self,
        _domain: &Domain,
        source: InterfaceAddressesSource,
        _: NoFlags,
    ) -> Result<Vec<DomainInterface>> {
        if source != InterfaceAddressesSource::Agent {
            let message = format!("no addresses from {source:?}");
            return Err(Error::new(ErrorCode::ArgumentUnsupported, ErrorDomain::Esx, message));
        }
        let address = |kind, addr: &str, prefix| IpAddress { kind, addr: addr.to_owned(), prefix };
        let interface = |name: &str, hwaddr: Option<&str>, addrs| DomainInterface {
            name: name.to_owned(),
            hwaddr: hwaddr.map(str::to_owned),
            addrs,
        };
        let addrs = vec![
            address(IpAddressType::Ipv4, "192.0.2.7", 24),
            address(IpAddressType::Ipv6, "2001:db8::7", 64),
        ];
        Ok(vec![
            interface("VM Network", Some("00:0c:29:01:02:03"), addrs),
            interface("lan", None, Vec::new()),
        ])
    }

    async fn domain_set_max_memory(&self, domain: &Domain, memory_kib: u64) -> Result<()> {
        self.note("set_max_memory", &domain.name, memory_kib)
    }

    async fn domain_set_memory_flags(
        &self,
        domain: &Domain,
        memory_kib: u64,
        flags: DomainMemoryFlags,
    ) -> Result<()> {
        self.note("set_memory_flags", &domain.name, (memory_kib, flags))
    }

    async fn domain_get_memory_parameters(
        &self,
        domain: &Domain,
        _: DomainModificationFlags,
    ) -> Result<Vec<TypedParam>> {
        let kib = if domain.id.is_some() { 524_288_u64 } else { 9_007_199_254_740_991 };
        Ok(vec![TypedParam::new("min_guarantee", kib)])
    }

    async fn domain_set_memory_parameters(
        &self,
        domain: &Domain,
        params: &[TypedParam],
        flags: DomainModificationFlags,
    ) -> Result<()> {
        self.note("set_memory_parameters", &domain.name, (params, flags))
    }

    async fn domain_get_vcpus_flags(
        &self,
        _domain: &Domain,
        flags: DomainVcpuFlags,
    ) -> Result<u32> {
        check_flags("virDomainGetVcpusFlags", flags, !DomainVcpuFlags::VCPU_GUEST)?;
        Ok(if flags.contains(DomainVcpuFlags::VCPU_MAXIMUM) { 128 } else { 2 })
    }

    async fn domain_set_vcpus_flags(
        &self,
        domain: &Domain,
        vcpus: u32,
        flags: DomainVcpuFlags,
    ) -> Result<()> {
        self.note("set_vcpus_flags", &domain.name, (vcpus, flags))
    }

    async fn domain_get_scheduler_type(&self, _domain: &Domain) -> Result<SchedulerType> {
        Ok(SchedulerType { name: "allocation".to_owned(), params: 3 })
    }

    async fn domain_get_scheduler_parameters_flags(
        &self,
        _domain: &Domain,
        _: DomainModificationFlags,
    ) -> Result<Vec<TypedParam>> {
        Ok(vec![
            TypedParam::new("reservation", 0_i64),
            TypedParam::new("limit", -1_i64),
            TypedParam::new("shares", -2_i32),
        ])
    }

    async fn domain_set_scheduler_parameters_flags(
        &self,
        domain: &Domain,
        params: &[TypedParam],
        flags: DomainModificationFlags,
    ) -> Result<()> {
        self.note("set_scheduler_parameters", &domain.name, (params, flags))
    }

    async fn node_get_free_memory(&self) -> Result<u64> {
        Ok(3_221_226_000)
    }
}

#[async_trait]
impl Definitions for Mock {
    async fn domain_get_xml_desc(&self, domain: &Domain, flags: DomainXmlFlags) -> Result<String> {
        Ok(format!(
            "<domain type='vmware'>\n  <name>{}</name>\n</domain>\n<!-- flags {flags:?} -->\n",
            domain.name
        ))
    }

    async fn connect_domain_xml_from_native(
        &self,
        format: &str,
        config: &str,
        flags: NativeConversionFlags,
    ) -> Result<String> {
        Ok(format!("<!-- {format} {flags:?} -->\n<domain>{}</domain>\n", config.trim()))
    }

    async fn connect_domain_xml_to_native(
        &self,
        format: &str,
        xml: &str,
        flags: NativeConversionFlags,
    ) -> Result<String> {
        Ok(format!("# {format} {flags:?}\n# {} bytes\n", xml.len()))
    }

    async fn domain_define_xml_flags(&self, xml: &str, flags: DomainDefineFlags) -> Result<Domain> {
        self.note("define", xml.trim(), flags)?;
        self.domain_lookup_by_name("web01").await
    }

    async fn domain_create_xml(&self, xml: &str, flags: DomainCreateFlags) -> Result<Domain> {
        self.note("create", xml.trim(), flags)?;
        self.domain_lookup_by_name("web01").await
    }

    async fn domain_undefine_flags(
        &self,
        domain: &Domain,
        flags: DomainUndefineFlags,
    ) -> Result<()> {
        self.note("undefine", &domain.name, flags)
    }
}

#[async_trait]
impl Snapshots for Mock {
    async fn domain_snapshot_create_xml(
        &self,
        domain: &Domain,
        xml: &str,
        flags: SnapshotCreateFlags,
    ) -> Result<Snapshot> {
        self.note("snapshot_create", xml.trim(), flags)?;
        let request = virt_xml::snapshot::SnapshotRequest::parse(xml).map_err(|error| {
            Error::new(ErrorCode::XmlError, ErrorDomain::Esx, error.to_string())
        })?;
        let name = request.name.unwrap_or_else(|| "1795444050".to_owned());
        Ok(Snapshot { domain: domain.clone(), name })
    }

    async fn domain_snapshot_get_xml_desc(
        &self,
        snapshot: &Snapshot,
        _: SnapshotXmlFlags,
    ) -> Result<String> {
        let (place, (name, parent, state)) = Self::snapshot(&snapshot.name)?;
        let document = virt_xml::snapshot::Snapshot {
            name: name.to_owned(),
            description: Some(format!("number {place}")),
            state: state.to_owned(),
            parent: parent.map(str::to_owned),
            creation_time: 1_795_444_050 + place as i64,
            domain_uuid: snapshot.domain.uuid,
        };
        Ok(document.to_xml())
    }

    async fn domain_list_all_snapshots(
        &self,
        domain: &Domain,
        flags: SnapshotListFlags,
    ) -> Result<Vec<Snapshot>> {
        Ok(Self::snapshots_of(domain, None, flags))
    }

    async fn domain_snapshot_list_all_children(
        &self,
        snapshot: &Snapshot,
        flags: SnapshotListFlags,
    ) -> Result<Vec<Snapshot>> {
        Ok(Self::snapshots_of(&snapshot.domain, Some(&snapshot.name), flags))
    }

    async fn domain_snapshot_num_children(
        &self,
        snapshot: &Snapshot,
        flags: SnapshotListFlags,
    ) -> Result<u32> {
        let children = Self::snapshots_of(&snapshot.domain, Some(&snapshot.name), flags);
        Ok(children.len() as u32)
    }

    async fn domain_snapshot_lookup_by_name(
        &self,
        domain: &Domain,
        name: &str,
        _: NoFlags,
    ) -> Result<Snapshot> {
        Self::snapshot(name)?;
        Ok(Snapshot { domain: domain.clone(), name: name.to_owned() })
    }

    async fn domain_snapshot_current(&self, domain: &Domain, _: NoFlags) -> Result<Snapshot> {
        Ok(Snapshot { domain: domain.clone(), name: SNAPSHOTS[3].0.to_owned() })
    }

    async fn domain_snapshot_get_parent(
        &self,
        snapshot: &Snapshot,
        _: NoFlags,
    ) -> Result<Snapshot> {
        let (_, (name, parent, _)) = Self::snapshot(&snapshot.name)?;
        let parent = parent.ok_or_else(|| {
            let message = format!("snapshot '{name}' has no parent");
            Error::new(ErrorCode::NoDomainSnapshot, ErrorDomain::Esx, message)
        })?;
        Ok(Snapshot { name: parent.to_owned(), ..snapshot.clone() })
    }

    async fn domain_snapshot_is_current(&self, snapshot: &Snapshot, _: NoFlags) -> Result<bool> {
        Ok(snapshot.name == SNAPSHOTS[3].0)
    }

    async fn domain_snapshot_has_metadata(&self, _snapshot: &Snapshot, _: NoFlags) -> Result<bool> {
        Ok(false)
    }

    async fn domain_revert_to_snapshot(
        &self,
        snapshot: &Snapshot,
        flags: SnapshotRevertFlags,
    ) -> Result<()> {
        self.note("revert", &snapshot.name, flags)
    }

    async fn domain_snapshot_delete(
        &self,
        snapshot: &Snapshot,
        flags: SnapshotDeleteFlags,
    ) -> Result<()> {
        self.note("snapshot_delete", &snapshot.name, flags)
    }
}
