//! What a host refuses whatever the request says: for want of a licence, of a privilege, or because a vCenter owns it.

use esx_vi_api::MoRef;

use super::Model;
use super::fault::Fault;
use super::inventory::Item;
use super::task::Kind;

/// Methods that change something, with the privilege that they need.
#[rustfmt::skip]
const WRITES: &[(&str, &str)] = &[
    ("PowerOnVM_Task", "VirtualMachine.Interact.PowerOn"),
    ("PowerOffVM_Task", "VirtualMachine.Interact.PowerOff"),
    ("SuspendVM_Task", "VirtualMachine.Interact.Suspend"),
    ("ResetVM_Task", "VirtualMachine.Interact.Reset"),
    ("ShutdownGuest", "VirtualMachine.Interact.PowerOff"),
    ("RebootGuest", "VirtualMachine.Interact.Reset"),
    ("StandbyGuest", "VirtualMachine.Interact.Suspend"),
    ("AnswerVM", "VirtualMachine.Interact.AnswerQuestion"),
    ("ReconfigVM_Task", "VirtualMachine.Config.Settings"),
    ("Rename_Task", "VirtualMachine.Config.Rename"),
    ("CreateSnapshot_Task", "VirtualMachine.State.CreateSnapshot"),
    ("RemoveSnapshot_Task", "VirtualMachine.State.RemoveSnapshot"),
    ("RemoveAllSnapshots_Task", "VirtualMachine.State.RemoveSnapshot"),
    ("RevertToSnapshot_Task", "VirtualMachine.State.RevertToSnapshot"),
    ("RevertToCurrentSnapshot_Task", "VirtualMachine.State.RevertToSnapshot"),
    ("RenameSnapshot", "VirtualMachine.State.RenameSnapshot"),
    ("RegisterVM_Task", "VirtualMachine.Inventory.Register"),
    ("UnregisterVM", "VirtualMachine.Inventory.Unregister"),
    ("Destroy_Task", "VirtualMachine.Inventory.Delete"),
    ("MarkAsTemplate", "VirtualMachine.Provisioning.MarkAsTemplate"),
    ("MarkAsVirtualMachine", "VirtualMachine.Provisioning.MarkAsVM"),
    ("MigrateVM_Task", "Resource.HotMigrate"),
    ("RelocateVM_Task", "Resource.ColdMigrate"),
    ("ReconfigureAutostart", "Host.Config.AutoStart"),
    ("AutoStartPowerOn", "Host.Config.AutoStart"),
    ("AutoStartPowerOff", "Host.Config.AutoStart"),
    ("EnterMaintenanceMode_Task", "Host.Config.Maintenance"),
    ("ExitMaintenanceMode_Task", "Host.Config.Maintenance"),
    ("MakeDirectory", "Datastore.FileManagement"),
    ("DeleteDatastoreFile_Task", "Datastore.FileManagement"),
    ("MoveDatastoreFile_Task", "Datastore.FileManagement"),
    ("CopyDatastoreFile_Task", "Datastore.FileManagement"),
    ("CreateVirtualDisk_Task", "Datastore.FileManagement"),
    ("CopyVirtualDisk_Task", "Datastore.FileManagement"),
    ("MoveVirtualDisk_Task", "Datastore.FileManagement"),
    ("DeleteVirtualDisk_Task", "Datastore.FileManagement"),
    ("ZeroFillVirtualDisk_Task", "Datastore.FileManagement"),
    ("EagerZeroVirtualDisk_Task", "Datastore.FileManagement"),
    ("InflateVirtualDisk_Task", "Datastore.FileManagement"),
    ("ExtendVirtualDisk_Task", "Datastore.FileManagement"),
    ("SetVirtualDiskUuid", "Datastore.FileManagement"),
    ("AddVirtualSwitch", "Host.Config.Network"),
    ("UpdateVirtualSwitch", "Host.Config.Network"),
    ("RemoveVirtualSwitch", "Host.Config.Network"),
    ("AddPortGroup", "Host.Config.Network"),
    ("UpdatePortGroup", "Host.Config.Network"),
    ("RemovePortGroup", "Host.Config.Network"),
    ("RescanHba", "Host.Config.Storage"),
    ("RescanAllHba", "Host.Config.Storage"),
];

/// What is refused at the moment.
#[derive(Debug, Default)]
pub(super) struct Restrictions {
    missing_privileges: Vec<String>,
    /// Missing ones that are reported with `NotAuthenticated`, though the session lives.
    unnamed_privileges: Vec<String>,
    /// What methods and their tasks are refused with.
    refused: Vec<(String, Fault)>,
    most_sessions: Option<usize>,
}

