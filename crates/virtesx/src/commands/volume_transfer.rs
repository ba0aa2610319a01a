//! `vol-download` and `vol-upload`: volumes to and from local files.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};

use clap::{Arg, ArgMatches};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use virt_api::{Chunk, Error, ErrorCode, ErrorDomain, StorageVolTransferFlags, Stream};

use super::plain::{Plain, option, request, shown, switch};
use super::volume::{find_volume, with_pool};
use crate::command::{Group, positional, required_value, value};
use crate::failure::{Context, system, usage};
use crate::progress::Progress;
use crate::render::Render;
use crate::session::Session;
use crate::size::parse_bytes;

/// Pieces that may wait for the disk: what is on its way stays a few mebibytes.
const QUEUE: usize = 4;
/// What is read of a file at a time.
const PIECE: usize = 1 << 20;
/// How much is written of a hole at a time where holes cannot be.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// `vol-download`
pub(crate) static DOWNLOAD: Plain = Plain {
    name: "vol-download",
    group: Group::Volume,
    summary: "Copy a volume's data to a local file",
    details: "Of a virtual disk, the bytes that a guest sees. FILE - is standard output. What breaks off goes on where it was.",
    usage: "VOLUME FILE [POOL]",
    arguments: |command| {
        arguments(command).arg(switch("sparse", "Leave out runs of zeros in the file"))
    },
    request: |matches| {
        let given = Given::new(matches)?;
        Ok(request(async move |session: &Session| {
            let storage = session.storage().await?;
            let volume =
                find_volume(storage, &given.volume, given.pool.as_deref(), "--pool").await?;
            let failed = || format!("cannot download from volume {}", given.volume);
            let stream = storage
                .storage_vol_download(&volume, given.offset, given.length, given.flags)
                .await
                .context(failed)?;
            let watch = Watch::new(session, "download", &given.volume, stream.size());
            let bytes = receive(&*stream, &given.file, &watch).await.context(failed)?;
            shown(Transferred { bytes, alone: given.file == "-" })
        }))
    },
};

/// `vol-upload`
pub(crate) static UPLOAD: Plain = Plain {
    name: "vol-upload",
    group: Group::Volume,
    summary: "Replace a volume's data by a local file",
    details: "Hosts take whole files only: the offset must be 0. The old data stays until all of the new is there. FILE - is \
              standard input; without a length it is kept in TMPDIR until its end, unless the volume is a virtual disk.",
    usage: "VOLUME FILE [POOL]",
    arguments: |command| {
        arguments(command)
            .arg(switch("sparse", "Taken for virsh's sake: zeros are transferred in any case"))
    },
    request: |matches| {
        let given = Given::new(matches)?;
        Ok(request(async move |session: &Session| {
            let file = Source::open(&given.file)?;
            let mut length = given.length;
            if length == 0 {
                length = file.length.unwrap_or(0);
            }
            let storage = session.storage().await?;
            let volume =
                find_volume(storage, &given.volume, given.pool.as_deref(), "--pool").await?;
            let failed = || format!("cannot upload to volume {}", given.volume);
            let _held = session.hold();
            // Not cut short by an interrupt: the file that it makes on the host is taken away as soon as it is there.
            let stream = storage
                .storage_vol_upload(&volume, given.offset, length, given.flags)
                .await
                .context(failed)?;
            let watch = Watch::new(session, "upload", &given.volume, stream.size());
            let sent = tokio::select! {
                sent = send(&*stream, file, &watch) => sent,
                () = session.interrupted() => Err(stopped()),
            };
            match sent {
                Ok(bytes) => {
                    // All is there: giving it its name is not cut short, either.
                    stream.finish().await.context(failed)?;
                    shown(Transferred { bytes, alone: false })
                }
                Err(error) => {
                    // What has arrived is taken away before the program ends.
                    if let Err(error) = stream.abort().await {
                        tracing::warn!(%error, "the upload left something behind");
                    }
                    Err(error).context(failed)
                }
            }
        }))
    },
};

