//! `integrations-api`: the status page and everything that reads; and it answers every path that is no route.
//!
//! *Invariant:* a caller reads their own data; another user's ids do not exist here.

mod changes;
mod offer;
mod page;
mod records;
mod session;
mod status;

use std::{convert::Infallible, time::Duration};

use domain::{
    Integration, IntegrationId, Offered, Problem, ProviderId,
    integration::account::select,
    messages::message::{Cause, SyncMessage},
    sync::SyncJob,
};
use jiff::Timestamp;
use lambda_http::{
    Body, Request, Response,
    http::{HeaderValue, StatusCode, header},
};
use platform::{
    Aws,
    aws::sync_queue::SyncQueue,
    base::{InitError, clock, config::Env},
    runtime::{
        http::{Call, Front, FrontConfig, Input, Notice, SETTINGS, internal, json, text},
        session::Caller,
    },
    stores::{
        changes::{Changes, MARGIN},
        claims::Claims,
        health::CallHealth,
        integrations::{Integrations, usable},
        records::Records,
    },
};
use providers::{Provider, Registry};
use serde::Serialize;

/// The settings that template.yaml gives the function.
#[derive(Debug)]
pub struct Config {
    front: FrontConfig,
    integrations_table: String,
    records_table: String,
    health_table: String,
    idempotency_table: String,
    syncs_queue_url: String,
    session_life: Duration,
    offered: Offered,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        Self {
            front: FrontConfig::read_with_browsers(env),
            integrations_table: env.text("INTEGRATIONS_TABLE"),
            records_table: env.text("RECORDS_TABLE"),
            health_table: env.text("HEALTH_TABLE"),
            idempotency_table: env.text("IDEMPOTENCY_TABLE"),
            syncs_queue_url: env.text("SYNCS_QUEUE_URL"),
            session_life: env.seconds("SESSION_SECONDS"),
            offered: env.offered(),
        }
    }
}

#[derive(Debug)]
pub struct IntegrationsApi {
    registry: Registry,
    front: Front,
    integrations: Integrations,
    records: Records,
    changes: Changes,
    health: CallHealth,
    claims: Claims,
    sync_queue: SyncQueue,
    session_life: Duration,
}

type Answer = Result<Response<Body>, Problem>;

impl IntegrationsApi {
    pub fn new(aws: &Aws, config: &Config, registry: Registry) -> Result<Self, InitError> {
        let integrations = Integrations::new(aws, &config.integrations_table);
        let records = Records::new(aws, &config.records_table);
        Ok(Self {
            registry: registry.offering(&config.offered)?,
            front: Front::new(aws, &config.front),
            changes: Changes::new(integrations.clone(), records.clone(), MARGIN),
            integrations,
            records,
            // No claims are taken here.
            claims: Claims::new(aws, &config.idempotency_table, Duration::ZERO),
            health: CallHealth::new(aws, &config.health_table),
            sync_queue: SyncQueue::new(aws, &config.syncs_queue_url),
            session_life: config.session_life,
        })
    }

    pub async fn handle(&self, request: Request) -> Result<Response<Body>, Infallible> {
        let call = Call::of(&request);
        Ok(self.answer(&call).await.unwrap_or_else(|problem| self.front.refuse(&call, &problem)))
    }

    async fn answer(&self, call: &Call<'_>) -> Answer {
        let Some(route) = call.route else { return Err(call.unrouted()) };
        match (route.method, route.path) {
            ("GET", "/settings/integrations") => self.page(call).await,
            ("GET", "/settings/assets/{file}") => page::asset(call.parameter("file")),
            ("GET", "/integrations") => {
                self.statuses(&self.front.caller(call).await?, &self.registry.iter().collect::<Vec<_>>()).await
            }
            ("GET", "/integrations/{provider}") => {
                let provider = self.known(call)?;
                let caller = self.front.caller(call).await?;
                match call.query("account") {
                    Some(account) => Ok(status::of_one(provider, &self.one(call, &caller, Some(account)).await?)),
                    None => self.statuses(&caller, &[provider]).await,
                }
            }
            ("GET", "/integrations/{provider}/records") => {
                let caller = self.front.caller(call).await?;
                let integration = self.one(call, &caller, call.query("account")).await?;
                records::list(&self.records, self.known(call)?.spec(), &integration.key.id(), call).await
            }
            ("GET", "/changes") => self.changes(call).await,
            ("POST", "/integrations/{provider}/sync") => self.sync_now(call).await,
            ("GET", "/livez") => {
                call.check()?;
                Ok(Response::new(Body::Empty))
            }
            ("GET", "/openapi.json") => description(call),
            ("GET", "/providers") => self.offer(call),
            ("GET", "/health") => self.health(call, &self.registry.iter().collect::<Vec<_>>()).await,
            ("GET", "/health/{provider}") => self.health(call, &[self.known(call)?]).await,
            ("POST", "/session") => self.sign_in(call).await,
            ("POST", "/session/code") => self.sign_in_code(call).await,
            ("POST", "/session/end") => self.sign_out(call).await,
            _ => Err(call.unrouted()),
        }
    }

