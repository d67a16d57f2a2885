//! What this store reads of the worker's form of a watch: whether it comes to its end because nothing renews it.

use domain::sync::backoff::Backoff;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// Longer than the pause between two tries, which is a day at most, so that at least one try counts before the end.
const LATE: SignedDuration = SignedDuration::from_hours(48);

/// A watch whose renewal may have been refused.
#[derive(Debug, Deserialize)]
pub(super) struct Renewal {
    watch: Option<Running>,
    refused: Option<Backoff>,
}

#[derive(Debug, Deserialize)]
struct Running {
    expires_at: Timestamp,
}

impl Renewal {
    /// Whether the watch ends soon, and its renewal was refused again. What is refused for itself, and asked for at full syncs only, is
    /// as its user wants it.
    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        let ends_soon = self.watch.as_ref().is_some_and(|watch| watch.expires_at <= now + LATE);
        ends_soon && self.refused.as_ref().is_some_and(|refused| refused.next_try.is_some())
    }
}

#[cfg(test)]
mod tests {
    use domain::sync::backoff::Pace;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_watch_is_late_if_it_ends_within_two_days_and_is_refused_for_now() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1_000);
        let [soon, later] = [47, 49].map(|hours| json!({ "expires_at": now + SignedDuration::from_hours(hours) }));
        let refused = |pace| json!(Backoff::after(None, pace, now));
        for (watch, refused, late) in [
            (soon.clone(), refused(Pace::Hours), true),
            (soon.clone(), refused(Pace::Minutes), true),
            (soon.clone(), refused(Pace::FullSyncs), false),
            (soon, json!(null), false),
            (later, refused(Pace::Hours), false),
            (json!(null), refused(Pace::Hours), false),
        ] {
            let stored = json!({ "watch": watch, "renew_at": now, "refused": refused });
            assert_eq!(serde_json::from_value::<Renewal>(stored.clone()).unwrap().is_late(now), late, "{stored}");
        }
    }
}
