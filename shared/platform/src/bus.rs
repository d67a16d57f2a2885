//! The EventBridge bus: what the application hears of.

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use domain::IntegrationKey;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use crate::aws::{Aws, AwsError, client};

/// What one call carries at most, in bytes. EventBridge takes 1 MiB, but many of its targets no more than this.
const MAX_BYTES: usize = 256 * 1024;
/// What EventBridge takes in one call, in entries:
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>.
const MAX_ENTRIES: usize = 10;
const ACTION: &str = "events:PutEvents";

/// An entry and its size, in bytes.
pub(crate) type Entry = (PutEventsRequestEntry, usize);

/// The bus.
#[derive(Debug, Clone)]
pub struct Bus {
    client: Client,
    name: String,
}

/// One event for the application. Consumers may see it more than once, always with the same `id` and `integration_id`.
#[derive(Debug, Clone, Serialize)]
pub struct Detail<'a> {
    /// The provider's event id.
    pub id: &'a str,
    /// Whose integration; none if no integration of the account exists.
    pub user_id: Option<&'a str>,
    /// Which integration.
    pub integration_id: Option<&'a str>,
    /// The provider.
    pub provider: &'a str,
    /// The provider's event type.
    pub r#type: &'a str,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The payload, or `{"record": key}` if it does not fit.
    pub data: Payload<'a>,
}

/// The payload of an event.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Payload<'a> {
    /// As the provider sent it.
    Whole(&'a RawValue),
    /// Too large for the bus: where it can be read.
    Reference {
        /// The key of the record in the records table; none if the event changes no record.
        record: Option<String>,
    },
}

impl Bus {
    /// The bus of this name.
    pub fn new(aws: &Aws, name: impl Into<String>) -> Self {
        Self { client: client!(aws, aws_sdk_eventbridge, "AWS_ENDPOINT_URL_EVENTBRIDGE"), name: name.into() }
    }

    /// Publishes the same event for each of its integrations. `record` is where its payload can be read if it is too large.
    pub async fn publish(&self, details: &[Detail<'_>], record: Option<&str>) -> Result<(), AwsError> {
        self.send(self.entries(details, record)?).await
    }

    /// The entries of an event.
    pub(crate) fn entries(&self, details: &[Detail<'_>], record: Option<&str>) -> Result<Vec<Entry>, AwsError> {
        details.iter().map(|detail| self.entry(detail, record)).collect()
    }

    /// Puts entries on the bus, in as few calls as they fit into.
    pub(crate) async fn send(&self, entries: Vec<Entry>) -> Result<(), AwsError> {
        let mut call = (Vec::new(), 0);
        for (entry, size) in entries {
            if call.0.len() == MAX_ENTRIES || call.1 + size > MAX_BYTES {
                self.put(std::mem::take(&mut call).0).await?;
            }
            call.0.push(entry);
            call.1 += size;
        }
        if call.0.is_empty() { Ok(()) } else { self.put(call.0).await }
    }

    /// Tells of something that happened here, to one integration: `id` is the same whenever it is repeated.
    pub async fn announce(
        &self,
        kind: &str,
        id: &str,
        of: &IntegrationKey,
        at: Timestamp,
        data: &Value,
    ) -> Result<(), AwsError> {
        let detail = json!({
            "id": id, "user_id": of.user_id, "integration_id": of.id(), "provider": of.provider, "type": kind,
            "occurred_at": at, "data": data,
        });
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source("intertie")
            .detail_type(kind)
            .time(aws_sdk_eventbridge::primitives::DateTime::from_secs(at.as_second()))
            .detail(detail.to_string())
            .build();
        self.put(vec![entry]).await
    }

    /// One call; entries of it that failed are sent once more.
    async fn put(&self, mut entries: Vec<PutEventsRequestEntry>) -> Result<(), AwsError> {
        let mut last = false;
        loop {
            let call = self.client.put_events().set_entries(Some(entries.clone()));
            let output = call.send().await.map_err(|error| AwsError::new(ACTION, &error))?;
            let results = output.entries();
            let Some(code) = results.iter().find_map(|entry| entry.error_code()) else { return Ok(()) };
            if last {
                return Err(AwsError::answer(ACTION, format!("{code}, {} failed", output.failed_entry_count())));
            }
            last = true;
            let mut failed = results.iter().map(|entry| entry.error_code().is_some());
            entries.retain(|_| failed.next().unwrap_or(true));
        }
    }

    fn entry(&self, detail: &Detail<'_>, record: Option<&str>) -> Result<Entry, AwsError> {
        let text = |detail: &Detail<'_>| {
            serde_json::to_string(detail).map_err(|error| AwsError::answer(ACTION, error.to_string()))
        };
        let source = format!("intertie.{}", detail.provider);
        let mut body = text(detail)?;
        // The size of an entry counts its source and type too, and 14 bytes for the time.
        let rest = source.len() + detail.r#type.len() + 14;
        if body.len() + rest > MAX_BYTES {
            let data = Payload::Reference { record: record.map(str::to_owned) };
            body = text(&Detail { data, ..detail.clone() })?;
        }
        let size = body.len() + rest;
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(source)
            .detail_type(detail.r#type)
            .time(aws_sdk_eventbridge::primitives::DateTime::from_secs(detail.occurred_at.as_second()))
            .detail(body)
            .build();
        Ok((entry, size))
    }
}
