//! The manifest of a stream: what each of its objects was like when a full run last read it, so that a run writes only what changed
//! and finds what is gone without reading the records.
//!
//! *Invariant:* an entry says what the record holds, or the record has changed since and the index of changes says so. It never
//! decides what a record becomes: a write that it causes is conditional on the record, and one that it saves would have changed
//! nothing.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::{Change, RecordKey};

/// The size of an entry, stored and in memory.
pub const ENTRY: usize = 32;
/// The size of a hash of an id.
const ID: usize = 16;
/// The size of a hash of an object's data.
pub const CONTENT: usize = 15;
/// The flags of an entry: the object is there, and a run that is under way saw it.
const LIVE: u8 = 1;
const SEEN: u8 = 2;
/// Entries of a chunk on average: 16 kB, so that a change rewrites little and a million objects are 32 pages of a query.
const PER_CHUNK: usize = 512;
/// More chunks than any stream has: a billion objects.
const MAX_BITS: u8 = 21;
/// Entries in one part of a run's log: 96 kB.
const PER_PART: usize = 3_000;

/// A hash of an object's data: SHA-256, cut. Equal hashes mean equal data, because data can be chosen by strangers but hashes can't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentHash([u8; CONTENT]);

impl ContentHash {
    /// The hash of data as it is stored: JSON text.
    pub fn of(data: &str) -> Self {
        Self(cut(data))
    }

    /// A hash that was stored; `None` if it has another size.
    pub fn stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// What is stored.
    pub const fn bytes(&self) -> [u8; CONTENT] {
        self.0
    }
}

/// What is known of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    id: [u8; ID],
    content: ContentHash,
    flags: u8,
}

impl Entry {
    /// An object of this key, with data of this hash, which is there or is gone.
    pub fn new(key: &RecordKey, content: ContentHash, deleted: bool) -> Self {
        Self { id: hash(key), content, flags: if deleted { 0 } else { LIVE } }
    }

    fn read(bytes: &[u8; ENTRY]) -> Self {
        let (id, rest) = bytes.split_first_chunk().unwrap_or((&[0; ID], &[]));
        let (content, flags) = rest.split_first_chunk().unwrap_or((&[0; CONTENT], &[]));
        Self { id: *id, content: ContentHash(*content), flags: flags.first().copied().unwrap_or_default() }
    }

    fn write(self, to: &mut Vec<u8>) {
        to.extend(self.id);
        to.extend(self.content.0);
        to.push(self.flags);
    }

    const fn is_live(&self) -> bool {
        self.flags & LIVE != 0
    }

    const fn is_seen(&self) -> bool {
        self.flags & SEEN != 0
    }

    /// Whether the object was there, and the run did not see it.
    const fn is_missed(&self) -> bool {
        self.is_live() && !self.is_seen()
    }

    /// What `later` says counts; that the run saw the object stays.
    fn learn(&mut self, later: Self) {
        *self = Self { flags: later.flags | self.flags & SEEN, ..later };
    }

    /// Whether both say the same of the object.
    fn agrees(&self, other: &Self) -> bool {
        self.content == other.content && self.is_live() == other.is_live()
    }
}

impl From<&Change> for Entry {
    fn from(change: &Change) -> Self {
        Self::new(change.key(), ContentHash::of(&change.data().to_string()), change.is_deleted())
    }
}

/// Bytes that are no manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entries of a manifest that are not a multiple of {ENTRY} bytes")]
pub struct NotEntries;

/// See the module. In memory it takes [`ENTRY`] bytes an object.
#[derive(Debug)]
pub struct Manifest {
    /// In the order of the ids' hashes.
    entries: Vec<Entry>,
    /// Of objects that `entries` does not have.
    fresh: Vec<Entry>,
    /// What was learned and is not stored yet.
    unsaved: Vec<Entry>,
    /// How many bits of an id's hash name its chunk.
    bits: u8,
    /// Chunks that are not stored as they are here.
    stale: BTreeSet<u32>,
}

impl Default for Manifest {
    /// A manifest that is not stored.
    fn default() -> Self {
        Self { stale: BTreeSet::from([0]), ..Self::in_chunks(0) }
    }
}

