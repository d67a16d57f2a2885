//! `webhook-process`: applies each event once.
//!
//! Claim, effect, publish, complete: each step is safe to repeat. Effects on records are committed in one transaction with
//! the claim, so a crash anywhere leaves either nothing or exactly one effect behind.

mod accounts;
mod failure;
mod handlers;
mod scope;

use std::{convert::Infallible, pin::pin, task::Poll, time::Duration};

use domain::{
    Disposition, Effect, Event, IntegrationKey, Reason, event,
    message::{Body, Cause, SyncMessage, SyncType, WebhookMessage},
};
use futures_util::poll;
use lambda_runtime::LambdaEvent;
use platform::{
    Aws, AwsError, access,
    bus::{Bus, Detail, MAX_ENTRIES, Payload},
    claims::{About, Applied, Claim, Claiming, Claims},
    clock,
    config::Env,
    gathering::{Gathering, Seat},
    integrations::Integrations,
    metrics::{Metric, Tally},
    queue::{Attempt, Batch, BatchResponse, Consumer, Handler, Queue},
    records::Records,
    sync_queue::SyncQueue,
};
use providers::{Registry, Spec};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

pub use self::handlers::{EventHandler, HandlerError, HandlerFuture, HandlerInput, HandlersError};
use self::{
    accounts::Accounts,
    failure::{Failure, lost},
    handlers::Handlers,
    scope::Scope,
};

/// Messages of a batch at a time: all of them, so that one call can put their events on the bus.
const CONCURRENCY: usize = 10;
/// How long an event may be deferred since it was received before it is dead-lettered.
const DEFERRED_FOR: Duration = Duration::from_hours(24);
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
            stack: env.text("SECRET_PREFIX"),
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
    claims: Claims,
    integrations: Integrations,
    records: Records,
    bus: Bus,
    gathering: Gathering,
    syncs: SyncQueue,
    lanes: Semaphore,
    accounts: Accounts,
    tally: Tally,
    stack: String,
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
            consumer: Consumer::new(Queue::new(aws, &config.queue_url), dead_letters, CONCURRENCY)
                .deferring_for(DEFERRED_FOR),
            claims: Claims::new(aws, &config.idempotency_table, config.claim_lease),
            integrations: Integrations::new(aws, &config.integrations_table),
            records: Records::new(aws, &config.records_table),
            gathering: Gathering::new(bus.clone()),
            bus,
            lanes: Semaphore::new(LANES),
            accounts: Accounts::default(),
            tally: Tally::default(),
            stack: config.stack.clone(),
            syncs: SyncQueue::new(aws, &config.syncs_queue_url),
        })
    }

    /// Handles a batch.
    pub async fn handle(&self, event: LambdaEvent<Batch>) -> Result<BatchResponse, Infallible> {
        let response = self.consumer.run(self, event).await;
        self.accounts.forget();
        self.tally.write(&self.stack, clock::now());
        Ok(response)
    }

    /// Effect, publish, complete. `lane` is left to others while this waits for them.
    async fn process(
        &self,
        claim: &Claim,
        spec: &Spec,
        event: &Event<'_>,
        scope: &Scope<'_>,
        (mut seat, lane): (Seat<'_>, Option<SemaphorePermit<'_>>),
    ) -> Result<(), Failure> {
        let provider = spec.id;
        let mut integrations = self.integrations(provider, scope).await?;
        if let Some(id) = &event.integration_id {
            integrations.retain(|integration| integration.id() == *id);
        }
        if integrations.len() >= MAX_ENTRIES {
            // So many take their time, and a call to the bus of their own.
            seat.leave();
        }
        if !claim.applied {
            self.reach(spec, event, &integrations).await?;
            let mut writes = Vec::new();
            for integration in &integrations {
                for change in event.changes() {
                    writes.push(self.records.tell(&integration.id(), change, clock::now())?);
                }
            }
            let mut asked = false;
            while let Applied::Tied(rest) = self.claims.apply(claim, writes).await? {
                if !std::mem::replace(&mut asked, true) {
                    self.sync(&integrations).await?;
                }
                writes = rest;
            }
        }
        drop(lane);
        let input = HandlerInput { provider, event, integrations: &integrations };
        let mut handled = pin!(self.handlers.call(input));
        match poll!(&mut handled) {
            Poll::Ready(outcome) => outcome?,
            Poll::Pending => {
                seat.leave();
                handled.await?;
            }
        }
        let ids: Vec<_> = integrations.iter().map(|it| (it.user_id.as_str(), it.id())).collect();
        let detail = |user_id, integration_id| Detail {
            id: &event.id,
            user_id,
            integration_id,
            provider,
            r#type: &event.r#type,
            occurred_at: event.occurred_at,
            data: Payload::Whole(&event.data),
        };
        let details: Vec<_> = match &ids[..] {
            [] => vec![detail(None, None)],
            ids => ids.iter().map(|(user, id)| detail(Some(*user), Some(id.as_str()))).collect(),
        };
        let record = event.changes().first().map(domain::Change::key);
        seat.publish(&details, record.as_deref()).await?;
        let _lane = self.lane().await;
        self.claims.complete(claim).await?;
        Ok(())
    }

    /// A turn at the tables.
    async fn lane(&self) -> Option<SemaphorePermit<'_>> {
        // Closed never; if it were, all would go at once.
        self.lanes.acquire().await.ok()
    }

    /// Effects beyond the records; each is safe to repeat, so they come before the mark that the event is applied.
    async fn reach(&self, spec: &Spec, event: &Event<'_>, integrations: &[IntegrationKey]) -> Result<(), AwsError> {
        match &event.effect {
            Effect::Records(_) => {}
            Effect::Sync => self.sync(integrations).await?,
            Effect::GrantEnded => {
                for key in integrations {
                    access::ended(&self.integrations, &self.bus, spec.name, key, event.occurred_at).await?;
                }
            }
        }
        Ok(())
    }

    /// Asks for a sync of what changed.
    async fn sync(&self, integrations: &[IntegrationKey]) -> Result<(), AwsError> {
        let now = clock::now();
        let message = |key| SyncMessage::new(key, SyncType::Incremental, Cause::Changed, now);
        self.syncs.send_all(&integrations.iter().map(message).collect::<Vec<_>>()).await
    }

    async fn integrations(&self, provider: &str, scope: &Scope<'_>) -> Result<Vec<IntegrationKey>, AwsError> {
        let found = match scope {
            Scope::Nobody => return Ok(Vec::new()),
            Scope::Account(account) | Scope::Integration { account, .. } => {
                let read = self.integrations.of_account(provider, account);
                self.accounts.get(domain::integration::account(provider, account), read).await?
            }
        };
        let only = if let Scope::Integration { id, .. } = scope { Some(*id) } else { None };
        Ok(found.iter().filter(|integration| only.is_none_or(|id| integration.id() == id)).cloned().collect())
    }
}

