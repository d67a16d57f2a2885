//! Where the sync of one stream stands, and what a run over it is made of.
//!
//! *Invariant:* the cursor is replaced only when a run has ended that read all that changed since the former one, by what the provider
//! said in that run. Until then the run keeps its own position, so a crash repeats the pages since it was last stored.

mod action;
mod lanes;
mod passed;
mod run;
mod step;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sync::{SyncJob, backoff::Backoff};

pub use self::{
    action::{Action, Asked, Course, End, Outcome, PageRead, Sweep},
    lanes::{Lane, Lanes, Sync},
    passed::{MAX_PASSED, Passed, PassedOver},
    run::{Known, PageRest, Run, Source},
    step::Machine,
};

/// Where the sync of one stream stands, in one of its [`Lanes`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamState {
    /// What the next incremental run begins after: the provider's own.
    pub cursor: Option<Value>,
    /// The full run that yielded the cursor, by its beginning.
    #[serde(default)]
    pub cursor_of: Option<Timestamp>,
    /// Whether the cursor is of no use any more, so that a full run must yield another one.
    #[serde(default)]
    pub lost: bool,
    /// The run that is under way.
    pub run: Option<Run>,
    /// When the last full run that ended began: it saw everything that was there then.
    #[serde(default)]
    pub full_since: Option<Timestamp>,
    /// When the last such run began that [took no record for current](Self::rebuilds).
    #[serde(default)]
    pub rebuilt_since: Option<Timestamp>,
    /// When a full run last ended.
    pub last_full_sync: Option<Timestamp>,
    /// When an incremental run last ended.
    pub last_incremental_sync: Option<Timestamp>,
    /// What could not be read, so that it was read without.
    #[serde(default)]
    pub passed: PassedOver,
    /// Set while the stream as a whole is refused.
    #[serde(default)]
    pub backoff: Option<Backoff>,
    /// Full runs in a row that began because the provider refused a cursor.
    #[serde(default)]
    pub refused_cursors: Option<Backoff>,
    /// When a full run last failed, if none has ended since.
    #[serde(default)]
    pub full_failed_at: Option<Timestamp>,
    /// The stored manifest; none before the first full run has ended.
    #[serde(default)]
    pub manifest: Option<ManifestHead>,
    /// Whether the last incremental run met a page that can't be read, so that the next one may meet it again. A full run yields a
    /// cursor behind it.
    #[serde(default)]
    pub stuck: bool,
    /// When an incremental run last found out what is gone of a part, by reading it whole.
    #[serde(default)]
    pub part_swept_at: Option<Timestamp>,
    /// The last full run that ended in this lane.
    #[serde(default)]
    pub ended: Option<Ended>,
    /// What a full run would have yielded that began beside a cursor that stood: parts of the stream that it has not are gone.
    #[serde(default)]
    pub found: Option<Value>,
    /// When the full run ended that this state has taken over from the other lane.
    #[serde(default)]
    pub adopted: Option<Timestamp>,
}

/// A full run that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Before its first call.
    pub began: Timestamp,
    /// When it ended.
    pub at: Timestamp,
    /// Whether it read the stream to its end. If not, a cursor that it yielded says nothing of what it did not read.
    pub whole: bool,
}

/// A stored manifest: see [`Manifest`](crate::sync::manifest::Manifest).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestHead {
    /// It is in two to this power chunks.
    pub bits: u8,
    /// Records that changed since then may say something else.
    pub since: Timestamp,
    /// How many objects are there.
    pub objects: u64,
}

/// Which records of a stream are meant, by their ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Those with ids that begin so.
    Under(String),
    /// That of this id.
    One(String),
}

impl Extent {
    /// The id, or what the ids begin with.
    pub fn id(&self) -> &str {
        match self {
            Self::Under(id) | Self::One(id) => id,
        }
    }

    /// Whether a record of this id is meant.
    pub fn holds(&self, id: &str) -> bool {
        match self {
            Self::Under(prefix) => id.starts_with(prefix),
            Self::One(one) => id == one,
        }
    }
}

/// What follows a page. Positions and cursors are of the provider's own shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// The page at this position.
    Page(Value),
    /// Nothing; the next incremental run begins after this cursor.
    Done(Value),
}

/// What the call at a position is about, which decides how a run goes on when the call is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// What the call carries of earlier answers.
    pub carries: Carries,
    /// The part of the stream that is read there; `None` for a list of parts, and for a stream without parts.
    pub member: Option<Member>,
}

