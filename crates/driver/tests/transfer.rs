//! Volumes as streams on the simulated host.

use std::time::Duration;

use crate::common::{connect, methods, options};
use bytes::Bytes;
use esx_driver::{Connection, OpenOptions};
use esx_sim::{FileContent, Preset, Reaction, Running, Simulator};
use virt_api::{
    Chunk, ErrorCode, ExportOptions, Hypervisor as _, Result, Storage as _, StorageVol,
    StorageVolTransferFlags as Flags, Stream,
};

const MIB: u64 = 1 << 20;
const NONE: Flags = Flags::empty();

/// A host with a disk of 8 MiB in a directory, its data generated, and an image.
async fn host() -> (Running, Connection) {
    let sim = Simulator::builder().start().await.unwrap();
    sim.model().change(|model| {
        let descriptor = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"vmfs\"\n\
                          RW 16384 VMFS \"other name.vmdk\"\n";
        model.add_file("datastore1", "vol/disk.vmdk", descriptor.as_bytes());
        model.add_content("datastore1", "vol/other name.vmdk", FileContent::generated(1, 8 * MIB));
        model.add_content("datastore1", "vol/image.iso", FileContent::generated(2, 3 * MIB));
    });
    let connection = connect(&sim, "").await;
    sim.reset_journal();
    (sim, connection)
}

fn volume(name: &str) -> StorageVol {
    let key = format!("[datastore1] {name}");
    StorageVol { pool: "datastore1".to_owned(), name: name.to_owned(), key }
}

fn content(sim: &Running, path: &str) -> FileContent {
    sim.model().read(|model| model.file("datastore1", path)).unwrap().content
}

async fn read(stream: &dyn Stream) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.recv().await? {
        match chunk {
            Chunk::Data(data) => bytes.extend_from_slice(&data),
            Chunk::Hole(size) => bytes.resize(bytes.len() + size as usize, 0),
        }
    }
    stream.finish().await?;
    Ok(bytes)
}

