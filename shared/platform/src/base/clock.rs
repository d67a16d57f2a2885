//! The one place where the clock is read.

use std::time::Duration;

use jiff::Timestamp;

/// The system's time. A function that decides takes the time as an argument instead.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A duration in whole milliseconds, as logs and metrics have it.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
