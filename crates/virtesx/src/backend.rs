//! The only place that names a driver, the simulator and the VMX converter.

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

/// A converted text and what got lost on the way.
pub(crate) struct Converted {
    /// The text.
    pub(crate) text: String,
    /// What could not be converted, one line each.
    pub(crate) warnings: Vec<String>,
}

/// A VMX file as domain XML, without any host.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn vmx_to_xml(vmx: &[u8], exact: bool) -> Result<Converted, Error> {
    let _ = (vmx, exact);
    Err(Error::no_support("virConnectDomainXMLFromNative"))
}

/// Domain XML as a VMX file, without any host.
///
/// # Errors
/// What is wrong with the document.
pub(crate) fn xml_to_vmx(xml: &str, exact: bool) -> Result<Converted, Error> {
    let _ = (xml, exact);
    Err(Error::no_support("virConnectDomainXMLToNative"))
}
