//! What a live view takes: time, requests, memory. `USER` and `PASSWORD` come from the environment.
//!
//!     cargo run --release -p esx-driver --example live_view -- 'esx://user@127.0.0.1:8989/?transport=http'

#![allow(clippy::print_stdout, reason = "a program talks to its terminal")]

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use esx_driver::{Connection, Environment, LiveViewOptions, OpenOptions};
use virt_api::{
    AuthCallback, CredentialRequest, CredentialType, Driver as _, Hypervisor as _,
    ListAllDomainsFlags, NoFlags, Secret,
};

struct FromEnvironment;

#[async_trait]
impl AuthCallback for FromEnvironment {
    fn credential_types(&self) -> &[CredentialType] {
        &[CredentialType::AuthName, CredentialType::NoEchoPrompt]
    }

    async fn answer(&self, requests: &[CredentialRequest]) -> virt_api::Result<Vec<Secret>> {
        let answer = |request: &CredentialRequest| {
            let name = match request.kind {
                CredentialType::AuthName => "USER",
                _ => "PASSWORD",
            };
            Secret::new(std::env::var(name).unwrap_or_default())
        };
        Ok(requests.iter().map(answer).collect())
    }
}

/// Memory of this process in KiB that is in use, where the system tells.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn tell(connection: &Connection, what: &str, begun: Instant, before: u64) {
    let (milliseconds, requests) =
        (begun.elapsed().as_secs_f64() * 1000.0, connection.traffic().requests - before);
    println!("{what:<28} {milliseconds:>9.1} ms {requests:>5} requests");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let uri = std::env::args().nth(1).ok_or("which URI?")?;
    let options = OpenOptions {
        auth: Some(Arc::new(FromEnvironment)),
        environment: Some(Environment::default()),
        live_view: Some(LiveViewOptions::default()),
        ..OpenOptions::default()
    };
    let connection = esx_driver::open(&uri, options).await?;
    let resident = resident_kib();
    let mut listed = Vec::new();
    for what in ["list, cold", "list, warm"] {
        let (begun, before) = (Instant::now(), connection.traffic().requests);
        listed = connection.connect_list_all_domains(ListAllDomainsFlags::empty()).await?;
        tell(&connection, what, begun, before);
    }
    let (begun, before) = (Instant::now(), connection.traffic().requests);
    let known: Vec<_> = listed.iter().filter(|entry| entry.problem.is_none()).collect();
    for entry in &known {
        connection.domain_get_state(&entry.domain, NoFlags::empty()).await?;
    }
    tell(&connection, &format!("{} states", known.len()), begun, before);
    drop(listed);
    let status = connection.live_view();
    println!("{}, {} machines", status.state, status.machines);
    let machines = status.machines.max(1);
    println!("view: {} bytes, {} a machine", status.bytes, status.bytes / machines);
    println!("resident: {resident} KiB before, {} KiB now", resident_kib());
    connection.close().await?;
    Ok(())
}
