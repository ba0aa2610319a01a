//! A connection as a whole.

use async_trait::async_trait;

use crate::{
    Definitions, Error, Hypervisor, Interface, Network, ProgressStream, Questions, Result,
    Snapshots, Storage,
};

/// An open connection to a host: libvirt's `virConnectPtr` with its drivers.
#[async_trait]
pub trait Driver: Send + Sync {
    /// Domains, snapshots and the host itself.
    fn hypervisor(&self) -> &dyn Hypervisor;

    /// Storage pools and volumes. Unless overridden, nothing is supported.
    fn storage(&self) -> &dyn Storage {
        &Unsupported
    }

    /// Virtual networks. Unless overridden, nothing is supported.
    fn network(&self) -> &dyn Network {
        &Unsupported
    }

    /// Network interfaces of the host. Unless overridden, nothing is supported.
    fn interface(&self) -> &dyn Interface {
        &Unsupported
    }

    /// Questions of domains. Unless overridden, nothing is supported.
    fn questions(&self) -> &dyn Questions {
        &Unsupported
    }

    /// How far the operations of this connection are, from now on. Beyond libvirt, which tells it of migrations only and when asked.
    ///
    /// # Errors
    /// `VIR_ERR_NO_SUPPORT` unless overridden.
    fn progress(&self) -> Result<Box<dyn ProgressStream>> {
        Err(Error::no_support("progress"))
    }

    /// Ends the connection (`virConnectClose`): logs out of every session. A second call does nothing. Local
    /// resources are released even if it fails; dropping the driver without it leaves the session to the host.
    ///
    /// # Errors
    /// What kept the host from taking the logout.
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A driver part that supports nothing: each function answers `VIR_ERR_NO_SUPPORT`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unsupported;

impl Hypervisor for Unsupported {}

impl Definitions for Unsupported {}

impl Snapshots for Unsupported {}
impl Storage for Unsupported {}
impl Network for Unsupported {}
impl Interface for Unsupported {}
impl Questions for Unsupported {}
