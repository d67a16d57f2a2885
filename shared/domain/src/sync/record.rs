//! Synced objects of a provider, kept current by syncs and webhooks.
//!
//! *Invariant:* no stale write wins. A record is replaced only by a [`Change`] of a newer version, or of the same version
//! unless that would revive a deleted one; deletion leaves a tombstone, so that a late update finds it. One [`Clock`] makes
//! all versions of a stream, whether the state is in a list or in an event.

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

/// The prefix of a stream's keys with ids that begin with `id`: `stream#id`.
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

/// The resolution of the times in the events of a stream. It makes the versions of the stream's states, in microseconds of
/// Unix time.
///
/// The states in a list are ordered by the time at which the list was asked for, never by a time in the object:
/// providers leave that time out, and go back to an old one when an object is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// To the microsecond; or no event carries a state.
    Microseconds,
    /// Whole seconds: several events of an object can share one.
    Seconds,
}

impl Clock {
    /// The version of a state in a list that was asked for at `at`. It is later than every event of an earlier tick,
    /// and earlier than those of the same tick, which may have happened after the list was read.
    pub fn listed(self, at: Timestamp) -> Version {
        Version(match self {
            Self::Microseconds => at.as_microsecond(),
            Self::Seconds => at.as_second() * 1_000_000 - 1,
        })
    }

    /// The version of a state that an event of `at` carries. `rank` orders the events of one tick, as far as their types do.
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
    /// Neither the first nor the last: in no order with others of this rank.
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
mod tests;
