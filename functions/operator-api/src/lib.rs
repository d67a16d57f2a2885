//! `operator-api`: what administrators see of deliveries.
//!
//! *Invariant:* a caller is an administrator.

mod deliveries;

use std::convert::Infallible;

use domain::Problem;
use lambda_http::{Body, Request, Response};
use platform::{
    Aws,
    base::config::Env,
    runtime::http::{Call, Front, FrontConfig},
    stores::deliveries::Deliveries,
};
use providers::Registry;

/// The settings that template.yaml gives the function.
#[derive(Debug)]
pub struct Config {
    front: FrontConfig,
    idempotency_table: String,
}

impl Config {
    /// Reads the settings from the environment.
    pub fn read(env: &mut Env) -> Self {
        Self { front: FrontConfig::read_with_browsers(env), idempotency_table: env.text("IDEMPOTENCY_TABLE") }
    }
}

/// Answers administrators.
#[derive(Debug)]
pub struct OperatorApi {
    registry: Registry,
    front: Front,
    deliveries: Deliveries,
}

type Answer = Result<Response<Body>, Problem>;

impl OperatorApi {
    /// Makes the clients.
    pub fn new(aws: &Aws, config: &Config, registry: Registry) -> Self {
        Self {
            registry,
            front: Front::new(aws, &config.front),
            deliveries: Deliveries::new(aws, &config.idempotency_table),
        }
    }

    /// Answers a request.
    pub async fn handle(&self, request: Request) -> Result<Response<Body>, Infallible> {
        let call = Call::of(&request);
        Ok(self.answer(&call).await.unwrap_or_else(|problem| self.front.refuse(&call, &problem)))
    }

    async fn answer(&self, call: &Call<'_>) -> Answer {
        match call.route.map(|route| (route.method, route.path)) {
            Some(("GET", "/deliveries")) => self.list(call).await,
            Some(("GET", "/deliveries/{id}")) => self.one(call).await,
            _ => Err(call.unrouted()),
        }
    }
}
