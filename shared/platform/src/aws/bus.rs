//! The EventBridge bus: what the application receives.
//!
//! *Invariant:* an event counts as published only if EventBridge has accepted its entry, and an entry that it refuses keeps no other
//! from the bus.

use aws_sdk_eventbridge::{Client, error::ProvideErrorMetadata as _, types::PutEventsRequestEntry};
use domain::{EventId, EventType, IntegrationId, IntegrationKey, ProviderId, RecordKey, UserId};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use crate::aws::{Aws, AwsError, client};

/// What one call carries at most, in bytes. EventBridge takes 1 MiB, but many of its targets no more than this.
const MAX_BYTES: usize = 256 * 1024;
/// What EventBridge takes in one call, in entries:
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>.
pub const MAX_ENTRIES: usize = 10;
const ACTION: &str = "events:PutEvents";

/// An entry and its size, in bytes.
pub(crate) type Entry = (PutEventsRequestEntry, usize);

/// Why an event was not published.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// The bus refuses it, however often it is sent.
    #[error("the event bus refuses the event ({0})")]
    Refused(String),
    /// It could not be sent.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

/// Publishes to one event bus.
#[derive(Debug, Clone)]
pub struct Bus {
    client: Client,
    name: String,
}

/// One event for the application. Consumers may see it more than once, always with the same `id` and `integration_id`.
#[derive(Debug, Clone, Serialize)]
pub struct Detail<'a> {
    /// The provider's event id.
    pub id: &'a EventId,
    /// The user of the integration; none if no integration of the account exists.
    pub user_id: Option<&'a UserId>,
    /// See [`IntegrationKey::id`]; none if no integration of the account exists.
    pub integration_id: Option<&'a IntegrationId>,
    /// The provider's id.
    pub provider: &'a ProviderId,
    /// The provider's event type.
    pub r#type: &'a EventType,
    /// When it happened, as the provider says.
    pub occurred_at: Timestamp,
    /// Whether it is a live and not a test event, at a provider with both modes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub livemode: Option<bool>,
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
        record: Option<RecordKey>,
    },
}

impl Bus {
    /// The bus of this name.
    pub fn new(aws: &Aws, name: impl Into<String>) -> Self {
        Self { client: client!(aws, aws_sdk_eventbridge, "AWS_ENDPOINT_URL_EVENTBRIDGE"), name: name.into() }
    }

