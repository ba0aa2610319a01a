//! Consoles through the built program: a simulated host whose machines dial, `vspc serve`, `console`, `vspc list`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use esx_sim::Simulator;

use crate::common::{self, Home};

/// Ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Host {
    host: common::Host,
    /// `vspc serve`, and where hosts connect to it.
    server: Server,
    proxy: String,
}

impl Host {
    fn start(arguments: &[&str]) -> Self {
        let host = common::Host::start(Simulator::builder().vms(2).dial_consoles(true));
        let socket = socket(&host.home);
        let listen = ["vspc", "serve", "--listen", "127.0.0.1:0", "--clients", &socket];
        let mut serve = host.command(&listen);
        serve.args(arguments);
        let mut server = Server(serve.stdout(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let proxy = first.strip_prefix("hosts connect to ").unwrap().to_owned();
        let second = lines.next().unwrap().unwrap();
        assert_eq!(second, format!("consoles are at {socket}"));
        Self { host, server, proxy }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.command(arguments);
        command.env("VIRTESX_VSPC", socket(&self.host.home));
        command
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn good(&self, arguments: &[&str], input: &str) -> String {
        common::good(arguments, self.run(arguments, input))
    }

    fn bad(&self, arguments: &[&str]) -> String {
        common::bad(arguments, self.run(arguments, ""))
    }

    /// Runs `vspc list` until a line is as wanted.
    fn listed(&self, wanted: impl Fn(&str) -> bool) -> String {
        for _ in 0..200 {
            let list = self.good(&["vspc", "list"], "");
            if let Some(line) = list.lines().find(|line| wanted(line)) {
                return line.to_owned();
            }
        }
        panic!("it was never listed");
    }

    fn stop(self) {
        drop(self.server);
        self.host.stop();
    }
}

fn socket(home: &Home) -> String {
    format!("unix:{}", home.path("vspc.sock").display())
}

#[test]
fn a_console_is_added_opened_and_left() {
    let host = Host::start(&["--verify", "--allow", "127.0.0.0/8"]);
    // Without a port, one sentence says how to get one.
    let domain = "vm-00001";
    let told = host.bad(&["console", domain]);
    assert!(told.contains("virtesx console vm-00001 --add --proxy telnet://HOST:13370"), "{told}");
    let added = host.good(&["console", domain, "--add", "--proxy", &host.proxy], "");
    assert_eq!(added, "Serial port 0 added; start the domain for its console\n\n");
    let xml = host.good(&["dumpxml", domain], "");
    assert!(xml.contains(&format!("proxy='{}'", host.proxy)), "{xml}");
    let told = host.bad(&["console", domain]);
    assert!(told.contains("has not connected to the concentrator at unix:"), "{told}");
    host.good(&["start", domain], "");
    host.listed(|line| line.contains(" up ") && line.ends_with(domain));
    // What is typed comes back, in a pipe without what could steer a terminal.
    let heard = host.good(&["console", domain], "root\x1b[2J\r");
    assert!(heard.contains("vm-00001 login: root"), "{heard:?}");
    assert!(!heard.contains('\x1b'), "{heard:?}");
    // Who only watches types nothing, and sees what was said.
    let heard = host.good(&["console", domain, "--read-only-console"], "nothing");
    assert!(heard.contains("login: root") && !heard.contains("nothing"), "{heard:?}");
    assert!(host.bad(&["console", domain, "--port", "3"]).contains("has no serial port 3"));
    // A machine that ends leaves its port.
    host.good(&["destroy", domain], "");
    host.listed(|line| line.contains(" down ") && line.ends_with(domain));
    host.stop();
}

/// The test is the host: it serves the machine's port itself, as bare bytes and as telnet.
#[test]
fn a_port_that_its_host_serves() {
    let host = Host::start(&[]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let add = |number: u32, protocol: &str| {
        let path = host.host.home.path("serial.xml");
        let xml = format!(
            "<serial type='tcp'><source mode='bind' host='' service='{port}'/><protocol type='{protocol}'/>\
             <target port='{number}'/></serial>"
        );
        std::fs::write(&path, xml).unwrap();
        host.good(&["attach-device", "vm-00001", path.to_str().unwrap()], "");
    };
    for (number, protocol) in [(0, "raw"), (1, "telnet"), (2, "tls")] {
        add(number, protocol);
    }
    // Says these bytes, and returns what comes until the other end leaves.
    let serve = |says: &'static [u8]| {
        let listener = listener.try_clone().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(says).unwrap();
            let mut heard = Vec::new();
            std::io::Read::read_to_end(&mut stream, &mut heard).unwrap();
            heard
        })
    };
    let line = serve(b"login: \xff\r\n");
    let shown = host.run(&["console", "vm-00001"], "root\r");
    assert!(shown.status.success(), "{shown:?}");
    assert!(shown.stdout.starts_with(b"login: \xff\r\n"), "{shown:?}");
    assert_eq!(line.join().unwrap(), b"root\r");
    // WILL AUTHENTICATION, which is refused; agreement to the four wishes; a doubled FF.
    let line =
        serve(b"\xff\xfb\x25\xff\xfd\x00\xff\xfb\x00\xff\xfd\x03\xff\xfb\x03hello \xff\xff\r\n");
    let shown = host.run(&["console", "vm-00001", "--port", "1"], "");
    assert!(shown.stdout.starts_with(b"hello \xff\r\n"), "{shown:?}");
    let heard = line.join().unwrap();
    assert!(heard.starts_with(b"\xff\xfb\x00\xff\xfd\x00\xff\xfb\x03\xff\xfd\x03"), "{heard:?}");
    assert!(heard.ends_with(b"\xff\xfe\x25"), "{heard:?}");
    assert!(host.bad(&["console", "vm-00001", "--port", "2"]).contains("openssl s_client"));
    drop(listener);
    let told = host.bad(&["console", "vm-00001"]);
    assert!(told.contains("ruleset remoteSerialPort"), "{told}");
    host.stop();
}

#[test]
fn another_machine_is_not_believed() {
    let host = Host::start(&["--verify"]);
    host.good(&["console", "vm-00001", "--add", "--proxy", &host.proxy], "");
    host.good(&["start", "vm-00001"], "");
    host.listed(|line| line.ends_with("vm-00001"));
    // It says the name of one machine, and the identifier of another.
    let address = host.proxy.strip_prefix("telnet://").unwrap().to_owned();
    let mut liar = esx_vspc::Machine::dial(esx_vspc::MachineConfig {
        service_uri: "virtesx?port=0".to_owned(),
        name: "vm-00002".to_owned(),
        uuid: "00 11 22 33 44 55 66 77-88 99 aa bb cc dd ee ff".to_owned(),
        ..esx_vspc::MachineConfig::default()
    });
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let event = loop {
        if let Some(event) = liar.next_event() {
            break event;
        }
        stream.write_all(&liar.take_output()).unwrap();
        let mut space = [0; 1024];
        let length = std::io::Read::read(&mut stream, &mut space).unwrap();
        assert!(length > 0, "closed without an answer");
        liar.receive(&space[..length]).unwrap();
    };
    assert_eq!(event, esx_vspc::MachineEvent::Refused);
    let list = host.good(&["vspc", "list"], "");
    assert!(!list.contains("vm-00002"), "{list}");
    host.stop();
}

#[test]
fn settings_that_cannot_be_served() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_virtesx"))
            .args(["vspc", "serve"])
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(run(&["--clients", "127.0.0.1:0"]).contains("token"));
    assert!(run(&["--listen", "somewhere"]).contains("'somewhere' is no address and port"));
    assert!(run(&["--allow", "1.2.3.4/40"]).contains("'1.2.3.4/40' is no address"));
    assert!(run(&["--listen-tls", "127.0.0.1:0"]).contains("--certificate"));
}
