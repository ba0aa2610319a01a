//! The table of commands. It feeds the parser, the help and the completion scripts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use async_trait::async_trait;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches};
use virt_api::Error;

use crate::cli::output_argument;
use crate::commands::export::EXPORT;
use crate::commands::inspect::INSPECT;
use crate::commands::{
    card, console, cpu, define, device, disk, domain, dumpxml, event, figures, guest, host,
    interface, itself, list, memory, migrate, naming, native, network, pin, pool, power, question,
    screenshot, snapshot, snapshot_list, vmx, volume, volume_change, volume_transfer, vspc,
};
use crate::failure::usage;
use crate::render::{Format, Render, Text};
use crate::session::Session;

/// Where a command stands in the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// Virtual machines.
    Domain,
    /// Their snapshots.
    Snapshot,
    /// Storage pools.
    Pool,
    /// Storage volumes.
    Volume,
    /// Virtual networks.
    Network,
    /// Interfaces of the host.
    Interface,
    /// The host and its hypervisor.
    Host,
    /// The program itself.
    Program,
}

impl Group {
    /// The keyword of `help KEYWORD`.
    pub(crate) const fn keyword(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Snapshot => "snapshot",
            Self::Pool => "pool",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Interface => "interface",
            Self::Host => "host",
            Self::Program => "virtesx",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Domain => "Domains (virtual machines)",
            Self::Snapshot => "Snapshots of domains",
            Self::Pool => "Storage pools (datastores, iSCSI targets)",
            Self::Volume => "Storage volumes (disks, images, LUNs)",
            Self::Network => "Virtual networks",
            Self::Interface => "Interfaces of the host",
            Self::Host => "Host and hypervisor",
            Self::Program => "virtesx itself",
        }
    }
}

/// One command: its words and how they become a request.
pub(crate) trait Command: Sync {
    /// The word a user types.
    fn name(&self) -> &'static str;
    /// Where it stands in the help.
    fn group(&self) -> Group;
    /// What it does, in one line.
    fn summary(&self) -> &'static str;
    /// More about it, for its own help.
    fn details(&self) -> &'static str {
        ""
    }
    /// Its arguments as the help's usage line shows them.
    fn usage(&self) -> &'static str {
        ""
    }
    /// Adds its arguments.
    fn arguments(&self, command: clap::Command) -> clap::Command {
        command
    }
    /// The typed request.
    ///
    /// # Errors
    /// A usage error that the parser cannot see.
    fn request(&self, matches: &ArgMatches) -> Result<Box<dyn Request>, Error>;
    /// Whether it ends the program.
    fn quits(&self) -> bool {
        false
    }
}

/// What a user asked for, ready to run.
#[async_trait(?Send)]
pub(crate) trait Request {
    /// Does it.
    async fn run(&self, session: &Session) -> Result<Box<dyn Render>, Error>;
}

/// Every command, in the order of the help.
pub(crate) static COMMANDS: &[&dyn Command] = &[
    &device::ATTACH_DEVICE,
    &disk::ATTACH_DISK,
    &card::ATTACH_INTERFACE,
    &device::ATTACH_SERIAL,
    &power::AUTOSTART,
    &disk::CHANGE_MEDIA,
    &console::CONSOLE,
    &define::CREATE,
    &define::DEFINE,
    &naming::DESC,
    &power::DESTROY,
    &device::DETACH_DEVICE,
    &disk::DETACH_DISK,
    &card::DETACH_INTERFACE,
    &figures::DOMBLKINFO,
    &figures::DOMBLKLIST,
    &guest::DOMHOSTNAME,
    &domain::DomId,
    &card::DOMIF_GETLINK,
    &card::DOMIF_SETLINK,
    &guest::DOMIFADDR,
    &figures::DOMIFLIST,
    &domain::DomInfo,
    &question::DOMJOBABORT,
    &figures::DOMMEMSTAT,
    &domain::DomName,
    &naming::DOMRENAME,
    &domain::DomState,
    &figures::DOMSTATS,
    &domain::DomUuid,
    &native::FromNative,
    &native::ToNative,
    &dumpxml::DumpXml,
    &event::EVENT,
    &EXPORT,
    &INSPECT,
    &list::List,
    &memory::MEMTUNE,
    &migrate::MIGRATE,
    &question::QUESTION,
    &power::REBOOT,
    &power::RESET,
    &power::RESUME,
    &cpu::SCHEDINFO,
    &screenshot::SCREENSHOT,
    &memory::SETMAXMEM,
    &memory::SETMEM,
    &cpu::SETVCPUS,
    &power::SHUTDOWN,
    &power::START,
    &power::SUSPEND,
    &power::UNDEFINE,
    &device::UPDATE_DEVICE,
    &cpu::VCPUCOUNT,
    &vmx::VMX,
    &snapshot::CREATE,
    &snapshot::CREATE_AS,
    &snapshot::CURRENT,
    &snapshot::DELETE,
    &snapshot::DUMPXML,
    &snapshot::INFO,
    &snapshot_list::LIST,
    &snapshot::PARENT,
    &snapshot::REVERT,
    &pool::AUTOSTART,
    &pool::DUMPXML,
    &pool::INFO,
    &pool::LIST,
    &pool::NAME,
    &pool::REFRESH,
    &pool::UUID,
    &volume_change::CLONE,
    &volume_change::CREATE,
    &volume_change::CREATE_AS,
    &volume_change::CREATE_FROM,
    &volume_change::DELETE,
    &volume_transfer::DOWNLOAD,
    &volume::DUMPXML,
    &volume::INFO,
    &volume::KEY,
    &volume::LIST,
    &volume::NAME,
    &volume::PATH,
    &volume::POOL,
    &volume_change::RESIZE,
    &volume_transfer::UPLOAD,
    &volume_change::WIPE,
    &network::AUTOSTART,
    &network::DEFINE,
    &network::DUMPXML,
    &network::INFO,
    &network::LIST,
    &network::NAME,
    &network::UNDEFINE,
    &network::UUID,
    &interface::DUMPXML,
    &interface::LIST,
    &interface::MAC,
    &interface::NAME,
    &host::Capabilities,
    &host::FREECELL,
    &host::Hostname,
    &host::NodeInfo,
    &pin::PIN,
    &host::Uri,
    &host::Version,
    &vspc::VSPC,
    &itself::Completion,
    &itself::Help,
    &itself::Quit { name: "exit" },
    &itself::Quit { name: "quit" },
];

