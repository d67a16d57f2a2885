//! Webhook secrets of single integrations, encrypted, in a table of their own: `webhook-ingest` reads it and no tokens.
//!
//! *Invariant:* a secret opens only for its own integration and version; one that was replaced verifies for a day longer.

use std::sync::Arc;

use domain::{IntegrationId, IntegrationKey, UserId, reason::Class};
use jiff::{SignedDuration, Timestamp, fmt::serde::timestamp::millisecond};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{
    aws::{
        Aws, AwsError,
        envelope::{Context, Vault},
        secrets::Freshness,
    },
    base::{config::Env, ttl_cache::TtlCache},
    stores::{
        item::{Item, key, malformed, read, s, write},
        table::Table,
    },
};

/// How long the earlier secret verifies beside a new one. Stripe keeps signing with it for up to a day.
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);
/// How long what was read is believed, and that there is nothing: strangers can name any id.
const KEEP: SignedDuration = SignedDuration::from_secs(60);
/// What was found wrong is read again, but not more often than this.
const REREAD: SignedDuration = SignedDuration::from_secs(10);
/// Integrations in memory.
const MAX_CACHED: usize = 1_000;

/// The configuration of [`WebhookSecrets`].
#[derive(Debug, Clone)]
pub struct WebhookSecretsConfig {
    table: String,
    key: String,
    prefix: String,
}

impl WebhookSecretsConfig {
    /// The table of this name, under the KMS key of this alias; `prefix` is the stack's.
    pub fn new(table: impl Into<String>, key: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self { table: table.into(), key: key.into(), prefix: prefix.into() }
    }

    /// From the variables of a function.
    pub fn read(env: &mut Env) -> Self {
        Self {
            table: env.text("WEBHOOK_SECRETS_TABLE"),
            key: env.text("TOKEN_KEY"),
            prefix: env.text("RESOURCE_PREFIX"),
        }
    }
}

/// The table of webhook secrets, and what was read of it.
#[derive(Debug)]
pub struct WebhookSecrets {
    table: Table,
    vault: Vault,
    /// By integration id; none if the integration has no secret.
    cache: TtlCache<IntegrationId, Option<Arc<Own>>>,
}

/// The item of an integration.
#[derive(Serialize, Deserialize)]
struct Stored {
    integration_id: IntegrationId,
    user_id: UserId,
    /// See [`IntegrationKey::account`].
    integration: String,
    version: i64,
    #[serde(with = "serde_bytes")]
    data_key: Vec<u8>,
    #[serde(with = "serde_bytes")]
    current: Vec<u8>,
    previous: Option<ByteBuf>,
    #[serde(default, with = "millisecond::optional")]
    previous_until: Option<Timestamp>,
}

/// The secrets of an integration.
#[derive(Debug)]
pub struct Own {
    /// The integration that they verify deliveries for.
    pub key: IntegrationKey,
    /// All that verify, the current one first.
    pub secrets: Vec<SecretString>,
}

impl WebhookSecrets {
    /// Caches at most a thousand integrations.
    pub fn new(aws: &Aws, config: &WebhookSecretsConfig) -> Self {
        let vault = Vault::new(aws, &config.key, &config.prefix).without_rewrap();
        Self { table: Table::new(aws, &config.table), vault, cache: TtlCache::new(MAX_CACHED) }
    }

    /// Stores a secret. Another one that was there verifies for a day longer.
    pub async fn put(
        &self,
        integration: &IntegrationKey,
        secret: &SecretString,
        now: Timestamp,
    ) -> Result<(), AwsError> {
        let id = integration.id();
        let earlier = match self.table.get(item_key(&id)).await? {
            Some(item) => match self.open(item, now).await {
                Ok(own) => own.secrets.into_iter().next(),
                Err(error) => match error.reason().class() {
                    // The caller tries again: the earlier secret is still to verify for a day.
                    Class::Passing | Class::Operators | Class::Counted => return Err(error),
                    // It can never be opened, so the new secret replaces it without an overlap.
                    Class::Hopeless => {
                        let (reason, detail) = error.diagnosis().into_parts();
                        tracing::warn!(
                            integration.id = %id,
                            reason = reason.name(),
                            detail,
                            "the earlier webhook secret can't be opened"
                        );
                        None
                    }
                },
            },
            None => None,
        };
        // The same again: what is there stays, with the one before it.
        if earlier.as_ref().is_some_and(|earlier| earlier.expose_secret() == secret.expose_secret()) {
            return Ok(());
        }
        let data_key = self.vault.make(owner(integration, &id)).await?;
        let version = now.as_millisecond();
        let seal = |field, secret| data_key.seal(&aad(&id, field, version), secret);
        let previous = earlier.as_ref().map(|earlier| seal("previous", earlier)).transpose()?;
        let stored = Stored {
            user_id: integration.user_id.clone(),
            integration: integration.account(),
            version,
            current: seal("current", secret)?,
            previous_until: previous.is_some().then_some(now + OVERLAP),
            previous: previous.map(ByteBuf::from),
            data_key: data_key.wrapped,
            integration_id: id,
        };
        self.table.put(write(&stored)?).await
    }

    /// The secrets of an integration; none if it has none, or there is no such integration.
    pub async fn get(
        &self,
        id: &IntegrationId,
        freshness: Freshness,
        now: Timestamp,
    ) -> Result<Option<Arc<Own>>, AwsError> {
        let keep = if freshness == Freshness::Cached { KEEP } else { REREAD };
        if let Some(own) = self.cache.get(id, keep, now) {
            return Ok(own);
        }
        let own = match self.table.get(item_key(id)).await? {
            Some(item) => Some(Arc::new(self.open(item, now).await?)),
            None => None,
        };
        self.cache.insert(id.clone(), own.clone(), now);
        Ok(own)
    }

    /// Deletes the secrets of an integration.
    pub async fn delete(&self, id: &IntegrationId) -> Result<(), AwsError> {
        self.table.delete(item_key(id)).await
    }

    async fn open(&self, item: Item, now: Timestamp) -> Result<Own, AwsError> {
        let stored: Stored = read(item)?;
        let key = IntegrationKey::of_user(stored.user_id, &stored.integration);
        let key = key.map_err(|_| malformed("integration"))?;
        let id = key.id();
        let data_key = self.vault.open(owner(&key, &id), &stored.data_key, now).await?;
        let open = |field, sealed: &[u8]| data_key.open(&aad(&id, field, stored.version), sealed);
        let mut secrets = vec![open("current", &stored.current)?];
        if stored.previous_until.is_some_and(|until| until > now) {
            secrets.push(open("previous", &stored.previous.ok_or_else(|| malformed("previous"))?)?);
        }
        Ok(Own { key, secrets })
    }
}

fn item_key(id: &IntegrationId) -> Item {
    key([("integration_id", s(id))])
}

fn owner<'a>(key: &'a IntegrationKey, id: &'a IntegrationId) -> Context<'a> {
    Context::Integration { purpose: "webhook_secret", user_id: &key.user_id, integration_id: id }
}

fn aad(id: &IntegrationId, field: &str, version: i64) -> String {
    format!("webhook_secrets|{id}|{field}|{version}")
}
