//! How a run goes on after a call that failed: without what it carried, without the member, later, or not at all.

use jiff::{SignedDuration, Timestamp};

use super::{
    super::{About, Carries, End, Ended, Extent, Member, Run},
    Machine, Phase, Then, about,
};
use crate::{
    call::{Bearing, Failure},
    reason::{Class, Reason},
    sync::backoff::{Backoff, Pace},
};

impl Machine<'_> {
    pub(super) fn refused(&mut self, failure: Failure, now: Timestamp) -> Phase {
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

    pub(super) fn pass(&mut self, member: (Extent, &str, &str), failure: &Failure, now: Timestamp) {
        let pace = if failure.bearing() == Bearing::Lasting { Pace::FullSyncs } else { Pace::Minutes };
        self.note(member, failure.reason(), pace, now);
    }

    pub(super) fn note(&mut self, member: (Extent, &str, &str), why: Reason, pace: Pace, now: Timestamp) {
        let Some(run) = &mut self.state.run else { return };
        if !self.state.passed.note(member, (why, pace), run.started_at, now) {
            run.beyond += 1;
        }
    }

    pub(super) fn fail(&mut self, failure: Failure, now: Timestamp) -> Phase {
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
    pub(super) fn drop_run(&mut self, now: Timestamp) {
        if let Some(run) = self.state.run.take().filter(|run| run.full) {
            self.state.lost |= self.state.cursor_of == Some(run.started_at);
            self.state.ended = Some(Ended { began: run.started_at, at: now, whole: false });
        }
    }

    pub(super) fn refuse(&mut self, pace: Pace, now: Timestamp) {
        self.drop_run(now);
        let mut backoff = Backoff::after(self.state.backoff.as_ref(), pace, now);
        // Not in the same sync again.
        let soonest = now.checked_add(SignedDuration::from_mins(10)).ok();
        backoff.next_try = backoff.next_try.max(soonest);
        self.state.backoff = Some(backoff);
    }
}
