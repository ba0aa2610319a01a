//! A connection to one VI API endpoint: service content, login, method calls.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use esx_vi_api::data::{ServiceContent, UserSession};
use esx_vi_api::methods::{Login, Logout, RetrieveServiceContent};
use esx_vi_api::soap::{self, Encoded, Reply, SoapFault};
use esx_vi_api::{ApiVersion, DecodeError, Method, MoRef};
use tracing::Instrument as _;

use crate::error::{Error, Fault, Result};
use crate::{CallOptions, Endpoint, Transport};

/// The newest API that our types describe; newer hosts are spoken to in it.
const NEWEST: ApiVersion = ApiVersion::new(8, 0, 2, 0);
/// Where SOAP is served.
const SDK: &str = "/sdk";
/// The language of fault messages and event texts. Only people read them (server fact 26).
const LOCALE: &str = "en_US";

/// A connection to one endpoint. Cheap to clone; clones share the session. Dropping it does not
/// log out: call [`Client::logout`].
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    transport: Transport,
    content: ServiceContent,
    version: ApiVersion,
    soap_action: String,
    /// Collectors of watches that have ended.
    collectors: Mutex<Vec<MoRef>>,
}

impl Client {
    /// Asks the endpoint what it is (`RetrieveServiceContent`): one request, no login yet.
    ///
    /// The question goes out without an API version, which every host understands; from then on the
    /// connection speaks `about.apiVersion`, or our newest version if the host's is newer still.
    ///
    /// # Errors
    /// If the endpoint cannot be reached or is no VMware host.
    pub async fn connect(endpoint: Endpoint) -> Result<Self> {
        let transport = Transport::new(endpoint)?;
        let this = MoRef::new("ServiceInstance", "ServiceInstance");
        let encoded = soap::encode_call(&RetrieveServiceContent {}, &this, ApiVersion::V2_5);
        let options = transport.options();
        let content =
            exchange::<RetrieveServiceContent>(&transport, "urn:vim25", &this, encoded, options)
                .await?;
        let spoken = ApiVersion::parse(&content.about.api_version);
        let (version, soap_action) = match spoken {
            Some(host) if host <= NEWEST => {
                (host, format!("urn:vim25/{}", content.about.api_version))
            }
            Some(_) => (NEWEST, format!("urn:vim25/{NEWEST}")),
            // A version that cannot be read: the oldest dialect is what is left.
            None => (ApiVersion::V2_5, "urn:vim25".to_owned()),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                transport,
                content,
                version,
                soap_action,
                collectors: Mutex::default(),
            }),
        })
    }

    /// What the host offers (VI API `ServiceContent`).
    pub fn content(&self) -> &ServiceContent {
        &self.inner.content
    }

    /// The API version that the connection speaks.
    pub fn api_version(&self) -> ApiVersion {
        self.inner.version
    }

    /// The HTTP layer below, with its counters.
    pub fn transport(&self) -> &Transport {
        &self.inner.transport
    }

    /// Opens a session. VI API `SessionManager.Login`.
    ///
    /// # Errors
    /// A fault `InvalidLogin` if name or password are wrong; `NoPermission` if the user may not log in.
    pub async fn login(&self, user_name: &str, password: &str) -> Result<UserSession> {
        let this = self.service("sessionManager", &self.inner.content.session_manager)?;
        let mut login = Login {
            user_name: user_name.to_owned(),
            password: password.to_owned(),
            locale: Some(LOCALE.to_owned()),
        };
        self.inner.transport.clear_session();
        match self.call(this, &login).await {
            Err(error) if error.is_fault("InvalidLocale") => {
                login.locale = None;
                self.call(this, &login).await
            }
            result => result,
        }
    }

    /// Ends the session. VI API `SessionManager.Logout`.
    ///
    /// # Errors
    /// If the host could not be told. The session is forgotten here in any case.
    pub async fn logout(&self) -> Result<()> {
        let this = self.service("sessionManager", &self.inner.content.session_manager)?;
        let result = self.call(this, &Logout {}).await;
        self.inner.transport.clear_session();
        result
    }

    /// A member of the service content that a call cannot do without.
    ///
    /// # Errors
    /// [`Error::NoService`] if the host does not offer it.
    pub fn service<'a>(&self, name: &'static str, moref: &'a Option<MoRef>) -> Result<&'a MoRef> {
        moref.as_ref().ok_or(Error::NoService(name))
    }

    /// Calls a method. The call is sent once: nothing here repeats it.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn call<M: Method + Sync>(&self, this: &MoRef, method: &M) -> Result<M::Output> {
        let idle = self.inner.transport.options().idle;
        self.call_within(this, method, idle).await
    }

    /// As [`Client::call`], for a call during which the host may be silent for `idle` (`None`: for ever).
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn call_within<M: Method + Sync>(
        &self,
        this: &MoRef,
        method: &M,
        idle: Option<Duration>,
    ) -> Result<M::Output> {
        let version = self.inner.version;
        if M::SINCE > version {
            return Err(Error::TooOld { method: M::NAME, since: M::SINCE, version });
        }
        let encoded = soap::encode_call(method, this, version);
        let options = CallOptions { idle, ..self.inner.transport.options() };
        exchange::<M>(&self.inner.transport, &self.inner.soap_action, this, encoded, options).await
    }

    /// A collector that an ended watch has left, if there is one.
    pub(crate) fn take_collector(&self) -> Option<MoRef> {
        self.inner.collectors.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps a collector for the next watch, unless `most` are kept already.
    pub(crate) fn keep_collector(&self, collector: MoRef, most: usize) {
        let mut collectors = self.inner.collectors.lock().unwrap_or_else(PoisonError::into_inner);
        if collectors.len() < most {
            collectors.push(collector);
        }
    }

    /// Posts an envelope and hands the body of the reply to `decode`: for replies that are not read
    /// by a [`Method`].
    pub(crate) async fn exchange_with<T>(
        &self,
        method: &'static str,
        this: &MoRef,
        encoded: Encoded,
        decode: impl FnOnce(&[u8]) -> Result<Reply<T>, DecodeError>,
    ) -> Result<T> {
        let transport = &self.inner.transport;
        post(transport, method, &self.inner.soap_action, this, encoded, transport.options(), decode)
            .await
    }

    /// The time limit that a login or logout at the end of a program should be given.
    pub const FAREWELL: Duration = Duration::from_secs(5);
}

