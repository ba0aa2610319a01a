//! `event`: what happens to domains, as it happens.

use std::io::Write as _;
use std::time::Duration;

use clap::ArgMatches;
use jiff::Timestamp;
use serde_json::{Value, json};
use virt_api::{
    Domain, DomainEvent, DomainEventId as Id, DomainEventKind as Kind, DomainLifecycle as Step,
    Error, ErrorCode, ErrorDomain,
};

use super::plain::{Outcome, Plain, option, request, shown, switch};
use crate::command::Group;
use crate::commands::domain::lookup;
use crate::failure::{Context, system, usage};
use crate::render::{Format, Render, Text, printable};
use crate::session::Session;

/// The kinds that libvirt's drivers of other hypervisors have, too, are left out: no VMware host tells of them.
const KINDS: [(&str, Id); 5] = [
    ("lifecycle", Id::Lifecycle),
    ("reboot", Id::Reboot),
    ("balloon-change", Id::BalloonChange),
    ("agent-lifecycle", Id::AgentLifecycle),
    ("metadata-change", Id::MetadataChange),
];

/// `event`
pub(crate) static EVENT: Plain = Plain {
    name: "event",
    group: Group::Domain,
    summary: "Show what happens to domains, as it happens",
    details: "Ends after one event, with --loop not before --timeout or Ctrl-C. The exit status is 0 if there was an event. With\n\
              -o json each event is an object on a line of its own.",
    usage: "(--all | --event KIND | --list) [--domain DOMAIN]",
    arguments: |command| {
        command
            .arg(option("domain", "DOMAIN", "Only those of this domain"))
            .arg(option("event", "KIND", "Only this kind; see --list").conflicts_with("all"))
            .arg(switch("all", "All kinds that the host tells of"))
            .arg(switch("loop", "Go on after the first event"))
            .arg(
                option("timeout", "SECONDS", "End after this time")
                    .value_parser(clap::value_parser!(u64)),
            )
            .arg(switch("list", "List the kinds of events"))
            .arg(switch("timestamp", "Show when each was told"))
    },
    request: |matches| {
        if matches.get_flag("list") {
            return Ok(request(async |_: &Session| {
                let names = KINDS.map(|(name, _)| name);
                let value = names.iter().map(|name| json!(name)).collect();
                shown(Text::line("events", names.join("\n")).with_value(value))
            }));
        }
        let plan = Plan::read(matches)?;
        Ok(request(async move |session: &Session| plan.run(session).await))
    },
};

/// What is wanted.
struct Plan {
    domain: Option<String>,
    kind: Id,
    repeat: bool,
    timeout: Option<Duration>,
    timestamp: bool,
    format: Option<Format>,
}

impl Plan {
    fn read(matches: &ArgMatches) -> Result<Self, Error> {
        let kind = match matches.get_one::<String>("event") {
            // VMware hosts tell of the life cycle and of nothing else.
            None if matches.get_flag("all") => Id::Lifecycle,
            None => return Err(usage("one of --list, --all, or --event <type> is required")),
            Some(name) => {
                let known = KINDS.iter().find(|(known, _)| known == name);
                known.ok_or_else(|| usage(format!("unknown event type {name}")))?.1
            }
        };
        Ok(Self {
            domain: matches.get_one::<String>("domain").cloned(),
            kind,
            repeat: matches.get_flag("loop"),
            timeout: matches.get_one("timeout").map(|seconds| Duration::from_secs(*seconds)),
            timestamp: matches.get_flag("timestamp"),
            format: matches.get_one("output").copied(),
        })
    }

    async fn run(&self, session: &Session) -> Outcome {
        let hypervisor = session.hypervisor().await?;
        let domain: Option<Domain> = match &self.domain {
            Some(name) => Some(lookup(hypervisor, name).await?),
            None => None,
        };
        let failed = || "failed to wait for events".to_owned();
        let subscription =
            hypervisor.connect_domain_event_register_any(domain.as_ref(), self.kind).await;
        let mut subscription = subscription.context(failed)?;
        let format = self.format.unwrap_or(session.options.output);
        let deadline = async {
            match self.timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(deadline);
        let mut end = End { received: 0, how: None };
        while end.received == 0 || self.repeat {
            let event = tokio::select! {
                event = subscription.next() => event.context(failed)?,
                () = &mut deadline => {
                    end.how = Some("event loop timed out");
                    break;
                }
                _ = tokio::signal::ctrl_c() => {
                    end.how = Some("event loop interrupted");
                    break;
                }
            };
            let Some(event) = event else {
                let message = "the connection was closed";
                return Err(Error::new(ErrorCode::OperationAborted, ErrorDomain::None, message));
            };
            end.received += 1;
            self.tell(&event, format)?;
        }
        shown(end)
    }

    /// Shows an event at once: whoever reads must not wait for the end of the loop.
    fn tell(&self, event: &DomainEvent, format: Format) -> Result<(), Error> {
        let now = self.timestamp.then(Timestamp::now);
        let line = match format {
            Format::Table => match now {
                Some(now) => {
                    format!("{}: {}", now.strftime("%Y-%m-%d %H:%M:%S%.3f%z"), line(event))
                }
                None => line(event),
            },
            Format::Json => value(event, now).to_string(),
            // A sequence of one, so that all of them together are a document.
            Format::Yaml => format!("- {}", value(event, now)),
        };
        let mut out = std::io::stdout().lock();
        let written = writeln!(out, "{line}").and_then(|()| out.flush());
        written.map_err(|error| system("cannot write the output", error))
    }
}

/// How the loop ended.
struct End {
    received: usize,
    how: Option<&'static str>,
}

impl Render for End {
    fn table(&self, quiet: bool) -> String {
        if quiet {
            return String::new();
        }
        let how = self.how.map(|how| format!("{how}\n")).unwrap_or_default();
        format!("{how}events received: {}\n", self.received)
    }

