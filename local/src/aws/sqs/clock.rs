//! The time that the embedded queues and the bus live in: real time plus what was skipped on purpose.
//!
//! *Invariant:* everything that depends on time here asks this clock, so skipping time skips all of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A clock that can be moved forward. Clones share the time.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Milliseconds ahead of real time.
    skipped: Arc<AtomicU64>,
}

impl Clock {
    /// The time since the Unix epoch.
    pub fn now(&self) -> Duration {
        #[expect(clippy::disallowed_methods, reason = "the embedded AWS is a world outside the functions, with a clock")]
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        real.saturating_add(Duration::from_millis(self.skipped.load(Ordering::Relaxed)))
    }

    /// Skips `by`, to the millisecond. Only [`Sqs::advance`](super::Sqs::advance) may: it also wakes who waits.
    pub(super) fn advance(&self, by: Duration) {
        self.skipped.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
