//! What a run over one stream does next: a pure function of where it stands and of what its last action came to.
//!
//! *Invariant:* the position moves only over what was written or is noted as passed over; the cursor moves only when the run has
//! ended. A run whose list failed, or whose every member was passed over, ends without a cursor and without a sweep. A machine
//! that starts from a saved state repeats the actions after it, and repeating them changes nothing.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    About, Carries, Ended, Extent, Known, Lane, Member, Next, PageRest, Run, StreamState, Whole,
    action::{Action, Asked, Course, End, Outcome, PageRead, Sweep},
};
use crate::{
    call::{Bearing, Failure},
    reason::{Class, Reason},
    sync::{
        SyncJob,
        backoff::{Backoff, Pace},
    },
};

/// More pages than any stream has: ten million objects.
const MAX_PAGES: u32 = 100_000;
/// After how many failed comparisons of tags a run asks for every object: each one repeats its calls, and that would go on for ever where
/// calls have to wait again and again. What is asked for is kept, portion by portion.
const MAX_FAILED_COMPARISONS: u8 = 3;

/// A run over a stream, step by step.
pub struct Machine<'c> {
    course: &'c dyn Course,
    state: StreamState,
    phase: Phase,
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Ask,
    Write(PageRead),
    /// Sweeping, and then going on.
    Sweep(Sweep, Next),
    /// Storing the manifest, and then ending with this cursor.
    Settle(Value),
    /// Saving, and then this.
    Save(Then),
    End(End),
}