/// What a call carries of earlier answers: a refusal may be about that alone.
#[derive(Debug, Clone, PartialEq)]
pub enum Carries {
    /// Nothing that could be wrong.
    Nothing,
    /// A cursor, or the mark of a page: without it a full run begins.
    Cursor,
    /// Those of the member: the same call without them is at this position.
    MembersCursor(Value),
    /// The mark of a page of the member, which is read from its beginning already.
    MembersPage,
}

/// A part of a stream that is read by calls of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The ids of its records.
    pub extent: Extent,
    /// What it is, for people: "calendar".
    pub kind: &'static str,
    /// Its name, for people.
    pub name: String,
    /// How the run goes on without it, where its own cursor is kept for the next run.
    pub passed: Next,
    /// How the run goes on if it is gone.
    pub gone: Next,
}

/// A part of a stream that was read whole within an incremental run: what was not seen of it since then is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    /// The ids of its records.
    pub extent: Extent,
    /// When its first page was asked for.
    pub since: Timestamp,
}

impl About {
    /// A call that carries nothing, of a stream without parts.
    pub const NOTHING: Self = Self { carries: Carries::Nothing, member: None };

    /// A call of a stream without parts that carries a cursor or the mark of a page, if `carries` says so.
    pub const fn list(carries: bool) -> Self {
        Self { carries: if carries { Carries::Cursor } else { Carries::Nothing }, member: None }
    }
}

impl StreamState {
    /// How many records there are, without deleted ones: what the latest full run found, and what incremental runs found new or gone
    /// since. What webhooks change is counted by the next full run. While the first one goes on, how many objects it has read.
    pub fn records(&self) -> u64 {
        let read = self.run.as_ref().map_or(0, |run| run.changes);
        self.manifest.as_ref().map_or(read, |head| head.objects)
    }

    /// Whether a run reads everything and takes no record for current: what a caller means by a full sync.
    pub fn rebuilds(&self, run: &Run) -> bool {
        run.full && (run.rebuilds || self.manifest.is_none() && run.known == Known::AskedFor)
    }

    /// Whether an incremental run can begin.
    pub const fn has_cursor(&self) -> bool {
        self.cursor.is_some() && !self.lost
    }

    /// A full run yields this cursor.
    pub(super) fn yields(&mut self, cursor: Value, began: Timestamp) {
        (self.cursor, self.cursor_of, self.lost, self.found) = (Some(cursor), Some(began), false, None);
    }

    /// Ends the run. Its cursor counts from now on, unless it was a full run beside a cursor that stands: what the run skipped, and what
    /// went after an incremental run wrote it, is for incremental runs to read from where they are.
    pub fn finish(&mut self, cursor: Value, now: Timestamp) -> Option<Run> {
        let run = self.run.take()?;
        match (run.full, run.beside) {
            (true, true) => self.found = Some(cursor),
            (true, false) => self.yields(cursor, run.started_at),
            (false, _) => self.cursor = Some(cursor),
        }
        if run.part.is_some() {
            return Some(run);
        }
        self.stuck &= run.full;
        if run.full {
            self.last_full_sync = Some(now);
            self.full_since = Some(run.started_at);
            if self.rebuilds(&run) {
                self.rebuilt_since = Some(run.started_at);
            }
            self.full_failed_at = None;
            self.ended = Some(Ended { began: run.started_at, at: now, whole: true });
        }
        if run.r#type == SyncJob::Incremental {
            self.last_incremental_sync = Some(now);
        }
        self.passed.settle(run.started_at, run.full, run.beyond);
        self.backoff = None;
        if !run.restarted {
            self.refused_cursors = None;
        }
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_cursor_moves_only_when_a_run_ends() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut state = StreamState { cursor: Some(json!("old")), ..StreamState::default() };
        assert!(state.finish(json!("new"), at(1)).is_none());
        assert_eq!(state.cursor, Some(json!("old")), "no run has ended");
        let run = Run::new(SyncJob::Full, true, at(1), Value::Null);
        state.run = Some(run.clone());
        assert_eq!(state.finish(json!("new"), at(2)), Some(run));
        assert_eq!((state.cursor.clone(), state.last_full_sync), (Some(json!("new")), Some(at(2))));
        assert_eq!(state.last_incremental_sync, None);
        // A full run beside a cursor that stands leaves it.
        state.run = Some(Run { beside: true, ..Run::new(SyncJob::Full, true, at(3), Value::Null) });
        state.finish(json!("newest"), at(4));
        assert_eq!((state.cursor, state.last_full_sync), (Some(json!("new")), Some(at(4))));
    }
}
