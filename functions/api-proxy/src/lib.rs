//! `api-proxy`: authorised calls to providers on behalf of the application: typed actions, the provider's own API, and tokens on
//! request.
//!
//! *Invariant:* programs only. A browser's cookie can't spend a token, and a token goes to its provider and nowhere else.

mod action;
mod credentials;
mod headers;
mod links;
mod proxy;
mod token;

use std::{convert::Infallible, sync::Arc, time::Duration};

use domain::{Integration, Offered, Problem, Reply, Request as ProviderRequest, UserId, integration::account::select};
use lambda_http::{Body, Request, Response, http::HeaderValue};
use platform::{
    Aws,
    aws::bus::Bus,
    base::{InitError, clock, config::Env},
    client::{CallContext, CallError, ClientConfig, Grants, Parts, ProviderClient},
    runtime::http::{Call, Front, FrontConfig, internal},
    stores::{
        claims::Claims,
        integrations::{Integrations, usable},
    },
};
use providers::{Registry, Spec};

/// The settings that template.yaml gives the function.
#[derive(Debug)]
pub struct Config {
    front: FrontConfig,
    client: ClientConfig,
    idempotency_table: String,
    claim_lease: Duration,
    token_vending: bool,
    offered: Offered,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        env.compared(&["PROXY_TIMEOUT_SECONDS"]);
        Self {
            front: FrontConfig::read(env),
            client: ClientConfig::read(env),
            idempotency_table: env.text("IDEMPOTENCY_TABLE"),
            claim_lease: env.seconds("CLAIM_LEASE_SECONDS"),
            token_vending: env.text("TOKEN_VENDING") == "on",
            offered: env.offered(),
        }
    }
}

#[derive(Debug)]
pub struct ApiProxy {
    registry: Registry,
    front: Front,
    client: Arc<ProviderClient>,
    grants: Grants,
    integrations: Integrations,
    claims: Claims,
    bus: Bus,
    token_vending: bool,
}

type Answer = Result<Response<Body>, Problem>;

impl ApiProxy {
    pub fn new(aws: &Aws, config: &Config, registry: Registry) -> Result<Self, InitError> {
        let Parts { client, grants, integrations, bus, .. } =
            config.client.parts(aws, |limit| registry.has_limit(limit))?;
        Ok(Self {
            registry: registry.offering(&config.offered)?,
            front: Front::new(aws, &config.front),
            client,
            grants,
            integrations,
            claims: Claims::new(aws, &config.idempotency_table, config.claim_lease),
            bus,
            token_vending: config.token_vending,
        })
    }

    pub async fn handle(&self, request: Request) -> Result<Response<Body>, Infallible> {
        let call = Call::of(&request);
        let answer = self.answer(&call).await.unwrap_or_else(|problem| self.refuse(&call, &problem));
        self.client.flush().await;
        Ok(answer)
    }

    async fn answer(&self, call: &Call<'_>) -> Answer {
        let unknown = || Problem::unknown_provider(&self.registry.ids());
        let provider = self.registry.find(call.parameter("provider")).ok_or_else(unknown)?;
        match call.path() {
            "/actions/{provider}/{action}" => self.act(call, provider).await,
            "/proxy/{provider}/{proxy+}" => self.pass(call, provider).await,
            "/tokens/{provider}" => self.token(call, provider).await,
            _ => Err(call.unrouted()),
        }
    }

    /// The answer to a problem. Where a provider's SDKs ask a header whether to send a call again, it tells them not to if that
    /// can't help: they would repeat each conflict and each internal error.
    fn refuse(&self, call: &Call<'_>, problem: &Problem) -> Response<Body> {
        let mut response = call.refuse(problem);
        let provider = self.registry.find(call.parameter("provider"));
        if let Some(name) = provider.and_then(|provider| provider.spec().api.should_retry)
            && problem.retry_at.is_none()
        {
            response.headers_mut().insert(name, HeaderValue::from_static("false"));
        }
        response
    }

    /// Calls the provider for an integration. What a failure shows of the grant is recorded before the program hears of it.
    async fn call(
        &self,
        spec: &'static Spec,
        integration: &Integration,
        call: &Call<'_>,
        request: &ProviderRequest,
    ) -> Result<Reply, CallError> {
        let (provider, key, began_at) = (spec.provider_api(), &integration.key, clock::now());
        let context = CallContext::integration(&provider, key, call.request_id, call.deadline());
        let outcome = self.client.call(&context, request).await;
        if let Err(error) = &outcome {
            self.grants.record(&provider, key, error, began_at).await.map_err(CallError::Aws)?;
        }
        outcome
    }

    /// The integration that is called for.
    async fn integration(
        &self,
        user_id: &UserId,
        spec: &'static Spec,
        account: Option<&str>,
    ) -> Result<Integration, Problem> {
        let found = self.integrations.of_user(user_id, Some(&spec.id)).await;
        let integration = select(found.map_err(|error| internal(&error))?, spec.name, account)?;
        let restored = self.grants.is_usable(&integration, spec.provider_api().credential).await;
        if restored.map_err(|error| internal(&error))? { Ok(integration) } else { usable(integration, spec.name) }
    }
}

/// The answer to the program after a failed call.
fn problem(error: &CallError, name: &str) -> Problem {
    match error {
        CallError::Failed(failure, _) => {
            let (reason, detail) = failure.diagnosis(name).into_parts();
            // The program can't repair it, and no message waits that would tell.
            if reason.alarms() {
                tracing::error!(
                    service = name,
                    reason = reason.name(),
                    detail,
                    "a call failed that only an operator can repair"
                );
                platform::base::metrics::operator_failure(reason);
            }
            failure.problem(name, clock::now())
        }
        CallError::NotConnected => Problem::not_connected(name),
        CallError::Corrupt(error) => {
            let (reason, detail) = error.diagnosis().into_parts();
            tracing::error!(reason = reason.name(), detail, "the stored credential can't be opened");
            platform::base::metrics::operator_failure(reason);
            Problem::credential_unreadable(name)
        }
        CallError::Aws(error) => internal(error),
    }
}
