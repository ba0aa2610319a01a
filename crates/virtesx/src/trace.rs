//! `--trace`: what the libraries report, on stderr. Secrets are taken out where they are known, in the client crate.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Sends everything our crates report to stderr, and warnings of all others.
pub(crate) fn start() {
    let filter = Targets::new().with_default(LevelFilter::WARN).with_targets(
        ["virtesx", "esx_driver", "esx_vi_client", "esx_task", "esx_sim", "esx_concentrator"]
            .map(|name| (name, LevelFilter::TRACE)),
    );
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(filter).with(layer).init();
}

/// For a command that serves: what it does for whom, on stderr.
pub(crate) fn start_server() {
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("esx_concentrator", LevelFilter::INFO);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    // The tests of this program start one more than once.
    let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
}