impl Model {
    /// Gives the host the free licence, or takes it away: with it everything that changes something is refused with
    /// `RestrictedVersion`.
    pub fn set_free_license(&mut self, free: bool) {
        self.inventory.free_license = free;
        self.changed(true);
    }

    /// Takes serial ports on the network out of the host's licence, or puts them in: without it they are refused with
    /// `RestrictedVersion`.
    pub fn set_serial_uri_license(&mut self, licensed: bool) {
        self.inventory.serial_uri_licensed = licensed;
        self.changed(true);
    }

    /// Takes a privilege, for example `VirtualMachine.Interact.PowerOn`, away from everybody: methods that need it are
    /// refused with `NoPermission`.
    pub fn deny_privilege(&mut self, privilege: &str) {
        self.restrictions.missing_privileges.push(privilege.to_owned());
    }

    /// As [`deny_privilege`](Self::deny_privilege), but methods that need it are refused with `NotAuthenticated` though the
    /// session lives, as some hosts do.
    pub fn deny_privilege_as_not_authenticated(&mut self, privilege: &str) {
        self.restrictions.unnamed_privileges.push(privilege.to_owned());
    }

    /// Refuses a method with this fault from now on; a method that starts a task starts it, and the task ends so. `None`
    /// allows it again.
    pub fn refuse_method(&mut self, method: &str, fault: Option<Fault>) {
        self.restrictions.refused.retain(|(name, _)| name != method);
        self.restrictions.refused.extend(fault.map(|fault| (method.to_owned(), fault)));
    }

    /// Limits the number of open sessions: a login beyond it is answered with HTTP status 503. `None` lifts the limit.
    pub fn set_session_limit(&mut self, most: Option<usize>) {
        self.restrictions.most_sessions = most;
    }

    /// The limit, if it is reached.
    pub(crate) fn session_limit_reached(&self) -> Option<usize> {
        self.restrictions.most_sessions.filter(|most| self.session_count() >= *most)
    }

    /// What a method is refused with, if it is.
    pub(super) fn refusal_of(&self, method: &str) -> Option<Fault> {
        let refused = &self.restrictions.refused;
        refused.iter().find(|(name, _)| name == method).map(|(_, fault)| fault.clone())
    }

    /// Puts a host under a vCenter's management, or takes it out: then everything that changes something and is not sent
    /// to that vCenter is refused with `HostAccessRestrictedToManagementServer`. Returns whether there is such a host.
    pub fn set_managed_by(&mut self, host: &MoRef, vcenter: Option<&str>) -> bool {
        let found = match self.inventory.get_mut(host) {
            Some(Item::Host(host)) => {
                host.manager_address = vcenter.map(str::to_owned);
                true
            }
            _ => false,
        };
        self.changed(found)
    }

    /// Gives a host another address of its management interface, as `FindByIp` finds it. Returns whether there is such a host.
    pub fn set_host_address(&mut self, host: &MoRef, address: &str) -> bool {
        let found = match self.inventory.get_mut(host) {
            Some(Item::Host(host)) => {
                address.clone_into(&mut host.address);
                true
            }
            _ => false,
        };
        self.changed(found)
    }

    /// The references of all hosts.
    pub fn hosts(&self) -> Vec<MoRef> {
        self.inventory.hosts_with(|_| true).into_iter().cloned().collect()
    }

    /// Whether a method may be called at all.
    pub(super) fn check_allowed(&self, method: &str, object: &MoRef) -> Result<(), Fault> {
        if let Some(fault) = self.refusal_of(method)
            && Kind::of(method).is_none()
        {
            return Err(fault);
        }
        let Some((_, privilege)) = WRITES.iter().find(|(name, _)| *name == method) else {
            return Ok(());
        };
        if self.inventory.free_license {
            let message = "Current license or ESXi version prohibits execution of the requested \
                           operation.";
            return Err(Fault::new("RestrictedVersion", message));
        }
        if self.restrictions.missing_privileges.iter().any(|missing| missing == privilege) {
            return Err(Fault::no_privilege(object, privilege));
        }
        if self.restrictions.unnamed_privileges.iter().any(|missing| missing == privilege) {
            return Err(Fault::not_authenticated(object).with("privilegeId", *privilege));
        }
        if self.inventory.preset == super::Preset::Esx
            && let Some(server) = self.managing_server()
        {
            let message = format!(
                "The operation is not allowed: the host is managed by the vCenter Server at {server}."
            );
            return Err(Fault::new("HostAccessRestrictedToManagementServer", message)
                .with("managementServer", server.as_str()));
        }
        Ok(())
    }

    fn managing_server(&self) -> Option<String> {
        let host = self.hosts().into_iter().next()?;
        self.inventory.host(&host)?.manager_address.clone()
    }
}