impl Manifest {
    /// The manifest that is stored in `1 << bits` chunks: add them in the order of their numbers.
    pub fn in_chunks(bits: u8) -> Self {
        Self { entries: Vec::new(), fresh: Vec::new(), unsaved: Vec::new(), bits, stale: BTreeSet::new() }
    }

    /// Adds a stored chunk.
    pub fn add_chunk(&mut self, bytes: &[u8]) -> Result<(), NotEntries> {
        self.entries.extend(read(bytes)?);
        Ok(())
    }

    /// Adds a part of the log of the run that goes on: see [`Self::unsaved`].
    pub fn add_part(&mut self, bytes: &[u8]) -> Result<(), NotEntries> {
        read(bytes)?.for_each(|entry| self.learn(entry));
        Ok(())
    }

    /// Notes what a record holds that was written since the manifest was stored.
    pub fn note(&mut self, entry: Entry) {
        self.learn(entry);
    }

    /// Whether the object's record says this already.
    pub fn is_known(&self, entry: &Entry) -> bool {
        self.find(&entry.id).is_ok_and(|place| self.entries[place].agrees(entry))
    }

    /// What is known of an object that is there; none if the run learned of it only now. Call [`Self::settle`] first.
    pub fn live(&self, key: &RecordKey) -> Option<Entry> {
        let place = self.find(&hash(key)).ok()?;
        self.entries.get(place).filter(|entry| entry.is_live()).copied()
    }

    /// Notes that the run saw the object so, and that its record says so or something newer.
    pub fn see(&mut self, entry: Entry) {
        let entry = Entry { flags: entry.flags | SEEN, ..entry };
        self.unsaved.push(entry);
        self.learn(entry);
    }

    /// Of the objects that another manifest has, those of which this one does not know the same. Both must be settled.
    pub fn unknown_in(&self, other: &Self) -> Unknown {
        let unknown = other.entries.iter().filter(|entry| entry.is_live() && !self.is_known(entry));
        Unknown(unknown.map(|entry| entry.id).collect())
    }

    /// Notes that the run saw what another manifest has and this one knows to be the same. It is not part of [`Self::unsaved`]: a run that
    /// goes on elsewhere compares again.
    pub fn see_same(&mut self, other: &Self) {
        for entry in other.entries.iter().filter(|entry| entry.is_live()) {
            if let Ok(place) = self.find(&entry.id)
                && self.entries[place].agrees(entry)
            {
                self.entries[place].flags |= SEEN;
            }
        }
    }

    /// Whether a full run found an object gone that the manifest has. Call [`Self::settle`] first.
    pub fn is_gone(&self, key: &RecordKey) -> bool {
        self.find(&hash(key)).is_ok_and(|place| self.entries[place].is_missed())
    }

    /// Whether the run saw the object. Call [`Self::settle`] first.
    pub fn is_seen(&self, key: &RecordKey) -> bool {
        self.find(&hash(key)).is_ok_and(|place| self.entries[place].is_seen())
    }

    /// Whether there may be objects for which [`Self::is_gone`].
    pub fn misses_any(&self) -> bool {
        self.entries.iter().any(Entry::is_missed)
    }

    /// Notes that a sweep deleted the object's record.
    pub fn forget(&mut self, key: &RecordKey) {
        if let Ok(place) = self.find(&hash(key)) {
            self.entries[place].flags = 0;
        }
    }

    /// Forgets the objects for which [`Self::is_gone`], because no record of them is left.
    pub fn forget_missed(&mut self) {
        let (bits, stale) = (self.bits, &mut self.stale);
        self.entries.retain(|entry| {
            if entry.is_missed() {
                stale.insert(chunk(bits, &entry.id));
            }
            !entry.is_missed()
        });
    }

    /// How many entries wait for [`Self::unsaved`].
    pub fn unsaved_entries(&self) -> usize {
        self.unsaved.len()
    }

    /// What was learned since the last call, in parts of at most 100 kB for the run's log.
    pub fn unsaved(&mut self) -> Vec<Vec<u8>> {
        let parts = std::mem::take(&mut self.unsaved);
        parts.chunks(PER_PART).map(|part| write(part, u8::MAX)).collect()
    }

