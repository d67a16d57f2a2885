//! The embedded SQS: standard queues in memory, behind the protocol of the SDKs (AWS JSON 1.0).
//!
//! It has the actions that the project uses, and behaves in them as AWS documents: visibility, delays, long polls,
//! fair queues, dead-letter queues and redrive. What it doesn't have, it refuses.
//! *Invariant:* all state is behind one lock that is never held across an await.
//!
//! Why not `rustack-sqs-core` (0.12.0): it refuses `MessageGroupId` on standard queues, which fair queues need.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tokio::sync::Notify;
use uuid::Uuid;

pub use self::clock::Clock;
use self::queue::Queue;

mod actions;
mod attributes;
mod clock;
mod fault;
mod message;
mod queue;
mod receipt;
mod receive;
mod redrive;
mod settings;
mod wire;

/// A full batch with every character escaped and the attributes in Base64, in bytes.
const MAX_REQUEST: usize = 8 * settings::MAX_BYTES;

/// The embedded SQS of one account in one region. Clones are the same SQS.
#[derive(Debug, Clone)]
pub struct Sqs {
    shared: Arc<Shared>,
}

/// How many messages a queue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDepth {
    pub name: String,
    /// Messages that a receive would get now.
    pub visible: usize,
    /// Messages that were received and neither deleted nor visible again.
    pub in_flight: usize,
    /// Messages that wait for their delay to end.
    pub delayed: usize,
    /// Messages that came so far.
    pub sent: u64,
    /// Deliveries of messages to receivers so far.
    pub received: u64,
    /// The age of the oldest message that is visible or in flight.
    pub oldest: Option<Duration>,
}

type Queues = BTreeMap<String, Queue>;

#[derive(Debug)]
struct Shared {
    base_url: String,
    arn_prefix: String,
    account: String,
    clock: Clock,
    queues: Mutex<Queues>,
    /// Notified whenever a message may have become visible.
    changed: Notify,
}

impl Sqs {
    /// An SQS without queues, at `base_url` (such as `http://127.0.0.1:4566`, which becomes part of queue URLs).
    pub fn new(mut base_url: String, region: &str, account: &str) -> Self {
        base_url.truncate(base_url.trim_end_matches('/').len());
        let shared = Shared {
            base_url,
            arn_prefix: format!("arn:aws:sqs:{region}:{account}:"),
            account: account.to_owned(),
            clock: Clock::default(),
            queues: Mutex::default(),
            changed: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Answers the protocol on every path.
    pub fn router(self) -> Router {
        Router::new().fallback(answer).layer(DefaultBodyLimit::max(MAX_REQUEST)).with_state(self)
    }

    /// Skips `time`: delays, visibility timeouts, retention and long polls are that much further on.
    pub fn advance(&self, time: Duration) {
        self.shared.clock.advance(time);
        self.shared.changed.notify_waiters();
    }

    /// The clock that [`advance`](Self::advance) moves.
    pub fn clock(&self) -> Clock {
        self.shared.clock.clone()
    }

    /// The depth of every queue, by name.
    pub fn depths(&self) -> Vec<QueueDepth> {
        let now = self.shared.clock.now();
        let mut queues = self.queues();
        let depths = queues.values_mut().map(|queue| {
            let queue::Depth { visible, in_flight, delayed, sent, received, oldest } = queue.depth(now);
            QueueDepth { name: queue.name.clone(), visible, in_flight, delayed, sent, received, oldest }
        });
        depths.collect()
    }

    /// The URL of the queue with this name, whether it exists or not.
    pub fn queue_url(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.shared.base_url, self.shared.account)
    }

    /// The ARN of the queue with this name, whether it exists or not.
    pub fn queue_arn(&self, name: &str) -> String {
        format!("{}{name}", self.shared.arn_prefix)
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(sqs): State<Sqs>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let reply = |status: StatusCode, body: &Value| {
        let request_id = Uuid::new_v4().to_string();
        let headers = [(CONTENT_TYPE.as_str(), "application/x-amz-json-1.0"), ("x-amzn-requestid", &request_id)];
        (status, headers, body.to_string()).into_response()
    };
    match sqs.call(target, &body).await {
        Ok(body) => reply(StatusCode::OK, &body),
        Err(fault) => {
            let code = [("x-amzn-query-error", format!("{};Sender", fault.code()))];
            (code, reply(fault.status(), &fault.body())).into_response()
        }
    }
}

#[cfg(test)]
mod tests;
