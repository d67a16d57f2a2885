//! The loop over a batch: decodes each message, catches its panics, stops it in time, and turns its disposition into calls.

use std::{panic::AssertUnwindSafe, time::Duration};

use domain::{Disposition, disposition::backoff};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Context, LambdaEvent};
use serde::Deserialize;
use serde_json::error::Category;
use tracing::Instrument as _;

use super::{
    Queue,
    batch::{Batch, BatchResponse, Failure, HOPS, Received},
};
use crate::{aws::AwsError, clock};

/// Left of the invocation's time when work on a message stops, so that its end can still be settled.
const MARGIN: Duration = Duration::from_secs(1);
/// Left of the invocation's time when settling stops, so that the answer still gets out.
const LAST: Duration = Duration::from_millis(100);
/// Lambda's longest timeout, in milliseconds.
const MAX_RUN: u64 = 900_000;
/// More than any timeout.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How often one message may be deferred before it counts as failing.
const MAX_HOPS: u32 = 100;

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
            deadline: now + left,
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
        self.queue.hide(&received.receipt_handle, after).await
    }

    async fn defer(&self, received: &Received, after: Duration, hops: u32) -> Result<(), AwsError> {
        let hops = [(HOPS, "Number", &*hops.to_string())];
        self.queue.pass_on(&received.body, received.attributes.group.as_deref(), after, &hops).await
    }

    async fn bury(&self, received: &Received, attempt: u32, reason: &str) -> Result<(), AwsError> {
        let why = [
            ("Reason", "String", &*printable(reason)),
            ("Attempt", "Number", &*attempt.to_string()),
            ("MessageId", "String", &*received.message_id),
        ];
        self.dead_letters.pass_on(&received.body, received.attributes.group.as_deref(), Duration::ZERO, &why).await
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
        Category::Io | Category::Eof => "it ends too early",
        Category::Syntax => "it is not JSON",
        Category::Data => "it is not of a version or shape that is known",
    }
}

/// Reasons quote what strangers sent: only what SQS takes, and not much of it.
fn printable(reason: &str) -> String {
    reason.chars().take(500).map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect()
}
