//! Devices: attached, detached and changed by `ReconfigVM_Task`. Beyond libvirt's ESX driver.
//!
//! A VMware machine has one configuration, which holds now and at the next start. So `LIVE`, `CONFIG` and
//! both mean the same for a machine that is off or runs, but for two wishes that cannot be met: `LIVE` of a
//! machine that is off, and `CONFIG` alone of one that runs, since the guest would lose a disk at once that
//! it should have lost at its next start. What can be plugged into a running machine is the host's word.
//!
//! One filter looks at the machine and watches the task, so that an operation takes six requests.

mod adapter;
mod disk;
mod hardware;
mod list;
mod network;
mod port;

use esx_escape::DatastorePath;
use esx_task::{Policy, Question};
use esx_vi_api::data::{VirtualDeviceConfigSpec, VirtualMachineConfigSpec};
use esx_vi_api::enums::{VirtualDeviceConfigSpecFileOperation, VirtualDeviceConfigSpecOperation};
use esx_vi_api::methods::ReconfigVMTask;
use esx_vi_api::{Method as _, Object, Value};
use esx_vi_client::Checked;
use virt_api::{
    Domain, DomainDeviceModifyFlags as Flags, DomainState, Error, ErrorCode, ErrorDomain, Result,
    check_flags,
};
use virt_xml::domain::Device;

pub(crate) use self::hardware::{DEVICES, DriveAt, DriveKind, Hardware, VERSION};
pub(crate) use self::list::{DeviceRow, FILES, drive_source};
use super::operate::{POWER, Stop, checked_state, require_domain};
use super::xml::conversion_error;
use crate::connection::Session;

/// The key of the first new device of a change. New ones are negative and differ; the host gives others.
const NEW_KEY: i32 = -1;
/// The key of a controller that is added for a new device.
const NEW_CONTROLLER_KEY: i32 = -2;

/// What is done to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Attach,
    Detach,
    Update,
}

impl Action {
    const fn function(self) -> &'static str {
        match self {
            Self::Attach => "virDomainAttachDeviceFlags",
            Self::Detach => "virDomainDetachDeviceFlags",
            Self::Update => "virDomainUpdateDeviceFlags",
        }
    }

    /// What is done, for `cannot … the disk of domain`.
    const fn verb(self) -> &'static str {
        match self {
            Self::Attach => "attach a",
            Self::Detach => "detach the",
            Self::Update => "change the",
        }
    }
}

/// What a document asks for, with everything looked up that the machine itself does not tell.
enum Wanted {
    Drive(disk::Drive),
    Adapter(adapter::Adapter),
    Port(port::Port),
}

/// One change of a device.
struct Change {
    operation: VirtualDeviceConfigSpecOperation,
    file_operation: Option<VirtualDeviceConfigSpecFileOperation>,
    device: Object,
}

impl Change {
    const fn new(operation: VirtualDeviceConfigSpecOperation, device: Object) -> Self {
        Self { operation, file_operation: None, device }
    }

    const fn add(device: Object) -> Self {
        Self::new(VirtualDeviceConfigSpecOperation::Add, device)
    }

    const fn edit(device: Object) -> Self {
        Self::new(VirtualDeviceConfigSpecOperation::Edit, device)
    }

    const fn remove(device: Object) -> Self {
        Self::new(VirtualDeviceConfigSpecOperation::Remove, device)
    }

    fn into_spec(self) -> VirtualDeviceConfigSpec {
        VirtualDeviceConfigSpec {
            operation: Some(self.operation),
            file_operation: self.file_operation,
            device: self.device.into(),
            ..VirtualDeviceConfigSpec::default()
        }
    }
}

impl Session {
    /// libvirt `virDomainAttachDeviceFlags`.
    pub(crate) async fn attach_device(
        &self,
        domain: &Domain,
        xml: &str,
        flags: Flags,
    ) -> Result<()> {
        self.change_device(domain, xml, flags, Action::Attach).await
    }

    /// libvirt `virDomainDetachDeviceFlags`; files stay.
    pub(crate) async fn detach_device(
        &self,
        domain: &Domain,
        xml: &str,
        flags: Flags,
    ) -> Result<()> {
        self.change_device(domain, xml, flags, Action::Detach).await
    }

    /// libvirt `virDomainUpdateDeviceFlags`. A guest that has locked its drive makes the host ask whether to take
    /// the medium out all the same: `FORCE` says yes to that.
    pub(crate) async fn update_device(
        &self,
        domain: &Domain,
        xml: &str,
        flags: Flags,
    ) -> Result<()> {
        self.change_device(domain, xml, flags, Action::Update).await
    }

