//! The connection and the host.

use super::{handlers, lacks};

/// The version of libvirt's API that we speak, as clients are told: 12.8.0.
const LIB_VERSION: u64 = 12_008_000;

handlers! {
    /// Facts about the connection and the host, and documents that belong to no domain.
    answer(hypervisor: &dyn Hypervisor) {
        ConnectGetType() => hypervisor.connect_get_type().await?;
        ConnectGetVersion() => hypervisor.connect_get_version().await?.0;
        ConnectGetLibVersion() => LIB_VERSION;
        ConnectGetUri() => hypervisor.connect_get_uri().await?;
        ConnectGetMaxVcpus(_kind) => lacks("virConnectGetMaxVcpus")?;
        ConnectGetCapabilities() => hypervisor.connect_get_capabilities().await?;
        ConnectGetHostname() => hypervisor.connect_get_hostname().await?;
        ConnectIsSecure() => hypervisor.connect_is_secure().await?;
        ConnectSetIdentity(_params, _flags) => ();
        NodeGetInfo() => hypervisor.node_get_info().await?;
        NodeGetFreeMemory() => hypervisor.node_get_free_memory().await?;
        NodeGetSecurityModel() => lacks("virNodeGetSecurityModel")?;
        ConnectGetDomainCapabilities(emulator, arch, machine, kind, flags) => hypervisor
            .connect_get_domain_capabilities(
                emulator.as_deref(), arch.as_deref(), machine.as_deref(), kind.as_deref(), flags,
            )
            .await?;
        ConnectDomainXmlFromNative(format, config, flags) => hypervisor
            .connect_domain_xml_from_native(&format, &config, flags)
            .await?;
        ConnectDomainXmlToNative(format, xml, flags) => hypervisor
            .connect_domain_xml_to_native(&format, &xml, flags)
            .await?;
    }
}
