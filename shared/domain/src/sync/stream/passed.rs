//! The members of a stream that could not be read, so that the others were read without them.
//!
//! *Invariant:* the list is bounded. What does not fit is counted, so that nothing is taken for gone only because it was
//! forgotten.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Extent, PageRead};
use crate::{
    call::{Bearing, Failure},
    reason::Reason,
    sentence::Sentence,
    sync::backoff::{Backoff, Pace},
};

/// The most members that are remembered of a stream.
pub const MAX_PASSED: usize = 100;
/// The most single objects that a run asks for again: all in one page, which must be over in one invocation.
const MAX_AGAIN: usize = 25;
/// The longest name of a member that is kept, in characters.
const MAX_NAME: usize = 100;
/// The longest id of a member that is kept, in bytes: that of a record.
const MAX_ID: usize = crate::sync::record::MAX_KEY;

/// The members of a stream that were passed over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PassedOver {
    members: Vec<Passed>,
    /// How many more there were than are remembered.
    pub(super) beyond: u64,
}

/// A member that was passed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Passed {
    /// The ids of its records.
    pub extent: Extent,
    /// What it is, for people: "calendar". Cut, as is the name.
    kind: String,
    /// Its name, for people.
    name: String,
    /// The [`Reason::name`] of its latest failure; a text, because another version may have other reasons.
    reason: String,
    /// The run that met it last, by its beginning.
    pub run: Timestamp,
    /// When it is tried again.
    pub backoff: Backoff,
}

impl PassedOver {
    /// The members, in the order in which they failed.
    pub fn members(&self) -> &[Passed] {
        &self.members
    }

    /// Whether a member was passed over.
    pub(super) fn has(&self, extent: &Extent) -> bool {
        self.members.iter().any(|it| it.extent == *extent)
    }