/// A command with its arguments understood.
pub(crate) struct Invocation {
    /// What to run.
    pub(crate) request: Box<dyn Request>,
    /// The command's own `-o`.
    pub(crate) output: Option<Format>,
    /// Whether the program ends here.
    pub(crate) quits: bool,
}

/// Understands one command.
///
/// # Errors
/// A usage error in one line, with the nearest names for an unknown command.
pub(crate) fn parse(words: &[String]) -> Result<Invocation, Error> {
    let (name, _) = words.split_first().ok_or_else(|| usage("no command"))?;
    let command = find(name).ok_or_else(|| unknown_command(name))?;
    let matches = match parser(command).try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            let text = Text::document("help", error.render().to_string());
            return Ok(Invocation {
                request: Box::new(itself::Show(text)),
                output: None,
                quits: false,
            });
        }
        Err(error) => return Err(usage_error(Some(command.name()), &error)),
    };
    Ok(Invocation {
        request: command.request(&matches)?,
        output: matches.get_one("output").copied(),
        quits: command.quits(),
    })
}

/// The command of this name.
pub(crate) fn find(name: &str) -> Option<&'static dyn Command> {
    COMMANDS.iter().find(|command| command.name() == name).copied()
}

/// The parser of one command.
pub(crate) fn parser(command: &dyn Command) -> clap::Command {
    let space = if command.usage().is_empty() { "" } else { " " };
    let parser = clap::Command::new(command.name())
        .about(command.summary())
        .after_help(command.details())
        .override_usage(format!("virtesx {}{space}{} [OPTIONS]", command.name(), command.usage()));
    // Also behind the words of a command that has commands of its own.
    command.arguments(parser).arg(output_argument().global(true))
}

/// The commands with their summaries, group by group.
pub(crate) fn overview() -> String {
    let mut groups: BTreeMap<Group, Vec<&dyn Command>> = BTreeMap::new();
    for &command in COMMANDS {
        groups.entry(command.group()).or_default().push(command);
    }
    groups.into_iter().map(|(group, commands)| section(group, &commands)).collect()
}

/// The commands of the group with this keyword.
pub(crate) fn group_overview(keyword: &str) -> Option<String> {
    let commands: Vec<_> =
        COMMANDS.iter().copied().filter(|command| command.group().keyword() == keyword).collect();
    let group = commands.first()?.group();
    Some(section(group, &commands).trim_end_matches('\n').to_owned())
}

fn section(group: Group, commands: &[&dyn Command]) -> String {
    let mut text = format!("{} (help {}):\n", group.title(), group.keyword());
    for command in commands {
        let _infallible = writeln!(text, "  {:<20} {}", command.name(), command.summary());
    }
    text.push('\n');
    text
}

/// A positional argument that may also be written as an option, as virsh allows: `dominfo web01`, `dominfo --domain web01`.
pub(crate) fn positional(
    command: clap::Command,
    name: &'static str,
    help: &'static str,
    required: bool,
) -> clap::Command {
    let (option, value) = option_names(name);
    let mut argument = Arg::new(name)
        .value_name(value)
        .help(help)
        .allow_negative_numbers(true)
        .conflicts_with(option);
    if required {
        argument = argument.required_unless_present(option);
    }
    let option = Arg::new(option).long(name).value_name(value).hide(true);
    command.arg(argument).arg(option.allow_negative_numbers(true))
}

