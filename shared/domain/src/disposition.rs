//! What becomes of a message after an attempt. Only the queue loop interprets it.

use std::time::Duration;

/// How an attempt at a message ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Applied, or nothing to apply: the message goes.
    Done,
    /// Failed, may succeed later: it comes back after this long, and the attempt counts.
    Retry(Duration),
    /// Not now, though nothing failed: it is sent again with this delay, and the attempt does not count.
    Defer(Duration),
    /// Can't succeed as it is: it goes to the dead-letter queue with this reason.
    DeadLetter(String),
}

/// How long a failed attempt waits before the next: 1 s doubled per attempt, at most 15 minutes.
///
/// `attempt` counts from 1.
pub fn backoff(attempt: u32) -> Duration {
    const CEILING: Duration = Duration::from_mins(15);
    1u64.checked_shl(attempt.saturating_sub(1)).map_or(CEILING, |s| Duration::from_secs(s).min(CEILING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_and_never_leaves_its_bounds() {
        assert_eq!([1, 2, 3, 4].map(|n| backoff(n).as_secs()), [1, 2, 4, 8]);
        for attempt in 0..200 {
            assert!((1..=900).contains(&backoff(attempt).as_secs()), "{attempt}");
            assert!(backoff(attempt) <= backoff(attempt + 1), "{attempt}");
        }
    }
}
