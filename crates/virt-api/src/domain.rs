//! Domains and snapshots as plain data.

use std::fmt;

use bytes::Bytes;
use uuid::Uuid;

use crate::{Stream, TypedParam};

/// A domain handle (libvirt `virDomainPtr`). It may be stale; drivers look the domain up by `uuid`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Domain {
    /// Name as a user writes it (VMware's percent escapes undone).
    pub name: String,
    /// UUID, nil if the host does not tell it.
    pub uuid: Uuid,
    /// ID while the domain is not shut off (domain.md 3.4); `None` is libvirt's -1.
    pub id: Option<i32>,
}

/// How a caller names a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DomainSelector {
    /// By ID.
    Id(i32),
    /// By UUID.
    Uuid(Uuid),
    /// By exact name.
    Name(String),
}

/// Run state (libvirt `virDomainState`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u32)]
pub enum DomainState {
    /// Not known.
    #[default]
    NoState = 0,
    /// Running (VMware `poweredOn`).
    Running = 1,
    /// Blocked on a resource; VMware hosts never tell this.
    Blocked = 2,
    /// Paused (VMware `suspended`).
    Paused = 3,
    /// On its way down.
    Shutdown = 4,
    /// Off (VMware `poweredOff`).
    Shutoff = 5,
    /// Crashed.
    Crashed = 6,
    /// Suspended by the guest's power management.
    PmSuspended = 7,
}

impl DomainState {
    /// Every state, in the order of the numbers.
    pub const ALL: [Self; 8] = [
        Self::NoState,
        Self::Running,
        Self::Blocked,
        Self::Paused,
        Self::Shutdown,
        Self::Shutoff,
        Self::Crashed,
        Self::PmSuspended,
    ];

    /// libvirt's number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The state with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The word virsh prints (`shut off`, `in shutdown`, ...).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoState => "no state",
            Self::Running => "running",
            Self::Blocked => "idle",
            Self::Paused => "paused",
            Self::Shutdown => "in shutdown",
            Self::Shutoff => "shut off",
            Self::Crashed => "crashed",
            Self::PmSuspended => "pmsuspended",
        }
    }
}

impl fmt::Display for DomainState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a domain is in its state: libvirt's number, whose meaning depends on the state; 0 is "unknown"
/// (`virDomainRunningReason`, `virDomainShutoffReason`, ...).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DomainStateReason(pub u32);

/// Facts about a domain (libvirt `virDomainInfo`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainInfo {
    /// Run state.
    pub state: DomainState,
    /// Most memory the domain may have, in KiB.
    pub max_memory_kib: u64,
    /// Memory it has now, in KiB.
    pub memory_kib: u64,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// CPU time used so far in nanoseconds, 0 if the host does not tell.
    pub cpu_time_ns: u64,
}

/// One row of a list. Beyond libvirt: it carries what a caller would have to ask for domain by domain, and a
/// domain that the host describes badly is a row with a `problem` and not the failure of the whole list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDomain {
    /// Handle. With a `problem` the name may be empty and the UUID nil.
    pub domain: Domain,
    /// Run state.
    pub state: DomainState,
    /// Whether the host starts it by itself; `None` if no flag asked for it.
    pub autostart: Option<bool>,
    /// Whether it has snapshots; `None` if no flag asked for it.
    pub has_snapshot: Option<bool>,
    /// Whether a managed save image exists; never on VMware hosts.
    pub managed_save: bool,
    /// Short title; VMware hosts have none.
    pub title: Option<String>,
    /// Managed object reference on VMware hosts, such as `vm-42`.
    pub moref: Option<String>,
    /// What is wrong with this row, one phrase.
    pub problem: Option<String>,
}

impl ListedDomain {
    /// A row with handle and state only.
    #[must_use]
    pub const fn new(domain: Domain, state: DomainState) -> Self {
        Self {
            domain,
            state,
            autostart: None,
            has_snapshot: None,
            managed_save: false,
            title: None,
            moref: None,
            problem: None,
        }
    }

    /// Whether it counts as active: every known state but shut off (domain.md 3.5).
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state != DomainState::Shutoff
    }
}

/// Everything `virsh dominfo` prints, from one question. Beyond libvirt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainDetails {
    /// Handle with the ID of this moment.
    pub domain: Domain,
    /// Operating system type: `hvm` on VMware hosts.
    pub os_type: String,
    /// State, memory and CPUs.
    pub info: DomainInfo,
    /// Whether its definition outlives it; `None` if unknown.
    pub persistent: Option<bool>,
    /// Whether the host starts it by itself; `None` if the host does not tell.
    pub autostart: Option<bool>,
    /// Whether a managed save image exists; `None` if unknown.
    pub managed_save: Option<bool>,
}

/// Statistics of one domain (`virDomainStatsRecord`).
#[derive(Clone, Debug, PartialEq)]
pub struct DomainStats {
    /// Whose they are.
    pub domain: Domain,
    /// libvirt's names (`state.state`, `balloon.current`, ...) with their values.
    pub params: Vec<TypedParam>,
}

/// A disk or drive of a domain, as `virsh domblklist --details` shows it. Beyond libvirt: it has no function for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainBlockDevice {
    /// `file` or `block`: what the source is.
    pub kind: String,
    /// `disk`, `cdrom` or `floppy`.
    pub device: String,
    /// `sda`; unique on its bus.
    pub target: String,
    /// `scsi`, `sata`, `ide`, `nvme` or `fdc`.
    pub bus: String,
    /// The file or the host's device; `None` for an empty drive.
    pub source: Option<String>,
}

