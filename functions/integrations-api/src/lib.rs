//! `integrations-api`: what people and programs see: the status page, status, records, health.
//!
//! *Invariant:* every answer is about the caller's own data; another user's ids do not exist here.

mod page;
mod records;

use std::{convert::Infallible, time::Duration};

use domain::{Integration, Problem, error::Kind, route, status::Status};
use jiff::Timestamp;
use lambda_http::{
    Body, Request, RequestExt as _, Response,
    http::{HeaderValue, StatusCode, header},
};
use platform::{
    Aws, AwsError,
    config::Env,
    http::{Call, caller, html, json, parameter, problem, verify, wants_html},
    integrations::Integrations,
    records::Records,
    secrets::Secrets,
    session::{Accept, Caller, Keys, LOOPBACK_COOKIE},
};
use providers::{Provider, REGISTRY};
use serde::Serialize;

/// What template.yaml sets.
#[derive(Debug)]
pub struct Config {
    integrations_table: String,
    records_table: String,
    secret_prefix: String,
    secret_cache: Duration,
}

impl Config {
    /// Reads it.
    pub fn read(env: &mut Env) -> Self {
        Self {
            integrations_table: env.text("INTEGRATIONS_TABLE"),
            records_table: env.text("RECORDS_TABLE"),
            secret_prefix: env.text("SECRET_PREFIX"),
            secret_cache: env.seconds("SECRET_CACHE_SECONDS"),
        }
    }
}

/// The function.
#[derive(Debug)]
pub struct IntegrationsApi {
    integrations: Integrations,
    records: Records,
    keys: Secrets<Keys>,
}

type Answer = Result<Response<Body>, Problem>;

impl IntegrationsApi {
    /// Makes the clients.
    pub fn new(aws: &Aws, config: &Config) -> Self {
        Self {
            integrations: Integrations::new(aws, &config.integrations_table),
            records: Records::new(aws, &config.records_table),
            keys: Secrets::new(aws, &config.secret_prefix, config.secret_cache),
        }
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request) -> Result<Response<Body>, Infallible> {
        let call = Call::of(&request);
        let answer = self.route(&request, &call).await;
        Ok(answer.unwrap_or_else(|error| {
            if wants_html(request.headers()) { page::problem(&error) } else { problem(&error, &call.request_id) }
        }))
    }

    async fn route(&self, request: &Request, call: &Call) -> Answer {
        match call.route.as_str() {
            "GET /settings/integrations" => self.page(request, call).await,
            "GET /settings/assets/{file}" => page::asset(&parameter(request, "file")),
            "GET /integrations" => self.status(&self.caller(request).await?, REGISTRY).await,
            "GET /integrations/{provider}" => {
                let provider = known(request)?;
                self.status(&self.caller(request).await?, &[provider]).await
            }
            "GET /integrations/{provider}/records" => {
                let provider = known(request)?;
                let caller = self.caller(request).await?;
                let integration = self.one(request, &caller, provider).await?;
                records::list(&self.records, &integration.key.id(), request).await
            }
            "POST /integrations/{provider}/sync" => {
                let provider = known(request)?;
                let caller = self.caller(request).await?;
                self.one(request, &caller, provider).await?;
                Err(unavailable(&format!("{} has nothing to sync", provider.spec().name)))
            }
            "GET /health" => self.health(request, REGISTRY).await,
            "GET /health/{provider}" => self.health(request, &[known(request)?]).await,
            "POST /session" => Err(unavailable("Signing in through a form is not available")),
            "DELETE /users/{user_id}" | "GET /users/{user_id}" => {
                self.admin(request).await?;
                Err(unavailable("Erasing a user is not available"))
            }
            _ => Err(unrouted(request)),
        }
    }

    async fn page(&self, request: &Request, call: &Call) -> Answer {
        // The shortcut of local runs: the token moves from the address into a cookie. Never on a public host.
        let query = request.query_string_parameters_ref();
        if let Some(token) = query.and_then(|query| query.first("session")).filter(|_| call.is_loopback()) {
            verify(token, true, &self.keys).await?;
            let cookie = format!("{LOOPBACK_COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax");
            let mut response = html(StatusCode::SEE_OTHER, String::new());
            let headers = response.headers_mut();
            headers.insert(header::LOCATION, HeaderValue::from_static("/settings/integrations"));
            headers.insert(header::SET_COOKIE, HeaderValue::from_str(&cookie).map_err(|_| Problem::unauthenticated())?);
            return Ok(response);
        }
        let caller = match self.caller(request).await {
            Ok(caller) => caller,
            Err(denied) => return Ok(page::problem(&denied)),
        };
        page::status(&self.statuses(&caller, REGISTRY).await?)
    }

