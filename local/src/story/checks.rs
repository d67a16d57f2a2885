//! Reading back from the stores, past the code that wrote them.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use super::stripe_key;
use crate::{
    report::Failed,
    stack::{LOCAL_ACCOUNT, Stack},
};

/// Looks at the stores of a stack.
pub(super) struct Look<'s> {
    stack: &'s Stack,
}

/// What an idempotency record says.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) state: String,
    pub(super) attempts: u64,
    pub(super) effects: u64,
}

impl<'s> Look<'s> {
    pub(super) fn new(stack: &'s Stack) -> Self {
        Self { stack }
    }

    pub(super) async fn seen(&self, event_id: &str) -> Result<Option<Seen>, Failed> {
        self.seen_in(LOCAL_ACCOUNT, event_id).await
    }

    pub(super) async fn seen_in(&self, account: &str, event_id: &str) -> Result<Option<Seen>, Failed> {
        let key = AttributeValue::S(format!("stripe#{account}#{event_id}"));
        let call = self.stack.clients.dynamodb.get_item().table_name(self.stack.table("idempotency")).key("key", key);
        let output = call.consistent_read(true).send().await.map_err(Failed::from)?;
        Ok(output.item.map(|item| {
            let number = |name: &str| item.get(name).and_then(|it| it.as_n().ok()?.parse().ok()).unwrap_or(0);
            let state = item.get("state").and_then(|it| it.as_s().ok()).cloned().unwrap_or_default();
            Seen { state, attempts: number("attempts"), effects: number("effects") }
        }))
    }

    /// The data of a record of the story's integration.
    pub(super) async fn record(&self, key: &str) -> Result<Value, Failed> {
        let call = self.stack.clients.dynamodb.get_item().table_name(self.stack.table("records")).consistent_read(true);
        let call = call.key("integration_id", AttributeValue::S(stripe_key().id()));
        let output = call.key("record", AttributeValue::S(key.to_owned())).send().await.map_err(Failed::from)?;
        let item = output.item.ok_or_else(|| Failed(format!("there is no record {key}; look at target/local/logs")))?;
        let data = item.get("data").and_then(|it| it.as_s().ok()).cloned().unwrap_or_default();
        serde_json::from_str(&data).map_err(Failed::from)
    }

    /// How often an event is on the bus.
    pub(super) fn published(&self, event_id: &str) -> Result<usize, Failed> {
        let lines = std::fs::read_to_string(self.stack.directory().join("events.jsonl")).map_err(Failed::from)?;
        let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(events.filter(|event| event["detail"]["id"] == event_id).count())
    }

    /// The reason of one message of the dead-letter queue of webhooks, which is taken out.
    pub(super) async fn dead_letter(&self) -> Result<Option<String>, Failed> {
        let queue = self.stack.template.queues.iter().find(|queue| queue.name.ends_with("-webhooks-dead"));
        let url = &queue.ok_or_else(|| Failed("template.yaml declares no queue webhooks-dead".into()))?.url;
        let sqs = &self.stack.clients.sqs;
        let call = sqs.receive_message().queue_url(url).message_attribute_names("All");
        let output = call.send().await.map_err(Failed::from)?;
        let Some(message) = output.messages.unwrap_or_default().into_iter().next() else { return Ok(None) };
        let handle = message.receipt_handle.unwrap_or_default();
        sqs.delete_message().queue_url(url).receipt_handle(handle).send().await.map_err(Failed::from)?;
        let reason = message.message_attributes.unwrap_or_default().remove("Reason");
        Ok(Some(reason.and_then(|reason| reason.string_value).unwrap_or_default()))
    }

    /// Whether nothing waits or is being worked on in the queue of webhooks. Unknown counts as yes.
    pub(super) fn queue_is_empty(&self) -> bool {
        let depths = self.stack.embedded.iter().flat_map(|embedded| embedded.sqs.depths());
        let mut webhooks = depths.filter(|depth| depth.name.ends_with("-webhooks"));
        webhooks.all(|depth| depth.visible + depth.in_flight + depth.delayed == 0)
    }
}