/// Why a volume cannot be downloaded.
async fn refusal(connection: &Connection, name: &str) -> (ErrorCode, String) {
    match connection.storage_vol_download(&volume(name), 0, 0, NONE).await {
        Err(error) => (error.code, error.chain().collect::<Vec<_>>().join(": ")),
        Ok(_) => panic!("{name} can be downloaded"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_what_a_guest_sees() {
    let (sim, connection) = host().await;
    let stream =
        connection.storage_vol_download(&volume("vol/disk.vmdk"), 0, 0, NONE).await.unwrap();
    assert_eq!(stream.size(), Some(8 * MIB));
    assert!(read(&*stream).await.unwrap() == content(&sim, "vol/other name.vmdk").read(0, 8 << 20));
    assert!(stream.send(Chunk::Hole(1)).await.is_err());
    // The descriptor, two blocks of data; the datacenter was looked up once.
    let files = methods(&sim).iter().filter(|method| method.contains("/folder")).count();
    assert_eq!(files, 3);
    let part = connection.storage_vol_download(&volume("vol/image.iso"), MIB + 1, 1000, NONE).await;
    let expect = content(&sim, "vol/image.iso").read(MIB + 1, 1000);
    assert_eq!(read(&*part.unwrap()).await.unwrap(), expect);
    // Left in the middle: the caller is told, or does not care.
    let stream =
        connection.storage_vol_download(&volume("vol/image.iso"), 0, 0, NONE).await.unwrap();
    stream.recv().await.unwrap();
    assert_eq!(stream.finish().await.unwrap_err().code, ErrorCode::InternalError);
    let stream =
        connection.storage_vol_download(&volume("vol/image.iso"), 0, 0, NONE).await.unwrap();
    stream.abort().await.unwrap();
    assert_eq!(stream.recv().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn sparse_streams_have_holes() {
    let (sim, connection) = host().await;
    let mut sparse = FileContent::hole(8 * MIB);
    sparse.write(MIB, b"data");
    sim.model().change(|model| model.add_content("datastore1", "vol/other name.vmdk", sparse));
    let volume = volume("vol/disk.vmdk");
    let stream =
        connection.storage_vol_download(&volume, 0, 0, Flags::SPARSE_STREAM).await.unwrap();
    let mut shape = Vec::new();
    while let Some(chunk) = stream.recv().await.unwrap() {
        match chunk {
            Chunk::Hole(size) => shape.push((true, size)),
            Chunk::Data(data) => shape.push((false, data.len() as u64)),
        }
    }
    assert_eq!(shape.iter().map(|(_, size)| size).sum::<u64>(), 8 * MIB);
    let data: u64 = shape.iter().filter(|(hole, _)| !hole).map(|(_, size)| size).sum();
    assert_eq!(data, 64 << 10);

    // And upwards: what is a hole becomes zeros.
    let stream = connection.storage_vol_upload(&volume, 0, 0, Flags::SPARSE_STREAM).await.unwrap();
    stream.send(Chunk::Hole(2 * MIB)).await.unwrap();
    stream.send(Chunk::Data(Bytes::from_static(b"new"))).await.unwrap();
    stream.finish().await.unwrap();
    let mut expect = FileContent::hole(8 * MIB);
    expect.write(2 * MIB, b"new");
    assert_eq!(content(&sim, "vol/other name.vmdk"), expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_stream_is_refused_in_plain_words() {
    let (sim, connection) = host().await;
    let (code, text) = refusal(&connection, "vol/none.iso").await;
    assert_eq!(code, ErrorCode::NoStorageVol, "{text}");
    let newest = sim.model().read(|model| model.vmx(&model.machine("web01").unwrap()).unwrap());
    let newest = newest.lines().find_map(|line| line.strip_prefix("scsi0:0.fileName = ")).unwrap();
    let (code, text) = refusal(&connection, &format!("web01/{}", newest.trim_matches('"'))).await;
    assert_eq!(code, ErrorCode::OperationUnsupported);
    assert!(text.contains("the disk of a snapshot (seSparse)"), "{text}");
    // What the snapshot has left alone can be read while the machine runs.
    let stream = connection.storage_vol_download(&volume("web01/web01.vmdk"), 0, 512, NONE).await;
    assert_eq!(read(&*stream.unwrap()).await.unwrap().len(), 512);
    sim.model().change(|model| model.lock_file("datastore1", "vol/other name.vmdk", true));
    let (code, text) = refusal(&connection, "vol/disk.vmdk").await;
    assert_eq!(code, ErrorCode::OperationFailed);
    assert!(text.contains("[datastore1] vol/other name.vmdk (HTTP status 500)"), "{text}");
    assert!(text.contains("locked"), "{text}");
    sim.model().change(|model| {
        model.lock_file("datastore1", "vol/other name.vmdk", false);
        model.remove_file("datastore1", "vol/other name.vmdk")
    });
    assert_eq!(refusal(&connection, "vol/disk.vmdk").await.0, ErrorCode::NoStorageVol);
    let lun = StorageVol { name: "/vmfs/devices/disks/naa.1".to_owned(), ..volume("") };
    let refused = connection.storage_vol_download(&lun, 0, 0, NONE).await;
    assert_eq!(refused.err().unwrap().code, ErrorCode::NoSupport);
    let refused = connection.storage_vol_download(&volume("vol/image.iso"), 4 * MIB, 0, NONE).await;
    assert_eq!(refused.err().unwrap().code, ErrorCode::InvalidArg);
}

/// The extent may lie on another datastore, named by where the host mounts it.
#[tokio::test(flavor = "multi_thread")]
async fn data_on_another_datastore_is_found() {
    let (sim, connection) = host().await;
    sim.model().change(|model| {
        let descriptor =
            "# Disk DescriptorFile\nRW 2048 VMFS \"/vmfs/volumes/fast +1/x/y-flat.vmdk\"\n";
        model.add_file("datastore1", "vol/far.vmdk", descriptor.as_bytes());
        model.add_content("fast +1", "x/y-flat.vmdk", FileContent::generated(9, MIB));
    });
    let stream =
        connection.storage_vol_download(&volume("vol/far.vmdk"), 0, 0, NONE).await.unwrap();
    assert!(read(&*stream).await.unwrap() == FileContent::generated(9, MIB).read(0, 1 << 20));
    sim.model().change(|model| {
        let descriptor = "# Disk DescriptorFile\nRW 2048 VMFS \"/vmfs/volumes/none/y-flat.vmdk\"\n";
        model.add_file("datastore1", "vol/far.vmdk", descriptor.as_bytes());
    });
    let (_, text) = refusal(&connection, "vol/far.vmdk").await;
    assert!(text.contains("on no datastore of the host"), "{text}");
}

/// Two files, the second not from its beginning, and zeros between them that are in no file.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_in_several_files_is_read_in_order() {
    let (sim, connection) = host().await;
    sim.model().change(|model| {
        let descriptor = "# Disk DescriptorFile\ncreateType=\"twoGbMaxExtentFlat\"\n\
                          RW 2048 FLAT \"split-f001.vmdk\" 0\nRW 256 ZERO\nRW 4096 FLAT \"split-f002.vmdk\" 128\n";
        model.add_file("datastore1", "vol/split.vmdk", descriptor.as_bytes());
        model.add_content("datastore1", "vol/split-f001.vmdk", FileContent::generated(3, MIB));
        model.add_content("datastore1", "vol/split-f002.vmdk", FileContent::generated(4, 3 * MIB));
    });
    let mut expect = FileContent::generated(3, MIB).read(0, 1 << 20).to_vec();
    expect.resize((1 << 20) + 256 * 512, 0);
    expect.extend_from_slice(&FileContent::generated(4, 3 * MIB).read(128 * 512, 2 << 20));
    let disk = volume("vol/split.vmdk");
    for flags in [NONE, Flags::SPARSE_STREAM] {
        let stream = connection.storage_vol_download(&disk, 0, 0, flags).await.unwrap();
        assert_eq!(stream.size(), Some(expect.len() as u64));
        assert!(read(&*stream).await.unwrap() == expect);
    }
    // Across all three, and into the last alone.
    for (offset, length) in [(MIB - 10, 256 * 512 + 20), (2 * MIB, 1000), (3 * MIB, 0)] {
        let part = connection.storage_vol_download(&disk, offset, length, NONE).await.unwrap();
        let end = if length == 0 { expect.len() } else { (offset + length) as usize };
        assert!(read(&*part).await.unwrap() == expect[offset as usize..end], "{offset}");
    }
    let beyond = connection.storage_vol_download(&disk, 4 * MIB, 0, NONE).await;
    assert_eq!(beyond.err().unwrap().code, ErrorCode::InvalidArg);
    // In the middle nobody may call it whole.
    let stream = connection.storage_vol_download(&disk, 0, 0, NONE).await.unwrap();
    stream.recv().await.unwrap();
    assert_eq!(stream.finish().await.unwrap_err().code, ErrorCode::InternalError);
    let refused = connection.storage_vol_upload(&disk, 0, 0, NONE).await.err().unwrap();
    assert_eq!(refused.code, ErrorCode::OperationUnsupported, "{refused}");

    // A file that is too short is no part of the disk.
    sim.model().change(|model| {
        model.add_content("datastore1", "vol/split-f002.vmdk", FileContent::generated(4, MIB))
    });
    let stream = connection.storage_vol_download(&disk, 0, 0, NONE).await.unwrap();
    let error = read(&*stream).await.unwrap_err();
    assert!(error.message.contains("split-f002.vmdk is shorter than the disk says"), "{error}");
    assert_eq!(stream.recv().await.unwrap(), None);
    assert!(stream.finish().await.is_err());
}

/// What waits for its end takes room of this machine: as much as is allowed.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_without_a_length_may_be_too_long() {
    let (sim, _) = host().await;
    let options = OpenOptions { spool_bytes: Some(2 * MIB), ..options(sim.password()) };
    let connection = esx_driver::open(&sim.uri(), options).await.unwrap();
    let image = volume("vol/image.iso");
    let before = content(&sim, "vol/image.iso");
    let data = |bytes: u64| Chunk::Data(FileContent::generated(5, bytes).read(0, bytes as usize));
    for more in [data(1), Chunk::Hole(1), Chunk::Hole(u64::MAX)] {
        let stream = connection.storage_vol_upload(&image, 0, 0, NONE).await.unwrap();
        stream.send(data(MIB)).await.unwrap();
        stream.send(Chunk::Hole(MIB)).await.unwrap();
        let error = stream.send(more).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::OperationFailed);
        assert!(error.message.contains("2 MiB") && error.message.contains("tell the length"));
        stream.finish().await.unwrap_err();
    }
    assert_eq!(content(&sim, "vol/image.iso"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_replace_what_is_there_or_leave_it() {
    let (sim, connection) = host().await;
    let image = volume("vol/image.iso");
    let upload = async |volume: &StorageVol, length: u64, given: u64| -> Result<()> {
        let stream = connection.storage_vol_upload(volume, 0, length, NONE).await?;
        let new = FileContent::generated(5, given);
        for offset in (0..given).step_by(300_000) {
            stream.send(Chunk::Data(new.read(offset, 300_000))).await?;
        }
        stream.finish().await
    };
    upload(&image, MIB, MIB).await.unwrap();
    assert_eq!(content(&sim, "vol/image.iso"), FileContent::generated(5, MIB));
    let disk = volume("vol/disk.vmdk");
    upload(&disk, 8 * MIB, 8 * MIB).await.unwrap();
    assert_eq!(content(&sim, "vol/other name.vmdk"), FileContent::generated(5, 8 * MIB));
    // A disk keeps its size.
    upload(&disk, 0, MIB).await.unwrap();
    let content_now = content(&sim, "vol/other name.vmdk");
    assert_eq!(content_now.size(), 8 * MIB);
    assert!(content_now.read(MIB, MIB as usize).iter().all(|byte| *byte == 0));

    // Without a length it is what comes, be it nothing, and nothing is sent before the end.
    for given in [0, 3 * MIB + 5] {
        upload(&image, 0, given).await.unwrap();
        assert_eq!(content(&sim, "vol/image.iso").size(), given);
    }
    assert_eq!(
        content(&sim, "vol/image.iso").read(0, 1 << 20),
        FileContent::generated(5, 3 * MIB + 5).read(0, 1 << 20)
    );
    sim.reset_journal();
    let stream = connection.storage_vol_upload(&image, 0, 0, NONE).await.unwrap();
    let holed = [
        Chunk::Data(Bytes::from_static(b"a")),
        Chunk::Hole(2 * MIB),
        Chunk::Data(Bytes::from_static(b"z")),
    ];
    for chunk in holed.clone() {
        stream.send(chunk).await.unwrap();
    }
    assert!(!sim.journal().iter().any(|entry| entry.method.starts_with("PUT")));
    stream.finish().await.unwrap();
    let stored = content(&sim, "vol/image.iso");
    assert_eq!(
        (stored.size(), &stored.read(0, 2)[..], &stored.read(2 * MIB, 2)[..]),
        (2 * MIB + 2, &b"a\0"[..], &b"\0z"[..])
    );
    let given_up = connection.storage_vol_upload(&image, 0, 0, NONE).await.unwrap();
    given_up.send(Chunk::Hole(1)).await.unwrap();
    given_up.abort().await.unwrap();
    assert!(given_up.finish().await.is_err());

    let before = content(&sim, "vol/image.iso");
    assert_eq!(upload(&image, 2 * MIB, MIB).await.unwrap_err().code, ErrorCode::InvalidArg);
    assert_eq!(upload(&image, MIB, 2 * MIB).await.unwrap_err().code, ErrorCode::InvalidArg);
    assert_eq!(upload(&disk, 9 * MIB, MIB).await.unwrap_err().code, ErrorCode::InvalidArg);
    let none = volume("vol/none.iso");
    assert_eq!(upload(&none, MIB, MIB).await.unwrap_err().code, ErrorCode::NoStorageVol);
    assert_eq!(upload(&none, 0, MIB).await.unwrap_err().code, ErrorCode::NoStorageVol);
    let refused = connection.storage_vol_upload(&image, 1, MIB, NONE).await;
    assert_eq!(refused.err().unwrap().code, ErrorCode::OperationUnsupported);
    let stream = connection.storage_vol_upload(&image, 0, 4 * MIB, NONE).await.unwrap();
    stream.send(Chunk::Data(Bytes::from(vec![1; 1 << 20]))).await.unwrap();
    stream.abort().await.unwrap();
    assert!(stream.send(Chunk::Hole(1)).await.is_err());
    sim.set_plan(|arrival| match arrival.line.starts_with("PUT ") {
        true => Reaction::CutRequest { after: 1000 },
        false => Reaction::Serve,
    });
    assert!(upload(&image, 4 * MIB, 4 * MIB).await.is_err());
    sim.clear_plan();
    assert_eq!(content(&sim, "vol/image.iso"), before);
    // No temporary file is left, once the uploads that were dropped have been put away.
    let names = || sim.model().read(|model| model.file_names("datastore1", "vol"));
    let settled = async {
        while names().iter().any(|name| name.ends_with(".part")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), settled).await.expect("no temporary file stays");
    assert_eq!(names(), ["disk.vmdk", "image.iso", "other name.vmdk"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_only_look_transfer_nothing() {
    let (sim, _) = host().await;
    let options = OpenOptions { read_only: true, ..options(sim.password()) };
    let connection = esx_driver::open(&sim.uri(), options).await.unwrap();
    let image = volume("vol/image.iso");
    let refused = connection.storage_vol_upload(&image, 0, MIB, NONE).await.err().unwrap();
    assert_eq!(refused.code, ErrorCode::OperationDenied);
    let refused = connection.storage_vol_download(&image, 0, 10, NONE).await.err().unwrap();
    assert_eq!(refused.code, ErrorCode::OperationDenied);
    let domain = connection.domain_lookup_by_name("storage01").await.unwrap();
    let refused = connection.domain_export(&domain, ExportOptions::default()).await.err().unwrap();
    assert_eq!(refused.code, ErrorCode::OperationDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_vcenter() {
    let sim = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
    sim.model().change(|model| {
        model.add_content("shared", "vol/image.iso", FileContent::generated(2, MIB));
    });
    let connection = connect(&sim, "").await;
    let volume = StorageVol {
        pool: "shared".to_owned(),
        name: "vol/image.iso".to_owned(),
        key: String::new(),
    };
    let stream = connection.storage_vol_upload(&volume, 0, 3, NONE).await.unwrap();
    stream.send(Chunk::Data(Bytes::from_static(b"new"))).await.unwrap();
    stream.finish().await.unwrap();
    let stream = connection.storage_vol_download(&volume, 0, 0, NONE).await.unwrap();
    assert_eq!(read(&*stream).await.unwrap(), b"new");
    sim.set_plan(|arrival| match arrival.line.contains("/folder") {
        true => Reaction::Redirect { location: "https://esx7.example.org/folder/x".to_owned() },
        false => Reaction::Serve,
    });
    let refused = connection.storage_vol_download(&volume, 0, 0, NONE).await.err().unwrap();
    assert_eq!(refused.code, ErrorCode::OperationUnsupported);
}
