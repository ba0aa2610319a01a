//! Screenshots (spec `domain.md` 10.1).

use async_trait::async_trait;
use esx_vi_client::{Body, TransportError};
use tokio::sync::Mutex;
use virt_api::{
    Chunk, Domain, DomainState, Error, ErrorCode, ErrorDomain, NoFlags, Result, Screenshot, Stream,
    check_flags,
};

use super::lookup::Wanted;
use crate::connection::Session;
use crate::error::vi_error;

const PNG: &str = "image/png";

impl Session {
    /// libvirt `virDomainScreenshot`: the host's picture, passed on as it comes. Unlike libvirt, an answer that is no
    /// picture is an error before anything is returned. Who may only read does not see what is on a screen.
    pub(crate) async fn screenshot(
        &self,
        domain: &Domain,
        screen: u32,
        flags: NoFlags,
    ) -> Result<Screenshot> {
        self.check_writable("virDomainScreenshot")?;
        check_flags("virDomainScreenshot", flags, NoFlags::empty())?;
        if screen != 0 {
            let message = format!("there is the screen 0 only, not {screen}");
            return Err(Error::invalid_arg(ErrorDomain::Esx, message));
        }
        let unsupported = || {
            let message = "the host has no screenshots";
            Error::new(ErrorCode::OperationUnsupported, ErrorDomain::Esx, message)
        };
        if !self.facts().await?.screenshots {
            return Err(unsupported());
        }
        let found = self.find_domain(domain, Wanted::default()).await?;
        if found.machine.state != DomainState::Running {
            let message =
                format!("domain {:?} is {}, not running", domain.name, found.machine.state);
            return Err(Error::new(ErrorCode::OperationInvalid, ErrorDomain::Esx, message));
        }
        let what = format!("cannot take a screenshot of domain {:?}", domain.name);
        let reply = match self.client.screen(&found.machine.moref).await {
            Ok(reply) => reply,
            Err(esx_vi_client::Error::Transport(TransportError::Status {
                status: 404, ..
            })) => {
                return Err(unsupported());
            }
            Err(error) => return Err(vi_error(&what, error)),
        };
        let kind = reply.content_type.unwrap_or_else(|| PNG.to_owned());
        if !kind.starts_with("image/") {
            let message = format!("{what}: the host sent {kind:?} and no picture");
            return Err(Error::internal(ErrorDomain::Esx, message));
        }
        let stream = Box::new(Picture { left: Mutex::new(Some(reply.body)), what });
        Ok(Screenshot { mime_type: kind, stream })
    }
}

/// A picture on its way.
struct Picture {
    /// What is still to come; `None` at the end.
    left: Mutex<Option<Body>>,
    what: String,
}

#[async_trait]
impl Stream for Picture {
    async fn recv(&self) -> Result<Option<Chunk>> {
        let mut left = self.left.lock().await;
        let Some(body) = left.as_mut() else { return Ok(None) };
        let result = body.chunk().await;
        match result {
            Ok(Some(bytes)) => Ok(Some(Chunk::Data(bytes))),
            Ok(None) => {
                *left = None;
                Ok(None)
            }
            Err(error) => {
                *left = None;
                Err(vi_error(&self.what, error.into()))
            }
        }
    }

    async fn finish(&self) -> Result<()> {
        match self.left.lock().await.take() {
            None => Ok(()),
            Some(_) => {
                let message = "the picture has not been read to its end";
                Err(Error::internal(ErrorDomain::Streams, message))
            }
        }
    }

    async fn abort(&self) -> Result<()> {
        self.left.lock().await.take();
        Ok(())
    }
}
