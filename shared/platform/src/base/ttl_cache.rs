//! A cache in memory that drops old entries.
//!
//! *Invariant:* it never holds more than its bound; the oldest entry makes room for a new one.

use std::{collections::HashMap, hash::Hash, sync::Mutex};

use jiff::{SignedDuration, Timestamp};

use crate::base::lock::lock;

/// Values by key, each with the time at which it was read.
#[derive(Debug)]
pub(crate) struct TtlCache<K, V> {
    bound: usize,
    entries: Mutex<HashMap<K, (V, Timestamp)>>,
}

impl<K: Eq + Hash + Clone, V: Clone> TtlCache<K, V> {
    /// An empty cache for at most `bound` entries.
    pub(crate) fn new(bound: usize) -> Self {
        Self { bound, entries: Mutex::default() }
    }

    /// The value of a key if it was read less than `ttl` before `now`.
    pub(crate) fn get<Q>(&self, key: &Q, ttl: SignedDuration, now: Timestamp) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.any(key).filter(|(_, read_at)| now.duration_since(*read_at) < ttl).map(|(value, _)| value)
    }

    /// The value of a key, however old, and when it was read.
    pub(crate) fn any<Q>(&self, key: &Q) -> Option<(V, Timestamp)>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        lock(&self.entries).get(key).cloned()
    }

    /// Remembers a value that was read at `read_at`.
    pub(crate) fn insert(&self, key: K, value: V, read_at: Timestamp) {
        let mut entries = lock(&self.entries);
        if entries.len() >= self.bound && !entries.contains_key(&key) {
            let oldest = entries.iter().min_by_key(|(_, (_, read_at))| *read_at).map(|(key, _)| key.clone());
            oldest.map(|oldest| entries.remove(&oldest));
        }
        entries.insert(key, (value, read_at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_until_its_time_is_over_and_the_oldest_makes_room() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let cache = TtlCache::new(2);
        let young = SignedDuration::from_secs(10);
        cache.insert("a", 1, at(0));
        assert_eq!(cache.get("a", young, at(9)), Some(1));
        assert_eq!(cache.get("a", young, at(10)), None);
        assert_eq!(cache.any("a"), Some((1, at(0))));
        cache.insert("b", 2, at(1));
        cache.insert("b", 3, at(2));
        assert_eq!(cache.any("a"), Some((1, at(0))), "an entry that is replaced needs no room");
        cache.insert("c", 4, at(3));
        assert_eq!((cache.any("a"), cache.any("b"), cache.any("c")), (None, Some((3, at(2))), Some((4, at(3)))));
    }
}
