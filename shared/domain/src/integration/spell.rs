//! Spells in which an integration does not work as it should: when one begins and when it ends.
//!
//! *Invariant:* an integration is degraded while its latest syncs or its latest refreshes fail, and only then. A notice
//! is stored together with the change that it reports, and stays until it is published: after a crash it is published again, under
//! the same number.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sync::outcome::SyncFailure;

/// How many notices are kept while the bus takes none: beyond, the earliest beginning goes with its end.
const MAX_UNPUBLISHED: usize = 20;

/// What is done for an integration in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Reading its streams.
    Syncs,
    /// Refreshing its tokens.
    Refreshes,
}

/// The spells of an integration since it was connected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spells {
    /// How many have begun.
    pub begun: u64,
    /// The one that lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Spell>,
    /// Notices that are not published yet, the earliest first.
    #[serde(rename = "untold", default, skip_serializing_if = "Vec::is_empty")]
    pub unpublished: Vec<Notice>,
}

/// A spell that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spell {
    /// The time of the first failure.
    pub since: Timestamp,
    /// The failure that began it.
    pub failure: SyncFailure,
    /// The tasks that failed last; never empty.
    pub failing: BTreeSet<Task>,
}

/// What the application hears of a spell on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Of which, counted from 1.
    pub number: u64,
    /// When its turn came.
    pub at: Timestamp,
    /// Its beginning or its end.
    pub turn: Turn,
}

/// A turn of a spell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// It has begun, with this failure.
    Degraded(SyncFailure),
    /// It has ended; it began then.
    Recovered(Timestamp),
}

impl Spells {
    /// What an outcome of `task` makes of them; none if it changes nothing.
    pub fn after(&self, task: Task, outcome: &Result<(), SyncFailure>, now: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        match (&mut next.current, outcome) {
            (None, Ok(())) => return None,
            (None, Err(failure)) => {
                next.begun += 1;
                next.current = Some(Spell { since: now, failure: failure.clone(), failing: [task].into() });
                next.notice(Turn::Degraded(failure.clone()), now);
            }
            (Some(spell), Ok(())) => {
                if !spell.failing.remove(&task) {
                    return None;
                }
                if spell.failing.is_empty() {
                    let since = spell.since;
                    next.current = None;
                    next.notice(Turn::Recovered(since), now);
                }
            }
            (Some(spell), Err(_)) => {
                if !spell.failing.insert(task) {
                    return None;
                }
            }
        }
        Some(next)
    }

    fn notice(&mut self, turn: Turn, at: Timestamp) {
        if self.unpublished.len() >= MAX_UNPUBLISHED {
            self.unpublished.drain(..2);
        }
        self.unpublished.push(Notice { number: self.begun, at, turn });
    }

    /// The same, with every notice published.
    #[must_use]
    pub fn without_notice(self) -> Self {
        Self { unpublished: Vec::new(), ..self }
    }

    /// Whether this task fails.
    pub fn is_failing(&self, task: Task) -> bool {
        self.current.as_ref().is_some_and(|spell| spell.failing.contains(&task))
    }
}

impl Turn {
    /// The type of the event on the bus.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Degraded(_) => "integration.degraded",
            Self::Recovered(_) => "integration.recovered",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_integration_is_degraded_while_something_fails_and_each_turn_is_reported_once(
            outcomes in proptest::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 0..20),
        ) {
            let now = Timestamp::UNIX_EPOCH;
            let (mut spells, mut failing, mut notices) = (Spells::default(), BTreeSet::new(), Vec::new());
            for (syncs, works, published) in outcomes {
                let task = if syncs { Task::Syncs } else { Task::Refreshes };
                let failure = SyncFailure { message: "It is down.".into(), next_try: None };
                let outcome = if works { Ok(()) } else { Err(failure) };
                if works { failing.remove(&task) } else { failing.insert(task) };
                spells = spells.after(task, &outcome, now).unwrap_or(spells);
                prop_assert_eq!(spells.after(task, &outcome, now), None, "the same again changes nothing");
                let now_failing = spells.current.as_ref().map(|it| it.failing.clone()).unwrap_or_default();
                prop_assert_eq!(&now_failing, &failing);
                let stored = serde_json::to_string(&spells).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Spells>(&stored).unwrap(), &spells);
                // A publisher that dies leaves it to the next.
                if published {
                    notices.append(&mut spells.unpublished.clone());
                    spells = spells.without_notice();
                }
            }
            notices.extend(spells.unpublished);
            for (place, notice) in notices.into_iter().enumerate() {
                let expected = if place % 2 == 0 { "integration.degraded" } else { "integration.recovered" };
                prop_assert_eq!((notice.turn.name(), notice.number), (expected, place as u64 / 2 + 1));
            }
        }
    }
}
