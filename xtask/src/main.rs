//! What maintainers run: `cargo xtask COMMAND`. One file per command; none of our crates is imported.

#![forbid(unsafe_code)]
// A program talks to its terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod ci;
mod codegen;
mod faults;
mod fuzz;
mod interop;
mod peers;
mod process;
mod sim;
mod soak;
mod tidy;
mod vi;
mod workspace;
mod wsdl;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What maintainers of virtesx run.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the VI bindings from testdata/wsdl into crates/vi-api/src/generated.
    Codegen {
        /// Write nothing; fail if a file would change.
        #[arg(long)]
        check: bool,
    },
    /// Snapshots of the API's WSDL: take one from a host, compare two, check the codec against all.
    Wsdl {
        /// What to do.
        #[command(subcommand)]
        action: wsdl::Action,
    },
    /// Compare the workspace with the house rules: arrows between crates, purity, preambles, file sizes.
    Tidy,
    /// All that CI runs, without installing packages: `.ci/run --no-install`.
    Ci,
    /// Build the peers that interop and the benchmarks need (or only say which are there).
    Peers {
        /// What to do.
        #[arg(value_enum, default_value_t = peers::Action::Build)]
        action: peers::Action,
    },
    /// Run virtesx and esx-sim against other people's programs: vcsim, Debian's virsh, the newest virsh.
    Interop(interop::Options),
    /// Run the fault matrix and write docs/faults.md.
    Faults {
        /// Write nothing; fail if the document would change.
        #[arg(long)]
        check: bool,
    },
    /// Many callers on one connection with faults by chance: memory, tasks, files and sessions must not pile up.
    Soak(soak::Options),
    /// Build the fuzz targets and run each for a while.
    Fuzz(fuzz::Options),
    /// Run the simulated host in the foreground; the arguments go to esx-sim.
    Sim {
        /// For example: --listen 127.0.0.1:8989 --vms 100
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Codegen { check } => codegen::run(check),
        Command::Wsdl { action } => wsdl::run(&action),
        Command::Tidy => tidy::run(),
        Command::Faults { check } => faults::run(check),
        Command::Soak(options) => soak::run(&options),
        Command::Ci => ci::run(),
        Command::Peers { action } => peers::run(action),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Interop(options) => interop::run(&options),
        Command::Sim { args } => sim::run(&args),
    }
}
