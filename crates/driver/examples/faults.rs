//! Runs the fault matrix and prints it: what becomes of each operation when each fault hits the request that matters to it.
//!
//! `cargo xtask faults` writes the result to `docs/faults.md`. A cell that hangs, panics, sends a change twice or leaves a
//! session behind makes the run fail: the simulated host's own journal tells.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use esx_driver::{Connection, Environment, OpenOptions};
use esx_sim::{FaultPlan, PowerState, Running, Simulator};
use virt_api::{
    AuthCallback, Chunk, CredentialRequest, CredentialType, Definitions, Domain, DomainCreateFlags,
    DomainDefineFlags, DomainEventId, DomainXmlFlags, Driver as _, Hypervisor as _,
    ListAllDomainsFlags, Secret, SnapshotCreateFlags, Snapshots, Storage as _, StorageVol,
    StorageVolTransferFlags,
};

/// Longest time for one cell. Every limit below is far shorter: what takes longer hangs.
const HANGS: Duration = Duration::from_secs(30);
/// How many cells run together.
const AT_ONCE: usize = 6;
/// The time limits that cells have.
const LIMITS: &str = "connect_timeout=2&idle_timeout=1&call_timeout=2&total_timeout=12";
/// The size of the files that are transferred.
const FILE: u64 = 300_000;

/// Name and plan of each fault; `@@` stands for the request that it hits.
const FAULTS: &[(&str, &str)] = &[
    ("none", ""),
    ("connection cut, request not processed", "cut-unprocessed @@"),
    ("connection cut in the request", "cut-request=10 @@"),
    ("connection cut, request processed", "cut-processed @@"),
    ("connection cut in the head of the answer", "cut-head=20 @@"),
    ("connection cut in the body of the answer", "cut-body=30 @@"),
    ("connection cut each time", "cut-unprocessed @@ #1+"),
    ("XML ends in the middle", "truncate @@"),
    ("XML is corrupt", "corrupt @@"),
    ("wrong content type", "type=text/plain @@"),
    ("compressed answer", "gzip @@"),
    ("status 500", "status=500 @@"),
    ("status 502", "status=502 @@"),
    ("status 503", "status=503 @@"),
    ("status 503 with Retry-After: 1", "status=503,1 @@"),
    ("status 503 with Retry-After: 3600", "status=503,3600 @@"),
    ("status 503 each time", "status=503 @@ #1+"),
    ("answer begins late", "slow-head=150 @@"),
    ("answer comes slowly", "slow-body=20 @@"),
    ("no answer", "stall-head @@"),
    ("answer stops in the body", "stall-body=30 @@"),
    ("answer stops in the body each time", "stall-body=30 @@ #1+"),
    ("answer without end", "endless @@"),
    ("redirect", "redirect=http://127.0.0.1:9/ @@"),
    ("session ends", "expire @@"),
    ("session ends each time", "expire @@ #1+"),
    ("server restarts", "restart @@"),
    ("task makes no progress", "stuck-task @@"),
    ("update is told twice", "duplicate @WaitForUpdatesEx #2"),
    ("update is told late", "slow-head=150 @WaitForUpdatesEx #1+"),
    ("another certificate", ""),
];

/// The operations, with the request that faults hit.
const OPERATIONS: [(&str, &str); 9] = [
    ("connect", "Login"),
    ("list", "RetrievePropertiesEx"),
    ("dumpxml", "GET"),
    ("start", "PowerOnVM_Task"),
    ("define", "RegisterVM_Task"),
    ("snapshot", "CreateSnapshot_Task"),
    ("vol-download", "GET"),
    ("vol-upload", "PUT"),
    ("event wait", "WaitForUpdatesEx"),
];

struct Answer(String);

#[async_trait]
impl AuthCallback for Answer {
    fn credential_types(&self) -> &[CredentialType] {
        &[CredentialType::AuthName, CredentialType::NoEchoPrompt]
    }

    async fn answer(&self, requests: &[CredentialRequest]) -> virt_api::Result<Vec<Secret>> {
        Ok(requests.iter().map(|_| Secret::new(self.0.clone())).collect())
    }
}

fn options(sim: &Running) -> OpenOptions {
    OpenOptions {
        auth: Some(Arc::new(Answer(sim.password().to_owned()))),
        environment: Some(Environment::default()),
        // The wait for a task is the caller's own, and this is how the caller bounds it.
        operation_timeout: Some(Duration::from_secs(1)),
        ..OpenOptions::default()
    }
}

