//! `console`: the text console of a domain, through a serial port concentrator.

use std::io::Write as _;
use std::time::Duration;

use clap::ArgMatches;
use esx_concentrator::{
    Access, Address, Client, Console, ConsoleEvent, Events, Mode, Status, connect_direct,
};
use esx_vmx_domain::{DirectPort, NetworkPorts};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::mpsc;
use virt_api::{
    Domain, DomainDeviceModifyFlags, DomainXmlFlags, Error, ErrorCode, ErrorDomain, Hypervisor,
};
use virt_xml::Element;
use virt_xml::domain::VMWARE_NAMESPACE;

use super::plain::{Outcome, Plain, option, request, shown, switch};
use crate::command::{Group, required_value};
use crate::commands::domain::{domain_argument, lookup};
use crate::failure::{Context, system, usage};
use crate::file::read_text;
use crate::render::{Done, Text};
use crate::session::Session;

mod terminal;

use terminal::{Keys, Raw, Screen};

/// Ctrl-], as in virsh and telnet.
const ESCAPE: u8 = 0x1d;
/// Without a terminal, what is typed may end before the machine has answered.
const ANSWER: Duration = Duration::from_secs(1);

/// Pieces that wait for a machine that does not read.
const TYPED: usize = 64;

/// `console`
pub(crate) static CONSOLE: Plain = Plain {
    name: "console",
    group: Group::Domain,
    summary: "Connect to the text console of a domain",
    details: "The domain needs a serial port behind a concentrator, to which its host connects; 'virtesx vspc serve' is one.\n\
        Ctrl-] leaves. --add adds such a port if there is none; the domain should be off then. Without a terminal, standard\n\
        input is typed, and escape sequences are left out of what the domain answers.",
    usage: "DOMAIN",
    arguments: |command| {
        with_concentrator(domain_argument(command))
            .arg(
                option("port", "NUMBER", "Number of the serial port (default: the first one)")
                    .value_parser(clap::value_parser!(u32)),
            )
            .arg(switch("read-only-console", "Only watch").conflicts_with("exclusive"))
            .arg(switch("exclusive", "Be the only one who writes"))
            .arg(
                switch("force", "End the sessions of others who write")
                    .conflicts_with("read-only-console"),
            )
            .arg(switch("add", "Add a serial port if there is none").requires("proxy"))
            .arg(
                option(
                    "proxy",
                    "URI",
                    "The concentrator, as the host reaches it: telnet:// or telnets://",
                )
                .requires("add"),
            )
    },
    request: |matches| {
        let wish = Wish::read(matches)?;
        let name = required_value(matches, "domain")?;
        Ok(request(async move |session: &Session| {
            let hypervisor = session.hypervisor().await?;
            let domain = lookup(hypervisor, &name).await?;
            wish.run(session, hypervisor, &domain).await
        }))
    },
};

/// Adds the options that lead to a concentrator.
pub(super) fn with_concentrator(command: clap::Command) -> clap::Command {
    command
        .arg(option(
            "concentrator",
            "ADDRESS",
            "unix:PATH, HOST:PORT or tls://HOST:PORT#thumbprint=X (default: VIRTESX_VSPC, else the user's own)",
        ))
        .arg(option("token-file", "FILE", "File with the concentrator's token"))
}

/// Where the concentrator is, and what it is to be shown.
pub(super) fn concentrator(matches: &ArgMatches) -> Result<Access, Error> {
    let given = matches.get_one::<String>("concentrator").cloned();
    let address = match given.or_else(|| std::env::var("VIRTESX_VSPC").ok()) {
        Some(text) => text.parse().map_err(|error| {
            usage(format!("'{text}' is no address of a concentrator")).with_source(error)
        })?,
        None => own_address(),
    };
    let token = matches.get_one::<String>("token-file").map(|file| read_token(file));
    Ok(Access { address, token: token.transpose()? })
}

pub(super) async fn connect(access: &Access) -> Result<Client, Error> {
    access.connect().await.map_err(concentrator_error)
}

/// The socket in the user's own folder for such things.
pub(super) fn own_address() -> Address {
    Address::of_user(std::env::var_os("XDG_RUNTIME_DIR").as_deref())
}

/// What a domain says of its serial ports.
pub(super) async fn ports(
    hypervisor: &dyn Hypervisor,
    domain: &Domain,
) -> Result<NetworkPorts, Error> {
    let failed = || format!("failed to look for serial ports of domain '{}'", domain.name);
    let flags = DomainXmlFlags::KEEP_KEYS;
    let xml = hypervisor.domain_get_xml_desc(domain, flags).await.context(failed)?;
    NetworkPorts::read(&xml, *domain.uuid.as_bytes())
        .map_err(|error| usage("the domain's XML cannot be read").with_source(error))
        .context(failed)
}

/// A token is a line.
pub(super) fn read_token(file: &str) -> Result<String, Error> {
    Ok(read_text(file)?.trim().to_owned())
}

