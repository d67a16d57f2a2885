//! `token-refresh`: refreshes the credentials that expire soon.
//!
//! *Invariant:* a sweep reads keys only, and costs what is due. What a refresh may do is decided under its lease.

use std::{sync::Arc, time::Duration};

use domain::{
    Diagnosis, Disposition, Failure, Integration, IntegrationId, IntegrationKey,
    integration::{IntegrationState, spell::Task},
    messages::message::{CredentialName, EnvelopeVersion, RefreshMessage, Schedule},
    provider_api::ProviderApi,
    reason::Class,
    sync::outcome::SyncFailure,
};
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use platform::{
    Aws, AwsError,
    aws::queue::{Queue, QueueMessage, group},
    base::{InitError, clock, config::Env, metrics},
    client::{
        CallError, ClientConfig, Grants, Parts, ProviderClient, Refresh, StoredCredential,
        revocation::{Family, Revoked},
    },
    runtime::{
        batch::{Batch, BatchResponse},
        consumer::{Attempt, Consumer, Handler, deadline},
    },
    stores::{
        credentials::{Credential, Credentials, GRACE},
        due::{Due, SHARDS},
        integrations::Integrations,
    },
};
use providers::Registry;
use serde::{Deserialize, Serialize};

/// The time between two sweeps, in seconds: the schedule's.
const SWEEP: i64 = 300;
/// Left of the invocation's time when a sweep ends.
const MARGIN: Duration = Duration::from_secs(5);
/// Refreshes of a batch at a time.
const CONCURRENCY: usize = 4;

/// What template.yaml sets.
#[derive(Debug)]
pub struct Config {
    client: ClientConfig,
    credentials_table: String,
    refreshes_queue_url: String,
    refreshes_dead_letter_queue_url: String,
}

impl Config {
    /// Reads it.
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

/// The function.
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

    /// Handles a trigger.
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
                Ok(Answer::Sweep { sent })
            }
        }
    }

    /// Sends what is due, shard by shard, as far as the time goes. What is left is due at the next sweep, which begins with
    /// another shard. A shard that fails stops no other.
    async fn sweep(&self, deadline: Timestamp) -> Result<usize, AwsError> {
        let (mut sent, mut failed) = (0, Ok(()));
        let began_at = clock::now();
        let first = u32::try_from(began_at.as_second() / SWEEP).unwrap_or_default();
        for shard in (0..SHARDS).map(|step| (first % SHARDS + step) % SHARDS) {
            let now = clock::now();
            if now + MARGIN >= deadline {
                tracing::warn!(sent, "the rest waits for the next sweep");
                break;
            }
            match self.shard(shard, now).await {
                Ok(count) => sent += count,
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed.map(|()| sent)
    }

    /// Sends what is due in one shard. An item that can't be read stops no other.
    async fn shard(&self, shard: u32, now: Timestamp) -> Result<usize, AwsError> {
        let due = self.due.shard(shard, Some(now)).await?;
        let (mut messages, mut failed) = (Vec::new(), Ok(()));
        for key in due.keys {
            match message(key) {
                Ok(message) => messages.push(message),
                Err(error) => failed = Err(error),
            }
        }
        let count = messages.len();
        self.refreshes.send_all(&messages).await?;
        failed.map(|()| count)
    }
}

/// The body and the message group for a key of the index.
fn message([integration_id, credential]: [String; 2]) -> Result<QueueMessage, AwsError> {
    let malformed = |name: &str| AwsError::Malformed(name.to_owned());
    let integration_id = IntegrationId::parse(integration_id).map_err(|_| malformed("integration_id"))?;
    let credential = CredentialName::parse(credential).map_err(|_| malformed("credential"))?;
    let tenant = group(integration_id.as_str());
    let message = RefreshMessage { v: EnvelopeVersion, integration_id, credential };
    let body = serde_json::to_string(&message).map_err(|error| AwsError::unwritable("message", error))?;
    Ok(QueueMessage { body, tenant })
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
        let Diagnosis { reason, detail } = why;
        tracing::warn!(reason = reason.name(), detail, "not refreshed");
        metrics::operator_failure(reason);
        Disposition::Done
    }
}

impl TokenRefresh {
    /// A credential that can't be refreshed for good is never due again. If it is `unreadable`, and the one that calls are made
    /// with, its user is asked to connect again.
    async fn set_aside(
        &self,
        message: &RefreshMessage,
        attempt: &Attempt,
        error: &AwsError,
        unreadable: bool,
    ) -> Disposition {
        let set_aside = async {
            let owner = self.credentials.set_aside(&message.integration_id, &message.credential).await?;
            let Some(owner) = owner.filter(|_| unreadable) else { return Ok(()) };
            let api = self.registry.find(&owner.provider).map(|provider| provider.spec().provider_api());
            match api.filter(|api| message.credential == api.credential) {
                Some(api) => self.grants.set_aside(&api, &owner).await,
                None => Ok(()),
            }
        };
        // What keeps it from being set aside decides whether the message comes back.
        let failed = set_aside.await.err();
        attempt.failed(failed.as_ref().unwrap_or(error).diagnosis())
    }