fn arguments(command: clap::Command) -> clap::Command {
    let command = positional(command, "vol", "Name, key or path of the volume", true);
    let command = positional(command, "file", "The local file", true);
    let command = with_pool(command);
    let size = |name, help: &'static str| -> Arg { option(name, "BYTES", help) };
    command
        .arg(size("offset", "Where in the volume to begin"))
        .arg(size("length", "How many bytes; all, if nothing is said"))
}

/// What both commands are told.
struct Given {
    volume: String,
    file: String,
    pool: Option<String>,
    offset: u64,
    length: u64,
    flags: StorageVolTransferFlags,
}

impl Given {
    fn new(matches: &ArgMatches) -> Result<Self, Error> {
        let bytes = |name: &str| match matches.get_one::<String>(name) {
            Some(text) => parse_bytes(text, name),
            None => Ok(0),
        };
        let sparse = matches.get_flag("sparse");
        Ok(Self {
            volume: required_value(matches, "vol")?,
            file: required_value(matches, "file")?,
            pool: value(matches, "pool"),
            offset: bytes("offset")?,
            length: bytes("length")?,
            flags: if sparse {
                StorageVolTransferFlags::SPARSE_STREAM
            } else {
                StorageVolTransferFlags::empty()
            },
        })
    }
}

/// Where what comes is written: a file, which goes away again if it was made for this and is not completed, or
/// standard output.
struct Target {
    file: Option<File>,
    /// The name of a file that did not exist.
    made: Option<String>,
    position: u64,
}

impl Target {
    fn open(name: &str) -> std::io::Result<Self> {
        if name == "-" {
            return Ok(Self { file: None, made: None, position: 0 });
        }
        let (file, made) = match OpenOptions::new().write(true).create_new(true).open(name) {
            Ok(file) => (file, Some(name.to_owned())),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                (OpenOptions::new().write(true).truncate(true).open(name)?, None)
            }
            Err(error) => return Err(error),
        };
        Ok(Self { file: Some(file), made, position: 0 })
    }

    fn write(&mut self, chunk: &Chunk) -> std::io::Result<()> {
        match (chunk, &mut self.file) {
            (Chunk::Data(bytes), Some(file)) => file.write_all(bytes)?,
            (Chunk::Data(bytes), None) => std::io::stdout().write_all(bytes)?,
            (Chunk::Hole(size), Some(file)) => {
                let size = i64::try_from(*size).map_err(std::io::Error::other)?;
                file.seek(SeekFrom::Current(size))?;
            }
            (Chunk::Hole(size), None) => {
                let mut left = *size;
                while left > 0 {
                    let now = left.min(ZEROS.len() as u64);
                    std::io::stdout().write_all(&ZEROS[..now as usize])?;
                    left -= now;
                }
            }
        }
        self.position += match chunk {
            Chunk::Data(bytes) => bytes.len() as u64,
            Chunk::Hole(size) => *size,
        };
        Ok(())
    }

    /// All has come.
    fn complete(mut self) -> std::io::Result<()> {
        match &self.file {
            // A hole at the end is not there before the file is told so. Devices and pipes have no length to set.
            Some(file) if file.metadata()?.is_file() => file.set_len(self.position)?,
            Some(_) => {}
            None => std::io::stdout().flush()?,
        }
        self.made = None;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(name) = self.made.take() {
            // It is an error that leads here: that is what is told.
            let _ = std::fs::remove_file(name);
        }
    }
}

/// Writes what comes over a stream, in a thread of its own, so that the network does not wait for the disk.
async fn receive(stream: &dyn Stream, name: &str, watch: &Watch<'_>) -> Result<u64, Error> {
    let failed = |error| system(format!("cannot write file '{name}'"), error);
    let mut target = Target::open(name)
        .map_err(|error| system(format!("cannot create file '{name}'"), error))?;
    let (pieces, mut queue) = mpsc::channel::<Chunk>(QUEUE);
    let writer = tokio::task::spawn_blocking(move || {
        while let Some(chunk) = queue.blocking_recv() {
            target.write(&chunk)?;
        }
        Ok::<_, std::io::Error>(target)
    });
    let mut bytes = 0;
    let received = loop {
        match stream.recv().await {
            Ok(Some(chunk)) => {
                bytes += match &chunk {
                    Chunk::Data(data) => data.len() as u64,
                    Chunk::Hole(size) => *size,
                };
                // If nobody takes it, the writer has failed and says why.
                if pieces.send(chunk).await.is_err() {
                    break Ok(());
                }
                watch.at(bytes);
            }
            Ok(None) => break stream.finish().await,
            Err(error) => break Err(error),
        }
    };
    drop(pieces);
    let written =
        writer.await.map_err(|error| system(String::new(), std::io::Error::other(error)))?;
    received?;
    written.and_then(Target::complete).map_err(failed)?;
    Ok(bytes)
}

