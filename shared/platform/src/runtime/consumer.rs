//! The loop over a batch: decodes each message, catches its panics, stops it in time, and settles it by its disposition.

mod settle;

use std::{panic::AssertUnwindSafe, time::Duration};

use domain::{DeliveryId, Diagnosis, Disposition, Reason, messages::disposition::backoff};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Context, LambdaEvent};
use serde::Deserialize;
use serde_json::error::Category;
use tracing::{Instrument as _, Span, field::Empty};

use crate::{
    aws::queue::Queue,
    base::clock,
    runtime::batch::{Batch, BatchItemFailure, BatchResponse, Received},
};

/// Time reserved before the deadline for settling a message after the work on it has stopped.
const SETTLE_RESERVE: Duration = Duration::from_secs(1);
/// Time reserved before the deadline for the function's answer.
const ANSWER_RESERVE: Duration = Duration::from_millis(100);
/// Lambda's longest timeout, in milliseconds.
const MAX_RUN: u64 = 900_000;
/// More than any timeout.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How long a message may be deferred without progress before it is dead-lettered, unless the queue says otherwise.
const DEFERRED_FOR: Duration = Duration::from_hours(6);

/// One attempt at a message.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// How often the message was received, this time included.
    pub number: u32,
    /// How often the message was deferred since it last made progress, places in a line not counted.
    pub hops: u32,
    /// Whether the message comes at its place in the line of those that wait for a limit of a provider.
    pub has_place: bool,
    /// The message's id, the same at each attempt.
    pub message_id: String,
    /// Names this attempt: no other attempt, of this message or another, has the same.
    pub id: String,
    /// When the attempt began.
    pub at: Timestamp,
    /// When the invocation ends; the loop stops the attempt shortly before.
    pub deadline: Timestamp,
}

impl Attempt {
    /// The disposition of a message after this failure.
    pub fn failed(&self, why: Diagnosis) -> Disposition {
        let defer = backoff(self.hops + 1, &self.message_id);
        Disposition::of(why, backoff(self.number, &self.message_id), defer)
    }
}

/// What a function does with one message.
pub trait Handler: Sync {
    /// The envelope it reads.
    type Message<'a>: Deserialize<'a> + Send;

    /// Handles one message. The loop turns a panic or a timeout into a retry.
    fn handle(&self, message: Self::Message<'_>, attempt: &Attempt) -> impl Future<Output = Disposition> + Send;

    /// What becomes of a message that can't be read, for this reason: it is dead-lettered, unless the function has to record it
    /// first.
    fn unreadable(&self, why: Diagnosis, _attempt: &Attempt) -> impl Future<Output = Disposition> + Send {
        std::future::ready(Disposition::DeadLetter(why))
    }

    /// The delivery that led to a message, if one did: it is named in every line of the log about the message, and in its dead
    /// letter.
    fn delivery_id<'m>(_message: &'m Self::Message<'_>) -> Option<&'m DeliveryId> {
        None
    }
}

/// The loop over a batch.
#[derive(Debug, Clone)]
pub struct Consumer {
    queue: Queue,
    second: Option<Queue>,
    dead_letters: Queue,
    concurrency: usize,
    deferred_for: Duration,
}

impl Consumer {
    /// Reads from `queue`; what can't succeed goes to `dead_letters`. At most `concurrency` messages at a time: each
    /// costs a connection, and its handshake, in the first batch.
    pub fn new(queue: Queue, dead_letters: Queue, concurrency: usize) -> Self {
        Self { queue, second: None, dead_letters, concurrency, deferred_for: DEFERRED_FOR }
    }

    /// The same, but a message may be deferred without progress for this long before it is dead-lettered.
    #[must_use]
    pub fn deferring_for(self, deferred_for: Duration) -> Self {
        Self { deferred_for, ..self }
    }

    /// The same, but it reads from a second queue, too.
    #[must_use]
    pub fn and_from(self, second: Queue) -> Self {
        Self { second: Some(second), ..self }
    }

    /// Handles every message of a batch.
    pub async fn run<H: Handler>(&self, handler: &H, event: LambdaEvent<Batch>) -> BatchResponse {
        let (batch, context) = (event.payload, event.context);
        let deadline = deadline(&context, clock::now());
        let request_id = context.request_id.as_str();
        let failures = stream::iter(batch.records)
            .map(|received| async move {
                // Filled in when the message is read.
                let span = tracing::info_span!(
                    "message",
                    message.id = received.message_id,
                    delivery.id = Empty,
                    event.id = Empty,
                    integration.id = Empty
                );
                let gone = self.one(handler, &received, request_id, deadline).instrument(span).await;
                (!gone).then_some(BatchItemFailure { id: received.message_id })
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
        let left = remaining(deadline, now).saturating_sub(SETTLE_RESERVE);
        if left.is_zero() {
            return false;
        }
        let attempt = Attempt {
            number: received.attributes.receive_count.parse().unwrap_or(1),
            hops: received.hops(),
            has_place: received.has_place(),
            message_id: received.message_id.clone(),
            id: format!("{request_id}/{}", received.message_id),
            at: now,
            deadline: now + left,
        };
        let mut delivery = None;
        let disposition = match serde_json::from_str(&received.body) {
            // The parser's own words could quote the message.
            Err(error) => {
                let detail = format!("{} at line {}, column {}", category(&error), error.line(), error.column());
                let recorded = handler.unreadable(Diagnosis::new(Reason::MessageUnreadable, detail), &attempt);
                tokio::time::timeout(left, recorded).await.unwrap_or_else(|_elapsed| attempt.failed(out_of_time()))
            }
            Ok(message) => {
                delivery = H::delivery_id(&message).cloned();
                if let Some(id) = &delivery {
                    Span::current().record("delivery.id", id.as_str());
                }
                // If the process dies over the message, no other line names it.
                if attempt.number > 1 {
                    tracing::info!(attempt = attempt.number, "received again");
                }
                let work = AssertUnwindSafe(handler.handle(message, &attempt)).catch_unwind();
                match tokio::time::timeout(left, work).await {
                    Ok(Ok(disposition)) => disposition,
                    Ok(Err(_panic)) => attempt.failed(Diagnosis::new(Reason::Panicked, "the work on it panicked")),
                    Err(_elapsed) => attempt.failed(out_of_time()),
                }
            }
        };
        let left = remaining(deadline, clock::now()).saturating_sub(ANSWER_RESERVE);
        let settled = tokio::time::timeout(left, self.settle(received, &attempt, disposition, delivery.as_ref())).await;
        settled.unwrap_or(false)
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

fn out_of_time() -> Diagnosis {
    Diagnosis::new(Reason::TimedOut, "the invocation's time ended before the work")
}

fn category(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        Category::Io | Category::Eof => "it ends too early",
        Category::Syntax => "it is not JSON",
        Category::Data => "it is not of a version or shape that is known",
    }
}