    /// Asks for a sync. One that runs already is joined by the worker.
    async fn sync_now(&self, call: &Call<'_>) -> Answer {
        #[derive(Serialize)]
        struct Asked {
            accepted: bool,
            integration_id: IntegrationId,
            r#type: SyncJob,
        }
        let spec = self.known(call)?.spec();
        let caller = self.front.caller(call).await?;
        let input = Input::of(call)?;
        let kind = match input.text("type")? {
            None | Some("incremental") => SyncJob::Incremental,
            Some("full") => SyncJob::Full,
            Some(_) => return Err(Problem::field("type", "It must be \"full\" or \"incremental\".")),
        };
        let account = Call::either("account", call.query("account"), input.text("account")?)?;
        let integration = self.one(call, &caller, account).await?;
        // The worker finds out whether a credential that could not be opened opens again.
        let integration = if integration.unreadable { integration } else { usable(integration, spec.name)? };
        let message = SyncMessage::new(&integration.key, kind, Cause::Asked, clock::now());
        let sent = self.sync_queue.send(&message, Duration::ZERO).await;
        sent.map_err(|error| internal(&error))?;
        if input.form {
            return Ok(Notice::good(format!("{} is being synced.", spec.name)).back(call, SETTINGS));
        }
        let asked = Asked { accepted: true, integration_id: integration.key.id(), r#type: kind };
        Ok(json(StatusCode::ACCEPTED, &asked))
    }

    /// The caller's integration of the route's provider; `account` selects among several.
    async fn one(&self, call: &Call<'_>, caller: &Caller, account: Option<&str>) -> Result<Integration, Problem> {
        let spec = self.known(call)?.spec();
        let found = self.integrations.of_user(&caller.user_id, Some(&spec.id)).await;
        select(found.map_err(|error| internal(&error))?, spec.name, account)
    }

    async fn health(&self, call: &Call<'_>, providers: &[&'static dyn Provider]) -> Answer {
        #[derive(Serialize)]
        struct Services {
            services: Vec<Service>,
        }
        #[derive(Serialize)]
        #[expect(clippy::struct_field_names, reason = "the documented name")]
        struct Service {
            service: &'static ProviderId,
            status: &'static str,
            last_success: Option<Timestamp>,
            last_failure: Option<Timestamp>,
            calls_24h: u64,
            error_rate_24h: Option<f64>,
        }
        self.front.caller(call).await?.admin()?;
        let mut services = Vec::new();
        for provider in providers {
            let health = self.health.of(&provider.spec().id, clock::now()).await.map_err(|error| internal(&error))?;
            services.push(Service {
                service: health.service,
                status: health.words(),
                last_success: health.last_success,
                last_failure: health.last_failure,
                calls_24h: health.calls,
                error_rate_24h: health.error_rate(),
            });
        }
        Ok(json(StatusCode::OK, &Services { services }))
    }

    /// The provider that a parameter of the query names.
    fn named(&self, id: &str) -> Result<&'static dyn Provider, Problem> {
        self.registry.find(id).ok_or_else(|| {
            let known: Vec<_> = self.registry.ids().into_iter().map(ProviderId::as_str).collect();
            Problem::field("provider", format!("There is no such provider. Known: {}.", known.join(", ")))
        })
    }

    fn known(&self, call: &Call<'_>) -> Result<&'static dyn Provider, Problem> {
        let found = self.registry.find(call.parameter("provider"));
        found.ok_or_else(|| Problem::unknown_provider(&self.registry.ids()))
    }
}

/// The description of all routes, as the repository has it.
fn description(call: &Call<'_>) -> Answer {
    call.check()?;
    let mut response = text(StatusCode::OK, include_str!("../../../docs/openapi.json"));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
