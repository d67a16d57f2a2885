//! Synced objects of a provider, kept current by syncs and webhooks.
//!
//! *Invariant:* no stale write wins. A record is replaced only by a [`Change`] of a newer version, or of the same version
//! unless that would revive a deleted one; deletion leaves a tombstone, so that a late update finds it. One [`Clock`] makes
//! all versions of a stream, whether a list or an event tells the state.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::id::{NotAnId, SEGMENT, id, is_segment};

/// The longest key, in bytes: DynamoDB's limit on a sort key
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>, read 2026-11).
pub const MAX_KEY: usize = 1024;

id! {
    /// The key of an object among the records of an integration: `stream#id`.
    RecordKey, "a record's key", "stream#id of at most 1024 bytes", is_key
}

fn is_key(text: &str) -> bool {
    let parts = text.split_once('#').is_some_and(|(stream, id)| !stream.is_empty() && !id.is_empty());
    parts && text.len() <= MAX_KEY
}

impl RecordKey {
    /// The key of an object of `stream` by the provider's id of it, which must be one segment.
    pub fn new(stream: &str, id: &str) -> Result<Self, NotAnId> {
        if !is_segment(id) {
            return Err(NotAnId { kind: "an object's id", form: SEGMENT });
        }
        Self::parse(prefix(stream, id))
    }

    /// The key of an object that is named within another one, as `parent/id`: both are any text that the provider allows.
    pub fn within(stream: &str, parent: &str, id: &str) -> Result<Self, NotAnId> {
        if parent.is_empty() || id.is_empty() {
            return Err(NotAnId { kind: "an object's id", form: "a text within another one" });
        }
        Self::parse(prefix(stream, &format!("{parent}/{id}")))
    }

    /// The kind of object, such as `customers`.
    pub fn stream(&self) -> &str {
        self.parts().0
    }

    /// The provider's id of the object.
    pub fn id(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.as_str().split_once('#').unwrap_or_default()
    }
}

/// How the keys of a stream begin whose ids begin with `id`: `stream#id`.
pub fn prefix(stream: &str, id: &str) -> String {
    format!("{stream}#{id}")
}

/// Orders the states of one object: a larger version is a later state. The stream's [`Clock`] makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(i64);

impl Version {
    /// The version that a record was stored with.
    pub const fn stored(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds of Unix time.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// A new state of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    key: RecordKey,
    version: Version,
    updated_at: Timestamp,
    deleted: bool,
    data: Value,
}

/// How exactly the events of a stream say when they happened. It makes the versions of the stream's states, in microseconds of
/// Unix time.
///
/// The states that a list tells are ordered by the time at which the list was asked for, never by a time in the object:
/// providers leave that time out, and go back to an old one when an object is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// To the microsecond; or no event carries a state.
    Microseconds,
    /// To the second.
    Seconds,
}

impl Clock {
    /// The version of a state that a list tells which was asked for at `at`. It is later than every event of an earlier tick,
    /// and earlier than those of the same tick, which may have happened after the list was read.
    pub fn listed(self, at: Timestamp) -> Version {
        Version(match self {
            Self::Microseconds => at.as_microsecond(),
            Self::Seconds => at.as_second() * 1_000_000 - 1,
        })
    }

    /// The version of a state that an event of `at` tells. `rank` orders the events of one tick, as far as their types do.
    pub fn event_version(self, at: Timestamp, rank: Rank) -> Version {
        Version(match self {
            Self::Microseconds => at.as_microsecond(),
            Self::Seconds => at.as_second() * 1_000_000 + rank as i64,
        })
    }
}

/// The place of an event among those of one object in one tick of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Before all others: the object is new.
    First = 0,
    /// Between them.
    Between = 1,
    /// After all others: no state follows.
    Last = 2,
}

/// One object as the application reads it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// The stream and the provider's id of the object; in JSON, `id` and `stream`.
    #[serde(flatten, serialize_with = "id_and_stream")]
    pub key: RecordKey,
    /// The version of this state.
    pub version: Version,
    /// See [`Change::updated_at`].
    pub updated_at: Timestamp,
    /// See [`Change::is_deleted`].
    pub deleted: bool,
    /// See [`Change::data`].
    pub data: Value,
}

fn id_and_stream<S: Serializer>(key: &RecordKey, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Parts<'k> {
        id: &'k str,
        stream: &'k str,
    }
    Parts { id: key.id(), stream: key.stream() }.serialize(serializer)
}

