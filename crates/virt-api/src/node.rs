//! Facts about the host.

use std::fmt;

/// The host's hardware (libvirt `virNodeInfo`, formulas in domain.md 4.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    /// CPU model, at most 31 bytes.
    pub model: String,
    /// Memory in KiB.
    pub memory_kib: u64,
    /// Number of active CPUs.
    pub cpus: u32,
    /// CPU frequency in MHz, 0 if unknown.
    pub mhz: u32,
    /// NUMA cells.
    pub nodes: u32,
    /// CPU sockets (libvirt: per NUMA cell; ESX: of the whole host).
    pub sockets: u32,
    /// Cores per socket.
    pub cores: u32,
    /// Threads per core.
    pub threads: u32,
}

/// A version as libvirt counts it: `1_000_000 * major + 1_000 * minor + release`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// From its three parts; minor and release are below 1000.
    #[must_use]
    pub const fn new(major: u64, minor: u64, release: u64) -> Self {
        Self(major * 1_000_000 + minor * 1_000 + release)
    }
}

impl fmt::Display for Version {
    /// Writes `major.minor.release`, as virsh does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0 / 1_000_000, self.0 / 1_000 % 1_000, self.0 % 1_000)
    }
}

/// What a driver may be asked whether it can do (`virConnectSupportsFeature`, domain.md 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum Feature {
    /// Migration protocol, version 1.
    MigrationV1 = 1,
    /// The driver is the remote driver.
    Remote = 2,
    /// Migration protocol, version 2.
    MigrationV2 = 3,
    /// Peer-to-peer migration.
    MigrationP2p = 4,
    /// Direct migration.
    MigrationDirect = 5,
    /// Migration protocol, version 3.
    MigrationV3 = 6,
    /// Change protection while migrating.
    MigrateChangeProtection = 7,
    /// Passing of file descriptors.
    FdPassing = 8,
    /// Typed parameters may be strings.
    TypedParamString = 9,
    /// Keep-alive messages.
    ProgramKeepalive = 10,
    /// The flag `MIGRATABLE` of domain XML.
    XmlMigratable = 11,
    /// Offline migration.
    MigrationOffline = 12,
    /// Migration with typed parameters.
    MigrationParams = 13,
    /// Event filtering at the server.
    RemoteEventCallback = 14,
    /// Close callbacks over the wire.
    RemoteCloseCallback = 15,
    /// The corrected order of arguments of network updates.
    NetworkUpdateHasCorrectOrder = 16,
}

impl Feature {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// Where interface addresses come from (`virDomainInterfaceAddressesSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum InterfaceAddressesSource {
    /// DHCP leases of a network.
    Lease = 0,
    /// The guest agent (VMware Tools).
    Agent = 1,
    /// The host's ARP table.
    Arp = 2,
}

impl InterfaceAddressesSource {
    /// libvirt's number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_are_written_as_virsh_does() {
        for (version, text) in [
            (Version::new(8, 0, 3), "8.0.3"),
            (Version(4_001_000), "4.1.0"),
            (Version(0), "0.0.0"),
            (Version(12_008_000), "12.8.0"),
        ] {
            assert_eq!(version.to_string(), text);
        }
    }
}
