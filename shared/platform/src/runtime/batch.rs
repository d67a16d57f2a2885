//! What Lambda hands to a function for a queue, and what it takes back.

use std::{str::FromStr, time::Duration};

use domain::messages::message::Schedule;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The message attribute that counts deferrals.
pub(crate) const HOPS: &str = "Hops";
/// The attribute of a message that was deferred to its place in the line for a limit.
pub(crate) const PLACE: &str = "Place";
/// The message attribute that tells since when a message is deferred without progress, in Unix milliseconds.
pub(crate) const DEFERRED_SINCE: &str = "DeferredSince";

/// What an event-source mapping hands to the function.
#[derive(Debug, Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    pub(crate) records: Vec<Received>,
}

/// What starts a function that has a queue and schedules.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Event")]
pub enum Trigger {
    /// A schedule of template.yaml.
    Schedule(Schedule),
    Batch(Batch),
}

/// Both forms at once: an untagged enum would copy every body.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Records")]
    records: Option<Vec<Received>>,
    schedule: Option<Schedule>,
}

impl TryFrom<Event> for Trigger {
    type Error = &'static str;

    fn try_from(event: Event) -> Result<Self, Self::Error> {
        match (event.records, event.schedule) {
            (Some(records), None) => Ok(Self::Batch(Batch { records })),
            (None, Some(schedule)) => Ok(Self::Schedule(schedule)),
            (None, None) | (Some(_), Some(_)) => Err("the event is neither messages of a queue nor a schedule"),
        }
    }
}

/// One message as received.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Received {
    pub(crate) message_id: String,
    pub(crate) receipt_handle: String,
    pub(crate) body: String,
    /// The queue that it was received from, by its Amazon resource name.
    #[serde(rename = "eventSourceARN", default)]
    pub(crate) source: String,
    #[serde(default)]
    pub(crate) attributes: Attributes,
    #[serde(default)]
    pub(crate) message_attributes: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Attributes {
    #[serde(rename = "ApproximateReceiveCount", default)]
    pub(crate) receive_count: String,
    #[serde(rename = "MessageGroupId")]
    pub(crate) group: Option<String>,
    /// In Unix milliseconds.
    #[serde(rename = "SentTimestamp", default)]
    pub(crate) sent_at: String,
}

/// Which messages of the batch come back. Everything else is deleted.
#[derive(Debug, Serialize)]
pub struct BatchResponse {
    #[serde(rename = "batchItemFailures")]
    pub(crate) failures: Vec<BatchItemFailure>,
}

#[derive(Debug, Serialize)]
pub(crate) struct BatchItemFailure {
    #[serde(rename = "itemIdentifier")]
    pub(crate) id: String,
}

impl Received {
    /// How often it was deferred since it last made progress, places in a line not counted.
    pub(crate) fn hops(&self) -> u32 {
        self.attribute(HOPS).unwrap_or(0)
    }

    /// Whether it comes at its place in the line for a limit.
    pub(crate) fn has_place(&self) -> bool {
        self.attribute::<u8>(PLACE).is_some()
    }

    /// Since when it waits without progress: since its first deferral that counted, or since it was sent.
    /// A message that was redriven after it waited for longer than `longest` starts over.
    pub(crate) fn waiting_since(&self, now: Timestamp, longest: Duration) -> Timestamp {
        let time = |since| Timestamp::from_millisecond(since).ok();
        let sent_at = self.attributes.sent_at.parse().ok().and_then(time).unwrap_or(now);
        let since = self.attribute(DEFERRED_SINCE).and_then(time).unwrap_or(sent_at);
        let before = Duration::try_from(sent_at.duration_since(since)).unwrap_or_default();
        if before > longest { sent_at } else { since }.min(now)
    }

    fn attribute<T: FromStr>(&self, name: &str) -> Option<T> {
        self.message_attributes.get(name)?.get("stringValue")?.as_str()?.parse().ok()
    }
}
