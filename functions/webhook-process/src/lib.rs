//! `webhook-process`: applies each event once.
//!
//! Claim, effect, publish, complete: each step is safe to repeat. Effects on records are committed in one transaction with
//! the claim, so a crash anywhere leaves either nothing or exactly one effect behind.

mod accounts;
mod attempt;
mod dead_letters;
mod failure;
mod handlers;
mod received;

use std::{pin::pin, task::Poll, time::Duration};

use domain::{Effect, Event, IntegrationKey, Mode, Reached, Recipient, messages::message::SyncMessage};
use futures_util::poll;
use lambda_runtime::LambdaEvent;
use platform::{
    Aws, AwsError,
    aws::{
        bus::{Bus, Detail, MAX_ENTRIES, Payload},
        event_batcher::{EventBatcher, Member},
        queue::{Queue, Reviewed},
        sync_queue::SyncQueue,
    },
    base::{clock, config::Env, metrics::Tally},
    client::grants,
    runtime::{
        batch::{BatchResponse, Trigger},
        consumer::{Consumer, deadline},
    },
    stores::{
        claims::{Applied, Claim, Claims},
        integrations::Integrations,
        records::Records,
    },
};
use providers::{Registry, Spec};
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use self::handlers::{EventHandler, HandlerError, HandlerFuture, HandlerInput, HandlersError};
use self::{accounts::Accounts, attempt::Ended, failure::AttemptFailure, handlers::Handlers};

/// Messages of a batch at a time: all of them, so that one call can put their events on the bus.
const CONCURRENCY: usize = 10;
/// How long an event may be deferred since it was received before it is dead-lettered.
const DEFERRED_FOR: Duration = Duration::from_hours(24);
/// Left of the invocation's time when no further dead letter is received.
const MARGIN: Duration = Duration::from_secs(1);
/// How many of them talk to the tables at a time: each costs a connection in the first batch.
const LANES: usize = 4;

/// What template.yaml sets.
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
}

impl Config {
    /// Reads it.
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
        }
    }
}

/// The function.
#[derive(Debug)]
pub struct Process {
    registry: Registry,
    handlers: Handlers,
    consumer: Consumer,
    dead_letters: Queue,
    claims: Claims,
    integrations: Integrations,
    records: Records,
    bus: Bus,
    batcher: EventBatcher,
    syncs: SyncQueue,
    lanes: Semaphore,
    accounts: Accounts,
    tally: Tally,
    stack: String,
}

/// What is known of an event while its attempt works on it.
struct Work<'a> {
    claim: &'a Claim,
    spec: &'static Spec,
    event: &'a Event<'a>,
    recipient: &'a Recipient,
    delivery_id: &'a str,
}

