//! The only place where our errors become libvirt's codes.

use esx_task::Reason;
use esx_vi_api::{DecodeError, schema};
use esx_vi_client::{
    Error as ViError, Fault, LeaseError, TlsFailure, TransferError, TransportError,
};
use virt_api::{Error, ErrorCode, ErrorDomain};

/// An error of the VI API while doing `what`, as a libvirt error with a fitting code.
///
/// libvirt itself reports nearly all of them as `VIR_ERR_INTERNAL_ERROR`; the codes here are those
/// that spec `domain.md` 19 no. 50 asks for.
pub(crate) fn vi_error(what: &str, error: ViError) -> Error {
    let code = match &error {
        // The session has ended again and again meanwhile.
        error if error.is_lost_collector() => ErrorCode::OperationFailed,
        ViError::Fault { fault, .. } | ViError::TaskFailed { fault, .. } => fault_code(fault),
        ViError::Refused { .. } => ErrorCode::OperationInvalid,
        ViError::TaskGivenUp { reason, .. } => match reason {
            Reason::TimedOut => ErrorCode::OperationTimeout,
            Reason::Caller => ErrorCode::OperationAborted,
            Reason::Question(_) | Reason::AnswerRefused(_) | Reason::TooManyQuestions => {
                ErrorCode::OperationFailed
            }
        },
        ViError::TaskVanished { .. } => ErrorCode::OperationFailed,
        ViError::Decode { .. } => ErrorCode::InternalError,
        ViError::NotVi { .. } => ErrorCode::NoConnect,
        ViError::TooOld { .. } | ViError::NoService(_) => ErrorCode::OperationUnsupported,
        ViError::Transport(transport) => transport_code(transport),
        ViError::Transfer(transfer) => transfer_code(transfer),
        ViError::Lease(lease) => lease_code(lease),
    };
    let advice = match &error {
        ViError::Transport(transport) => transport_advice(transport),
        ViError::NotVi { .. } => Some(
            "it may be a proxy, another program, or a host whose management service does not run"
                .to_owned(),
        ),
        _ => error.fault().and_then(advice),
    };
    let message = match advice {
        Some(advice) => format!("{what}: {advice}"),
        None => what.to_owned(),
    };
    Error::new(code, ErrorDomain::Esx, message).with_source(error)
}

/// The same of something about storage: what no longer exists is a pool then, not a domain.
pub(crate) fn storage_error(what: &str, error: ViError) -> Error {
    let mut error = vi_error(what, error);
    if error.code == ErrorCode::NoDomain {
        error.code = ErrorCode::NoStoragePool;
    }
    error
}

/// The same of something about networks.
pub(crate) fn network_error(what: &str, error: ViError) -> Error {
    const NAMES: &[(&str, ErrorCode)] = &[
        ("AlreadyExists", ErrorCode::NetworkExist),
        ("ManagedObjectNotFound", ErrorCode::NoNetwork),
        ("NotFound", ErrorCode::NoNetwork),
        ("ResourceInUse", ErrorCode::ResourceBusy),
    ];
    let own = error.fault().and_then(|fault| NAMES.iter().find(|(name, _)| fault.name == *name));
    let own = own.map(|(_, code)| *code);
    let mut error = vi_error(what, error);
    error.code = own.unwrap_or(error.code);
    error
}

/// A document that cannot be used: libvirt's numbers are those of its kind.
pub(crate) fn document_error(what: &str, error: virt_xml::Error) -> Error {
    use virt_xml::ErrorKind as Kind;
    let code = match error.kind {
        Kind::NotWellFormed | Kind::Contradiction => ErrorCode::XmlDetail,
        Kind::Element | Kind::Attribute => ErrorCode::XmlError,
        Kind::Value => ErrorCode::InternalError,
        Kind::Argument | Kind::Characters => ErrorCode::InvalidArg,
        Kind::Overflow => ErrorCode::Overflow,
        Kind::Unsupported | Kind::CpuMode => ErrorCode::ConfigUnsupported,
        Kind::NoName => ErrorCode::NoName,
        Kind::NoSource => ErrorCode::NoSource,
        Kind::NoTarget => ErrorCode::NoTarget,
    };
    Error::new(code, ErrorDomain::Network, what).with_source(error)
}

/// A property that is not what the schema says.
pub(crate) fn decode_error(error: DecodeError) -> Error {
    Error::internal(ErrorDomain::Esx, "the host sent something unexpected").with_source(error)
}

