//! How runs begin: where, and over what.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    super::{Asked, Course, End, Known, Lane, Run, StreamState},
    Machine, Phase, Then,
};
use crate::sync::SyncJob;

impl<'c> Machine<'c> {
    /// Starts a run over a stream, or goes on with the one that is under way in its lane.
    pub fn start(
        course: &'c dyn Course,
        incremental: bool,
        state: StreamState,
        asked: Asked<'_>,
        now: Timestamp,
    ) -> Self {
        let mut it = Self { course, state, phase: Phase::Ask };
        let full = asked.lane == Lane::Full;
        // A run over another part says nothing of what is asked for. Its cursor has not moved.
        it.state.run =
            it.state.run.filter(|run| run.full == full && (run.part.is_none() || run.part.as_deref() == asked.part));
        let read_since = if asked.rebuilds { it.state.rebuilt_since } else { it.state.full_since };
        // A full run that takes records for current does not read what a caller wants read. It is dropped, and another one begins.
        if full && asked.rebuilds && it.state.run.as_ref().is_some_and(|run| !it.state.rebuilds(run)) {
            it.drop_run(now);
        }
        it.phase = if it.state.run.is_some() {
            it.ask(now)
        } else if full && read_since.is_some_and(|since| since >= asked.at) {
            // Read whole since it was asked for, before this sync broke off at another stream.
            Phase::End(End::Read)
        } else if it
            .state
            .backoff
            .as_ref()
            .is_some_and(|backoff| !backoff.is_due(now, asked.kind == SyncJob::Full || asked.forced))
        {
            Phase::End(End::Waiting)
        } else if full {
            it.begin_full(incremental, asked, now)
        } else {
            it.begin_after_cursor(asked, now)
        };
        it
    }

    fn begin_full(&mut self, incremental: bool, asked: Asked<'_>, now: Timestamp) -> Phase {
        self.state.lost |= incremental && self.state.cursor.is_some() && !self.is_of_use(now);
        let (rebuilds, restarted) = (asked.rebuilds, self.state.lost);
        let beside = incremental && self.state.has_cursor();
        // After a lost cursor, what is known is compared.
        let may_know = asked.skips_known && !rebuilds && self.state.passed.forgot_none();
        let known = if may_know && beside {
            Known::Skipped
        } else if may_know && restarted && self.state.manifest.is_some() {
            Known::Compared
        } else {
            Known::AskedFor
        };
        let run = asked.source.map_or_else(|| self.whole(asked.kind, now), |source| Run::copy(asked.kind, source));
        self.state.run = Some(Run { restarted, beside, rebuilds, known, ..run });
        Phase::Save(Then::Ask)
    }

    fn begin_after_cursor(&mut self, asked: Asked<'_>, now: Timestamp) -> Phase {
        if !self.state.has_cursor() {
            return Phase::End(End::NeedsFull);
        }
        (self.state.cursor, self.state.found) = (self.cursor(), None);
        let Some(position) = self.state.cursor.as_ref().and_then(|cursor| self.course.begin(cursor, now)) else {
            self.state.lost = true;
            return Phase::Save(Then::End(End::NeedsFull));
        };
        let again = self.state.passed.again(now, self.state.backoff.is_some());
        let part = asked.part.map(str::to_owned);
        self.state.run = Some(Run { again, part, ..Run::new(asked.kind, false, now, position) });
        Phase::Save(Then::Ask)
    }

    /// The next page is asked for when that is noted. A full run that has just learned from where changes can be read says so first,
    /// so that incremental runs begin beside it.
    pub(super) fn begun(&mut self) -> Phase {
        let run = self.state.run.as_ref().filter(|run| run.full && !self.state.has_cursor());
        let Some((cursor, began)) = run.and_then(|run| Some((self.course.meanwhile(&run.position)?, run.started_at)))
        else {
            return Phase::Save(Then::Ask);
        };
        self.state.yields(cursor, began);
        Phase::Save(Then::Publish)
    }

    pub(super) fn whole(&self, kind: SyncJob, now: Timestamp) -> Run {
        Run::new(kind, true, now, self.course.restart(self.cursor().as_ref(), now))
    }

    /// The cursor, without what full runs found gone since.
    fn cursor(&self) -> Option<Value> {
        let (cursor, found) = (self.state.cursor.as_ref()?, self.state.found.as_ref());
        Some(found.map_or_else(|| cursor.clone(), |found| self.course.without_gone(cursor, found)))
    }

    /// Whether incremental runs can go on from the cursor.
    fn is_of_use(&self, now: Timestamp) -> bool {
        self.state.cursor.as_ref().is_some_and(|cursor| self.course.begin(cursor, now).is_some())
    }
}