impl Handler for Process {
    type Message<'a> = WebhookMessage<'a>;

    async fn handle(&self, message: Self::Message<'_>, attempt: &Attempt) -> Disposition {
        let seat = self.gathering.seat();
        let Some(provider) = self.registry.find(&message.provider) else {
            self.tally.dead_letter(Reason::UnknownProvider);
            return Disposition::dead_letter(
                Reason::UnknownProvider,
                format!("there is no provider {:?}", message.provider),
            );
        };
        let Body::Json(body) = message.body;
        let mut event = match provider.event(body, message.received_at) {
            Ok(event) => event,
            Err(error) => {
                self.tally.dead_letter(Reason::NotAnEvent);
                return Disposition::dead_letter(Reason::NotAnEvent, error.to_string());
            }
        };
        let spec = provider.spec();
        let provider = spec.id;
        if message.integration_id.is_some() {
            // Nor do the application's handlers hear of another.
            event.account = message.account.as_deref().map(str::to_owned);
        }
        let scope = Scope::of(&message, &event);
        let key = event::key(provider, scope.key(), &event.id);
        // Of the payload alone: the rest of a body may differ between deliveries of one event.
        let hash = hex::encode(Sha256::digest(event.data.get()));
        let about = About { provider, r#type: &event.r#type, received_at: message.received_at };
        let lane = self.lane().await;
        let claim = match self.claims.claim_event(&key, &hash, &attempt.id, about, attempt.at).await {
            Ok(Claiming::Won(claim)) => claim,
            Ok(Claiming::Lost(record)) => {
                let disposition = lost(&record, &hash, attempt);
                if matches!(disposition, Disposition::DeadLetter(_)) {
                    self.tally.dead_letter(Reason::Forked);
                } else if disposition == Disposition::Done {
                    self.tally.count(Metric::EventsRepeated);
                }
                return disposition;
            }
            Err(error) => return attempt.failed(error.diagnosis()),
        };
        let outcome = if claim.body_hash == hash {
            self.process(&claim, spec, &event, &scope, (seat, lane)).await
        } else {
            drop((seat, lane));
            Err(Failure::Forked)
        };
        let Err(failure) = outcome else {
            let delivery = &*message.delivery_id;
            tracing::info!(
                provider.name = provider,
                delivery.id = delivery,
                event.id,
                event.r#type,
                attempt = attempt.number,
                "applied"
            );
            self.tally.count(Metric::EventsApplied);
            return Disposition::Done;
        };
        if let Some(state) = failure.leaves() {
            // If this fails too, the lease runs out and the next attempt claims the event then.
            if let Err(error) = self.claims.release(&claim, state, &failure.diagnosis().detail).await {
                tracing::warn!(%error, "the claim stays until its lease ends");
            }
        }
        let disposition = attempt.failed(failure.diagnosis());
        if matches!(disposition, Disposition::DeadLetter(_)) {
            self.tally.dead_letter(failure.reason());
        }
        disposition
    }
}
