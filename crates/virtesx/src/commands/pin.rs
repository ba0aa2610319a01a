//! `pin`: shows the certificate of a server and trusts it from then on.

use std::io::{IsTerminal, Write};

use clap::{Arg, ArgAction};
use virt_api::{Error, ErrorCode, ErrorDomain};

use super::plain::{Plain, request, shown, switch};
use crate::backend::Pins;
use crate::command::{Group, positional, required_value};
use crate::failure::usage;
use crate::render::Render;
use crate::render::pin::Pinned;
use crate::session::Session;

/// `pin`
pub(crate) static PIN: Plain = Plain {
    name: "pin",
    group: Group::Host,
    summary: "Show the certificate of a server and trust it from now on",
    details: "HOST is a name or address with an optional port, or a connection URI. The certificate is shown, and after a 'yes' its\n\
              fingerprint is written to the known-hosts file (virtesx/known_hosts in the configuration directory, one line\n\
              'HOST:PORT FINGERPRINT' for each server, as govc has it). Connections to that server then accept this certificate and no\n\
              other, whatever its names, dates and issuer. Compare the fingerprint with what the host's own console shows.",
    usage: "HOST",
    arguments: |command| {
        positional(
            command,
            "server",
            "Name or address, with a port if it is not 443; or a URI",
            true,
        )
        .arg(switch("yes", "Do not ask"))
        .arg(
            Arg::new("thumbprint")
                .long("thumbprint")
                .value_name("FINGERPRINT")
                .action(ArgAction::Set)
                .conflicts_with("yes")
                .help("Do not ask, and trust it only if this is its SHA-1 or SHA-256 fingerprint"),
        )
        .arg(
            Arg::new("known-hosts")
                .long("known-hosts")
                .value_name("FILE")
                .help("Write to this file instead"),
        )
    },
    request: |matches| {
        let server = required_value(matches, "server")?;
        let consent = match (matches.get_flag("yes"), matches.get_one::<String>("thumbprint")) {
            (true, _) => Consent::Given,
            (false, Some(thumbprint)) => Consent::If(thumbprint.clone()),
            (false, None) => Consent::Asked,
        };
        let file = matches.get_one::<String>("known-hosts").cloned();
        Ok(request(async move |session: &Session| {
            pin(session, &server, &consent, file.as_deref()).await
        }))
    },
};

/// Who says that the certificate is the right one.
enum Consent {
    /// `--yes`.
    Given,
    /// `--thumbprint`.
    If(String),
    /// The person at the terminal.
    Asked,
}

async fn pin(
    session: &Session,
    server: &str,
    consent: &Consent,
    file: Option<&str>,
) -> Result<Box<dyn Render>, Error> {
    if session.options.read_only {
        return Err(usage("pin changes the known-hosts file, which --readonly forbids"));
    }
    let uri = match server.contains("://") {
        true => server.to_owned(),
        false => format!("esx://{server}/"),
    };
    let pins = Pins::load(file)?;
    let mut found = pins.ask(&uri).await?;
    match consent {
        Consent::Given => {}
        Consent::If(thumbprint) => found.must_be(thumbprint)?,
        Consent::Asked => ask(&found)?,
    }
    pins.add(&mut found)?;
    shown(found)
}

/// Shows the certificate and waits for a `yes`.
fn ask(found: &Pinned) -> Result<(), Error> {
    let refused =
        |message: String| Error::new(ErrorCode::AuthCancelled, ErrorDomain::None, message);
    let mut stderr = std::io::stderr().lock();
    let unseen = |error| crate::failure::system("cannot show the certificate", error);
    stderr.write_all(found.table(true).as_bytes()).map_err(unseen)?;
    if !std::io::stdin().is_terminal() {
        return Err(refused(format!(
            "the certificate of {} is not pinned: standard input is not a terminal, so nobody can be asked; give --thumbprint with the \
             fingerprint that the host's console shows, or --yes",
            found.server
        )));
    }
    write!(stderr, "Trust this certificate for {}? Type yes or no: ", found.server)
        .map_err(unseen)?;
    stderr.flush().map_err(unseen)?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(unseen)?;
    match line.trim() {
        "yes" => Ok(()),
        _ => Err(refused(format!("the certificate of {} is not pinned", found.server))),
    }
}