/// What the function answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To a batch.
    Batch(BatchResponse),
    /// To the schedule.
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
        Ok(Self {
            registry,
            handlers: Handlers::new(registry, handlers)?,
            consumer: Consumer::new(Queue::new(aws, &config.queue_url), dead_letters.clone(), CONCURRENCY)
                .deferring_for(DEFERRED_FOR),
            dead_letters,
            claims: Claims::new(aws, &config.idempotency_table, config.claim_lease),
            integrations: Integrations::new(aws, &config.integrations_table),
            records: Records::new(aws, &config.records_table),
            batcher: EventBatcher::new(bus.clone()),
            bus,
            lanes: Semaphore::new(LANES),
            accounts: Accounts::default(),
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
                self.accounts.forget();
                Ok(Answer::Batch(response))
            }
            // It has one schedule.
            Trigger::Schedule(_) => self.review(deadline(&context, clock::now()) - MARGIN).await.map(Answer::from),
        };
        self.tally.write(&self.stack, clock::now());
        answer
    }

    /// Effect, publish, complete. `lane` is left to others while this waits for them. An event whose account no integration has
    /// is published, and changes nothing.
    async fn process(
        &self,
        work: &Work<'_>,
        (mut member, lane): (Member<'_>, Option<SemaphorePermit<'_>>),
    ) -> Result<Ended, AttemptFailure> {
        let Work { claim, spec, event, recipient, delivery_id } = work;
        let provider = spec.id;
        let Reached { integrations, other_mode } = self.integrations(provider, recipient).await?;
        if integrations.len() >= MAX_ENTRIES {
            // So many take their time, and a call to the bus of their own.
            member.leave();
        }
        let matched = claim.applied || !integrations.is_empty();
        if matched && !claim.applied {
            self.run_side_effects(work, &integrations).await?;
            let mut writes = Vec::new();
            for integration in &integrations {
                for change in event.changes() {
                    writes.push(self.records.upsert_from_event(&integration.id(), change, clock::now())?);
                }
            }
            let mut asked = false;
            while let Applied::VersionConflict(rest) = self.claims.apply(claim, writes).await? {
                if !std::mem::replace(&mut asked, true) {
                    self.sync(&integrations, delivery_id).await?;
                }
                writes = rest;
            }
        }
        drop(lane);
        let input = HandlerInput { provider, event, integrations: &integrations };
        let mut handled = pin!(async { if other_mode { Ok(()) } else { self.handlers.call(input).await } });
        match poll!(&mut handled) {
            Poll::Ready(outcome) => outcome?,
            Poll::Pending => {
                member.leave();
                handled.await?;
            }
        }
        let ids: Vec<_> = integrations.iter().map(|it| (it.user_id.as_str(), it.id())).collect();
        let detail = |user_id, integration_id| Detail {
            id: event.id().as_str(),
            user_id,
            integration_id,
            provider,
            r#type: event.event_type().as_str(),
            occurred_at: event.occurred_at(),
            livemode: event.mode().map(|mode| mode == Mode::Live),
            data: Payload::Whole(event.data()),
        };
        let details: Vec<_> = match &ids[..] {
            [] => vec![detail(None, None)],
            ids => ids.iter().map(|(user, id)| detail(Some(*user), Some(id.as_str()))).collect(),
        };
        let record = event.changes().first().map(|change| change.key().as_str());
        member.publish(&details, record).await?;
        let _lane = self.lane().await;
        if matched {
            self.claims.complete(claim).await?;
            Ok(Ended::Applied)
        } else {
            self.claims.unmatched(claim).await?;
            Ok(Ended::Unmatched)
        }
    }

    /// A turn at the tables.
    async fn lane(&self) -> Option<SemaphorePermit<'_>> {
        // Closed never; if it were, all would go at once.
        self.lanes.acquire().await.ok()
    }

    /// Effects beyond the records; each is safe to repeat, so they come before the mark that the event is applied.
    async fn run_side_effects(&self, work: &Work<'_>, integrations: &[IntegrationKey]) -> Result<(), AwsError> {
        let Work { spec, event, delivery_id, .. } = work;
        match event.effect() {
            Effect::Records(_) => {}
            Effect::Sync => self.sync(integrations, delivery_id).await?,
            Effect::GrantEnded => {
                // One that fails for now stops no other.
                let mut failed = Ok(());
                for key in integrations {
                    let ended = grants::end(&self.integrations, &self.bus, spec.name, key, event.occurred_at()).await;
                    failed = failed.and(ended);
                }
                failed?;
            }
        }
        Ok(())
    }

    /// Asks for a sync of what changed.
    async fn sync(&self, integrations: &[IntegrationKey], delivery_id: &str) -> Result<(), AwsError> {
        let now = clock::now();
        let message = |key| SyncMessage::reported(key, delivery_id, now);
        self.syncs.send_all(&integrations.iter().map(message).collect::<Vec<_>>()).await
    }

    async fn integrations(&self, provider: &'static str, recipient: &Recipient) -> Result<Reached, AwsError> {
        let found = match &recipient.lookup {
            Some(lookup) => {
                let read = self.integrations.find(provider, lookup);
                self.accounts.get((provider, lookup.clone()), read).await?
            }
            None => Vec::new(),
        };
        Ok(recipient.among(found))
    }
}
