//! What becomes of a message after an attempt. Only the queue loop interprets it.

use std::time::Duration;

use crate::{
    id::spread,
    reason::{Class, Diagnosis, Reason},
};

/// How an attempt at a message ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Applied, or nothing to apply: the message is deleted.
    Done,
    /// Failed, may succeed later: the message comes back after this long, and the attempt counts.
    Retry(Duration, Diagnosis),
    /// Not now: the message is sent again with a delay, and the attempt does not count.
    Defer(Deferral),
    /// Can't succeed as it is: the message goes to the dead-letter queue.
    DeadLetter(Diagnosis),
}

/// Work that is put off. A message that is deferred without progress for too long is dead-lettered with this diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferral {
    /// The wait until the next attempt.
    pub after: Duration,
    /// For the log, and for the dead letter if the message grows too old.
    pub why: Diagnosis,
    /// How the wait counts towards the end of deferring.
    pub aging: Aging,
    /// Whether the message comes back at its place in the line of those that wait for a limit of a provider.
    pub has_place: bool,
    /// Whether it goes on in the second queue of the function, behind long work, if there is one.
    pub is_long: bool,
}

/// How a deferral counts towards the time after which a message is dead-lettered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aging {
    /// Nothing was achieved: the age grows.
    Grows,
    /// The wait for a limit of a provider, or for a worker that holds the lease, does not count.
    Pauses,
    /// The attempt made progress (a page was written): the age starts at zero again.
    Restarts,
}

impl Disposition {
    /// Dead-lettered for this reason.
    pub fn dead_letter(reason: Reason, detail: impl Into<String>) -> Self {
        Self::DeadLetter(Diagnosis::new(reason, detail))
    }

    /// Deferred for this long, because another worker holds what is needed.
    pub fn wait_for_lease(after: Duration) -> Self {
        let why = Diagnosis::new(Reason::LeaseHeld, "another worker holds the lease");
        Self::Defer(Deferral { after, why, aging: Aging::Pauses, has_place: false, is_long: false })
    }

    /// What becomes of a message whose work failed so: by the class of the reason alone. `retry` and `defer` are the waits of
    /// an attempt that counts and of one that does not.
    pub fn of(why: Diagnosis, retry: Duration, defer: Duration) -> Self {
        match why.reason.class() {
            Class::Passing | Class::Operators => {
                Self::Defer(Deferral { after: defer, why, aging: Aging::Grows, has_place: false, is_long: false })
            }
            Class::Counted => Self::Retry(retry, why),
            Class::Hopeless => Self::DeadLetter(why),
        }
    }

    /// The diagnosis of an attempt that did not end well.
    pub const fn diagnosis(&self) -> Option<&Diagnosis> {
        match self {
            Self::Done => None,
            Self::Retry(_, why) | Self::DeadLetter(why) => Some(why),
            Self::Defer(deferral) => Some(&deferral.why),
        }
    }
}

/// How long something that failed waits before it is tried again: 1 s doubled each time, at most 10 minutes, and up to
/// half as long again, so that what failed together does not come back together.
///
/// `failure` counts from 1; `key` is what the spread follows from, so that it is the same wherever it is computed.
pub fn backoff(failure: u32, key: &str) -> Duration {
    const CEILING: Duration = Duration::from_mins(10);
    let base = 1u64.checked_shl(failure.saturating_sub(1)).map_or(CEILING, |s| Duration::from_secs(s).min(CEILING));
    base + base * (spread(key) % 1000) / 2000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_and_never_leaves_its_bounds() {
        assert_eq!([1, 2, 3, 4].map(|n| backoff(n, "").as_secs()), [1, 2, 4, 8]);
        for (failure, key) in (0..200).map(|n| (n, format!("message-{n}"))) {
            assert!((1..=900).contains(&backoff(failure, &key).as_secs()), "{failure}");
            assert!(backoff(failure, &key) <= backoff(failure + 1, &key), "{failure}");
        }
    }

    #[test]
    fn what_failed_together_does_not_come_back_together() {
        let times: std::collections::BTreeSet<_> = (0..100).map(|n| backoff(5, &format!("message-{n}"))).collect();
        assert!(times.len() > 50, "{times:?}");
    }

    #[test]
    fn what_becomes_of_a_message_follows_from_its_reason_alone() {
        let (retry, defer) = (Duration::from_secs(1), Duration::from_secs(2));
        for reason in Reason::ALL {
            let why = Diagnosis::new(reason, "a test");
            let disposition = Disposition::of(why.clone(), retry, defer);
            assert_eq!(disposition.diagnosis(), Some(&why));
            match (reason.class(), disposition) {
                (Class::Passing | Class::Operators, Disposition::Defer(deferral)) => assert_eq!(deferral.after, defer),
                (Class::Counted, Disposition::Retry(after, _)) => assert_eq!(after, retry),
                (Class::Hopeless, Disposition::DeadLetter(_)) => {}
                (class, disposition) => panic!("{reason:?} of {class:?} became {disposition:?}"),
            }
        }
        assert!(
            !Reason::ALL.into_iter().any(|it| it.alarms() && it.class() == Class::Passing),
            "an outage is no alarm"
        );
    }
}
