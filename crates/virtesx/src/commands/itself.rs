//! Commands about the program: `help`, `completion`, `quit`. None of them ever connects.

use async_trait::async_trait;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches};
use clap_complete::Shell;
use virt_api::Error;

use crate::cli;
use crate::command::{self, COMMANDS, Command, Group, Request, did_you_mean, positional, value};
use crate::failure::usage;
use crate::render::{Render, Text};
use crate::session::Session;

/// A text that is known already.
pub(crate) struct Show(pub(crate) Text);

#[async_trait(?Send)]
impl Request for Show {
    async fn run(&self, _session: &Session) -> Result<Box<dyn Render>, Error> {
        Ok(Box::new(self.0.clone()))
    }
}

/// `help`: all commands, those of a group, or one.
pub(crate) struct Help;

impl Command for Help {
    fn name(&self) -> &'static str {
        "help"
    }
    fn group(&self) -> Group {
        Group::Program
    }
    fn summary(&self) -> &'static str {
        "Show the commands, or what one of them can do"
    }
    fn usage(&self) -> &'static str {
        "[COMMAND | GROUP]"
    }
    fn arguments(&self, command: clap::Command) -> clap::Command {
        positional(
            command,
            "command",
            "Command, or group of commands (domain, snapshot, host, virtesx)",
            false,
        )
    }
    fn request(&self, matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
        let text = match value(matches, "command") {
            None => cli::parser().render_help().to_string(),
            Some(name) => match command::find(&name) {
                Some(command) => command::parser(command).render_help().to_string(),
                None => command::group_overview(&name).ok_or_else(|| {
                    let hint = did_you_mean(&name, COMMANDS.iter().map(|command| command.name()));
                    usage(format!("command or command group '{name}' doesn't exist{hint}"))
                })?,
            },
        };
        Ok(Box::new(Show(Text::document("help", text))))
    }
}

/// `completion`: a script for the shell. The script knows words only and never runs this program.
pub(crate) struct Completion;

impl Command for Completion {
    fn name(&self) -> &'static str {
        "completion"
    }
    fn group(&self) -> Group {
        Group::Program
    }
    fn summary(&self) -> &'static str {
        "Print a completion script for a shell"
    }
    fn details(&self) -> &'static str {
        "For bash: virtesx -q completion bash > ~/.local/share/bash-completion/completions/virtesx\n\
         The script completes commands and options; it never connects to a host."
    }
    fn usage(&self) -> &'static str {
        "SHELL"
    }
    fn arguments(&self, command: clap::Command) -> clap::Command {
        command.arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(PossibleValuesParser::new([
                    "bash",
                    "elvish",
                    "fish",
                    "powershell",
                    "zsh",
                ]))
                .help("Which shell"),
        )
    }
    fn request(&self, matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
        let name = matches.get_one::<String>("shell").map_or("bash", String::as_str);
        let shell: Shell = name.parse().map_err(|_| usage(format!("unknown shell '{name}'")))?;
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut cli::full_parser(), "virtesx", &mut script);
        Ok(Box::new(Show(Text::document("script", String::from_utf8_lossy(&script).into_owned()))))
    }
}

/// `quit` and `exit`: no more commands.
pub(crate) struct Quit {
    /// Which of the two words.
    pub(crate) name: &'static str,
}

impl Command for Quit {
    fn name(&self) -> &'static str {
        self.name
    }
    fn group(&self) -> Group {
        Group::Program
    }
    fn summary(&self) -> &'static str {
        "Stop reading commands"
    }
    fn quits(&self) -> bool {
        true
    }
    fn request(&self, _matches: &ArgMatches) -> Result<Box<dyn Request>, Error> {
        Ok(Box::new(Show(Text::nothing())))
    }
}
