//! The body of a reply, read under the idle timeout and the size bound.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;

use super::Transport;
use super::error::{CloseStage, TransportError, Waiting};

/// Most bytes set aside on the word of a `Content-Length`; more is granted as it arrives.
const MAX_PREALLOCATION: u64 = 1 << 20;

/// What is still to be read of a reply. Dropping it gives up the rest and its connection.
pub struct Body {
    transport: Transport,
    response: Response,
    idle: Option<Duration>,
    /// What takes the place of `idle` once something has come.
    afterwards: Option<Duration>,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("endpoint", self.transport.endpoint()).finish_non_exhaustive()
    }
}

impl Body {
    pub(super) fn new(transport: Transport, response: Response, idle: Option<Duration>) -> Self {
        Self { transport, response, idle, afterwards: idle }
    }

    /// For a reply that may begin late: a long silence was granted for that, not for the middle. Once something has come, the
    /// endpoint's own limit holds if it is shorter.
    pub(super) fn then_as_usual(mut self) -> Self {
        let usual = self.transport.options().idle;
        self.afterwards = match (self.idle, usual) {
            (Some(granted), Some(usual)) => Some(granted.min(usual)),
            (granted, usual) => granted.or(usual),
        };
        self
    }

    /// The next piece; `None` at the end, which is only reported if the server sent all it announced.
    ///
    /// # Errors
    /// [`TransportError::Timeout`] after the idle time without a byte, [`TransportError::Closed`] if the connection
    /// ends early, [`TransportError::BadContent`] if the content cannot be decoded.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        let reading = self.response.chunk();
        match self.transport.bounded(self.idle, Waiting::Content, reading).await? {
            Ok(chunk) => {
                let bytes = chunk.as_ref().map_or(0, Bytes::len);
                self.transport.inner.stats.received(bytes);
                if bytes > 0 {
                    self.idle = self.afterwards;
                }
                Ok(chunk)
            }
            Err(error) => Err(self.transport.classify(error, CloseStage::InReply)),
        }
    }

    /// All of it, if it is not more than `limit` bytes.
    ///
    /// # Errors
    /// As for [`chunk`](Self::chunk), and [`TransportError::TooLarge`] as soon as the bound is passed or a longer
    /// content is announced.
    pub async fn collect(mut self, limit: u64) -> Result<Bytes, TransportError> {
        let announced = self.response.content_length().unwrap_or(0);
        let too_large = |transport: &Transport| TransportError::TooLarge {
            endpoint: transport.endpoint().to_string(),
            limit,
        };
        if announced > limit {
            return Err(too_large(&self.transport));
        }
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() as u64 > limit {
            return Err(too_large(&self.transport));
        }
        // Small replies come in one piece and need no copy.
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut all = BytesMut::with_capacity(announced.min(MAX_PREALLOCATION) as usize);
        all.extend_from_slice(&first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if (all.len() + chunk.len()) as u64 > limit {
                return Err(too_large(&self.transport));
            }
            all.extend_from_slice(&chunk);
            next = self.chunk().await?;
        }
        Ok(all.freeze())
    }
}