    async fn change_device(
        &self,
        domain: &Domain,
        xml: &str,
        flags: Flags,
        action: Action,
    ) -> Result<()> {
        self.check_writable(action.function())?;
        let force = if action == Action::Update { Flags::FORCE } else { Flags::empty() };
        check_flags(action.function(), flags, Flags::LIVE | Flags::CONFIG | force)?;
        let device = Device::parse(xml).map_err(|e| conversion_error(e.into()))?;
        let noun = noun(&device);
        let what = format!("cannot {} {noun} of domain {:?}", action.verb(), domain.name);
        let wanted = self.resolved(device, action).await?;
        let make = |checked: &Checked| {
            let state = checked_state(checked);
            check_impact(domain, state, flags)?;
            let hardware = Hardware::new(checked.get(DEVICES), checked.get(VERSION));
            let running = state == DomainState::Running;
            let changes = match &wanted {
                Wanted::Drive(drive) => drive.changes(&hardware, action, running),
                Wanted::Adapter(adapter) => adapter.changes(&hardware, action, running),
                Wanted::Port(port) => port.changes(&hardware, action, running),
            }?;
            let spec = VirtualMachineConfigSpec {
                device_change: changes.into_iter().map(|c| c.into_spec().into()).collect(),
                ..VirtualMachineConfigSpec::default()
            };
            Ok(ReconfigVMTask { spec })
        };
        let paths = [POWER, self.uuid_path(), DEVICES, VERSION];
        let mut machine = self.machine_of(domain).await?;
        let error = loop {
            let mut options = self.task_options(&machine, ReconfigVMTask::NAME);
            if flags.contains(Flags::FORCE) {
                options.policy = Some(Policy::new(overrides_lock));
            }
            let mut looked = false;
            let make = |checked: &Checked| {
                require_domain(domain, checked, self.uuid_path())?;
                looked = true;
                make(checked).map_err(Stop::Driver)
            };
            let result = self
                .client
                .run_made_task::<ReconfigVMTask, _, Stop>(
                    &machine, &machine, &paths, make, &options,
                )
                .await;
            let Err(stop) = result else { return Ok(()) };
            match self.moved(domain, &machine, looked, &stop).await? {
                Some(found) => machine = found,
                None => break stop.into_error(&what),
            }
        };
        match &wanted {
            Wanted::Port(port) if action != Action::Detach && port.is_uri() => {
                Err(self.explain_serial_refusal(&what, error).await)
            }
            _ => Err(error),
        }
    }

    /// Looks up names that a document uses.
    async fn resolved(&self, device: Device, action: Action) -> Result<Wanted> {
        Ok(match device {
            Device::Disk(disk) => {
                let source = disk.source.as_ref().and_then(|source| source.file.as_deref());
                let file = match source {
                    Some(file) => Some(self.datastore_path(file).await?),
                    None => None,
                };
                Wanted::Drive(disk::Drive::new(*disk, file)?)
            }
            Device::Interface(interface) => {
                let backing = match action {
                    Action::Detach => None,
                    // A change that names no network leaves the adapter where it is.
                    Action::Update if interface.source.is_none() => None,
                    _ => Some(self.network_backing(&interface).await?),
                };
                Wanted::Adapter(adapter::Adapter { interface: *interface, backing })
            }
            Device::Serial(port) => Wanted::Port(self.port(port, port::Kind::Serial).await?),
            Device::Parallel(port) => Wanted::Port(self.port(port, port::Kind::Parallel).await?),
            other => {
                let message = format!(
                    "a {} cannot be attached, detached or changed: disks, interfaces, serial and parallel ports can",
                    noun(&other)
                );
                return Err(Error::new(ErrorCode::ConfigUnsupported, ErrorDomain::Esx, message));
            }
        })
    }

    async fn port(
        &self,
        port: virt_xml::domain::CharDevice,
        kind: port::Kind,
    ) -> Result<port::Port> {
        let path = port.source.as_ref().and_then(|source| source.path.as_deref());
        let file = match path.filter(|_| port.kind == "file") {
            Some(path) => Some(self.datastore_path(path).await?),
            None => None,
        };
        port::Port::new(port, kind, file, self.client.api_version())
    }

