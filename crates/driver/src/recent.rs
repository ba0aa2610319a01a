//! What was used of late, and no more of it than is good for a program that stays.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// A map that forgets what nobody has asked for or put in since `LIMIT` other keys were. It holds twice `LIMIT` entries at most.
#[derive(Debug)]
pub(crate) struct Recent<K, V, const LIMIT: usize> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V, const LIMIT: usize> Default for Recent<K, V, LIMIT> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Eq + Hash, V, const LIMIT: usize> Recent<K, V, LIMIT> {
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= LIMIT && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// What is known of the key, which thereby stays.
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        if let Some((key, value)) = self.old.remove_entry(key) {
            self.insert(key, value);
        }
        self.young.get(key)
    }

    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.young.remove(key);
        self.old.remove(key);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_small_and_keeps_what_is_in_use() {
        let mut recent = Recent::<u32, u32, 8>::default();
        for key in 0..1000 {
            recent.insert(key, key + 1);
            assert_eq!(recent.get(&key), Some(&(key + 1)));
            assert_eq!(recent.get(&0), Some(&1), "used all the time");
            assert!(recent.len() <= 16, "{}", recent.len());
        }
        assert_eq!(recent.get(&500), None);
        // The last ones are there, wherever the generations meet.
        for key in 994..1000 {
            assert!(recent.get(&key).is_some(), "{key}");
        }
        recent.remove(&999);
        assert_eq!(recent.get(&999), None);
        recent.insert(0, 7);
        assert_eq!(recent.get(&0), Some(&7), "the newest value, and only that");
    }
}
