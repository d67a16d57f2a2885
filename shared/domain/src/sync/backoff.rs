//! How long something that fails again and again is left alone.
//!
//! *Invariant:* every failure in a row makes the pause longer, up to a day; one success ends it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is refused for good is tried at least once a day, so that a repair at the provider is noticed by itself.
const LONGEST: Duration = Duration::from_hours(24);

/// Since when something fails, how often in a row, and when it is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// When it failed first.
    pub since: Timestamp,
    /// Failures in a row.
    pub failures: u32,
    /// When it is tried again; `None` means at the next full sync.
    pub next_try: Option<Timestamp>,
}

/// How soon something that failed may work again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// A fault that passes by itself: at the next run, then after 15 minutes, doubled each time.
    Minutes,
    /// A refusal of everything, which a person must change: after an hour, doubled each time.
    Hours,
    /// A refusal of one thing among others: at full syncs only.
    FullSyncs,
}

impl Backoff {
    /// The backoff after a failure at `now`; `before` is the one after the failure before, if nothing worked in between.
    pub fn after(before: Option<&Self>, pace: Pace, now: Timestamp) -> Self {
        let failures = before.map_or(1, |it| it.failures.saturating_add(1));
        let doubled = |first: Duration, times: u32| first.saturating_mul(1 << times.min(16)).min(LONGEST);
        let pause = match pace {
            Pace::Minutes if failures == 1 => Some(Duration::ZERO),
            Pace::Minutes => Some(doubled(Duration::from_mins(15), failures - 2)),
            Pace::Hours => Some(doubled(Duration::from_hours(1), failures - 1)),
            Pace::FullSyncs => None,
        };
        let since = before.map_or(now, |it| it.since);
        Self { since, failures, next_try: pause.and_then(|pause| now.checked_add(pause).ok()) }
    }

    /// Whether it may be tried again at `now`; a full sync tries everything.
    pub fn is_due(&self, now: Timestamp, full: bool) -> bool {
        full || self.next_try.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(pace: Pace, failures: usize) -> Vec<Option<i64>> {
        let now = Timestamp::UNIX_EPOCH;
        let mut last = None;
        let next = |_| {
            last = Some(Backoff::after(last.as_ref(), pace, now));
            last.as_ref().and_then(|it| it.next_try).map(|at| at.duration_since(now).as_mins())
        };
        (0..failures).map(next).collect()
    }

    #[test]
    fn pauses_double_up_to_a_day() {
        let minutes = |all: &[i64]| all.iter().map(|it| Some(*it)).collect::<Vec<_>>();
        assert_eq!(pauses(Pace::Minutes, 9), minutes(&[0, 15, 30, 60, 120, 240, 480, 960, 1440]));
        assert_eq!(pauses(Pace::Minutes, 100)[99], Some(1440));
        assert_eq!(pauses(Pace::Hours, 6), minutes(&[60, 120, 240, 480, 960, 1440]));
        assert_eq!(pauses(Pace::FullSyncs, 3), [None, None, None]);
    }

    #[test]
    fn what_waits_for_a_full_sync_is_due_at_no_other() {
        let now = Timestamp::UNIX_EPOCH;
        let full = Backoff::after(None, Pace::FullSyncs, now);
        assert!(!full.is_due(now, false) && full.is_due(now, true));
        let soon = Backoff::after(None, Pace::Minutes, now);
        assert!(soon.is_due(now, false));
        let later = Backoff::after(Some(&soon), Pace::Minutes, now);
        assert!(!later.is_due(now, false) && later.is_due(now + Duration::from_mins(15), false));
        assert_eq!((later.since, later.failures), (now, 2));
    }
}