    async fn status(&self, caller: &Caller, providers: &[&dyn Provider]) -> Answer {
        #[derive(Serialize)]
        struct Statuses {
            integrations: Vec<Status>,
        }
        Ok(json(StatusCode::OK, &Statuses { integrations: self.statuses(caller, providers).await? }))
    }

    /// One per integration, and one per provider that has none.
    async fn statuses(&self, caller: &Caller, providers: &[&dyn Provider]) -> Result<Vec<Status>, Problem> {
        let found = self.integrations.of_user(&caller.user_id, None).await.map_err(|error| internal(&error))?;
        let of = |provider: &&dyn Provider| {
            let spec = provider.spec();
            let own: Vec<_> = found.iter().filter(|it| it.key.provider == spec.id).map(Some).collect();
            let shown = if own.is_empty() { vec![None] } else { own };
            shown.into_iter().map(|integration| Status::new(spec.id, spec.name, integration)).collect::<Vec<_>>()
        };
        Ok(providers.iter().flat_map(of).collect())
    }

    /// The caller's integration of a provider; `?account=` selects among several.
    async fn one(&self, request: &Request, caller: &Caller, provider: &dyn Provider) -> Result<Integration, Problem> {
        let spec = provider.spec();
        let found = self.integrations.of_user(&caller.user_id, Some(spec.id)).await;
        let mut found = found.map_err(|error| internal(&error))?;
        if let Some(account) = request.query_string_parameters_ref().and_then(|query| query.first("account")) {
            found.retain(|it| it.key.account_id == account);
        }
        if found.len() > 1 {
            let accounts: Vec<_> = found.iter().map(|it| it.key.account_id.as_str()).collect();
            let message = format!("There are several {} accounts: {}.", spec.name, accounts.join(", "));
            return Err(Problem::new(Kind::Conflict, message, "Choose one with ?account=."));
        }
        found.pop().ok_or_else(|| Problem::not_connected(spec.name))
    }

    async fn health(&self, request: &Request, providers: &[&dyn Provider]) -> Answer {
        #[derive(Serialize)]
        struct Services {
            services: Vec<Service>,
        }
        /// Nothing calls a provider yet, so every service is idle.
        #[derive(Serialize)]
        #[expect(clippy::struct_field_names, reason = "the contract's name")]
        struct Service {
            service: &'static str,
            status: &'static str,
            last_success: Option<Timestamp>,
            last_failure: Option<Timestamp>,
            calls_24h: u64,
            error_rate_24h: Option<f64>,
        }
        self.admin(request).await?;
        let idle = |provider: &&dyn Provider| Service {
            service: provider.spec().id,
            status: "idle",
            last_success: None,
            last_failure: None,
            calls_24h: 0,
            error_rate_24h: None,
        };
        Ok(json(StatusCode::OK, &Services { services: providers.iter().map(idle).collect() }))
    }

    async fn caller(&self, request: &Request) -> Result<Caller, Problem> {
        caller(request.headers(), &self.keys, Accept::BearerOrCookie).await
    }

    async fn admin(&self, request: &Request) -> Result<Caller, Problem> {
        let caller = self.caller(request).await?;
        if caller.admin { Ok(caller) } else { Err(Problem::forbidden()) }
    }
}

fn known(request: &Request) -> Result<&'static dyn Provider, Problem> {
    providers::find(&parameter(request, "provider")).ok_or_else(|| Problem::unknown_provider(&providers::ids()))
}

/// What `$default` answers: the path is unknown, or the method is.
fn unrouted(request: &Request) -> Problem {
    match &route::methods(request.uri().path())[..] {
        [] => Problem::new(Kind::NotFound, "There is nothing at this address.", "Check the address."),
        methods => Problem::new(
            Kind::MethodNotAllowed,
            format!("{} is not possible at this address.", request.method()),
            format!("Use {}.", methods.join(" or ")),
        ),
    }
}

fn unavailable(what: &str) -> Problem {
    Problem::new(Kind::InvalidRequest, format!("{what} in this version."), "Follow the change log for when it is.")
}

fn internal(error: &AwsError) -> Problem {
    tracing::error!(%error, "a store failed");
    Problem::internal()
}
