//! `vspc`: the serial port concentrator, and what is connected to one.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use clap::{ArgAction, ArgMatches};
use esx_concentrator::{
    Access, Address, Claim, Config, Direction, Identity, MachineListener, PortKey, Server,
    Settings, Verified, Verifier,
};
use esx_vspc::uri;
use serde_json::json;
use virt_api::{Driver, Error, ErrorCode, ErrorDomain};

use super::console::{
    concentrator, concentrator_error, connect, own_address, ports, read_token, with_concentrator,
};
use super::plain::{Outcome, Plain, option, request, shown, switch};
use crate::command::{Group, Request};
use crate::failure::{system, usage};
use crate::file::read;
use crate::render::{Text, printable};
use crate::session::Session;
use crate::trace;

/// Where others listen for machines, too; on loopback unless the user says where.
const LISTEN: &str = "127.0.0.1:13370";
/// The name that ports ask for.
const SERVICE: &str = "virtesx";
/// How long a claim that held is taken to hold.
const REMEMBERED: Duration = Duration::from_secs(60);

/// `vspc`
pub(crate) static VSPC: Plain = Plain {
    name: "vspc",
    group: Group::Host,
    summary: "Serve the text consoles of domains (virtual serial port concentrator)",
    details: "Hosts connect the serial ports of their domains to a concentrator; 'virtesx console' shows them. 'serve' is one,\n\
        until it is interrupted; 'list' shows what is connected to one. Nothing in the protocol proves who connects: say\n\
        which hosts may (--allow), use a certificate, and have claims checked (--verify). See docs/console.md.",
    usage: "(serve | list)",
    arguments,
    request: parse,
};

fn arguments(command: clap::Command) -> clap::Command {
    let several = |name, value, help| option(name, value, help).action(ArgAction::Append);
    let serve = clap::Command::new("serve")
        .about("Serve until interrupted")
        .override_usage("virtesx vspc serve [OPTIONS]")
        .arg(several(
            "listen",
            "HOST:PORT",
            "Listen for hosts, telnet:// (default: 127.0.0.1:13370)",
        ))
        .arg(
            several("listen-tls", "HOST:PORT", "Listen for hosts, telnets://")
                .requires("certificate"),
        )
        .arg(several(
            "clients",
            "ADDRESS",
            "Serve consoles at unix:PATH, HOST:PORT or tls://HOST:PORT",
        ))
        .arg(option("token-file", "FILE", "What clients must show, but for unix:PATH"))
        .arg(option("certificate", "FILE", "Certificate chain, PEM").requires("key"))
        .arg(option("key", "FILE", "Its key, PEM").requires("certificate"))
        .arg(switch("require-tls", "Refuse hosts that do not start TLS").requires("certificate"))
        .arg(several(
            "allow",
            "NETWORK",
            "Hosts that may connect, ADDRESS or ADDRESS/BITS (default: any)",
        ))
        .arg(option("service", "NAME", "The name that ports must ask for (default: virtesx)"))
        .arg(switch("any-service", "Take any name").conflicts_with("service"))
        .arg(switch("verify", "Check what machines say with the host or vCenter of -c"))
        .arg(several("dial", "HOST:PORT", "Dial this address for ports in direction client"))
        .arg(option("log-dir", "FOLDER", "Write what machines say into a file for each port"))
        .arg(
            option("log-size", "MIB", "Begin a new file at this size (default: 64)")
                .value_parser(clap::value_parser!(u64)),
        );
    let list = with_concentrator(clap::Command::new("list"))
        .about("Show which ports are or were connected")
        .override_usage("virtesx vspc list [OPTIONS]");
    command.subcommand_required(true).disable_help_subcommand(true).subcommands([serve, list])
}

fn parse(matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
    // The parser insists on one of the two.
    match matches.subcommand() {
        Some(("list", matches)) => {
            let concentrator = concentrator(matches)?;
            Ok(request(async move |_: &Session| list(&concentrator).await))
        }
        Some((_, matches)) => {
            let (matches, verify) = (matches.clone(), matches.get_flag("verify"));
            Ok(request(async move |session: &Session| serve(session, &matches, verify).await))
        }
        None => Err(usage("command 'vspc' requires serve or list")),
    }
}

async fn list(concentrator: &Access) -> Outcome {
    let ports = connect(concentrator).await?.list().await.map_err(concentrator_error)?;
    let mut text =
        format!("{:<40} {:<8} {:<8} {:<16} {}\n", "Port", "State", "Clients", "Host", "Domain");
    let mut value = Vec::new();
    for port in &ports {
        let (key, status) = (port.key.to_string(), port.status.to_string());
        let (peer, name) = (port.peer.to_string(), printable(&port.name));
        text += &format!("{key:<40} {status:<8} {:<8} {peer:<16} {name}\n", port.clients);
        value.push(json!({
            "port": key,
            "state": status,
            "clients": port.clients,
            "host": peer,
            "domain": port.name,
            "service": port.service_uri,
        }));
    }
    shown(Text::line("ports", text.trim_end()).with_value(value.into()))
}

