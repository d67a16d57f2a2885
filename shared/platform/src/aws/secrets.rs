//! Secrets Manager, cached in memory for a bounded time.
//!
//! *Invariant:* a secret's text lives only in [`SecretString`]s, and a failed reading is never an empty secret.

use std::{sync::Arc, time::Duration};

use aws_sdk_secretsmanager::Client;
use domain::{AccountId, secret};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    aws::{Aws, AwsError, UnusableSecret, client},
    base::ttl_cache::TtlCache,
};

/// A secret that was found to be wrong is read again, but not more often than this.
const REREAD: SignedDuration = SignedDuration::from_secs(10);
/// Secrets in memory: more than there are providers.
const MAX_CACHED: usize = 100;

/// What a secret holds, as its JSON stands for it.
pub trait Stored: Sized {
    /// The form of the JSON.
    type Form: DeserializeOwned;

    /// Makes it of that form, without the white space around its values.
    fn of(form: Self::Form) -> Result<Self, UnusableSecret>;
}

/// Reads secrets of the shape `T` under one prefix.
#[derive(Debug)]
pub struct Secrets<T> {
    client: Client,
    prefix: String,
    keep: SignedDuration,
    /// By name. An entry's time is that of the latest attempt to read it.
    cache: TtlCache<String, Known<T>>,
}

/// A secret, and when it was read.
#[derive(Debug)]
struct Known<T> {
    value: Arc<T>,
    read_at: Timestamp,
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), read_at: self.read_at }
    }
}

/// A provider's app, as `{prefix}/{provider}` holds it.
#[derive(Debug, Default)]
pub struct App {
    /// The OAuth client identifier (RFC 6749, 2.2).
    pub client_id: String,
    /// The OAuth client secret.
    pub client_secret: SecretString,
    /// Secrets that verify its deliveries; several while one is being replaced.
    pub webhook_secrets: Vec<SecretString>,
    /// The account that events belong to when they don't name one.
    pub account_id: Option<AccountId>,
    /// Google: the topic that mailboxes report to.
    pub pubsub_topic: Option<String>,
    /// Google: a push must carry a token of this service account.
    pub push_service_account: Option<String>,
    /// Google: the audience of that token.
    pub push_audience: Option<String>,
}

/// The JSON of an [`App`].
#[derive(Deserialize)]
pub struct StoredApp {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    client_secret: SecretString,
    #[serde(default)]
    webhook_secrets: Vec<SecretString>,
    account_id: Option<String>,
    pubsub_topic: Option<String>,
    push_service_account: Option<String>,
    push_audience: Option<String>,
}

/// How old a cached secret may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// As old as the configuration allows.
    Cached,
    /// As new as possible: what is cached was found wrong. Rate limited, as strangers can cause it.
    Reread,
}

impl Stored for App {
    type Form = StoredApp;

    /// What is not set up yet is empty in the template, so only a webhook secret may not be.
    fn of(form: StoredApp) -> Result<Self, UnusableSecret> {
        let read = |field, text: &str| {
            let read = if text.trim().is_empty() { Ok("") } else { secret::read(text) };
            read.map(str::to_owned).map_err(|source| UnusableSecret::Value { field, source })
        };
        let optional = |field, text: Option<String>| text.map(|text| read(field, &text)).transpose();
        let account_id = optional("account_id", form.account_id)?.filter(|id| !id.is_empty());
        let account_id = account_id.map(AccountId::parse).transpose();
        let webhook_secrets =
            form.webhook_secrets.iter().map(|text| secret::read_chosen(text.expose_secret()).map(Into::into));
        Ok(Self {
            client_id: read("client_id", &form.client_id)?,
            client_secret: read("client_secret", form.client_secret.expose_secret())?.into(),
            webhook_secrets: webhook_secrets
                .collect::<Result<_, _>>()
                .map_err(|source| UnusableSecret::Value { field: "webhook_secrets", source })?,
            account_id: account_id.map_err(|source| UnusableSecret::Id { field: "account_id", source })?,
            pubsub_topic: optional("pubsub_topic", form.pubsub_topic)?,
            push_service_account: optional("push_service_account", form.push_service_account)?,
            push_audience: optional("push_audience", form.push_audience)?,
        })
    }
}

