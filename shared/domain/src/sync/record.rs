//! Synced objects of a provider, kept current by syncs and webhooks.
//!
//! *Invariant:* no stale write wins. A record is replaced only by a [`Change`] of a newer version, or of the same version
//! unless that would revive a deleted one; deletion leaves a tombstone, so that a late update finds it. One [`Clock`] makes
//! all versions of a stream, whether a list or an event tells the state.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// A new state of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The kind of object, e.g. `customers`.
    pub stream: String,
    /// The provider's id of the object.
    pub id: String,
    /// Orders the states of one object: larger is later. Made by the stream's [`Clock`].
    pub version: i64,
    /// When the object took this state.
    pub updated_at: Timestamp,
    /// Whether the object is gone.
    pub deleted: bool,
    /// The documented fields. Null if the object is gone, unless the provider lists it as cancelled for ever.
    pub data: Value,
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
    pub fn listed(self, at: Timestamp) -> i64 {
        match self {
            Self::Microseconds => at.as_microsecond(),
            Self::Seconds => at.as_second() * 1_000_000 - 1,
        }
    }

    /// The version of a state that an event of `at` tells. `rank` orders the events of one tick, as far as their types do.
    pub fn event_version(self, at: Timestamp, rank: Rank) -> i64 {
        match self {
            Self::Microseconds => at.as_microsecond(),
            Self::Seconds => at.as_second() * 1_000_000 + rank as i64,
        }
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
    /// See [`Change::id`].
    pub id: String,
    /// See [`Change::stream`].
    pub stream: String,
    /// See [`Change::version`].
    pub version: i64,
    /// See [`Change::updated_at`].
    pub updated_at: Timestamp,
    /// See [`Change::deleted`].
    pub deleted: bool,
    /// See [`Change::data`].
    pub data: Value,
}

impl Change {
    /// Whether this replaces a stored state. The store's condition expression says the same; a test holds the two together.
    pub fn replaces(&self, stored_version: i64, stored_deleted: bool) -> bool {
        stored_version < self.version || (stored_version == self.version && !stored_deleted)
    }

    /// The key of the object among the records of an integration.
    pub fn key(&self) -> String {
        key(&self.stream, &self.id)
    }
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

    fn change(version: i64, deleted: bool) -> Change {
        let updated_at = Timestamp::UNIX_EPOCH;
        Change { stream: "customers".into(), id: "cus_1".into(), version, updated_at, deleted, data: Value::Null }
    }

    /// 2⁵³ − 1: RFC 8259 §6.
    #[test]
    fn a_version_is_a_number_that_every_json_reader_keeps_exactly() {
        let last: Timestamp = "2255-01-01T00:00:00Z".parse().unwrap();
        assert!(
            Clock::Microseconds.listed(last) < (1 << 53) && Clock::Seconds.event_version(last, Rank::Last) < (1 << 53)
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
                    if stored.is_none_or(|(v, d)| change(version, deleted).replaces(v, d)) {
                        stored = Some((version, deleted));
                    }
                }
                prop_assert_eq!(stored, Some(newest));
            }
        }
    }
}
