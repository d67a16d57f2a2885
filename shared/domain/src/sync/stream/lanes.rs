//! The two lanes of a stream's runs: full runs take hours, and what changes meanwhile is read beside them.
//!
//! *Invariant:* each lane writes its own state only. What one lane takes over from the other follows from both states, so that no
//! moment of a crash or a takeover is between two writes.

use jiff::Timestamp;

use super::{Ended, StreamState};
use crate::{
    IntegrationId,
    sync::{SyncJob, slot::full_due},
};

/// In which lane a sync works: each has a lease of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Of incremental runs, runs over a part, single objects and watches.
    Main,
    /// Of full runs.
    Full,
}

/// A sync, as far as it decides whether a stream is to be read in full.
#[derive(Debug, Clone, Copy)]
pub struct Sync {
    /// What is asked for.
    pub kind: SyncJob,
    /// When.
    pub at: Timestamp,
    /// Whether a report of a change asks for it.
    pub is_report: bool,
    /// Whether what is refused is tried though its pause is not over.
    pub forced: bool,
}

/// Where a stream stands in both lanes, as stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lanes {
    /// In the lane of incremental runs, and of runs over a part.
    pub main: StreamState,
    /// In the lane of full runs.
    pub full: StreamState,
}

impl Lanes {
    /// Where the stream stands for an incremental run: with what full runs found.
    #[must_use]
    pub fn main(&self) -> StreamState {
        let (mut state, full) = (self.main.clone(), &self.full);
        state.last_full_sync = full.last_full_sync;
        state.full_since = full.full_since;
        state.full_failed_at = full.full_failed_at;
        state.last_incremental_sync = state.last_incremental_sync.max(full.last_incremental_sync);
        if let Some(ended) = full.ended.filter(|ended| state.adopted != Some(ended.at)) {
            let read_since = state.last_incremental_sync > Some(ended.began);
            state.passed = state.passed.after_full_run(&full.passed, ended.began, read_since);
            state.adopted = Some(ended.at);
            if !ended.whole {
                state.backoff = state.backoff.or_else(|| full.backoff.clone());
            }
            // That of the run before it, if it broke off.
            if full.found.is_some() {
                // An incremental run that is under way may be about to read what is gone.
                (state.found, state.run) = (full.found.clone(), None);
            }
        }
        if full.full_since != self.main.full_since {
            state.manifest.clone_from(&full.manifest);
            state.backoff = state.backoff.filter(|it| full.last_full_sync.is_none_or(|ended| it.since > ended));
        }
        // The run that yielded a cursor did not read what was there before, unless it goes on, or it or a later one ended.
        let is_broken = |began: Timestamp| {
            full.full_since < Some(began) && full.run.as_ref().is_none_or(|run| run.started_at != began)
        };
        state.lost |= state.cursor_of.is_some_and(is_broken);
        if (!state.has_cursor() || state.stuck)
            && full.cursor_of > state.cursor_of
            && !full.cursor_of.is_some_and(is_broken)
        {
            (state.cursor, state.found) = (full.cursor.clone(), full.found.clone());
            (state.cursor_of, state.lost, state.stuck) = (full.cursor_of, false, false);
            state.run = None;
        }
        state
    }

    /// Where the stream stands for a full run: with the cursor of incremental runs, and what these could not read.
    #[must_use]
    pub fn full(&self) -> StreamState {
        let main = self.main();
        let mut state = self.full.clone();
        if state.run.is_none() {
            // What an earlier full run found gone, and no incremental run has heard of, stays gone.
            state.found = main.found;
            // From a cursor that incremental runs get stuck at, another one is needed.
            (state.passed, state.cursor, state.cursor_of, state.lost) =
                (main.passed, main.cursor, main.cursor_of, main.lost || main.stuck);
        }
        state
    }

    /// Where the stream stands for people: a full run shows how far it has come.
    #[must_use]
    pub fn shown(&self) -> StreamState {
        StreamState { run: self.full.run.clone(), ..self.main() }
    }

    /// Since when the stream is to be read in full by this sync; none if it is not.
    ///
    /// A report of a change does not go on with a full run that is under way: that is left to the schedule.
    pub fn full_wanted(
        &self,
        (id, stream, incremental): (&IntegrationId, &str, bool),
        Sync { kind, at, is_report, forced }: Sync,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let main = self.main();
        if kind == SyncJob::Full || !incremental {
            return Some(at);
        }
        let backoff = self.full.backoff.clone().or_else(|| main.backoff.clone());
        if self.full.run.is_some() {
            return (!is_report).then_some(now);
        }
        if !main.has_cursor() {
            let waits = backoff.is_some_and(|it| !it.is_due(now, forced));
            return (!waits).then_some(now);
        }
        // The full run may have written an object of the part after it was found gone.
        let was_swept = |it: &Ended| main.part_swept_at.is_some_and(|at| (it.began..=it.at).contains(&at));
        if self.full.ended.as_ref().is_some_and(|it| it.whole && was_swept(it)) && backoff.is_none() {
            return Some(now);
        }
        let state = StreamState { backoff, ..self.full.clone() };
        full_due(id, stream, &state, now)
    }
}
