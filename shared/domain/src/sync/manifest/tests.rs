use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const OBJECTS: usize = 1_600;

fn key(object: usize) -> RecordKey {
    RecordKey::new("channels", &format!("C{object}")).unwrap()
}

fn entry(object: usize, data: u8, deleted: bool) -> Entry {
    Entry::new(&key(object), ContentHash::of(&data.to_string()), deleted)
}

/// The chunks as a table keeps them.
#[derive(Default)]
struct Table {
    bits: u8,
    chunks: BTreeMap<u32, Vec<u8>>,
}

impl Table {
    fn load(&self) -> Manifest {
        let mut manifest = Manifest::in_chunks(self.bits);
        self.chunks.values().for_each(|chunk| manifest.add_chunk(chunk).unwrap());
        manifest
    }

    /// How many chunks were written.
    fn store(&mut self, manifest: &mut Manifest) -> usize {
        let (bits, chunks) = manifest.chunks();
        if bits != self.bits {
            *self = Self { bits, ..Self::default() };
        }
        let written = chunks.len();
        self.chunks.extend(chunks);
        written
    }
}

/// What a run does: it sees some objects, and may be interrupted at places, where another invocation goes on from the log.
#[derive(Debug, Clone)]
struct Course {
    noted: BTreeMap<usize, (u8, bool)>,
    seen: BTreeMap<usize, (u8, bool)>,
    slices: usize,
}

fn course() -> impl Strategy<Value = Course> {
    let objects = || prop::collection::btree_map(0..OBJECTS, (0..3_u8, prop::bool::weighted(0.1)), 0..1_600);
    (objects(), objects(), 1..4_usize).prop_map(|(noted, seen, slices)| Course { noted, seen, slices })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_manifest_knows_what_was_noted_and_seen_last_and_finds_what_is_gone(courses in prop::collection::vec(course(), 1..5)) {
        let (mut table, mut truth) = (Table::default(), BTreeMap::<usize, (u8, bool)>::new());
        for course in courses {
            let load = |log: &[Vec<u8>]| {
                let mut manifest = table.load();
                for (object, (data, deleted)) in &course.noted {
                    manifest.note(entry(*object, *data, *deleted));
                }
                for part in log {
                    manifest.add_part(part).unwrap();
                }
                manifest
            };
            let mut manifest = load(&[]);
            truth.extend(course.noted.clone());
            let mut log = Vec::new();
            let seen: Vec<_> = course.seen.iter().collect();
            for slice in seen.chunks(seen.len().div_ceil(course.slices).max(1)) {
                for (object, (data, deleted)) in slice {
                    let entry = entry(**object, *data, *deleted);
                    manifest.settle();
                    prop_assert_eq!(manifest.is_known(&entry), truth.get(*object) == Some(&(*data, *deleted)));
                    manifest.see(entry);
                    truth.insert(**object, (*data, *deleted));
                }
                log.extend(manifest.unsaved());
                manifest = load(&log);
            }
            manifest.settle();
            let gone = |object: &usize| truth.get(object).is_some_and(|(_, deleted)| !deleted) && !course.seen.contains_key(object);
            let missed: Vec<_> = (0..OBJECTS).filter(gone).collect();
            prop_assert_eq!(manifest.misses_any(), !missed.is_empty());
            for object in 0..OBJECTS {
                prop_assert_eq!(manifest.is_gone(&key(object)), missed.binary_search(&object).is_ok());
                prop_assert_eq!(manifest.is_seen(&key(object)), course.seen.contains_key(&object));
            }
            for object in missed {
                manifest.forget(&key(object));
            }
            truth.retain(|object, _| course.seen.contains_key(object));
            let live = truth.values().filter(|(_, deleted)| !deleted).count();
            prop_assert_eq!(manifest.finish(), u64::try_from(live).unwrap());
            table.store(&mut manifest);
            prop_assert!(table.chunks.values().all(|chunk| chunk.len() <= 100_000));
        }
    }
}

#[test]
fn a_change_rewrites_one_chunk_and_no_change_none() {
    let (mut table, mut manifest) = (Table::default(), Manifest::default());
    (0..6_000).for_each(|object| manifest.see(entry(object, 0, false)));
    assert_eq!(manifest.finish(), 6_000);
    assert_eq!(table.store(&mut manifest), 16);
    let bytes: usize = table.chunks.values().map(Vec::len).sum();
    assert_eq!(bytes, 6_000 * ENTRY);
    for (changed, written) in [(None, 0), (Some(7), 1)] {
        let mut manifest = table.load();
        (0..6_000).for_each(|object| manifest.see(entry(object, u8::from(Some(object) == changed), false)));
        assert_eq!(manifest.finish(), 6_000);
        assert_eq!(table.store(&mut manifest), written);
    }
}

#[test]
fn bytes_of_another_form_are_refused() {
    assert_eq!(Manifest::default().add_chunk(&[0; ENTRY + 1]), Err(NotEntries));
    assert!(ContentHash::stored(&[0; CONTENT]).is_some() && ContentHash::stored(&[0; CONTENT + 1]).is_none());
}

#[test]
fn of_another_manifest_what_is_the_same_is_seen_and_the_rest_is_unknown() {
    let manifest = |entries: &[Entry]| {
        let mut manifest = Manifest::default();
        for entry in entries {
            manifest.note(*entry);
        }
        manifest.settle();
        manifest
    };
    let mut own = manifest(&[entry(1, 1, false), entry(2, 1, false), entry(3, 1, false), entry(5, 1, true)]);
    let other =
        manifest(&[entry(1, 1, false), entry(2, 2, false), entry(4, 1, false), entry(5, 1, false), entry(6, 1, true)]);
    let mut unknown = own.unknown_in(&other);
    assert_eq!(unknown.len(), 3, "another state, a new object, one that is deleted here");
    for object in [2, 4, 5] {
        unknown.remove(&key(object));
    }
    assert!(unknown.is_empty());
    own.see_same(&other);
    let gone: Vec<_> = (1..=6).filter(|object| own.is_gone(&key(*object))).collect();
    assert_eq!((gone, own.unsaved_entries()), (vec![2, 3], 0));
}
