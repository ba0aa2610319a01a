//! Downloads of any size from the simulated host: order, memory, interruptions. What the simulator counts is what went
//! over the wire.

use std::num::NonZeroU64;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use esx_escape::DatastorePath;
use esx_sim::{Arrival, FileContent, Reaction, Running, Simulator};
use esx_vi_client::{
    Chunk, Client, Download, DownloadOptions, Endpoint, Error, RetryPolicy, Scheme, TransferError,
    TransportError,
};

const MIB: u64 = 1 << 20;
const BLOCK: u64 = 256 << 10;

/// A host with a volume, and a client of it.
struct Scene {
    sim: Running,
    client: Client,
    content: FileContent,
}

impl Scene {
    async fn new(content: FileContent) -> Self {
        let sim = Simulator::builder().start().await.unwrap();
        let added = content.clone();
        sim.model().change(|model| model.add_content("datastore1", "vol/a.img", added));
        let address = sim.address();
        let endpoint = Endpoint::new(Scheme::Http, address.ip().to_string(), address.port());
        let client = Client::connect(endpoint).await.unwrap();
        client.login(sim.username(), sim.password()).await.unwrap();
        sim.reset_journal();
        sim.reset_transfers();
        Self { sim, client, content }
    }

    async fn open(&self, options: DownloadOptions) -> Result<Download, Error> {
        self.open_path("vol/a.img", options).await
    }

    async fn open_path(&self, path: &str, options: DownloadOptions) -> Result<Download, Error> {
        let path = DatastorePath::new("datastore1", path).unwrap();
        self.client.open_download(&path, "ha-datacenter", options).await
    }

    /// The whole of what is asked for, put together.
    async fn read(&self, options: DownloadOptions) -> Result<Vec<u8>, Error> {
        let mut download = self.open(options).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = download.chunk().await? {
            match chunk {
                Chunk::Data(data) => bytes.extend_from_slice(&data),
                Chunk::Hole(size) => bytes.resize(bytes.len() + size as usize, 0),
            }
        }
        let progress = download.progress();
        assert_eq!((progress.done, progress.total), (bytes.len() as u64, bytes.len() as u64));
        Ok(bytes)
    }

    /// Lets `react` see the requests for files, counted from 0.
    fn plan(&self, react: impl Fn(u32, &Arrival) -> Reaction + Send + Sync + 'static) {
        let count = AtomicU32::new(0);
        self.sim.set_plan(move |arrival| {
            if arrival.line.contains(" /folder") {
                react(count.fetch_add(1, Ordering::SeqCst), arrival)
            } else {
                Reaction::Serve
            }
        });
    }

    fn downloads(&self) -> usize {
        self.sim.journal().iter().filter(|entry| entry.method.contains("/folder")).count()
    }

    /// Waits until no download is on its way.
    async fn idle(&self) {
        let idle = async {
            while self.sim.transfers().active > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), idle).await.expect("all requests end");
    }
}

fn quick() -> RetryPolicy {
    RetryPolicy {
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
        patience: Duration::from_secs(20),
    }
}

fn blocks() -> DownloadOptions {
    DownloadOptions {
        block: NonZeroU64::new(BLOCK).unwrap(),
        largest_block: NonZeroU64::new(BLOCK).unwrap(),
        retry: quick(),
        ..DownloadOptions::default()
    }
}

