//! Sending to SQS queues; the runtime's consumer receives.
//!
//! *Invariant:* a send that returns `Ok` has put every message into the queue.

mod dead_letters;

use std::time::Duration;

use aws_sdk_sqs::{
    Client,
    types::{MessageAttributeValue, SendMessageBatchRequestEntry},
};
use sha2::{Digest as _, Sha256};

pub use self::dead_letters::{DeadLetter, Reviewed};
use crate::aws::{Aws, AwsError, client};

/// The attributes of a dead letter: why it is one, and its delivery's id.
pub(crate) const REASON: &str = "Reason";
pub(crate) const DETAIL: &str = "Detail";
pub(crate) const DELIVERY_ID: &str = "DeliveryId";

/// The longest message that is sent, in bytes: SQS's limit of 1 MiB less what the loop may have to add as attributes.
pub const MAX_MESSAGE: usize = 1024 * 1024 - 2 * 1024;
/// How long a message is kept in a queue that gets its messages only once, and in a dead-letter queue: the longest that SQS allows.
pub const RETENTION: Duration = Duration::from_hours(14 * 24);
/// The longest delay of a message that SQS takes (`DelaySeconds`); a longer wait needs another hop.
pub const MAX_DELAY: Duration = Duration::from_mins(15);
/// Messages that SQS takes in one call.
pub const MAX_BATCH: usize = 10;
/// How often entries that SQS refused one by one are sent again.
const MAX_RESENDS: usize = 5;
/// SQS's limit on the name of a message group.
const MAX_GROUP: usize = 128;

/// A client for one queue.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
}

/// A message of many.
#[derive(Debug)]
pub struct QueueMessage {
    /// At most [`MAX_MESSAGE`] bytes.
    pub body: String,
    /// The message group, as [`group`] makes it.
    pub tenant: String,
    /// How long after the sending SQS delivers it: at most [`MAX_DELAY`].
    pub delay: Duration,
}

/// A message attribute.
#[derive(Debug)]
pub(crate) struct Attribute {
    name: &'static str,
    data_type: &'static str,
    value: String,
}

impl Attribute {
    pub(crate) fn text(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, data_type: "String", value: value.into() }
    }

    pub(crate) fn number(name: &'static str, value: impl Into<i128>) -> Self {
        Self { name, data_type: "Number", value: value.into().to_string() }
    }
}

impl Queue {
    /// The queue of this URL.
    pub fn new(aws: &Aws, url: impl Into<String>) -> Self {
        Self { client: client!(aws, aws_sdk_sqs, "AWS_ENDPOINT_URL_SQS"), url: url.into() }
    }

    /// Whether an Amazon resource name is that of this queue.
    pub(crate) fn is_named(&self, arn: &str) -> bool {
        self.url.rsplit('/').next() == arn.rsplit(':').next()
    }

    /// Sends a message. `tenant` keeps one tenant's flood from delaying the others (fair queues).
    pub async fn send(&self, body: String, tenant: Option<&str>) -> Result<(), AwsError> {
        let call = self.client.send_message().queue_url(&self.url).message_body(body);
        let call = call.set_message_group_id(tenant.map(str::to_owned));
        call.send().await.map_err(|error| AwsError::new("sqs:SendMessage", error))?;
        Ok(())
    }

    /// Sends a message that SQS delivers after this long, at most 15 minutes.
    pub async fn send_after(&self, body: &str, tenant: &str, delay: Duration) -> Result<(), AwsError> {
        self.pass_on(body, Some(tenant), delay, &[]).await
    }

    /// Sends many messages, one call after another, in as few as SQS allows.
    pub async fn send_all(&self, messages: &[QueueMessage]) -> Result<(), AwsError> {
        for batch in messages.chunks(MAX_BATCH) {
            self.send_batch(batch).await?;
        }
        Ok(())
    }

    /// Sends at most [`MAX_BATCH`] messages in one call; what SQS refused of them is sent again.
    pub async fn send_batch(&self, messages: &[QueueMessage]) -> Result<(), AwsError> {
        const ACTION: &str = "sqs:SendMessageBatch";
        let mut entries: Vec<_> = (messages.iter().enumerate())
            .map(|(index, QueueMessage { body, tenant, delay })| {
                let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(body);
                let entry = entry.message_group_id(tenant).delay_seconds(seconds((*delay).min(MAX_DELAY))).build();
                entry.map_err(|error| AwsError::unwritable("a message", error))
            })
            .collect::<Result<_, _>>()?;
        let mut refused = None;
        for _ in 0..MAX_RESENDS {
            let call = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries.clone()));
            let output = call.send().await.map_err(|error| AwsError::new(ACTION, error))?;
            entries.retain(|entry| output.failed().iter().any(|failed| failed.id() == entry.id()));
            refused = output.failed().first().map(|failed| AwsError::entry(ACTION, failed.code()));
            if refused.is_none() {
                break;
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Sends a received message on, with these attributes.
    pub(crate) async fn pass_on(
        &self,
        body: &str,
        tenant: Option<&str>,
        delay: Duration,
        attributes: &[Attribute],
    ) -> Result<(), AwsError> {
        const ACTION: &str = "sqs:SendMessage";
        let mut call = self.client.send_message().queue_url(&self.url).message_body(body);
        for Attribute { name, data_type, value } in attributes {
            let value = MessageAttributeValue::builder().data_type(*data_type).string_value(value).build();
            call = call
                .message_attributes(*name, value.map_err(|error| AwsError::unwritable("a message attribute", error))?);
        }
        let call = call.set_message_group_id(tenant.map(str::to_owned)).delay_seconds(seconds(delay.min(MAX_DELAY)));
        call.send().await.map_err(|error| AwsError::new(ACTION, error))?;
        Ok(())
    }

    /// Hides a received message for this long from now.
    pub(crate) async fn change_visibility(&self, receipt_handle: &str, time: Duration) -> Result<(), AwsError> {
        let call = self.client.change_message_visibility().queue_url(&self.url);
        let call = call.receipt_handle(receipt_handle).visibility_timeout(seconds(time));
        call.send().await.map_err(|error| AwsError::new("sqs:ChangeMessageVisibility", error))?;
        Ok(())
    }

    /// A cheap call that opens the connection during init, which runs at full CPU.
    pub async fn warm(&self) -> Result<(), AwsError> {
        let call = self.client.get_queue_attributes().queue_url(&self.url);
        call.send().await.map_err(|error| AwsError::new("sqs:GetQueueAttributes", error))?;
        Ok(())
    }
}

/// The group under which a tenant's messages are kept apart from others': any text becomes a legal one.
pub fn group(tenant: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_punctuation();
    if (1..=MAX_GROUP).contains(&tenant.len()) && tenant.chars().all(legal) {
        return tenant.to_owned();
    }
    hex::encode(Sha256::digest(tenant))
}

/// Whole seconds, rounded up, within SQS's twelve hours.
fn seconds(time: Duration) -> i32 {
    let rounded = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(rounded.min(43_200)).unwrap_or(43_200)
}
