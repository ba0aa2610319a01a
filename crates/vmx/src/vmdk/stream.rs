//! A stream-optimised disk, as hosts give it for export, looked at while it passes by.
//!
//! ```text
//! header | descriptor | grain... grain table | ... | grain directory | footer | end of stream
//! ```
//!
//! Everything behind the descriptor begins with a marker that says what it is and how long (VMware, "Virtual Disk Format
//! 5.0"). Nothing is unpacked here: what is found is whether such a disk came, and whether all of it.

use super::SECTOR;

const MAGIC: &[u8] = b"KDMV";
/// "The grain directory is at the end": the footer tells where.
const AT_END: u64 = u64::MAX;
const COMPRESSED: u32 = 1 << 16;
const MARKERS: u32 = 1 << 17;
const DEFLATE: u16 = 1;
/// Bytes of a grain's marker before its data.
const GRAIN_HEAD: u64 = 12;
/// More sectors before the first grain, or in a table, than any disk needs.
const MAX_METADATA: u64 = 1 << 20;

/// Why a stream is no complete stream-optimised disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// It begins in another way: as a web page, for example, or as another kind of disk.
    #[error("it is not a stream-optimised disk ({0})")]
    NotAStream(&'static str),
    /// Something in it contradicts the format.
    #[error("it is malformed at byte {at}: {problem}")]
    Malformed {
        /// Where the marker or table begins.
        at: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// It ends before its end mark.
    #[error("it ends after {bytes} bytes, before its end mark")]
    Truncated {
        /// How many bytes came.
        bytes: u64,
    },
}

/// What passed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamSummary {
    /// The size of the disk as a guest sees it.
    pub capacity_bytes: u64,
    /// How many pieces with data there are.
    pub grains: u64,
    /// The size of the stream.
    pub bytes: u64,
}

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    /// In sectors.
    capacity: u64,
    /// Sectors in a grain.
    grain: u64,
    directory: u64,
    overhead: u64,
}

impl Header {
    fn read(sector: &[u8; SECTOR as usize]) -> Result<Self, &'static str> {
        if !sector.starts_with(MAGIC) {
            return Err("it does not begin with KDMV");
        }
        let flags = number(&sector[8..12]) as u32;
        if flags & COMPRESSED == 0 || flags & MARKERS == 0 {
            return Err("it is another kind of sparse disk");
        }
        if number(&sector[77..79]) as u16 != DEFLATE {
            return Err("its compression is unknown");
        }
        let header = Self {
            capacity: number(&sector[12..20]),
            grain: number(&sector[20..28]),
            directory: number(&sector[56..64]),
            overhead: number(&sector[64..72]),
        };
        let sizes = header.capacity.checked_mul(SECTOR).is_some_and(|b| i64::try_from(b).is_ok())
            && header.grain.is_power_of_two()
            && (8..=1 << 16).contains(&header.grain)
            && (1..=MAX_METADATA).contains(&header.overhead);
        if sizes { Ok(header) } else { Err("its sizes are impossible") }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The sector that is being gathered is the header.
    Header,
    /// It begins with a marker.
    Marker,
    /// It is the header's copy.
    Footer,
    /// So many bytes say nothing.
    Skip(u64),
    /// The end mark has come.
    Ended,
}

/// Looks at a stream-optimised disk that comes piece by piece.
///
/// ```
/// use esx_vmx::vmdk::{StreamCheck, StreamError};
///
/// let mut check = StreamCheck::new();
/// let page = [b'<'; 512];
/// assert!(matches!(check.push(&page), Err(StreamError::NotAStream(_))));
/// ```
#[derive(Clone, Debug)]
pub struct StreamCheck {
    state: State,
    header: Option<Header>,
    /// The beginning of a sector that is not whole yet.
    sector: [u8; SECTOR as usize],
    gathered: usize,
    bytes: u64,
    grains: u64,
    /// One past the furthest sector of the disk that came, in sectors.
    furthest: u64,
    has_footer: bool,
}

