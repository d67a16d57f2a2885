//! A call, by each kind of principal.
//!
//! *Invariant:* a token goes to its provider's API and nowhere else. An integration whose token is refused is refreshed once; a
//! second refusal means that the grant has ended.

use std::{borrow::Cow, sync::Arc};

use domain::{Failure, Reply, Request, call::Api};
use http::Method;

use crate::{
    base::random,
    client::{
        context::{CallContext, Principal, StoredCredential},
        error::CallError,
        http::Authorization,
        provider_client::ProviderClient,
        refresh::Refresh,
        transport::{Endpoint, ProviderRequest},
    },
    stores::credentials::Credential,
};

/// The header by which a provider recognises a call that is sent again.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

impl ProviderClient {
    /// Makes a call, after a turn in each limit that counts it, and repeats it where that is safe. The failure of the last attempt
    /// is the call's.
    pub async fn call(&self, context: &CallContext<'_>, request: &Request) -> Result<Reply, CallError> {
        let CallContext { provider, principal, deadline, waiting } = *context;
        match principal {
            Principal::Integration(stored) => {
                let request = &*checked(provider.api, request)?;
                self.as_integration(context, stored, request).await
            }
            Principal::Token { token, account } => {
                let (authorization, endpoint) = (Authorization::Bearer(token), Endpoint::Api);
                let request = &*checked(provider.api, request)?;
                let call = ProviderRequest { provider, request, authorization, account, endpoint, waiting, deadline };
                self.transport.send(call).await
            }
            Principal::App { app, oauth } => self.as_app(provider, app, oauth, request, deadline).await,
        }
    }

    async fn as_integration(
        &self,
        context: &CallContext<'_>,
        stored: StoredCredential<'_>,
        request: &Request,
    ) -> Result<Reply, CallError> {
        let CallContext { provider, deadline, waiting, .. } = *context;
        let send = async |credential: &Credential| {
            let (authorization, endpoint) = (Authorization::Bearer(&credential.access), Endpoint::Api);
            let account = Some(&stored.integration.account_id);
            let call = ProviderRequest { provider, request, authorization, account, endpoint, waiting, deadline };
            self.transport.send(call).await
        };
        let credential = self.of_attempt(context, stored, Refresh::Soon).await?;
        let refused = match send(&credential).await {
            Err(CallError::Failed(Failure::TokenRefused | Failure::GrantEnded, _)) => {
                Refresh::Refused(credential.version)
            }
            other => return other,
        };
        // The provider refused the call before it carried it out, so it may be sent again, whatever it does.
        let credential = self.of_attempt(context, stored, refused).await?;
        match send(&credential).await {
            Err(CallError::Failed(Failure::TokenRefused, reply)) => Err(CallError::Failed(Failure::GrantEnded, reply)),
            other => other,
        }
    }

    /// The credential, as this attempt has read it before, unless it expires soon or was refused.
    async fn of_attempt(
        &self,
        context: &CallContext<'_>,
        stored: StoredCredential<'_>,
        refresh: Refresh,
    ) -> Result<Arc<Credential>, CallError> {
        let read = self.attempts.get(stored).filter(|it| refresh == Refresh::Soon && !it.ends_soon());
        if let Some(credential) = read {
            return Ok(credential);
        }
        // On the heap: it can hold a whole refresh.
        let read = Box::pin(self.credential(context.provider, stored, refresh, context.deadline));
        let credential = Arc::new(read.await?);
        self.attempts.put(stored, &credential);
        Ok(credential)
    }
}

/// A call that may carry a token. Where the provider honours idempotency keys and the caller gave none, it gets one: then it can
/// be repeated.
fn checked<'r>(api: &Api, request: &'r Request) -> Result<Cow<'r, Request>, CallError> {
    if !belongs(api, &request.url) {
        return Err(Failure::Forbidden.into());
    }
    let has_key = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(IDEMPOTENCY_KEY));
    let wanted = api.idempotent && request.method == Method::POST && !has_key;
    Ok(match random::handle().filter(|_| wanted) {
        Some(key) => Cow::Owned(request.clone().idempotent().header(IDEMPOTENCY_KEY, key)),
        None => Cow::Borrowed(request),
    })
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
    use domain::call::Idempotent;

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
        let (one, two) = (checked(&api, &post).unwrap(), checked(&api, &post).unwrap());
        assert_eq!(one.idempotent, Idempotent::Yes);
        assert_ne!(one.headers, two.headers, "two calls are two");
        let get = Request::get("x", "https://a/x");
        for (api, request) in
            [(&api, &post.clone().header("Idempotency-Key", "k")), (&api, &get), (&Api::new("https://a"), &post)]
        {
            assert_eq!(*checked(api, request).unwrap(), *request);
        }
    }
}
