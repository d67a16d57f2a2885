//! What a run over one stream does next: a pure function of where it stands and of what its last action came to.
//!
//! *Invariant:* the position moves only over what was written or is noted as passed over; the cursor moves only when the run has
//! ended. A run whose list failed, or whose every member was passed over, ends without a cursor and without a sweep. A machine
//! that starts from a saved state repeats the actions after it, and repeating them changes nothing.

mod begin;
mod refusals;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    About, Extent, Known, Next, PageRest, Run, StreamState, Whole,
    action::{Action, Course, End, Outcome, PageRead, Sweep},
};
use crate::{
    call::{Bearing, Failure},
    reason::Reason,
    sync::backoff::Pace,
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

impl Machine<'_> {
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
}

/// What the call at a position is about. The position of a copy means nothing to the provider.
fn about(course: &dyn Course, run: &Run, position: &Value) -> About {
    if run.source.is_some() { About::NOTHING } else { course.about(position) }
}

#[cfg(test)]
mod mailbox_tests;
#[cfg(test)]
mod tests;
