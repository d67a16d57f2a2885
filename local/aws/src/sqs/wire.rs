//! Requests as they arrive, and the rules that batches share.
//!
//! *Invariant:* a parameter that the embedded SQS doesn't have is refused, never ignored.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    attributes::{self, Attributes},
    fault::Fault,
};

const MAX_ENTRIES: usize = 10;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct CreateQueue {
    pub(super) queue_name: String,
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetQueueUrl {
    pub(super) queue_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListQueues {
    #[serde(default)]
    pub(super) queue_name_prefix: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct StartMessageMoveTask {
    pub(super) source_arn: String,
    pub(super) destination_arn: Option<String>,
}

/// The parameters of an action on a queue, without its URL.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetQueueAttributes {
    #[serde(default)]
    pub(super) attribute_names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SetQueueAttributes {
    pub(super) attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PurgeQueue {}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ReceiveMessage {
    pub(super) max_number_of_messages: Option<i64>,
    pub(super) visibility_timeout: Option<i64>,
    pub(super) wait_time_seconds: Option<i64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

/// `SendMessage` without the URL, or an entry of `SendMessageBatch` without its id.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Sending {
    #[serde(default)]
    pub(super) message_body: String,
    pub(super) delay_seconds: Option<i64>,
    #[serde(default)]
    pub(super) message_attributes: Attributes,
    pub(super) message_group_id: Option<String>,
}

/// `DeleteMessage`, likewise.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Deletion {
    pub(super) receipt_handle: String,
}

/// `ChangeMessageVisibility`, likewise.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct VisibilityChange {
    pub(super) receipt_handle: String,
    pub(super) visibility_timeout: i64,
}

impl ReceiveMessage {
    /// Whether the receiver asked for this message attribute.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.message_attribute_names.iter().any(|wanted| match wanted.as_str() {
            "All" | "*" => true,
            wanted => wanted.strip_suffix(".*").map_or(wanted == name, |prefix| name.starts_with(prefix)),
        })
    }

    /// Whether the receiver asked for this system attribute, under the present or the older parameter.
    pub(super) fn wants_system(&self, name: &str) -> bool {
        let mut wanted = self.message_system_attribute_names.iter().chain(&self.attribute_names);
        wanted.any(|wanted| wanted == "All" || wanted == name)
    }
}

impl Sending {
    /// What the message weighs against the limits: body and attributes.
    pub(super) fn bytes(&self) -> usize {
        self.message_body.len() + attributes::size(&self.message_attributes)
    }
}

/// Takes the queue's URL and the other parameters out of a request.
pub(super) fn addressed<T: DeserializeOwned>(body: &[u8]) -> Result<(String, T), Fault> {
    split(serde_json::from_slice(body)?, "QueueUrl")
}

/// Takes the queue's URL and the entries, by id, out of a batch request.
pub(super) fn batch<E: DeserializeOwned>(body: &[u8]) -> Result<(String, Vec<(String, E)>), Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Batch {
        #[serde(default)]
        entries: Vec<Map<String, Value>>,
    }
    let (url, Batch { entries }) = addressed(body)?;
    if entries.is_empty() {
        return Err(Fault::EmptyBatchRequest);
    }
    if entries.len() > MAX_ENTRIES {
        return Err(Fault::TooManyEntriesInBatchRequest(entries.len()));
    }
    let entries = entries.into_iter().map(|entry| split(entry, "Id")).collect::<Result<Vec<(String, E)>, _>>()?;
    let mut seen = BTreeSet::new();
    for (id, _) in &entries {
        let valid = (1..=80).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if !valid {
            return Err(Fault::InvalidBatchEntryId);
        }
        if !seen.insert(id) {
            return Err(Fault::BatchEntryIdsNotDistinct(id.clone()));
        }
    }
    Ok((url, entries))
}

/// Runs `action` on each entry; one refused entry doesn't keep the others back.
pub(super) fn each<E>(entries: Vec<(String, E)>, mut action: impl FnMut(E) -> Result<Value, Fault>) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, entry) in entries {
        match action(entry) {
            Ok(mut done) => {
                done["Id"] = id.into();
                successful.push(done);
            }
            Err(fault) => failed.push(fault.entry(&id)),
        }
    }
    listed([("Successful", successful), ("Failed", failed)])
}

/// An answer made of lists. AWS leaves empty ones out.
pub(super) fn listed<const N: usize>(lists: [(&str, Vec<Value>); N]) -> Value {
    let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
    lists.map(|(name, list)| (name.to_owned(), Value::Array(list))).collect()
}

/// A number within its range.
pub(super) fn ranged(name: &str, value: i64, range: RangeInclusive<u64>) -> Result<u64, Fault> {
    u64::try_from(value).ok().filter(|value| range.contains(value)).ok_or_else(|| {
        Fault::parameter(name, value, format!("Must be between {} and {}, if provided.", range.start(), range.end()))
    })
}

fn split<T: DeserializeOwned>(mut fields: Map<String, Value>, key: &'static str) -> Result<(String, T), Fault> {
    let Some(Value::String(value)) = fields.remove(key) else { return Err(Fault::MissingParameter(key)) };
    Ok((value, serde_json::from_value(Value::Object(fields))?))
}
