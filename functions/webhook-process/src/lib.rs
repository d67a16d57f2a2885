//! `webhook-process`: applies each event once.
//!
//! Claim, effect, publish, complete: each step is safe to repeat. Effects on records are committed in one transaction with
//! the claim, so a crash anywhere leaves either nothing or exactly one effect behind.

mod apply;
mod attempt;
mod dead_letters;
mod failure;
mod handlers;
mod received;
mod recipients;

use std::time::Duration;

use lambda_runtime::LambdaEvent;
use platform::{
    Aws, AwsError,
    aws::{
        bus::Bus,
        event_batcher::EventBatcher,
        queue::{Queue, Reviewed},
        sync_queue::SyncQueue,
    },
    base::{
        clock,
        config::Env,
        metrics::{self, Tally},
    },
    runtime::{
        batch::{BatchResponse, Trigger},
        consumer::{Consumer, deadline},
    },
    stores::{
        bodies::{BodyKeeper, KeeperConfig},
        claims::Claims,
        integrations::Integrations,
        records::Records,
    },
};
use providers::Registry;
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use self::handlers::{EventHandler, HandlerError, HandlerFuture, HandlerInput, HandlersError};
use self::{handlers::Handlers, recipients::Recipients};

/// Messages of a batch at a time: all of them, so that one call can put their events on the bus.
const CONCURRENCY: usize = 10;
/// How long an event may be deferred since it was received before it is dead-lettered.
const DEFERRED_FOR: Duration = Duration::from_hours(24);
/// Time reserved before the deadline, in which no further dead letter is received.
const RESERVE: Duration = Duration::from_secs(1);
/// How many messages use the tables at a time: each costs a connection in the first batch.
const TABLE_CONCURRENCY: usize = 4;

/// The settings that template.yaml gives the function.
#[derive(Debug)]
pub struct Config {
    stack: String,
    idempotency_table: String,
    integrations_table: String,
    records_table: String,
    event_bus: String,
    queue_url: String,
    dead_letter_queue_url: String,
    syncs_queue_url: String,
    claim_lease: Duration,
    bodies: KeeperConfig,
}

impl Config {
    /// Reads the settings from the environment.
    pub fn read(env: &mut Env) -> Self {
        env.compared(&["PROCESS_TIMEOUT_SECONDS", "WEBHOOKS_VISIBILITY_SECONDS"]);
        Self {
            stack: env.text("RESOURCE_PREFIX"),
            idempotency_table: env.text("IDEMPOTENCY_TABLE"),
            integrations_table: env.text("INTEGRATIONS_TABLE"),
            records_table: env.text("RECORDS_TABLE"),
            event_bus: env.text("EVENT_BUS"),
            queue_url: env.text("WEBHOOKS_QUEUE_URL"),
            dead_letter_queue_url: env.text("WEBHOOKS_DEAD_LETTER_QUEUE_URL"),
            syncs_queue_url: env.text("SYNCS_QUEUE_URL"),
            claim_lease: env.seconds("CLAIM_LEASE_SECONDS"),
            bodies: KeeperConfig::read(env),
        }
    }
}

/// Applies events, and reviews the dead letters.
#[derive(Debug)]
pub struct Process {
    registry: Registry,
    handlers: Handlers,
    consumer: Consumer,
    dead_letters: Queue,
    claims: Claims,
    bodies: BodyKeeper,
    integrations: Integrations,
    records: Records,
    bus: Bus,
    batcher: EventBatcher,
    syncs: SyncQueue,
    table_permits: Semaphore,
    recipients: Recipients,
    tally: Tally,
    stack: String,
}

/// What the function answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    Batch(BatchResponse),
    Review {
        /// Dead letters that were looked at.
        reviewed: usize,
        /// Whether these were all.
        all: bool,
    },
}

impl From<Reviewed> for Answer {
    fn from(reviewed: Reviewed) -> Self {
        Self::Review { reviewed: reviewed.messages, all: reviewed.all }
    }
}

impl Process {
    /// Makes the clients, and checks the application's table of `handlers`; the product's own is empty.
    pub fn new(
        aws: &Aws,
        config: &Config,
        registry: Registry,
        handlers: impl IntoIterator<Item = EventHandler>,
    ) -> Result<Self, HandlersError> {
        let dead_letters = Queue::new(aws, &config.dead_letter_queue_url);
        let bus = Bus::new(aws, &config.event_bus);
        let integrations = Integrations::new(aws, &config.integrations_table);
        Ok(Self {
            registry,
            handlers: Handlers::new(registry, handlers)?,
            consumer: Consumer::new(Queue::new(aws, &config.queue_url), dead_letters.clone(), CONCURRENCY)
                .deferring_for(DEFERRED_FOR),
            dead_letters,
            claims: Claims::new(aws, &config.idempotency_table, config.claim_lease),
            bodies: BodyKeeper::new(aws, &config.bodies),
            recipients: Recipients::new(integrations.clone()),
            integrations,
            records: Records::new(aws, &config.records_table),
            batcher: EventBatcher::new(bus.clone()),
            bus,
            table_permits: Semaphore::new(TABLE_CONCURRENCY),
            tally: Tally::default(),
            stack: config.stack.clone(),
            syncs: SyncQueue::new(aws, &config.syncs_queue_url),
        })
    }

    /// Handles a batch, or looks through the dead letters.
    pub async fn handle(&self, event: LambdaEvent<Trigger>) -> Result<Answer, AwsError> {
        let LambdaEvent { payload, context } = event;
        let answer = match payload {
            Trigger::Batch(batch) => {
                let response = self.consumer.run(self, LambdaEvent { payload: batch, context }).await;
                self.recipients.forget();
                Ok(Answer::Batch(response))
            }
            // The function has one schedule.
            Trigger::Schedule(schedule) => {
                let reviewed = self.review(deadline(&context, clock::now()) - RESERVE).await;
                reviewed.inspect(|_| metrics::schedule_done(schedule)).map(Answer::from)
            }
        };
        self.tally.write(&self.stack, clock::now());
        answer
    }

    /// Waits until this message may use the tables.
    async fn table_permit(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed; if it were, all messages would go at once.
        self.table_permits.acquire().await.ok()
    }
}
