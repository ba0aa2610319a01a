//! The only place that names a driver and the simulator.

use std::path::PathBuf;
use std::sync::Arc;

use esx_driver::{Environment, OpenOptions};
use virt_api::{AuthCallback, Driver, Error, ErrorDomain};

use crate::progress::Progress;

/// Opens a connection; the driver looks for auth files where libvirt does.
///
/// # Errors
/// What the driver says.
pub(crate) async fn open(
    uri: &str,
    read_only: bool,
    auth: Arc<dyn AuthCallback>,
    progress: Option<Arc<Progress>>,
) -> Result<Arc<dyn Driver>, Error> {
    let options = OpenOptions {
        read_only,
        auth: Some(auth),
        progress: progress.map(|progress| progress as _),
        ..OpenOptions::default()
    };
    Ok(Arc::new(esx_driver::open(uri, options).await?))
}

/// A running simulated host of this process; it ends when this is dropped.
pub(crate) struct Simulator(esx_sim::Running);

impl Simulator {
    /// Starts the built-in simulated host on a free port of the loopback interface.
    ///
    /// # Errors
    /// If it cannot listen there.
    pub(crate) async fn start() -> Result<Self, Error> {
        let running = esx_sim::Simulator::builder().start().await.map_err(|error| {
            Error::internal(ErrorDomain::None, "cannot start the built-in simulated host")
                .with_source(error)
        })?;
        Ok(Self(running))
    }

    /// Opens a connection to it. Auth files are left alone: they are about real hosts.
    ///
    /// # Errors
    /// What the driver says.
    pub(crate) async fn open(
        &self,
        read_only: bool,
        progress: Option<Arc<Progress>>,
    ) -> Result<Arc<dyn Driver>, Error> {
        let auth = crate::auth::Known::new(self.0.username(), self.0.password());
        // No file can be below this path.
        let environment =
            Environment { etc_dir: PathBuf::from("/dev/null"), ..Environment::default() };
        let options = OpenOptions {
            read_only,
            auth: Some(Arc::new(auth)),
            environment: Some(environment),
            progress: progress.map(|progress| progress as _),
            ..OpenOptions::default()
        };
        Ok(Arc::new(esx_driver::open(&self.0.uri(), options).await?))
    }
}