async fn open(sim: &Running) -> Result<Connection, String> {
    let uri = format!("{}&{LIMITS}", sim.uri());
    esx_driver::open(&uri, options(sim)).await.map_err(|error| error.code.name().to_owned())
}

/// Lets the faults begin.
fn arm(sim: &Running, plan: &str) {
    if !plan.is_empty() {
        let plan: FaultPlan = plan.parse().expect("the plans above are plans");
        sim.set_plan(move |arrival| plan.react(arrival));
    }
}

/// Runs one cell to its end: what the operation came to, or what is wrong with it.
async fn cell(
    fault: &'static str,
    plan: String,
    operation: &'static str,
) -> Result<String, String> {
    let mut builder = Simulator::builder().vms(3);
    if fault == "another certificate" {
        builder = builder.wrong_certificate();
    }
    let sim = builder.start().await.map_err(|error| error.to_string())?;
    let sim = Arc::new(sim);
    sim.model().change(|m| {
        let content = esx_sim::FileContent::generated(1, FILE);
        m.add_content("datastore1", "vol/a.img", content)
    });
    let running = Arc::clone(&sim);
    let work = tokio::spawn(async move { perform(&running, &plan, operation).await });
    let result = match tokio::time::timeout(HANGS, work).await {
        Err(_) => return Err("hangs".to_owned()),
        Ok(Err(_)) => return Err("panics".to_owned()),
        Ok(Ok(result)) => result,
    };
    // A change may have been processed once at most, whatever the client was told.
    for method in ["PowerOnVM_Task", "RegisterVM_Task", "CreateSnapshot_Task"] {
        let tasks = sim
            .model()
            .read(|m| m.tasks().iter().filter(|task| m.task_method(task) == Some(method)).count());
        if tasks > 1 {
            return Err(format!("sent {method} {tasks} times"));
        }
    }
    let left = sim.model().read(|m| m.session_count());
    match (left, result) {
        (0, Ok(())) => Ok("completes".to_owned()),
        (_, Err(code)) if code == INCOMPLETE => Err(code),
        (0, Err(code)) => Ok(code.trim_start_matches("VIR_ERR_").to_owned()),
        // The host opened it and could not say so: nobody has its cookie, and nobody can close it.
        (1, Err(code)) if operation == "connect" => {
            Ok(format!("{} (*)", code.trim_start_matches("VIR_ERR_")))
        }
        (left, _) => Err(format!("leaves {left} sessions")),
    }
}

async fn perform(sim: &Arc<Running>, plan: &str, operation: &str) -> Result<(), String> {
    if operation == "connect" {
        arm(sim, plan);
        let connection = open(sim).await;
        sim.clear_plan();
        return close(connection?).await;
    }
    let connection = open(sim).await?;
    let result = operate(sim, &connection, plan, operation).await;
    sim.clear_plan();
    close(connection).await?;
    result
}

async fn close(connection: Connection) -> Result<(), String> {
    connection.close().await.map_err(|error| error.code.name().to_owned())
}

async fn operate(
    sim: &Arc<Running>,
    connection: &Connection,
    plan: &str,
    operation: &str,
) -> Result<(), String> {
    let named = async |name: &str| connection.domain_lookup_by_name(name).await;
    let code = |error: virt_api::Error| match error.message.contains(INCOMPLETE) {
        true => INCOMPLETE.to_owned(),
        false => error.code.name().to_owned(),
    };
    let off: Domain = named("twin-b").await.map_err(code)?;
    let result = match operation {
        "list" => {
            arm(sim, plan);
            let listed = connection.connect_list_all_domains(ListAllDomainsFlags::empty()).await;
            listed.map(|_| ())
        }
        "dumpxml" => {
            arm(sim, plan);
            let xml = connection.domain_get_xml_desc(&off, DomainXmlFlags::empty()).await;
            xml.map(|_| ())
        }
        "start" => {
            arm(sim, plan);
            let flags = DomainCreateFlags::empty();
            connection.domain_create_with_flags(&off, flags).await.map(|_| ())
        }
        "snapshot" => {
            arm(sim, plan);
            let xml = "<domainsnapshot><name>s</name></domainsnapshot>";
            let flags = SnapshotCreateFlags::empty();
            connection.domain_snapshot_create_xml(&off, xml, flags).await.map(|_| ())
        }
        "define" => {
            let xml = "<domain type='vmware'><name>new</name><memory>65536</memory><vcpu>1</vcpu>\
                       <os><type arch='x86_64'>hvm</type></os><devices><disk type='file' device='disk'>\
                       <source file='[datastore1] vol/new.vmdk'/><target dev='sda' bus='scsi'/></disk>\
                       </devices></domain>";
            arm(sim, plan);
            let flags = DomainDefineFlags::empty();
            connection.domain_define_xml_flags(xml, flags).await.map(|_| ())
        }
        "vol-download" => download(sim, connection, plan).await,
        "vol-upload" => upload(sim, connection, plan).await,
        _ => wait(sim, connection, plan).await,
    };
    result.map_err(code)
}

