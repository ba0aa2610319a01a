//! libvirt's error numbers: what went wrong (`VIR_ERR_*`) and where (`VIR_FROM_*`).
//!
//! Names and numbers are those of libvirt's public API documentation (virErrorNumber, virErrorDomain).

use std::fmt;

/// Declares an enum of public numbers with `number`, `name` and `from_number`.
macro_rules! numbers {
    ($(#[$meta:meta])* $type:ident, $prefix:literal { $($variant:ident = $number:literal, $name:literal, $doc:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        #[repr(u32)]
        pub enum $type {
            $(#[doc = $doc] $variant = $number,)*
        }

        impl $type {
            /// Every value, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number libvirt's API and wire protocol use.
            #[must_use]
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// The name of libvirt's constant.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($prefix, $name),)*
                }
            }

            /// The value with this number, if it is a known one.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $type {
            /// Writes the name of libvirt's constant.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

numbers! {
    /// What went wrong (libvirt `virErrorNumber`).
    ErrorCode, "VIR_ERR_" {
        InternalError = 1, "INTERNAL_ERROR", "An error that has no code of its own.";
        NoMemory = 2, "NO_MEMORY", "Memory ran out.";
        NoSupport = 3, "NO_SUPPORT", "The driver lacks this function.";
        UnknownHost = 4, "UNKNOWN_HOST", "The host name cannot be resolved.";
        NoConnect = 5, "NO_CONNECT", "No connection to the hypervisor.";
        InvalidConn = 6, "INVALID_CONN", "The connection handle is not valid.";
        InvalidDomain = 7, "INVALID_DOMAIN", "The domain handle is not valid.";
        InvalidArg = 8, "INVALID_ARG", "An argument is not valid.";
        OperationFailed = 9, "OPERATION_FAILED", "The operation failed.";
        GetFailed = 10, "GET_FAILED", "An HTTP GET failed.";
        PostFailed = 11, "POST_FAILED", "An HTTP POST failed.";
        HttpError = 12, "HTTP_ERROR", "An unexpected HTTP status.";
        SexprSerial = 13, "SEXPR_SERIAL", "An S-expression cannot be written.";
        NoXen = 14, "NO_XEN", "The Xen hypervisor cannot be opened.";
        XenCall = 15, "XEN_CALL", "A Xen call failed.";
        OsType = 16, "OS_TYPE", "The operating system type is unknown.";
        NoKernel = 17, "NO_KERNEL", "Kernel information is missing.";
        NoRoot = 18, "NO_ROOT", "Root device information is missing.";
        NoSource = 19, "NO_SOURCE", "Source device information is missing.";
        NoTarget = 20, "NO_TARGET", "Target device information is missing.";
        NoName = 21, "NO_NAME", "Domain name information is missing.";
        NoOs = 22, "NO_OS", "Operating system information is missing.";
        NoDevice = 23, "NO_DEVICE", "Device information is missing.";
        NoXenstore = 24, "NO_XENSTORE", "The Xen store cannot be opened.";
        DriverFull = 25, "DRIVER_FULL", "Too many drivers are registered.";
        CallFailed = 26, "CALL_FAILED", "A call is not supported by the drivers.";
        XmlError = 27, "XML_ERROR", "An XML description is not well formed or broken.";
        DomExist = 28, "DOM_EXIST", "The domain exists already.";
        OperationDenied = 29, "OPERATION_DENIED", "The operation is forbidden on a read-only connection.";
        OpenFailed = 30, "OPEN_FAILED", "A configuration file cannot be opened.";
        ReadFailed = 31, "READ_FAILED", "A configuration file cannot be read.";
        ParseFailed = 32, "PARSE_FAILED", "A configuration file cannot be parsed.";
        ConfSyntax = 33, "CONF_SYNTAX", "A configuration file has a syntax error.";
        WriteFailed = 34, "WRITE_FAILED", "A configuration file cannot be written.";
        XmlDetail = 35, "XML_DETAIL", "An XML description is wrong in a detail.";
        InvalidNetwork = 36, "INVALID_NETWORK", "The network handle is not valid.";
        NetworkExist = 37, "NETWORK_EXIST", "The network exists already.";
        SystemError = 38, "SYSTEM_ERROR", "A system call failed.";
        Rpc = 39, "RPC", "A remote procedure call went wrong.";
        GnutlsError = 40, "GNUTLS_ERROR", "A TLS error.";
        WarNoNetwork = 41, "WAR_NO_NETWORK", "The network driver failed to start.";
        NoDomain = 42, "NO_DOMAIN", "No such domain.";
        NoNetwork = 43, "NO_NETWORK", "No such network.";
        InvalidMac = 44, "INVALID_MAC", "The MAC address is not valid.";
        AuthFailed = 45, "AUTH_FAILED", "Authentication failed.";
        InvalidStoragePool = 46, "INVALID_STORAGE_POOL", "The storage pool handle is not valid.";
        InvalidStorageVol = 47, "INVALID_STORAGE_VOL", "The storage volume handle is not valid.";
        WarNoStorage = 48, "WAR_NO_STORAGE", "The storage driver failed to start.";
        NoStoragePool = 49, "NO_STORAGE_POOL", "No such storage pool.";
        NoStorageVol = 50, "NO_STORAGE_VOL", "No such storage volume.";
        WarNoNode = 51, "WAR_NO_NODE", "The node device driver failed to start.";
        InvalidNodeDevice = 52, "INVALID_NODE_DEVICE", "The node device handle is not valid.";
        NoNodeDevice = 53, "NO_NODE_DEVICE", "No such node device.";
        NoSecurityModel = 54, "NO_SECURITY_MODEL", "No such security model.";
        OperationInvalid = 55, "OPERATION_INVALID", "The operation does not fit the present state.";
        WarNoInterface = 56, "WAR_NO_INTERFACE", "The interface driver failed to start.";
        NoInterface = 57, "NO_INTERFACE", "No such interface.";
        InvalidInterface = 58, "INVALID_INTERFACE", "The interface handle is not valid.";
        MultipleInterfaces = 59, "MULTIPLE_INTERFACES", "More than one interface matches.";
        WarNoNwfilter = 60, "WAR_NO_NWFILTER", "The network filter driver failed to start.";
        InvalidNwfilter = 61, "INVALID_NWFILTER", "The network filter handle is not valid.";
        NoNwfilter = 62, "NO_NWFILTER", "No such network filter.";
        BuildFirewall = 63, "BUILD_FIREWALL", "A firewall cannot be built.";
        WarNoSecret = 64, "WAR_NO_SECRET", "The secret driver failed to start.";
        InvalidSecret = 65, "INVALID_SECRET", "The secret handle is not valid.";
        NoSecret = 66, "NO_SECRET", "No such secret.";
        ConfigUnsupported = 67, "CONFIG_UNSUPPORTED", "The configuration asks for something unsupported.";
        OperationTimeout = 68, "OPERATION_TIMEOUT", "The operation took too long.";
        MigratePersistFailed = 69, "MIGRATE_PERSIST_FAILED", "A migrated domain could not be made persistent.";
        HookScriptFailed = 70, "HOOK_SCRIPT_FAILED", "A hook script failed.";
        InvalidDomainSnapshot = 71, "INVALID_DOMAIN_SNAPSHOT", "The snapshot handle is not valid.";
        NoDomainSnapshot = 72, "NO_DOMAIN_SNAPSHOT", "No such snapshot.";
        InvalidStream = 73, "INVALID_STREAM", "The stream is not valid.";
        ArgumentUnsupported = 74, "ARGUMENT_UNSUPPORTED", "An argument is valid but not supported.";
        StorageProbeFailed = 75, "STORAGE_PROBE_FAILED", "A storage probe failed.";
        StoragePoolBuilt = 76, "STORAGE_POOL_BUILT", "The storage pool is built already.";
        SnapshotRevertRisky = 77, "SNAPSHOT_REVERT_RISKY", "The revert was not risked without force.";
        OperationAborted = 78, "OPERATION_ABORTED", "The operation was aborted.";
        AuthCancelled = 79, "AUTH_CANCELLED", "Authentication was cancelled.";
        NoDomainMetadata = 80, "NO_DOMAIN_METADATA", "The domain has no such metadata.";
        MigrateUnsafe = 81, "MIGRATE_UNSAFE", "The migration is not safe.";
        Overflow = 82, "OVERFLOW", "A number is too large.";
        BlockCopyActive = 83, "BLOCK_COPY_ACTIVE", "A block copy job is active.";
        OperationUnsupported = 84, "OPERATION_UNSUPPORTED", "The operation is not supported.";
        Ssh = 85, "SSH", "An SSH transport error.";
        AgentUnresponsive = 86, "AGENT_UNRESPONSIVE", "The guest agent does not answer.";
        ResourceBusy = 87, "RESOURCE_BUSY", "The resource is in use.";
        AccessDenied = 88, "ACCESS_DENIED", "Access was denied.";
        DbusService = 89, "DBUS_SERVICE", "A D-Bus service error.";
        StorageVolExist = 90, "STORAGE_VOL_EXIST", "The storage volume exists already.";
        CpuIncompatible = 91, "CPU_INCOMPATIBLE", "The CPU is not compatible.";
        XmlInvalidSchema = 92, "XML_INVALID_SCHEMA", "An XML document does not fit its schema.";
        MigrateFinishOk = 93, "MIGRATE_FINISH_OK", "Finishing the migration succeeded though it was expected to fail.";
        AuthUnavailable = 94, "AUTH_UNAVAILABLE", "Authentication is not available.";
        NoServer = 95, "NO_SERVER", "No such server.";
        NoClient = 96, "NO_CLIENT", "No such client.";
        AgentUnsynced = 97, "AGENT_UNSYNCED", "The guest agent is not in step.";
        Libssh = 98, "LIBSSH", "A libssh transport error.";
        DeviceMissing = 99, "DEVICE_MISSING", "The device is missing.";
        InvalidNwfilterBinding = 100, "INVALID_NWFILTER_BINDING", "The network filter binding is not valid.";
        NoNwfilterBinding = 101, "NO_NWFILTER_BINDING", "No such network filter binding.";
        InvalidDomainCheckpoint = 102, "INVALID_DOMAIN_CHECKPOINT", "The checkpoint handle is not valid.";
        NoDomainCheckpoint = 103, "NO_DOMAIN_CHECKPOINT", "No such checkpoint.";
        NoDomainBackup = 104, "NO_DOMAIN_BACKUP", "No backup job.";
        InvalidNetworkPort = 105, "INVALID_NETWORK_PORT", "The network port handle is not valid.";
        NetworkPortExist = 106, "NETWORK_PORT_EXIST", "The network port exists already.";
        NoNetworkPort = 107, "NO_NETWORK_PORT", "No such network port.";
        NoHostname = 108, "NO_HOSTNAME", "No host name is known.";
        CheckpointInconsistent = 109, "CHECKPOINT_INCONSISTENT", "A checkpoint cannot be used.";
        MultipleDomains = 110, "MULTIPLE_DOMAINS", "More than one domain matches.";
        NoNetworkMetadata = 111, "NO_NETWORK_METADATA", "The network has no such metadata.";
        AgentCommandTimeout = 112, "AGENT_COMMAND_TIMEOUT", "A guest agent command took too long.";
        AgentCommandFailed = 113, "AGENT_COMMAND_FAILED", "A guest agent command failed.";
    }
}

numbers! {
    /// Which part of the system reports it (libvirt `virErrorDomain`).
    ErrorDomain, "VIR_FROM_" {
        None = 0, "NONE", "No part in particular.";
        Xen = 1, "XEN", "libvirt part `XEN`.";
        Xend = 2, "XEND", "libvirt part `XEND`.";
        Xenstore = 3, "XENSTORE", "libvirt part `XENSTORE`.";
        Sexpr = 4, "SEXPR", "libvirt part `SEXPR`.";
        Xml = 5, "XML", "XML documents.";
        Dom = 6, "DOM", "Domain handles.";
        Rpc = 7, "RPC", "The remote procedure call layer.";
        Proxy = 8, "PROXY", "libvirt part `PROXY`.";
        Conf = 9, "CONF", "Configuration files.";
        Qemu = 10, "QEMU", "libvirt part `QEMU`.";
        Net = 11, "NET", "libvirt part `NET`.";
        Test = 12, "TEST", "The test driver.";
        Remote = 13, "REMOTE", "The remote driver.";
        Openvz = 14, "OPENVZ", "libvirt part `OPENVZ`.";
        Xenxm = 15, "XENXM", "libvirt part `XENXM`.";
        StatsLinux = 16, "STATS_LINUX", "libvirt part `STATS_LINUX`.";
        Lxc = 17, "LXC", "libvirt part `LXC`.";
        Storage = 18, "STORAGE", "Storage pools and volumes.";
        Network = 19, "NETWORK", "Networks.";
        Domain = 20, "DOMAIN", "Domain documents.";
        Uml = 21, "UML", "libvirt part `UML`.";
        Nodedev = 22, "NODEDEV", "libvirt part `NODEDEV`.";
        XenInotify = 23, "XEN_INOTIFY", "libvirt part `XEN_INOTIFY`.";
        Security = 24, "SECURITY", "libvirt part `SECURITY`.";
        Vbox = 25, "VBOX", "libvirt part `VBOX`.";
        Interface = 26, "INTERFACE", "Host interfaces.";
        One = 27, "ONE", "libvirt part `ONE`.";
        Esx = 28, "ESX", "The VMware ESX driver.";
        Phyp = 29, "PHYP", "libvirt part `PHYP`.";
        Secret = 30, "SECRET", "libvirt part `SECRET`.";
        Cpu = 31, "CPU", "CPU descriptions.";
        Xenapi = 32, "XENAPI", "libvirt part `XENAPI`.";
        Nwfilter = 33, "NWFILTER", "libvirt part `NWFILTER`.";
        Hook = 34, "HOOK", "libvirt part `HOOK`.";
        DomainSnapshot = 35, "DOMAIN_SNAPSHOT", "Snapshots.";
        Audit = 36, "AUDIT", "libvirt part `AUDIT`.";
        Sysinfo = 37, "SYSINFO", "libvirt part `SYSINFO`.";
        Streams = 38, "STREAMS", "Streams.";
        Vmware = 39, "VMWARE", "libvirt part `VMWARE`.";
        Event = 40, "EVENT", "Events.";
        Libxl = 41, "LIBXL", "libvirt part `LIBXL`.";
        Locking = 42, "LOCKING", "libvirt part `LOCKING`.";
        Hyperv = 43, "HYPERV", "libvirt part `HYPERV`.";
        Capabilities = 44, "CAPABILITIES", "Capabilities.";
        Uri = 45, "URI", "URIs.";
        Auth = 46, "AUTH", "Authentication.";
        Dbus = 47, "DBUS", "libvirt part `DBUS`.";
        Parallels = 48, "PARALLELS", "libvirt part `PARALLELS`.";
        Device = 49, "DEVICE", "Devices.";
        Ssh = 50, "SSH", "libvirt part `SSH`.";
        Lockspace = 51, "LOCKSPACE", "libvirt part `LOCKSPACE`.";
        Initctl = 52, "INITCTL", "libvirt part `INITCTL`.";
        Identity = 53, "IDENTITY", "libvirt part `IDENTITY`.";
        Cgroup = 54, "CGROUP", "libvirt part `CGROUP`.";
        Access = 55, "ACCESS", "Access control.";
        Systemd = 56, "SYSTEMD", "libvirt part `SYSTEMD`.";
        Bhyve = 57, "BHYVE", "libvirt part `BHYVE`.";
        Crypto = 58, "CRYPTO", "libvirt part `CRYPTO`.";
        Firewall = 59, "FIREWALL", "libvirt part `FIREWALL`.";
        Polkit = 60, "POLKIT", "libvirt part `POLKIT`.";
        Thread = 61, "THREAD", "Threads.";
        Admin = 62, "ADMIN", "libvirt part `ADMIN`.";
        Logging = 63, "LOGGING", "libvirt part `LOGGING`.";
        Xenxl = 64, "XENXL", "libvirt part `XENXL`.";
        Perf = 65, "PERF", "libvirt part `PERF`.";
        Libssh = 66, "LIBSSH", "libvirt part `LIBSSH`.";
        Resctrl = 67, "RESCTRL", "libvirt part `RESCTRL`.";
        Firewalld = 68, "FIREWALLD", "libvirt part `FIREWALLD`.";
        DomainCheckpoint = 69, "DOMAIN_CHECKPOINT", "libvirt part `DOMAIN_CHECKPOINT`.";
        Tpm = 70, "TPM", "libvirt part `TPM`.";
        Bpf = 71, "BPF", "libvirt part `BPF`.";
        Ch = 72, "CH", "libvirt part `CH`.";
    }
}

#[cfg(test)]
mod tests {
    use super::{ErrorCode, ErrorDomain};

    #[test]
    fn numbers_are_libvirts() {
        for (code, number, name) in [
            (ErrorCode::InternalError, 1, "VIR_ERR_INTERNAL_ERROR"),
            (ErrorCode::NoSupport, 3, "VIR_ERR_NO_SUPPORT"),
            (ErrorCode::InvalidArg, 8, "VIR_ERR_INVALID_ARG"),
            (ErrorCode::OperationFailed, 9, "VIR_ERR_OPERATION_FAILED"),
            (ErrorCode::HttpError, 12, "VIR_ERR_HTTP_ERROR"),
            (ErrorCode::XmlError, 27, "VIR_ERR_XML_ERROR"),
            (ErrorCode::OperationDenied, 29, "VIR_ERR_OPERATION_DENIED"),
            (ErrorCode::ConfSyntax, 33, "VIR_ERR_CONF_SYNTAX"),
            (ErrorCode::XmlDetail, 35, "VIR_ERR_XML_DETAIL"),
            (ErrorCode::NetworkExist, 37, "VIR_ERR_NETWORK_EXIST"),
            (ErrorCode::SystemError, 38, "VIR_ERR_SYSTEM_ERROR"),
            (ErrorCode::NoDomain, 42, "VIR_ERR_NO_DOMAIN"),
            (ErrorCode::NoNetwork, 43, "VIR_ERR_NO_NETWORK"),
            (ErrorCode::AuthFailed, 45, "VIR_ERR_AUTH_FAILED"),
            (ErrorCode::NoStoragePool, 49, "VIR_ERR_NO_STORAGE_POOL"),
            (ErrorCode::NoStorageVol, 50, "VIR_ERR_NO_STORAGE_VOL"),
            (ErrorCode::OperationInvalid, 55, "VIR_ERR_OPERATION_INVALID"),
            (ErrorCode::NoInterface, 57, "VIR_ERR_NO_INTERFACE"),
            (ErrorCode::ConfigUnsupported, 67, "VIR_ERR_CONFIG_UNSUPPORTED"),
            (ErrorCode::NoDomainSnapshot, 72, "VIR_ERR_NO_DOMAIN_SNAPSHOT"),
            (ErrorCode::OperationUnsupported, 84, "VIR_ERR_OPERATION_UNSUPPORTED"),
        ] {
            assert_eq!((code.number(), code.name()), (number, name));
        }
        for (domain, number, name) in [
            (ErrorDomain::None, 0, "VIR_FROM_NONE"),
            (ErrorDomain::Xml, 5, "VIR_FROM_XML"),
            (ErrorDomain::Rpc, 7, "VIR_FROM_RPC"),
            (ErrorDomain::Remote, 13, "VIR_FROM_REMOTE"),
            (ErrorDomain::Domain, 20, "VIR_FROM_DOMAIN"),
            (ErrorDomain::Interface, 26, "VIR_FROM_INTERFACE"),
            (ErrorDomain::Esx, 28, "VIR_FROM_ESX"),
            (ErrorDomain::DomainSnapshot, 35, "VIR_FROM_DOMAIN_SNAPSHOT"),
            (ErrorDomain::Streams, 38, "VIR_FROM_STREAMS"),
            (ErrorDomain::Uri, 45, "VIR_FROM_URI"),
            (ErrorDomain::Auth, 46, "VIR_FROM_AUTH"),
        ] {
            assert_eq!((domain.number(), domain.to_string().as_str()), (number, name));
        }
    }

    #[test]
    fn numbers_go_both_ways_and_leave_no_gap() {
        for (index, &code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(code.number() as usize, index + 1);
            assert_eq!(ErrorCode::from_number(code.number()), Some(code));
        }
        for (index, &domain) in ErrorDomain::ALL.iter().enumerate() {
            assert_eq!(domain.number() as usize, index);
            assert_eq!(ErrorDomain::from_number(domain.number()), Some(domain));
        }
        assert_eq!(ErrorCode::from_number(0), None);
        assert_eq!(ErrorCode::from_number(9999), None);
    }
}