#[derive(Debug, Clone, PartialEq)]
enum Then {
    Ask,
    /// The same, but what is saved is needed now: a cursor for the other lane.
    Publish,
    End(End),
}

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
    fn begun(&mut self) -> Phase {
        let run = self.state.run.as_ref().filter(|run| run.full && !self.state.has_cursor());
        let Some((cursor, began)) = run.and_then(|run| Some((self.course.meanwhile(&run.position)?, run.started_at)))
        else {
            return Phase::Save(Then::Ask);
        };
        self.state.yields(cursor, began);
        Phase::Save(Then::Publish)
    }

    /// What to do next.
    pub fn action(&self) -> Action {
        match &self.phase {
            Phase::Ask => Action::Ask,
            Phase::Write(_) => Action::Write,
            Phase::Sweep(sweep, _) => Action::Sweep(sweep.clone()),
            Phase::Settle(_) => Action::Settle,
            Phase::Save(Then::Ask) => Action::Checkpoint,
            Phase::Save(Then::Publish | Then::End(_)) => Action::Save,
            Phase::End(end) => Action::End(end.clone()),
        }
    }

    /// Where the stream stands.
    pub const fn state(&self) -> &StreamState {
        &self.state
    }

    /// Notes that as many parts of the run's log are stored with its state: see [`Run::parts`].
    pub fn log(&mut self, parts: u32) {
        if let Some(run) = &mut self.state.run {
            run.parts += parts;
        }
    }

    /// Counts objects that an incremental run found new, or gone: a full run counts all.
    pub fn count(&mut self, more: i64) {
        if let Some(manifest) = &mut self.state.manifest {
            manifest.objects = manifest.objects.saturating_add_signed(more);
        }
    }

    /// Has the run ask for every object, because tags can't be compared.
    pub fn ask_for_known(&mut self) {
        if let Some(run) = self.state.run.as_mut().filter(|run| run.known == Known::Compared) {
            run.known = Known::AskedFor;
        }
    }

    /// Notes that a comparison of tags failed for a cause that may pass.
    pub fn comparison_failed(&mut self) {
        let Some(run) = &mut self.state.run else { return };
        run.failed_comparisons = run.failed_comparisons.saturating_add(1);
        if run.failed_comparisons >= MAX_FAILED_COMPARISONS {
            self.ask_for_known();
        }
    }

    /// Goes on after the action came to this. An outcome that is none of the action changes nothing.
    #[must_use]
    pub fn after(mut self, outcome: Outcome, now: Timestamp) -> Self {
        self.phase = match (self.phase.clone(), outcome) {
            // What passes and has no place to be remembered would be behind the cursor for ever: the run waits where it stands.
            (Phase::Ask, Outcome::Read(page)) => match self.state.passed.first_without_place(&page) {
                Some(failure) => Phase::End(End::Failed(failure)),
                None => Phase::Write(page),
            },
            (Phase::Ask, Outcome::Refused(failure)) => self.refused(failure, now),
            (Phase::Ask, Outcome::SourceGone) => {
                self.state.run = None;
                Phase::Save(Then::End(End::SourceGone))
            }
            (Phase::Write(page), Outcome::Written(too_large)) => self.written(page, &too_large, now),
            (Phase::Sweep(_, next), Outcome::Swept) => self.swept(next, now),
            (Phase::Settle(cursor), Outcome::Settled(manifest)) => {
                // Whether the run rebuilt it depends on the one before.
                let phase = self.finish(cursor, now);
                self.state.manifest = Some(manifest);
                phase
            }
            (Phase::Save(Then::Ask | Then::Publish), Outcome::Saved) => self.ask(now),
            (Phase::Save(Then::End(end)), Outcome::Saved) => Phase::End(end),
            (phase, _) => phase,
        };
        self
    }

    fn whole(&self, kind: SyncJob, now: Timestamp) -> Run {
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

    /// The next page to ask for. Paused members are passed over without a call.
    fn ask(&mut self, now: Timestamp) -> Phase {
        loop {
            let Some(run) = &mut self.state.run else { return Phase::End(End::Read) };
            if run.rest.is_some() {
                return Phase::Ask;
            }
            let all = run.full || self.state.backoff.is_some();
            let Some(member) = about(self.course, run, &run.position).member else { return Phase::Ask };
            if !self.state.passed.waits(&member.extent, run.started_at, all) {
                return Phase::Ask;
            }
            run.passed += 1;
            match member.passed {
                Next::Page(position) if position == run.position => return self.fail(Failure::Unreadable, now),
                Next::Page(position) => run.position = position,
                Next::Done(cursor) => return self.done(cursor, now),
            }
        }
    }

    fn refused(&mut self, failure: Failure, now: Timestamp) -> Phase {
        let Some(run) = &mut self.state.run else { return Phase::End(End::Failed(failure)) };
        let About { carries, member } = about(self.course, run, &run.position);
        let (bearing, carries_no_page) = (failure.bearing(), carries != Carries::MembersPage);
        match (carries, bearing) {
            // First the same call without what may be wrong with it; a page that could not be read the last time either may be.
            (Carries::MembersCursor(position), _)
                if matches!(bearing, Bearing::Lasting | Bearing::Missing)
                    || failure == Failure::Unreadable
                        && member.as_ref().is_some_and(|it| self.state.passed.has(&it.extent)) =>
            {
                run.position = position;
                if !run.full {
                    (run.parts, run.restarts) = (0, run.restarts + 1);
                }
                return Phase::Save(Then::Ask);
            }
            // Only a full run finds out what changed. It begins once, or there would be no end of them.
            (Carries::Cursor, Bearing::Lasting | Bearing::Missing)
                if !run.restarted && self.state.refused_cursors.as_ref().is_none_or(|it| it.is_due(now, false)) =>
            {
                // What a full run has lost is the mark of a page.
                let Run { r#type: kind, full, rebuilds, beside, known, .. } = *run;
                self.state.refused_cursors =
                    Some(Backoff::after(self.state.refused_cursors.as_ref(), Pace::Hours, now));
                if !full {
                    (self.state.run, self.state.lost) = (None, true);
                    return Phase::Save(Then::End(End::NeedsFull));
                }
                self.drop_run(now);
                self.state.run = Some(Run { restarted: true, rebuilds, beside, known, ..self.whole(kind, now) });
                return self.begun();
            }
            (Carries::Nothing | Carries::Cursor | Carries::MembersCursor(_) | Carries::MembersPage, _) => {}
        }
        // A run over all finds out what is wrong with a part.
        if run.part.is_some() && bearing != Bearing::None {
            self.state.run = None;
            return Phase::Save(Then::End(End::Failed(failure)));
        }
        // That the mark of a page is gone does not mean that the member is.
        let gone = bearing == Bearing::Missing && carries_no_page;
        match (member, bearing) {
            (Some(member), Bearing::Missing) if gone => self.go_on(member.gone, now),
            (
                Some(Member { extent, kind, name, passed, .. }),
                Bearing::Lasting | Bearing::Passing | Bearing::Missing,
            ) => {
                self.pass((extent, kind, &name), &failure, now);
                if let Some(run) = &mut self.state.run {
                    run.passed += 1;
                }
                self.go_on(passed, now)
            }
            (None, _) | (Some(_), Bearing::None) => self.fail(failure, now),
        }
    }

    fn pass(&mut self, member: (Extent, &str, &str), failure: &Failure, now: Timestamp) {
        let pace = if failure.bearing() == Bearing::Lasting { Pace::FullSyncs } else { Pace::Minutes };
        self.note(member, failure.reason(), pace, now);
    }

    fn note(&mut self, member: (Extent, &str, &str), why: Reason, pace: Pace, now: Timestamp) {
        let Some(run) = &mut self.state.run else { return };
        if !self.state.passed.note(member, (why, pace), run.started_at, now) {
            run.beyond += 1;
        }
    }

    fn written(&mut self, mut page: PageRead, too_large: &[(String, String)], now: Timestamp) -> Phase {
        let Some(run) = &mut self.state.run else { return Phase::End(End::Read) };
        run.changes += page.changes.saturating_sub(u64::try_from(too_large.len()).unwrap_or(0));
        let (rest, before) = (std::mem::take(&mut page.rest), run.rest.take());
        if rest.is_empty() {
            run.pages += 1;
            run.again.clear();
            // A member is read with its last page.
            let member_at = |run: &Run, position: &Value| about(self.course, run, position).member.map(|it| it.extent);
            let follows = if let Next::Page(next) = &page.next { member_at(run, next) } else { None };
            if let Some(extent) = member_at(run, &run.position)
                && follows.as_ref() != Some(&extent)
            {
                self.state.passed.mark_read(&extent);
                run.read += 1;
            }
        }
        // In an incremental run the objects that pages name are those that changed, not all there are.
        if run.full {
            run.read += page.objects;
            run.passed += u64::try_from(page.refused.len()).unwrap_or(u64::MAX);
        }
        let full = run.full;
        for id in page.mended {
            self.state.passed.mark_read(&Extent::One(id));
        }
        // Those that pass have the places.
        page.refused.sort_by_key(|(_, _, failure)| failure.bearing() != Bearing::Passing);
        for (kind, id, failure) in page.refused {
            self.pass((Extent::One(id.clone()), &kind, &id), &failure, now);
        }
        for (kind, id) in too_large {
            self.note((Extent::One(id.clone()), kind, id), Reason::TooLarge, Pace::FullSyncs, now);
        }
        if !rest.is_empty() {
            return self.go_on_with_rest(PageRest { ids: rest, next: page.next }, before.as_ref(), now);
        }
        // What was passed over and is not remembered would be taken for gone.
        let remembered = self.state.run.as_ref().is_some_and(|run| run.beyond == 0);
        match page.whole.filter(|_| !full && remembered) {
            Some(Whole { extent, since }) => {
                let except = self.singles();
                self.state.part_swept_at = Some(now);
                Phase::Sweep(Sweep { since, of: Some(extent), except }, page.next)
            }
            None => self.go_on(page.next, now),
        }
    }

    /// A portion of the page is read. A rest that gets no shorter would go on for ever.
    fn go_on_with_rest(&mut self, rest: PageRest, before: Option<&PageRest>, now: Timestamp) -> Phase {
        if before.is_some_and(|before| before.ids.len() <= rest.ids.len()) {
            return self.fail(Failure::Unreadable, now);
        }
        if let Some(run) = &mut self.state.run {
            run.rest = Some(rest);
        }
        Phase::Save(Then::Ask)
    }

    /// Single objects that were passed over: whatever else was seen, they were not.
    fn singles(&self) -> Vec<Extent> {
        let all = self.state.passed.members().iter().map(|it| &it.extent);
        all.filter(|extent| matches!(extent, Extent::One(_))).cloned().collect()
    }

    fn go_on(&mut self, next: Next, now: Timestamp) -> Phase {
        match (next, &mut self.state.run) {
            // A mark that leads to itself, or on for ever.
            (Next::Page(position), Some(run)) if position == run.position || run.pages > MAX_PAGES => {
                self.fail(Failure::Unreadable, now)
            }
            (Next::Page(position), Some(run)) => {
                run.position = position;
                self.begun()
            }
            (Next::Done(cursor), _) => self.done(cursor, now),
            (Next::Page(_), None) => Phase::End(End::Read),
        }
    }

    /// Everything was asked for.
    fn done(&mut self, cursor: Value, now: Timestamp) -> Phase {
        let Some(run) = &self.state.run else { return Phase::End(End::Read) };
        if run.read == 0 && run.passed > 0 {
            let passes = self.state.passed.passes(run.started_at);
            self.refuse(if passes { Pace::Minutes } else { Pace::Hours }, now);
            return Phase::Save(Then::End(End::NothingRead));
        }
        if !run.full {
            return self.finish(cursor, now);
        }
        // What was passed over and is not remembered would be taken for gone.
        if run.beyond > 0 {
            return Phase::Settle(cursor);
        }
        let except = self.state.passed.in_run(run.started_at);
        Phase::Sweep(Sweep { since: run.started_at, of: None, except }, Next::Done(cursor))
    }

    fn swept(&mut self, next: Next, now: Timestamp) -> Phase {
        match (next, &self.state.run) {
            (Next::Done(cursor), Some(run)) if run.full => Phase::Settle(cursor),
            // A part was swept.
            (next, _) => self.go_on(next, now),
        }
    }

    fn finish(&mut self, cursor: Value, now: Timestamp) -> Phase {
        let is_beside = self.state.run.as_ref().is_some_and(|run| run.full && run.beside);
        let cursor = match self.state.found.as_ref().filter(|_| is_beside) {
            Some(before) => self.course.without_gone(&cursor, before),
            None => cursor,
        };
        self.state.finish(cursor, now);
        Phase::Save(Then::End(End::Read))
    }

    fn fail(&mut self, failure: Failure, now: Timestamp) -> Phase {
        let full = self.state.run.as_ref().is_some_and(|run| run.full);
        if failure.is_refusal() {
            self.refuse(Pace::Hours, now);
        } else if failure.reason().class() == Class::Operators
            || failure.is_transient() && failure != Failure::Unreadable
        {
            return Phase::End(End::Failed(failure));
        } else {
            // A page that can't be read must not be where the next run begins.
            self.drop_run(now);
            self.state.stuck |= !full;
            // Without a cursor nothing else can be read, and a full run at every slot would not come to its end either.
            if full && !self.state.has_cursor() {
                self.refuse(Pace::Minutes, now);
            }
        }
        if full {
            self.state.full_failed_at = Some(now);
        }
        Phase::Save(Then::End(End::Failed(failure)))
    }

    /// Ends the run before its end. A cursor that it yielded says nothing of what it did not read.
    fn drop_run(&mut self, now: Timestamp) {
        if let Some(run) = self.state.run.take().filter(|run| run.full) {
            self.state.lost |= self.state.cursor_of == Some(run.started_at);
            self.state.ended = Some(Ended { began: run.started_at, at: now, whole: false });
        }
    }

    fn refuse(&mut self, pace: Pace, now: Timestamp) {
        self.drop_run(now);
        let mut backoff = Backoff::after(self.state.backoff.as_ref(), pace, now);
        // Not in the same sync again.
        let soonest = now.checked_add(SignedDuration::from_mins(10)).ok();
        backoff.next_try = backoff.next_try.max(soonest);
        self.state.backoff = Some(backoff);
    }
}

/// What the call at a position is about. The position of a copy means nothing to the provider.
fn about(course: &dyn Course, run: &Run, position: &Value) -> About {
    if run.source.is_some() { About::NOTHING } else { course.about(position) }
}

#[cfg(test)]
mod mailbox_tests;
#[cfg(test)]
mod tests;
