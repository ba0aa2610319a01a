//! A file that is being copied: its beginning under a name of its own, and the checksum of that.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256, digest};
use tokio::sync::mpsc;
use virt_api::{Chunk, Error, Stream};

use super::cannot;
use super::manifest::Entry;

/// Pieces that may wait for the disk.
const QUEUE: usize = 4;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 sum of bytes.
pub(super) fn digest_of_bytes(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// The size and SHA-256 sum of a file; `context` goes along.
pub(super) fn digest_of_file(
    path: &Path,
    context: Option<&mut Context>,
) -> io::Result<(u64, String)> {
    let mut own = Context::new(&SHA256);
    let context = context.unwrap_or(&mut own);
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((size, hex(context.clone().finish().as_ref())));
        }
        context.update(&buffer[..count]);
        size += count as u64;
    }
}

/// The beginning of a file.
pub(super) struct Part {
    file: File,
    path: PathBuf,
    target: PathBuf,
    written: u64,
    context: Context,
}

impl Part {
    /// Opens what there is of `target`; nothing of it is kept if `fresh`.
    pub(super) fn open(target: &Path, fresh: bool) -> io::Result<Self> {
        let mut name = target.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let mut file = OpenOptions::new().write(true).create(true).truncate(fresh).open(&path)?;
        let mut context = Context::new(&SHA256);
        let (written, _) = digest_of_file(&path, Some(&mut context))?;
        file.seek(SeekFrom::Start(written))?;
        Ok(Self { file, path, target: target.to_owned(), written, context })
    }

    /// How much there is.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Adds a piece. The file is as long as what was added, holes included: its length tells where to go on.
    fn add(&mut self, chunk: &Chunk) -> io::Result<()> {
        match chunk {
            Chunk::Data(bytes) => {
                self.file.write_all(bytes)?;
                self.context.update(bytes);
                self.written += bytes.len() as u64;
            }
            Chunk::Hole(size) => {
                let mut left = *size;
                while left > 0 {
                    let now = left.min(ZEROS.len() as u64);
                    self.context.update(&ZEROS[..now as usize]);
                    left -= now;
                }
                self.written += size;
                self.file.set_len(self.written)?;
                self.file.seek(SeekFrom::Start(self.written))?;
            }
        }
        Ok(())
    }

    /// Takes the rest from a stream, in a thread of its own, and gives the file its name. What has come stays if it breaks off.
    pub(super) async fn fill(
        self,
        stream: &dyn Stream,
        watch: impl Fn(u64),
    ) -> Result<Entry, Error> {
        let target = self.target.clone();
        let mut done = self.written;
        let (pieces, mut queue) = mpsc::channel::<Chunk>(QUEUE);
        let mut part = self;
        let writer = tokio::task::spawn_blocking(move || {
            while let Some(chunk) = queue.blocking_recv() {
                part.add(&chunk)?;
            }
            Ok::<_, io::Error>(part)
        });
        let received = loop {
            match stream.recv().await {
                Ok(Some(chunk)) => {
                    done += match &chunk {
                        Chunk::Data(bytes) => bytes.len() as u64,
                        Chunk::Hole(size) => *size,
                    };
                    // If nobody takes it, the writer has failed and says why.
                    if pieces.send(chunk).await.is_err() {
                        break Ok(());
                    }
                    watch(done);
                }
                Ok(None) => break stream.finish().await,
                Err(error) => break Err(error),
            }
        };
        drop(pieces);
        let failed = |error| cannot("write", &target, error);
        let part = writer.await.map_err(|e| failed(io::Error::other(e)))?.map_err(failed)?;
        received?;
        part.complete().map_err(failed)
    }

    fn complete(self) -> io::Result<Entry> {
        self.file.sync_all()?;
        std::fs::rename(&self.path, &self.target)?;
        Ok(Entry { size_bytes: self.written, sha256: hex(self.context.finish().as_ref()) })
    }
}
