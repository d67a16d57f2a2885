//! What became of a sync, as it is recorded.
//!
//! *Invariant:* a sync that did not come to its end is never recorded as one that did; a failure is shown until the same
//! thing works again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{sentence::Sentence, sync::SyncJob};

/// Why a sync, or one stream of it, did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncFailure {
    /// For the user, with the object that it is about where one is known.
    pub message: Sentence,
    /// When the sync is tried again by itself; none if only the user can help.
    pub next_try: Option<Timestamp>,
}

/// One entry of the log that is kept of an integration's syncs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct LogEntry {
    /// What was asked for.
    pub r#type: SyncJob,
    /// Before the first call to the provider.
    pub started_at: Timestamp,
    /// When it ended or broke off.
    pub finished_at: Timestamp,
    /// How many states were written.
    pub changes: u64,
    /// How many records a full run found gone.
    pub swept: u64,
    /// Whether all streams were read to their end, and otherwise what failed first.
    pub outcome: Result<(), SyncFailure>,
    /// By stream, what failed when it was last read. Streams that this sync did not get to keep what an earlier one met.
    pub streams: BTreeMap<String, SyncFailure>,
    /// When a sync last ended, this one or an earlier one: it read every stream that can be read, and at least one.
    pub last_sync: Option<Timestamp>,
}

/// The stored form. The first version had no more than `problem`: its readers still read this, and its entries are read here.
#[derive(Serialize, Deserialize)]
struct Stored {
    r#type: SyncJob,
    started_at: Timestamp,
    finished_at: Timestamp,
    changes: u64,
    swept: u64,
    problem: Option<Sentence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_try: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    streams: BTreeMap<String, SyncFailure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_sync: Option<Timestamp>,
}

impl LogEntry {
    /// The entry of a sync that begins now, with the failures of earlier syncs that still hold.
    pub fn begin(r#type: SyncJob, started_at: Timestamp, before: Option<&Self>) -> Self {
        Self {
            r#type,
            started_at,
            finished_at: started_at,
            changes: 0,
            swept: 0,
            outcome: Ok(()),
            streams: before.map(|it| it.streams.clone()).unwrap_or_default(),
            last_sync: before.and_then(|it| it.last_sync),
        }
    }

    /// Notes that the sync, or a stream of it, failed. Of several failures the first is the sync's.
    pub fn fail(&mut self, stream: Option<&str>, failure: SyncFailure) {
        if self.outcome.is_ok() {
            self.outcome = Err(failure.clone());
        }
        self.streams.extend(stream.map(|stream| (stream.to_owned(), failure)));
    }
}

impl From<Stored> for LogEntry {
    fn from(it: Stored) -> Self {
        let ended = it.problem.is_none().then_some(it.finished_at);
        Self {
            r#type: it.r#type,
            started_at: it.started_at,
            finished_at: it.finished_at,
            changes: it.changes,
            swept: it.swept,
            outcome: it.problem.map_or(Ok(()), |message| Err(SyncFailure { message, next_try: it.next_try })),
            streams: it.streams,
            last_sync: it.last_sync.or(ended),
        }
    }
}

impl From<LogEntry> for Stored {
    fn from(it: LogEntry) -> Self {
        let failure = it.outcome.err();
        Self {
            r#type: it.r#type,
            started_at: it.started_at,
            finished_at: it.finished_at,
            changes: it.changes,
            swept: it.swept,
            next_try: failure.as_ref().and_then(|it| it.next_try),
            problem: failure.map(|it| it.message),
            streams: it.streams,
            last_sync: it.last_sync,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn entries_of_the_first_version_are_read_and_none_of_them_is_a_success_that_it_was_not() {
        let stored = |problem: &str| {
            let text = format!(
                r#"{{"type":"full","started_at":"1970-01-01T00:00:01Z","finished_at":"1970-01-01T00:00:02Z","changes":3,"swept":1,"problem":{problem}}}"#
            );
            serde_json::from_str::<LogEntry>(&text).unwrap()
        };
        let good = stored("null");
        assert_eq!((good.outcome, good.last_sync, good.changes), (Ok(()), Some(at(2)), 3));
        let bad = stored(r#""Slack is down.""#);
        let failure = SyncFailure { message: "Slack is down.".into(), next_try: None };
        assert_eq!((bad.outcome, bad.last_sync), (Err(failure), None));
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let failure = |message: &str| SyncFailure { message: message.into(), next_try: Some(at(9)) };
        let mut entry = LogEntry::begin(SyncJob::Incremental, at(1), None);
        assert_eq!(serde_json::from_str::<LogEntry>(&serde_json::to_string(&entry).unwrap()).unwrap().outcome, Ok(()));
        entry.fail(Some("users"), failure("Users failed."));
        entry.fail(Some("channels"), failure("Channels failed."));
        assert_eq!(entry.outcome, Err(failure("Users failed.")), "the first");
        assert_eq!(entry.streams.len(), 2);
        assert_eq!(serde_json::from_str::<LogEntry>(&serde_json::to_string(&entry).unwrap()).unwrap(), entry);
        let next = LogEntry::begin(SyncJob::Full, at(5), Some(&entry));
        assert_eq!((next.outcome, next.streams, next.last_sync), (Ok(()), entry.streams, None));
    }
}
