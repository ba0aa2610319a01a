//! SOAP 1.1 envelopes: requests, responses and faults, typed and dynamic, both ends.

use crate::codec::Method;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::reader::{Element, Namespace, Reader};
use crate::schema::{self, WireType};
use crate::writer::Writer;
use crate::{ApiVersion, MoRef, Object, Value, dynamic};

/// How an envelope begins, up to and with the start of the body.
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soapenv:Envelope \
xmlns:soapenc=\"http://schemas.xmlsoap.org/soap/encoding/\" \
xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>";
const TAIL: &str = "</soapenv:Body></soapenv:Envelope>";

/// A request, ready to be sent.
#[derive(Debug)]
pub struct Encoded {
    /// The envelope.
    pub body: String,
    /// What was left out because the host's API is too old for it.
    pub withheld: Vec<String>,
}

fn request(
    method: &str,
    this: &MoRef,
    version: ApiVersion,
    args: impl FnOnce(&mut Writer),
) -> Encoded {
    let mut writer = Writer::new(version);
    writer.raw(HEAD);
    writer.raw(&format!("<{method} xmlns=\"urn:vim25\">"));
    writer.moref("_this", this, false);
    args(&mut writer);
    writer.close(method);
    writer.raw(TAIL);
    let (body, withheld) = writer.finish();
    Encoded { body, withheld }
}

/// The envelope that calls `method` on `this`, for a host that speaks `version`.
pub fn encode_call<M: Method>(method: &M, this: &MoRef, version: ApiVersion) -> Encoded {
    request(M::NAME, this, version, |writer| method.write_args(writer))
}

/// The envelope that calls the method `method` by name; `args` holds the parameters as members.
/// Parameters that the tables do not know follow the known ones.
pub fn encode_request(method: &str, this: &MoRef, args: &Object, version: ApiVersion) -> Encoded {
    let params = schema::method(method).map_or(&[][..], |(_, m)| m.params);
    request(method, this, version, |writer| {
        for param in params {
            if let Some(value) = args.get(param.name)
                && writer.knows(param.since, param.name)
            {
                dynamic::encode_member(param, value, writer);
            }
        }
        for (name, value) in args.iter().filter(|(name, _)| params.iter().all(|p| p.name != *name))
        {
            dynamic::encode_value(name, value, WireType::AnyType, writer);
        }
    })
}

/// What a host answered: the result is not yet read, the fault is.
#[derive(Debug)]
pub enum Reply<T> {
    /// The method's result.
    Result(T),
    /// The host refused the call.
    Fault(SoapFault),
}

/// A fault as it stands in a SOAP body.
#[derive(Clone, Debug, PartialEq)]
pub struct SoapFault {
    /// `faultcode`, for example `ServerFaultCode`.
    pub code: String,
    /// `faultstring`: localised text for people; never decide anything by it.
    pub message: String,
    /// The VI fault in `detail` with its type name; `None` if there is none.
    pub detail: Option<Object>,
}

impl SoapFault {
    /// The name of the VI fault's type, or the empty string.
    pub fn name(&self) -> &str {
        self.detail.as_ref().map_or("", |d| &d.type_name)
    }
}

/// Moves into `Envelope/Body` and hands out the body's first element.
fn body<'a>(reader: &mut Reader<'a>) -> Result<Element<'a>, DecodeError> {
    let wrong = |reader: &Reader<'_>, expected: &str, found: &str| {
        reader
            .error(DecodeErrorKind::Type { expected: expected.to_owned(), found: found.to_owned() })
    };
    let root = reader.next_child()?.ok_or_else(|| reader.error(DecodeErrorKind::Truncated))?;
    if root.namespace != Namespace::Soap || root.name != "Envelope" {
        return Err(wrong(reader, "a SOAP envelope", root.name));
    }
    while let Some(child) = reader.next_child()? {
        if child.name == "Body" && child.namespace == Namespace::Soap {
            return reader
                .next_child()?
                .ok_or_else(|| wrong(reader, "an element", "an empty body"));
        }
        reader.skip()?;
    }
    Err(wrong(reader, "a SOAP body", "an envelope without one"))
}

/// Reads the reply to `method`: `read` is given the reader inside the response element.
///
/// # Errors
/// If `text` is no SOAP reply to this method, or `read` fails.
pub fn decode_reply<'a, T>(
    method: &str,
    text: &'a str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Reply<T>, DecodeError> {
    let mut reader = Reader::new(text);
    let element = body(&mut reader)?;
    if element.namespace == Namespace::Soap && element.name == "Fault" {
        return decode_fault(&mut reader).map(Reply::Fault);
    }
    if element.name.strip_suffix("Response") != Some(method) {
        let found = element.name.to_owned();
        return Err(
            reader.error(DecodeErrorKind::Type { expected: format!("{method}Response"), found })
        );
    }
    let result = read(&mut reader)?;
    // What follows must still be well-formed: a reply that was cut is not a reply.
    while reader.next_child()?.is_some() {
        reader.skip()?;
    }
    while reader.next_child()?.is_some() {
        reader.skip()?;
    }
    Ok(Reply::Result(result))
}

