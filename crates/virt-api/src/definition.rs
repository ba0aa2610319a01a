//! What a domain is: the part of libvirt's hypervisor driver that reads, makes and changes its configuration.

use async_trait::async_trait;

use crate::{
    Domain, DomainCreateFlags, DomainDefineFlags, DomainDeviceModifyFlags, DomainModificationFlags,
    DomainUndefineFlags, DomainXmlFlags, Error, MetadataType, NativeConversionFlags, NoFlags,
    Result,
};

/// Functions about a domain's configuration (domain.md 11 and 12), which [`Hypervisor`](crate::Hypervisor) includes; as
/// there, what a driver does not write answers `VIR_ERR_NO_SUPPORT`.
#[async_trait]
pub trait Definitions: Send + Sync {
    /// The domain as XML (domain.md 11.1). libvirt: `virDomainGetXMLDesc`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN`.
    async fn domain_get_xml_desc(
        &self,
        _domain: &Domain,
        _flags: DomainXmlFlags,
    ) -> Result<String> {
        Err(Error::no_support("virDomainGetXMLDesc"))
    }

    /// Converts a configuration in the host's own format (`vmware-vmx`) to domain XML. libvirt:
    /// `virConnectDomainXMLFromNative`.
    ///
    /// # Errors
    /// `VIR_ERR_INVALID_ARG` for an unknown format.
    async fn connect_domain_xml_from_native(
        &self,
        _format: &str,
        _config: &str,
        _flags: NativeConversionFlags,
    ) -> Result<String> {
        Err(Error::no_support("virConnectDomainXMLFromNative"))
    }

    /// Converts domain XML to the host's own format (`vmware-vmx`). libvirt: `virConnectDomainXMLToNative`.
    ///
    /// # Errors
    /// `VIR_ERR_INVALID_ARG` for an unknown format.
    async fn connect_domain_xml_to_native(
        &self,
        _format: &str,
        _xml: &str,
        _flags: NativeConversionFlags,
    ) -> Result<String> {
        Err(Error::no_support("virConnectDomainXMLToNative"))
    }

    /// Defines a domain. libvirt: `virDomainDefineXML`.
    async fn domain_define_xml(&self, xml: &str) -> Result<Domain> {
        self.domain_define_xml_flags(xml, DomainDefineFlags::empty()).await
    }

    /// Defines a domain from its document (domain.md 12.1). libvirt: `virDomainDefineXMLFlags`.
    async fn domain_define_xml_flags(
        &self,
        _xml: &str,
        _flags: DomainDefineFlags,
    ) -> Result<Domain> {
        Err(Error::no_support("virDomainDefineXMLFlags"))
    }

    /// Removes a definition. libvirt: `virDomainUndefine`.
    async fn domain_undefine(&self, domain: &Domain) -> Result<()> {
        self.domain_undefine_flags(domain, DomainUndefineFlags::empty()).await
    }

    /// Removes a definition; files stay. libvirt: `virDomainUndefineFlags`.
    ///
    /// # Errors
    /// `VIR_ERR_OPERATION_INVALID` if it runs.
    async fn domain_undefine_flags(
        &self,
        _domain: &Domain,
        _flags: DomainUndefineFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainUndefineFlags"))
    }

    /// What domains may have on this host, as XML. libvirt: `virConnectGetDomainCapabilities`.
    async fn connect_get_domain_capabilities(
        &self,
        _emulator: Option<&str>,
        _arch: Option<&str>,
        _machine: Option<&str>,
        _virt_type: Option<&str>,
        _flags: NoFlags,
    ) -> Result<String> {
        Err(Error::no_support("virConnectGetDomainCapabilities"))
    }

    /// Makes and starts a domain. libvirt: `virDomainCreateXML`.
    async fn domain_create_xml(&self, _xml: &str, _flags: DomainCreateFlags) -> Result<Domain> {
        Err(Error::no_support("virDomainCreateXML"))
    }

    /// Adds a device. libvirt: `virDomainAttachDeviceFlags`.
    async fn domain_attach_device_flags(
        &self,
        _domain: &Domain,
        _xml: &str,
        _flags: DomainDeviceModifyFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainAttachDeviceFlags"))
    }

    /// Removes a device. libvirt: `virDomainDetachDeviceFlags`.
    async fn domain_detach_device_flags(
        &self,
        _domain: &Domain,
        _xml: &str,
        _flags: DomainDeviceModifyFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainDetachDeviceFlags"))
    }

    /// Changes a device. libvirt: `virDomainUpdateDeviceFlags`.
    async fn domain_update_device_flags(
        &self,
        _domain: &Domain,
        _xml: &str,
        _flags: DomainDeviceModifyFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainUpdateDeviceFlags"))
    }

    /// Description, title or an element of a namespace. libvirt: `virDomainGetMetadata`.
    ///
    /// # Errors
    /// `VIR_ERR_NO_DOMAIN_METADATA` if there is none.
    async fn domain_get_metadata(
        &self,
        _domain: &Domain,
        _kind: MetadataType,
        _uri: Option<&str>,
        _flags: DomainModificationFlags,
    ) -> Result<String> {
        Err(Error::no_support("virDomainGetMetadata"))
    }

    /// Sets description, title or an element of a namespace, or removes it. libvirt: `virDomainSetMetadata`.
    async fn domain_set_metadata(
        &self,
        _domain: &Domain,
        _kind: MetadataType,
        _metadata: Option<&str>,
        _key: Option<&str>,
        _uri: Option<&str>,
        _flags: DomainModificationFlags,
    ) -> Result<()> {
        Err(Error::no_support("virDomainSetMetadata"))
    }

    /// Gives a domain another name. libvirt: `virDomainRename`.
    async fn domain_rename(&self, _domain: &Domain, _name: &str, _flags: NoFlags) -> Result<()> {
        Err(Error::no_support("virDomainRename"))
    }
}
