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
    Aws,
    config::Env,
    http::{Call, html, internal, json, verify},
    integrations::Integrations,
    records::Records,
    secrets::Secrets,
    session::{Caller, Keys, LOOPBACK_COOKIE},
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
        Ok(self.answer(&call).await.unwrap_or_else(|problem| refuse(&call, &problem)))
    }

    async fn answer(&self, call: &Call<'_>) -> Answer {
        let Some(route) = call.route else { return Err(unrouted(call)) };
        match (route.method, route.path) {
            ("GET", "/settings/integrations") => self.page(call).await,
            ("GET", "/settings/assets/{file}") => page::asset(call.parameter("file")),
            ("GET", "/integrations") => self.status(&call.caller(&self.keys).await?, REGISTRY).await,
            ("GET", "/integrations/{provider}") => {
                let provider = known(call)?;
                self.status(&call.caller(&self.keys).await?, &[provider]).await
            }
            ("GET", "/integrations/{provider}/records") => {
                let integration = self.one(call).await?;
                records::list(&self.records, &integration.key.id(), call).await
            }
            ("POST", "/integrations/{provider}/sync") => {
                let integration = self.one(call).await?;
                Err(unavailable(&format!("{} has nothing to sync", integration.account_name)))
            }
            ("GET", "/health") => self.health(call, REGISTRY).await,
            ("GET", "/health/{provider}") => self.health(call, &[known(call)?]).await,
            ("POST", "/session") => Err(unavailable("Signing in through a form is not available")),
            (_, "/users/{user_id}") => {
                admin(call.program(&self.keys).await?)?;
                Err(unavailable("Erasing a user is not available"))
            }
            _ => Err(unrouted(call)),
        }
    }

    async fn page(&self, call: &Call<'_>) -> Answer {
        // The shortcut of local runs: the token moves from the address into a cookie. Never on a public host.
        if let Some(token) = call.query("session").filter(|_| call.is_loopback()) {
            verify(token, true, &self.keys).await?;
            let cookie = format!("{LOOPBACK_COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax");
            let mut response = html(StatusCode::SEE_OTHER, String::new());
            let headers = response.headers_mut();
            headers.insert(header::LOCATION, HeaderValue::from_static("/settings/integrations"));
            headers.insert(header::SET_COOKIE, HeaderValue::from_str(&cookie).map_err(|_| Problem::unauthenticated())?);
            return Ok(response);
        }
        let caller = call.caller(&self.keys).await?;
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

    /// The caller's integration of the route's provider; `?account=` selects among several.
    async fn one(&self, call: &Call<'_>) -> Result<Integration, Problem> {
        let spec = known(call)?.spec();
        let caller = call.caller(&self.keys).await?;
        let found = self.integrations.of_user(&caller.user_id, Some(spec.id)).await;
        let mut found = found.map_err(|error| internal(&error))?;
        match (call.query("account"), found.len()) {
            (_, 0) => Err(Problem::not_connected(spec.name)),
            (Some(account), _) => {
                let own = found.into_iter().find(|it| it.key.account_id == account);
                own.ok_or_else(|| {
                    let message = format!("There is no {} account of this id.", spec.name);
                    Problem::new(Kind::NotFound, message, "Leave out ?account= to see which there are.")
                })
            }
            (None, 1) => Ok(found.remove(0)),
            (None, _) => {
                let accounts: Vec<_> = found.iter().map(|it| it.key.account_id.as_str()).collect();
                let message = format!("There are several {} accounts: {}.", spec.name, accounts.join(", "));
                Err(Problem::new(Kind::Conflict, message, "Choose one with ?account=."))
            }
        }
    }

    async fn health(&self, call: &Call<'_>, providers: &[&dyn Provider]) -> Answer {
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
        admin(call.caller(&self.keys).await?)?;
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
}

fn admin(caller: Caller) -> Result<Caller, Problem> {
    if caller.admin { Ok(caller) } else { Err(Problem::forbidden()) }
}

fn known(call: &Call<'_>) -> Result<&'static dyn Provider, Problem> {
    providers::find(call.parameter("provider")).ok_or_else(|| Problem::unknown_provider(&providers::ids()))
}

/// What `$default` answers: the path is unknown, or the method is.
fn unrouted(call: &Call<'_>) -> Problem {
    match &route::methods(call.request.raw_http_path())[..] {
        [] => Problem::new(Kind::NotFound, "There is nothing at this address.", "Check the address."),
        methods => Problem::new(
            Kind::MethodNotAllowed,
            format!("{} is not possible at this address.", call.request.method()),
            format!("Use {}.", methods.join(" or ")),
        ),
    }
}

/// A 405 must say what is allowed: RFC 9110 §15.5.6.
fn refuse(call: &Call<'_>, problem: &Problem) -> Response<Body> {
    let mut response = call.refuse(problem);
    if problem.kind == Kind::MethodNotAllowed
        && let Ok(methods) = route::methods(call.request.raw_http_path()).join(", ").parse()
    {
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}

fn unavailable(what: &str) -> Problem {
    Problem::new(Kind::InvalidRequest, format!("{what} in this version."), "Follow the change log for when it is.")
}
