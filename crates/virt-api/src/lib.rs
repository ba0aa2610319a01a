//! libvirt's driver model as object-safe Rust traits.
//!
//! A hypervisor driver implements [`Driver`]; a program, a daemon or a test talks to `dyn Driver` and needs to know
//! nothing of the wire behind it. Functions, flags, states and error numbers are libvirt's, so that someone who knows
//! `virDomainLookupByName` finds [`Hypervisor::domain_lookup_by_name`].
//!
//! ```
//! use virt_api::{Definitions, Driver, ErrorCode, Hypervisor, ListAllDomainsFlags, Snapshots};
//!
//! struct Empty;
//! impl Hypervisor for Empty {}
//! impl Definitions for Empty {}
//! impl Snapshots for Empty {}
//! impl Driver for Empty {
//!     fn hypervisor(&self) -> &dyn Hypervisor {
//!         self
//!     }
//! }
//!
//! async fn names(driver: &dyn Driver) -> virt_api::Result<Vec<String>> {
//!     let list = driver.hypervisor().connect_list_all_domains(ListAllDomainsFlags::ACTIVE).await?;
//!     Ok(list.into_iter().map(|item| item.domain.name).collect())
//! }
//! # let _ = names(&Empty);
//! assert_eq!(ErrorCode::NoDomain.number(), 42);
//! ```
//!
//! This crate holds no driver and does no I/O. Documents (domain, pool, network XML) travel as text; the crate
//! `virt-xml` reads them. Handles ([`Domain`], [`Snapshot`], [`StoragePool`], ...) are plain data that may be stale: a
//! driver looks a domain up by its UUID. A function that a driver lacks answers `VIR_ERR_NO_SUPPORT`.
//!
//! Where to start: [`Driver`], then [`Hypervisor`]; [`Error`] for what can go wrong. What goes beyond libvirt is said
//! where it stands: [`ListedDomain`], [`Hypervisor::domain_get_details`] and the bits named `EXACT` and `KEEP_KEYS`.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod auth;
mod code;
mod definition;
mod domain;
mod driver;
mod error;
mod event;
mod export;
mod flags;
mod hypervisor;
mod inspection;
mod interface;
mod migrate;
mod network;
mod node;
mod snapshot;
mod storage;
mod stream;
mod task;
mod typed_param;

pub use auth::{AuthCallback, CredentialRequest, CredentialType, Secret};
pub use code::{ErrorCode, ErrorDomain};
pub use definition::Definitions;
pub use domain::{
    Domain, DomainBlockDevice, DomainBlockInfo, DomainDetails, DomainInfo, DomainInterface,
    DomainInterfaceDevice, DomainMemoryStat, DomainSelector, DomainState, DomainStateReason,
    DomainStats, IpAddress, IpAddressType, ListedDomain, MemoryStatTag, MetadataType,
    MigratePrepared, SchedulerType, Screenshot, Snapshot,
};
pub use driver::{Driver, Unsupported};
pub use error::{Error, Result, check_flags};
pub use event::{DomainEvent, DomainEventId, DomainEventKind, DomainLifecycle, EventSubscription};
pub use export::{
    DomainExport, ExportDisk, ExportFile, ExportOptions, ExportPlan, ExportRole, ExportWay,
};
pub use flags::{
    ConnectFlags, DomainConsoleFlags, DomainCreateFlags, DomainDefineFlags, DomainDestroyFlags,
    DomainDeviceModifyFlags, DomainMemoryFlags, DomainModificationFlags, DomainRebootFlags,
    DomainShutdownFlags, DomainStatsFlags, DomainStatsTypes, DomainUndefineFlags, DomainVcpuFlags,
    DomainXmlFlags, InterfaceDefineFlags, InterfaceXmlFlags, ListAllDomainsFlags,
    ListAllInterfacesFlags, ListAllNetworksFlags, ListAllStoragePoolsFlags, MigrateFlags,
    NativeConversionFlags, NetworkDefineFlags, NetworkXmlFlags, NoFlags, SnapshotCreateFlags,
    SnapshotDeleteFlags, SnapshotListFlags, SnapshotRevertFlags, SnapshotXmlFlags,
    StorageVolCreateFlags, StorageVolDeleteFlags, StorageVolResizeFlags, StorageVolTransferFlags,
    StorageXmlFlags,
};
pub use hypervisor::Hypervisor;
pub use inspection::{DomainInspection, Finding, InspectedDisk, Severity};
pub use interface::{Interface, InterfaceHandle};
pub use migrate::{MigrateOptions, domain_migrate};
pub use network::{Network, NetworkHandle};
pub use node::{Feature, InterfaceAddressesSource, NodeInfo, Version};
pub use snapshot::Snapshots;
pub use storage::{
    ListedPool, ListedVolume, Storage, StoragePool, StoragePoolInfo, StoragePoolState, StorageVol,
    StorageVolInfo, StorageVolType,
};
pub use stream::{Chunk, Stream};
pub use task::{
    DomainProgress, DomainQuestion, ProgressCallback, ProgressStream, QuestionCallback,
    QuestionChoice, Questions, VolumeProgress,
};
pub use typed_param::{TypedParam, TypedValue};
