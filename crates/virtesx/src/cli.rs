//! The program's own arguments, before any command: what the words say, then what is meant.

use std::ffi::OsString;

use clap::builder::{EnumValueParser, NonEmptyStringValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches};
use virt_api::Error;

use crate::command::{self, COMMANDS};
use crate::failure::usage;
use crate::render::Format;

/// Which connection is meant and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `-c URI`.
    Argument(String),
    /// An environment variable's URI.
    Environment(String),
    /// Nobody said: the built-in simulated host.
    Nothing,
}

/// What holds for the whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Where to connect.
    pub(crate) target: Target,
    /// Refuse changes.
    pub(crate) read_only: bool,
    /// No decoration: no headers, no blank lines, no notes.
    pub(crate) quiet: bool,
    /// How results are written unless a command says otherwise.
    pub(crate) output: Format,
    /// Report what the libraries do.
    pub(crate) trace: bool,
    /// Keep the session for the next run.
    pub(crate) session_cache: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Print this and be done.
    Print(String),
    /// Run the commands of one string (`virtesx 'list --all; nodeinfo'`).
    Script(String),
    /// Run one command given as words.
    Command(Vec<String>),
    /// Read commands from standard input.
    Input,
}

/// Reads the arguments; `environment` looks variables up.
///
/// # Errors
/// A usage error, with the format in which to show it.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<(Options, Task), Box<(Error, Format)>> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let matches = match parser().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return Ok((Options::quiet_table(), Task::Print(error.render().to_string())));
        }
        Err(error) => {
            return Err(Box::new((command::usage_error(None, &error), guess_format(&arguments))));
        }
    };
    let options = Options::new(&matches, environment);
    let mut words: Vec<String> = matches.get_many("command").unwrap_or_default().cloned().collect();
    let task = match words.len() {
        _ if matches.get_flag("version") => Task::Print(format!("{}\n", env!("CARGO_PKG_VERSION"))),
        _ if matches.get_flag("long-version") => Task::Print(long_version()),
        0 => Task::Input,
        1 => Task::Script(words.remove(0)),
        _ => Task::Command(words),
    };
    Ok((options, task))
}

impl Options {
    fn new(matches: &ArgMatches, environment: impl Fn(&str) -> Option<String>) -> Self {
        let from_environment = |name| environment(name).filter(|uri: &String| !uri.is_empty());
        let target = match matches.get_one::<String>("connect") {
            Some(uri) => Target::Argument(uri.clone()),
            None => from_environment("VIRTESX_DEFAULT_URI")
                .or_else(|| from_environment("LIBVIRT_DEFAULT_URI"))
                .map_or(Target::Nothing, Target::Environment),
        };
        Self {
            target,
            read_only: matches.get_flag("readonly"),
            quiet: matches.get_flag("quiet"),
            output: matches.get_one("output").copied().unwrap_or_default(),
            trace: matches.get_flag("trace"),
            session_cache: matches.get_flag("session-cache"),
        }
    }

    /// For texts that need no connection.
    const fn quiet_table() -> Self {
        Self {
            target: Target::Nothing,
            read_only: false,
            quiet: true,
            output: Format::Table,
            trace: false,
            session_cache: false,
        }
    }
}

/// How to show an error in arguments that could not be read: as JSON if they ask for it.
fn guess_format(arguments: &[OsString]) -> Format {
    let words: Vec<&str> = arguments.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let json = words.windows(2).any(|pair| matches!(pair, ["-o" | "--output", "json"]))
        || words.iter().any(|word| matches!(*word, "-ojson" | "-o=json" | "--output=json"));
    if json { Format::Json } else { Format::Table }
}

/// The option `-o`, which the program and every command know.
pub(crate) fn output_argument() -> Arg {
    Arg::new("output")
        .short('o')
        .long("output")
        .value_name("FORMAT")
        .value_parser(EnumValueParser::<Format>::new())
        .help("How results (and with json errors, too) are written")
}

/// The parser of everything before the command; the rest it takes as words.
pub(crate) fn parser() -> clap::Command {
    options_parser()
        .arg(
            Arg::new("command")
                .num_args(0..)
                .trailing_var_arg(true)
                .value_name("COMMAND")
                .hide(true),
        )
        .after_help(format!("{}\n\n{AFTER_HELP}", command::overview().trim_end_matches('\n')))
}

/// Options and commands as one tree, for completion scripts.
pub(crate) fn full_parser() -> clap::Command {
    options_parser()
        .disable_help_subcommand(true)
        .subcommands(COMMANDS.iter().map(|&command| command::parser(command)))
}

