//! [`virt_api::Hypervisor`] for a connection: each function a line that leads to where it is done.

use async_trait::async_trait;
use uuid::Uuid;
use virt_api::{
    Domain, DomainDetails, DomainInfo, DomainSelector, DomainState, DomainStateReason,
    DomainXmlFlags, Error, ErrorDomain, Feature, Hypervisor, ListAllDomainsFlags, ListedDomain,
    NativeConversionFlags, NoFlags, NodeInfo, Result, Version, check_flags,
};

use crate::connection::Connection;
use crate::domain::Wanted;

#[async_trait]
impl Hypervisor for Connection {
    async fn connect_get_uri(&self) -> Result<String> {
        Ok(self.session.uri.to_string())
    }

    async fn connect_supports_feature(&self, feature: Feature) -> Result<bool> {
        // Migration joins with the domain functions that do it.
        Ok(matches!(
            feature,
            Feature::FdPassing | Feature::TypedParamString | Feature::NetworkUpdateHasCorrectOrder
        ))
    }

    async fn connect_get_type(&self) -> Result<String> {
        Ok("ESX".to_owned())
    }

    async fn connect_get_version(&self) -> Result<Version> {
        Ok(self.session.product.version)
    }

    async fn connect_get_hostname(&self) -> Result<String> {
        let facts = self.session.facts().await?;
        facts
            .hostname
            .clone()
            .ok_or_else(|| Error::internal(ErrorDomain::Esx, "the host has no name"))
    }

    async fn connect_get_capabilities(&self) -> Result<String> {
        Ok(self.session.facts().await?.capabilities())
    }

    async fn connect_is_encrypted(&self) -> Result<bool> {
        Ok(self.session.is_encrypted())
    }

    async fn connect_is_secure(&self) -> Result<bool> {
        Ok(self.session.is_encrypted())
    }

    async fn connect_is_alive(&self) -> Result<bool> {
        Ok(self.session.is_alive().await)
    }

    async fn node_get_info(&self) -> Result<NodeInfo> {
        Ok(self.session.facts().await?.node.clone())
    }

    async fn node_get_free_memory(&self) -> Result<u64> {
        self.session.free_memory().await
    }

    async fn connect_list_domains(&self, max: usize) -> Result<Vec<i32>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut ids = self.session.active_ids().await?;
        ids.truncate(max);
        Ok(ids)
    }

    async fn connect_num_of_domains(&self) -> Result<u32> {
        Ok(count(self.session.active_ids().await?.len()))
    }

    async fn connect_list_defined_domains(&self, max: usize) -> Result<Vec<String>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut names = self.session.inactive_names().await?;
        names.truncate(max);
        Ok(names)
    }

    async fn connect_num_of_defined_domains(&self) -> Result<u32> {
        Ok(count(self.session.inactive_names().await?.len()))
    }

    async fn connect_list_all_domains(
        &self,
        flags: ListAllDomainsFlags,
    ) -> Result<Vec<ListedDomain>> {
        self.session.list_all(flags).await
    }

    async fn domain_lookup_by_id(&self, id: i32) -> Result<Domain> {
        self.domain_lookup(&DomainSelector::Id(id)).await
    }

    async fn domain_lookup_by_uuid(&self, uuid: Uuid) -> Result<Domain> {
        self.domain_lookup(&DomainSelector::Uuid(uuid)).await
    }

    async fn domain_lookup_by_name(&self, name: &str) -> Result<Domain> {
        self.domain_lookup(&DomainSelector::Name(name.to_owned())).await
    }

    async fn domain_lookup(&self, selector: &DomainSelector) -> Result<Domain> {
        Ok(self.session.find(selector, Wanted::default()).await?.machine.domain)
    }

    async fn domain_get_os_type(&self, _domain: &Domain) -> Result<String> {
        Ok("hvm".to_owned())
    }

    async fn domain_get_info(&self, domain: &Domain) -> Result<DomainInfo> {
        self.session.info(domain).await
    }

    async fn domain_get_state(
        &self,
        domain: &Domain,
        flags: NoFlags,
    ) -> Result<(DomainState, DomainStateReason)> {
        check_flags("virDomainGetState", flags, NoFlags::empty())?;
        self.session.state(domain).await
    }

    async fn domain_lookup_state(
        &self,
        selector: &DomainSelector,
    ) -> Result<(DomainState, DomainStateReason)> {
        self.session.state_by(selector).await
    }

    async fn domain_get_details(&self, selector: &DomainSelector) -> Result<DomainDetails> {
        self.session.details(selector).await
    }

    async fn domain_is_active(&self, domain: &Domain) -> Result<bool> {
        Ok(self.session.state(domain).await?.0 != DomainState::Shutoff)
    }

    async fn domain_is_persistent(&self, domain: &Domain) -> Result<bool> {
        self.session.find_domain(domain, Wanted::default()).await.map(|_| true)
    }

    async fn domain_is_updated(&self, domain: &Domain) -> Result<bool> {
        self.session.find_domain(domain, Wanted::default()).await.map(|_| false)
    }

    async fn domain_has_managed_save_image(&self, domain: &Domain, flags: NoFlags) -> Result<bool> {
        check_flags("virDomainHasManagedSaveImage", flags, NoFlags::empty())?;
        self.session.find_domain(domain, Wanted::default()).await.map(|_| false)
    }

    async fn domain_get_autostart(&self, domain: &Domain) -> Result<bool> {
        self.session.autostart(domain).await
    }

    async fn domain_get_xml_desc(&self, domain: &Domain, flags: DomainXmlFlags) -> Result<String> {
        self.session.xml_desc(domain, flags).await
    }

    async fn connect_domain_xml_from_native(
        &self,
        format: &str,
        config: &str,
        flags: NativeConversionFlags,
    ) -> Result<String> {
        self.session.xml_from_native(format, config, flags).await
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