fn transport_code(error: &TransportError) -> ErrorCode {
    match error {
        TransportError::Setup { .. } => ErrorCode::InvalidArg,
        TransportError::Resolve { .. } => ErrorCode::UnknownHost,
        TransportError::Refused { .. }
        | TransportError::Connect { .. }
        | TransportError::Closed { .. }
        | TransportError::Proxy { .. } => ErrorCode::NoConnect,
        TransportError::Timeout { .. } => ErrorCode::OperationTimeout,
        TransportError::Tls { .. } => ErrorCode::GnutlsError,
        TransportError::Status { .. } => ErrorCode::HttpError,
        TransportError::Redirect { .. }
        | TransportError::BadContent { .. }
        | TransportError::TooLarge { .. } => ErrorCode::InternalError,
        TransportError::Other { .. } => ErrorCode::InternalError,
    }
}

fn transfer_code(error: &TransferError) -> ErrorCode {
    match error {
        TransferError::NotFound { .. } => ErrorCode::NoStorageVol,
        TransferError::Exists { .. } => ErrorCode::StorageVolExist,
        TransferError::BeyondEnd { .. } | TransferError::WrongLength { .. } => {
            ErrorCode::InvalidArg
        }
        TransferError::Elsewhere { .. } => ErrorCode::OperationUnsupported,
        TransferError::WrongRange { .. } | TransferError::UnknownSize { .. } => {
            ErrorCode::HttpError
        }
        TransferError::Unreadable { .. }
        | TransferError::NotTaken { .. }
        | TransferError::Changed { .. }
        | TransferError::LeftBehind { .. } => ErrorCode::OperationFailed,
    }
}

fn lease_code(error: &LeaseError) -> ErrorCode {
    match error {
        LeaseError::NotReady { .. } => ErrorCode::OperationTimeout,
        LeaseError::Lost { .. } | LeaseError::Different { .. } => ErrorCode::OperationFailed,
        LeaseError::BadUrl { .. } => ErrorCode::InternalError,
        LeaseError::Broken { source, .. } => transport_code(source),
        LeaseError::NoDevice(_) => ErrorCode::InvalidArg,
    }
}

/// Faults that code acts on, most special first: a fault counts as the first that it derives from.
const FAULTS: &[(&str, ErrorCode)] = &[
    ("InvalidLogin", ErrorCode::AuthFailed),
    ("NoPermission", ErrorCode::OperationDenied),
    // After a look at the session: it lives, so what lacks is a privilege; or it was closed by its owner.
    ("NotAuthenticated", ErrorCode::OperationDenied),
    ("RestrictedVersion", ErrorCode::OperationDenied),
    ("RestrictedByAdministrator", ErrorCode::OperationDenied),
    ("HostAccessRestrictedToManagementServer", ErrorCode::OperationDenied),
    ("ToolsUnavailable", ErrorCode::AgentUnresponsive),
    ("ManagedObjectNotFound", ErrorCode::NoDomain),
    ("FileNotFound", ErrorCode::NoStorageVol),
    ("FileAlreadyExists", ErrorCode::StorageVolExist),
    ("InaccessibleDatastore", ErrorCode::OperationInvalid),
    ("InvalidDatastore", ErrorCode::NoStoragePool),
    ("NoDiskSpace", ErrorCode::OperationFailed),
    ("FileLocked", ErrorCode::ResourceBusy),
    ("DuplicateName", ErrorCode::DomExist),
    ("AlreadyExists", ErrorCode::DomExist),
    ("ConcurrentAccess", ErrorCode::OperationInvalid),
    ("CpuHotPlugNotSupported", ErrorCode::OperationUnsupported),
    ("MemoryHotPlugNotSupported", ErrorCode::OperationUnsupported),
    ("DeviceHotPlugNotSupported", ErrorCode::OperationUnsupported),
    ("DeviceControllerNotSupported", ErrorCode::ConfigUnsupported),
    ("DeviceNotFound", ErrorCode::DeviceMissing),
    ("VmConfigFault", ErrorCode::ConfigUnsupported),
    ("NotEnoughLicenses", ErrorCode::OperationDenied),
    ("LicenseRestricted", ErrorCode::OperationDenied),
    ("VAppConfigFault", ErrorCode::ConfigUnsupported),
    ("InsufficientResourcesFault", ErrorCode::OperationFailed),
    ("SnapshotFault", ErrorCode::OperationFailed),
    ("MigrationFault", ErrorCode::OperationFailed),
    ("FileFault", ErrorCode::OperationFailed),
    ("HostConfigFault", ErrorCode::OperationFailed),
    ("HostCommunication", ErrorCode::OperationFailed),
    ("ResourceInUse", ErrorCode::ResourceBusy),
    ("TaskInProgress", ErrorCode::OperationInvalid),
    ("InvalidState", ErrorCode::OperationInvalid),
    ("DisallowedOperationOnFailoverHost", ErrorCode::OperationInvalid),
    ("Timedout", ErrorCode::OperationTimeout),
    ("RequestCanceled", ErrorCode::OperationAborted),
    ("InvalidArgument", ErrorCode::InvalidArg),
    ("InvalidName", ErrorCode::InvalidArg),
    ("NotSupported", ErrorCode::OperationUnsupported),
    ("NotImplemented", ErrorCode::OperationUnsupported),
    ("MethodNotFound", ErrorCode::OperationUnsupported),
];

