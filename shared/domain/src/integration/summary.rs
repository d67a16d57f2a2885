//! What is shown of an integration's syncs. It is kept with the integration, so that a page of many integrations takes one read.
//!
//! *Invariant:* it says nothing that the syncs table does not say, and a failure only of the grant under which it happened.

use std::collections::BTreeMap;

use jiff::{Timestamp, fmt::serde::timestamp::millisecond};
use serde::{Deserialize, Serialize};

use crate::{
    sentence::Sentence,
    sync::{
        outcome::{LogEntry, SyncFailure},
        stream::{Lanes, PassedOver, StreamState},
    },
};

/// See the module. Its JSON is short, so that an integration is no larger than a kilobyte: each further one would cost a further write
/// unit in each update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncSummary {
    /// When the grant that the failures are of was connected.
    pub connected_at: Timestamp,
    /// When a sync last ended: one that broke off does not count.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "millisecond::optional")]
    pub last_sync: Option<Timestamp>,
    /// Why the latest sync did not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Sentence>,
    /// By name.
    pub streams: BTreeMap<String, StreamSummary>,
    /// How much of what the provider could report is watched; none before the first sync, and where it reports nothing that way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watching: Option<Watching>,
}

/// What is shown of one kind of records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSummary {
    /// See [`StreamState::records`].
    pub records: u64,
    /// When a full sync last finished.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "millisecond::optional")]
    pub last_full_sync: Option<Timestamp>,
    /// When an incremental sync last finished.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "millisecond::optional")]
    pub last_incremental_sync: Option<Timestamp>,
    /// Why it was not read to its end the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Sentence>,
    /// When it is tried again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "millisecond::optional")]
    pub next_try: Option<Timestamp>,
}

/// How much is watched: the rest is synced by schedule alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// Those that the provider reports changes of.
    pub active: usize,
    /// What the provider could report changes of.
    pub of: usize,
}

impl SyncSummary {
    /// What is shown under the grant that was connected at `connected_at`. `last` is the latest entry of the log: if it is of an
    /// earlier grant, what failed then says nothing of this one.
    pub fn of<'s>(
        connected_at: Timestamp,
        streams: impl IntoIterator<Item = (&'s String, &'s Lanes)>,
        last: Option<&LogEntry>,
        watching: Option<Watching>,
    ) -> Self {
        let entry = last.filter(|entry| entry.finished_at >= connected_at);
        let stream = |(name, lanes): (&String, &Lanes)| {
            let state = lanes.shown();
            let failure = entry.map(|entry| entry.streams.get(name));
            let error = failure.map_or((None, None), |failure| error(&state, failure));
            let summary = StreamSummary {
                records: state.records(),
                last_full_sync: state.last_full_sync,
                last_incremental_sync: state.last_incremental_sync,
                error: error.0,
                next_try: error.1,
            };
            (name.clone(), summary)
        };
        let mut streams: BTreeMap<_, _> = streams.into_iter().map(stream).collect();
        // Those that could not even begin.
        for (name, failure) in entry.iter().flat_map(|entry| &entry.streams) {
            streams.entry(name.clone()).or_insert_with(|| StreamSummary {
                error: Some(failure.message.clone()),
                next_try: failure.next_try,
                ..StreamSummary::default()
            });
        }
        let failure = entry.and_then(|entry| entry.outcome.as_ref().err());
        Self {
            connected_at,
            last_sync: last.and_then(|entry| entry.last_sync),
            error: failure.map(|failure| failure.message.clone()),
            streams,
            watching,
        }
    }

    /// The same under the grant that was connected at `connected_at`: if that is another one, without failures.
    #[must_use]
    pub fn under(mut self, connected_at: Timestamp) -> Self {
        if self.connected_at != connected_at {
            self.error = None;
            for stream in self.streams.values_mut() {
                (stream.error, stream.next_try) = (None, None);
            }
        }
        self
    }
}

/// Why a stream was not read to its end, and when it is tried again. What was read without some of its members is reported, too.
fn error(state: &StreamState, failure: Option<&SyncFailure>) -> (Option<Sentence>, Option<Timestamp>) {
    let passed: &PassedOver = &state.passed;
    match failure {
        Some(failure) => (Some(failure.message.clone()), failure.next_try),
        None => (passed.sentence(), passed.next_try()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sync::{
        SyncJob,
        stream::{ManifestHead, Run},
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn failure(message: &str) -> SyncFailure {
        SyncFailure { message: message.into(), next_try: Some(at(90)) }
    }

    #[test]
    fn a_summary_is_that_of_the_latest_entry_and_failures_stay_with_their_grant() {
        let manifest = ManifestHead { bits: 0, since: at(0), objects: 7 };
        let state = StreamState { manifest: Some(manifest), last_full_sync: Some(at(11)), ..StreamState::default() };
        let lanes = Lanes { main: state.clone(), full: state };
        let states = [("users".to_owned(), lanes.clone()), ("channels".to_owned(), lanes)];
        let mut entry = LogEntry::begin(SyncJob::Full, at(10), None);
        (entry.finished_at, entry.last_sync) = (at(12), Some(at(9)));
        entry.fail(Some("users"), failure("Users can't be read."));
        entry.fail(Some("files"), failure("Files can't be read."));
        let of = |connected_at| {
            let states = states.iter().map(|(name, lanes)| (name, lanes));
            SyncSummary::of(at(connected_at), states, Some(&entry), Some(Watching { active: 1, of: 2 }))
        };
        let summary = of(5);
        assert_eq!(summary.error.as_deref(), Some("Users can't be read."), "the first");
        let [channels, files, users] = ["channels", "files", "users"].map(|name| &summary.streams[name]);
        assert_eq!((channels.error.as_deref(), channels.records), (None, 7));
        assert_eq!((users.error.as_deref(), users.next_try), (Some("Users can't be read."), Some(at(90))));
        assert_eq!((files.error.as_deref(), files.records), (Some("Files can't be read."), 0), "it has no state yet");
        assert_eq!(serde_json::from_str::<SyncSummary>(&serde_json::to_string(&summary).unwrap()).unwrap(), summary);
        assert_eq!(summary.clone().under(at(5)), summary);

        for later in [of(13), summary.under(at(13))] {
            assert_eq!((&later.error, later.last_sync), (&None, Some(at(9))));
            assert!(later.streams.values().all(|stream| stream.error.is_none() && stream.next_try.is_none()));
            assert_eq!((later.streams["users"].records, later.streams["users"].last_full_sync), (7, Some(at(11))));
        }
    }

    #[test]
    fn what_a_first_full_run_has_read_is_counted_until_there_is_a_manifest() {
        let mut state = StreamState::default();
        assert_eq!(state.records(), 0);
        state.run = Some(Run { changes: 250, ..Run::new(SyncJob::Full, true, at(1), Value::Null) });
        assert_eq!(state.records(), 250);
        state.manifest = Some(ManifestHead { bits: 0, since: at(1), objects: 240 });
        assert_eq!(state.records(), 240, "a later run counts when it has ended");
        state.finish(json!("cursor"), at(2));
        assert_eq!(state.records(), 240);
    }
}
