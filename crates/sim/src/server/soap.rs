//! `/sdk`: SOAP in, SOAP out.

use std::time::Duration;

use esx_vi_api::{ApiVersion, Value, soap};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderMap, HeaderValue, SET_COOKIE};

use super::{Reply, Shared, response, session_cookie, xml};
use crate::model::{Answer, Caller, Fault};

/// The first version whose hosts take an unknown newer version for their own newest.
const LENIENT: ApiVersion = ApiVersion::new(5, 0, 0, 0);

/// The method that a request calls, if it can be read.
pub(super) fn method(body: &[u8]) -> Option<String> {
    soap::decode_request(body).ok().map(|request| request.method)
}

/// Answers a SOAP request.
pub(super) async fn post(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Reply {
    let newest = shared.model().api_version();
    let action = headers.get("SOAPAction").and_then(|value| value.to_str().ok());
    let request = match soap::decode_request(body) {
        Ok(request) => request,
        Err(error) => {
            return fault(
                &Fault::invalid_request(format!("cannot read the request: {error}")),
                newest,
            );
        }
    };
    let dialect = match dialect(action, newest) {
        Ok(dialect) => dialect,
        Err(code) => {
            let action = action.unwrap_or_default().trim_matches('"');
            let message = format!("Unsupported version URI \"{action}\"");
            let reply = coded_fault(code, &Fault::invalid_request(message), newest);
            return Reply { method: request.method, ..reply };
        }
    };
    if request.method == "Login"
        && let Some(most) = shared.model().session_limit_reached()
    {
        let text = format!("Out of HTTP sessions: Limited to {most}\n");
        let text = response(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", text);
        return Reply { method: request.method, ..Reply::of(text) };
    }
    let cookie = session_cookie(headers);
    let session = cookie.and_then(|cookie| shared.model().session_key(cookie).map(str::to_owned));
    let arrived = shared.now();
    let mut now = arrived;
    // Subscribed before the model is asked, so that no change falls in between.
    let mut changes = shared.generation.subscribe();
    let answer = loop {
        changes.mark_unchanged();
        let caller = Caller { cookie, dialect, now, arrived };
        match shared.with_model(|model| model.call(&request, &caller)) {
            Ok(Answer::Wait { until }) => {
                let left = until.map_or(Duration::MAX, |until| until.0.saturating_sub(now.0));
                tokio::select! {
                    // An error means that the server is going.
                    _ = changes.changed() => {}
                    () = sleep(left) => {}
                }
                now = shared.now().max(arrived);
                if now == arrived {
                    // The model takes equal times for a new call.
                    now.0 += Duration::from_nanos(1);
                }
            }
            other => break other,
        }
    };
    let reply = |value: Option<&Value>| {
        xml(StatusCode::OK, soap::encode_response(&request.method, value, dialect))
    };
    let mut reply = match answer {
        Ok(Answer::Result(value)) => {
            Reply { response: reply(value.as_ref()), method: String::new(), session }
        }
        Ok(Answer::LoggedIn(value, cookie)) => {
            let mut response = reply(Some(&value));
            if let Some(header) = shared.set_cookie(&cookie) {
                response.headers_mut().insert(SET_COOKIE, header);
            }
            let session = shared.model().session_key(&cookie).map(str::to_owned);
            Reply { response, method: String::new(), session }
        }
        Ok(Answer::Wait { .. }) => fault(&Fault::invalid_request("still waiting"), dialect),
        Err(refusal) => Reply { session, ..fault(&refusal, dialect) },
    };
    reply.response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply.method = request.method;
    reply
}

/// Sleeps; for ever, if `duration` is the greatest there is.
async fn sleep(duration: Duration) {
    if duration == Duration::MAX {
        std::future::pending().await
    } else {
        tokio::time::sleep(duration).await
    }
}

fn fault(fault: &Fault, dialect: ApiVersion) -> Reply {
    let code = match fault.detail.type_name.as_ref() {
        "InvalidRequest" | "MethodNotFound" => "ClientFaultCode",
        _ => "ServerFaultCode",
    };
    coded_fault(code, fault, dialect)
}

fn coded_fault(code: &str, fault: &Fault, dialect: ApiVersion) -> Reply {
    let body = soap::encode_fault(code, &fault.message, Some(&fault.detail), dialect);
    Reply {
        response: xml(StatusCode::INTERNAL_SERVER_ERROR, body),
        method: String::new(),
        session: None,
    }
}

/// The API version that a request asks for by its `SOAPAction`, `urn:vim25/8.0.2.0`, or the fault code of the refusal.
///
/// Without one it gets the oldest. What the server does not know, newer clients ask for: since 5.0 hosts then speak
/// their newest version, before they refused. Another namespace is always refused.
fn dialect(action: Option<&str>, newest: ApiVersion) -> Result<ApiVersion, &'static str> {
    let action = action.unwrap_or_default().trim().trim_matches('"');
    if matches!(action, "" | "urn:vim25") {
        return Ok(ApiVersion::V2_5);
    }
    let version = action.strip_prefix("urn:vim25/").ok_or("ClientFaultCode")?;
    match ApiVersion::parse(version) {
        Some(version) if (ApiVersion::V2_5..=newest).contains(&version) => Ok(version),
        _ if newest >= LENIENT => Ok(newest),
        _ => Err("VersionMismatchFaultCode"),
    }
}

/// `vimServiceVersions.xml`: what clients read to choose a version.
pub(super) fn versions(newest: ApiVersion) -> String {
    let prior: String = [
        "8.0.1.0", "8.0.0.1", "7.0.3.0", "7.0.0.0", "6.7.3", "6.7.1", "6.7", "6.5", "6.0", "5.5",
        "5.1", "5.0", "4.1", "4.0", "2.5u2", "2.5",
    ]
    .into_iter()
    .filter(|text| ApiVersion::parse(text).is_some_and(|version| version < newest))
    .map(|text| format!("<version>{text}</version>"))
    .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<namespaces version=\"1.0\"><namespace><name>urn:vim25</name>\
         <version>{newest}</version><priorVersions>{prior}</priorVersions></namespace></namespaces>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects() {
        for (newest, action, expect) in [
            ("6.7", None, Ok("2.5")),
            ("6.7", Some(""), Ok("2.5")),
            ("6.7", Some("\"\""), Ok("2.5")),
            ("6.7", Some("urn:vim25"), Ok("2.5")),
            ("6.7", Some("urn:vim25/4.0"), Ok("4.0")),
            ("6.7", Some("\"urn:vim25/6.7\""), Ok("6.7")),
            ("6.7", Some("urn:vim25/8.0.2.0"), Ok("6.7")),
            ("6.7", Some("urn:vim25/x"), Ok("6.7")),
            ("6.7", Some("urn:vim2/2.0"), Err("ClientFaultCode")),
            ("4.1", Some("urn:vim25/4.1"), Ok("4.1")),
            ("4.1", Some("urn:vim25/5.0"), Err("VersionMismatchFaultCode")),
            ("2.5", Some("urn:vim25/4.0"), Err("VersionMismatchFaultCode")),
        ] {
            let found = dialect(action, ApiVersion::parse(newest).unwrap());
            assert_eq!(
                found,
                expect.map(|text| ApiVersion::parse(text).unwrap()),
                "{newest} {action:?}"
            );
        }
    }
}
