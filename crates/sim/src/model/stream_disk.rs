//! The content of a disk as a lease gives it: a stream-optimised VMDK (VMware, "Virtual Disk Format 5.0").
//!
//! ```text
//! header | descriptor | grain... grain table | grain... grain table | grain directory | footer | end
//! ```
//!
//! Grains of zeros alone are left out; the others are compressed one by one. Everything is a number of whole sectors, and
//! says by a marker in its first sector what it is. Where the grain directory lies is only known at the end, so that the
//! header points to its copy there, the footer.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::content::FileContent;

const SECTOR: u64 = 512;
/// Sectors in a grain.
const GRAIN: u64 = 128;
/// Entries in a grain table.
const ENTRIES: u64 = 512;
/// Sectors before the first grain.
const OVERHEAD: u64 = 128;
/// Sectors that are kept for the descriptor.
const DESCRIPTOR: u64 = 20;
/// Compressed grains, and markers; the first bit says that the line ends in the header can be relied on.
const FLAGS: u32 = 1 | 1 << 16 | 1 << 17;
/// "It is at the end of the stream."
const AT_END: u64 = u64::MAX;
const DEFLATE: u16 = 1;

/// What a marker announces.
#[derive(Clone, Copy)]
enum Marker {
    End = 0,
    GrainTable = 1,
    GrainDirectory = 2,
    Footer = 3,
}

enum Stage {
    Header,
    /// This grain is next.
    Grains(u64),
    /// The table of the grains so far is next, then this grain.
    Table(u64),
    Directory,
    /// The grain directory lies in this sector.
    Footer(u64),
    End,
    Over,
}

/// A disk that is being written to a stream.
pub(crate) struct StreamDisk {
    content: FileContent,
    name: String,
    sectors: u64,
    stage: Stage,
    /// Sectors that have been written.
    position: u64,
    table: Vec<u32>,
    directory: Vec<u32>,
}

impl std::fmt::Debug for StreamDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamDisk").field("name", &self.name).finish_non_exhaustive()
    }
}

impl StreamDisk {
    pub(crate) fn new(content: FileContent, name: impl Into<String>) -> Self {
        let sectors = content.size().div_ceil(SECTOR);
        Self {
            content,
            name: name.into(),
            sectors,
            stage: Stage::Header,
            position: 0,
            table: Vec::new(),
            directory: Vec::new(),
        }
    }

    /// The next piece of the stream, never an empty one.
    pub(crate) fn piece(&mut self) -> Option<Bytes> {
        let piece = loop {
            match self.stage {
                Stage::Header => {
                    self.stage = Stage::Grains(0);
                    let mut piece = header(self.sectors, AT_END);
                    piece.extend_from_slice(self.descriptor().as_bytes());
                    piece.resize((OVERHEAD * SECTOR) as usize, 0);
                    break piece;
                }
                Stage::Grains(grain) => {
                    let end = ((grain / ENTRIES + 1) * ENTRIES).min(self.grains());
                    match self.next_grain(grain, end) {
                        Some((at, bytes)) => {
                            self.table.resize((at % ENTRIES) as usize, 0);
                            self.table.push(sector(self.position));
                            self.stage = Stage::Grains(at + 1);
                            if at + 1 == end {
                                self.stage = Stage::Table(end);
                            }
                            break compressed(at * GRAIN, &bytes);
                        }
                        None => self.stage = Stage::Table(end),
                    }
                }
                Stage::Table(next) => {
                    self.stage = Stage::Directory;
                    if next < self.grains() {
                        self.stage = Stage::Grains(next);
                    }
                    if self.table.is_empty() {
                        self.directory.push(0);
                        continue;
                    }
                    self.directory.push(sector(self.position + 1));
                    self.table.resize(ENTRIES as usize, 0);
                    break metadata(Marker::GrainTable, &std::mem::take(&mut self.table));
                }
                Stage::Directory => {
                    self.stage = Stage::Footer(self.position + 1);
                    break metadata(Marker::GrainDirectory, &self.directory);
                }
                Stage::Footer(directory) => {
                    self.stage = Stage::End;
                    let mut piece = marker(1, Marker::Footer).to_vec();
                    piece.extend(header(self.sectors, directory));
                    break piece;
                }
                Stage::End => {
                    self.stage = Stage::Over;
                    break marker(0, Marker::End).to_vec();
                }
                Stage::Over => return None,
            }
        };
        self.position += piece.len() as u64 / SECTOR;
        Some(piece.into())
    }

    fn grains(&self) -> u64 {
        self.sectors.div_ceil(GRAIN)
    }

    /// The first grain between these two that does not hold zeros alone.
    fn next_grain(&self, mut grain: u64, end: u64) -> Option<(u64, Vec<u8>)> {
        const BYTES: u64 = GRAIN * SECTOR;
        while grain < end {
            // What was never written is not even looked at.
            grain = grain.max(self.content.next_data(grain * BYTES)? / BYTES);
            if grain >= end {
                return None;
            }
            let mut bytes = self.content.read(grain * BYTES, BYTES as usize).to_vec();
            if bytes.iter().any(|byte| *byte != 0) {
                bytes.resize(BYTES as usize, 0);
                return Some((grain, bytes));
            }
            grain += 1;
        }
        None
    }