/// A network adapter of a domain, as `virsh domiflist` shows it. Beyond libvirt: it has no function for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainInterfaceDevice {
    /// The host's name for it, if it has one.
    pub name: Option<String>,
    /// `bridge`, `vds`, …
    pub kind: String,
    /// The network or port group.
    pub source: Option<String>,
    /// `e1000`, `vmxnet3`, …
    pub model: Option<String>,
    /// MAC address.
    pub mac: Option<String>,
    /// Whether its cable is plugged in; `None` if the host does not tell.
    pub link_up: Option<bool>,
}

/// Sizes of a disk in bytes (`virDomainBlockInfo`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainBlockInfo {
    /// What the guest sees.
    pub capacity_bytes: u64,
    /// What is allocated for it.
    pub allocation_bytes: u64,
    /// What it takes up on the storage.
    pub physical_bytes: u64,
}

/// Which figure of a domain's memory (`virDomainMemoryStatTags`, and a few that only VMware has).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemoryStatTag {
    /// What the domain has now, as its balloon says (`VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON`).
    Actual,
    /// What it takes up of the host (`VIR_DOMAIN_MEMORY_STAT_RSS`); VMware's consumed memory.
    Rss,
    /// What the guest used lately. Beyond libvirt, like all that follow.
    Active,
    /// Taken back by the balloon.
    Ballooned,
    /// Swapped out by the host.
    Swapped,
    /// Compressed by the host.
    Compressed,
    /// Shared with other domains.
    Shared,
    /// Not shared with others.
    Private,
    /// What the host needs beside the guest's memory.
    Overhead,
    /// Guaranteed.
    Reservation,
    /// The most it may take; left out if there is no limit.
    Limit,
    /// Weight when memory is scarce: a number, no size.
    Shares,
}

impl MemoryStatTag {
    /// libvirt's number; `None` for figures beyond libvirt.
    #[must_use]
    pub const fn number(self) -> Option<u32> {
        match self {
            Self::Actual => Some(6),
            Self::Rss => Some(7),
            _ => None,
        }
    }

    /// The word of `virsh dommemstat`, or one in its style.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Actual => "actual",
            Self::Rss => "rss",
            Self::Active => "active",
            Self::Ballooned => "ballooned",
            Self::Swapped => "swapped",
            Self::Compressed => "compressed",
            Self::Shared => "shared",
            Self::Private => "private",
            Self::Overhead => "overhead",
            Self::Reservation => "reservation",
            Self::Limit => "limit",
            Self::Shares => "shares",
        }
    }
}

/// A figure of a domain's memory (`virDomainMemoryStatStruct`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainMemoryStat {
    /// Which.
    pub tag: MemoryStatTag,
    /// In KiB, but for [`MemoryStatTag::Shares`].
    pub value: u64,
}

/// Which metadata of a domain (`virDomainMetadataType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum MetadataType {
    /// Free text.
    Description = 0,
    /// Short text.
    Title = 1,
    /// An XML element of a namespace.
    Element = 2,
}

impl MetadataType {
    /// libvirt's number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// A snapshot handle (libvirt `virDomainSnapshotPtr`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// Whose snapshot it is.
    pub domain: Domain,
    /// Its name; VMware hosts allow two of one name.
    pub name: String,
}

/// Which CPU scheduler parameters a domain has (`virDomainGetSchedulerType`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerType {
    /// Name: `allocation` on VMware hosts.
    pub name: String,
    /// Number of parameters.
    pub params: u32,
}

/// A picture of a domain's screen on its way (`virDomainScreenshot`).
pub struct Screenshot {
    /// Such as `image/png`.
    pub mime_type: String,
    /// The picture's bytes.
    pub stream: Box<dyn Stream>,
}

impl fmt::Debug for Screenshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screenshot").field("mime_type", &self.mime_type).finish_non_exhaustive()
    }
}

/// What the destination of a migration hands to the source (protocol version 1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigratePrepared {
    /// Opaque data; VMware hosts use none.
    pub cookie: Bytes,
    /// Where to migrate to, if the caller gave no URI.
    pub uri: Option<String>,
}

/// A guest's network interface (`virDomainInterface`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainInterface {
    /// Device name in the guest, or the port group on VMware hosts.
    pub name: String,
    /// MAC address, if known.
    pub hwaddr: Option<String>,
    /// Addresses.
    pub addrs: Vec<IpAddress>,
}

/// Family of an address (`virIPAddrType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum IpAddressType {
    /// IPv4.
    Ipv4 = 0,
    /// IPv6.
    Ipv6 = 1,
}

/// An address of a guest (`virDomainIPAddress`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpAddress {
    /// Family.
    pub kind: IpAddressType,
    /// The address as text.
    pub addr: String,
    /// Prefix length in bits, 0 if unknown.
    pub prefix: u32,
}

#[cfg(test)]
mod tests {
    use super::DomainState;

    #[test]
    fn states_have_libvirts_numbers_and_virshs_words() {
        let table: Vec<(u32, &str)> =
            DomainState::ALL.iter().map(|state| (state.number(), state.as_str())).collect();
        assert_eq!(
            table,
            [
                (0, "no state"),
                (1, "running"),
                (2, "idle"),
                (3, "paused"),
                (4, "in shutdown"),
                (5, "shut off"),
                (6, "crashed"),
                (7, "pmsuspended"),
            ]
        );
        for state in DomainState::ALL {
            assert_eq!(DomainState::from_number(state.number()), Some(state));
        }
        assert_eq!(DomainState::from_number(8), None);
    }
}
