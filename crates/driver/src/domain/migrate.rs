//! Moving a machine to another host of the same vCenter (spec `domain.md` 14): libvirt's protocol of three steps. Its files
//! stay where they are, so both hosts must see its datastores.

use esx_vi_api::enums::VirtualMachineMovePriority;
use esx_vi_api::methods::{MigrateVMTask, ValidateMigration};
use esx_vi_api::{MoRef, Object};
use esx_vi_client::{Checked, Client, Retrieval, traversal};
use virt_api::{
    Domain, DomainState, Error, ErrorCode, ErrorDomain, MigrateFlags as Flags, MigratePrepared,
    Result, check_flags,
};

use super::lookup::Wanted;
use super::operate::{Stop, checked_state};
use crate::connection::Session;
use crate::domain::DomainSelector;
use crate::error::{decode_error, vi_error};
use crate::uri::MigrationUri;

/// The flags that say what happens anyway, or that can be held against the machine's state.
const KNOWN: Flags = Flags::LIVE
    .union(Flags::PERSIST_DEST)
    .union(Flags::UNDEFINE_SOURCE)
    .union(Flags::PAUSED)
    .union(Flags::OFFLINE)
    .union(Flags::UNSAFE);

const VMOTION: &str = "capability.vmotionSupported";

impl Session {
    /// `VIR_DRV_FEATURE_MIGRATION_V1` (spec `domain.md` 4.1): there is a vCenter, and the host can.
    pub(crate) async fn can_migrate(&self) -> Result<bool> {
        if self.vcenter_client().is_none() {
            return Ok(false);
        }
        let failed = |e| vi_error("cannot ask whether the host can migrate", e);
        let host = self.binding().await?.host;
        let row = self.client.read(&host, &[VMOTION]).await.map_err(failed)?;
        let can = row.map(|row| row.get::<bool>(VMOTION)).transpose().map_err(decode_error)?;
        Ok(can.flatten() == Some(true))
    }

    /// libvirt `virDomainMigratePrepare`, asked of the destination: where the source shall send the machine. One
    /// request on `vpx://`.
    pub(crate) async fn migrate_prepare(
        &self,
        uri: Option<&str>,
        flags: Flags,
    ) -> Result<MigratePrepared> {
        self.check_writable("virDomainMigratePrepare")?;
        check_flags("virDomainMigratePrepare", flags, KNOWN)?;
        if uri.is_some() {
            return Ok(MigratePrepared::default());
        }
        let client = self.vcenter_client().ok_or_else(no_vcenter)?;
        let (host, pool) = self.place_in_vcenter(client).await?;
        let uri = MigrationUri {
            vcenter: client.transport().endpoint().host.clone(),
            pool: pool.value,
            host: host.value,
            instance: instance_uuid(client).await,
        };
        Ok(MigratePrepared { uri: Some(uri.to_string()), ..MigratePrepared::default() })
    }

    /// The connection's host and its resource pool as the vCenter knows them.
    async fn place_in_vcenter(&self, client: &Client) -> Result<(MoRef, MoRef)> {
        let no_pool = || Error::internal(ErrorDomain::Esx, "the host has no resource pool");
        let Some(host) = self.host_in_vcenter().await? else {
            let binding = self.binding().await?;
            return Ok((binding.host, binding.resource_pool.ok_or_else(no_pool)?));
        };
        let retrieval = Retrieval::from(&host)
            .via([traversal("parent", "HostSystem", "parent", [])])
            .read("ComputeResource", ["resourcePool"]);
        let failed = |e| vi_error("cannot find the host's resource pool", e);
        let found = client.retrieve(&retrieval).await.map_err(failed)?;
        let pool = found.objects.iter().find_map(|row| row.get::<MoRef>("resourcePool").ok()?);
        Ok((host, pool.ok_or_else(no_pool)?))
    }

