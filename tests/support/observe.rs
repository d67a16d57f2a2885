//! What tests read of a stack from outside: logs, records, queues, the bus.

use std::path::Path;

use aws_sdk_dynamodb::types::AttributeValue;
use local_cli::bundle::Bundle;
use local_sandbox::LOCAL_ACCOUNT;
use serde_json::Value;

/// All that a stack's functions have logged so far. Lines are written a moment later than their reason.
pub fn logs(stack: &Bundle) -> String {
    let files = std::fs::read_dir(stack.folder.logs()).expect("the folder of logs").flatten();
    files.map(|file| std::fs::read_to_string(file.path()).expect("a log")).collect()
}

/// What the idempotency record of an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub state: String,
    /// How often processing was started.
    pub attempts: u64,
    /// How often the effect was committed.
    pub effects: u64,
}

/// The idempotency record of an event of [`LOCAL_ACCOUNT`], read past the code that wrote it.
pub async fn seen(stack: &Bundle, event_id: &str) -> Option<Seen> {
    let key = AttributeValue::S(format!("stripe#{LOCAL_ACCOUNT}#{event_id}"));
    let call = stack.clients.dynamodb.get_item().table_name(stack.table("idempotency")).key("key", key);
    let item = call.consistent_read(true).send().await.expect("DynamoDB answers").item?;
    let number = |name: &str| item[name].as_n().expect("a number").parse().expect("a number");
    let state = item["state"].as_s().expect("a text").clone();
    Some(Seen { state, attempts: number("attempts"), effects: number("effects") })
}

/// Messages of a queue that are not to be received yet, by its name without prefix.
pub fn delayed(stack: &Bundle, queue: &str) -> usize {
    let embedded = stack.embedded.as_ref().expect("tests use the embedded AWS");
    let name = format!("{}-{queue}", stack.prefix());
    embedded.sqs.depths().into_iter().find(|depth| depth.name == name).expect("the queue exists").delayed
}

/// Messages in a queue, by its name without prefix: waiting, worked on, delayed.
pub fn depth(stack: &Bundle, queue: &str) -> usize {
    let embedded = stack.embedded.as_ref().expect("tests use the embedded AWS");
    let depths = embedded.sqs.depths();
    let depth =
        depths.iter().find(|depth| depth.name == format!("{}-{queue}", stack.prefix())).expect("the queue exists");
    depth.visible + depth.in_flight + depth.delayed
}

/// The reasons of the messages in a dead-letter queue, by its queue's name without prefix; at most ten. Takes them.
pub async fn dead_letters(stack: &Bundle, queue: &str) -> Vec<String> {
    let sqs = &stack.embedded.as_ref().expect("tests use the embedded AWS").sqs;
    let url = sqs.queue_url(&format!("{}-{queue}-dead", stack.prefix()));
    let call = stack.clients.sqs.receive_message().queue_url(url).max_number_of_messages(10);
    let received = call.message_attribute_names("Reason").send().await.expect("SQS answers").messages;
    let reason = |message: aws_sdk_sqs::types::Message| {
        let attributes = message.message_attributes.unwrap_or_default();
        attributes.get("Reason").and_then(|reason| reason.string_value()).unwrap_or_default().to_owned()
    };
    received.unwrap_or_default().into_iter().map(reason).collect()
}

/// The details of the events on the bus.
pub fn published(stack: &Bundle) -> Vec<Value> {
    details(&stack.folder.events())
}

pub(crate) fn details(events: &Path) -> Vec<Value> {
    let lines = std::fs::read_to_string(events).unwrap_or_default();
    lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON")["detail"].clone()).collect()
}
