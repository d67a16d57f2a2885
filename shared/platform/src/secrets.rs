//! Secrets Manager, cached in memory for a bounded time.
//!
//! *Invariant:* a secret's text lives only in [`SecretString`]s, and a failed reading is never an empty secret.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_secretsmanager::Client;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};

use crate::aws::{Aws, AwsError, client};

/// A secret that was found to be wrong is read again, but not more often than this.
const REREAD: SignedDuration = SignedDuration::from_secs(10);

/// Reads secrets of the shape `T` under one prefix.
#[derive(Debug)]
pub struct Secrets<T> {
    client: Client,
    prefix: String,
    keep: Duration,
    cache: Mutex<HashMap<String, Cached<T>>>,
}

#[derive(Debug)]
struct Cached<T> {
    value: Arc<T>,
    read_at: Timestamp,
    /// When reading it was last tried, whether it worked or not.
    tried_at: Timestamp,
}

/// A provider's app, as `{prefix}/{provider}` holds it.
#[derive(Debug, Default, Deserialize)]
pub struct App {
    /// Names the app at the provider.
    #[serde(default)]
    pub client_id: String,
    /// Proves that it is the app.
    #[serde(default)]
    pub client_secret: SecretString,
    /// What verifies its deliveries; several while one is being replaced.
    #[serde(default)]
    pub webhook_secrets: Vec<SecretString>,
    /// The account that events belong to when they don't name one.
    pub account_id: Option<String>,
    /// Google: the topic that mailboxes report to.
    pub pubsub_topic: Option<String>,
    /// Google: whose token a push must carry.
    pub push_service_account: Option<String>,
    /// Google: whom that token must be for.
    pub push_audience: Option<String>,
}

/// How old a cached secret may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// As old as the configuration allows.
    Cached,
    /// As new as possible: what is cached was found wrong. Rate limited, as strangers can cause it.
    Reread,
}

impl<T: DeserializeOwned> Secrets<T> {
    /// Secrets named `{prefix}/…`, kept for `keep`.
    pub fn new(aws: &Aws, prefix: impl Into<String>, keep: Duration) -> Self {
        let client = client!(aws, aws_sdk_secretsmanager, "AWS_ENDPOINT_URL_SECRETS_MANAGER");
        Self { client, prefix: prefix.into(), keep, cache: Mutex::default() }
    }

    /// The secret `{prefix}/{name}`.
    pub async fn get(&self, name: &str, freshness: Freshness, now: Timestamp) -> Result<Arc<T>, AwsError> {
        if let Some(value) = self.cached(name, freshness, now) {
            return Ok(value);
        }
        let read = self.read(name).await;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match (read, cache.get_mut(name)) {
            (Ok(value), _) => {
                let value = Arc::new(value);
                let cached = Cached { value: Arc::clone(&value), read_at: now, tried_at: now };
                cache.insert(name.to_owned(), cached);
                Ok(value)
            }
            // A stranger's bad signature must not become our outage: what is known still tells right from wrong.
            (Err(error), Some(cached)) if freshness == Freshness::Reread => {
                tracing::warn!(%error, "a secret could not be read again");
                cached.tried_at = now;
                Ok(Arc::clone(&cached.value))
            }
            (Err(error), _) => Err(error),
        }
    }

    fn cached(&self, name: &str, freshness: Freshness, now: Timestamp) -> Option<Arc<T>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = cache.get(name)?;
        let (since, keep) = match freshness {
            Freshness::Cached => (cached.read_at, SignedDuration::try_from(self.keep).unwrap_or(SignedDuration::MAX)),
            Freshness::Reread => (cached.tried_at, REREAD),
        };
        (now.duration_since(since) < keep).then(|| Arc::clone(&cached.value))
    }

    async fn read(&self, name: &str) -> Result<T, AwsError> {
        const ACTION: &str = "secretsmanager:GetSecretValue";
        let call = self.client.get_secret_value().secret_id(format!("{}/{name}", self.prefix));
        let output = call.send().await.map_err(|error| AwsError::new(ACTION, error))?;
        let text = output.secret_string().unwrap_or_default();
        // The parser's error could quote the secret, so only its position is told.
        serde_json::from_str(text).map_err(|error| AwsError::Secret {
            name: name.to_owned(),
            line: error.line(),
            column: error.column(),
        })
    }
}
