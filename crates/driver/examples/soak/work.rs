//! What callers do, chosen by chance from a seed, and what it came to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use esx_driver::Connection;
use virt_api::{
    Chunk, Definitions, Domain, DomainDefineFlags, DomainEventId, DomainXmlFlags, Error, ErrorCode,
    ErrorDomain, Hypervisor as _, ListAllDomainsFlags, NoFlags, Result, SnapshotCreateFlags,
    SnapshotDeleteFlags, Snapshots, Storage as _, StorageVol, StorageVolTransferFlags,
};

/// Longest time for one operation: so many ticks. Every limit of the connection is far shorter, and the longest chain of
/// requests and pauses is shorter than this. Ticks that a machine misses which stands still do not count.
const HANGS: u32 = 1200;
/// The time between two of them.
const TICK: Duration = Duration::from_millis(100);
/// The size of the files that are transferred.
pub(crate) const FILE: u64 = 100_000;

/// The file that is downloaded.
pub(crate) fn image() -> &'static str {
    "vol/image.img"
}

/// The file that a caller uploads.
pub(crate) fn upload(caller: u64) -> String {
    format!("vol/upload-{caller}.img")
}

/// What is done, and how often of 100.
const MIX: [(Kind, u64); 15] = [
    (Kind::List, 12),
    (Kind::LookUp, 12),
    (Kind::Info, 10),
    (Kind::Document, 10),
    (Kind::Power, 10),
    (Kind::Snapshot, 8),
    (Kind::Processors, 4),
    (Kind::Define, 4),
    (Kind::Pools, 5),
    (Kind::Volumes, 4),
    (Kind::Download, 8),
    (Kind::Upload, 5),
    (Kind::Events, 3),
    (Kind::Host, 4),
    (Kind::Nobody, 1),
];
/// How many of 100 operations are given up in the middle.
const GIVEN_UP: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    List,
    LookUp,
    Info,
    Document,
    Power,
    Snapshot,
    Processors,
    Define,
    Pools,
    Volumes,
    Download,
    Upload,
    Events,
    Host,
    Nobody,
}

impl Kind {
    /// The methods that start a task, of which one operation begins at most one each.
    fn changes(self) -> &'static [&'static str] {
        match self {
            Self::Power => &["PowerOnVM_Task", "PowerOffVM_Task"],
            Self::Snapshot => &["CreateSnapshot_Task", "RemoveSnapshot_Task"],
            Self::Processors => &["ReconfigVM_Task"],
            Self::Define => &["RegisterVM_Task"],
            _ => &[],
        }
    }
}

/// How the operations ended.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    completed: u64,
    given_up: u64,
    errors: BTreeMap<&'static str, u64>,
    /// How often an operation was run that begins this method.
    pub(crate) changes: BTreeMap<&'static str, u64>,
    pub(crate) problems: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.completed += other.completed;
        self.given_up += other.given_up;
        for (sum, part) in [(&mut self.errors, other.errors), (&mut self.changes, other.changes)] {
            part.into_iter().for_each(|(name, count)| *sum.entry(name).or_default() += count);
        }
        self.problems.extend(other.problems);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { completed, given_up, errors, .. } = self;
        write!(f, "{completed} completed, {given_up} given up by the caller; errors: {errors:?}")
    }
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn kind(&mut self) -> Kind {
        let mut left = self.below(MIX.iter().map(|(_, weight)| weight).sum());
        for (kind, weight) in MIX {
            match left.checked_sub(weight) {
                Some(rest) => left = rest,
                None => return kind,
            }
        }
        Kind::List
    }
}

/// Ends when the caller gives up, or else when nobody would wait any longer.
async fn patience(given_up: Option<Duration>) {
    if let Some(given_up) = given_up {
        return tokio::time::sleep(given_up).await;
    }
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for _ in 0..HANGS {
        ticks.tick().await;
    }
}

