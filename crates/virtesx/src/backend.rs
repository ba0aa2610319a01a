//! The only place that names a driver and the simulator.

use std::sync::Arc;

use virt_api::{AuthCallback, Driver, Error};

/// Opens a connection.
///
/// # Errors
/// What the driver says.
pub(crate) async fn open(
    uri: &str,
    read_only: bool,
    auth: Arc<dyn AuthCallback>,
) -> Result<Arc<dyn Driver>, Error> {
    let _ = (uri, read_only, auth);
    Err(Error::no_support("virConnectOpenAuth"))
}

/// A running simulated host of this process; it ends when this is dropped.
pub(crate) struct Simulator;

impl Simulator {
    /// Where it listens: an `esx://` URI on loopback.
    pub(crate) fn uri(&self) -> String {
        String::new()
    }

    /// Who may log in.
    pub(crate) fn username(&self) -> &str {
        ""
    }

    /// The password.
    pub(crate) fn password(&self) -> &str {
        ""
    }
}

/// Starts the built-in simulated host.
///
/// # Errors
/// If it cannot listen on loopback.
pub(crate) async fn start_simulator() -> Result<Simulator, Error> {
    Err(Error::no_support("sim:///"))
}
