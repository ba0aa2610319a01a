//! Life cycle: start, stop, pause, resume, reset, shut down, reboot, undefine (spec `domain.md` 6 and 12.2).

use esx_vi_api::methods::{
    PowerOffVMTask, PowerOnVMTask, RebootGuest, ResetVMTask, ShutdownGuest, SuspendVMTask,
    UnregisterVM,
};
use virt_api::{
    Domain, DomainCreateFlags, DomainDestroyFlags, DomainRebootFlags, DomainShutdownFlags,
    DomainState, DomainUndefineFlags, NoFlags, Result, check_flags,
};

use super::id_of;
use super::operate::{checked_state, require_state};
use crate::connection::Session;
use crate::error::vi_error;

impl Session {
    /// libvirt `virDomainSuspend`.
    pub(crate) async fn suspend(&self, domain: &Domain) -> Result<()> {
        self.check_writable("virDomainSuspend")?;
        let allowed = |c: &_| require_state(domain, checked_state(c), &[DomainState::Running]);
        self.run(
            domain,
            &format!("cannot suspend domain {:?}", domain.name),
            &SuspendVMTask {},
            &[],
            allowed,
        )
        .await
    }

    /// libvirt `virDomainResume`.
    pub(crate) async fn resume(&self, domain: &Domain) -> Result<()> {
        self.check_writable("virDomainResume")?;
        let allowed = |c: &_| require_state(domain, checked_state(c), &[DomainState::Paused]);
        let what = format!("cannot resume domain {:?}", domain.name);
        self.run(domain, &what, &PowerOnVMTask { host: None }, &[], allowed).await
    }

    /// libvirt `virDomainCreateWithFlags`. VMware has no managed save to discard, so `FORCE_BOOT` changes
    /// nothing, and `BYPASS_CACHE` neither.
    pub(crate) async fn create(&self, domain: &Domain, flags: DomainCreateFlags) -> Result<Domain> {
        self.check_writable("virDomainCreateWithFlags")?;
        let harmless = DomainCreateFlags::BYPASS_CACHE | DomainCreateFlags::FORCE_BOOT;
        check_flags("virDomainCreateWithFlags", flags, harmless)?;
        let allowed = |c: &_| require_state(domain, checked_state(c), &[DomainState::Shutoff]);
        let what = format!("cannot start domain {:?}", domain.name);
        let operation = PowerOnVMTask { host: None };
        let machine = self.run_somewhere(domain, &what, &operation, &[], allowed).await?;
        Ok(Domain { id: id_of(&machine), ..domain.clone() })
    }

    /// libvirt `virDomainDestroyFlags`, also for a suspended machine: whether that works is the host's word. `GRACEFUL` is what
    /// happens anyway: the host ends the machine in order, and does not kill its process, which another method is for.
    pub(crate) async fn destroy(&self, domain: &Domain, flags: DomainDestroyFlags) -> Result<()> {
        self.check_writable("virDomainDestroyFlags")?;
        check_flags("virDomainDestroyFlags", flags, DomainDestroyFlags::GRACEFUL)?;
        let allowed = |c: &_| {
            require_state(domain, checked_state(c), &[DomainState::Running, DomainState::Paused])
        };
        let what = format!("cannot destroy domain {:?}", domain.name);
        let operation = PowerOffVMTask {};
        // Where hard power-off and unregistering are sent: to the vCenter if the connection has one, since it would otherwise not
        // learn of them in time (spec `connection.md` 3.3).
        match self.vcenter_machine(domain).await? {
            None => self.run(domain, &what, &operation, &[], allowed).await,
            Some((client, machine)) => {
                let done = self.run_on(&client, &machine, &machine, &operation, &[], allowed).await;
                done.map_err(|stop| stop.into_error(&what))
            }
        }
    }

    /// libvirt `virDomainReset`; its ESX driver has none.
    pub(crate) async fn reset(&self, domain: &Domain, flags: NoFlags) -> Result<()> {
        self.check_writable("virDomainReset")?;
        check_flags("virDomainReset", flags, NoFlags::empty())?;
        let allowed = |c: &_| require_state(domain, checked_state(c), &[DomainState::Running]);
        self.run(
            domain,
            &format!("cannot reset domain {:?}", domain.name),
            &ResetVMTask {},
            &[],
            allowed,
        )
        .await
    }

    /// libvirt `virDomainShutdownFlags`: asks the guest by way of VMware Tools, so `GUEST_AGENT` fits.
    pub(crate) async fn shutdown(&self, domain: &Domain, flags: DomainShutdownFlags) -> Result<()> {
        self.check_writable("virDomainShutdownFlags")?;
        check_flags("virDomainShutdownFlags", flags, DomainShutdownFlags::GUEST_AGENT)?;
        let machine = self.sure_machine_of(domain).await?;
        let failed = |e| vi_error(&format!("cannot shut down domain {:?}", domain.name), e);
        self.client.call(&machine, &ShutdownGuest {}).await.map_err(failed)
    }

    /// libvirt `virDomainReboot`, likewise.
    pub(crate) async fn reboot(&self, domain: &Domain, flags: DomainRebootFlags) -> Result<()> {
        self.check_writable("virDomainReboot")?;
        check_flags("virDomainReboot", flags, DomainRebootFlags::GUEST_AGENT)?;
        let machine = self.sure_machine_of(domain).await?;
        let failed = |e| vi_error(&format!("cannot reboot domain {:?}", domain.name), e);
        self.client.call(&machine, &RebootGuest {}).await.map_err(failed)
    }

    /// libvirt `virDomainUndefineFlags`: files stay on the datastore. Metadata of snapshots or checkpoints
    /// and managed save images do not exist, so nothing keeps their flags from being obeyed.
    pub(crate) async fn undefine(&self, domain: &Domain, flags: DomainUndefineFlags) -> Result<()> {
        self.check_writable("virDomainUndefineFlags")?;
        let trivial = DomainUndefineFlags::SNAPSHOTS_METADATA
            | DomainUndefineFlags::CHECKPOINTS_METADATA
            | DomainUndefineFlags::MANAGED_SAVE
            | DomainUndefineFlags::KEEP_NVRAM
            | DomainUndefineFlags::KEEP_TPM;
        check_flags("virDomainUndefineFlags", flags, trivial)?;
        let (client, machine) = match self.vcenter_machine(domain).await? {
            Some(found) => found,
            None => (self.client.clone(), self.sure_machine_of(domain).await?),
        };
        // `UnregisterVM` is no task; the host itself refuses a machine that runs.
        let failed = |e| vi_error(&format!("cannot undefine domain {:?}", domain.name), e);
        client.call(&machine, &UnregisterVM {}).await.map_err(failed)?;
        self.forget(domain);
        Ok(())
    }
}