    /// A file's name as the API wants it. Absolute names of libvirt's kind are looked up among the mounts.
    pub(super) async fn datastore_path(&self, name: &str) -> Result<DatastorePath> {
        let wrong = |reason: &str| {
            let message = format!("the file {name:?} is in no datastore: {reason}");
            Error::invalid_arg(ErrorDomain::Esx, message)
        };
        if name.starts_with('[') {
            return name
                .parse()
                .map_err(|e| wrong("it should be \"[datastore] path\"").with_source(e));
        }
        if !name.starts_with('/') {
            return Err(wrong("it should be \"[datastore] path\""));
        }
        for datastore in self.datastores().await? {
            // Hosts know a datastore by its identifier and by its name.
            let by_name = format!("/vmfs/volumes/{}", datastore.name);
            for mount in [datastore.mount_path.trim_end_matches('/'), &by_name] {
                if let Some(path) = name.strip_prefix(mount).and_then(|rest| rest.strip_prefix('/'))
                {
                    return DatastorePath::new(&datastore.name, path)
                        .map_err(|e| wrong("its datastore has an odd name").with_source(e));
                }
            }
        }
        Err(wrong("the host mounts none there"))
    }
}

fn noun(device: &Device) -> String {
    match device {
        Device::Disk(disk) if disk.device == "cdrom" => "CD-ROM drive".to_owned(),
        Device::Disk(disk) if disk.device == "floppy" => "floppy drive".to_owned(),
        Device::Disk(_) => "disk".to_owned(),
        Device::Interface(_) => "network adapter".to_owned(),
        Device::Serial(_) => "serial port".to_owned(),
        Device::Parallel(_) => "parallel port".to_owned(),
        Device::Controller(_) => "controller".to_owned(),
        Device::Filesystem(_) => "filesystem".to_owned(),
        Device::Other(name) => format!("device <{name}>"),
        _ => "device".to_owned(),
    }
}

/// What `FORCE` answers: yes to the question about a lock, and to no other.
fn overrides_lock(question: &Question) -> Option<String> {
    let yes = question.choices.iter().find(|choice| choice.label.eq_ignore_ascii_case("yes"))?;
    question.text.to_ascii_lowercase().contains("lock").then(|| yes.key.clone())
}

/// Whether the machine's state lets the flags be obeyed.
fn check_impact(domain: &Domain, state: DomainState, flags: Flags) -> Result<()> {
    let active = state != DomainState::Shutoff;
    if flags.contains(Flags::LIVE) && !active {
        let message = format!("domain {:?} is not running", domain.name);
        return Err(Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message));
    }
    if flags.contains(Flags::CONFIG) && !flags.contains(Flags::LIVE) && active {
        let message = format!(
            "domain {:?} is {state}, and a VMware machine has one configuration: a change holds at once, ask for it with LIVE",
            domain.name
        );
        return Err(Error::new(ErrorCode::OperationUnsupported, ErrorDomain::Esx, message));
    }
    Ok(())
}

/// How a removable or networked device is connected.
fn connectable(connected: bool, running: bool) -> Object {
    Object::new("VirtualDeviceConnectInfo")
        .with("startConnected", connected)
        .with("allowGuestControl", true)
        .with("connected", connected && running)
}

/// The device as it is, connected or not.
fn reconnected(device: &Object, connected: bool, running: bool) -> Object {
    let mut info = match device.get("connectable").and_then(Value::as_object) {
        Some(info) => info.clone(),
        None => connectable(connected, running),
    };
    info.set("startConnected", connected);
    info.set("connected", connected && running);
    // The host's word on how it went, not ours.
    info.remove("status");
    let mut device = device.clone();
    device.set("connectable", info);
    device
}

fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::ConfigUnsupported, ErrorDomain::Esx, message)
}

fn impossible(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::OperationUnsupported, ErrorDomain::Esx, message)
}

fn no_device(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::DeviceMissing, ErrorDomain::Esx, message)
}

fn several(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::OperationFailed, ErrorDomain::Esx, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_fit_the_state_or_are_refused() {
        let domain = Domain { name: "a".to_owned(), uuid: uuid::Uuid::nil(), id: None };
        let code = |state, flags| check_impact(&domain, state, flags).err().map(|e| e.code);
        let both = Flags::LIVE | Flags::CONFIG;
        for (state, flags, expected) in [
            (DomainState::Shutoff, Flags::empty(), None),
            (DomainState::Shutoff, Flags::CONFIG, None),
            (DomainState::Shutoff, Flags::LIVE, Some(ErrorCode::OperationInvalid)),
            (DomainState::Shutoff, both, Some(ErrorCode::OperationInvalid)),
            (DomainState::Running, Flags::empty(), None),
            (DomainState::Running, Flags::LIVE, None),
            (DomainState::Running, both, None),
            (DomainState::Running, Flags::CONFIG, Some(ErrorCode::OperationUnsupported)),
        ] {
            assert_eq!(code(state, flags), expected, "{state} {flags:?}");
        }
    }
}
