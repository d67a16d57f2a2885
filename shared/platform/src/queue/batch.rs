//! What Lambda hands to a function for a queue, and what it takes back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The message attribute that counts deferrals.
pub(super) const HOPS: &str = "Hops";

/// What an event-source mapping hands to the function.
#[derive(Debug, Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    pub(super) records: Vec<Received>,
}

/// One message as received.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Received {
    pub(super) message_id: String,
    pub(super) receipt_handle: String,
    pub(super) body: String,
    #[serde(default)]
    pub(super) attributes: Attributes,
    #[serde(default)]
    pub(super) message_attributes: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Attributes {
    #[serde(rename = "ApproximateReceiveCount", default)]
    pub(super) receive_count: String,
    #[serde(rename = "MessageGroupId")]
    pub(super) group: Option<String>,
}

/// Which messages of the batch come back. Everything else is deleted.
#[derive(Debug, Serialize)]
pub struct BatchResponse {
    #[serde(rename = "batchItemFailures")]
    pub(super) failures: Vec<Failure>,
}

#[derive(Debug, Serialize)]
pub(super) struct Failure {
    #[serde(rename = "itemIdentifier")]
    pub(super) id: String,
}

impl Received {
    /// How often it was deferred.
    pub(super) fn hops(&self) -> u32 {
        let value = self.message_attributes.get(HOPS).and_then(|value| value.get("stringValue")?.as_str());
        value.and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}
