//! Access tokens on request, for calls that the proxy can't make: streams, bodies beyond its limit, SDKs that build their own addresses.
//!
//! *Invariant:* off unless the deployment turns it on. A token that is given out is first on the bus, and never in a log.

use std::time::Duration;

use domain::{Integration, Problem, error::Kind};
use jiff::Timestamp;
use lambda_http::http::{HeaderValue, StatusCode, header};
use platform::{
    base::clock,
    client::{CallError, Refresh, StoredCredential},
    runtime::http::{Call, Input, internal, json},
    stores::credentials::Credential,
};
use providers::{Provider, Spec};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::{Answer, ApiProxy, problem};

/// How long a token is good for at the least, unless the caller says otherwise: the time of one call.
const MINIMUM: Duration = Duration::from_mins(1);
/// Providers give out tokens for an hour: nothing longer can be promised.
const MOST: u64 = 3_000;

/// An access token as RFC 6749 §5.1 has it, and what it is for.
#[derive(Serialize)]
struct Given<'a> {
    access_token: &'a str,
    token_type: &'static str,
    /// None if it does not end, or the provider does not say.
    expires_at: Option<Timestamp>,
    scopes: &'a [String],
    account: Account<'a>,
}

#[derive(Serialize)]
struct Account<'a> {
    id: &'a str,
    name: &'a str,
}

impl ApiProxy {
    /// Gives out the access token of an integration of the caller.
    pub(crate) async fn token(&self, call: &Call<'_>, provider: &dyn Provider) -> Answer {
        let spec = provider.spec();
        let caller = self.front.program(call).await?;
        if !self.token_vending {
            let message = "Tokens are not given out here.";
            return Err(Problem::new(Kind::Forbidden, message, "Set the parameter TokenVending to \"on\"."));
        }
        let input = Input::of(call)?;
        let minimum = input.number("minimum_seconds", 0..=MOST)?.map_or(MINIMUM, Duration::from_secs);
        let integration = self.integration(&caller.user_id, spec, input.text("account")?).await?;
        let credential = self.good_for(spec, &integration, call, minimum).await?;
        // The record comes first: one of a token that was not sent does less harm than a token without a record.
        let (key, now) = (&integration.key, clock::now());
        let data = serde_json::json!({ "expires_at": credential.expires_at, "actor": caller.actor });
        let id = format!("{}:token:{}", key.id(), call.request_id);
        let announced = self.bus.announce("integration.token_issued", &id, key, now, &data).await;
        announced.map_err(|error| internal(&error))?;
        tracing::info!(service = %spec.id, integration.id = %key.id(), expires_at = ?credential.expires_at, "gave out a token");
        let mut response = json(
            StatusCode::OK,
            &Given {
                access_token: credential.access.expose_secret(),
                token_type: "Bearer",
                expires_at: credential.expires_at,
                scopes: &integration.granted,
                account: Account { id: integration.key.account_id.as_str(), name: &integration.account_name },
            },
        );
        // RFC 6749 §5.1.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// The credential of an integration, refreshed if it ends before `minimum`.
    async fn good_for(
        &self,
        spec: &'static Spec,
        integration: &Integration,
        call: &Call<'_>,
        minimum: Duration,
    ) -> Result<Credential, Problem> {
        let (provider, key, began_at) = (spec.provider_api(), &integration.key, clock::now());
        let stored = StoredCredential { integration: key, name: provider.credential, holder: call.request_id };
        let found = self.client.credential(&provider, stored, Refresh::Lasting(minimum), call.deadline()).await;
        let credential = match found {
            Ok(credential) => credential,
            Err(error) => {
                let recorded = self.grants.record(&provider, key, &error, began_at).await;
                return Err(problem(&recorded.map_or_else(CallError::Aws, |()| error), spec.name));
            }
        };
        // One that can't be refreshed.
        if credential.expires_at.is_some_and(|at| at <= began_at + minimum) {
            let message = format!("{} gives no token that lasts so long now.", spec.name);
            return Err(Problem::new(Kind::ProviderDown, message, "Ask for less, or try again in a minute."));
        }
        Ok(credential)
    }
}
