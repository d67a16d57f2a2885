//! `token-refresh`: refreshes the credentials that expire soon.
//!
//! *Invariant:* a sweep reads keys only, and costs what is due. What a refresh may do is decided under its lease.

mod credential;
mod sweep;

use std::sync::Arc;

use domain::{
    Disposition,
    messages::message::{RefreshMessage, Schedule},
    reason::Class,
};
use lambda_runtime::LambdaEvent;
use platform::{
    Aws, AwsError,
    aws::queue::Queue,
    base::{InitError, clock, config::Env, metrics},
    client::{CallError, ClientConfig, Grants, Parts, ProviderClient},
    runtime::{
        batch::{Batch, BatchResponse},
        consumer::{Attempt, Consumer, Handler, deadline},
    },
    stores::{credentials::Credentials, due::Due, integrations::Integrations},
};
use providers::Registry;
use serde::{Deserialize, Serialize};

/// Refreshes of a batch at a time.
const CONCURRENCY: usize = 4;

/// The settings that template.yaml gives the function.
#[derive(Debug)]
pub struct Config {
    client: ClientConfig,
    credentials_table: String,
    refreshes_queue_url: String,
    refreshes_dead_letter_queue_url: String,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        env.compared(&["REFRESH_TIMEOUT_SECONDS", "REFRESHES_VISIBILITY_SECONDS"]);
        Self {
            client: ClientConfig::read(env),
            credentials_table: env.text("CREDENTIALS_TABLE"),
            refreshes_queue_url: env.text("REFRESHES_QUEUE_URL"),
            refreshes_dead_letter_queue_url: env.text("REFRESHES_DEAD_LETTER_QUEUE_URL"),
        }
    }
}

#[derive(Debug)]
pub struct TokenRefresh {
    registry: Registry,
    client: Arc<ProviderClient>,
    grants: Grants,
    credentials: Arc<Credentials>,
    integrations: Integrations,
    consumer: Consumer,
    due: Due,
    refreshes: Queue,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Trigger {
    /// A schedule of template.yaml.
    Schedule { schedule: Schedule },
    /// Credentials to refresh.
    Batch(Batch),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    Sweep {
        /// How many refreshes were sent.
        sent: usize,
    },
    Batch(BatchResponse),
}

impl TokenRefresh {
    pub fn new(aws: &Aws, config: &Config, registry: Registry) -> Result<Self, InitError> {
        let refreshes = Queue::new(aws, &config.refreshes_queue_url);
        let dead_letters = Queue::new(aws, &config.refreshes_dead_letter_queue_url);
        let Parts { client, grants, credentials, integrations, .. } =
            config.client.parts(aws, |limit| registry.has_limit(limit))?;
        Ok(Self {
            registry,
            client,
            grants,
            credentials,
            integrations,
            consumer: Consumer::new(refreshes.clone(), dead_letters, CONCURRENCY),
            due: Due::refreshes(aws, &config.credentials_table),
            refreshes,
        })
    }

    pub async fn handle(&self, event: LambdaEvent<Trigger>) -> Result<Answer, AwsError> {
        let (trigger, context) = (event.payload, event.context);
        match trigger {
            Trigger::Batch(batch) => {
                let response = self.consumer.run(self, LambdaEvent { payload: batch, context }).await;
                self.client.flush().await;
                Ok(Answer::Batch(response))
            }
            Trigger::Schedule { schedule } => {
                let sent = self.sweep(deadline(&context, clock::now())).await?;
                tracing::info!(?schedule, sent, "swept");
                metrics::schedule_done(schedule);
                Ok(Answer::Sweep { sent })
            }
        }
    }
}

impl Handler for TokenRefresh {
    type Message<'a> = RefreshMessage;

    async fn handle(&self, message: Self::Message<'_>, attempt: &Attempt) -> Disposition {
        tracing::Span::current().record("integration.id", message.integration_id.as_str());
        let why = match self.refresh(&message, attempt).await {
            // Disconnected since: nothing to refresh, and nothing may be revived.
            Ok(()) | Err(CallError::NotConnected) => return Disposition::Done,
            Err(CallError::Corrupt(error)) => return self.set_aside(&message, attempt, &error, true).await,
            Err(CallError::Aws(error)) if error.reason().class() == Class::Hopeless => {
                return self.set_aside(&message, attempt, &error, false).await;
            }
            // The sweep finds it again when it is due, so nothing is deferred here.
            Err(CallError::Failed(failure, _)) => failure.diagnosis("the provider"),
            Err(CallError::Aws(error)) => error.diagnosis(),
        };
        let (reason, detail) = why.into_parts();
        tracing::warn!(reason = reason.name(), detail, "not refreshed");
        metrics::operator_failure(reason);
        Disposition::Done
    }
}