pub(super) fn concentrator_error(error: esx_concentrator::Error) -> Error {
    let code = match &error {
        esx_concentrator::Error::Settings(_) => ErrorCode::InvalidArg,
        esx_concentrator::Error::Refused(_) => ErrorCode::OperationFailed,
        _ => ErrorCode::SystemError,
    };
    Error::new(code, ErrorDomain::None, "the concentrator cannot be used").with_source(error)
}

struct Wish {
    concentrator: Access,
    port: Option<u32>,
    mode: Mode,
    /// Whether others who may write are let go.
    force: bool,
    /// The proxy of a port to add.
    add: Option<String>,
}

impl Wish {
    fn read(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self {
            concentrator: concentrator(matches)?,
            port: matches.get_one("port").copied(),
            mode: match (matches.get_flag("read-only-console"), matches.get_flag("exclusive")) {
                (true, _) => Mode::ReadOnly,
                (_, true) => Mode::Exclusive,
                _ => Mode::Shared,
            },
            force: matches.get_flag("force"),
            add: matches.get_one::<String>("proxy").cloned(),
        })
    }

    async fn run(
        &self,
        session: &Session,
        hypervisor: &dyn Hypervisor,
        domain: &Domain,
    ) -> Outcome {
        let ports = ports(hypervisor, domain).await?;
        let Some(port) = ports.proxied(self.port) else {
            if self.add.is_none()
                && let Some(direct) = ports.served(self.port)
            {
                let console = open_direct(session, hypervisor, domain, direct).await?;
                return converse(session, domain, direct.number, console).await;
            }
            return match &self.add {
                Some(proxy) => self.add(hypervisor, domain, &ports, proxy).await,
                None => {
                    let message = ports.missing(&domain.name, self.port);
                    Err(Error::new(ErrorCode::OperationInvalid, ErrorDomain::None, message))
                }
            };
        };
        let known = self.concentrator.find(&ports.machines, &port.service).await;
        let found = known.map_err(concentrator_error)?.ok_or_else(|| {
            let message = format!(
                "domain '{}' has not connected to the concentrator at {}: it must run, its host must reach {}, and the \
                 host's firewall must let it (ruleset vSPC)",
                domain.name, self.concentrator.address, port.proxy
            );
            Error::new(ErrorCode::OperationInvalid, ErrorDomain::None, message)
        })?;
        let console = self
            .concentrator
            .attach(&found.key, self.mode, self.force)
            .await
            .map_err(concentrator_error)
            .context(|| format!("failed to connect to the console of domain '{}'", domain.name))?;
        converse(session, domain, port.number, console).await
    }

    async fn add(
        &self,
        hypervisor: &dyn Hypervisor,
        domain: &Domain,
        ports: &NetworkPorts,
        proxy: &str,
    ) -> Outcome {
        let number = self.port.unwrap_or_else(|| ports.free());
        let service = format!("virtesx?port={number}&key={}", fresh_key()?);
        let backing = Element {
            prefix: Some("vmware".to_owned()),
            namespace: Some(VMWARE_NAMESPACE.to_owned()),
            ..Element::new("backing")
        }
        .with_attribute("service", &service)
        .with_attribute("direction", "server")
        .with_attribute("proxy", proxy);
        let target = Element::new("target").with_attribute("port", &number.to_string());
        let serial = Element::new("serial").with_attribute("type", "tcp");
        let xml = serial.with_child(backing).with_child(target).to_xml();
        let flags = if domain.id.is_some() {
            DomainDeviceModifyFlags::LIVE | DomainDeviceModifyFlags::CONFIG
        } else {
            DomainDeviceModifyFlags::CONFIG
        };
        let added = hypervisor.domain_attach_device_flags(domain, &xml, flags).await;
        added.context(|| format!("failed to add a serial port to domain '{}'", domain.name))?;
        let next = if domain.id.is_some() { "call it again" } else { "start the domain" };
        let sentence = format!("Serial port {number} added; {next} for its console");
        shown(Done::to_domain("console", domain).saying(&sentence))
    }
}