fn settings(matches: &ArgMatches) -> Result<Settings, Error> {
    let all = |name: &str| -> Vec<String> {
        matches.get_many::<String>(name).map(|found| found.cloned().collect()).unwrap_or_default()
    };
    let one = |name: &str| matches.get_one::<String>(name).cloned();
    let (mut clear, tls) = (all("listen"), all("listen-tls"));
    if clear.is_empty() && tls.is_empty() {
        clear.push(LISTEN.to_owned());
    }
    let machines =
        clear.iter().map(|text| (text, false)).chain(tls.iter().map(|text| (text, true)));
    let machines = machines.map(|(text, tls)| {
        let address: SocketAddr =
            text.parse().map_err(|_| usage(format!("'{text}' is no address and port")))?;
        Ok(MachineListener { address, tls })
    });
    let clients: Vec<Address> = all("clients")
        .iter()
        .map(|text| text.parse().map_err(|error| usage("argument --clients").with_source(error)))
        .collect::<Result<_, Error>>()?;
    let allow = all("allow");
    let allow = allow.iter().map(|text| {
        text.parse().map_err(|_| usage(format!("'{text}' is no address and no network")))
    });
    let identity = match (one("certificate"), one("key")) {
        (Some(certificate), Some(key)) => Some(
            Identity::from_pem(&read(&certificate)?, &read(&key)?).map_err(concentrator_error)?,
        ),
        _ => None,
    };
    let any = matches.get_flag("any-service");
    let service = one("service").unwrap_or_else(|| SERVICE.to_owned());
    Ok(Settings {
        machines: machines.collect::<Result<_, Error>>()?,
        clients: if clients.is_empty() { vec![own_address()] } else { clients },
        identity,
        token: one("token-file").map(|file| read_token(&file)).transpose()?,
        allow: allow.collect::<Result<_, Error>>()?,
        dial: all("dial"),
        log_dir: one("log-dir").map(Into::into),
        log_bytes: matches.get_one::<u64>("log-size").unwrap_or(&64) << 20,
        require_tls: matches.get_flag("require-tls"),
        config: Config { service_name: (!any).then_some(service), ..Config::default() },
    })
}

async fn serve(session: &Session, matches: &ArgMatches, verify: bool) -> Outcome {
    if !session.options.trace {
        trace::start_server();
    }
    let settings = settings(matches)?;
    if let [Address::Unix(path)] = &settings.clients[..]
        && matches.get_many::<String>("clients").is_none()
        && let Some(folder) = path.parent()
    {
        std::fs::create_dir_all(folder)
            .map_err(|error| system(format!("cannot make {}", folder.display()), error))?;
    }
    let thumbprints =
        settings.identity.as_ref().map(|i| (i.sha1().to_owned(), i.sha256().to_owned()));
    let tls: Vec<bool> = settings.machines.iter().map(|listener| listener.tls).collect();
    let verifier: Option<Arc<dyn Verifier>> = match verify {
        true => Some(Arc::new(Book::new(session.shared_driver().await?))),
        false => None,
    };
    let _held = session.hold();
    let server = Server::start(settings, verifier).await.map_err(concentrator_error)?;
    let mut text = String::new();
    for (address, tls) in server.machine_addresses().iter().zip(tls) {
        let sha1 = thumbprints.as_ref().filter(|_| tls).map(|(sha1, _)| sha1.as_str());
        let proxy = uri::proxy_uri(tls, &address.to_string(), sha1);
        text += &format!("hosts connect to {proxy}\n");
    }
    for address in server.client_addresses() {
        text += &format!("consoles are at {address}\n");
    }
    if let Some((_, sha256)) = &thumbprints {
        text += &format!("the certificate's SHA-256 thumbprint is {sha256}\n");
    }
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| system("cannot write the output", error))?;
    drop(out);
    session.interrupted().await;
    server.shutdown().await;
    shown(Text::line("end", "ended"))
}

/// Checks claims with the VI API, through the driver's words: that there is such a domain, running, with a port that asks
/// for this of a proxy. Which host it runs at is the allow-list's matter.
struct Book {
    driver: Arc<dyn Driver>,
    /// Port, service and name of claims that were found true, and when.
    good: Mutex<HashMap<(PortKey, String, String), Instant>>,
}

impl Book {
    fn new(driver: Arc<dyn Driver>) -> Self {
        Self { driver, good: Mutex::new(HashMap::new()) }
    }

    async fn look_up(&self, port: &PortKey, claim: &Claim) -> Result<(), Error> {
        let wrong =
            |message: &str| Err(Error::new(ErrorCode::OperationFailed, ErrorDomain::None, message));
        let hypervisor = self.driver.hypervisor();
        let domain = hypervisor.domain_lookup_by_name(&claim.name).await?;
        if domain.id.is_none() {
            return wrong("the domain does not run");
        }
        let ports = ports(hypervisor, &domain).await?;
        let same = ports.machines.contains(&port.machine.to_string());
        if !same {
            return wrong("the domain of that name has another identifier");
        }
        let client = claim.direction == Direction::Client;
        let asks =
            ports.proxied.iter().any(|p| p.service == claim.service_uri && p.client == client);
        if asks { Ok(()) } else { wrong("the domain has no port that asks for this") }
    }
}

#[async_trait]
impl Verifier for Book {
    async fn verify(
        &self,
        port: &PortKey,
        claim: &Claim,
        _peer: IpAddr,
    ) -> Result<Verified, String> {
        let key = (port.clone(), claim.service_uri.clone(), claim.name.clone());
        {
            let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
            good.retain(|_, since| since.elapsed() < REMEMBERED);
            if good.contains_key(&key) {
                return Ok(Verified::Claim);
            }
        }
        self.look_up(port, claim)
            .await
            .map_err(|error| error.chain().collect::<Vec<_>>().join(": "))?;
        self.good.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Instant::now());
        Ok(Verified::Claim)
    }
}
