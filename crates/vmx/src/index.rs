//! Where each key stands: an open-addressed table from a key's hash to the first line with that key.

use std::hash::{BuildHasher, Hasher, RandomState};

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The table. Its caller compares keys; only hashes are kept here.
#[derive(Clone)]
pub(crate) struct Index {
    seed: u64,
    /// A power of two of them, at most half of them in use.
    slots: Vec<Slot>,
    used: usize,
}

/// `place` is 0 in an empty slot, else one more than the place of a line.
#[derive(Clone, Copy, Default)]
struct Slot {
    tag: u32,
    place: u32,
}

impl Index {
    /// A table for so many keys; it grows if there are more.
    pub(crate) fn with_capacity(keys: usize) -> Self {
        // Seeded, so that no file can be made whose keys collide.
        let seed = RandomState::new().build_hasher().finish();
        let slots = vec![Slot::default(); (keys.max(4) * 2).next_power_of_two()];
        Self { seed, slots, used: 0 }
    }

    /// The hash of a text in lower case, eight bytes at a time.
    pub(crate) fn hash(&self, text: &[u8]) -> u64 {
        let mut hash = self.seed ^ text.len() as u64;
        let (words, rest) = text.as_chunks::<8>();
        for word in words {
            hash = self.mix(hash, u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        self.mix(hash, u64::from_le_bytes(last))
    }

    fn mix(&self, hash: u64, word: u64) -> u64 {
        let mixed = u128::from(hash ^ lower(word)) * u128::from(MULTIPLIER);
        (mixed as u64) ^ (mixed >> 64) as u64 ^ self.seed
    }

    /// The place of the key with that hash for which `is_key` holds.
    pub(crate) fn find(&self, hash: u64, is_key: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let tag = (hash >> 32) as u32;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            let place = slot.place.checked_sub(1)?;
            if slot.tag == tag && is_key(place) {
                return Some(place);
            }
            at = (at + 1) & mask;
        }
    }

    /// Notes a key that [`Index::find`] does not find. `hash_at` tells the hash of the key at a place.
    pub(crate) fn insert(&mut self, hash: u64, place: u32, hash_at: impl Fn(&Self, u32) -> u64) {
        if (self.used + 1) * 2 > self.slots.len() {
            let old = std::mem::take(&mut self.slots);
            self.slots = vec![Slot::default(); old.len() * 2];
            for slot in old.iter().filter(|slot| slot.place > 0) {
                let hash = hash_at(self, slot.place - 1);
                self.put(hash, slot.place);
            }
        }
        // 2^32 lines would take more than four gigabytes; the last ones are not found then.
        self.put(hash, place.saturating_add(1));
        self.used += 1;
    }

    fn put(&mut self, hash: u64, place: u32) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at].place > 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = Slot { tag: (hash >> 32) as u32, place };
    }
}

/// Eight bytes with capital letters made small, all at once. No other bytes come to look alike: else files
/// could be made whose keys collide.
fn lower(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = word & (0x7f * EACH);
    let from_a = low + (0x80 - u64::from(b'A')) * EACH;
    let above_z = low + (0x7f - u64::from(b'Z')) * EACH;
    let capitals = (from_a ^ above_z) & !word & (0x80 * EACH);
    word | capitals >> 2
}

/// How much of a key is its device: up to and with the first dot, or all of it.
pub(crate) fn device_len(key: &[u8]) -> usize {
    key.iter().position(|&b| b == b'.').map_or(key.len(), |dot| dot + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_both_cases_are_one() {
        for byte in 0..=u8::MAX {
            let word = u64::from_le_bytes([b'x', byte, b'.', 0xff, byte, 0, b'Z', byte]);
            let expect = word.to_le_bytes().map(|b| b.to_ascii_lowercase());
            assert_eq!(lower(word).to_le_bytes(), expect, "{byte}");
        }
    }

    #[test]
    fn tables_grow_and_find() {
        let keys: Vec<String> = (0..300).map(|i| format!("Key{i}.name{i}")).collect();
        let mut index = Index::with_capacity(0);
        for (place, key) in (0..).zip(&keys) {
            let hash = index.hash(key.as_bytes());
            index.insert(hash, place, |index, p| index.hash(keys[p as usize].as_bytes()));
        }
        for (place, key) in (0..).zip(&keys) {
            let hash = index.hash(key.to_uppercase().as_bytes());
            assert_eq!(index.find(hash, |p| p == place), Some(place));
        }
        assert_eq!(index.find(index.hash(b"other"), |_| false), None);
    }
}
