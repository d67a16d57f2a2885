//! SQS event-source mappings: what Lambda's pollers do between a queue and a function.
//!
//! *Invariant:* a message is deleted only if the function answered and did not name it among the failures.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use local_aws::{Clients, resources::Queue};
use local_base::lock;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use crate::{lambda::Function, template::Mapping};

/// SQS gives at most this many messages at a time.
const RECEIVE: u32 = 10;
/// Pollers per mapping; Lambda starts with five.
const POLLERS: u32 = 5;
/// The longest poll.
const WAIT_SECONDS: i32 = 20;
/// After a failed call, so that a broken endpoint is not hammered.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub struct Poller {
    clients: Clients,
    queue: Queue,
    mapping: Mapping,
    region: String,
    function: Arc<Function>,
    taken: Arc<Mutex<Taken>>,
}

/// What the pollers of a mapping have received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Messages so far, those that came again too.
    pub received: u64,
    /// Those of them that a poller has neither deleted nor left to their visibility timeout yet.
    pub held: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[serde(default)]
    batch_item_failures: Option<Vec<BatchItemFailure>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchItemFailure {
    item_identifier: String,
}

impl Poller {
    pub fn all(
        clients: &Clients,
        queue: &Queue,
        mapping: &Mapping,
        region: &str,
        function: &Arc<Function>,
    ) -> Vec<Self> {
        let count = mapping.max_concurrency.unwrap_or(POLLERS).min(POLLERS);
        let poller = Self {
            clients: clients.clone(),
            queue: queue.clone(),
            mapping: mapping.clone(),
            region: region.to_owned(),
            function: Arc::clone(function),
            taken: Arc::default(),
        };
        (0..count).map(|_| poller.clone()).collect()
    }

    /// The name of its queue.
    pub fn queue(&self) -> &str {
        &self.queue.name
    }

    /// What it and the other pollers of its mapping have received.
    pub fn taken(&self) -> Taken {
        *lock(&self.taken)
    }

    /// Polls until it is dropped.
    pub async fn run(self) {
        loop {
            let messages = self.batch().await;
            if !messages.is_empty() {
                self.work(&messages).await;
                lock(&self.taken).held -= count(&messages);
            }
        }
    }

    async fn work(&self, messages: &[Message]) {
        let outcome = self.function.invoke_when_free(self.event(messages).into()).await;
        // A failed invocation leaves all messages to their visibility timeout.
        let Ok(answer) = outcome else { return };
        let done = done(self.mapping.partial, messages, &answer);
        self.delete(done).await;
    }

    /// Messages until the batch is full or its window is over, counted from the first message.
    async fn batch(&self) -> Vec<Message> {
        let mut messages = self.receive(self.mapping.batch_size, WAIT_SECONDS).await;
        if self.mapping.window.is_zero() || messages.is_empty() {
            return messages;
        }
        let until = Instant::now() + self.mapping.window;
        while let missing @ 1.. = self.mapping.batch_size.saturating_sub(u32::try_from(messages.len()).unwrap_or(0)) {
            let left = until.saturating_duration_since(Instant::now()).as_secs();
            if left == 0 {
                break;
            }
            messages.extend(self.receive(missing, i32::try_from(left).unwrap_or(WAIT_SECONDS).min(WAIT_SECONDS)).await);
        }
        messages
    }

    async fn receive(&self, most: u32, wait: i32) -> Vec<Message> {
        let call = self
            .clients
            .sqs
            .receive_message()
            .queue_url(&self.queue.url)
            .max_number_of_messages(i32::try_from(most.min(RECEIVE)).unwrap_or(1))
            .wait_time_seconds(wait)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All");
        match call.send().await {
            Ok(output) => {
                let messages = output.messages.unwrap_or_default();
                let mut taken = lock(&self.taken);
                taken.received += count(&messages);
                taken.held += count(&messages);
                messages
            }
            Err(_) => {
                sleep(PAUSE).await;
                Vec::new()
            }
        }
    }

    fn event(&self, messages: &[Message]) -> String {
        let records: Vec<_> = messages.iter().map(|message| self.record(message)).collect();
        json!({ "Records": records }).to_string()
    }

    fn record(&self, message: &Message) -> Value {
        let attributes = message.attributes().into_iter().flatten();
        let attributes: Map<_, _> = attributes.map(|(name, value)| (name.as_str().to_owned(), json!(value))).collect();
        let custom = message.message_attributes().into_iter().flatten();
        let custom: Map<_, _> = custom
            .map(|(name, value)| {
                let value = json!({
                    "stringValue": value.string_value(),
                    "stringListValues": [],
                    "binaryListValues": [],
                    "dataType": value.data_type(),
                });
                (name.clone(), value)
            })
            .collect();
        json!({
            "messageId": message.message_id(),
            "receiptHandle": message.receipt_handle(),
            "body": message.body(),
            "attributes": attributes,
            "messageAttributes": custom,
            "md5OfBody": message.md5_of_body(),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.mapping.queue_arn,
            "awsRegion": self.region,
        })
    }

    async fn delete(&self, messages: Vec<&Message>) {
        let entry = |(index, message): (usize, &Message)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            entry.set_receipt_handle(message.receipt_handle.clone()).build().ok()
        };
        let entries: Vec<_> = messages.into_iter().enumerate().filter_map(entry).collect();
        if !entries.is_empty() {
            let call = self.clients.sqs.delete_message_batch().queue_url(&self.queue.url).set_entries(Some(entries));
            // What stays is delivered again, as on AWS.
            let _ = call.send().await;
        }
    }
}

fn count(messages: &[Message]) -> u64 {
    u64::try_from(messages.len()).unwrap_or(u64::MAX)
}

/// The messages that may be deleted. An answer that can't be read, or names a message that was not in the batch, means that
/// all failed, as Lambda has it. `partial`: the answer names the failures.
fn done<'m>(partial: bool, messages: &'m [Message], answer: &[u8]) -> Vec<&'m Message> {
    if !partial || answer.is_empty() || answer == b"null" {
        return messages.iter().collect();
    }
    let Ok(answer) = serde_json::from_slice::<Response>(answer) else { return Vec::new() };
    let failures = answer.batch_item_failures.unwrap_or_default();
    let failed: HashSet<_> = failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
    let known = |id: &&str| messages.iter().any(|message| message.message_id() == Some(id));
    if !failed.iter().all(known) {
        return Vec::new();
    }
    messages.iter().filter(|message| message.message_id().is_none_or(|id| !failed.contains(id))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_function_surely_finished_is_deleted() {
        let messages = ["1", "2"].map(|id| Message::builder().message_id(id).build());
        for (partial, answer, deleted) in [
            (true, "", 2),
            (true, "null", 2),
            (true, "{}", 2),
            (true, r#"{"batchItemFailures":null}"#, 2),
            (true, r#"{"batchItemFailures":[]}"#, 2),
            (true, r#"{"batchItemFailures":[{"itemIdentifier":"1"}]}"#, 1),
            (true, r#"{"batchItemFailures":[{"itemIdentifier":"1"},{"itemIdentifier":"2"}]}"#, 0),
            (true, r#"{"batchItemFailures":[{"itemIdentifier":"3"}]}"#, 0),
            (true, r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, 0),
            (true, r#"{"batchItemFailures":[{}]}"#, 0),
            (true, "not JSON", 0),
            (false, "not JSON", 2),
        ] {
            assert_eq!(done(partial, &messages, answer.as_bytes()).len(), deleted, "{answer}");
        }
    }
}
