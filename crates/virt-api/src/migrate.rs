//! Migration as callers of libvirt know it: the front end above the three steps of protocol version 1.

use crate::{
    Domain, DomainState, Driver, Error, ErrorCode, ErrorDomain, Feature, MigrateFlags as Flags,
    NoFlags, Result,
};

/// What a migration may be told beside where to.
#[derive(Clone, Debug, Default)]
pub struct MigrateOptions {
    /// How.
    pub flags: Flags,
    /// A new name; VMware hosts refuse one.
    pub name: Option<String>,
    /// Where to, in the hypervisor's own words; without it the destination says.
    pub uri: Option<String>,
    /// MiB/s at the most, 0 for no limit; VMware hosts choose themselves.
    pub bandwidth_mib: u64,
}

/// Moves a domain from one connection to another and returns it as the destination knows it. libvirt: `virDomainMigrate`,
/// protocol version 1 (domain.md 14).
///
/// # Errors
/// `VIR_ERR_NO_SUPPORT` if one of the two cannot migrate (`Feature::MigrationV1`), or is asked to do it by itself
/// (`PEER2PEER`); `VIR_ERR_OPERATION_INVALID` for `TUNNELLED` without it; what the drivers say. The domain is at the source
/// still if an error comes from one of the first two steps, and at the destination if it comes from the third.
pub async fn domain_migrate(
    domain: &Domain,
    source: &dyn Driver,
    destination: &dyn Driver,
    options: &MigrateOptions,
) -> Result<Domain> {
    let (source, destination) = (source.hypervisor(), destination.hypervisor());
    let mut flags = options.flags;
    if flags.contains(Flags::PEER2PEER) {
        return Err(Error::no_support("virDomainMigrate (peer to peer)"));
    }
    if flags.contains(Flags::TUNNELLED) {
        let message = "a migration is tunnelled only from peer to peer";
        return Err(Error::new(ErrorCode::OperationInvalid, ErrorDomain::Domain, message));
    }
    for side in [source, destination] {
        if !side.connect_supports_feature(Feature::MigrationV1).await? {
            return Err(Error::no_support("virDomainMigrate"));
        }
    }
    // It stays as it is.
    if source.domain_get_state(domain, NoFlags::empty()).await?.0 == DomainState::Paused {
        flags |= Flags::PAUSED;
    }
    let (name, bandwidth) = (options.name.as_deref(), options.bandwidth_mib);
    let prepared =
        destination.domain_migrate_prepare(options.uri.as_deref(), flags, name, bandwidth).await?;
    let uri = prepared.uri.or_else(|| options.uri.clone()).ok_or_else(|| {
        Error::internal(ErrorDomain::Domain, "the destination does not say where to migrate to")
    })?;
    source.domain_migrate_perform(domain, &prepared.cookie, &uri, flags, name, bandwidth).await?;
    let name = name.unwrap_or(&domain.name);
    match destination.domain_migrate_finish(name, &prepared.cookie, &uri, flags).await {
        // The protocol goes by names. What has arrived is known by its UUID, too.
        Err(error) if error.code == ErrorCode::MultipleDomains => {
            destination.domain_lookup_by_uuid(domain.uuid).await
        }
        finished => finished,
    }
}
