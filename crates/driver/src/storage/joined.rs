//! A disk whose data lie in several files, or in a part of one: read one after the other, as one stream.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use esx_escape::DatastorePath;
use esx_vi_client as vi;
use tokio::sync::Mutex;
use virt_api::{Chunk, Error, ErrorDomain, Result, Stream};

use crate::connection::Session;
use crate::error::storage_error;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A stretch of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The file that holds it; none for zeros.
    pub(super) path: Option<DatastorePath>,
    /// Its first byte in the file.
    pub(super) start: u64,
    /// How many bytes, at least one.
    pub(super) length: u64,
}

/// What is left of some parts if only `length` bytes from `offset` on are wanted (0: all that follow).
pub(super) fn cut(parts: Vec<Part>, offset: u64, length: u64) -> VecDeque<Part> {
    let end = if length == 0 { u64::MAX } else { offset.saturating_add(length) };
    let mut position = 0;
    let mut left = VecDeque::new();
    for part in parts {
        let (from, to) = (position, position + part.length);
        position = to;
        let (first, last) = (from.max(offset), to.min(end));
        if first < last {
            left.push_back(Part {
                start: part.start + (first - from),
                length: last - first,
                ..part
            });
        }
    }
    left
}

/// The parts on their way here.
pub(super) struct JoinedStream {
    session: Arc<Session>,
    datacenter_path: String,
    left: Mutex<Left>,
    size: u64,
    holes: bool,
    what: String,
}

struct Left {
    parts: VecDeque<Part>,
    /// The first part, and how many of its bytes are yet to come.
    open: Option<(vi::Download, u64)>,
    /// An error was reported: there is nothing after it.
    failed: bool,
}

impl JoinedStream {
    pub(super) fn new(
        session: Arc<Session>,
        datacenter_path: String,
        parts: VecDeque<Part>,
        holes: bool,
        what: String,
    ) -> Self {
        let size = parts.iter().map(|part| part.length).sum();
        let left = Mutex::new(Left { parts, open: None, failed: false });
        Self { session, datacenter_path, left, size, holes, what }
    }

    /// Begins with the first part, so that what cannot be read is known before anything is.
    pub(super) async fn begin(self) -> Result<Self> {
        let mut left = self.left.lock().await;
        if let Some(Part { path: Some(_), .. }) = left.parts.front() {
            self.open(&mut left).await?;
        }
        drop(left);
        Ok(self)
    }

    async fn open(&self, left: &mut Left) -> Result<()> {
        let Some(Part { path: Some(path), start, length }) = left.parts.front() else {
            return Ok(());
        };
        let options = vi::DownloadOptions {
            offset: *start,
            length: Some(*length),
            holes: self.holes,
            ..vi::DownloadOptions::default()
        };
        let opened = self.session.client.open_download(path, &self.datacenter_path, options).await;
        let download = opened.map_err(|error| storage_error(&self.what, error))?;
        left.open = Some((download, *length));
        Ok(())
    }

    async fn next(&self, left: &mut Left) -> Result<Option<Chunk>> {
        loop {
            let Some(part) = left.parts.front_mut() else { return Ok(None) };
            let Some(path) = &part.path else {
                if self.holes {
                    let hole = Chunk::Hole(part.length);
                    left.parts.pop_front();
                    return Ok(Some(hole));
                }
                let now = part.length.min(ZEROS.len() as u64);
                part.length -= now;
                if part.length == 0 {
                    left.parts.pop_front();
                }
                return Ok(Some(Chunk::Data(Bytes::from_static(&ZEROS[..now as usize]))));
            };
            let Some((download, missing)) = &mut left.open else {
                self.open(left).await?;
                continue;
            };
            let chunk = download.chunk().await.map_err(|e| storage_error(&self.what, e))?;
            let chunk = match chunk {
                Some(vi::Chunk::Data(bytes)) => Chunk::Data(bytes),
                Some(vi::Chunk::Hole(size)) => Chunk::Hole(size),
                None if *missing > 0 => {
                    let message = format!("{}: {path} is shorter than the disk says", self.what);
                    return Err(Error::internal(ErrorDomain::Esx, message));
                }
                None => {
                    left.open = None;
                    left.parts.pop_front();
                    continue;
                }
            };
            *missing -= match &chunk {
                Chunk::Data(bytes) => bytes.len() as u64,
                Chunk::Hole(size) => *size,
            };
            return Ok(Some(chunk));
        }
    }
}

#[async_trait]
impl Stream for JoinedStream {
    async fn recv(&self) -> Result<Option<Chunk>> {
        let mut left = self.left.lock().await;
        if left.failed {
            return Ok(None);
        }
        let next = self.next(&mut left).await;
        if next.is_err() {
            (left.failed, left.open) = (true, None);
        }
        next
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    async fn finish(&self) -> Result<()> {
        let mut left = self.left.lock().await;
        let whole = left.parts.is_empty();
        (left.parts, left.open) = (VecDeque::new(), None);
        if whole {
            return Ok(());
        }
        let message = format!("{}: the stream has not been read to its end", self.what);
        Err(Error::internal(ErrorDomain::Streams, message))
    }

    async fn abort(&self) -> Result<()> {
        let mut left = self.left.lock().await;
        (left.parts, left.open) = (VecDeque::new(), None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_to_what_is_wanted() {
        let part = |name: &str, start, length| {
            let path = (!name.is_empty()).then(|| DatastorePath::new("ds", name).unwrap());
            Part { path, start, length }
        };
        let parts = || vec![part("a", 512, 100), part("", 0, 50), part("b", 0, 100)];
        let shown = |parts: VecDeque<Part>| {
            let names = parts.iter().map(|part| {
                let name = part.path.as_ref().map_or("zeros", |path| path.path());
                format!("{name} {}+{}", part.start, part.length)
            });
            names.collect::<Vec<_>>().join(", ")
        };
        for (offset, length, expect) in [
            (0, 0, "a 512+100, zeros 0+50, b 0+100"),
            (10, 0, "a 522+90, zeros 0+50, b 0+100"),
            (10, 20, "a 522+20"),
            (90, 100, "a 602+10, zeros 0+50, b 0+40"),
            (100, 50, "zeros 0+50"),
            (149, 2, "zeros 49+1, b 0+1"),
            (249, 0, "b 99+1"),
            (250, 0, ""),
            (0, u64::MAX, "a 512+100, zeros 0+50, b 0+100"),
        ] {
            assert_eq!(shown(cut(parts(), offset, length)), expect, "{offset} {length}");
        }
    }
}
