//! The queues: sending, and the one loop that owns what a batch can get wrong.
//!
//! *Invariant:* a message leaves its queue only when it was applied, sent again with a delay, or is in the dead-letter
//! queue with its reason. Whatever else happens, SQS delivers it again.

use std::{panic::AssertUnwindSafe, time::Duration};

use aws_sdk_sqs::{
    Client,
    types::{MessageAttributeValue, SendMessageBatchRequestEntry},
};
use domain::{Disposition, disposition::backoff};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Context, LambdaEvent};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use crate::{
    aws::{Aws, AwsError, client},
    clock,
};

/// The longest message that is sent, in bytes: SQS's limit of 1 MiB less what the loop may have to add as attributes.
pub const MAX_MESSAGE: usize = 1024 * 1024 - 2 * 1024;
/// Left of the invocation's time when work on a message stops, so that its end can still be settled.
const MARGIN: Duration = Duration::from_secs(1);
/// Left of the invocation's time when settling stops, so that the answer still gets out.
const LAST: Duration = Duration::from_millis(100);
/// Lambda's longest timeout, in milliseconds.
const MAX_RUN: u64 = 900_000;
/// More than any timeout.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// SQS's longest delay.
const MAX_DELAY: Duration = Duration::from_mins(15);
/// How often one message may be deferred before it counts as failing.
const MAX_HOPS: u32 = 100;
/// Entries SQS takes in one call.
const MAX_ENTRIES: usize = 10;
/// How often entries that SQS refused one by one are sent again.
const MAX_RESENDS: usize = 5;
/// SQS's limit on the name of a message group.
const MAX_GROUP: usize = 128;
/// The message attribute that counts deferrals.
const HOPS: &str = "Hops";

/// One queue to send to.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    /// The queue of this URL.
    pub fn new(aws: &Aws, url: impl Into<String>) -> Self {
        Self { client: client!(aws, aws_sdk_sqs, "AWS_ENDPOINT_URL_SQS"), url: url.into() }
    }

    /// Sends a message. `tenant` keeps one tenant's flood from delaying the others (fair queues).
    pub async fn send(&self, body: String, tenant: Option<&str>) -> Result<(), AwsError> {
        let call = self.client.send_message().queue_url(&self.url).message_body(body);
        let call = call.set_message_group_id(tenant.map(str::to_owned));
        call.send().await.map_err(|error| AwsError::new("sqs:SendMessage", &error))?;
        Ok(())
    }

    /// Sends many messages, each with its tenant, in as few calls as SQS allows; what SQS refused is sent again.
    pub async fn send_all(&self, messages: Vec<(String, String)>) -> Result<(), AwsError> {
        const ACTION: &str = "sqs:SendMessageBatch";
        for chunk in messages.chunks(MAX_ENTRIES) {
            let mut entries: Vec<_> = chunk
                .iter()
                .enumerate()
                .map(|(index, (body, tenant))| {
                    let entry = SendMessageBatchRequestEntry::builder().id(index.to_string());
                    let entry = entry.message_body(body).message_group_id(tenant).build();
                    entry.map_err(|error| AwsError::answer(ACTION, error.to_string()))
                })
                .collect::<Result<_, _>>()?;
            for _ in 0..MAX_RESENDS {
                let call = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries.clone()));
                let output = call.send().await.map_err(|error| AwsError::new(ACTION, &error))?;
                entries.retain(|entry| output.failed().iter().any(|failed| failed.id() == entry.id()));
                if entries.is_empty() {
                    break;
                }
            }
            if !entries.is_empty() {
                return Err(AwsError::answer(ACTION, format!("{} messages were refused repeatedly", entries.len())));
            }
        }
        Ok(())
    }

    /// A cheap call that opens the connection during init, which runs at full CPU.
    pub async fn warm(&self) -> Result<(), AwsError> {
        let call = self.client.get_queue_attributes().queue_url(&self.url);
        call.send().await.map_err(|error| AwsError::new("sqs:GetQueueAttributes", &error))?;
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

/// What an event-source mapping hands to the function.
#[derive(Debug, Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Received>,
}

/// One message as received.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    message_id: String,
    receipt_handle: String,
    body: String,
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    message_attributes: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
struct Attributes {
    #[serde(rename = "ApproximateReceiveCount", default)]
    receive_count: String,
    #[serde(rename = "MessageGroupId")]
    group: Option<String>,
}

