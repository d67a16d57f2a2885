//! The time that the embedded queues and the bus live in: real time plus what was skipped on purpose.
//!
//! *Invariant:* it never goes backwards, and everything here that depends on time asks it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{sync::Notify, time::timeout};

/// A clock that can be moved forward. Clones share the time.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    times: Arc<Times>,
}

/// In nanoseconds.
#[derive(Debug, Default)]
struct Times {
    skipped: AtomicU64,
    /// The latest time that was read, so that the machine's clock may be set back.
    latest: AtomicU64,
    /// Notified whenever time was skipped.
    moved: Notify,
}

impl Clock {
    /// The time since the Unix epoch.
    pub fn now(&self) -> Duration {
        #[expect(clippy::disallowed_methods, reason = "the embedded AWS is a world of its own, with a clock")]
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = nanoseconds(real).saturating_add(self.times.skipped.load(Ordering::Relaxed));
        Duration::from_nanos(self.times.latest.fetch_max(now, Ordering::Relaxed).max(now))
    }

    /// Skips `by`. Only [`Sqs::advance`](super::Sqs::advance) may: it also wakes waiting receives.
    pub(super) fn advance(&self, by: Duration) {
        self.times.skipped.fetch_add(nanoseconds(by), Ordering::Relaxed);
        self.times.moved.notify_waiters();
    }

    /// Returns when it is `due`.
    pub async fn until(&self, due: Duration) {
        loop {
            let moved = self.times.moved.notified();
            let left = due.saturating_sub(self.now());
            if left.is_zero() {
                return;
            }
            // Whether the time passes or is skipped, it is looked at again.
            let _ = timeout(left, moved).await;
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
