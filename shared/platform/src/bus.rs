//! The EventBridge bus: what the application hears of.

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::aws::{Aws, AwsError, client};

/// What EventBridge takes in one entry, in bytes: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>.
const MAX_ENTRY: usize = 256 * 1024;
/// What EventBridge takes in one call, in entries.
const MAX_ENTRIES: usize = 10;

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
    pub data: Data<'a>,
}

/// The payload of an event.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Data<'a> {
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
        const ACTION: &str = "events:PutEvents";
        let entries: Vec<_> = details.iter().map(|detail| self.entry(detail, record)).collect::<Result<_, _>>()?;
        for chunk in entries.chunks(MAX_ENTRIES) {
            let call = self.client.put_events().set_entries(Some(chunk.to_vec()));
            let output = call.send().await.map_err(|error| AwsError::new(ACTION, &error))?;
            if let Some(failed) = output.entries().iter().find(|entry| entry.error_code().is_some()) {
                let reason = failed.error_code().unwrap_or_default();
                return Err(AwsError::answer(ACTION, format!("{reason}, {} failed", output.failed_entry_count())));
            }
        }
        Ok(())
    }

    fn entry(&self, detail: &Detail<'_>, record: Option<&str>) -> Result<PutEventsRequestEntry, AwsError> {
        let text = |detail: &Detail<'_>| {
            serde_json::to_string(detail).map_err(|error| AwsError::answer("events:PutEvents", error.to_string()))
        };
        let source = format!("intertie.{}", detail.provider);
        let mut body = text(detail)?;
        // The size of an entry counts its source and type too, and 14 bytes for the time.
        if body.len() + source.len() + detail.r#type.len() + 14 > MAX_ENTRY {
            let data = Data::Reference { record: record.map(str::to_owned) };
            body = text(&Detail { data, ..detail.clone() })?;
        }
        Ok(PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(source)
            .detail_type(detail.r#type)
            .time(aws_sdk_eventbridge::primitives::DateTime::from_secs(detail.occurred_at.as_second()))
            .detail(body)
            .build())
    }
}