async fn exchange<M: Method>(
    transport: &Transport,
    soap_action: &str,
    this: &MoRef,
    encoded: Encoded,
    options: CallOptions,
) -> Result<M::Output> {
    post(transport, M::NAME, soap_action, this, encoded, options, |body| {
        let (text, repaired) = esx_vi_api::repair(body);
        if repaired > 0 {
            tracing::warn!(method = M::NAME, repaired, "the reply has characters that XML forbids");
        }
        soap::decode_reply(M::NAME, &text, M::read_output)
    })
    .await
}

async fn post<T>(
    transport: &Transport,
    method: &'static str,
    soap_action: &str,
    this: &MoRef,
    encoded: Encoded,
    options: CallOptions,
    decode: impl FnOnce(&[u8]) -> Result<Reply<T>, DecodeError>,
) -> Result<T> {
    let span = tracing::debug_span!("call", method, moref = %this);
    async move {
        for withheld in &encoded.withheld {
            tracing::warn!(withheld, "not sent: the host's API does not know it");
        }
        let reply = transport.post_with(SDK, soap_action, encoded.body, options).await?;
        let endpoint = || transport.endpoint().to_string();
        match decode(&reply.body) {
            Ok(Reply::Result(result)) => Ok(result),
            Ok(Reply::Fault(SoapFault { code, message, detail })) => {
                let name = detail.as_ref().map_or(code, |d| d.type_name.clone().into_owned());
                tracing::debug!(fault = name, "refused");
                let fault = Box::new(Fault { name, message, detail });
                Err(Error::Fault { method, target: this.clone(), fault })
            }
            Err(source) => match foreign(reply.content_type.as_deref(), &reply.body) {
                Some(found) => Err(Error::NotVi { endpoint: endpoint(), method, found }),
                None => Err(Error::Decode { endpoint: endpoint(), method, source }),
            },
        }
    }
    .instrument(span)
    .await
}

/// What a body is that certainly is no SOAP; `None` if it may be one.
fn foreign(content_type: Option<&str>, body: &[u8]) -> Option<String> {
    let start = body.trim_ascii_start();
    let kind = content_type.map(|t| t.split(';').next().unwrap_or(t).trim().to_ascii_lowercase());
    if start.is_empty() {
        return Some("an empty reply".to_owned());
    }
    let html = [&b"<!doctype html"[..], b"<html"]
        .iter()
        .any(|mark| start.get(..mark.len()).is_some_and(|s| s.eq_ignore_ascii_case(mark)));
    if html || kind.as_deref() == Some("text/html") {
        return Some("an HTML page".to_owned());
    }
    if !start.starts_with(b"<") {
        let kind: String =
            kind.unwrap_or_else(|| "no content type".to_owned()).chars().take(80).collect();
        return Some(format!("something that is not XML ({kind})"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_soap_is_named() {
        for (content_type, body, expected) in [
            (Some("text/html; charset=utf-8"), "<p>login</p>", Some("an HTML page")),
            (None, " <!DOCTYPE HTML><html>", Some("an HTML page")),
            (Some("application/json"), "{}", Some("something that is not XML (application/json)")),
            (Some("text/xml"), "", Some("an empty reply")),
            (Some("text/xml"), "<soapenv:Envelope", None),
        ] {
            assert_eq!(foreign(content_type, body.as_bytes()).as_deref(), expected, "{body}");
        }
    }
}