    async fn refresh(&self, message: &RefreshMessage, attempt: &Attempt) -> Result<(), CallError> {
        let found = self.credentials.get(&message.integration_id, &message.credential, attempt.at).await?;
        let Credential { integration: owner, version, .. } = found.ok_or(CallError::NotConnected)?;
        let integration = self.integrations.get(&owner.user_id, &owner.account()).await?;
        let Some(integration) = integration.filter(|it| it.state != IntegrationState::Disconnected) else {
            self.abandoned(&owner, attempt.at).await?;
            return Err(CallError::NotConnected);
        };
        let Some(provider) = self.registry.find(&owner.provider) else {
            return self.never_due(message, "the provider is not there any more").await;
        };
        let api = provider.spec().provider_api();
        let stored = StoredCredential { integration: &owner, name: &message.credential, holder: &attempt.id };
        let refreshed = self.client.credential(&api, stored, Refresh::Due, attempt.deadline).await;
        // Without tokens of users, say, the rest still works.
        if message.credential == api.credential {
            match &refreshed {
                Err(CallError::Failed(Failure::GrantEnded, _)) => {
                    self.grants.end(api.name, &owner, attempt.at).await?;
                }
                Err(CallError::Failed(failure, _)) => self.failing(&api, &integration, failure).await?,
                Ok(_) => self.grants.report(&api, &integration, Task::Refreshes, &Ok(())).await?,
                Err(CallError::NotConnected | CallError::Corrupt(_) | CallError::Aws(_)) => {}
            }
        }
        let left = refreshed?;
        let known = api.oauth.is_some_and(|oauth| oauth.tokens.iter().any(|it| message.credential == it.name));
        if left.refresh.is_none() || !known {
            return self.never_due(message, "nothing refreshes it").await;
        }
        // Another message, or a call, may have been faster.
        let told = if left.version == version { "no refresh: the token is not due any more" } else { "refreshed" };
        tracing::info!(service = api.id, "{told}");
        Ok(())
    }

    /// Records that a refresh failed, and when it is tried again. That another process holds the lease is no failure.
    async fn failing(&self, api: &ProviderApi, integration: &Integration, failure: &Failure) -> Result<(), CallError> {
        let (now, id) = (clock::now(), integration.key.id());
        let found = self.credentials.get(&id, api.credential, now).await?;
        let Some(found) = found.filter(|it| it.failures > 0) else { return Ok(()) };
        let message = failure.problem(api.name, now).message;
        let outcome = Err(SyncFailure { message, next_try: found.due_at });
        Ok(self.grants.report(api, integration, Task::Refreshes, &outcome).await?)
    }

    /// Revokes and deletes the credentials of an integration that is not in use: what a process left that died between storing them
    /// and the integration, or between ending the one and the others, or that AWS failed there. A newer grant stays, as another
    /// process may be in the middle of storing it.
    async fn abandoned(&self, owner: &IntegrationKey, now: Timestamp) -> Result<(), AwsError> {
        let (id, before) = (owner.id(), now - GRACE);
        let mut opened = self.credentials.all(&id, now).await?;
        opened.credentials.retain(|it| it.granted_at <= before);
        if opened.credentials.is_empty() && !opened.unreadable {
            return Ok(());
        }
        // The user may have connected it again meanwhile, and the provider may have given the same token again.
        let integration = self.integrations.get(&owner.user_id, &owner.account()).await?;
        if integration.is_some_and(|it| it.state != IntegrationState::Disconnected) {
            return Ok(());
        }
        let revoked = match self.registry.find(&owner.provider) {
            Some(provider) => {
                let sharing: Vec<_> = self.registry.sharing(provider.spec()).map(|other| other.id).collect();
                let family = Family { provider: &provider.spec().provider_api(), sharing: &sharing };
                self.grants.revoke(family, owner, &opened).await?
            }
            None => Revoked::Nothing,
        };
        self.credentials.delete(&id, before).await?;
        tracing::info!(integration.id = id.as_str(), ?revoked, "deleted: no integration in use has it");
        Ok(())
    }

    /// Takes a credential that nothing can refresh out of the index, where each sweep would find it again. One without a refresh
    /// token comes here once, after it was stored.
    async fn never_due(&self, message: &RefreshMessage, why: &str) -> Result<(), CallError> {
        self.credentials.set_aside(&message.integration_id, &message.credential).await?;
        tracing::info!(credential = message.credential.as_str(), why, "never refreshed");
        Ok(())
    }
}