/// Reads the result of a method by the schema tables: `None` if it returned nothing.
///
/// # Errors
/// As [`decode_reply`].
pub fn decode_response(method: &str, text: &str) -> Result<Reply<Option<Value>>, DecodeError> {
    let result = schema::method(method).and_then(|(_, m)| m.result);
    decode_reply(method, text, |reader| {
        let mut values = Vec::new();
        while let Some(child) = reader.next_child()? {
            values.push(dynamic::decode_value(result.map(|r| r.wire_type), &child, reader)?);
        }
        Ok(match result {
            Some(member) if member.array => (!values.is_empty())
                .then(|| crate::Array::new(member.wire_type.name(), values).into()),
            _ => values.pop(),
        })
    })
}

fn decode_fault(reader: &mut Reader<'_>) -> Result<SoapFault, DecodeError> {
    let mut fault = SoapFault { code: String::new(), message: String::new(), detail: None };
    while let Some(child) = reader.next_child()? {
        match child.name {
            "faultcode" => fault.code = reader.text()?.into_owned(),
            "faultstring" => fault.message = reader.text()?.into_owned(),
            "detail" => {
                while let Some(detail) = reader.next_child()? {
                    let named = detail.name.strip_suffix("Fault").unwrap_or(detail.name);
                    let name = detail.xsi_type.map_or(named, |t| t.name).to_owned();
                    fault.detail = Some(dynamic::decode_object(&name, reader)?);
                }
            }
            _ => reader.skip()?,
        }
    }
    Ok(fault)
}

/// A request as a server receives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The method's name.
    pub method: String,
    /// The managed object it is called on.
    pub this: MoRef,
    /// The parameters as members.
    pub args: Object,
}

/// Reads a request, by the schema tables.
///
/// # Errors
/// If the body is no SOAP request.
pub fn decode_request(text: &[u8]) -> Result<Request, DecodeError> {
    let (text, _) = crate::reader::repair(text);
    let mut reader = Reader::new(&text);
    let element = body(&mut reader)?;
    let method = element.name.to_owned();
    let params = schema::method(&method).map_or(&[][..], |(_, m)| m.params);
    let mut this = MoRef::default();
    let mut args = Object::new(format!("{method}RequestType"));
    while let Some(child) = reader.next_child()? {
        if child.name == "_this" {
            this = crate::Decode::decode(&child, &mut reader)?;
            continue;
        }
        let param = params.iter().find(|p| p.name == child.name);
        let name: std::borrow::Cow<'static, str> =
            param.map_or_else(|| child.name.to_owned().into(), |p| p.name.into());
        let value = dynamic::decode_value(param.map(|p| p.wire_type), &child, &mut reader)?;
        match (param, args.get_mut(child.name)) {
            (Some(p), None) if p.array => {
                args.set(name, crate::Array::new(p.wire_type.name(), vec![value]))
            }
            (_, Some(Value::Array(array))) => array.items.push(value),
            _ => args.set(name, value),
        }
    }
    Ok(Request { method, this, args })
}

/// The envelope of a server's answer to `method`; what `version` does not know is withheld.
pub fn encode_response(method: &str, result: Option<&Value>, version: ApiVersion) -> String {
    let declared = schema::method(method)
        .and_then(|(_, m)| m.result)
        .map_or(WireType::AnyType, |r| r.wire_type);
    let mut writer = Writer::new(version);
    writer.raw(HEAD);
    writer.raw(&format!("<{method}Response xmlns=\"urn:vim25\">"));
    if let Some(result) = result {
        for item in result.items() {
            dynamic::encode_value("returnval", item, declared, &mut writer);
        }
    }
    writer.raw(&format!("</{method}Response>"));
    writer.raw(TAIL);
    writer.finish().0
}

/// The envelope of a server's fault, with the VI fault `fault` in its detail.
pub fn encode_fault(
    code: &str,
    message: &str,
    fault: Option<&Object>,
    version: ApiVersion,
) -> String {
    let mut writer = Writer::new(version);
    writer.raw(HEAD);
    writer.raw("<soapenv:Fault>");
    writer.element("faultcode", code);
    writer.element("faultstring", message);
    if let Some(fault) = fault {
        // The content of the detail is in the host's namespace, its element named after the type.
        let mut inner = Writer::new(version);
        let element = format!("{}Fault", fault.type_name);
        dynamic::encode_object(&element, fault, true, &mut inner);
        let (markup, _) = inner.finish();
        writer.raw("<detail>");
        writer.raw(&markup.replacen(
            &format!("<{element} "),
            &format!("<{element} xmlns=\"urn:vim25\" "),
            1,
        ));
        writer.raw("</detail>");
    }
    writer.raw("</soapenv:Fault>");
    writer.raw(TAIL);
    writer.finish().0
}

#[cfg(test)]
mod tests;
