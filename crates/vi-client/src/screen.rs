//! Pictures of machines' screens, over `/screen` (spec `domain.md` 10.1).

use esx_escape::url;
use esx_vi_api::MoRef;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::{GetReply, TransportError};

impl Client {
    /// Starts the download of a picture of a machine's screen. The status has been checked, the picture is still
    /// to come. A server that does not take the session's cookie there is shown name and password, as libvirt does
    /// from the start.
    ///
    /// # Errors
    /// Any [`TransportError`]: status 401 if the host takes neither, 404 if it has no pictures.
    pub async fn screen(&self, machine: &MoRef) -> Result<GetReply> {
        let path = format!("/screen?id={}", url::encode(&machine.value));
        let session = self.session_number();
        let refused = match self.transport().get(&path, None).await {
            Err(error @ TransportError::Status { status: 401 | 403, .. }) => error,
            result => return Ok(result?),
        };
        if self.heal(session).await? {
            match self.transport().get(&path, None).await {
                Err(TransportError::Status { status: 401 | 403, .. }) => {}
                result => return Ok(result?),
            }
        }
        match self.credentials().await {
            Some(login) => {
                Ok(self.transport().get_as(&path, &login.user_name, &login.password).await?)
            }
            None => Err(Error::from(refused)),
        }
    }
}