    /// Publishes the same event for each of its integrations. `record` is where its payload can be read if it is too large.
    pub async fn publish(&self, details: &[Detail<'_>], record: Option<&RecordKey>) -> Result<(), PublishError> {
        for details in details.chunks(MAX_ENTRIES) {
            self.send(self.entries(details, record)?).await.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(())
    }

    /// The entries of an event.
    pub(crate) fn entries(&self, details: &[Detail<'_>], record: Option<&RecordKey>) -> Result<Vec<Entry>, AwsError> {
        details.iter().map(|detail| self.entry(detail, record)).collect()
    }

    /// Puts entries on the bus, in as few calls as they fit into: the outcome of each. If a call fails, the rest is not tried and has
    /// the same outcome.
    pub(crate) async fn send(&self, entries: Vec<Entry>) -> Vec<Result<(), PublishError>> {
        let all = entries.len();
        let mut outcomes = Vec::with_capacity(all);
        let mut entries = entries.into_iter().peekable();
        while entries.peek().is_some() {
            let (mut call, mut bytes) = (Vec::new(), 0);
            while let Some((entry, size)) =
                entries.next_if(|(_, size)| call.is_empty() || (call.len() < MAX_ENTRIES && bytes + size <= MAX_BYTES))
            {
                call.push(entry);
                bytes += size;
            }
            match self.put(&call).await {
                Ok(put) => outcomes.extend(put),
                Err(error) => outcomes.resize(all, Err(error.into())),
            }
            if outcomes.len() == all {
                break;
            }
        }
        outcomes
    }

    /// Publishes an event of Intertie itself about one integration: `id` is the same whenever it is repeated.
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
        self.tell(kind, at, &detail).await
    }

    /// Publishes an event of Intertie itself that is about no integration.
    pub async fn announce_of_stack(
        &self,
        kind: &str,
        id: &str,
        provider: &str,
        at: Timestamp,
        data: &Value,
    ) -> Result<(), AwsError> {
        let detail = json!({
            "id": id, "user_id": null, "integration_id": null, "provider": provider, "type": kind,
            "occurred_at": at, "data": data,
        });
        self.tell(kind, at, &detail).await
    }

    async fn tell(&self, kind: &str, at: Timestamp, detail: &Value) -> Result<(), AwsError> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source("intertie")
            .detail_type(kind)
            .time(aws_sdk_eventbridge::primitives::DateTime::from_secs(at.as_second()))
            .detail(detail.to_string())
            .build();
        match self.put(&[entry]).await?.pop() {
            Some(Err(PublishError::Refused(code))) => Err(AwsError::entry(ACTION, &code)),
            Some(Err(PublishError::Aws(error))) => Err(error),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// One call: the outcome of each entry. One that the bus refuses keeps no other from it.
    async fn put(&self, entries: &[PutEventsRequestEntry]) -> Result<Vec<Result<(), PublishError>>, AwsError> {
        let Some(mut outcomes) = self.call(entries).await? else {
            // Which of them made the call unreadable shows when each goes alone.
            let mut outcomes = Vec::new();
            for entry in entries {
                let alone = self.call(std::slice::from_ref(entry)).await?;
                let refused = || vec![Err(PublishError::Refused("ValidationException".to_owned()))];
                outcomes.extend(alone.unwrap_or_else(refused));
            }
            return Ok(outcomes);
        };
        // What failed may have been throttled by itself: once more.
        let failed = |outcome: &Result<(), PublishError>| matches!(outcome, Err(PublishError::Aws(_)));
        let again: Vec<_> =
            entries.iter().zip(&outcomes).filter(|(_, it)| failed(it)).map(|(it, _)| it.clone()).collect();
        if !again.is_empty()
            && let Some(results) = self.call(&again).await?
        {
            for (outcome, result) in outcomes.iter_mut().filter(|it| failed(it)).zip(results) {
                *outcome = result;
            }
        }
        Ok(outcomes)
    }

    /// The result of each entry; none if the call as a whole could not be read.
    async fn call(&self, entries: &[PutEventsRequestEntry]) -> Result<Option<Vec<Result<(), PublishError>>>, AwsError> {
        let sent = self.client.put_events().set_entries(Some(entries.to_vec())).send().await;
        let output = match sent {
            Ok(output) => output,
            Err(error) if matches!(error.code(), Some("ValidationException" | "SerializationException")) => {
                return Ok(None);
            }
            Err(error) => return Err(AwsError::new(ACTION, error)),
        };
        let results = output.entries().iter().map(|entry| match entry.error_code() {
            None => Ok(()),
            // Passing, or our own rights, which can be put right:
            // <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>.
            Some(
                code @ ("InternalFailure" | "InternalException" | "ThrottlingException" | "AccessDeniedException"),
            ) => Err(AwsError::entry(ACTION, code).into()),
            Some(code) if code.starts_with("NotAuthorized") => Err(AwsError::entry(ACTION, code).into()),
            Some(code) => Err(PublishError::Refused(code.to_owned())),
        });
        let missing =
            || Err(AwsError::Answer { action: ACTION, lack: "the answer lacks the result of an entry" }.into());
        Ok(Some(results.chain(std::iter::repeat_with(missing)).take(entries.len()).collect()))
    }

    fn entry(&self, detail: &Detail<'_>, record: Option<&RecordKey>) -> Result<Entry, AwsError> {
        let text = |detail: &Detail<'_>| {
            serde_json::to_string(detail).map_err(|error| AwsError::unwritable("an event", error))
        };
        let source = format!("intertie.{}", detail.provider);
        let mut body = text(detail)?;
        // The size of an entry counts its source and type too, and 14 bytes for the time.
        let rest = source.len() + detail.r#type.as_str().len() + 14;
        if body.len() + rest > MAX_BYTES {
            let data = Payload::Reference { record: record.cloned() };
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