fn transfer(error: Error) -> TransferError {
    match error {
        Error::Transfer(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_file_in_order() {
    let scene = Scene::new(FileContent::generated(1, 5 * MIB + 123)).await;
    let whole = scene.content.read(0, usize::MAX);
    assert_eq!(scene.read(blocks()).await.unwrap(), whole);
    assert_eq!(scene.sim.transfers().bytes_out, whole.len() as u64);
    assert_eq!(scene.downloads(), 21);
    assert!(scene.sim.transfers().peak <= 4, "{:?}", scene.sim.transfers());
    for (offset, length) in [
        (0, Some(1)),
        (0, Some(0)),
        (1, Some(BLOCK)),
        (BLOCK - 1, Some(2)),
        (3 * BLOCK, None),
        (5 * MIB, Some(9999)),
        (5 * MIB + 123, None),
    ] {
        let options = DownloadOptions { offset, length, ..blocks() };
        let read = scene.read(options).await.unwrap();
        let length = length.map_or(usize::MAX, |length| length as usize);
        assert!(read == scene.content.read(offset, length), "{offset} {length}");
    }
    let error = scene.read(DownloadOptions { offset: 6 * MIB, ..blocks() }).await.unwrap_err();
    let text =
        "offset 6291456 is beyond the end of [datastore1] vol/a.img, which has 5243003 bytes";
    assert_eq!(error.to_string(), text);
    let last = DownloadOptions { offset: u64::MAX, ..blocks() };
    let error = scene.read(last).await.unwrap_err().to_string();
    assert!(error.contains("is beyond the end of"), "{error}");
    let empty =
        scene.open_path("iso/debian-12.iso", blocks()).await.unwrap().chunk().await.unwrap();
    assert_eq!(empty, None);
}

/// The case that the driver exists for: 64 MiB, five broken connections, a burst of 503 and the end of the session.
#[tokio::test(flavor = "multi_thread")]
async fn interruptions_cost_no_byte_twice() {
    const SIZE: u64 = 64 * MIB;
    let scene = Scene::new(FileContent::generated(2, SIZE)).await;
    scene.plan(|number, _| match number {
        3 | 9 | 20 | 33 | 47 => Reaction::CutAnswer { after: u64::from(number) * 5000 },
        12..=19 => Reaction::Refuse { status: 503, retry_after: None },
        40 => Reaction::ExpireSessions,
        _ => Reaction::Serve,
    });
    let options =
        DownloadOptions { block: NonZeroU64::new(MIB).unwrap(), retry: quick(), ..blocks() };
    let read = scene.read(options).await.unwrap();
    assert!(read == scene.content.read(0, usize::MAX));
    // Where a connection breaks, the rest is asked for: not a single byte comes twice.
    assert_eq!(scene.sim.transfers().bytes_out, SIZE);
    assert!(scene.sim.transfers().peak <= 4, "{:?}", scene.sim.transfers());
    let journal = scene.sim.journal();
    let logins = journal.iter().filter(|entry| entry.method == "Login").count();
    assert_eq!(logins, 1, "all requests share the new session");
    let ranges: Vec<u16> = journal.iter().filter(|e| e.range.is_some()).map(|e| e.status).collect();
    assert_eq!(ranges.iter().filter(|status| **status == 503).count(), 8);
    // Five rests, and one request for each block.
    assert_eq!(ranges.iter().filter(|status| **status == 206).count(), 64 + 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_fills_no_memory() {
    let scene = Scene::new(FileContent::generated(3, 16 * MIB)).await;
    let mut download = scene.open(blocks()).await.unwrap();
    let mut chunk = download.chunk().await.unwrap();
    let four = async {
        while scene.sim.transfers().bytes_out < 4 * BLOCK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), four).await.expect("four blocks are fetched");
    scene.idle().await;
    // Four blocks are here, and no fifth is asked for before the first has been taken.
    assert_eq!(scene.sim.transfers().bytes_out, 4 * BLOCK);
    let mut read = 0;
    while let Some(data) = chunk {
        read += data.size();
        chunk = download.chunk().await.unwrap();
    }
    assert_eq!(read, 16 * MIB);
    assert_eq!(scene.sim.transfers().bytes_out, 16 * MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_it_ends_all_requests() {
    let scene = Scene::new(FileContent::generated(4, 16 * MIB)).await;
    scene.plan(|_, _| Reaction::StallAnswer { after: 1000 });
    let mut download = scene.open(blocks()).await.unwrap();
    let mut read = 0;
    while read < 1000 {
        read += download.chunk().await.unwrap().unwrap().size();
    }
    // Cancelling a read loses nothing and ends nothing.
    let waited = tokio::time::timeout(Duration::from_millis(20), download.chunk()).await;
    assert!(waited.is_err());
    while scene.sim.transfers().active < 4 {
        tokio::task::yield_now().await;
    }
    drop(download);
    scene.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_is_noticed() {
    for (content, what) in [
        (FileContent::generated(6, 3 * MIB), "size"),
        (FileContent::generated(7, 4 * MIB), "time of modification"),
    ] {
        let scene = Scene::new(FileContent::generated(5, 4 * MIB)).await;
        let mut download = scene.open(DownloadOptions { parallel: 1, ..blocks() }).await.unwrap();
        download.chunk().await.unwrap();
        scene.sim.advance_clock(Duration::from_secs(2));
        scene.sim.model().change(|model| model.add_content("datastore1", "vol/a.img", content));
        let error = loop {
            match download.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{what} is not noticed"),
                Err(error) => break transfer(error),
            }
        };
        assert!(matches!(error, TransferError::Changed { what: found, .. } if found == what));
        assert_eq!(download.chunk().await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_ignore_ranges() {
    let scene = Scene::new(FileContent::generated(8, 2 * MIB)).await;
    scene.plan(|_, _| Reaction::IgnoreRange);
    let options = DownloadOptions { offset: MIB + 5, length: Some(MIB / 2), ..blocks() };
    assert!(scene.read(options).await.unwrap() == scene.content.read(MIB + 5, MIB as usize / 2));
    assert!(scene.read(blocks()).await.unwrap() == scene.content.read(0, usize::MAX));
    assert_eq!(scene.downloads(), 2);
    // After a cut all comes again: there is no other way.
    scene.plan(|number, _| match number {
        0 => Reaction::IgnoreRange,
        1 => Reaction::CutAnswer { after: MIB },
        _ => Reaction::IgnoreRange,
    });
    assert!(scene.read(blocks()).await.unwrap() == scene.content.read(0, usize::MAX));
    // One that heeds them at first.
    scene.plan(|number, _| match number {
        0 => Reaction::Serve,
        _ => Reaction::IgnoreRange,
    });
    let error = transfer(scene.read(blocks()).await.unwrap_err());
    assert!(matches!(error, TransferError::WrongRange { expected: BLOCK, .. }), "{error:?}");
}

/// What such a server sends before the part is thrown away, and so is no progress: one that always breaks off there is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_gets_to_the_part_is_given_up() {
    let scene = Scene::new(FileContent::generated(8, 2 * MIB)).await;
    scene.plan(|number, _| match number {
        0 => Reaction::CutWhole { after: MIB + BLOCK },
        _ => Reaction::CutWhole { after: MIB / 2 },
    });
    let retry = RetryPolicy { patience: Duration::from_millis(50), ..quick() };
    let options = DownloadOptions { offset: MIB, parallel: 1, retry, ..blocks() };
    let read = tokio::time::timeout(Duration::from_secs(60), scene.read(options));
    let error = read.await.expect("it is given up").map(|bytes| bytes.len()).unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::Closed { .. })), "{error:?}");
    assert!(scene.downloads() > 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_are_found() {
    let mut content = FileContent::hole(32 * MIB);
    content.write(5 * MIB + 100, b"something");
    content.generate(20 * MIB, MIB, 1);
    content.write(32 * MIB - 1, b"!");
    let scene = Scene::new(content).await;
    let mut download = scene.open(DownloadOptions { holes: true, ..blocks() }).await.unwrap();
    let (mut position, mut data) = (0, 0);
    while let Some(chunk) = download.chunk().await.unwrap() {
        if let Chunk::Data(bytes) = &chunk {
            data += chunk.size();
            assert!(scene.content.read(position, bytes.len()) == *bytes, "{position}");
        } else {
            let part = scene.content.read(position, chunk.size() as usize);
            assert!(part.iter().all(|byte| *byte == 0), "{position}");
        }
        position += chunk.size();
    }
    assert_eq!(position, 32 * MIB);
    assert_eq!(data, MIB + 2 * (64 << 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_apart() {
    let scene = Scene::new(FileContent::generated(9, MIB)).await;
    let open = async |path: &str| transfer(scene.open_path(path, blocks()).await.unwrap_err());
    assert!(matches!(open("vol/none.img").await, TransferError::NotFound { .. }));
    scene.sim.model().change(|model| model.lock_file("datastore1", "iso/debian-12.iso", true));
    let locked = open("iso/debian-12.iso").await;
    assert!(matches!(locked, TransferError::Unreadable { status: 500, .. }), "{locked:?}");
    scene.plan(|_, _| Reaction::Redirect { location: "https://esx7.example.org/folder/x".into() });
    assert_eq!(
        open("vol/a.img").await.to_string(),
        "the transfer of [datastore1] vol/a.img is sent on to \"https://esx7.example.org/folder/x\", which is not \
         followed: connect to that host itself"
    );
    // Nobody answers for good: the error is the last refusal.
    scene.plan(|_, _| Reaction::Refuse { status: 503, retry_after: Some(1) });
    let retry = RetryPolicy { patience: Duration::from_millis(15), ..quick() };
    let error = scene.open(DownloadOptions { retry, ..blocks() }).await.unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::Status { status: 503, .. })));
    assert!(scene.downloads() > 3);
}

/// A connection that breaks before the answer, a body that breaks at once, a server that is down for a while.
#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_of_every_kind() {
    let scene = Scene::new(FileContent::generated(10, 4 * MIB)).await;
    let seen = Mutex::new(0_u32);
    scene.plan(move |number, _| {
        *seen.lock().unwrap() += 1;
        match number % 5 {
            1 => Reaction::Hangup { served: true },
            2 => Reaction::CutAnswer { after: 0 },
            3 => Reaction::CutAnswer { after: BLOCK - 1 },
            _ => Reaction::Serve,
        }
    });
    assert!(scene.read(blocks()).await.unwrap() == scene.content.read(0, usize::MAX));
    assert_eq!(scene.sim.transfers().bytes_out, 4 * MIB);
}
