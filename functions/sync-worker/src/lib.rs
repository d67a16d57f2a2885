//! `sync-worker`: runs one sync of one integration.
//!
//! No provider has a stream that can be synced yet: a sync of a connected integration is dead-lettered with that reason.

use std::convert::Infallible;

use domain::{Disposition, integration::State, message::SyncMessage};
use lambda_runtime::LambdaEvent;
use platform::{
    Aws,
    config::Env,
    integrations::Integrations,
    queue::{Attempt, Batch, BatchResponse, Consumer, Handler, Queue},
};

/// What template.yaml sets.
#[derive(Debug)]
pub struct Config {
    integrations_table: String,
    syncs_queue_url: String,
    syncs_dead_letter_queue_url: String,
}

impl Config {
    /// Reads it.
    pub fn read(env: &mut Env) -> Self {
        Self {
            integrations_table: env.text("INTEGRATIONS_TABLE"),
            syncs_queue_url: env.text("SYNCS_QUEUE_URL"),
            syncs_dead_letter_queue_url: env.text("SYNCS_DEAD_LETTER_QUEUE_URL"),
        }
    }
}

/// The function.
#[derive(Debug)]
pub struct SyncWorker {
    consumer: Consumer,
    integrations: Integrations,
}

impl SyncWorker {
    /// Makes the clients.
    pub fn new(aws: &Aws, config: &Config) -> Self {
        let dead_letters = Queue::new(aws, &config.syncs_dead_letter_queue_url);
        Self {
            consumer: Consumer::new(Queue::new(aws, &config.syncs_queue_url), dead_letters, 1),
            integrations: Integrations::new(aws, &config.integrations_table),
        }
    }

    /// Handles a batch.
    pub async fn handle(&self, event: LambdaEvent<Batch>) -> Result<BatchResponse, Infallible> {
        Ok(self.consumer.run(self, event).await)
    }
}

impl Handler for SyncWorker {
    type Message<'a> = SyncMessage;

    async fn handle(&self, message: Self::Message<'_>, attempt: &Attempt) -> Disposition {
        match self.integrations.get(&message.user_id, &message.integration).await {
            Ok(Some(integration)) if integration.state == State::Connected => {
                Disposition::DeadLetter(format!("{} has no stream that can be synced yet", integration.key.provider))
            }
            // Disconnected since the sync was asked for: nothing to do, and nothing may be revived.
            Ok(_) => {
                tracing::info!(sync.r#type = ?message.r#type, "not connected");
                Disposition::Done
            }
            Err(error) => {
                tracing::warn!(%error, "will be tried again");
                attempt.defer()
            }
        }
    }
}
