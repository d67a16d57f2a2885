//! Synced objects of a provider, kept current by syncs and webhooks.
//!
//! *Invariant:* no stale write wins. A record is replaced only by a [`Change`] of a newer version, or of the same version
//! unless that would revive a deleted one; deletion leaves a tombstone, so that a late update finds it.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A new state of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The kind of object, e.g. `customers`.
    pub stream: String,
    /// The provider's id of the object.
    pub id: String,
    /// Orders the states of one object: larger is later. What it counts is the provider's affair (a time, a revision). Wide
    /// enough for a vendor's unsigned 64-bit counter.
    pub version: i128,
    /// When the object took this state.
    pub updated_at: Timestamp,
    /// Whether the object is gone.
    pub deleted: bool,
    /// The documented fields.
    pub data: Value,
}

/// One object as the application reads it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// See [`Change::id`].
    pub id: String,
    /// See [`Change::stream`].
    pub stream: String,
    /// See [`Change::version`]. Decimal text in JSON, as Google's 64-bit integers are: most JSON readers keep numbers only up
    /// to 2⁵³ exactly (RFC 8259 §6).
    #[serde(serialize_with = "decimal")]
    pub version: i128,
    /// See [`Change::updated_at`].
    pub updated_at: Timestamp,
    /// See [`Change::deleted`].
    pub deleted: bool,
    /// See [`Change::data`].
    pub data: Value,
}

impl Change {
    /// Whether this replaces a stored state. The store's condition expression says the same; a test holds the two together.
    pub fn replaces(&self, stored_version: i128, stored_deleted: bool) -> bool {
        stored_version < self.version || (stored_version == self.version && !stored_deleted)
    }

    /// The key of the object among the records of an integration.
    pub fn key(&self) -> String {
        key(&self.stream, &self.id)
    }
}

/// The largest version that a store takes: DynamoDB keeps numbers of 38 digits exactly.
pub const MAX_VERSION: i128 = 10_i128.pow(38) - 1;

fn decimal<S: Serializer>(version: &i128, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(version)
}

/// The longest key, in bytes: DynamoDB's limit on a sort key.
pub const MAX_KEY: usize = 1024;

/// The key of an object among the records of an integration: `stream#id`.
pub fn key(stream: &str, id: &str) -> String {
    format!("{stream}#{id}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(version: i128, deleted: bool) -> Change {
        let updated_at = Timestamp::UNIX_EPOCH;
        Change { stream: "customers".into(), id: "cus_1".into(), version, updated_at, deleted, data: Value::Null }
    }

    #[test]
    fn a_version_of_any_size_is_exact_in_json() {
        for version in [7, u64::MAX.into(), MAX_VERSION] {
            let Change { stream, id, version, updated_at, deleted, data } = change(version, false);
            let shown = serde_json::to_value(Record { id, stream, version, updated_at, deleted, data }).unwrap();
            assert_eq!(shown["version"], version.to_string());
        }
    }

    proptest! {
        #[test]
        fn in_any_order_the_newest_state_stays_and_a_tombstone_wins_its_tie(
            mut changes in proptest::collection::vec((0i128..5, any::<bool>()), 1..12)
        ) {
            let newest = *changes.iter().max().unwrap();
            for _ in 0..changes.len() {
                changes.rotate_left(1);
                let mut stored: Option<(i128, bool)> = None;
                for &(version, deleted) in &changes {
                    if stored.is_none_or(|(v, d)| change(version, deleted).replaces(v, d)) {
                        stored = Some((version, deleted));
                    }
                }
                prop_assert_eq!(stored, Some(newest));
            }
        }
    }
}