fn fault_code(fault: &Fault) -> ErrorCode {
    let found = FAULTS
        .iter()
        .find(|(name, _)| fault.name == *name || schema::is_subtype(&fault.name, name));
    found.map_or(ErrorCode::InternalError, |(_, code)| *code)
}

/// One plain sentence on what to do, for faults whose text does not say it.
fn advice(fault: &Fault) -> Option<String> {
    let member = |name| fault.detail.as_ref().and_then(|detail| detail.str(name)).map(plain);
    let is = |name: &str| fault.name == name || schema::is_subtype(&fault.name, name);
    let said = match fault.name.as_str() {
        "InvalidLogin" => "user name or password is wrong".to_owned(),
        "RestrictedVersion" => {
            "the host's licence does not allow changes through the API (free ESXi): assign a licence to the host, or \
             make the change in its own web page"
                .to_owned()
        }
        "HostAccessRestrictedToManagementServer" => match member("managementServer") {
            Some(server) => format!("the host is managed by the vCenter {server}, connect to that with vpx:// instead"),
            None => "the host is managed by a vCenter, connect to that with vpx:// instead".to_owned(),
        },
        "NoPermission" | "NotAuthenticated" => match member("privilegeId") {
            Some(privilege) if fault.name == "NoPermission" => {
                format!("the user lacks the privilege {privilege}, have a role with it assigned")
            }
            Some(privilege) => format!(
                "the host does not take the session for it: the connection has been closed, or the user lacks the privilege {privilege}"
            ),
            None => "the user lacks a privilege for it".to_owned(),
        },
        "FileLocked" => match member("file") {
            Some(file) => format!(
                "the file {file} is in use by a running machine, another host or a backup, try again when that has ended"
            ),
            None => "a file of it is in use by a running machine, another host or a backup, try again when that has ended".to_owned(),
        },
        "NoDiskSpace" | "InsufficientStorageSpace" => match member("datastore") {
            Some(datastore) => format!("the datastore {datastore} is full, free some space or use another"),
            None => "the datastore is full, free some space or use another".to_owned(),
        },
        "InvalidState" => {
            "the state of the machine or its host does not allow it (is the host in maintenance mode, or disconnected?)".to_owned()
        }
        _ if is("HostNotConnected") || is("HostNotReachable") => {
            "the host is not connected to its vCenter, reconnect it there".to_owned()
        }
        _ if is("LicenseServerUnavailable") || is("NotEnoughLicenses") => {
            "the licence does not suffice, see the host's licensing page".to_owned()
        }
        _ => return None,
    };
    Some(said)
}

/// A name from the host on one line.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

