//! Watches: channels that a provider reports changes to.

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
    /// Where reports go.
    pub address: &'a str,
    /// What the provider gives back with each report.
    pub token: &'a str,
    /// The Pub/Sub topic of the app, for providers that report to one.
    pub topic: Option<&'a str>,
    /// When it is to end.
    pub expires_at: Timestamp,
}

/// A watch that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// What is watched.
    pub resource: String,
    /// Our id of the channel.
    pub channel_id: String,
    /// When it ends unless it is renewed.
    pub expires_at: Timestamp,
    /// What stopping it takes: the provider's own.
    pub handle: Value,
}