/// Which messages of the batch come back. Everything else is deleted.
#[derive(Debug, Serialize)]
pub struct BatchResponse {
    #[serde(rename = "batchItemFailures")]
    failures: Vec<Failure>,
}

#[derive(Debug, Serialize)]
struct Failure {
    #[serde(rename = "itemIdentifier")]
    id: String,
}

/// One attempt at a message.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// How often the message was received, this time included.
    pub number: u32,
    /// How often the message was deferred before.
    pub hops: u32,
    /// Names the message.
    pub message_id: String,
    /// Names this attempt: no other attempt, of this message or another, has the same.
    pub id: String,
    /// When the attempt began.
    pub at: Timestamp,
    /// When the invocation ends; the loop stops the attempt shortly before.
    pub deadline: Timestamp,
}

impl Attempt {
    /// After a failure of the work itself: later again, and it counts, so that it ends in the dead-letter queue at last.
    pub fn retry(&self) -> Disposition {
        Disposition::Retry(backoff(self.number, &self.message_id))
    }

    /// After a failure of AWS: later again, and it does not count, so that an outage dead-letters nothing.
    pub fn defer(&self) -> Disposition {
        Disposition::Defer(backoff(self.hops + 1, &self.message_id))
    }
}

/// What a function does with one message.
pub trait Handler: Sync {
    /// The envelope it reads.
    type Message<'a>: Deserialize<'a> + Send;

    /// Handles one message. The loop turns a panic or a timeout into a retry.
    fn handle(&self, message: Self::Message<'_>, attempt: &Attempt) -> impl Future<Output = Disposition> + Send;
}

/// The loop over a batch.
#[derive(Debug, Clone)]
pub struct Consumer {
    queue: Queue,
    dead_letters: Queue,
    concurrency: usize,
}

impl Consumer {
    /// Reads from `queue`; what can't succeed goes to `dead_letters`. At most `concurrency` messages at a time: each
    /// costs a connection, and its handshake, in the first batch.
    pub fn new(queue: Queue, dead_letters: Queue, concurrency: usize) -> Self {
        Self { queue, dead_letters, concurrency }
    }

    /// Handles every message of a batch.
    pub async fn run<H: Handler>(&self, handler: &H, event: LambdaEvent<Batch>) -> BatchResponse {
        let (batch, context) = (event.payload, event.context);
        let deadline = deadline(&context, clock::now());
        let request_id = context.request_id.as_str();
        let failures = stream::iter(batch.records)
            .map(|received| async move {
                let span = tracing::info_span!("message", message.id = received.message_id);
                let gone = self.one(handler, &received, request_id, deadline).instrument(span).await;
                (!gone).then_some(Failure { id: received.message_id })
            })
            .buffer_unordered(self.concurrency)
            .filter_map(async |failure| failure)
            .collect()
            .await;
        BatchResponse { failures }
    }

    /// Whether the message may be deleted.
    async fn one<H: Handler>(&self, handler: &H, received: &Received, request_id: &str, deadline: Timestamp) -> bool {
        let now = clock::now();
        let left = remaining(deadline, now).saturating_sub(MARGIN);
        if left.is_zero() {
            return false;
        }
        let attempt = Attempt {
            number: received.attributes.receive_count.parse().unwrap_or(1),
            hops: received.hops(),
            message_id: received.message_id.clone(),
            id: format!("{request_id}/{}", received.message_id),
            at: now,
            deadline,
        };
        let disposition = match serde_json::from_str(&received.body) {
            // The parser's own words could quote the message.
            Err(error) => Disposition::DeadLetter(format!(
                "the message can't be read: {} at line {}, column {}",
                category(&error),
                error.line(),
                error.column()
            )),
            Ok(message) => {
                let work = AssertUnwindSafe(handler.handle(message, &attempt)).catch_unwind();
                match tokio::time::timeout(left, work).await {
                    Ok(Ok(disposition)) => disposition,
                    Ok(Err(_panic)) => {
                        tracing::error!(attempt = attempt.number, "handler panicked");
                        attempt.retry()
                    }
                    Err(_elapsed) => {
                        tracing::warn!(attempt = attempt.number, "out of time");
                        attempt.retry()
                    }
                }
            }
        };
        let left = remaining(deadline, clock::now()).saturating_sub(LAST);
        let settled = tokio::time::timeout(left, self.settle(received, &attempt, disposition)).await;
        settled.unwrap_or(false)
    }