fn options_parser() -> clap::Command {
    clap::Command::new("virtesx")
        .about("Manage virtual machines on VMware ESX hosts and vCenter, as virsh does")
        .override_usage("virtesx [OPTIONS] COMMAND [ARGUMENTS]...\n       virtesx [OPTIONS] 'COMMAND; COMMAND; ...'\n       virtesx [OPTIONS] < FILE-WITH-COMMANDS")
        .arg(
            Arg::new("connect")
                .short('c')
                .long("connect")
                .value_name("URI")
                .value_parser(NonEmptyStringValueParser::new())
                .help("Host or vCenter: esx://[USER@]HOST/, vpx://[USER@]VCENTER/DATACENTER/..., gsx://HOST/ or sim:///"),
        )
        .arg(output_argument())
        .arg(flag("readonly", Some('r'), "Refuse everything that changes something"))
        .arg(flag("quiet", Some('q'), "No headers, blank lines and notes"))
        .arg(flag("trace", None, "Report on stderr what is sent and received, without secrets"))
        .arg(flag(
            "session-cache",
            None,
            "Keep the session for the next run in a file of your own, instead of logging out",
        ))
        .arg(flag("version", Some('v'), "Print the version"))
        .arg(Arg::new("long-version").short('V').action(ArgAction::SetTrue).help("Print the version and what is built in"))
}

fn flag(name: &'static str, short: Option<char>, help: &'static str) -> Arg {
    let arg = Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    match short {
        Some(short) => arg.short(short),
        None => arg,
    }
}

fn long_version() -> String {
    format!(
        "virtesx {}\nDrivers: esx vpx gsx, built-in simulated host sim\nOutput: table json yaml\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// What a newcomer wants to know next.
const AFTER_HELP: &str = "\
Environment:
  VIRTESX_DEFAULT_URI, LIBVIRT_DEFAULT_URI   URI to use without -c; without any of them: sim:///
  LIBVIRT_AUTH_FILE                          File with user names and passwords (libvirt's auth.conf)
  XDG_CACHE_HOME                             Where --session-cache keeps sessions, in virtesx/sessions
  XDG_CONFIG_HOME                            Where 'pin' keeps certificates, in virtesx/known_hosts

Examples:
  virtesx list --all                         Look around on the built-in simulated host
  virtesx -c esx://root@esx1.example.com/ list --all
  virtesx -c esx://root@esx1.example.com/ dumpxml web01
  virtesx -o json 'list --all; nodeinfo'     Two commands, one login
  virtesx help list                          What a command can do

A DOMAIN argument is an ID, a UUID or a name. The exit status is 0, or 1 if a command failed.";

impl clap::ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Table, Self::Json, Self::Yaml]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Yaml => "yaml",
        }))
    }
}

/// The words of a shell's arguments that must be text.
pub(crate) fn not_text() -> Error {
    usage("an argument is not valid UTF-8")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{Options, Target, Task, parse};
    use crate::render::Format;

    fn read(arguments: &[&str], environment: &[(&str, &str)]) -> Result<(Options, Task), String> {
        let words = std::iter::once("virtesx").chain(arguments.iter().copied()).map(OsString::from);
        let lookup = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        parse(words, lookup).map_err(|error| format!("{:?} {}", error.1, error.0))
    }

    #[test]
    fn the_nearest_uri_wins() {
        let both =
            [("VIRTESX_DEFAULT_URI", "esx://ours/"), ("LIBVIRT_DEFAULT_URI", "esx://theirs/")];
        for (arguments, environment, expect) in [
            (&["-c", "esx://arg/", "list"][..], &both[..], Target::Argument("esx://arg/".into())),
            (&["--connect=esx://arg/", "list"], &[], Target::Argument("esx://arg/".into())),
            (&["list"], &both, Target::Environment("esx://ours/".into())),
            (&["list"], &both[1..], Target::Environment("esx://theirs/".into())),
            (
                &["list"],
                &[("VIRTESX_DEFAULT_URI", ""), both[1]],
                Target::Environment("esx://theirs/".into()),
            ),
            (&["list"], &[], Target::Nothing),
        ] {
            assert_eq!(read(arguments, environment).unwrap().0.target, expect);
        }
    }

    #[test]
    fn words_after_the_command_belong_to_it() {
        let (options, task) =
            read(&["-rq", "-o", "json", "list", "--all", "-o", "yaml"], &[]).unwrap();
        assert!(options.read_only && options.quiet && !options.trace);
        assert_eq!(options.output, Format::Json);
        assert_eq!(task, Task::Command(["list", "--all", "-o", "yaml"].map(String::from).into()));
        assert_eq!(read(&["list; uri"], &[]).unwrap().1, Task::Script("list; uri".into()));
        assert_eq!(read(&[], &[]).unwrap().1, Task::Input);
        assert_eq!(
            read(&["-v"], &[]).unwrap().1,
            Task::Print(format!("{}\n", env!("CARGO_PKG_VERSION")))
        );
    }

    #[test]
    fn mistakes_are_one_line() {
        let errors: String = [
            &["-c"][..],
            &["-c", ""],
            &["--conect", "x", "list"],
            &["-z"],
            &["-o", "xml", "list"],
            &["-o", "json", "--bogus"],
        ]
        .iter()
        .map(|arguments| format!("{arguments:?}: {}\n", read(arguments, &[]).unwrap_err()))
        .collect();
        insta::assert_snapshot!(errors);
    }
}