impl Default for StreamCheck {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamCheck {
    /// Nothing has come yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Header,
            header: None,
            sector: [0; SECTOR as usize],
            gathered: 0,
            bytes: 0,
            grains: 0,
            furthest: 0,
            has_footer: false,
        }
    }

    /// The size of the disk in bytes, as soon as it is known.
    #[must_use]
    pub fn capacity_bytes(&self) -> Option<u64> {
        self.header.map(|header| header.capacity * SECTOR)
    }

    /// How far into the disk the stream has come, in bytes of the disk.
    #[must_use]
    pub fn position_bytes(&self) -> u64 {
        match self.state {
            State::Ended => self.capacity_bytes().unwrap_or(0),
            _ => self.furthest.saturating_mul(SECTOR),
        }
    }

    /// Takes the next piece, of any size.
    ///
    /// # Errors
    /// [`StreamError`]; then the rest is of no interest.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), StreamError> {
        while !bytes.is_empty() {
            let taken = match &mut self.state {
                State::Skip(left) => {
                    let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    if *left == 0 {
                        self.state = State::Marker;
                    }
                    taken
                }
                State::Ended => {
                    // Some fill up what they write to.
                    if let Some(zeros) = bytes.iter().position(|byte| *byte != 0) {
                        self.bytes += zeros as u64;
                        return Err(self.malformed(0, "something follows the end mark"));
                    }
                    bytes.len()
                }
                State::Header | State::Marker | State::Footer => {
                    let taken = bytes.len().min(self.sector.len() - self.gathered);
                    self.sector[self.gathered..self.gathered + taken]
                        .copy_from_slice(&bytes[..taken]);
                    self.gathered += taken;
                    taken
                }
            };
            bytes = &bytes[taken..];
            self.bytes += taken as u64;
            if self.gathered == self.sector.len() {
                self.gathered = 0;
                self.take_sector()?;
            }
        }
        Ok(())
    }

    /// Nothing more comes.
    ///
    /// # Errors
    /// [`StreamError::Truncated`] if that is too early.
    pub fn finish(&self) -> Result<StreamSummary, StreamError> {
        match (self.state, self.header) {
            (State::Ended, Some(header)) => Ok(StreamSummary {
                capacity_bytes: header.capacity * SECTOR,
                grains: self.grains,
                bytes: self.bytes,
            }),
            (State::Header, _) if self.gathered > 0 && !self.begins_well() => {
                Err(StreamError::NotAStream("it does not begin with KDMV"))
            }
            _ => Err(StreamError::Truncated { bytes: self.bytes }),
        }
    }

    fn begins_well(&self) -> bool {
        let start = &self.sector[..self.gathered.min(MAGIC.len())];
        MAGIC.starts_with(start)
    }

    fn malformed(&self, back: u64, problem: &'static str) -> StreamError {
        StreamError::Malformed { at: self.bytes.saturating_sub(back), problem }
    }

    /// A sector of interest is whole.
    fn take_sector(&mut self) -> Result<(), StreamError> {
        match self.state {
            State::Header => {
                let header = Header::read(&self.sector).map_err(StreamError::NotAStream)?;
                self.state = match header.overhead - 1 {
                    0 => State::Marker,
                    sectors => State::Skip(sectors * SECTOR),
                };
                self.header = Some(header);
                Ok(())
            }
            State::Footer => {
                let footer = Header::read(&self.sector);
                let same = footer.is_ok_and(|footer| {
                    self.header.is_some_and(|header| {
                        footer.capacity == header.capacity
                            && footer.grain == header.grain
                            && (1..self.bytes / SECTOR).contains(&footer.directory)
                    })
                });
                if !same {
                    return Err(self.malformed(SECTOR, "the footer does not fit the header"));
                }
                self.has_footer = true;
                self.state = State::Marker;
                Ok(())
            }
            _ => self.take_marker(),
        }
    }

    fn take_marker(&mut self) -> Result<(), StreamError> {
        let Some(header) = self.header else { return Ok(()) };
        let value = number(&self.sector[..8]);
        let size = number(&self.sector[8..12]);
        let problem = if size > 0 {
            let whole = header.grain * SECTOR;
            // What a compressor makes of data that it cannot compress is a little larger.
            let fits = size <= whole * 2 && value < header.capacity;
            let zlib = u16::from_be_bytes([self.sector[12], self.sector[13]]);
            if !fits || !value.is_multiple_of(header.grain) {
                Some("a grain is of no place on the disk")
            } else if size < 2 || zlib >> 8 & 0x0f != 8 || !zlib.is_multiple_of(31) {
                Some("a grain is not compressed as it should be")
            } else if self.grains >= header.capacity.div_ceil(header.grain) {
                Some("there are more grains than the disk has")
            } else {
                self.grains += 1;
                self.furthest = self.furthest.max(value + header.grain).min(header.capacity);
                self.skip((GRAIN_HEAD + size).next_multiple_of(SECTOR) - SECTOR);
                None
            }
        } else {
            match (number(&self.sector[12..16]), value) {
                (0, 0) if header.directory == AT_END && !self.has_footer => {
                    Some("there is no footer before the end mark")
                }
                (0, 0) => {
                    self.state = State::Ended;
                    None
                }
                (1 | 2, 0..=MAX_METADATA) => {
                    self.skip(value * SECTOR);
                    None
                }
                (3, 1) => {
                    self.state = State::Footer;
                    None
                }
                _ => Some("there is something that is no grain and no table"),
            }
        };
        problem.map_or(Ok(()), |problem| Err(self.malformed(SECTOR, problem)))
    }

    fn skip(&mut self, bytes: u64) {
        self.state = if bytes == 0 { State::Marker } else { State::Skip(bytes) };
    }
}