/// One of those who share the connection. Each changes a machine of its own.
pub(crate) struct Caller {
    connection: Connection,
    number: u64,
    chance: Chance,
}

impl Caller {
    pub(crate) fn new(connection: Connection, number: u64, seed: u64) -> Self {
        let chance = Chance(seed.wrapping_mul(1_000_003).wrapping_add(number));
        Self { connection, number, chance }
    }

    /// Does so many operations, one after the other.
    pub(crate) async fn run(mut self, operations: u64, done: Arc<AtomicU64>) -> Tally {
        let mut tally = Tally::default();
        for number in 0..operations {
            let kind = self.chance.kind();
            for method in kind.changes() {
                *tally.changes.entry(method).or_default() += 1;
            }
            let given_up = (self.chance.below(100) < GIVEN_UP)
                .then(|| Duration::from_millis(self.chance.below(20)));
            let ended = tokio::select! {
                result = self.operate(kind, number) => Some(result),
                () = patience(given_up) => None,
            };
            match ended {
                Some(Ok(())) => tally.completed += 1,
                Some(Err(error)) => {
                    if let Some(problem) = strange(kind, &error) {
                        tally.problems.push(problem);
                    }
                    *tally.errors.entry(error.code.name()).or_default() += 1;
                }
                None if given_up.is_some() => tally.given_up += 1,
                None => tally.problems.push(format!("{kind:?} hangs")),
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
        tally
    }

    async fn own(&self) -> Result<Domain> {
        self.connection.domain_lookup_by_name(&format!("vm-{:05}", self.number + 1)).await
    }

    async fn operate(&self, kind: Kind, number: u64) -> Result<()> {
        let connection = &self.connection;
        match kind {
            Kind::List => {
                connection.connect_list_all_domains(ListAllDomainsFlags::empty()).await.map(drop)
            }
            Kind::LookUp => self.own().await.map(drop),
            Kind::Info => connection.domain_get_info(&self.own().await?).await.map(drop),
            Kind::Document => {
                let flags = DomainXmlFlags::empty();
                let xml = connection.domain_get_xml_desc(&self.own().await?, flags).await?;
                check(xml.contains("<domain"), "a document without a domain")
            }
            Kind::Power => {
                let domain = self.own().await?;
                match domain.id {
                    Some(_) => connection.domain_destroy(&domain).await,
                    None => connection.domain_create(&domain).await.map(drop),
                }
            }
            Kind::Snapshot => {
                let domain = self.own().await?;
                let kept =
                    connection.domain_list_all_snapshots(&domain, Default::default()).await?;
                if let Some(snapshot) = kept.first() {
                    let flags = SnapshotDeleteFlags::empty();
                    return connection.domain_snapshot_delete(snapshot, flags).await;
                }
                let xml = "<domainsnapshot><name>soak</name></domainsnapshot>";
                let flags = SnapshotCreateFlags::empty();
                connection.domain_snapshot_create_xml(&domain, xml, flags).await.map(drop)
            }
            Kind::Processors => {
                let domain = self.own().await?;
                let wanted = 1 + (number % 4) as u32;
                connection.domain_set_vcpus(&domain, wanted).await
            }
            Kind::Define => {
                let name = format!("soak-{}-{number}", self.number);
                let xml = format!(
                    "<domain type='vmware'><name>{name}</name><memory>65536</memory><vcpu>1</vcpu>\
                     <os><type arch='x86_64'>hvm</type></os><devices><disk type='file' device='disk'>\
                     <source file='[datastore1] {name}/{name}.vmdk'/><target dev='sda' bus='scsi'/></disk>\
                     </devices></domain>"
                );
                let flags = DomainDefineFlags::empty();
                let domain = connection.domain_define_xml_flags(&xml, flags).await?;
                connection.domain_undefine(&domain).await
            }
            Kind::Pools => {
                let pools = connection.connect_list_all_storage_pools(Default::default()).await?;
                let Some(pool) = pools.first() else { return check(false, "there are no pools") };
                connection.storage_pool_get_xml_desc(pool, Default::default()).await.map(drop)
            }
            Kind::Volumes => {
                let pool = connection.storage_pool_lookup_by_name("datastore1").await?;
                let volumes = connection.storage_pool_list_all_volumes(&pool, NoFlags::empty());
                check(volumes.await?.len() > 1, "volumes are missing")
            }
            Kind::Download => self.download().await,
            Kind::Upload => self.upload(number).await,
            Kind::Events => {
                let id = DomainEventId::Lifecycle;
                let mut events = connection.connect_domain_event_register_any(None, id).await?;
                // Whether anything happens in this time does not matter.
                let waited = tokio::time::timeout(Duration::from_millis(30), events.next()).await;
                waited.map_or(Ok(()), |event| event.map(drop))
            }
            Kind::Host => connection.node_get_free_memory().await.map(drop),
            Kind::Nobody => match connection.domain_lookup_by_name("nobody").await {
                Err(error) if error.code == ErrorCode::NoDomain => Ok(()),
                Err(error) => Err(error),
                Ok(_) => check(false, "a machine that is not there was found"),
            },
        }
    }

    async fn download(&self) -> Result<()> {
        let flags = StorageVolTransferFlags::empty();
        let stream = self.connection.storage_vol_download(&volume(image()), 0, 0, flags).await?;
        let mut bytes = 0;
        while let Some(chunk) = stream.recv().await? {
            bytes += match chunk {
                Chunk::Data(data) => data.len() as u64,
                Chunk::Hole(size) => size,
            };
        }
        stream.finish().await?;
        check(bytes == FILE, "a download that completes has not all its bytes")
    }

    async fn upload(&self, number: u64) -> Result<()> {
        let volume = volume(&upload(self.number));
        let flags = StorageVolTransferFlags::empty();
        let stream = self.connection.storage_vol_upload(&volume, 0, FILE, flags).await?;
        let piece = Bytes::from(vec![number as u8; 10_000]);
        for _ in 0..FILE / 10_000 {
            stream.send(Chunk::Data(piece.clone())).await?;
        }
        stream.finish().await
    }
}

fn volume(name: &str) -> StorageVol {
    let key = format!("[datastore1] {name}");
    StorageVol { pool: "datastore1".to_owned(), name: name.to_owned(), key }
}

/// What is never right, whatever goes wrong on the way.
const WRONG: &str = "wrong result: ";

fn check(fine: bool, problem: &str) -> Result<()> {
    match fine {
        true => Ok(()),
        false => Err(Error::internal(ErrorDomain::Esx, format!("{WRONG}{problem}"))),
    }
}

/// What the faults of the plan do not explain.
fn strange(kind: Kind, error: &Error) -> Option<String> {
    use ErrorCode as Code;
    let told = error.chain().collect::<Vec<_>>().join(": ");
    let explained = match error.code {
        // The connection, or what the host said.
        Code::NoConnect | Code::HttpError | Code::OperationTimeout | Code::InternalError => {
            !told.contains(WRONG)
        }
        // The session has ended twice within one call.
        Code::OperationDenied => told.contains("NotAuthenticated"),
        // The change before this one was not known to have been made, or is still being made.
        Code::OperationFailed | Code::OperationInvalid if !kind.changes().is_empty() => true,
        // The session has ended in the middle of an upload; again and again; or the host has refused a file.
        Code::OperationFailed => ["PropertyCollector", "HTTP status 401", "HTTP status 500"]
            .iter()
            .any(|reason| told.contains(reason)),
        Code::NoDomainSnapshot => kind == Kind::Snapshot,
        // Processors of a running machine; a transfer that is sent elsewhere.
        Code::OperationUnsupported => kind == Kind::Processors || told.contains("sent on to"),
        _ => false,
    };
    (!explained).then(|| format!("{kind:?}: {}: {told}", error.code.name()))
}