/// What was given for a [`positional`] argument, in either spelling.
pub(crate) fn value(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.get_one(name).or_else(|| matches.get_one::<String>(option_names(name).0)).cloned()
}

/// As [`value`], for an argument that must be there and hold something.
///
/// # Errors
/// A usage error if it is empty.
pub(crate) fn required_value(matches: &ArgMatches, name: &str) -> Result<String, Error> {
    value(matches, name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| usage(format!("argument <{}> is empty", option_names(name).1)))
}

/// The identifier of the option spelling and the word in the help.
fn option_names(name: &str) -> (&'static str, &'static str) {
    match name {
        "domain" => ("domain-option", "DOMAIN"),
        "format" => ("format-option", "FORMAT"),
        "config" => ("config-option", "FILE"),
        "desturi" => ("desturi-option", "DESTURI"),
        "xml" => ("xml-option", "FILE"),
        "file" => ("file-option", "FILE"),
        "xmlfile" => ("xmlfile-option", "FILE"),
        "size" => ("size-option", "SIZE"),
        "count" => ("count-option", "COUNT"),
        "cellno" => ("cellno-option", "NUMBER"),
        "snapshotname" => ("snapshotname-option", "SNAPSHOT"),
        "name" => ("name-option", "NAME"),
        "dir" => ("dir-option", "DIR"),
        "server" => ("server-option", "HOST"),
        "pool" => ("pool-option", "POOL"),
        "vol" => ("vol-option", "VOLUME"),
        "newname" => ("newname-option", "NEWNAME"),
        "capacity" => ("capacity-option", "CAPACITY"),
        "description" => ("description-option", "DESCRIPTION"),
        "source" => ("source-option", "SOURCE"),
        "target" => ("target-option", "TARGET"),
        "type" => ("type-option", "TYPE"),
        "path" => ("path-option", "PATH"),
        "interface" => ("interface-option", "INTERFACE"),
        "state" => ("state-option", "STATE"),
        "device" => ("device-option", "DEVICE"),
        "new-name" => ("new-name-option", "NAME"),
        "new-desc" => ("new-desc-option", "TEXT"),
        "service" => ("service-option", "URI"),
        _ => ("command-option", "COMMAND"),
    }
}

/// An unknown command, with the nearest ones.
pub(crate) fn unknown_command(name: &str) -> Error {
    let hint = did_you_mean(name, COMMANDS.iter().map(|command| command.name()));
    usage(format!("unknown command: '{name}'{hint}; see 'virtesx help'"))
}

/// `; did you mean 'a' or 'b'?`, or nothing if no candidate is near.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    let mut near: Vec<(f64, &str)> = candidates
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.truncate(3);
    if near.is_empty() {
        return String::new();
    }
    let names: Vec<String> = near.iter().map(|(_, name)| format!("'{name}'")).collect();
    format!("; did you mean {}?", names.join(" or "))
}

/// A parser's complaint in our words, on one line.
pub(crate) fn usage_error(command: Option<&str>, error: &clap::Error) -> Error {
    let text = |kind| error.get(kind).map(context_text).unwrap_or_default();
    let argument = text(ContextKind::InvalidArg);
    let suggestion = match text(ContextKind::SuggestedArg) {
        near if near.is_empty() => String::new(),
        near => format!("; did you mean '{near}'?"),
    };
    let message = match (error.kind(), command) {
        (ErrorKind::UnknownArgument, Some(command)) if argument.starts_with('-') => {
            let hint = match argument.as_str() {
                "-c" | "--connect" | "-r" | "--readonly" | "-q" | "--quiet" | "--trace"
                | "--session-cache" => {
                    "; it goes before the command: virtesx [OPTIONS] COMMAND".to_owned()
                }
                _ => suggestion,
            };
            format!("command '{command}' doesn't support option {argument}{hint}")
        }
        (ErrorKind::UnknownArgument, Some(_)) => format!("unexpected data '{argument}'"),
        (ErrorKind::UnknownArgument, None) => {
            format!("unsupported option '{argument}'{suggestion}; see --help")
        }
        (ErrorKind::MissingRequiredArgument, Some(command)) => {
            format!("command '{command}' requires {argument}; see 'virtesx help {command}'")
        }
        (ErrorKind::ArgumentConflict, _) => match text(ContextKind::PriorArg) {
            prior if prior == argument => format!("option {argument} already seen"),
            prior => format!("options {prior} and {argument} are mutually exclusive"),
        },
        (ErrorKind::InvalidValue, _) => match text(ContextKind::InvalidValue) {
            value if value.is_empty() => format!("option {argument} requires a value"),
            value => {
                let valid = text(ContextKind::ValidValue);
                format!("invalid value '{value}' for {argument}: possible are {valid}")
            }
        },
        (ErrorKind::InvalidUtf8, _) => return crate::cli::not_text(),
        _ => {
            let full = error.render().to_string();
            full.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    };
    usage(message)
}

fn context_text(value: &ContextValue) -> String {
    match value {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.join(", "),
        other => other.to_string(),
    }
}