    fn descriptor(&self) -> String {
        let (sectors, name) = (self.sectors, &self.name);
        format!(
            "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\n\n\
             # Extent description\nRDONLY {sectors} SPARSE \"{name}\"\n\n# The Disk Data Base\n#DDB\n\n\
             ddb.adapterType = \"lsilogic\"\nddb.virtualHWVersion = \"20\"\n"
        )
    }
}

/// A sector's number as tables hold it.
fn sector(position: u64) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
}

/// The header, or its copy at the end.
fn header(sectors: u64, directory: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SECTOR as usize);
    bytes.extend_from_slice(b"KDMV");
    bytes.extend_from_slice(&3_u32.to_le_bytes());
    bytes.extend_from_slice(&FLAGS.to_le_bytes());
    // Capacity, grain, descriptor's place and size.
    for number in [sectors, GRAIN, 1, DESCRIPTOR] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&(ENTRIES as u32).to_le_bytes());
    // No second directory, the directory, what comes before the grains.
    for number in [0, directory, OVERHEAD] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    // Closed properly; then line ends that a transfer as text would spoil.
    bytes.extend_from_slice(b"\0\n \r\n");
    bytes.extend_from_slice(&DEFLATE.to_le_bytes());
    pad(&mut bytes);
    bytes
}

fn marker(sectors: u64, kind: Marker) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SECTOR as usize);
    bytes.extend_from_slice(&sectors.to_le_bytes());
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    bytes.extend_from_slice(&(kind as u32).to_le_bytes());
    pad(&mut bytes);
    bytes
}

/// A table behind its marker.
fn metadata(kind: Marker, entries: &[u32]) -> Vec<u8> {
    let mut table: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    pad(&mut table);
    let mut bytes = marker(table.len() as u64 / SECTOR, kind);
    bytes.extend_from_slice(&table);
    bytes
}

/// A grain behind its marker, which has room for the first bytes.
fn compressed(sector: u64, grain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(grain);
    let data = encoder.finish().unwrap_or_default();
    let mut bytes = Vec::with_capacity(data.len() + 2 * SECTOR as usize);
    bytes.extend_from_slice(&sector.to_le_bytes());
    bytes.extend_from_slice(&(data.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&data);
    pad(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::content::BLOCK;
    use super::*;

    fn stream(content: &FileContent) -> Vec<u8> {
        let mut disk = StreamDisk::new(content.clone(), "disk.vmdk");
        let mut bytes = Vec::new();
        while let Some(piece) = disk.piece() {
            assert!(!piece.is_empty() && piece.len().is_multiple_of(SECTOR as usize));
            bytes.extend_from_slice(&piece);
        }
        bytes
    }

    fn number(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    fn entry(bytes: &[u8], sector: u64, index: u64) -> u64 {
        let at = (sector * SECTOR + index * 4) as usize;
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()).into()
    }

    /// Finds every grain as a reader does that can seek: footer, directory, table, grain.
    fn decode(bytes: &[u8]) -> Vec<u8> {
        use std::io::Read as _;
        let footer = &bytes[bytes.len() - 2 * SECTOR as usize..];
        assert_eq!(&footer[..4], b"KDMV");
        let (sectors, directory) = (number(footer, 12), number(footer, 56));
        let mut disk = vec![0; (sectors * SECTOR).next_multiple_of(GRAIN * SECTOR) as usize];
        for grain in 0..sectors.div_ceil(GRAIN) {
            let table = entry(bytes, directory, grain / ENTRIES);
            let place = if table == 0 { 0 } else { entry(bytes, table, grain % ENTRIES) };
            if place == 0 {
                continue;
            }
            let at = (place * SECTOR) as usize;
            assert_eq!(number(bytes, at), grain * GRAIN);
            let size = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
            let data = &bytes[at + 12..at + 12 + size];
            let from = (grain * GRAIN * SECTOR) as usize;
            let mut out = Vec::new();
            flate2::read::ZlibDecoder::new(data).read_to_end(&mut out).unwrap();
            disk[from..from + out.len()].copy_from_slice(&out);
        }
        disk.truncate((sectors * SECTOR) as usize);
        disk
    }

    #[test]
    fn what_goes_in_comes_out() {
        // More than one table, with nothing in the second of three.
        let mut content = FileContent::hole(70 * BLOCK + 512);
        content.generate(0, 1, 7);
        content.write(5 * BLOCK + 17, b"in a grain of its own");
        content.write(70 * BLOCK, &[9; 512]);
        let bytes = stream(&content);
        assert_eq!(decode(&bytes), content.read(0, usize::MAX));
        assert!(bytes.len() < 3 << 20);
        for small in [FileContent::hole(0), FileContent::hole(512), FileContent::generated(3, 512)]
        {
            assert_eq!(decode(&stream(&small)), small.read(0, usize::MAX));
        }
        // A hole costs nothing, however large.
        assert!(stream(&FileContent::hole(1 << 40)).len() < 1 << 20);
    }
}
