//! `cargo xtask wsdl`: snapshots of the API's WSDL taken from a host, compared, and held against
//! what our codec writes.

mod check;
mod diff;
mod fetch;

use std::path::PathBuf;

use clap::Subcommand;

use crate::vi::schema::Schema;

/// What to do with snapshots.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Take a snapshot from a host: /sdk/vimService.wsdl and all that it imports.
    Fetch {
        /// The host, as in https://esx1 or http://127.0.0.1:8989/sdk/vimService.wsdl.
        url: String,
        /// The folder to write to.
        #[arg(long, default_value = "target/wsdl")]
        out: PathBuf,
        /// Do not check the host's certificate.
        #[arg(long)]
        no_verify: bool,
    },
    /// Print what changed from snapshot A to snapshot B, as Markdown.
    Diff {
        /// The older snapshot's folder, such as testdata/wsdl/4.0.
        a: PathBuf,
        /// The newer snapshot's folder.
        b: PathBuf,
    },
    /// Hold samples of every data type and request against each snapshot's XSD with xmllint.
    Check,
}

/// Runs `cargo xtask wsdl ACTION`.
pub(crate) fn run(action: &Action) -> anyhow::Result<()> {
    match action {
        Action::Fetch { url, out, no_verify } => fetch::run(url, out, *no_verify),
        Action::Diff { a, b } => {
            print!("{}", diff::markdown(&Schema::read(a)?, &Schema::read(b)?));
            Ok(())
        }
        Action::Check => check::run(),
    }
}