impl<T: Stored> Secrets<T> {
    /// Secrets named `{prefix}/…`, kept for `keep`.
    pub fn new(aws: &Aws, prefix: impl Into<String>, keep: Duration) -> Self {
        let client = client!(aws, aws_sdk_secretsmanager, "AWS_ENDPOINT_URL_SECRETS_MANAGER");
        let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
        Self { client, prefix: prefix.into(), keep, cache: TtlCache::new(MAX_CACHED) }
    }

    /// The secret `{prefix}/{name}`.
    pub async fn get(&self, name: &str, freshness: Freshness, now: Timestamp) -> Result<Arc<T>, AwsError> {
        if let Some((known, tried_at)) = self.cache.any(name) {
            let (since, keep) = match freshness {
                Freshness::Cached => (known.read_at, self.keep),
                Freshness::Reread => (tried_at, REREAD),
            };
            if now.duration_since(since) < keep {
                return Ok(known.value);
            }
        }
        let known = match (self.read(name).await, self.cache.any(name)) {
            (Ok(value), _) => Known { value: Arc::new(value), read_at: now },
            // A stranger's bad signature must not become our outage: what is known still tells right from wrong.
            (Err(error), Some((known, _))) if freshness == Freshness::Reread => {
                tracing::warn!(
                    reason = error.reason().name(),
                    detail = error.diagnosis().detail(),
                    "a secret could not be read again"
                );
                known
            }
            (Err(error), _) => return Err(error),
        };
        self.cache.insert(name.to_owned(), known.clone(), now);
        Ok(known.value)
    }

    async fn read(&self, name: &str) -> Result<T, AwsError> {
        const ACTION: &str = "secretsmanager:GetSecretValue";
        let call = self.client.get_secret_value().secret_id(format!("{}/{name}", self.prefix));
        let output = call.send().await.map_err(|error| AwsError::new(ACTION, error))?;
        let text = output.secret_string().unwrap_or_default();
        read(text).map_err(|source| AwsError::Secret { name: name.to_owned(), source })
    }
}

/// Reads the text of a secret.
pub fn read<T: Stored>(text: &str) -> Result<T, UnusableSecret> {
    let form = serde_json::from_str(text);
    T::of(form.map_err(|error| UnusableSecret::Form { line: error.line(), column: error.column() })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_value_goes_and_what_cannot_be_one_is_refused_with_its_reason_and_never_quoted() {
        let app: App = read(
            r#"{"client_id":" id\n","client_secret":"\ts ","webhook_secrets":["whsec_1\r\n"," whsec_2"],"account_id":"acct_1 "}"#,
        )
        .unwrap();
        assert_eq!((app.client_id.as_str(), app.client_secret.expose_secret()), ("id", "s"));
        let secrets: Vec<_> = app.webhook_secrets.iter().map(SecretString::expose_secret).collect();
        assert_eq!((secrets, app.account_id.unwrap().as_str()), (vec!["whsec_1", "whsec_2"], "acct_1"));
        let empty: App = read(r#"{"client_id":"","client_secret":"","webhook_secrets":[],"account_id":""}"#).unwrap();
        assert!(empty.client_id.is_empty() && empty.account_id.is_none() && empty.webhook_secrets.is_empty());
        for (text, words) in [
            (r#"{"webhook_secrets":["quoted",""]}"#, "\"webhook_secrets\" is empty"),
            (r#"{"webhook_secrets":["quo\nted"]}"#, "\"webhook_secrets\" has white space inside"),
            (r#"{"client_secret":"quo\nted"}"#, "\"client_secret\" has white space inside"),
            (r#"{"client_id":"quoted\u200b"}"#, "\"client_id\" has a character that no secret has"),
            (r#"{"account_id":"quo|ted"}"#, "\"account_id\" is not an account id"),
            (r#"{"webhook_secrets":"quoted"}"#, "not of the documented form (line 1"),
            ("quoted", "not of the documented form (line 1"),
        ] {
            let error = read::<App>(text).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("quo"), "{text}: {error}");
        }
    }
}
