//! A concentrator over sockets: machines, consoles, moves, TLS, logs, refusals.

mod common;

use std::{net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use common::{
    LONG, TOKEN, Wire, attach, client, config, echo_machine, identity, read_until, settings,
    start_tls, uuid,
};
use esx_concentrator::{
    Address, Claim, Client, Config, ConsoleEvent, Error, MachineListener, Mode, PortKey, Server,
    Settings, Status, Verified, Verifier,
};
use esx_vspc::{Direction, Limits, Machine, MachineConfig, MachineEvent, Timeouts};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

#[tokio::test]
async fn many_machines_and_several_clients() {
    let server = Server::start(settings(), None).await.unwrap();
    for n in 0..20 {
        echo_machine(&server, n, "0").await;
    }
    echo_machine(&server, 0, "1").await;
    let ports = client(&server).await.list().await.unwrap();
    assert_eq!(ports.len(), 21);
    let port = &ports[1];
    assert_eq!((port.key.label.as_str(), port.name.as_str()), ("1", "machine 0"));
    assert_eq!((port.status, port.clients), (Status::Up, 0));

    let mut one = attach(&server, "machine 7").await;
    let mut other = attach(&server, "00000000-0000-0000-0000-000000000007#0").await;
    assert_eq!(other.port, "00000000-0000-0000-0000-000000000007#0");
    one.writer.write(b"hello\xff\r").await.unwrap();
    assert_eq!(read_until(&mut one, b"\r").await, b"hello\xff\r");
    assert_eq!(read_until(&mut other, b"\r").await, b"hello\xff\r");
    // Who comes later sees what was said.
    let mut late = attach(&server, "machine 7").await;
    assert_eq!(read_until(&mut late, b"\r").await, b"hello\xff\r");
    // What cannot be had, and why.
    let refused =
        async |machine: &str, mode| match client(&server).await.attach(machine, None, mode).await {
            Err(Error::Refused(why)) => why,
            _ => panic!("attached"),
        };
    assert_eq!(refused("machine 0", Mode::Shared).await, "the machine has several ports: 0, 1");
    assert!(refused("nobody", Mode::Shared).await.contains("has connected"));
    assert!(refused("machine 7", Mode::Exclusive).await.contains("another client"));
    server.shutdown().await;
}

#[tokio::test]
async fn bare_bytes_for_other_programs() {
    let server = Server::start(settings(), None).await.unwrap();
    echo_machine(&server, 3, "0").await;
    let Address::Tcp(address) = &server.client_addresses()[0] else { panic!("tcp") };
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("TOKEN {TOKEN}\r\nATTACH machine%203 shared raw\r\nping\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut expected = format!("OK {}#0\n", uuid_text(3)).into_bytes();
    expected.extend_from_slice(b"ping\n");
    let mut got = vec![0; expected.len()];
    timeout(LONG, stream.read_exact(&mut got)).await.unwrap().unwrap();
    assert_eq!(got, expected);
}

fn uuid_text(n: u32) -> String {
    esx_vspc::MachineId::parse(esx_vspc::UuidKind::Instance, &uuid(n)).unwrap().to_string()
}

/// The machine moves ten times while its guest writes and a client types: both streams arrive whole.
#[tokio::test]
async fn moves_while_a_client_types() {
    let server = Server::start(settings(), None).await.unwrap();
    let address = server.machine_addresses()[0];
    let mut wire = Wire::dial(address, Machine::dial(config(1, "0"))).await.accepted().await;
    let console = attach(&server, "machine 1").await;
    let (mut reader, mut writer) = (console.reader, console.writer);
    let typed: Vec<u8> =
        (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let typing = {
        let typed = typed.clone();
        tokio::spawn(async move {
            for piece in typed.chunks(977) {
                writer.write(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            writer
        })
    };
    let reading = tokio::spawn(async move {
        let mut read = Vec::new();
        while !read.ends_with(b"the end") {
            match reader.next().await.unwrap() {
                Some(ConsoleEvent::Data(data)) => read.extend_from_slice(&data),
                Some(ConsoleEvent::Status(status)) => assert_ne!(status, Status::Down),
                other => panic!("{other:?}"),
            }
        }
        read
    });
    let (mut written, mut heard) = (Vec::new(), Vec::new());
    for round in 0..10_u8 {
        let says = [round | 0xf0; 3000];
        wire.write(&says).await;
        written.extend_from_slice(&says);
        let secret = wire.go_ahead(&[round, 0xff, 0, 1]).await;
        heard.append(&mut wire.heard);
        let target = Machine::arrive(config(1, "0"), vec![round, 0xff, 0, 1], secret);
        let mut target = Wire::dial(address, target).await;
        assert_eq!(target.event().await, Some(MachineEvent::PeerOk));
        // The source's end before or after the target's word.
        if round % 2 == 0 {
            drop(wire);
            target.machine.complete();
            target.send().await;
        } else {
            target.machine.complete();
            target.send().await;
            drop(wire);
        }
        wire = target;
    }
    wire.write(b"the end").await;
    written.extend_from_slice(b"the end");
    let left = async {
        while heard.len() + wire.heard.len() < typed.len() {
            while let Some(event) = wire.machine.next_event() {
                if let MachineEvent::Data(data) = event {
                    wire.heard.extend_from_slice(&data);
                }
            }
            if heard.len() + wire.heard.len() < typed.len() {
                assert!(wire.turn().await);
            }
        }
    };
    timeout(LONG, left).await.unwrap();
    heard.append(&mut wire.heard);
    assert!(heard == typed, "the guest heard something else than was typed");
    assert!(timeout(LONG, reading).await.unwrap().unwrap() == written);
    drop(typing.await.unwrap());
    let ports = client(&server).await.list().await.unwrap();
    assert_eq!((ports.len(), ports[0].status), (1, Status::Up));
}

fn secure() -> Settings {
    Settings {
        machines: vec![
            MachineListener { address: "127.0.0.1:0".parse().unwrap(), tls: true },
            MachineListener { address: "127.0.0.1:0".parse().unwrap(), tls: false },
        ],
        clients: vec![Address::Tls { authority: "127.0.0.1:0".to_owned(), thumbprint: None }],
        identity: Some(identity()),
        require_tls: true,
        ..settings()
    }
}

#[tokio::test]
async fn tls_for_machines_and_clients() {
    let settings = secure();
    let sha1 = settings.identity.as_ref().unwrap().sha1().to_owned();
    let server = Server::start(settings, None).await.unwrap();
    let [first, clear] = *server.machine_addresses() else { panic!("two listeners") };
    let wire = Wire::dial_tls(first, Machine::dial(config(1, "0")), &sha1).await.unwrap();
    tokio::spawn(wire.accepted().await.echo());
    // The client checks the certificate by the thumbprint in the address.
    let mut console = attach(&server, "machine 1").await;
    console.writer.write(b"secret\n").await.unwrap();
    assert_eq!(read_until(&mut console, b"\n").await, b"secret\n");
    let Address::Tls { authority, .. } = server.client_addresses()[0].clone() else {
        panic!("tls")
    };
    let wrong = Address::Tls { authority, thumbprint: Some(["00"; 32].join(":")) };
    assert!(matches!(Client::connect(&wrong, Some(TOKEN)).await, Err(Error::Connect { .. })));
    assert!(
        Wire::dial_tls(first, Machine::dial(config(2, "0")), &["00"; 20].join(":")).await.is_err()
    );

    // A connection in clear that starts TLS by itself, and goes on inside.
    let offers = MachineConfig { offer_tls: true, ..config(3, "0") };
    let mut wire = Wire::dial(clear, Machine::dial(offers)).await;
    let Some(MachineEvent::StartTls(rest)) = wire.event().await else { panic!("no TLS") };
    assert_eq!(rest, [0_u8; 0]);
    let Wire { mut machine, stream, heard } = wire;
    let stream = start_tls(stream, &sha1).await.unwrap();
    machine.tls_established();
    let wire = Wire { machine, stream, heard };
    tokio::spawn(wire.accepted().await.echo());
    let mut console = attach(&server, "machine 3").await;
    console.writer.write(b"inside\n").await.unwrap();
    assert_eq!(read_until(&mut console, b"\n").await, b"inside\n");

    // One that does not is refused.
    let mut wire = Wire::dial(clear, Machine::dial(config(4, "0"))).await;
    assert_eq!(wire.event().await, Some(MachineEvent::Refused));
    assert_eq!(wire.event().await, None);
    // Telnet on the port of TLS, and TLS on the port of telnet, cost a socket each.
    let mut wire =
        Wire::dial(first, Machine::dial(MachineConfig { offer_tls: true, ..config(5, "0") })).await;
    assert_eq!(wire.event().await, None);
    assert!(Wire::dial_tls(clear, Machine::dial(config(6, "0")), &sha1).await.is_err());
    // A scanner that comes and goes.
    drop(TcpStream::connect(first).await.unwrap());
    assert_eq!(client(&server).await.list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn hosts_that_may_come() {
    let allow = vec!["127.0.0.2".parse().unwrap(), "127.0.4.0/24".parse().unwrap()];
    let server = Server::start(Settings { allow, ..settings() }, None).await.unwrap();
    for (from, may) in [("127.0.0.1:0", false), ("127.0.0.2:0", true), ("127.0.4.9:0", true)] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(from.parse().unwrap()).unwrap();
        let mut stream = socket.connect(server.machine_addresses()[0]).await.unwrap();
        let mut first = [0; 3];
        let read = timeout(LONG, stream.read_exact(&mut first)).await.unwrap();
        assert_eq!(read.is_ok(), may, "{from}");
    }
}

struct Book;

#[async_trait]
impl Verifier for Book {
    async fn verify(
        &self,
        port: &PortKey,
        claim: &Claim,
        peer: IpAddr,
    ) -> Result<Verified, String> {
        assert!(peer.is_loopback() && claim.service_uri.starts_with("virtesx"));
        let known = port.machine.to_string() == uuid_text(1);
        known.then_some(Verified::Claim).ok_or_else(|| "not known".to_owned())
    }
}

#[tokio::test]
async fn machines_that_are_checked() {
    let server = Server::start(settings(), Some(Arc::new(Book))).await.unwrap();
    let address = server.machine_addresses()[0];
    echo_machine(&server, 1, "0").await;
    let mut wire = Wire::dial(address, Machine::dial(config(2, "0"))).await;
    assert_eq!(wire.event().await, Some(MachineEvent::Refused));
    assert_eq!(wire.event().await, None, "and closed");
}

#[tokio::test]
async fn logs_of_what_machines_write() {
    let folder = tempfile::tempdir().unwrap();
    let log_dir = Some(folder.path().join("logs"));
    let settings = Settings { log_dir, log_bytes: 8, ..settings() };
    let server = Server::start(settings, None).await.unwrap();
    let address = server.machine_addresses()[0];
    let mut wire = Wire::dial(address, Machine::dial(config(1, "0"))).await.accepted().await;
    let mut console = attach(&server, "machine 1").await;
    for line in ["first line\n", "second\n"] {
        wire.write(line.as_bytes()).await;
        read_until(&mut console, line.as_bytes()).await;
    }
    server.shutdown().await;
    let file = folder.path().join("logs").join(format!("{}-0.log", uuid_text(1)));
    assert_eq!(std::fs::read(&file).unwrap(), b"second\n");
    assert_eq!(std::fs::read(file.with_extension("log.1")).unwrap(), b"first line\n");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn who_may_have_consoles() {
    let server = Server::start(settings(), None).await.unwrap();
    let address = &server.client_addresses()[0];
    for token in [None, Some("0123456789abcdeg"), Some("")] {
        let refused = Client::connect(address, token).await.unwrap().list().await;
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    }
    // On the network not without a token, beyond loopback not without TLS, and TLS not without a certificate.
    for wrong in [
        Settings { token: None, ..settings() },
        Settings { token: Some("short".to_owned()), ..settings() },
        Settings { clients: vec![Address::Tcp("0.0.0.0:0".to_owned())], ..settings() },
        Settings { identity: None, ..secure() },
    ] {
        assert!(matches!(Server::start(wrong, None).await, Err(Error::Settings(_))));
    }
    // A socket in the file system is its owner's, and needs none.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vspc.sock");
    let own = || Settings { clients: vec![Address::Unix(path.clone())], ..settings() };
    let server = Server::start(own(), None).await.unwrap();
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let client = Client::connect(&server.client_addresses()[0], None).await.unwrap();
    assert_eq!(client.list().await.unwrap(), []);
    // Another server does not take it away; one that is dead leaves its place.
    assert!(matches!(Server::start(own(), None).await, Err(Error::Listen { .. })));
    drop(server);
    assert!(!path.exists());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    Server::start(own(), None).await.unwrap();
}

#[tokio::test]
async fn garbage_silence_and_slowness() {
    let timeouts = Timeouts { extension: Duration::from_millis(50), ..Timeouts::default() };
    let limits = Limits { client_queue_bytes: 64 << 10, ..Limits::default() };
    let config_ = Config { timeouts, limits, ..Config::default() };
    let server = Server::start(Settings { config: config_, ..settings() }, None).await.unwrap();
    let address = server.machine_addresses()[0];
    // A peer that says nothing is let go.
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut said = Vec::new();
    timeout(LONG, silent.read_to_end(&mut said)).await.unwrap().unwrap();
    assert!(said.ends_with(&[255, 250, 232, 73, 255, 240]), "WONT-PROXY comes last");
    // Garbage on both listeners.
    let Address::Tcp(clients) = &server.client_addresses()[0] else { panic!("tcp") };
    for address in [address.to_string(), clients.clone()] {
        for piece in
            [&b"GET / HTTP/1.1\r\n\r\n"[..], &[255; 9999], &[0x16, 3, 1, 2, 0], &[b'x'; 9999]]
        {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            let _ = stream.write_all(piece).await;
        }
    }
    // A client that does not read: the machine is not slowed down, the client is let go.
    let mut wire = Wire::dial(address, Machine::dial(config(1, "0"))).await.accepted().await;
    let mut slow = attach(&server, "machine 1").await;
    let chunk = vec![b'x'; 64 << 10];
    for _ in 0..400 {
        timeout(LONG, wire.write(&chunk)).await.expect("the machine was slowed down");
    }
    let end = async {
        loop {
            match slow.reader.next().await {
                Ok(Some(ConsoleEvent::End(why))) => break why,
                Ok(Some(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(timeout(LONG, end).await.unwrap(), "the client reads too slowly");
    let ports = client(&server).await.list().await.unwrap();
    assert_eq!((ports.len(), ports[0].clients), (1, 0));
}

/// Who types what a machine does not take is let go and told so, and is not waited for.
#[tokio::test]
async fn a_machine_that_takes_nothing_ends_its_console() {
    let timeouts = Timeouts {
        stuck: Duration::from_millis(100),
        goodbye: Duration::from_secs(60),
        ..Timeouts::default()
    };
    let config_ = Config { timeouts, ..Config::default() };
    let server = Server::start(Settings { config: config_, ..settings() }, None).await.unwrap();
    let address = server.machine_addresses()[0];
    // It does not read from here on.
    let _wire = Wire::dial(address, Machine::dial(config(1, "0"))).await.accepted().await;
    let Address::Tcp(clients) = &server.client_addresses()[0] else { panic!("tcp") };
    let client_ = TcpStream::connect(clients.as_str()).await.unwrap();
    let (mut answers, mut typed) = client_.into_split();
    let attach = format!("TOKEN {TOKEN}\nATTACH machine%201 shared\n");
    typed.write_all(attach.as_bytes()).await.unwrap();
    let flood = async {
        // Frames of 16 KiB: kind, length, data.
        let mut frame = vec![0, 0x40, 0];
        frame.extend_from_slice(&[b'x'; 16 << 10]);
        while typed.write_all(&frame).await.is_ok() {}
    };
    let told = async {
        let mut all = Vec::new();
        // What it had sent and nobody has read may end the connection hard.
        let _ = answers.read_to_end(&mut all).await;
        all
    };
    let (_, all) = timeout(LONG, async { tokio::join!(flood, told) }).await.expect("it was kept");
    assert!(String::from_utf8_lossy(&all).contains("takes nothing of what is typed"));
    let ports = client(&server).await.list().await.unwrap();
    assert_eq!((ports.len(), ports[0].clients), (1, 0));
}

/// Who is let go is not waited for, though it reads nothing of what it is still to be told: neither machine nor client.
#[tokio::test]
async fn peers_that_do_not_read_are_closed_all_the_same() {
    let timeouts = Timeouts { goodbye: Duration::from_millis(50), ..Timeouts::default() };
    let config_ = Config { timeouts, ..Config::default() };
    let server = Server::start(Settings { config: config_, ..settings() }, None).await.unwrap();
    let address = server.machine_addresses()[0];
    let deaf = async || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket
    };
    // Each code that is unknown is answered, until too many answers wait. Then it is closed, and its sending fails.
    let mut machine = deaf().await.connect(address).await.unwrap();
    let opening = [255, 251, 232, 255, 253, 0, 255, 251, 0, 255, 253, 3, 255, 251, 3];
    machine.write_all(&opening).await.unwrap();
    let questions = [255, 250, 232, 99, 255, 240].repeat(4096);
    let flood = async { while machine.write_all(&questions).await.is_ok() {} };
    timeout(LONG, flood).await.expect("it was never closed");
    timeout(LONG, async {
        while server.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("the connection was kept");
    // A client that watches and does not read; the machine says much.
    let mut wire = Wire::dial(address, Machine::dial(config(1, "0"))).await.accepted().await;
    attach(&server, "machine 1").await;
    let Address::Tcp(clients) = &server.client_addresses()[0] else { panic!("tcp") };
    let mut client_ = deaf().await.connect(clients.parse().unwrap()).await.unwrap();
    let attach = format!("TOKEN {TOKEN}\nATTACH machine%201 shared raw\n");
    client_.write_all(attach.as_bytes()).await.unwrap();
    let chunk = vec![b'x'; 64 << 10];
    let closed = async {
        loop {
            wire.write(&chunk).await;
            // What it types is taken as long as it is there.
            if client_.write_all(b"x").await.is_err() {
                break;
            }
        }
    };
    timeout(LONG, closed).await.expect("the client was kept");
}

#[tokio::test]
async fn what_is_not_dialled() {
    let start =
        async |dial: Vec<String>| Server::start(Settings { dial, ..settings() }, None).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap();
    let wants = || MachineConfig {
        direction: Direction::Client,
        service_uri: format!("tcp://{own}"),
        ..config(1, "0")
    };
    // Off by default.
    let server = start(Vec::new()).await.unwrap();
    let mut wire = Wire::dial(server.machine_addresses()[0], Machine::dial(wants())).await;
    assert_eq!(wire.event().await, Some(MachineEvent::Refused));
    // Never ourselves, not even if it is in the list.
    let server = start(vec![own.to_string()]).await.unwrap();
    let wire = Wire::dial(server.machine_addresses()[0], Machine::dial(wants())).await;
    tokio::spawn(wire.accepted().await.echo());
    let mut console = attach(&server, "machine 1").await;
    console.writer.write(b"x").await.unwrap();
    read_until(&mut console, b"x").await;
    assert!(timeout(Duration::from_millis(100), listener.accept()).await.is_err());
}