/// A machine changes while the caller waits for events; the caller bounds the wait.
async fn wait(sim: &Arc<Running>, connection: &Connection, plan: &str) -> virt_api::Result<()> {
    let id = DomainEventId::Lifecycle;
    let mut events = connection.connect_domain_event_register_any(None, id).await?;
    arm(sim, plan);
    sim.model().change(|m| {
        m.machine("twin-b").is_some_and(|twin| m.set_power_state(&twin, PowerState::PoweredOn))
    });
    match tokio::time::timeout(Duration::from_secs(5), events.next()).await {
        Ok(event) => event.map(|_| ()),
        Err(_) => Err(virt_api::Error::new(
            virt_api::ErrorCode::OperationTimeout,
            virt_api::ErrorDomain::Esx,
            "no event",
        )),
    }
}

fn image() -> StorageVol {
    StorageVol {
        pool: "datastore1".to_owned(),
        name: "vol/a.img".to_owned(),
        key: "[datastore1] vol/a.img".to_owned(),
    }
}

/// For a transfer that says that it completed and has not.
fn incomplete(what: &str) -> virt_api::Error {
    virt_api::Error::internal(virt_api::ErrorDomain::Esx, format!("{INCOMPLETE}: {what}"))
}

/// No host says so.
const INCOMPLETE: &str = "completes without all of it";

async fn download(sim: &Arc<Running>, connection: &Connection, plan: &str) -> virt_api::Result<()> {
    arm(sim, plan);
    let flags = StorageVolTransferFlags::empty();
    let stream = connection.storage_vol_download(&image(), 0, 0, flags).await?;
    let mut bytes = 0;
    while let Some(chunk) = stream.recv().await? {
        bytes += match chunk {
            Chunk::Data(data) => data.len() as u64,
            Chunk::Hole(size) => size,
        };
    }
    stream.finish().await?;
    if bytes == FILE { Ok(()) } else { Err(incomplete("a download")) }
}

async fn upload(sim: &Arc<Running>, connection: &Connection, plan: &str) -> virt_api::Result<()> {
    arm(sim, plan);
    let flags = StorageVolTransferFlags::empty();
    let stream = connection.storage_vol_upload(&image(), 0, FILE, flags).await?;
    for _ in 0..FILE / 10_000 {
        stream.send(Chunk::Data(Bytes::from_static(&[7; 10_000]))).await?;
    }
    stream.finish().await?;
    let stored = sim.model().read(|m| m.file("datastore1", "vol/a.img").map(|file| file.content));
    match stored {
        Some(content) if content.read(0, FILE as usize).iter().all(|byte| *byte == 7) => Ok(()),
        _ => Err(incomplete("an upload")),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|word| word == name);
    let mut cells = Vec::new();
    for (row, (fault, plan)) in FAULTS.iter().enumerate() {
        for (column, (operation, request)) in OPERATIONS.iter().enumerate() {
            if !wanted(fault) && !wanted(operation) {
                continue;
            }
            cells.push((
                row,
                column,
                *fault,
                plan.replace("@@", &format!("@{request}")),
                *operation,
            ));
        }
    }
    let limit = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let mut running = tokio::task::JoinSet::new();
    for (row, column, fault, plan, operation) in cells {
        let limit = Arc::clone(&limit);
        running.spawn(async move {
            let _turn = limit.acquire_owned().await;
            (row, column, cell(fault, plan, operation).await)
        });
    }
    let mut table = vec![vec![String::new(); OPERATIONS.len()]; FAULTS.len()];
    let mut broken = 0;
    while let Some(done) = running.join_next().await {
        let Ok((row, column, result)) = done else {
            broken += 1;
            continue;
        };
        table[row][column] = result.unwrap_or_else(|problem| {
            broken += 1;
            eprintln!("{} / {}: {problem}", FAULTS[row].0, OPERATIONS[column].0);
            format!("**{problem}**")
        });
    }
    let names: Vec<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
    let mut text =
        format!("| fault | {} |\n| --- |{}\n", names.join(" | "), " --- |".repeat(names.len()));
    for (row, (fault, _)) in FAULTS.iter().enumerate() {
        let _infallible = writeln!(text, "| {fault} | {} |", table[row].join(" | "));
    }
    print!("{text}");
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