    async fn settle(&self, received: &Received, attempt: &Attempt, disposition: Disposition) -> bool {
        let settled = match disposition {
            Disposition::Done => return true,
            Disposition::Retry(after) => self.hide(received, after).await.map(|()| false),
            Disposition::Defer(after) if attempt.hops < MAX_HOPS => {
                self.defer(received, after, attempt.hops + 1).await.map(|()| true)
            }
            Disposition::Defer(after) => self.hide(received, after).await.map(|()| false),
            Disposition::DeadLetter(reason) => {
                tracing::error!(attempt = attempt.number, reason, "dead-lettered");
                self.bury(received, attempt.number, &reason).await.map(|()| true)
            }
        };
        settled.unwrap_or_else(|error| {
            tracing::warn!(%error, "the message comes back when its visibility timeout ends");
            false
        })
    }

    async fn hide(&self, received: &Received, after: Duration) -> Result<(), AwsError> {
        let call = self.queue.client.change_message_visibility().queue_url(&self.queue.url);
        let call = call.receipt_handle(&received.receipt_handle).visibility_timeout(seconds(after));
        call.send().await.map_err(|error| AwsError::new("sqs:ChangeMessageVisibility", &error))?;
        Ok(())
    }

    async fn defer(&self, received: &Received, after: Duration, hops: u32) -> Result<(), AwsError> {
        let call = self.queue.client.send_message().queue_url(&self.queue.url).message_body(&received.body);
        let call = call.set_message_group_id(received.attributes.group.clone());
        let call = call.delay_seconds(seconds(after.min(MAX_DELAY)));
        let call = call.message_attributes(HOPS, attribute("Number", hops.to_string())?);
        call.send().await.map_err(|error| AwsError::new("sqs:SendMessage", &error))?;
        Ok(())
    }

    async fn bury(&self, received: &Received, attempt: u32, reason: &str) -> Result<(), AwsError> {
        let call = self.dead_letters.client.send_message().queue_url(&self.dead_letters.url);
        let call = call.message_body(&received.body).set_message_group_id(received.attributes.group.clone());
        let call = call
            .message_attributes("Reason", attribute("String", printable(reason))?)
            .message_attributes("Attempt", attribute("Number", attempt.to_string())?)
            .message_attributes("MessageId", attribute("String", &received.message_id)?);
        call.send().await.map_err(|error| AwsError::new("sqs:SendMessage", &error))?;
        Ok(())
    }
}

impl Received {
    fn hops(&self) -> u32 {
        let value = self.message_attributes.get(HOPS).and_then(|value| value.get("stringValue")?.as_str());
        value.and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// When the invocation ends. The development server of cargo-lambda sends a span where Lambda sends a time.
pub fn deadline(context: &Context, now: Timestamp) -> Timestamp {
    let milliseconds = i64::try_from(context.deadline).unwrap_or(i64::MAX);
    let time = Timestamp::from_millisecond(milliseconds).ok().filter(|time| *time > Timestamp::UNIX_EPOCH + DAY);
    time.unwrap_or_else(|| now + Duration::from_millis(context.deadline.min(MAX_RUN)))
}

fn remaining(deadline: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(deadline.duration_since(now)).unwrap_or_default()
}

fn category(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Io | serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Syntax => "it is not JSON",
        serde_json::error::Category::Data => "it is not of a version or shape that is known",
    }
}

fn attribute(kind: &str, value: impl Into<String>) -> Result<MessageAttributeValue, AwsError> {
    let value = MessageAttributeValue::builder().data_type(kind).string_value(value).build();
    value.map_err(|error| AwsError::answer("sqs:SendMessage", error.to_string()))
}

/// Reasons quote what strangers sent: only what SQS takes, and not much of it.
fn printable(reason: &str) -> String {
    reason.chars().take(500).map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect()
}

/// Whole seconds, rounded up, within SQS's twelve hours.
fn seconds(time: Duration) -> i32 {
    let rounded = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(rounded.min(43_200)).unwrap_or(43_200)
}
