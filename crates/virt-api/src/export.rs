//! Taking a domain away from its host: configuration and disks. Beyond libvirt.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Domain, Result, Stream};

/// How disks leave their host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ExportWay {
    /// As they lie on datastores, file by file; a disk that cannot be had so, [by a lease](Self::Lease).
    #[default]
    Auto,
    /// As they lie on datastores, or not at all.
    Files,
    /// By a lease of the host: each disk whole, without its snapshots, in one stream-optimised file.
    Lease,
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// How disks are had.
    pub way: ExportWay,
    /// Whether VMware Tools are asked to bring a running guest's file systems to rest before the snapshot is made.
    pub quiesce: bool,
}

/// What a file of an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExportRole {
    /// The variables of the firmware.
    Nvram,
    /// The text that describes a disk or one of its snapshots; its content is known already.
    Descriptor,
    /// Data of a disk, in the form that the descriptor names.
    Extent,
    /// A whole disk as a lease gives it: stream-optimised, made while it is read, so that it can only be read from its
    /// first byte on.
    StreamOptimized,
}

impl ExportRole {
    /// The word for it in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nvram => "nvram",
            Self::Descriptor => "descriptor",
            Self::Extent => "extent",
            Self::StreamOptimized => "stream-optimized",
        }
    }
}

/// A file of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFile {
    /// Where it goes below the directory of the export: one or more plain names with `/` between, never `..`, unique without
    /// regard to case.
    pub name: String,
    /// What it is.
    pub role: ExportRole,
    /// Where it comes from: a datastore path.
    pub source: String,
    /// Its size in bytes, if that is known before it is read.
    pub size_bytes: Option<u64>,
    /// Its content, if it has been read already.
    pub content: Option<Bytes>,
    /// Of a whole disk, what is another whenever its content is, if the host tells such a thing.
    pub content_id: Option<String>,
}

/// A disk of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportDisk {
    /// `sda`; unique on its bus.
    pub target: String,
    /// Datastore path of the descriptor of its present state.
    pub source: String,
    /// What the guest sees, in bytes.
    pub capacity_bytes: u64,
    /// Its files by their place in the plan, the newest state first.
    pub files: Vec<usize>,
}

/// Everything that belongs to an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportPlan {
    /// Which domain.
    pub domain: Domain,
    /// Whether it runs, so that what is exported is the state of a snapshot made for it.
    pub live: bool,
    /// Name of the VMX file below the directory.
    pub vmx_name: String,
    /// The VMX file as it is on the datastore.
    pub vmx: Bytes,
    /// The domain's XML.
    pub xml: String,
    /// Files besides the VMX file.
    pub files: Vec<ExportFile>,
    /// The disks.
    pub disks: Vec<ExportDisk>,
    /// What the receiver should know, one sentence each.
    pub warnings: Vec<String>,
}

/// An export under way. What it has made on the host, a snapshot or a lease, is taken away by
/// [`finish`](Self::finish); dropping it without that does so in the background, if there is time.
#[async_trait]
pub trait DomainExport: Send + Sync {
    /// What belongs to it.
    fn plan(&self) -> &ExportPlan;

    /// A stream of the file at this place of the plan, from this byte on.
    ///
    /// # Errors
    /// `VIR_ERR_INVALID_ARG` if there is no such place, or the file ends before that byte, or can only be read from its
    /// first ([`ExportRole::StreamOptimized`]).
    async fn open(&self, file: usize, offset: u64) -> Result<Box<dyn Stream>>;

    /// Ends it, successful or not.
    ///
    /// # Errors
    /// If the host keeps what should have been taken away; the text names it.
    async fn finish(&self) -> Result<()>;
}
