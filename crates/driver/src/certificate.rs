//! The certificate of a server that may not be trusted yet, for the person who decides.

use esx_vi_client::{Certificate, TlsPolicy, Transport};
use virt_api::{Error, ErrorDomain, Result};

use crate::error::vi_error;
use crate::uri::ConnectionUri;

/// The certificate that the server of a URI presents, and where that server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCertificate {
    /// The host, an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What the certificate says.
    pub certificate: Certificate,
}

impl ServerCertificate {
    /// `host:port`.
    pub fn server(&self) -> String {
        esx_vi_client::Endpoint::new(esx_vi_client::Scheme::Https, &*self.host, self.port)
            .to_string()
    }
}

/// Asks the server of a connection URI for its certificate. Nothing is sent but the request for the page `/`: no name,
/// no password, no session. Proxy and time limits are those of the URI.
///
/// # Errors
/// `VIR_ERR_INVALID_ARG` for a bad URI or one without TLS; the fitting code if the server cannot be reached.
pub async fn server_certificate(uri: &str) -> Result<ServerCertificate> {
    let uri = ConnectionUri::parse(uri).map_err(|e| {
        Error::invalid_arg(ErrorDomain::Esx, format!("cannot use the connection URI: {e}"))
    })?;
    let endpoint = uri.endpoint(TlsPolicy::NoVerify);
    let what = format!("cannot ask {endpoint} for its certificate");
    let failed = |e: esx_vi_client::TransportError| vi_error(&what, e.into());
    let certificate =
        Transport::new(endpoint).map_err(failed)?.certificate().await.map_err(failed)?;
    Ok(ServerCertificate { host: uri.host().to_owned(), port: uri.port(), certificate })
}