/// A number of up to eight bytes, the least first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(directory: u64) -> Vec<u8> {
        let mut sector = vec![0; 512];
        sector[..4].copy_from_slice(b"KDMV");
        sector[4] = 3;
        sector[8..12].copy_from_slice(&0x3_0001_u32.to_le_bytes());
        for (at, number) in [(12, 2048), (20, 128), (28, 1), (36, 1), (56, directory), (64, 2)] {
            sector[at..at + 8].copy_from_slice(&u64::to_le_bytes(number));
        }
        sector[77] = 1;
        sector
    }

    fn marker(value: u64, size: u32, rest: &[u8]) -> Vec<u8> {
        let mut bytes = value.to_le_bytes().to_vec();
        bytes.extend(size.to_le_bytes());
        bytes.extend(rest);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn grain(sector: u64, size: u32) -> Vec<u8> {
        let mut data = vec![0x78, 0x01];
        data.resize(size as usize, 7);
        marker(sector, size, &data)
    }

    fn metadata(kind: u32, sectors: u64) -> Vec<u8> {
        let mut bytes = marker(sectors, 0, &kind.to_le_bytes());
        bytes.resize(512 + sectors as usize * 512, 0);
        bytes
    }

    /// A disk of 1 MiB with two grains.
    fn parts() -> Vec<Vec<u8>> {
        let mut footer = metadata(3, 1);
        footer[512..].copy_from_slice(&header(11));
        vec![
            header(AT_END),
            vec![b'#'; 512],
            grain(0, 500),
            grain(1920, 501),
            metadata(1, 4),
            metadata(2, 1),
            footer,
            metadata(0, 0),
        ]
    }

    fn check(bytes: &[u8], piece: usize) -> Result<StreamSummary, StreamError> {
        let mut check = StreamCheck::new();
        for piece in bytes.chunks(piece) {
            check.push(piece)?;
        }
        check.finish()
    }

    #[test]
    fn a_whole_disk_in_pieces_of_any_size() {
        let bytes = parts().concat();
        let expect =
            StreamSummary { capacity_bytes: 1 << 20, grains: 2, bytes: bytes.len() as u64 };
        for piece in [1, 7, 512, 513, 100_000] {
            assert_eq!(check(&bytes, piece), Ok(expect), "{piece}");
        }
        // Filled up by zeros, but by nothing else.
        assert_eq!(check(&[&bytes[..], &[0; 700]].concat(), 99).map(|s| s.grains), Ok(2));
        // What follows is named by its own place, however the pieces fall (found by fuzzing).
        let followed = [&bytes[..], &[0; 700], b"x"].concat();
        let at = bytes.len() as u64 + 700;
        for piece in [1, 99, 100_000] {
            let problem = "something follows the end mark";
            assert_eq!(check(&followed, piece), Err(StreamError::Malformed { at, problem }));
        }
        for end in 0..bytes.len() {
            let cut = check(&bytes[..end], 4096);
            assert_eq!(cut, Err(StreamError::Truncated { bytes: end as u64 }), "{end}");
        }
    }

    #[test]
    fn progress_is_that_of_the_disk() {
        let mut check = StreamCheck::new();
        let mut seen = Vec::new();
        for part in parts() {
            check.push(&part).unwrap();
            seen.push(check.position_bytes() >> 10);
        }
        assert_eq!(seen, [0, 0, 64, 1024, 1024, 1024, 1024, 1024]);
        assert_eq!(check.capacity_bytes(), Some(1 << 20));
    }

    #[test]
    fn what_contradicts_the_format_is_named() {
        let with = |index: usize, part: Vec<u8>| {
            let mut parts = parts();
            parts[index] = part;
            parts.concat()
        };
        let changed = |at: usize, byte: u8| {
            let mut header = header(AT_END);
            header[at] = byte;
            with(0, header)
        };
        let mut text = String::new();
        for (what, bytes) in [
            ("a web page", b"<html>not found</html>".to_vec()),
            ("a flat disk", vec![0; 4096]),
            ("another sparse disk", changed(10, 0)),
            ("another compression", changed(77, 9)),
            ("an odd grain", changed(20, 0x81)),
            ("no overhead", changed(64, 0)),
            ("a huge disk", changed(19, 0xff)),
            ("a grain beyond the end", with(2, grain(2048, 500))),
            ("a grain between places", with(2, grain(64, 500))),
            ("a grain too large", with(2, grain(0, 200_000))),
            ("a grain that is not compressed", with(2, marker(0, 500, &[0; 500]))),
            ("an unknown marker", with(4, metadata(9, 1))),
            ("a table without end", with(4, marker(u64::MAX, 0, &1_u32.to_le_bytes()))),
            ("another footer", with(6, metadata(3, 1))),
            ("no footer", with(6, Vec::new())),
            ("the same grain for ever", with(2, grain(0, 500).repeat(17))),
        ] {
            text.push_str(&format!("{what}: {}\n", check(&bytes, 1000).unwrap_err()));
        }
        insta::assert_snapshot!(text);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_pieces_do_not_matter(
            at in 0_usize..6000, byte in any::<u8>(), piece in 1_usize..2000, end in 0_usize..9000,
        ) {
            let mut bytes = parts().concat();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(end);
            prop_assert_eq!(check(&bytes, piece), check(&bytes, usize::MAX));
        }
    }
}
