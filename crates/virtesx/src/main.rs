//! virtesx: a virsh for VMware ESX hosts and vCenter.
//!
//! From the command line to the screen, one module each: [`cli`] reads the options, [`mod@line`] splits command strings,
//! [`command`] holds the table of commands and turns words into typed requests (one file per group in `commands`),
//! [`session`] opens the connection when the first request needs it, [`run`] runs the requests, and [`render`] turns
//! their results into text, JSON or YAML. [`backend`] is the only module that names a driver and the
//! simulator, [`convert`] the only one that names the VMX converter; [`mod@file`] reads and replaces local files;
//! [`progress`] shows on a terminal how far an operation is; [`remote`] is the way to a daemon, `esx+unix:///`.

#![forbid(unsafe_code)]

mod auth;
mod backend;
mod cli;
mod command;
mod commands;
mod convert;
mod failure;
mod file;
mod line;
mod progress;
mod remote;
mod render;
mod run;
mod session;
mod session_cache;
mod size;
mod trace;

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

fn main() -> ExitCode {
    run::program(std::env::args_os())
}
