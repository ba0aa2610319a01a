//! What machines write, in a file for each port.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
};

use bytes::Bytes;
use esx_vspc::PortKey;
use tokio::task::JoinHandle;

use crate::{Error, Result};

/// Pieces that wait for the disk; more than that is lost, since a machine is never slowed down.
const WAITING: usize = 4096;
/// Files open at a time.
const OPEN: usize = 256;

/// The writing end.
pub(super) struct Log {
    sender: SyncSender<(PortKey, Bytes)>,
    lost: u64,
}

impl Log {
    /// Queues a piece; loses it if the disk cannot keep up, and says so once.
    pub(super) fn write(&mut self, port: PortKey, data: Bytes) {
        match self.sender.try_send((port, data)) {
            Ok(()) if self.lost > 0 => {
                tracing::warn!(bytes = self.lost, "output was not logged: the disk is too slow");
                self.lost = 0;
            }
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full((_, data))) => self.lost += data.len() as u64,
        }
    }
}

/// Starts the writer, whose task ends when the log is dropped.
pub(super) fn start(folder: PathBuf, limit: u64) -> Result<(Log, JoinHandle<()>)> {
    std::fs::create_dir_all(&folder)
        .map_err(|source| Error::File { path: folder.clone(), source })?;
    let (sender, receiver) = sync_channel(WAITING);
    let task = tokio::task::spawn_blocking(move || run(&folder, limit, &receiver));
    Ok((Log { sender, lost: 0 }, task))
}

struct Open {
    file: File,
    size: u64,
}

fn run(folder: &Path, limit: u64, receiver: &Receiver<(PortKey, Bytes)>) {
    let mut files: HashMap<PortKey, Open> = HashMap::new();
    while let Ok((port, data)) = receiver.recv() {
        if files.len() >= OPEN && !files.contains_key(&port) {
            files.clear();
        }
        if let Err(error) = append(folder, limit, &mut files, &port, &data) {
            tracing::warn!(%port, %error, "output cannot be logged");
            files.remove(&port);
        }
    }
}

fn append(
    folder: &Path,
    limit: u64,
    files: &mut HashMap<PortKey, Open>,
    port: &PortKey,
    data: &[u8],
) -> std::io::Result<()> {
    let path = folder.join(port.file_name());
    if files.get(port).is_some_and(|open| limit > 0 && open.size >= limit) {
        files.remove(port);
        std::fs::rename(&path, path.with_extension("log.1"))?;
    }
    if !files.contains_key(port) {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let size = file.metadata()?.len();
        files.insert(port.clone(), Open { file, size });
    }
    if let Some(open) = files.get_mut(port) {
        open.file.write_all(data)?;
        open.size += data.len() as u64;
    }
    Ok(())
}
