//! `vmx`: look into local VMX files and change them, without a host.

use clap::{Arg, ArgMatches};
use esx_vmx::Document;
use virt_api::{Error, ErrorCode, ErrorDomain};

use super::plain::{Outcome, Plain, request, shown, switch};
use crate::command::{Group, Request, did_you_mean};
use crate::failure::Context;
use crate::file;
use crate::render::Done;
use crate::render::vmx::{Assignment, Assignments, Bytes, Problems};
use crate::session::Session;

/// `vmx`
pub(crate) static VMX: Plain = Plain {
    name: "vmx",
    group: Group::Domain,
    summary: "Show, change or check a local VMX file",
    details: "Changes touch the line of KEY and no other byte of the file, which is replaced in one step. Keys ignore\n\
              case; the first one of a name counts. FILE may be - for standard input, and the changed file then goes\n\
              to standard output. No connection is opened.",
    usage: "(get | set | unset | lint) FILE ...",
    arguments,
    request: parse,
};

fn arguments(command: clap::Command) -> clap::Command {
    let file = || {
        Arg::new("file").value_name("FILE").required(true).help("VMX file, or - for standard input")
    };
    let key = || Arg::new("key").value_name("KEY").help("Such as memSize or scsi0:0.fileName");
    let value = Arg::new("value").value_name("VALUE").required(true).allow_hyphen_values(true);
    let sub = |name: &'static str, usage: &str, about: &'static str| {
        let usage = format!("virtesx vmx {name} {usage} [OPTIONS]");
        clap::Command::new(name).about(about).override_usage(usage)
    };
    let get = sub("get", "FILE [KEY]", "Show the value of a key, or all keys with their values")
        .arg(file())
        .arg(key())
        .arg(switch("escaped", "Undo the escapes of texts (|22 for a quote)"));
    let set = sub("set", "FILE KEY VALUE", "Set a key")
        .arg(file())
        .arg(key().required(true))
        .arg(value.help("The new value"))
        .arg(switch("escaped", "Escape quotes, bars and control characters, as in texts"));
    let unset = sub("unset", "FILE KEY", "Remove a key, wherever it stands")
        .arg(file())
        .arg(key().required(true));
    let lint =
        sub("lint", "FILE", "Show what is wrong with the file; exit 1 if something is").arg(file());
    command
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommands([get, set, unset, lint])
}

/// What is asked of a file.
enum Task {
    Get { key: Option<String>, escaped: bool },
    Set { key: String, value: String, escaped: bool },
    Unset { key: String },
    Lint,
}

fn parse(matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
    // The parser insists on one of the four, with all that it requires.
    let Some((name, matches)) = matches.subcommand() else {
        return Err(crate::failure::usage("command 'vmx' requires get, set, unset or lint"));
    };
    let text = |name| matches.get_one::<String>(name).cloned();
    let required = |name| text(name).unwrap_or_default();
    let file = required("file");
    let task = match name {
        "get" => Task::Get { key: text("key"), escaped: matches.get_flag("escaped") },
        "set" => Task::Set {
            key: required("key"),
            value: required("value"),
            escaped: matches.get_flag("escaped"),
        },
        "unset" => Task::Unset { key: required("key") },
        _ => Task::Lint,
    };
    Ok(request(async move |_: &Session| run(&file, &task)))
}

fn run(file: &str, task: &Task) -> Outcome {
    let bytes = file::read(file)?;
    let mut document = Document::parse(&bytes)
        .map_err(|error| config_error(error.to_string()))
        .context(|| format!("cannot read VMX file '{file}'"))?;
    match task {
        Task::Get { key: Some(key), escaped } => {
            let value = document.get(key).ok_or_else(|| missing(&document, file, key))?;
            let value = if *escaped { unescaped(&document, key)? } else { value.to_owned() };
            shown(Assignment { key: key.clone(), value })
        }
        Task::Get { key: None, escaped } => {
            let assignment = |entry: esx_vmx::Entry<'_>| {
                let value = if *escaped { unescape(entry.value) } else { None };
                let value = value.unwrap_or_else(|| entry.value.to_owned());
                Assignment { key: entry.key.to_owned(), value }
            };
            shown(Assignments(document.entries().map(assignment).collect()))
        }
        Task::Set { key, value, escaped } => {
            let result =
                if *escaped { document.set_escaped(key, value) } else { document.set(key, value) };
            result
                .map_err(|error| Error::invalid_arg(ErrorDomain::None, error.to_string()))
                .context(|| format!("cannot set a key in '{file}'"))?;
            write(file, &bytes, document.to_bytes(), "vmx-set", key)
        }
        Task::Unset { key } => {
            if !document.contains(key) {
                return Err(missing(&document, file, key));
            }
            document.remove(key);
            write(file, &bytes, document.to_bytes(), "vmx-unset", key)
        }
        Task::Lint => {
            shown(Problems { file: file.to_owned(), problems: document.problems().to_vec() })
        }
    }
}

/// Writes the file if it changed; standard input goes to standard output in any case.
fn write(file: &str, old: &[u8], new: Vec<u8>, action: &str, key: &str) -> Outcome {
    if file == "-" {
        return shown(Bytes(new));
    }
    let changed = old != new;
    if changed {
        file::replace(file, &new)?;
    }
    let done = Done::new(action).with("file", file).with("key", key).with("changed", changed);
    let what = if changed { "changed" } else { "unchanged" };
    shown(done.saying(&format!("Key '{key}' in '{file}' {what}")))
}

fn unescaped(document: &Document, key: &str) -> Result<String, Error> {
    // The value may be a secret: the error does not show it.
    document
        .get_escaped(key)
        .ok()
        .flatten()
        .ok_or_else(|| config_error(format!("the value of key '{key}' has a broken escape")))
}

/// The text without its escapes, if they are sound.
fn unescape(value: &str) -> Option<String> {
    let mut one = Document::new();
    one.set("value", value).ok()?;
    one.get_escaped("value").ok().flatten()
}

fn config_error(message: String) -> Error {
    Error::new(ErrorCode::ConfSyntax, ErrorDomain::Conf, message)
}

fn missing(document: &Document, file: &str, key: &str) -> Error {
    let hint = did_you_mean(key, document.entries().map(|entry| entry.key));
    Error::invalid_arg(ErrorDomain::None, format!("no key '{key}' in '{file}'{hint}"))
}
