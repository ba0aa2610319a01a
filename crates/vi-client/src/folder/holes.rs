//! Finding runs of zeros in a stream of bytes.

use std::collections::VecDeque;

use bytes::Bytes;

/// Holes begin and end at multiples of this, counted from the start of the file: 64 KiB, the least that file systems
/// usually keep apart. The end of the file ends one, too.
const UNIT: u64 = 64 << 10;
static ZEROS: [u8; UNIT as usize] = [0; UNIT as usize];

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// The next bytes, never empty.
    Data(Bytes),
    /// So many bytes of zero.
    Hole(u64),
}

impl Chunk {
    /// How many bytes of the file it stands for.
    pub fn size(&self) -> u64 {
        match self {
            Self::Data(bytes) => bytes.len() as u64,
            Self::Hole(size) => *size,
        }
    }
}

/// Takes bytes as they come, gives chunks. A hole is given when its end is known, at the latest when told to
/// [`finish`](Self::finish).
#[derive(Debug)]
pub(super) struct HoleFinder {
    /// The place in the file of what comes next.
    position: u64,
    /// Zeros before it that have not been given: whole units.
    hole: u64,
    /// Zeros after those, the beginning of a unit.
    zeros: u64,
    /// Whether there is something else in the unit at `position`.
    has_data: bool,
    chunks: VecDeque<Chunk>,
}

impl HoleFinder {
    pub(super) fn new(position: u64) -> Self {
        Self { position, hole: 0, zeros: 0, has_data: false, chunks: VecDeque::new() }
    }

    pub(super) fn push(&mut self, mut bytes: Bytes) {
        // `bytes[data..seen]` is to be given as one piece: nothing is copied.
        let (mut data, mut seen) = (0, 0);
        while seen < bytes.len() {
            let left = (UNIT - self.position % UNIT) as usize;
            let part = &bytes[seen..bytes.len().min(seen + left)];
            let (length, ends_unit) = (part.len(), part.len() == left);
            if !self.has_data && is_zero(part) {
                if seen > data {
                    let given = bytes.split_to(seen).slice(data..);
                    self.chunks.push_back(Chunk::Data(given));
                    seen = 0;
                }
                self.zeros += length as u64;
                if ends_unit {
                    self.hole += std::mem::take(&mut self.zeros);
                }
                data = seen + length;
            } else {
                self.give_zeros();
                self.has_data = !ends_unit;
            }
            self.position += length as u64;
            seen += length;
        }
        if seen > data {
            self.chunks.push_back(Chunk::Data(bytes.slice(data..)));
        }
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) {
        self.hole += std::mem::take(&mut self.zeros);
        self.give_zeros();
    }

    /// Zeros that have come before data: a hole if they fill units, bytes otherwise.
    fn give_zeros(&mut self) {
        let hole = std::mem::take(&mut self.hole);
        if hole > 0 {
            self.chunks.push_back(Chunk::Hole(hole));
        }
        let zeros = std::mem::take(&mut self.zeros) as usize;
        if zeros > 0 {
            self.chunks.push_back(Chunk::Data(Bytes::from_static(&ZEROS[..zeros])));
        }
    }

    pub(super) fn pop(&mut self) -> Option<Chunk> {
        self.chunks.pop_front()
    }
}

/// Whether there is nothing but zeros, looked at in pieces that compilers make vectors of.
fn is_zero(bytes: &[u8]) -> bool {
    let mut pieces = bytes.chunks_exact(64);
    pieces.all(|piece| piece.iter().fold(0, |all, byte| all | byte) == 0)
        && pieces.remainder().iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(start: u64, pieces: &[Bytes]) -> Vec<Chunk> {
        let mut finder = HoleFinder::new(start);
        for piece in pieces {
            finder.push(piece.clone());
        }
        finder.finish();
        std::iter::from_fn(|| finder.pop()).collect()
    }

    #[test]
    fn holes_are_whole_units_or_the_end() {
        let unit = UNIT as usize;
        let mut file = vec![0; 3 * unit];
        file.extend(vec![7; 10]);
        file.extend(vec![0; 2 * unit]);
        let chunks = find(0, &[file.into()]);
        let shape: Vec<(bool, u64)> =
            chunks.iter().map(|c| (matches!(c, Chunk::Hole(_)), c.size())).collect();
        assert_eq!(shape, [(true, 3 * UNIT), (false, UNIT), (true, UNIT + 10)]);
        // Less than a unit of zeros at the end, or of a part that starts in the middle.
        assert_eq!(find(5, &[vec![0; 9].into()]), [Chunk::Hole(9)]);
        assert_eq!(find(0, &[]), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// The chunks make up the file, and do not depend on how it came.
        #[test]
        fn chunks_make_up_the_file(
            start in 0_u64..2 * UNIT,
            runs in prop::collection::vec((0_u8..2, 1_usize..3 * UNIT as usize), 1..6),
            cuts in prop::collection::vec(0_usize..12 * UNIT as usize, 0..6),
        ) {
            let file: Vec<u8> = runs.iter().flat_map(|(byte, n)| vec![*byte; *n]).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(file.len())).collect();
            cuts.extend([0, file.len()]);
            cuts.sort_unstable();
            let pieces: Vec<Bytes> =
                cuts.windows(2).map(|w| Bytes::copy_from_slice(&file[w[0]..w[1]])).collect();
            let chunks = find(start, &pieces);
            let mut back = Vec::new();
            let mut holes = Vec::new();
            for chunk in &chunks {
                match chunk {
                    Chunk::Data(bytes) => {
                        prop_assert!(!bytes.is_empty());
                        back.extend_from_slice(bytes);
                    }
                    Chunk::Hole(size) => {
                        let place = start + back.len() as u64;
                        holes.push((place, *size));
                        back.resize(back.len() + *size as usize, 0);
                        let end = start + back.len() as u64;
                        prop_assert!(place.is_multiple_of(UNIT) || place == start);
                        prop_assert!(end.is_multiple_of(UNIT) || back.len() == file.len());
                    }
                }
            }
            prop_assert_eq!(&back, &file);
            let whole = find(start, &[file.into()]);
            let mut place = start;
            let mut expect = Vec::new();
            for chunk in whole {
                if let Chunk::Hole(size) = chunk {
                    expect.push((place, size));
                }
                place += chunk.size();
            }
            prop_assert_eq!(holes, expect);
        }
    }
}