    /// libvirt `virDomainMigratePerform`, asked of the source: `MigrateVM_Task` through the vCenter, looked at and waited for
    /// as every task. A machine that runs keeps running, one that is off stays off.
    pub(crate) async fn migrate_perform(
        &self,
        domain: &Domain,
        uri: &str,
        flags: Flags,
        name: Option<&str>,
    ) -> Result<()> {
        self.check_writable("virDomainMigratePerform")?;
        check_flags("virDomainMigratePerform", flags, KNOWN)?;
        let invalid = |why: String| Error::invalid_arg(ErrorDomain::Esx, why);
        let what = format!("cannot migrate domain {:?}", domain.name);
        let client = self.vcenter_client().ok_or_else(no_vcenter)?.clone();
        if name.is_some_and(|name| name != domain.name) {
            return Err(invalid(format!("{what}: it cannot be renamed on the way")));
        }
        let target = MigrationUri::parse(uri).map_err(|e| invalid(what.clone()).with_source(e))?;
        if !is_same_vcenter(&client, &target).await {
            let ours = client.transport().endpoint().host.as_str();
            let message = format!(
                "{what}: source and destination must be of one vCenter, not of {ours} and {}",
                target.vcenter
            );
            return Err(invalid(message));
        }
        let machine = match self.vcenter_machine(domain).await? {
            Some((_, machine)) => machine,
            None => self.sure_machine_of(domain).await?,
        };
        let pool = MoRef::new("ResourcePool", target.pool);
        let host = MoRef::new("HostSystem", target.host);
        validate(&client, &what, &machine, &pool, &host).await?;
        let allowed = |checked: &Checked| match checked_state(checked) {
            DomainState::Running if flags.contains(Flags::PAUSED) => {
                let message = format!("{what}: a machine that runs goes on running");
                Err(Stop::Driver(Error::new(
                    ErrorCode::ArgumentUnsupported,
                    ErrorDomain::Esx,
                    message,
                )))
            }
            state if flags.contains(Flags::OFFLINE) && state != DomainState::Shutoff => {
                let message = format!("{what}: it is {state}, and was to be migrated offline");
                Err(Stop::Driver(Error::new(
                    ErrorCode::OperationInvalid,
                    ErrorDomain::Esx,
                    message,
                )))
            }
            _ => Ok(()),
        };
        let operation = MigrateVMTask {
            pool: Some(pool),
            host: Some(host),
            priority: VirtualMachineMovePriority::DefaultPriority,
            state: None,
        };
        let done = self.run_on(&client, &machine, &machine, &operation, &[], allowed).await;
        done.map_err(|stop| stop.into_error(&what))?;
        self.forget(domain);
        Ok(())
    }

    /// libvirt `virDomainMigrateFinish`, asked of the destination: the machine that has come.
    pub(crate) async fn migrate_finish(&self, name: &str, flags: Flags) -> Result<Domain> {
        self.check_writable("virDomainMigrateFinish")?;
        check_flags("virDomainMigrateFinish", flags, KNOWN)?;
        let selector = DomainSelector::Name(name.to_owned());
        Ok(self.find(&selector, Wanted::default()).await?.machine.domain)
    }
}

fn no_vcenter() -> Error {
    let message = "migration needs a vCenter: connect to vpx://, or give the parameter vcenter";
    Error::invalid_arg(ErrorDomain::Esx, message)
}

/// The vCenter's own UUID. The service content that opens a connection is asked for in the oldest dialect, which has none.
async fn instance_uuid(client: &Client) -> Option<String> {
    const PATH: &str = "content.about.instanceUuid";
    let row = client.read(&service_instance(), &[PATH]).await;
    row.inspect_err(|error| tracing::debug!(%error, "the vCenter's UUID is not known"))
        .ok()??
        .get(PATH)
        .ok()?
}

fn service_instance() -> MoRef {
    MoRef::new("ServiceInstance", "ServiceInstance")
}

/// Whether the destination speaks of the vCenter that the source is connected to: by its own UUID if both know it, else by
/// name, else by address.
async fn is_same_vcenter(client: &Client, target: &MigrationUri) -> bool {
    if let Some(theirs) = &target.instance
        && let Some(ours) = instance_uuid(client).await
    {
        return ours.eq_ignore_ascii_case(theirs);
    }
    let host = client.transport().endpoint().host.as_str();
    if host.eq_ignore_ascii_case(&target.vcenter) {
        return true;
    }
    let addresses = |name: &str| {
        let name = name.to_owned();
        async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            found.map(|found| found.map(|address| address.ip()).collect::<Vec<_>>())
        }
    };
    match (addresses(host).await, addresses(&target.vcenter).await) {
        (Ok(ours), Ok(theirs)) => ours.iter().any(|address| theirs.contains(address)),
        _ => false,
    }
}

/// Asks the vCenter whether the machine could move. Every objection is told; warnings are logged. A server that does not
/// know the method judges by the task itself.
async fn validate(
    client: &Client,
    what: &str,
    machine: &MoRef,
    pool: &MoRef,
    host: &MoRef,
) -> Result<()> {
    let call = ValidateMigration {
        vm: vec![machine.clone()],
        state: None,
        test_type: Vec::new(),
        pool: Some(pool.clone()),
        host: Some(host.clone()),
    };
    let events: Vec<Object> = match client.call(&service_instance(), &call).await {
        Ok(events) => events,
        Err(error) if error.is_fault("NotSupported") || error.is_fault("MethodNotFound") => {
            tracing::debug!(%error, "the migration was not validated");
            return Ok(());
        }
        Err(error) => return Err(vi_error(what, error)),
    };
    let (warnings, errors): (Vec<_>, Vec<_>) =
        events.iter().partition(|event| event.type_name.ends_with("WarningEvent"));
    let text = |event: &Object| match event.str("fullFormattedMessage") {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => event.type_name.clone().into_owned(),
    };
    for warning in warnings {
        tracing::warn!("{what}: {}", text(warning));
    }
    if errors.is_empty() {
        return Ok(());
    }
    let all: Vec<_> = errors.into_iter().map(text).collect();
    let message = format!("{what}: {}", all.join("; "));
    Err(Error::new(ErrorCode::OperationFailed, ErrorDomain::Esx, message))
}
