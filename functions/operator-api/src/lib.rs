//! `operator-api`: what administrators see of deliveries, and their replay.
//!
//! *Invariant:* a caller is an administrator, and a body leaves this function only in the answer about its own delivery, or into the
//! queue.

mod deliveries;
mod replay;

use std::convert::Infallible;

use domain::Problem;
use lambda_http::{Body, Request, Response};
use platform::{
    Aws,
    aws::{bus::Bus, queue::Queue},
    base::config::Env,
    runtime::http::{Call, Front, FrontConfig},
    stores::{
        bodies::{BodyReader, ReaderConfig},
        deliveries::Deliveries,
    },
};
use providers::Registry;

/// The settings that template.yaml gives the function.
#[derive(Debug)]
pub struct Config {
    front: FrontConfig,
    idempotency_table: String,
    bodies: ReaderConfig,
    event_bus: String,
    queue_url: String,
}

impl Config {
    /// Reads the settings from the environment.
    pub fn read(env: &mut Env) -> Self {
        Self {
            front: FrontConfig::read_with_browsers(env),
            idempotency_table: env.text("IDEMPOTENCY_TABLE"),
            bodies: ReaderConfig::read(env),
            event_bus: env.text("EVENT_BUS"),
            queue_url: env.text("WEBHOOKS_QUEUE_URL"),
        }
    }
}

/// The function: its stores, and what it needs to tell an administrator from other callers.
#[derive(Debug)]
pub struct OperatorApi {
    registry: Registry,
    front: Front,
    deliveries: Deliveries,
    bodies: BodyReader,
    bus: Bus,
    queue: Queue,
}

type Answer = Result<Response<Body>, Problem>;

impl OperatorApi {
    /// Makes the clients, and no call.
    pub fn new(aws: &Aws, config: &Config, registry: Registry) -> Self {
        Self {
            registry,
            front: Front::new(aws, &config.front),
            deliveries: Deliveries::new(aws, &config.idempotency_table),
            bodies: BodyReader::new(aws, &config.bodies),
            bus: Bus::new(aws, &config.event_bus),
            queue: Queue::new(aws, &config.queue_url),
        }
    }

    /// Answers a request; a problem is an answer, too, so that the function itself never fails.
    pub async fn handle(&self, request: Request) -> Result<Response<Body>, Infallible> {
        let call = Call::of(&request);
        Ok(self.answer(&call).await.unwrap_or_else(|problem| self.front.refuse(&call, &problem)))
    }

    async fn answer(&self, call: &Call<'_>) -> Answer {
        match call.route.map(|route| (route.method, route.path)) {
            Some(("GET", "/deliveries")) => self.list(call).await,
            Some(("GET", "/deliveries/{id}")) => self.one(call).await,
            Some(("POST", "/deliveries/{id}/replay")) => self.replay(call).await,
            Some(("POST", "/deliveries/replay")) => self.replay_all(call).await,
            _ => Err(call.unrouted()),
        }
    }
}
