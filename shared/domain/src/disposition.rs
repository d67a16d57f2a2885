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

/// How long something that failed waits before it is tried again: 1 s doubled each time, at most 10 minutes, and up to
/// half as long again, so that what failed together does not come back together.
///
/// `failure` counts from 1; `key` is what the spread follows from, so that it is the same wherever it is computed.
pub fn backoff(failure: u32, key: &str) -> Duration {
    const CEILING: Duration = Duration::from_mins(10);
    let base = 1u64.checked_shl(failure.saturating_sub(1)).map_or(CEILING, |s| Duration::from_secs(s).min(CEILING));
    base + base * (spread(key) % 1000) / 2000
}

/// A number that follows from a key, differs between keys, and is the same wherever it is computed.
pub fn spread(key: &str) -> u32 {
    key.bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)))
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
}
