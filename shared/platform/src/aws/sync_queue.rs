//! The queue `syncs`: asking for a sync, from wherever.

use std::time::Duration;

use domain::{
    IntegrationKey,
    messages::message::{Cause, SyncMessage},
    sync::SyncJob,
};
use jiff::Timestamp;

use crate::aws::{
    Aws, AwsError,
    queue::{Queue, group},
};

/// The queue.
#[derive(Debug, Clone)]
pub struct SyncQueue(Queue);

impl SyncQueue {
    /// The queue of this URL.
    pub fn new(aws: &Aws, url: impl Into<String>) -> Self {
        Self(Queue::new(aws, url))
    }

    /// Asks for a sync, of which nobody hears before this long.
    pub async fn ask(
        &self,
        key: &IntegrationKey,
        kind: SyncJob,
        asked_at: Timestamp,
        delay: Duration,
    ) -> Result<(), AwsError> {
        self.send(&SyncMessage::new(key, kind, Cause::Asked, asked_at), delay).await
    }

    /// Sends a message.
    pub async fn send(&self, message: &SyncMessage, delay: Duration) -> Result<(), AwsError> {
        self.0.send_after(&body(message)?, &group(&message.key.user_id), delay).await
    }

    /// Sends many.
    pub async fn send_all(&self, messages: &[SyncMessage]) -> Result<(), AwsError> {
        let bodies = messages.iter().map(|message| Ok((body(message)?, group(&message.key.user_id))));
        self.0.send_all(bodies.collect::<Result<_, AwsError>>()?).await
    }
}

fn body(message: &SyncMessage) -> Result<String, AwsError> {
    serde_json::to_string(message).map_err(|error| AwsError::unwritable("message", error))
}