    /// The events have been told; nothing is left for programs.
    fn value(&self) -> Value {
        Value::Null
    }

    fn is_good(&self) -> bool {
        self.received > 0
    }
}

/// An event as virsh shows it.
fn line(event: &DomainEvent) -> String {
    let what = match &event.kind {
        Kind::Lifecycle { event, detail } => {
            let (step, detail) = words(*event, *detail);
            format!("{step} {detail}")
        }
        Kind::BalloonChange { actual_kib } => format!("{actual_kib}KiB"),
        Kind::AgentLifecycle { connected } => {
            format!("state: '{}'", if *connected { "connected" } else { "disconnected" })
        }
        Kind::MetadataChange { kind } => format!("type {kind}"),
        _ => String::new(),
    };
    let name = printable(&event.domain.name);
    let colon = if what.is_empty() { "" } else { ": " };
    format!("event '{}' for domain '{name}'{colon}{what}", kind_name(event.kind.id()))
}

fn kind_name(id: Id) -> &'static str {
    KINDS.iter().find(|(_, known)| *known == id).map_or("unknown", |(name, _)| name)
}

fn value(event: &DomainEvent, now: Option<Timestamp>) -> Value {
    let (step, detail) = match &event.kind {
        Kind::Lifecycle { event, detail } => {
            let (step, detail) = words(*event, *detail);
            (Some(step), Some(detail))
        }
        _ => (None, None),
    };
    let mut value = json!({
        "event": kind_name(event.kind.id()),
        "domain": event.domain.name,
        "uuid": event.domain.uuid.to_string(),
        "id": event.domain.id,
        "step": step,
        "detail": detail,
    });
    if let Some(now) = now {
        value["time"] = json!(now.to_string());
    }
    value
}

/// virsh's words for a step and the number of its reason (libvirt `virDomainEvent...DetailType`).
fn words(step: Step, detail: u32) -> (&'static str, &'static str) {
    let (word, details): (_, &[&str]) = match step {
        Step::Defined => ("Defined", &["Added", "Updated", "Renamed", "Snapshot"]),
        Step::Undefined => ("Undefined", &["Removed", "Renamed"]),
        Step::Started => {
            ("Started", &["Booted", "Migrated", "Restored", "Snapshot", "Event wakeup"])
        }
        Step::Suspended => {
            ("Suspended", &["Paused", "Migrated", "I/O Error", "Watchdog", "Restored", "Snapshot"])
        }
        Step::Resumed => ("Resumed", &["Unpaused", "Migrated", "Snapshot"]),
        Step::Stopped => (
            "Stopped",
            &["Shutdown", "Destroyed", "Crashed", "Migrated", "Saved", "Failed", "Snapshot"],
        ),
        Step::Shutdown => ("Shutdown", &["Finished"]),
        Step::PmSuspended => ("PMSuspended", &["Memory", "Disk"]),
        Step::Crashed => ("Crashed", &["Panicked"]),
        _ => ("unknown", &[]),
    };
    (word, usize::try_from(detail).ok().and_then(|at| details.get(at)).unwrap_or(&"unknown"))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn events_are_lines() {
        let domain = Domain { name: "web\u{1b}01".to_owned(), uuid: Uuid::nil(), id: Some(7) };
        let event = |kind| DomainEvent { domain: domain.clone(), kind };
        let life = |event, detail| Kind::Lifecycle { event, detail };
        for (kind, expected) in [
            (life(Step::Started, 0), "event 'lifecycle' for domain 'web\\x1b01': Started Booted"),
            (life(Step::Defined, 2), "event 'lifecycle' for domain 'web\\x1b01': Defined Renamed"),
            (life(Step::Stopped, 99), "event 'lifecycle' for domain 'web\\x1b01': Stopped unknown"),
            (Kind::Reboot, "event 'reboot' for domain 'web\\x1b01'"),
        ] {
            assert_eq!(line(&event(kind)), expected);
        }
        let value = value(&event(life(Step::Resumed, 0)), None);
        assert_eq!(
            value.to_string(),
            "{\"event\":\"lifecycle\",\"domain\":\"web\\u001b01\",\"uuid\":\"00000000-0000-0000-0000-000000000000\",\
             \"id\":7,\"step\":\"Resumed\",\"detail\":\"Unpaused\"}"
        );
    }
}