    /// Sorts what was learned in.
    pub fn settle(&mut self) {
        if self.fresh.is_empty() {
            return;
        }
        self.entries.append(&mut self.fresh);
        // Stable, so that of several entries of an object the last learned is the last. In place, for the sake of memory.
        self.entries.sort_by_key(|entry| entry.id);
        self.entries.dedup_by(|later, kept| {
            let is_same = later.id == kept.id;
            if is_same {
                kept.learn(*later);
            }
            is_same
        });
    }

    /// Ends a full run: only what is there, or what the provider lists as gone, stays. How many objects are there.
    pub fn finish(&mut self) -> u64 {
        self.settle();
        let (bits, stale) = (self.bits, &mut self.stale);
        self.entries.retain(|entry| {
            let stays = entry.is_live() || entry.is_seen();
            if !stays {
                stale.insert(chunk(bits, &entry.id));
            }
            stays
        });
        self.unsaved.clear();
        u64::try_from(self.entries.iter().filter(|entry| entry.is_live()).count()).unwrap_or(u64::MAX)
    }

    /// The chunks to store: their number and bytes, and in how many bits of a hash the number is. All chunks, if there must be more of
    /// them than are stored; else those that changed.
    pub fn chunks(&mut self) -> (u8, Vec<(u32, Vec<u8>)>) {
        if self.entries.len() > (2 * PER_CHUNK) << self.bits {
            let chunks = (self.entries.len() / PER_CHUNK).next_power_of_two();
            self.bits = u8::try_from(chunks.trailing_zeros()).unwrap_or(MAX_BITS).min(MAX_BITS);
            self.stale = (0..1 << self.bits).collect();
        }
        let bits = self.bits;
        let of = |number: u32| {
            let start = self.entries.partition_point(|entry| chunk(bits, &entry.id) < number);
            let end = self.entries.partition_point(|entry| chunk(bits, &entry.id) <= number);
            (number, write(&self.entries[start..end], !SEEN))
        };
        (bits, std::mem::take(&mut self.stale).into_iter().map(of).collect())
    }

    fn find(&self, id: &[u8; ID]) -> Result<usize, usize> {
        self.entries.binary_search_by_key(id, |entry| entry.id)
    }

    fn learn(&mut self, entry: Entry) {
        match self.find(&entry.id) {
            Ok(place) => {
                let known = &mut self.entries[place];
                if !known.agrees(&entry) {
                    self.stale.insert(chunk(self.bits, &entry.id));
                }
                known.learn(entry);
            }
            Err(_) => {
                self.stale.insert(chunk(self.bits, &entry.id));
                self.fresh.push(entry);
            }
        }
    }
}

/// Objects by the hashes of their ids: see [`Manifest::unknown_in`].
#[derive(Debug)]
pub struct Unknown(BTreeSet<[u8; ID]>);

impl Unknown {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes an object out.
    pub fn remove(&mut self, key: &RecordKey) {
        self.0.remove(&hash(key));
    }
}

/// The number of the chunk that an entry is in: the first bits of its id's hash.
fn chunk(bits: u8, id: &[u8; ID]) -> u32 {
    let (first, _) = id.split_first_chunk().unwrap_or((&[0; 4], &[]));
    u32::from_be_bytes(*first).checked_shr(u32::BITS.saturating_sub(bits.into())).unwrap_or(0)
}

fn write(entries: &[Entry], flags: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * ENTRY);
    for entry in entries {
        Entry { flags: entry.flags & flags, ..*entry }.write(&mut bytes);
    }
    bytes
}

fn read(bytes: &[u8]) -> Result<impl Iterator<Item = Entry>, NotEntries> {
    let (entries, rest) = bytes.as_chunks::<ENTRY>();
    if rest.is_empty() { Ok(entries.iter().map(Entry::read)) } else { Err(NotEntries) }
}

fn hash(key: &RecordKey) -> [u8; ID] {
    cut(key.as_str())
}

fn cut<const N: usize>(text: &str) -> [u8; N] {
    let mut digest = Sha256::new();
    digest.update(text);
    let digest: [u8; 32] = digest.finalize().into();
    std::array::from_fn(|index| digest[index])
}

#[cfg(test)]
mod tests;
