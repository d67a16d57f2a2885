//! Watches: channels that a provider reports changes to.

use domain::sync::backoff::Backoff;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
}
