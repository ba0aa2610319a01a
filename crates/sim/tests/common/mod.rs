//! HTTP and SOAP by hand: these tests share no code with our client.

use std::net::SocketAddr;

use esx_sim::Running;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The text of the first element with this local name.
    pub(crate) fn element(&self, name: &str) -> Option<String> {
        let document = roxmltree::Document::parse(self.text()).unwrap();
        let node = document.descendants().find(|node| node.tag_name().name() == name)?;
        Some(node.text().unwrap_or_default().to_owned())
    }

    /// The type of the fault in the detail.
    pub(crate) fn fault(&self) -> Option<String> {
        let document = roxmltree::Document::parse(self.text()).unwrap();
        let detail = document.descendants().find(|node| node.tag_name().name() == "detail")?;
        let fault = detail.first_element_child()?;
        fault.attribute(("http://www.w3.org/2001/XMLSchema-instance", "type")).map(str::to_owned)
    }

    /// The session cookie as it is sent back: name and value.
    pub(crate) fn cookie(&self) -> String {
        self.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned()
    }
}

/// Sends bytes and reads until the server closes.
pub(crate) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: &[u8],
) -> Answer {
    stream.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a complete head");
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Answer { status, headers, body: bytes[end + 4..].to_vec() }
}

/// The bytes of a request; `headers` are whole lines.
pub(crate) fn request(method: &str, target: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[&str],
    body: &str,
) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    exchange(stream, &request(method, target, headers, body)).await
}

/// The envelope around a body, as libvirt writes it.
pub(crate) fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soapenv:Envelope \
         xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    )
}

/// A client in one API version, with or without a session.
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) action: Option<&'static str>,
    pub(crate) cookie: Option<String>,
}

impl Client {
    pub(crate) fn new(sim: &Running, action: Option<&'static str>) -> Self {
        Self { address: sim.address(), action, cookie: None }
    }

    pub(crate) async fn logged_in(sim: &Running, action: Option<&'static str>) -> Self {
        let mut client = Self::new(sim, action);
        let answer = client.call(&login("user", "pass")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        client.cookie = Some(answer.cookie());
        client
    }

    pub(crate) async fn call(&self, body: &str) -> Answer {
        let action = self.action.map(|action| format!("SOAPAction: {action}"));
        let cookie = self.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}"));
        let mut headers = vec!["Content-Type: text/xml; charset=UTF-8"];
        headers.extend(action.as_deref());
        headers.extend(cookie.as_deref());
        send(self.address, "POST", "/sdk", &headers, &envelope(body)).await
    }

    pub(crate) async fn get(&self, target: &str, header: &str) -> Answer {
        let cookie = self.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}"));
        let mut headers = Vec::from_iter(cookie.as_deref());
        headers.extend((!header.is_empty()).then_some(header));
        send(self.address, "GET", target, &headers, "").await
    }
}

pub(crate) const CONTENT: &str = r#"<RetrieveServiceContent xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this></RetrieveServiceContent>"#;
pub(crate) const CURRENT_TIME: &str = r#"<CurrentTime xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this></CurrentTime>"#;

pub(crate) fn login(user: &str, password: &str) -> String {
    format!(
        r#"<Login xmlns="urn:vim25"><_this xmlns="urn:vim25" xsi:type="ManagedObjectReference" type="SessionManager">ha-sessionmgr</_this><userName xmlns="urn:vim25" xsi:type="xsd:string">{user}</userName><password xmlns="urn:vim25" xsi:type="xsd:string">{password}</password></Login>"#
    )
}

/// All machines of the host with some properties.
pub(crate) fn list(method: &str, paths: &[&str], options: &str) -> String {
    let paths: String = paths.iter().map(|path| format!("<pathSet>{path}</pathSet>")).collect();
    format!(
        r#"<{method} xmlns="urn:vim25"><_this type="PropertyCollector">ha-property-collector</_this><specSet><propSet><type>VirtualMachine</type>{paths}</propSet><objectSet><obj type="HostSystem">ha-host</obj><skip>false</skip><selectSet xsi:type="TraversalSpec"><name>hostSystemToVm</name><type>HostSystem</type><path>vm</path><skip>false</skip></selectSet></objectSet></specSet>{options}</{method}>"#
    )
}
