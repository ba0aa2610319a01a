//! Events about domains (libvirt `virConnectDomainEventRegisterAny`).

use async_trait::async_trait;

use crate::{Domain, Result};

/// Which kind of event is wanted (libvirt `virDomainEventID`; those a VMware host can tell of).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum DomainEventId {
    /// Started, stopped, defined, ... (`VIR_DOMAIN_EVENT_ID_LIFECYCLE`)
    Lifecycle = 0,
    /// Rebooted from inside (`VIR_DOMAIN_EVENT_ID_REBOOT`)
    Reboot = 1,
    /// The balloon changed (`VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE`)
    BalloonChange = 13,
    /// The guest agent came or went (`VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE`)
    AgentLifecycle = 18,
    /// Title, description or other metadata changed (`VIR_DOMAIN_EVENT_ID_METADATA_CHANGE`)
    MetadataChange = 23,
}

impl DomainEventId {
    /// libvirt's number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// What happened in a domain's life (libvirt `virDomainEventType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum DomainLifecycle {
    /// `VIR_DOMAIN_EVENT_DEFINED`
    Defined = 0,
    /// `VIR_DOMAIN_EVENT_UNDEFINED`
    Undefined = 1,
    /// `VIR_DOMAIN_EVENT_STARTED`
    Started = 2,
    /// `VIR_DOMAIN_EVENT_SUSPENDED`
    Suspended = 3,
    /// `VIR_DOMAIN_EVENT_RESUMED`
    Resumed = 4,
    /// `VIR_DOMAIN_EVENT_STOPPED`
    Stopped = 5,
    /// `VIR_DOMAIN_EVENT_SHUTDOWN`
    Shutdown = 6,
    /// `VIR_DOMAIN_EVENT_PMSUSPENDED`
    PmSuspended = 7,
    /// `VIR_DOMAIN_EVENT_CRASHED`
    Crashed = 8,
}

impl DomainLifecycle {
    /// libvirt's number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// The part of an event that depends on its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DomainEventKind {
    /// A life-cycle step; `detail` is libvirt's number for its reason, 0 if unknown.
    Lifecycle {
        /// The step.
        event: DomainLifecycle,
        /// Reason, numbered per step (such as `virDomainEventStartedDetailType`).
        detail: u32,
    },
    /// The guest rebooted.
    Reboot,
    /// The domain's current memory is now `actual_kib`.
    BalloonChange {
        /// Current memory in KiB.
        actual_kib: u64,
    },
    /// VMware Tools (the agent) started or stopped answering.
    AgentLifecycle {
        /// Whether it answers now.
        connected: bool,
    },
    /// Metadata of the type with libvirt's number `kind` changed.
    MetadataChange {
        /// `virDomainMetadataType`: 0 description, 1 title, 2 element.
        kind: u32,
    },
}

impl DomainEventKind {
    /// The subscription this event belongs to.
    #[must_use]
    pub const fn id(&self) -> DomainEventId {
        match self {
            Self::Lifecycle { .. } => DomainEventId::Lifecycle,
            Self::Reboot => DomainEventId::Reboot,
            Self::BalloonChange { .. } => DomainEventId::BalloonChange,
            Self::AgentLifecycle { .. } => DomainEventId::AgentLifecycle,
            Self::MetadataChange { .. } => DomainEventId::MetadataChange,
        }
    }
}

/// Something that happened to a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainEvent {
    /// The domain, as it is after the event.
    pub domain: Domain,
    /// What happened.
    pub kind: DomainEventKind,
}

/// A running registration; dropping it ends it.
#[async_trait]
pub trait EventSubscription: Send {
    /// Waits for the next event; `None` once the connection is closed. Safe to drop while pending: nothing is lost.
    ///
    /// # Errors
    /// What ended the stream of events other than a regular close.
    async fn next(&mut self) -> Result<Option<DomainEvent>>;
}
