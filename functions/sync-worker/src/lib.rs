//! `sync-worker`: runs one sync of one integration, page by page; creates and renews watches.
//!
//! *Invariant:* every page is written before its position, and the position only under the lease, so a crash repeats one page
//! at most and nothing of an integration that was disconnected comes back.

mod erase;
mod lease;
mod name;
mod narrow;
mod objects;
mod outcome;
mod portion;
mod round;
mod run;
mod shared;
mod sharing;
mod spell;
mod stop;
mod summary;
mod tags;
mod watches;
mod work;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::{Aging, Deferral, DeliveryId, Disposition, Offered, messages::message::SyncMessage, reason::Class};
use lambda_runtime::LambdaEvent;
use platform::{
    Aws,
    aws::{
        bus::Bus,
        queue::Queue,
        secrets::{App, Secrets},
        sync_queue::SyncQueues,
    },
    base::{InitError, config::Env},
    client::{ClientConfig, Grants, Parts, ProviderClient},
    runtime::{
        batch::{Batch, BatchResponse},
        consumer::{Attempt, Consumer, Handler},
    },
    stores::{bodies::Bodies, integrations::Integrations, records::Records, syncs::Syncs},
};
use providers::Registry;

/// For how long a message of the queue `long-syncs` works on a sync before the rest goes to a message of its own: so long that what a slice
/// costs besides its pages (a lease, a stored position, a message, and what the manifest takes to load) is little, and so short that
/// others that wait for the place, or for the lease, get it within a minute.
const LONG_SLICE: Duration = Duration::from_mins(1);
/// The same in the queue `syncs`: most syncs end in that time, and what needs more does not keep the others waiting.
const SHORT_SLICE: Duration = Duration::from_secs(5);

/// The settings that template.yaml gives the function.
#[derive(Debug)]
pub struct Config {
    client: ClientConfig,
    records_table: String,
    syncs_table: String,
    delivery_bodies_table: String,
    syncs_queue_url: String,
    long_syncs_queue_url: String,
    syncs_dead_letter_queue_url: String,
    sync_lease: Duration,
    api_url: String,
    offered: Offered,
}

impl Config {
    /// Reads the settings from the environment.
    pub fn read(env: &mut Env) -> Self {
        env.compared(&["SYNC_TIMEOUT_SECONDS", "SYNCS_VISIBILITY_SECONDS"]);
        Self {
            client: ClientConfig::read(env),
            records_table: env.text("RECORDS_TABLE"),
            syncs_table: env.text("SYNCS_TABLE"),
            delivery_bodies_table: env.text("DELIVERY_BODIES_TABLE"),
            syncs_queue_url: env.text("SYNCS_QUEUE_URL"),
            long_syncs_queue_url: env.text("LONG_SYNCS_QUEUE_URL"),
            syncs_dead_letter_queue_url: env.text("SYNCS_DEAD_LETTER_QUEUE_URL"),
            sync_lease: env.seconds("SYNC_LEASE_SECONDS"),
            api_url: env.text("API_URL"),
            offered: env.offered(),
        }
    }
}

/// Syncs integrations with their providers.
#[derive(Debug)]
pub struct SyncWorker {
    registry: Registry,
    offered: Offered,
    consumer: Consumer,
    client: Arc<ProviderClient>,
    grants: Grants,
    apps: Arc<Secrets<App>>,
    integrations: Integrations,
    bus: Bus,
    records: Records,
    syncs: Syncs,
    bodies: Bodies,
    queue: SyncQueues,
    api_url: String,
}

impl SyncWorker {
    /// Makes the clients of the function.
    pub fn new(aws: &Aws, config: &Config, registry: Registry) -> Result<Self, InitError> {
        let dead_letters = Queue::new(aws, &config.syncs_dead_letter_queue_url);
        let (short, long) = (&config.syncs_queue_url, &config.long_syncs_queue_url);
        let consumer = Consumer::new(Queue::new(aws, short), dead_letters, 1).and_from(Queue::new(aws, long));
        let Parts { client, grants, apps, integrations, bus, .. } =
            config.client.parts(aws, |limit| registry.has_limit(limit))?;
        config.offered.check(&registry.ids())?;
        Ok(Self {
            registry,
            offered: config.offered.clone(),
            consumer,
            client,
            grants,
            apps,
            integrations,
            bus,
            records: Records::new(aws, &config.records_table),
            syncs: Syncs::new(aws, &config.syncs_table, config.sync_lease),
            bodies: Bodies::new(aws, &config.delivery_bodies_table),
            queue: SyncQueues::new(aws, short, long),
            api_url: config.api_url.clone(),
        })
    }

    /// Runs the sync of each message.
    pub async fn handle(&self, event: LambdaEvent<Batch>) -> Result<BatchResponse, Infallible> {
        let response = self.consumer.run(self, event).await;
        self.client.flush().await;
        Ok(response)
    }
}

impl Handler for SyncWorker {
    type Message<'a> = SyncMessage;

    fn delivery_id<'m>(message: &'m Self::Message<'_>) -> Option<&'m DeliveryId> {
        message.delivery_id.as_ref()
    }

    async fn handle(&self, message: Self::Message<'_>, attempt: &Attempt) -> Disposition {
        let id = message.key.id();
        tracing::Span::current().record("integration.id", id.as_str());
        // On the heap: it holds a whole run.
        let progress = AtomicBool::new(false);
        let slice = if message.is_long() { LONG_SLICE } else { SHORT_SLICE };
        let disposition = match Box::pin(self.sync(&message, attempt, slice, &progress)).await {
            Ok(disposition) => disposition,
            Err(error) => {
                // A deferred message is another one: it would find the lease of this one, and believe that a sync runs. The
                // same message takes its own lease over.
                let free = self.syncs.give_up(&id, &attempt.message_id).await.is_ok();
                match (error.reason().class(), free) {
                    (Class::Passing | Class::Operators, false) => self.after_the_lease(error.diagnosis()),
                    (Class::Passing | Class::Operators | Class::Counted | Class::Hopeless, _) => {
                        attempt.failed(error.diagnosis())
                    }
                }
            }
        };
        match disposition {
            // A page was written: the age of the message starts over.
            Disposition::Defer(deferral) if progress.load(Ordering::Relaxed) => {
                Disposition::Defer(Deferral { aging: Aging::Restarts, ..deferral })
            }
            other @ (Disposition::Done
            | Disposition::Retry(..)
            | Disposition::Defer(_)
            | Disposition::DeadLetter(_)) => other,
        }
    }
}
