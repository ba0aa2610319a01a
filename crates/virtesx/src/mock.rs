//! A driver made of plain data, for tests of the program.

use async_trait::async_trait;
use uuid::Uuid;
use virt_api::{
    Domain, DomainInfo, DomainState, DomainStateReason, DomainXmlFlags, Driver, Error, ErrorDomain,
    Hypervisor, ListAllDomainsFlags as Filter, ListedDomain, NativeConversionFlags, NoFlags,
    NodeInfo, Result, Version,
};

/// A host with a few domains.
pub(crate) struct Mock {
    domains: Vec<ListedDomain>,
}

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
        Self { domains }
    }

    /// A host without domains.
    pub(crate) fn empty() -> Self {
        Self { domains: Vec::new() }
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
}
