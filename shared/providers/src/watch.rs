//! Watches: channels that a provider reports changes to.

use domain::sync::backoff::Backoff;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Before its end a watch whose renewal is refused counts as [ending](Watched::is_ending). Longer than the pause between two tries, which is
/// a day at most, so that at least one try counts before the end.
const LATE: SignedDuration = SignedDuration::from_hours(48);

/// A watch to start.
#[derive(Debug, Clone, Copy)]
pub struct WatchPlan<'a> {
    /// What to watch: one of [`watched`](crate::Provider::watched).
    pub resource: &'a str,
    /// Our id of the channel.
    pub channel_id: &'a str,
    /// The URL that reports are delivered to.
    pub address: &'a str,
    /// What the provider returns with each report.
    pub token: &'a str,
    /// The Pub/Sub topic of the app, for providers that report to one.
    pub topic: Option<&'a str>,
    /// When it is to end.
    pub expires_at: Timestamp,
}

/// A watch that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// The calendar or mailbox that is watched.
    pub resource: String,
    /// Our id of the channel.
    pub channel_id: String,
    /// When it ends unless it is renewed.
    pub expires_at: Timestamp,
    /// What stopping it takes: the provider's own.
    pub handle: Value,
}

/// What is known of watching one thing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// The latest watch that was started.
    pub watch: Option<Watch>,
    /// When it is to be renewed.
    pub renew_at: Option<Timestamp>,
    /// Set while another one can't be started.
    pub refused: Option<Backoff>,
}

impl Watched {
    /// Reads the stored form; what can't be read says nothing.
    pub fn read(stored: Option<&str>) -> Self {
        stored.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Whether changes are reported at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.expires_at > now)
    }

    /// Whether the watch ends soon, and its renewal was refused again. What is refused for itself, and asked for at full syncs only, is
    /// as its user wants it.
    pub fn is_ending(&self, now: Timestamp) -> bool {
        let ends_soon = self.watch.as_ref().is_some_and(|watch| watch.expires_at <= now + LATE);
        ends_soon && self.refused.as_ref().is_some_and(|refused| refused.next_try.is_some())
    }
}

#[cfg(test)]
mod tests {
    use domain::sync::backoff::Pace;

    use super::*;

    #[test]
    fn a_watch_is_ending_if_it_ends_within_two_days_and_is_refused_for_now() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1_000);
        let [soon, later] = [47, 49].map(|hours| Watch {
            resource: "primary".to_owned(),
            channel_id: "channel".to_owned(),
            expires_at: now + SignedDuration::from_hours(hours),
            handle: Value::Null,
        });
        let refused = |pace| Some(Backoff::after(None, pace, now));
        for (watch, refused, ending) in [
            (Some(&soon), refused(Pace::Hours), true),
            (Some(&soon), refused(Pace::Minutes), true),
            (Some(&soon), refused(Pace::FullSyncs), false),
            (Some(&soon), None, false),
            (Some(&later), refused(Pace::Hours), false),
            (None, refused(Pace::Hours), false),
        ] {
            let watched = Watched { watch: watch.cloned(), renew_at: Some(now), refused };
            assert_eq!(watched.is_ending(now), ending, "{watched:?}");
        }
    }
}
