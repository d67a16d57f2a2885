//! Calls in the name of an integration: its credential added, refreshed once if it is refused.
//!
//! *Invariant:* a token goes to its provider's API and nowhere else; refused twice, the grant is over.

use std::sync::{Arc, Mutex, PoisonError};

use domain::{
    Diagnosis, Failure, IntegrationKey, Reason, Reply, Request,
    call::{Api, Idempotent},
    provider_api::ProviderApi,
};
use http::Method;
use jiff::Timestamp;

use crate::{
    AwsError,
    base::random,
    client::{
        http::Authorization,
        tokens::{Refresh, TokenError, Tokens, Wanted},
        transport::{Endpoint, Failed, ProviderRequest, Transport},
    },
    stores::credentials::Credential,
};

/// Credentials that are remembered within attempts.
const MAX_HELD: usize = 64;
/// By this a provider tells a call that is sent again.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Makes calls.
#[derive(Debug)]
pub struct Calls {
    /// Gives the tokens.
    pub tokens: Tokens,
    held: Mutex<Vec<Held>>,
}

/// A credential that an attempt has read. It is good for that attempt: another one may find that it was disconnected.
#[derive(Debug)]
struct Held {
    holder: String,
    credential: Arc<Credential>,
}

/// Why a call did not work.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The provider, with its answer if there was one.
    #[error("the call failed")]
    Failed(#[source] Failure, Option<Box<Reply>>),
    /// There is no credential.
    #[error("there is no credential")]
    NotConnected,
    /// The stored credential can never be opened again.
    #[error("the stored credential can't be opened")]
    Corrupt(#[source] AwsError),
    /// AWS failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl CallError {
    /// Its reason and its sentence; `name` is the provider's.
    pub fn diagnosis(&self, name: &str) -> Diagnosis {
        match self {
            Self::Failed(failure, _) => failure.diagnosis(name),
            Self::NotConnected => Diagnosis::new(Reason::NotConnected, self.to_string()),
            Self::Corrupt(error) | Self::Aws(error) => error.diagnosis(),
        }
    }
}

impl From<TokenError> for CallError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Absent => Self::NotConnected,
            TokenError::Aws(error) => Self::Aws(error),
            TokenError::Corrupt(error) => Self::Corrupt(error),
            TokenError::Failed(failure) => Self::Failed(failure, None),
        }
    }
}

impl From<Failed> for CallError {
    fn from(Failed(failure, reply): Failed) -> Self {
        Self::Failed(failure, reply)
    }
}

impl Calls {
    /// Calls with these tokens.
    pub fn new(tokens: Tokens) -> Self {
        Self { tokens, held: Mutex::default() }
    }

    /// The one path.
    pub fn transport(&self) -> &Transport {
        &self.tokens.transport
    }

    /// Makes a call. `holder` names the attempt of which it is part.
    pub async fn call(
        &self,
        provider: &ProviderApi,
        owner: &IntegrationKey,
        request: &Request,
        holder: &str,
        deadline: Timestamp,
    ) -> Result<Reply, CallError> {
        if !belongs(provider.api, &request.url) {
            return Err(CallError::Failed(Failure::Forbidden, None));
        }
        let keyed = keyed(provider.api, request);
        let request = keyed.as_ref().unwrap_or(request);
        let credential = self.credential(provider, owner, Refresh::Soon, holder, deadline).await?;
        let refused = match self.send(provider, owner, request, &credential, deadline).await {
            Err(Failed(Failure::TokenRefused | Failure::GrantEnded, _)) => Refresh::Refused(credential.version),
            other => return Ok(other?),
        };
        // Refused before it was carried out, so it may be sent again, whatever it does.
        let credential = self.credential(provider, owner, refused, holder, deadline).await?;
        self.send(provider, owner, request, &credential, deadline).await.map_err(|failed| match failed {
            Failed(Failure::TokenRefused, reply) => CallError::Failed(Failure::GrantEnded, reply),
            other => other.into(),
        })
    }

