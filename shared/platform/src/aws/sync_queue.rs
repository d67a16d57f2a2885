//! The queues `syncs` and `long-syncs`: every function that wants a sync sends a message to one of them.

use std::time::Duration;

use domain::messages::message::SyncMessage;

use crate::aws::{
    Aws, AwsError,
    queue::{Queue, QueueMessage, group},
};

/// Sends to one of the queues.
#[derive(Debug, Clone)]
pub struct SyncQueue(Queue);

impl SyncQueue {
    /// The queue of this URL.
    pub fn new(aws: &Aws, url: impl Into<String>) -> Self {
        Self(Queue::new(aws, url))
    }

    /// Sends a message that SQS delivers after this long, at most 15 minutes.
    pub async fn send(&self, message: &SyncMessage, delay: Duration) -> Result<(), AwsError> {
        self.0.send_after(&body(message)?, &group(message.key.user_id.as_str()), delay).await
    }

    /// Sends many messages, for delivery at once.
    pub async fn send_all<'m>(&self, messages: impl IntoIterator<Item = &'m SyncMessage>) -> Result<(), AwsError> {
        let messages = messages.into_iter().map(|message| in_queue(message, Duration::ZERO));
        self.0.send_all(&messages.collect::<Result<Vec<_>, _>>()?).await
    }

    /// Sends as many messages as one call takes ([`MAX_BATCH`](crate::aws::queue::MAX_BATCH)), each for delivery after its own delay.
    pub async fn send_batch(&self, messages: &[(SyncMessage, Duration)]) -> Result<(), AwsError> {
        let messages = messages.iter().map(|(message, delay)| in_queue(message, *delay));
        self.0.send_batch(&messages.collect::<Result<Vec<_>, _>>()?).await
    }
}

/// Sends each message to the queue that [it belongs into](SyncMessage::is_long).
#[derive(Debug, Clone)]
pub struct SyncQueues {
    short: SyncQueue,
    long: SyncQueue,
}

impl SyncQueues {
    /// The queues of these URLs: `syncs`, and `long-syncs`.
    pub fn new(aws: &Aws, short_url: impl Into<String>, long_url: impl Into<String>) -> Self {
        Self { short: SyncQueue::new(aws, short_url), long: SyncQueue::new(aws, long_url) }
    }

    /// See [`SyncQueue::send`].
    pub async fn send(&self, message: &SyncMessage, delay: Duration) -> Result<(), AwsError> {
        let queue = if message.is_long() { &self.long } else { &self.short };
        queue.send(message, delay).await
    }

    /// See [`SyncQueue::send_all`].
    pub async fn send_all(&self, messages: &[SyncMessage]) -> Result<(), AwsError> {
        for (queue, long) in [(&self.short, false), (&self.long, true)] {
            let messages = messages.iter().filter(|message| message.is_long() == long);
            queue.send_all(messages).await?;
        }
        Ok(())
    }
}

fn in_queue(message: &SyncMessage, delay: Duration) -> Result<QueueMessage, AwsError> {
    Ok(QueueMessage { body: body(message)?, tenant: group(message.key.user_id.as_str()), delay })
}

fn body(message: &SyncMessage) -> Result<String, AwsError> {
    serde_json::to_string(message).map_err(|error| AwsError::unwritable("message", error))
}
