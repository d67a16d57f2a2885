//! Since when full runs have read an integration's streams.
//!
//! *Invariant:* a full run reads the state of every object at or after its beginning, so an event of before that has nothing new to
//! say, though the run writes no record that says the same already.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sync::record::{Change, Clock};

/// By stream, when the latest full run began: one that goes on, or the last that ended. An event that such a run outdates is left
/// out even if the run never ends, since the cursor stays where it was until a run has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReadSince(BTreeMap<String, Timestamp>);

impl ReadSince {
    /// Notes that a full run of the stream began. Whether that is news.
    pub fn begins(&mut self, stream: &str, at: Timestamp) -> bool {
        self.0.insert(stream.to_owned(), at) != Some(at)
    }

    /// When the latest full run of the stream began, if it is known.
    pub fn of(&self, stream: &str) -> Option<Timestamp> {
        self.0.get(stream).copied()
    }

    /// Whether a state that an event carries is older than what a full run reads, by the clock of the stream.
    pub fn outdates(&self, change: &Change, clock: Clock) -> bool {
        self.0.get(change.key().stream()).is_some_and(|since| change.version() < clock.listed(*since))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{RecordKey, sync::record::Rank};

    #[test]
    fn a_full_run_outdates_the_events_of_before_its_tick_and_of_its_own_stream() {
        let at = |millisecond| Timestamp::from_millisecond(millisecond).unwrap();
        let change = |clock: Clock, at, stream| {
            Change::new(RecordKey::new(stream, "1").unwrap(), clock.event_version(at, Rank::First), at, Value::Null)
        };
        let mut since = ReadSince::default();
        assert!(!since.outdates(&change(Clock::Seconds, at(0), "customers"), Clock::Seconds));
        assert!(since.begins("customers", at(5_500)));
        assert!(!since.begins("customers", at(5_500)));
        for (clock, millisecond, outdated) in [
            (Clock::Seconds, 4_900, true),
            (Clock::Seconds, 5_000, false),
            (Clock::Microseconds, 5_499, true),
            (Clock::Microseconds, 5_500, false),
        ] {
            let outdates = since.outdates(&change(clock, at(millisecond), "customers"), clock);
            assert_eq!(outdates, outdated, "{clock:?} {millisecond}");
            assert!(!since.outdates(&change(clock, at(millisecond), "payments"), clock));
        }
    }
}
