//! Issuers' public keys, cached in memory: read again when they are old, or when a token names a key that is not among them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use domain::{Diagnosis, Reason, Request, call::Unreadable, oauth::jwt::Jwks};
use jiff::{SignedDuration, Timestamp};

use crate::{
    base::{InitError, rewrites::Rewrites, ttl_cache::TtlCache},
    client::http::{Authorization, HttpClient, SendError},
};

/// Issuers publish new keys days before they use them.
const KEEP: SignedDuration = SignedDuration::from_hours(6);
/// A key that is not there is looked for again at once, but not more often than this: strangers can name any.
const REREAD: SignedDuration = SignedDuration::from_secs(30);
/// Issuers in memory: more than there are.
const MAX_CACHED: usize = 10;
/// How long reading may take: a webhook waits.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The keys of an issuer can't be had.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The client for the issuer can't be made.
    #[error("no HTTP client for the issuer's keys")]
    Client(#[source] InitError),
    /// The issuer gave no answer.
    #[error("the issuer of keys can't be asked")]
    Unreached(#[source] SendError),
    /// Another status than success.
    #[error("the issuer answers {0} in place of its keys")]
    Status(u16),
    /// The answer is no key set (RFC 7517).
    #[error("the issuer's answer is no key set")]
    NotKeys(#[source] Unreadable),
}

impl JwksError {
    /// Why, for operators: a wrong address is theirs to repair, an issuer that is down passes.
    pub fn diagnosis(&self) -> Diagnosis {
        let reason = match self {
            Self::Unreached(SendError::Forbidden) | Self::Client(_) | Self::Status(400..=499) => Reason::Misconfigured,
            Self::Unreached(SendError::NotSent | SendError::Closed | SendError::Late) => Reason::Unreachable,
            Self::NotKeys(_) | Self::Unreached(SendError::TooLong(_)) => Reason::Unreadable,
            Self::Status(_) => Reason::ProviderDown,
        };
        Diagnosis::new(reason, self.to_string())
    }
}

/// Key sets by their address.
#[derive(Debug)]
pub struct JwksCache {
    rewrites: Rewrites,
    /// Made when the first token comes: most cold starts never see one.
    http: OnceLock<HttpClient>,
    /// By URL.
    cache: TtlCache<String, Read>,
}

/// The keys of an issuer, as they were read.
#[derive(Debug, Clone)]
struct Read {
    keys: Arc<Jwks>,
    /// When a key was last looked for that was not there, or the issuer last gave no answer.
    looked_for_at: Option<Timestamp>,
}

impl JwksCache {
    pub fn new(rewrites: Rewrites) -> Self {
        Self { rewrites, http: OnceLock::new(), cache: TtlCache::new(MAX_CACHED) }
    }

    /// The keys at `url` for checking `token`.
    pub async fn for_token(&self, url: &str, token: &str, now: Timestamp) -> Result<Arc<Jwks>, JwksError> {
        let cached = self.cache.any(url);
        let mut looked_for_at = None;
        if let Some((Read { keys, looked_for_at: before }, read_at)) = &cached {
            let is_known = keys.knows(token);
            let is_fresh = is_known && now.duration_since(*read_at) < KEEP;
            // Also while the issuer gives no answer: strangers would have it asked with each token.
            let is_soon = before.is_some_and(|before| now.duration_since(before) < REREAD);
            if is_fresh || is_soon {
                return Ok(Arc::clone(keys));
            }
            looked_for_at = if is_known { *before } else { Some(now) };
        }
        match (self.read(url).await, cached) {
            (Ok(keys), _) => {
                let keys = Arc::new(keys);
                self.cache.insert(url.to_owned(), Read { keys: Arc::clone(&keys), looked_for_at }, now);
                Ok(keys)
            }
            // Old keys still tell right from wrong.
            (Err(_), Some((Read { keys, .. }, read_at))) => {
                let read = Read { keys: Arc::clone(&keys), looked_for_at: Some(now) };
                self.cache.insert(url.to_owned(), read, read_at);
                Ok(keys)
            }
            (Err(error), None) => Err(error),
        }
    }

    fn http(&self) -> Result<&HttpClient, JwksError> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let made = HttpClient::new(self.rewrites.clone()).map_err(JwksError::Client)?;
        Ok(self.http.get_or_init(|| made))
    }

    async fn read(&self, url: &str) -> Result<Jwks, JwksError> {
        let request = Request::get("jwks", url);
        let reply = self.http()?.send(&request, &[], Authorization::None, TIMEOUT).await;
        let reply = reply.map_err(JwksError::Unreached)?;
        if !reply.is_success() {
            return Err(JwksError::Status(reply.status));
        }
        reply.json().map_err(JwksError::NotKeys)
    }
}
