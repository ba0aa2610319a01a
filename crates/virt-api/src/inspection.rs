//! What a migration or backup tool asks of a machine before it touches it. Beyond libvirt.

use std::borrow::Cow;
use std::fmt;

use crate::{Domain, DomainState};

/// How much a finding matters to whoever wants to move the machine away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something is lost, or has to be done by hand afterwards.
    Warning,
    /// An export fails, or what it gives is of no use, until something is done.
    Blocker,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Blocker => "blocker",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that a look at the machine has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A word that stays the same for programs: `snapshots`, `rdm`, ...; `docs/export.md` lists them.
    pub code: Cow<'static, str>,
    /// The device or file that it is about.
    pub subject: Option<String>,
    /// What is the case, one phrase.
    pub message: String,
    /// What to do about it, one sentence; empty if nothing needs to be done.
    pub advice: Cow<'static, str>,
}

/// A disk as the look found it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InspectedDisk {
    /// `sda`; unique on its bus.
    pub target: String,
    /// `scsi`, `sata`, `ide` or `nvme`.
    pub bus: String,
    /// Datastore path of its descriptor; `None` if the host does not tell.
    pub path: Option<String>,
    /// What the guest sees, in bytes.
    pub capacity_bytes: u64,
    /// How it is stored: `flat`, `thin`, `sparse`, `sesparse`, `rdm-physical`, `rdm-virtual`, `remote`, or the API's own word.
    pub format: String,
    /// `persistent`, `independent_persistent`, ... (VI API `VirtualDiskMode`).
    pub mode: Option<String>,
    /// Whether other machines may write to it as well.
    pub shared: bool,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// How many files its data are spread over: 1, and one more for each snapshot or linked clone.
    pub chain: u32,
    /// The datastore's name.
    pub datastore: Option<String>,
    /// The datastore's kind in the API's words: `VMFS`, `NFS`, `NFS41`, `vsan`, `VVOL`, ...
    pub datastore_kind: Option<String>,
}

/// Facts about a machine that matter to its export, and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainInspection {
    /// Which machine.
    pub domain: Domain,
    /// Its state.
    pub state: DomainState,
    /// Datastore path of its VMX file.
    pub vmx_path: Option<String>,
    /// The guest's operating system (VI API `guestId`).
    pub guest_id: Option<String>,
    /// Hardware version: 19 for `vmx-19`.
    pub hardware_version: Option<u32>,
    /// `bios` or `efi`; `None` if the host's API does not know the difference.
    pub firmware: Option<String>,
    /// Whether secure boot is on.
    pub secure_boot: Option<bool>,
    /// Whether it has a virtual TPM.
    pub vtpm: bool,
    /// Whether its configuration is encrypted.
    pub encrypted: bool,
    /// Whether changed blocks are tracked.
    pub change_tracking: Option<bool>,
    /// Number of snapshots.
    pub snapshots: u32,
    /// The longest line of snapshots, each made on top of the one before.
    pub snapshot_depth: u32,
    /// State of VMware Tools in the API's words, such as `guestToolsRunning`.
    pub tools: Option<String>,
    /// Its disks, by bus and place.
    pub disks: Vec<InspectedDisk>,
    /// What follows, the worst first.
    pub findings: Vec<Finding>,
}

impl DomainInspection {
    /// The worst that was found.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}
