//! Webhook secrets of single integrations, encrypted, in a table of their own: `webhook-ingest` reads it and no tokens.
//!
//! *Invariant:* a secret opens only for its own integration and version; one that was replaced verifies for a day longer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_dynamodb::{Client, primitives::Blob, types::AttributeValue};
use domain::{IntegrationKey, reason::Class};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    aws::{
        Aws, AwsError, client,
        envelope::{Owner, Vault},
        secrets::Freshness,
    },
    base::config::Env,
    stores::old::{Item, malformed, n, number, s, text},
};

/// How long the earlier secret verifies beside a new one. Stripe keeps signing with it for up to a day.
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);
/// How long what was read is believed, and that there is nothing: strangers can name any id.
const KEEP: SignedDuration = SignedDuration::from_secs(60);
/// What was found wrong is read again, but not more often than this.
const REREAD: SignedDuration = SignedDuration::from_secs(10);
/// How many are remembered.
const MAX_CACHED: usize = 1_000;

/// What [`WebhookSecrets`] are configured by.
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

    /// Reads it.
    pub fn read(env: &mut Env) -> Self {
        Self {
            table: env.text("WEBHOOK_SECRETS_TABLE"),
            key: env.text("TOKEN_KEY"),
            prefix: env.text("RESOURCE_PREFIX"),
        }
    }
}

/// The table.
#[derive(Debug)]
pub struct WebhookSecrets {
    client: Client,
    table: String,
    vault: Vault,
    cache: Mutex<HashMap<String, Known>>,
}

/// What was read of an integration, and when.
type Known = (Option<Arc<Own>>, Timestamp);

/// The secrets of an integration.
#[derive(Debug)]
pub struct Own {
    /// Whose.
    pub key: IntegrationKey,
    /// All that verify, the current one first.
    pub secrets: Vec<SecretString>,
}

impl WebhookSecrets {
    /// Makes the clients.
    pub fn new(aws: &Aws, config: &WebhookSecretsConfig) -> Self {
        let client = client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB");
        let vault = Vault::new(aws, &config.key, &config.prefix).without_rewrap();
        Self { client, table: config.table.clone(), vault, cache: Mutex::default() }
    }

    /// Stores a secret. Another one that was there verifies for a day longer.
    pub async fn put(&self, key: &IntegrationKey, secret: &SecretString, now: Timestamp) -> Result<(), AwsError> {
        let id = key.id();
        let earlier = match self.item(&id).await? {
            Some(item) => match self.open(&item, now).await {
                Ok(own) => own.secrets.into_iter().next(),
                Err(error) => match error.reason().class() {
                    // Asked again later: the earlier secret is still to verify for a day.
                    Class::Passing | Class::Operators | Class::Counted => return Err(error),
                    // It can never be opened: all the more reason to replace it.
                    Class::Hopeless => {
                        let (reason, detail) = (error.reason().name(), error.diagnosis().detail);
                        tracing::warn!(
                            integration.id = id.as_str(),
                            reason,
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
        let data_key = self.vault.make(owner(key, &id)).await?;
        let version = now.as_millisecond();
        let seal = |field, secret| {
            let sealed = data_key.seal(&aad(&id, field, version), secret)?;
            Ok::<_, AwsError>(AttributeValue::B(Blob::new(sealed)))
        };
        let mut item = Item::from(
            [
                ("integration_id", s(&id)),
                ("user_id", s(&key.user_id)),
                ("integration", s(key.account())),
                ("version", n(version)),
                ("data_key", AttributeValue::B(Blob::new(data_key.wrapped.clone()))),
                ("current", seal("current", secret)?),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        if let Some(earlier) = &earlier {
            item.insert("previous".to_owned(), seal("previous", earlier)?);
            item.insert("previous_until".to_owned(), n((now + OVERLAP).as_millisecond()));
        }
        let call = self.client.put_item().table_name(&self.table).set_item(Some(item));
        call.send().await.map_err(|error| AwsError::new("dynamodb:PutItem", error))?;
        Ok(())
    }

    /// The secrets of an integration; none if it has none, or there is no such integration.
    pub async fn get(&self, id: &str, freshness: Freshness, now: Timestamp) -> Result<Option<Arc<Own>>, AwsError> {
        let keep = if freshness == Freshness::Cached { KEEP } else { REREAD };
        let cached = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if let Some((own, read_at)) = cached
            && now.duration_since(read_at) < keep
        {
            return Ok(own);
        }
        let own = match self.item(id).await? {
            Some(item) => Some(Arc::new(self.open(&item, now).await?)),
            None => None,
        };
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= MAX_CACHED {
            cache.retain(|_, (_, read_at)| now.duration_since(*read_at) < REREAD);
        }
        if cache.len() < MAX_CACHED {
            cache.insert(id.to_owned(), (own.clone(), now));
        }
        Ok(own)
    }

    /// Deletes the secrets of an integration.
    pub async fn delete(&self, id: &str) -> Result<(), AwsError> {
        let call = self.client.delete_item().table_name(&self.table).key("integration_id", s(id));
        call.send().await.map_err(|error| AwsError::new("dynamodb:DeleteItem", error))?;
        Ok(())
    }

    async fn item(&self, id: &str) -> Result<Option<Item>, AwsError> {
        let call = self.client.get_item().table_name(&self.table).key("integration_id", s(id)).consistent_read(true);
        let output = call.send().await.map_err(|error| AwsError::new("dynamodb:GetItem", error))?;
        Ok(output.item)
    }

    async fn open(&self, item: &Item, now: Timestamp) -> Result<Own, AwsError> {
        let key = IntegrationKey::parse(text(item, "user_id")?, text(item, "integration")?);
        let key = key.map_err(|_| malformed("integration"))?;
        let id = key.id();
        let version = number(item, "version")?;
        let bytes = |name: &str| {
            let bytes = item.get(name).and_then(|value| value.as_b().ok()).map(AsRef::as_ref);
            bytes.ok_or_else(|| malformed(name))
        };
        let data_key = self.vault.open(owner(&key, &id), bytes("data_key")?, now).await?;
        let mut secrets = vec![data_key.open(&aad(&id, "current", version), bytes("current")?)?];
        if number::<i64>(item, "previous_until").is_ok_and(|until| until > now.as_millisecond()) {
            secrets.push(data_key.open(&aad(&id, "previous", version), bytes("previous")?)?);
        }
        Ok(Own { key, secrets })
    }
}

fn owner<'a>(key: &'a IntegrationKey, id: &'a str) -> Owner<'a> {
    Owner { purpose: "webhook_secret", user_id: &key.user_id, integration_id: id }
}

fn aad(id: &str, field: &str, version: i64) -> String {
    format!("webhook_secrets|{id}|{field}|{version}")
}
