//! Machines that dial over sockets of the loopback interface, with guests that echo.
#![allow(dead_code, reason = "each test uses some of it")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use esx_concentrator::{
    Address, Client, Console, ConsoleEvent, Identity, MachineListener, Server, Settings,
};
use esx_vi_client::{Thumbprint, TlsPolicy};
use esx_vspc::{Machine, MachineConfig, MachineEvent, message::Secret};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

pub(crate) const LONG: Duration = Duration::from_secs(20);
pub(crate) const TOKEN: &str = "0123456789abcdef";

pub(crate) fn uuid(n: u32) -> String {
    let digits = format!("{n:032x}");
    let pairs: Vec<&str> = (0..16).map(|at| &digits[2 * at..2 * at + 2]).collect();
    format!("{}-{}", pairs[..8].join(" "), pairs[8..].join(" "))
}

pub(crate) fn config(n: u32, label: &str) -> MachineConfig {
    MachineConfig {
        service_uri: format!("virtesx?port={label}"),
        name: format!("machine {n}"),
        uuid: uuid(n),
        ..MachineConfig::default()
    }
}

pub(crate) fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    Identity::from_pem(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes())
        .unwrap()
}

pub(crate) fn settings() -> Settings {
    Settings {
        machines: vec![MachineListener { address: "127.0.0.1:0".parse().unwrap(), tls: false }],
        clients: vec![Address::Tcp("127.0.0.1:0".to_owned())],
        token: Some(TOKEN.to_owned()),
        ..Settings::default()
    }
}

pub(crate) async fn client(server: &Server) -> Client {
    Client::connect(&server.client_addresses()[0], Some(TOKEN)).await.unwrap()
}

/// Attaches as soon as the port is there.
pub(crate) async fn attach(server: &Server, machine: &str) -> Console {
    let wait = async {
        loop {
            if let Ok(console) = client(server).await.attach(machine, None, <_>::default()).await {
                break console;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, wait).await.expect("a port")
}

/// Reads until the output ends with `end`.
pub(crate) async fn read_until(console: &mut Console, end: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    let read = async {
        while !data.ends_with(end) {
            match console.reader.next().await.unwrap() {
                Some(ConsoleEvent::Data(piece)) => data.extend_from_slice(&piece),
                Some(ConsoleEvent::Status(_)) => {}
                other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&data)),
            }
        }
    };
    let outcome = timeout(LONG, read).await;
    assert!(outcome.is_ok(), "only {:?}", String::from_utf8_lossy(&data));
    data
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A machine's end with its socket.
pub(crate) struct Wire {
    pub(crate) machine: Machine,
    pub(crate) stream: Box<dyn Stream>,
    /// What the guest was sent.
    pub(crate) heard: Vec<u8>,
}

impl Wire {
    pub(crate) async fn dial(address: SocketAddr, machine: Machine) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self { machine, stream: Box::new(stream), heard: Vec::new() }
    }

    pub(crate) async fn dial_tls(
        address: SocketAddr,
        machine: Machine,
        thumbprint: &str,
    ) -> std::io::Result<Self> {
        let stream: Box<dyn Stream> = Box::new(TcpStream::connect(address).await?);
        let stream = start_tls(stream, thumbprint).await?;
        Ok(Self { machine, stream, heard: Vec::new() })
    }

    /// Sends what there is and reads once. `false`: the other end closed.
    pub(crate) async fn turn(&mut self) -> bool {
        self.send().await;
        let mut space = vec![0; 4096];
        let length = self.stream.read(&mut space).await.unwrap_or(0);
        self.machine.receive(&space[..length]).unwrap();
        self.send().await;
        length > 0
    }

    pub(crate) async fn send(&mut self) {
        let out = self.machine.take_output();
        let _ = self.stream.write_all(&out).await;
        let _ = self.stream.flush().await;
    }

    /// Goes on until something other than data comes.
    pub(crate) async fn event(&mut self) -> Option<MachineEvent> {
        let next = async {
            loop {
                match self.machine.next_event() {
                    Some(MachineEvent::Data(data)) => self.heard.extend_from_slice(&data),
                    Some(event) => break Some(event),
                    None if self.turn().await => {}
                    None => break None,
                }
            }
        };
        timeout(LONG, next).await.expect("an event")
    }

    pub(crate) async fn accepted(mut self) -> Self {
        assert_eq!(self.event().await, Some(MachineEvent::Accepted));
        self
    }

    /// A guest that sends back what it is sent, until the connection ends.
    pub(crate) async fn echo(mut self) {
        loop {
            while let Some(event) = self.machine.next_event() {
                if let MachineEvent::Data(data) = event {
                    self.machine.write(&data);
                }
            }
            if !self.turn().await {
                break;
            }
        }
    }

    pub(crate) async fn write(&mut self, data: &[u8]) {
        self.machine.write(data);
        self.send().await;
    }

    pub(crate) async fn go_ahead(&mut self, sequence: &[u8]) -> Secret {
        self.machine.begin(sequence);
        match self.event().await {
            Some(MachineEvent::GoAhead(secret)) => secret,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn start_tls(
    stream: Box<dyn Stream>,
    thumbprint: &str,
) -> std::io::Result<Box<dyn Stream>> {
    let policy = TlsPolicy::Thumbprint(Thumbprint::parse(thumbprint).unwrap());
    let connector = tokio_rustls::TlsConnector::from(Arc::new(policy.client_config()?));
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    Ok(Box::new(connector.connect(name, stream).await?))
}

pub(crate) async fn echo_machine(server: &Server, n: u32, label: &str) {
    let machine = Machine::dial(config(n, label));
    let wire = Wire::dial(server.machine_addresses()[0], machine).await.accepted().await;
    tokio::spawn(wire.echo());
}