    async fn send(
        &self,
        provider: &ProviderApi,
        owner: &IntegrationKey,
        request: &Request,
        credential: &Credential,
        deadline: Timestamp,
    ) -> Result<Reply, Failed> {
        let authorization = Authorization::Bearer(&credential.access);
        let account = Some(owner.account_id.as_str());
        self.transport()
            .send(ProviderRequest { provider, request, authorization, account, endpoint: Endpoint::Api, deadline })
            .await
    }

    /// The credential, as this attempt has read it before, unless it ends soon or was refused.
    async fn credential(
        &self,
        provider: &ProviderApi,
        owner: &IntegrationKey,
        refresh: Refresh,
        holder: &str,
        deadline: Timestamp,
    ) -> Result<Arc<Credential>, TokenError> {
        let lock = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let of_this = |held: &Held| {
            let credential = &held.credential;
            held.holder == holder && credential.name == provider.credential && credential.integration == *owner
        };
        if refresh == Refresh::Soon
            && let Some(held) = lock().iter().find(|held| of_this(held))
            && !held.credential.ends_soon()
        {
            return Ok(Arc::clone(&held.credential));
        }
        let wanted = Wanted { integration: owner, credential: provider.credential, provider };
        let credential = Arc::new(self.tokens.valid(wanted, refresh, holder, deadline).await?);
        let mut all = lock();
        all.retain(|held| !of_this(held));
        if all.len() >= MAX_HELD {
            all.remove(0);
        }
        all.push(Held { holder: holder.to_owned(), credential: Arc::clone(&credential) });
        Ok(credential)
    }
}

/// The call under a key of its own, where the provider honours one and the caller gave none: then it can be repeated.
fn keyed(api: &Api, request: &Request) -> Option<Request> {
    let has_key = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(IDEMPOTENCY_KEY));
    let wanted = api.idempotent && request.method == Method::POST && !has_key;
    let key = random::handle().filter(|_| wanted)?;
    Some(Request { idempotent: Idempotent::Yes, ..request.clone() }.header(IDEMPOTENCY_KEY, key))
}

/// Whether an address is under the API's base: nothing but a path or a query may follow it, and the path may not climb.
fn belongs(api: &Api, url: &str) -> bool {
    // URL parsers take these for dots, too: https://url.spec.whatwg.org/#double-dot-path-segment.
    let dots = |part: &str| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    let Some(rest) = api.path(url) else { return false };
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    rest.starts_with(['/', '?']) && !path.split(['/', '\\']).any(dots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_goes_to_another_host() {
        let api = Api::new("https://slack.com/api");
        assert!(belongs(&api, "https://slack.com/api/auth.test"));
        for url in [
            "https://slack.com/apis/x",
            "https://slack.com/api",
            "https://slack.com/api@evil.example/",
            "https://evil.example/api/x",
            "http://slack.com/api/x",
            "//slack.com/api/x",
            "https://slack.com/api/../admin",
            "https://slack.com/api/x/%2E%2e/y",
            "https://slack.com/api/.%2e",
        ] {
            assert!(!belongs(&api, url), "{url}");
        }
    }

    #[test]
    fn a_post_gets_a_key_of_its_own_where_that_makes_it_safe() {
        let api = Api { idempotent: true, ..Api::new("https://a") };
        let post = Request::post("x", "https://a/x");
        let (one, two) = (keyed(&api, &post).unwrap(), keyed(&api, &post).unwrap());
        assert_eq!(one.idempotent, Idempotent::Yes);
        assert_ne!(one.headers, two.headers, "two calls are two");
        assert!(keyed(&api, &post.clone().header("Idempotency-Key", "k")).is_none());
        assert!(keyed(&api, &Request::get("x", "https://a/x")).is_none());
        assert!(keyed(&Api::new("https://a"), &post).is_none());
    }
}
