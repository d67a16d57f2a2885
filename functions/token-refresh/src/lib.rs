//! `token-refresh`: refreshes the credentials that expire soon.
//!
//! No credential can be stored yet, so a sweep finds none; a message that asks for one is dead-lettered with that reason.

use domain::{
    Disposition,
    message::{RefreshMessage, Schedule, Version},
};
use lambda_runtime::{Error, LambdaEvent};
use platform::{
    Aws, AwsError, clock,
    config::Env,
    due::{Due, SHARDS},
    queue::{Attempt, Batch, BatchResponse, Consumer, Handler, Queue, group},
};
use serde::{Deserialize, Serialize};

/// What template.yaml sets.
#[derive(Debug)]
pub struct Config {
    credentials_table: String,
    refreshes_queue_url: String,
    refreshes_dead_letter_queue_url: String,
}

impl Config {
    /// Reads it.
    pub fn read(env: &mut Env) -> Self {
        Self {
            credentials_table: env.text("CREDENTIALS_TABLE"),
            refreshes_queue_url: env.text("REFRESHES_QUEUE_URL"),
            refreshes_dead_letter_queue_url: env.text("REFRESHES_DEAD_LETTER_QUEUE_URL"),
        }
    }
}

/// The function.
#[derive(Debug)]
pub struct TokenRefresh {
    consumer: Consumer,
    due: Due,
    refreshes: Queue,
}

/// What starts it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Trigger {
    /// A schedule of template.yaml.
    Schedule {
        /// Which.
        schedule: Schedule,
    },
    /// Credentials to refresh.
    Batch(Batch),
}

/// What it answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To a schedule.
    Sweep {
        /// How many refreshes were sent.
        sent: usize,
    },
    /// To a batch.
    Batch(BatchResponse),
}

impl TokenRefresh {
    /// Makes the clients.
    pub fn new(aws: &Aws, config: &Config) -> Self {
        let refreshes = Queue::new(aws, &config.refreshes_queue_url);
        let dead_letters = Queue::new(aws, &config.refreshes_dead_letter_queue_url);
        Self {
            consumer: Consumer::new(refreshes.clone(), dead_letters, 1),
            due: Due::refreshes(aws, &config.credentials_table),
            refreshes,
        }
    }

    /// Handles a trigger.
    pub async fn handle(&self, event: LambdaEvent<Trigger>) -> Result<Answer, Error> {
        let (trigger, context) = (event.payload, event.context);
        match trigger {
            Trigger::Batch(batch) => {
                Ok(Answer::Batch(self.consumer.run(self, LambdaEvent { payload: batch, context }).await))
            }
            Trigger::Schedule { schedule } => {
                let sent = self.sweep().await?;
                tracing::info!(?schedule, sent, "swept");
                Ok(Answer::Sweep { sent })
            }
        }
    }

    async fn sweep(&self) -> Result<usize, AwsError> {
        let mut sent = 0;
        for shard in 0..SHARDS {
            let due = self.due.shard(shard, clock::now()).await?;
            let messages = due.into_iter().map(|[integration_id, credential]| {
                let tenant = group(&integration_id);
                let message = RefreshMessage { v: Version, integration_id, credential };
                let body = serde_json::to_string(&message);
                Ok((body.map_err(|error| AwsError::answer("message", error.to_string()))?, tenant))
            });
            let messages = messages.collect::<Result<Vec<_>, AwsError>>()?;
            sent += messages.len();
            self.refreshes.send_all(messages).await?;
        }
        Ok(sent)
    }
}

impl Handler for TokenRefresh {
    type Message<'a> = RefreshMessage;

    async fn handle(&self, message: Self::Message<'_>, _attempt: &Attempt) -> Disposition {
        Disposition::DeadLetter(format!("integration {} has no stored credential", message.integration_id))
    }
}