/// Connects to a port that its host serves. Nobody but the host knows who is there already.
async fn open_direct(
    session: &Session,
    hypervisor: &dyn Hypervisor,
    domain: &Domain,
    port: &DirectPort,
) -> Result<Console, Error> {
    let telnet = match port.protocol.as_str() {
        "raw" => false,
        "telnet" => true,
        other => {
            let message = format!(
                "serial port {} of domain '{}' is served by its host with {other}: connect to it with a program that \
                 checks the host's certificate, such as openssl s_client",
                port.number, domain.name
            );
            return Err(Error::new(ErrorCode::OperationUnsupported, ErrorDomain::None, message));
        }
    };
    let host = match port.host.as_str() {
        // Any address of the host: the one by which it is spoken to, if it is.
        "" | "0.0.0.0" | "::" => match host_of(&session.connection_uri().await?) {
            Some(host) => host,
            None => hypervisor.connect_get_hostname().await?,
        },
        host => host.to_owned(),
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let console = connect_direct(&format!("{host}:{}", port.service), telnet).await;
    console.map_err(|error| {
        let message = format!(
            "failed to connect to serial port {} of domain '{}': it must run, and its host's firewall must let you in \
             (ruleset remoteSerialPort)",
            port.number, domain.name
        );
        Error::new(ErrorCode::SystemError, ErrorDomain::None, message).with_source(error)
    })
}

/// The host in a URI that names the domain's own one.
fn host_of(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    if !["esx", "gsx"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return None;
    }
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(address) => address.split_once(']')?.0,
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then(|| host.to_owned())
}

/// Proves the right to the machine's configuration, nothing more; it also tells machines of one name apart.
fn fresh_key() -> Result<String, Error> {
    let mut key = [0_u8; 16];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| Error::internal(ErrorDomain::None, "the system's random generator failed"))?;
    Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Carries keys and output until either end leaves.
async fn converse(session: &Session, domain: &Domain, port: u32, console: Console) -> Outcome {
    let cannot = |error| system("cannot use the terminal", error);
    // Interrupts end the program by the way of the terminal's restoration.
    let _held = session.hold();
    let raw = Raw::enter().map_err(cannot)?;
    let is_terminal = raw.is_terminal();
    let say = |text: &str| {
        if is_terminal && !session.options.quiet {
            tell(&format!("{text}\r\n"));
        }
    };
    say(&format!(
        "Connected to domain '{}', serial port {port}",
        crate::render::printable(&domain.name)
    ));
    say("Escape character is ^] (Ctrl + ])");
    let mut keys = Keys::listen().map_err(cannot)?;
    let mut screen = Screen::new();
    let mut typing = true;
    let mut events = Events::listen(console.reader);
    let (typed, mut to_type) = mpsc::channel::<Vec<u8>>(TYPED);
    let mut writer = console.writer;
    let writing = tokio::spawn(async move {
        while let Some(piece) = to_type.recv().await {
            writer.write(&piece).await?;
        }
        Ok::<_, esx_concentrator::Error>(())
    });
    let outcome = loop {
        let quiet = async {
            if typing { std::future::pending().await } else { tokio::time::sleep(ANSWER).await }
        };
        tokio::select! {
            // A machine that takes nothing must not keep its user from leaving.
            piece = keys.next(), if typing && (is_terminal || typed.capacity() > 0) => match piece {
                None => typing = false,
                Some(piece) => {
                    // Only who sits at a terminal can press keys.
                    let leaves = piece.iter().position(|byte| is_terminal && *byte == ESCAPE);
                    let piece = &piece[..leaves.unwrap_or(piece.len())];
                    match typed.try_send(piece.to_vec()) {
                        Ok(()) => {}
                        Err(mpsc::error::TrySendError::Full(_)) => tell("\x07"),
                        Err(mpsc::error::TrySendError::Closed(_)) => break Err(closed()),
                    }
                    if leaves.is_some() {
                        break Ok(());
                    }
                }
            },
            event = events.next() => match event {
                Ok(Some(ConsoleEvent::Data(data))) => {
                    if let Err(error) = screen.show(&data) {
                        break Err(cannot(error));
                    }
                }
                Ok(Some(ConsoleEvent::Status(Status::Down))) => {
                    say("[the domain is not connected: what is typed is lost]");
                }
                Ok(Some(ConsoleEvent::Status(_))) => {}
                Ok(Some(ConsoleEvent::End(why))) => {
                    break Err(Error::new(ErrorCode::OperationAborted, ErrorDomain::None, why));
                }
                Err(error) => break Err(concentrator_error(error)),
                Ok(None) => break Err(closed()),
            },
            () = quiet => break Ok(()),
            () = session.interrupted() => break Ok(()),
        }
    };
    drop(events);
    drop(typed);
    // What was typed before leaving still goes out.
    let _ = tokio::time::timeout(ANSWER, writing).await;
    drop(raw);
    if is_terminal {
        tell("\n");
    }
    outcome.and_then(|()| shown(Text::nothing()))
}

/// For the user, beside the machine's output. Whoever closed standard error hears nothing.
fn tell(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn closed() -> Error {
    let message = "the concentrator closed the console";
    Error::new(ErrorCode::OperationAborted, ErrorDomain::None, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_where_its_host_is() {
        for (uri, host) in [
            ("esx://root@esx1.example.org/", Some("esx1.example.org")),
            ("ESX://127.0.0.1:8080/?transport=http", Some("127.0.0.1")),
            ("esx://a%40b@[2001:db8::1]:443/", Some("2001:db8::1")),
            // There the URI names somebody else.
            ("vpx://root@vcenter/dc1/esx1", None),
            ("esx+unix:///esx1", None),
            ("sim:///", None),
            ("esx:///", None),
        ] {
            assert_eq!(host_of(uri).as_deref(), host, "{uri}");
        }
    }
}