    /// Whether nothing was passed over.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.beyond == 0
    }

    /// Whether the member with these records waits, so that a run that began at `run` does not ask for it. If so, it is noted
    /// that the run met it.
    pub(super) fn waits(&mut self, extent: &Extent, run: Timestamp, all: bool) -> bool {
        let member = self.members.iter_mut().find(|it| it.extent == *extent && !it.backoff.is_due(run, all));
        if let Some(member) = member {
            member.run = run;
            return true;
        }
        false
    }

    /// Notes that a member was passed over at `now`. Whether it is remembered.
    pub(super) fn note(
        &mut self,
        (extent, kind, name): (Extent, &str, &str),
        (why, pace): (Reason, Pace),
        run: Timestamp,
        now: Timestamp,
    ) -> bool {
        let place = self.members.iter().position(|it| it.extent == extent);
        let backoff = Backoff::after(place.map(|place| &self.members[place].backoff), pace, now);
        let cut = |text: &str| text.chars().take(MAX_NAME).collect();
        let (id, reason) = (extent.id().len(), why.name().to_owned());
        let member = Passed { extent, kind: cut(kind), name: cut(name), reason, run, backoff };
        match place {
            Some(place) => self.members[place] = member,
            None if self.members.len() < MAX_PASSED && id <= MAX_ID => self.members.push(member),
            None => return false,
        }
        true
    }

    /// Of the objects of a page that can't be had for now, why the first one can't that has no place here; none if all have.
    pub(super) fn first_without_place(&self, page: &PageRead) -> Option<Failure> {
        let known = |id: &str| self.members.iter().any(|it| matches!(&it.extent, Extent::One(one) if one == id));
        let new = page.refused.iter().filter(|(_, id, _)| !known(id));
        let passing = new.filter(|(_, _, failure)| failure.bearing() == Bearing::Passing);
        let mut free = MAX_PASSED.saturating_sub(self.members.len());
        let mut has_place = |id: &str| {
            let fits = id.len() <= MAX_ID && free > 0;
            free -= usize::from(fits);
            fits
        };
        passing.into_iter().find(|(_, id, _)| !has_place(id)).map(|(_, _, failure)| failure.clone())
    }

    /// Whether all that was passed over is remembered.
    pub(super) const fn forgot_none(&self) -> bool {
        self.beyond == 0
    }

    /// Notes that a member was read.
    pub(super) fn mark_read(&mut self, extent: &Extent) {
        self.members.retain(|it| it.extent != *extent);
    }

    /// Of these objects, those that were passed over.
    pub fn among<'i>(&self, ids: impl Iterator<Item = &'i str>) -> Vec<String> {
        if self.members.is_empty() {
            return Vec::new();
        }
        let is_passed = |id: &&str| self.members.iter().any(|it| matches!(&it.extent, Extent::One(one) if one == id));
        ids.filter(is_passed).map(str::to_owned).collect()
    }

    /// The single objects that a run from `run` on asks for again: those first that no run met for longest.
    pub(super) fn again(&self, run: Timestamp, all: bool) -> Vec<String> {
        let due = self.members.iter().filter(|it| it.reason != Reason::TooLarge.name() && it.backoff.is_due(run, all));
        let single = due.filter_map(|it| if let Extent::One(id) = &it.extent { Some((it.run, id)) } else { None });
        let mut single: Vec<_> = single.collect();
        single.sort_by_key(|(met, _)| *met);
        single.into_iter().take(MAX_AGAIN).map(|(_, id)| id.clone()).collect()
    }

    /// The records of the members that a run passed over.
    pub(super) fn in_run(&self, run: Timestamp) -> Vec<Extent> {
        self.members.iter().filter(|it| it.run >= run).map(|it| it.extent.clone()).collect()
    }

    /// Whether a run passed over a member for a transient failure.
    pub(super) fn passes(&self, run: Timestamp) -> bool {
        self.members.iter().any(|it| it.run >= run && it.backoff.next_try.is_some())
    }

    /// Forgets those that a run that has ended did not meet. Parts are met by every run, single objects by a full one that did
    /// not pass over their part.
    pub(super) fn settle(&mut self, run: Timestamp, full: bool, beyond: u64) {
        let parts = self.in_run(run);
        let hidden = |id: &str| parts.iter().any(|part| matches!(part, Extent::Under(_)) && part.holds(id));
        let could_not_be_met = |extent: &Extent| match extent {
            Extent::Under(_) => false,
            Extent::One(id) => !full || hidden(id),
        };
        self.members.retain(|it| it.run >= run || could_not_be_met(&it.extent));
        self.beyond = if full { beyond } else { self.beyond.max(beyond) };
    }

    /// What is known after a full run that began at `began` and passed over `full`: its word counts for what was known before it. What
    /// failed first since then stays, and each single object that an incremental run met since then: it may have changed after the
    /// full run read it. Of a part of the stream that can't be read the cursor is kept. What was not remembered may have been met by an
    /// incremental run that ended since then.
    pub(super) fn after_full_run(&self, full: &Self, began: Timestamp, read_since: bool) -> Self {
        let mut all = full.clone();
        if read_since {
            all.beyond = all.beyond.max(self.beyond);
        }
        for later in &self.members {
            match all.members.iter().position(|it| it.extent == later.extent) {
                Some(place) if all.members[place].run < later.run => all.members[place] = later.clone(),
                Some(_) => {}
                None if later.backoff.since < began
                    && (later.run < began || matches!(later.extent, Extent::Under(_))) => {}
                None if all.members.len() < MAX_PASSED => all.members.push(later.clone()),
                None => all.beyond += 1,
            }
        }
        all
    }

    /// What a person reads of them; none if there are none.
    pub fn sentence(&self) -> Option<Sentence> {
        let group = |it: &Passed| (it.kind.clone(), it.reason == Reason::TooLarge.name());
        let mut groups: Vec<_> = self.members.iter().map(group).collect();
        groups.sort();
        groups.dedup();
        let mut beyond = self.beyond;
        let sentence = |(kind, too_large): &(String, bool)| {
            let of_group = |it: &&Passed| it.kind == *kind && (it.reason == Reason::TooLarge.name()) == *too_large;
            let names: Vec<_> = self.members.iter().filter(of_group).map(|it| it.name.as_str()).collect();
            // Those that are only counted are named with the first.
            let count = u64::try_from(names.len()).unwrap_or(u64::MAX).saturating_add(std::mem::take(&mut beyond));
            let plural = if count == 1 { "" } else { "s" };
            let what = match (too_large, count) {
                (false, _) => "can't be read",
                (true, 1) => "is too large to be kept here",
                (true, _) => "are too large to be kept here",
            };
            let shown = if count <= 3 { names.len() } else { 2 };
            let more = count.saturating_sub(u64::try_from(shown).unwrap_or(u64::MAX));
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let names = names[..shown.min(names.len())].join(", ");
            format!("{count} {kind}{plural} {what}: {names}{more}.")
        };
        let all: Vec<_> = groups.iter().map(sentence).collect();
        (!all.is_empty()).then(|| all.join(" ").into())
    }

    /// When one of them is tried again; none if that is at the next full sync.
    pub fn next_try(&self) -> Option<Timestamp> {
        self.members.iter().filter_map(|it| it.backoff.next_try).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn noted(names: &[&str], why: Reason) -> PassedOver {
        let mut all = PassedOver::default();
        for name in names {
            let kind = if why == Reason::TooLarge { "event" } else { "calendar" };
            all.note((Extent::One((*name).to_owned()), kind, name), (why, Pace::FullSyncs), NOW, NOW);
        }
        all
    }

    #[test]
    fn members_that_cannot_be_read_are_reported_by_their_names() {
        let sentence = |names: &[&str], why| noted(names, why).sentence().map(String::from).unwrap_or_default();
        assert_eq!(sentence(&[], Reason::Rejected), "");
        assert_eq!(sentence(&["Team"], Reason::Rejected), "1 calendar can't be read: Team.");
        assert_eq!(
            sentence(&["Team", "Rooms", "Ada"], Reason::Rejected),
            "3 calendars can't be read: Team, Rooms, Ada."
        );
        assert_eq!(
            sentence(&["Team", "Rooms", "A", "B"], Reason::Rejected),
            "4 calendars can't be read: Team, Rooms and 2 more."
        );
        assert_eq!(sentence(&["a/b"], Reason::TooLarge), "1 event is too large to be kept here: a/b.");
        let mut all = noted(&["Team"], Reason::Rejected);
        all.note((Extent::One("e".into()), "event", "e"), (Reason::TooLarge, Pace::FullSyncs), NOW, NOW);
        assert_eq!(all.sentence().unwrap(), "1 calendar can't be read: Team. 1 event is too large to be kept here: e.");
    }

    #[test]
    fn the_list_is_bounded_and_what_does_not_fit_is_counted() {
        let mut all = PassedOver::default();
        let mut beyond = 0;
        for number in 0..MAX_PASSED + 7 {
            let name = format!("c{number}");
            let kept = all.note(
                (Extent::Under(name.clone()), "calendar", &name),
                (Reason::Rejected, Pace::FullSyncs),
                NOW,
                NOW,
            );
            beyond += u64::from(!kept);
        }
        all.settle(NOW, true, beyond);
        assert_eq!((all.members().len(), beyond), (MAX_PASSED, 7));
        assert_eq!(all.sentence().unwrap(), "107 calendars can't be read: c0, c1 and 105 more.");
        let long = "x".repeat(5000);
        assert!(!all.note((Extent::One(long.clone()), "event", &long), (Reason::Rejected, Pace::FullSyncs), NOW, NOW));
    }
}
