//! `esx-sim`: a simulated VMware ESX host or vCenter on a loopback address.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use esx_sim::{FAULT_GRAMMAR, FaultPlan, Preset, Simulator};
use tokio::signal::unix::{SignalKind, signal};

/// Serve a simulated VMware host until Ctrl-C.
///
/// The first line printed is the URL of the SOAP endpoint, the second the matching virtesx (and, for HTTP, virsh) URI.
#[derive(Debug, Parser)]
#[command(name = "esx-sim", version)]
struct Options {
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8989")]
    listen: SocketAddr,
    /// How many ordinary machines there are beside the built-in ones
    #[arg(long, default_value_t = 0)]
    vms: u32,
    /// How many disks there are on the datastore "bulk", which is there if there are any
    #[arg(long, default_value_t = 0)]
    volumes: u32,
    /// Serve HTTPS with a certificate made for the occasion
    #[arg(long)]
    tls: bool,
    /// The inventory: esx or vcenter
    #[arg(long, default_value = "esx", value_parser = preset)]
    preset: Preset,
    /// Newest API version that is spoken: 2.5, 4.0, 4.1, 6.7 or 8.0
    #[arg(long, default_value = "8.0")]
    api_version: String,
    /// The one user that can log in
    #[arg(long, default_value = "user")]
    username: String,
    /// The user's password; it guards nothing
    #[arg(long, default_value = "pass")]
    password: String,
    /// Greatest number of objects in a page of RetrievePropertiesEx; without it there is no limit
    #[arg(long)]
    page_size: Option<usize>,
    /// How long tasks run, in milliseconds
    #[arg(long, default_value_t = 0)]
    task_duration: u64,
    /// What goes wrong with which request, for example 'cut-processed @PowerOnVM_Task; status=503,1 @GET #1+'
    #[arg(long, value_name = "PLAN", long_help = FAULT_GRAMMAR, value_parser = fault_plan)]
    fault: Option<Arc<FaultPlan>>,
    /// The random numbers of the fault plan
    #[arg(long, default_value_t = 0, requires = "fault")]
    fault_seed: u64,
    /// Serve another certificate than the one whose thumbprint is printed (with --tls)
    #[arg(long, requires = "tls")]
    wrong_certificate: bool,
    /// Let --listen name an address that other machines reach
    #[arg(long)]
    allow_any_address: bool,
}

fn fault_plan(text: &str) -> Result<Arc<FaultPlan>, String> {
    text.parse().map(Arc::new).map_err(|error: esx_sim::FaultPlanError| error.to_string())
}

fn preset(name: &str) -> Result<Preset, String> {
    match name {
        "esx" => Ok(Preset::Esx),
        "vcenter" => Ok(Preset::VCenter),
        _ => Err("expected esx or vcenter".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut cause = error.source();
            while let Some(inner) = cause {
                text.push_str(&format!(": {inner}"));
                cause = inner.source();
            }
            // Nothing is left to do if even this cannot be written.
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let mut builder = Simulator::builder()
        .listen(options.listen)
        .vms(options.vms)
        .volumes(options.volumes)
        .tls(options.tls)
        .preset(options.preset)
        .api_version(options.api_version)
        .credentials(options.username, options.password)
        .task_duration(Duration::from_millis(options.task_duration))
        .allow_any_address(options.allow_any_address);
    if let Some(plan) = options.fault {
        plan.set_seed(options.fault_seed);
        builder = builder.plan(move |arrival| plan.react(arrival));
    }
    if options.wrong_certificate {
        builder = builder.wrong_certificate();
    }
    if let Some(page_size) = options.page_size {
        builder = builder.page_size(page_size);
    }
    // Before it says that it is ready, it is ready to be stopped.
    let mut terminate = signal(SignalKind::terminate())?;
    let running = builder.start().await?;
    let mut out = std::io::stdout();
    writeln!(out, "{}\n{}", running.url(), running.uri())?;
    out.flush()?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    running.stop().await;
    Ok(())
}