impl Change {
    /// The state of an object that is there, with its documented fields.
    pub const fn new(key: RecordKey, version: Version, updated_at: Timestamp, data: Value) -> Self {
        Self { key, version, updated_at, deleted: false, data }
    }

    /// The state of an object that is gone. `data` is null, unless the provider lists the object as cancelled for ever.
    pub const fn tombstone(key: RecordKey, version: Version, updated_at: Timestamp, data: Value) -> Self {
        Self { key, version, updated_at, deleted: true, data }
    }

    /// The object's key among the records of an integration.
    pub const fn key(&self) -> &RecordKey {
        &self.key
    }

    /// Orders the states of the object.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// When the object took this state; where the provider does not say, when it was asked.
    pub const fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    /// Whether the object is gone at the provider.
    pub const fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// The documented fields.
    pub const fn data(&self) -> &Value {
        &self.data
    }

    /// Whether this replaces a stored state. The store's condition expression says the same; a test holds the two together.
    pub fn replaces(&self, stored_version: Version, stored_deleted: bool) -> bool {
        stored_version < self.version || (stored_version == self.version && !stored_deleted)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(version: i64, deleted: bool) -> Change {
        let key = RecordKey::new("customers", "cus_1").unwrap();
        let make = if deleted { Change::tombstone } else { Change::new };
        make(key, Version(version), Timestamp::UNIX_EPOCH, Value::Null)
    }

    #[test]
    fn a_key_has_a_stream_and_an_id_and_fits_into_a_table() {
        let calendar = "en.usa#holiday@group.v.calendar.google.com";
        let key = RecordKey::within("events", calendar, "e1").unwrap();
        assert_eq!((key.stream(), key.id()), ("events", &*format!("{calendar}/e1")));
        assert_eq!(RecordKey::parse(key.as_str()), Ok(key));
        for id in ["", "a#b", "a/b", "a b"] {
            assert!(RecordKey::new("customers", id).is_err(), "{id}");
        }
        assert!(
            RecordKey::within("events", "c", "").is_err()
                && RecordKey::within("events", "c", &"x".repeat(1024)).is_err()
        );
        for text in ["", "customers", "customers#", "#cus_1"] {
            assert!(RecordKey::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_record_is_read_with_its_id_and_its_stream() {
        let (key, version) = (RecordKey::new("customers", "cus_1").unwrap(), Version(7));
        let record = Record { key, version, updated_at: Timestamp::UNIX_EPOCH, deleted: true, data: Value::Null };
        let json = r#"{"id":"cus_1","stream":"customers","version":7,"updated_at":"1970-01-01T00:00:00Z","deleted":true,"data":null}"#;
        assert_eq!(serde_json::to_string(&record).unwrap(), json);
    }

    /// 2⁵³ − 1: RFC 8259 §6.
    #[test]
    fn a_version_is_a_number_that_every_json_reader_keeps_exactly() {
        let last: Timestamp = "2255-01-01T00:00:00Z".parse().unwrap();
        assert!(
            Clock::Microseconds.listed(last).get() < (1 << 53)
                && Clock::Seconds.event_version(last, Rank::Last).get() < (1 << 53)
        );
    }

    #[test]
    fn what_a_list_tells_is_later_than_the_events_before_its_second_and_earlier_than_those_of_it() {
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        let listed = Clock::Seconds.listed(at(10_900));
        assert!(Clock::Seconds.event_version(at(9_999), Rank::Last) < listed);
        assert!(listed < Clock::Seconds.event_version(at(10_000), Rank::First));
        let ranks = [Rank::First, Rank::Between, Rank::Last].map(|rank| Clock::Seconds.event_version(at(10_000), rank));
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        assert!(Clock::Microseconds.event_version(at(10_899), Rank::Last) < Clock::Microseconds.listed(at(10_900)));
    }

    proptest! {
        #[test]
        fn in_any_order_the_newest_state_stays_and_a_tombstone_wins_its_tie(
            mut changes in proptest::collection::vec((0i64..5, any::<bool>()), 1..12)
        ) {
            let newest = *changes.iter().max().unwrap();
            for _ in 0..changes.len() {
                changes.rotate_left(1);
                let mut stored: Option<(i64, bool)> = None;
                for &(version, deleted) in &changes {
                    if stored.is_none_or(|(v, d)| change(version, deleted).replaces(Version(v), d)) {
                        stored = Some((version, deleted));
                    }
                }
                prop_assert_eq!(stored, Some(newest));
            }
        }
    }
}