/// One plain sentence on what to do about a connection that does not come about.
fn transport_advice(error: &TransportError) -> Option<String> {
    match error {
        TransportError::Tls { endpoint, reason: TlsFailure::Untrusted { .. } } => Some(format!(
            "its certificate is not trusted; if the thumbprint is the one that the host's console shows, \
             'virtesx pin {endpoint}' trusts it from now on"
        )),
        TransportError::Tls { endpoint, reason: TlsFailure::ThumbprintMismatch { .. } } => Some(format!(
            "its certificate is not the one that was pinned: it has been renewed, or somebody is in between; after \
             comparing with the host's console, 'virtesx pin {endpoint}' pins the new one"
        )),
        TransportError::Status { status: 503, .. } => Some(
            "the host is too busy, is just starting, or has too many sessions; wait, or log out other clients".to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use esx_vi_api::MoRef;

    use super::*;

    fn fault(name: &str) -> Error {
        let fault = Fault { name: name.to_owned(), message: "text".to_owned(), detail: None };
        let target = MoRef::new("VirtualMachine", "1");
        vi_error("cannot do it", ViError::Fault { method: "M", target, fault: Box::new(fault) })
    }

    #[test]
    fn faults_have_fitting_codes() {
        for (name, code) in [
            ("InvalidLogin", 45),
            ("NoPermission", 29),
            ("InvalidPowerState", 55),
            ("TaskInProgress", 55),
            ("ToolsUnavailable", 86),
            ("FileAlreadyExists", 90),
            ("DuplicateName", 28),
            ("InvalidDeviceSpec", 67),
            ("MissingController", 67),
            ("TooManyDevices", 67),
            ("InvalidDeviceBacking", 67),
            ("DeviceHotPlugNotSupported", 84),
            ("GenericVmConfigFault", 67),
            ("HostNotConnected", 9),
            ("SystemError", 1),
            ("SomethingOfVersion99", 1),
        ] {
            assert_eq!(fault(name).code.number(), code, "{name}");
        }
    }

    /// What the VI API's reference says of the operations of a machine, and what comes with them in practice.
    #[test]
    fn faults_of_power_snapshots_and_migration() {
        const INVALID: u32 = 55;
        const FAILED: u32 = 9;
        const UNSUPPORTED: u32 = 84;
        const DENIED: u32 = 29;
        const CONFIG: u32 = 67;
        for (operation, faults) in [
            (
                "power",
                &[
                    ("InvalidPowerState", INVALID),
                    ("InvalidState", INVALID),
                    ("DisallowedOperationOnFailoverHost", INVALID),
                    ("InvalidHostState", INVALID),
                    ("TaskInProgress", INVALID),
                    ("VmConfigFault", CONFIG),
                    ("CannotAccessVmDisk", CONFIG),
                    ("NotEnoughLicenses", DENIED),
                    ("InsufficientMemoryResourcesFault", FAILED),
                    ("InsufficientCpuResourcesFault", FAILED),
                    ("FileFault", FAILED),
                    ("FileLocked", 87),
                    ("NoDiskSpace", FAILED),
                    ("CannotCreateFile", FAILED),
                    ("NotSupported", UNSUPPORTED),
                    ("ToolsUnavailable", 86),
                    ("HostNotReachable", FAILED),
                ][..],
            ),
            (
                "snapshot",
                &[
                    ("SnapshotFault", FAILED),
                    ("SnapshotDisabled", FAILED),
                    ("SnapshotIncompatibleDeviceInVm", FAILED),
                    ("MemorySnapshotOnIndependentDisk", FAILED),
                    ("ApplicationQuiesceFault", FAILED),
                    ("FilesystemQuiesceFault", FAILED),
                    ("InvalidName", 8),
                    ("InsufficientResourcesFault", FAILED),
                    ("NotSupported", UNSUPPORTED),
                ],
            ),
            (
                "migration",
                &[
                    ("MigrationFault", FAILED),
                    ("MigrationNotReady", FAILED),
                    ("RDMNotSupported", CONFIG),
                    ("AffinityConfigured", FAILED),
                    ("DisksOnSameDatastoreNotSupported", 1),
                    ("Timedout", 68),
                    ("RequestCanceled", 78),
                    ("InvalidArgument", 8),
                    ("InvalidDatastore", 49),
                    ("ResourceInUse", 87),
                ],
            ),
        ] {
            let differ: Vec<_> = faults
                .iter()
                .map(|(name, code)| (name, fault(name).code.number(), *code))
                .filter(|(_, is, expected)| is != expected)
                .collect();
            assert_eq!(differ, [], "{operation}: fault, code, expected code");
        }
    }

    #[test]
    fn the_chain_says_each_thing_once() {
        let lines: Vec<_> = fault("InvalidLogin").chain().collect();
        assert_eq!(
            lines,
            [
                "cannot do it: user name or password is wrong",
                "M on VirtualMachine:1 was refused: text (InvalidLogin)"
            ]
        );
    }
}