/// What is uploaded.
struct Source {
    file: Option<File>,
    name: String,
    length: Option<u64>,
}

impl Source {
    fn open(name: &str) -> Result<Self, Error> {
        if name == "-" {
            return Ok(Self { file: None, name: name.to_owned(), length: None });
        }
        let cannot = |error| system(format!("cannot read file '{name}'"), error);
        let mut file = File::open(name).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if metadata.is_dir() {
            return Err(usage(format!("'{name}' is a directory")));
        }
        let length = if metadata.is_file() {
            Some(metadata.len())
        } else {
            // A block device tells its size by its end; a pipe has none.
            let end = file.seek(SeekFrom::End(0)).ok().filter(|end| *end > 0);
            end.map(|end| file.rewind().map(|()| end)).transpose().map_err(cannot)?
        };
        Ok(Self { file: Some(file), name: name.to_owned(), length })
    }

    /// The next bytes; none at the end.
    fn piece(&mut self) -> std::io::Result<Vec<u8>> {
        let mut piece = Vec::with_capacity(PIECE);
        match &mut self.file {
            Some(file) => file.take(PIECE as u64).read_to_end(&mut piece)?,
            None => std::io::stdin().take(PIECE as u64).read_to_end(&mut piece)?,
        };
        Ok(piece)
    }
}

fn stopped() -> Error {
    let message = "it was interrupted, and the volume is as it was";
    Error::new(ErrorCode::OperationAborted, ErrorDomain::None, message)
}

async fn send(stream: &dyn Stream, mut source: Source, watch: &Watch<'_>) -> Result<u64, Error> {
    let name = source.name.clone();
    let (sender, mut pieces) = mpsc::channel(QUEUE);
    // A thread that nobody waits for: a read of a pipe cannot be interrupted, and Ctrl-C must not wait for it.
    std::thread::spawn(move || {
        loop {
            let piece = source.piece();
            let last = piece.as_ref().map_or(true, Vec::is_empty);
            if sender.blocking_send(piece).is_err() || last {
                return;
            }
        }
    });
    let mut bytes = 0;
    loop {
        // The end is an empty piece: a thread that has come to grief is none.
        let piece = pieces.recv().await.unwrap_or_else(|| Err(ErrorKind::BrokenPipe.into()));
        let piece = piece.map_err(|error| system(format!("cannot read file '{name}'"), error))?;
        if piece.is_empty() {
            return Ok(bytes);
        }
        bytes += piece.len() as u64;
        stream.send(Chunk::Data(piece.into())).await?;
        watch.at(bytes);
    }
}

/// Who shows how far it is, if somebody looks.
struct Watch<'a> {
    progress: Option<&'a Progress>,
    what: String,
    total: Option<u64>,
}

impl<'a> Watch<'a> {
    fn new(session: &'a Session, what: &str, volume: &str, total: Option<u64>) -> Self {
        Self { progress: session.progress(), what: format!("{what} {volume}"), total }
    }

    fn at(&self, bytes: u64) {
        if let Some(progress) = self.progress {
            progress.transfer(&self.what, bytes, self.total);
        }
    }
}

/// How much was transferred; virsh says nothing, and so does the table.
struct Transferred {
    bytes: u64,
    /// Nothing else may stand in the output.
    alone: bool,
}

impl Render for Transferred {
    fn table(&self, _quiet: bool) -> String {
        String::new()
    }

    fn value(&self) -> Value {
        json!({ "transferred_bytes": self.bytes })
    }

    fn raw(&self) -> Option<&[u8]> {
        self.alone.then_some(&[])
    }
}
