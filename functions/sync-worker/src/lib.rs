//! `sync-worker`: runs one sync of one integration, page by page; creates and renews watches.
//!
//! *Invariant:* every page is written before its position, and the position only under the lease, so a crash repeats one page
//! at most and nothing of an integration that was disconnected comes back.

mod erase;
mod name;
mod outcome;
mod run;
mod spell;
mod stop;
mod watches;

use std::{
    convert::Infallible,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use domain::{
    Aging, Deferral, Disposition, Failure, Integration, IntegrationId, IntegrationKey, Reason,
    error::Kind,
    messages::{
        disposition::backoff,
        message::{Cause, SyncMessage},
    },
    reason::Class,
    sync::{SyncJob, outcome::LogEntry},
};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::LambdaEvent;
use platform::{
    Aws, AwsError,
    aws::{queue::Queue, sync_queue::SyncQueue},
    base::{InitError, clock, config::Env},
    client::access::{Access, AccessConfig},
    runtime::{
        batch::{Batch, BatchResponse},
        consumer::{Attempt, Consumer, Handler},
    },
    stores::{
        records::Records,
        syncs::{Lease, Leasing, Overview, Syncs},
    },
};
use providers::{Provider, Registry};

use crate::stop::Stop;

/// When an integration is due again: before the schedule's next round, 15 minutes after this one.
const INTERVAL: SignedDuration = SignedDuration::from_mins(13);
/// SQS's longest delay.
const LONGEST_DELAY: Duration = Duration::from_mins(15);
/// Left of the invocation's time when a run goes on in another one: a quarter, and no more than this.
const MARGIN: SignedDuration = SignedDuration::from_secs(15);

/// What template.yaml sets.
#[derive(Debug)]
pub struct Config {
    access: AccessConfig,
    records_table: String,
    syncs_table: String,
    syncs_queue_url: String,
    syncs_dead_letter_queue_url: String,
    sync_lease: Duration,
    api_url: String,
}

impl Config {
    /// Reads it.
    pub fn read(env: &mut Env) -> Self {
        env.compared(&["SYNC_TIMEOUT_SECONDS", "SYNCS_VISIBILITY_SECONDS"]);
        Self {
            access: AccessConfig::read(env),
            records_table: env.text("RECORDS_TABLE"),
            syncs_table: env.text("SYNCS_TABLE"),
            syncs_queue_url: env.text("SYNCS_QUEUE_URL"),
            syncs_dead_letter_queue_url: env.text("SYNCS_DEAD_LETTER_QUEUE_URL"),
            sync_lease: env.seconds("SYNC_LEASE_SECONDS"),
            api_url: env.text("API_URL"),
        }
    }
}

/// The function.
#[derive(Debug)]
pub struct SyncWorker {
    registry: Registry,
    consumer: Consumer,
    access: Access,
    records: Records,
    syncs: Syncs,
    queue: SyncQueue,
    api_url: String,
}

/// What a sync works on.
struct Work<'a> {
    provider: &'static dyn Provider,
    integration: &'a Integration,
    key: &'a IntegrationKey,
    id: IntegrationId,
    lease: Lease,
    attempt: &'a Attempt,
    /// See [`SyncMessage::asked_at`].
    asked_at: Timestamp,
    /// Whether this attempt wrote a page.
    progress: &'a AtomicBool,
    /// When the schedule syncs the integration next, whatever becomes of this attempt.
    due_at: Timestamp,
}

impl Work<'_> {
    /// How a wait for the provider counts.
    fn aging(failure: &Failure) -> Aging {
        if failure.kind() == Kind::RateLimited { Aging::Pauses } else { Aging::Grows }
    }

    fn out_of_time(&self) -> bool {
        is_over(self.attempt)
    }
}

/// Later again, when the lease that another message holds is free: at its end if the holder died, and mostly long before.
fn in_turn(until: Timestamp, attempt: &Attempt) -> Disposition {
    let left = Duration::try_from(until.duration_since(attempt.at)).unwrap_or_default();
    Disposition::wait_for_lease(left.min(backoff(attempt.hops + 1, &attempt.message_id)))
}

/// Whether what is left goes to another invocation.
fn is_over(attempt: &Attempt) -> bool {
    let margin = MARGIN.min(attempt.deadline.duration_since(attempt.at) / 4);
    clock::now() + margin >= attempt.deadline
}

impl SyncWorker {
    /// Makes the clients.
    pub fn new(aws: &Aws, config: &Config, registry: Registry) -> Result<Self, InitError> {
        let dead_letters = Queue::new(aws, &config.syncs_dead_letter_queue_url);
        let queue = Queue::new(aws, &config.syncs_queue_url);
        Ok(Self {
            registry,
            consumer: Consumer::new(queue, dead_letters, 1),
            access: Access::new(aws, &config.access, |limit| registry.has_limit(limit))?,
            records: Records::new(aws, &config.records_table),
            syncs: Syncs::new(aws, &config.syncs_table, config.sync_lease),
            queue: SyncQueue::new(aws, &config.syncs_queue_url),
            api_url: config.api_url.clone(),
        })
    }

    /// Handles a batch.
    pub async fn handle(&self, event: LambdaEvent<Batch>) -> Result<BatchResponse, Infallible> {
        let response = self.consumer.run(self, event).await;
        self.access.flush().await;
        Ok(response)
    }

    async fn sync(
        &self,
        message: &SyncMessage,
        attempt: &Attempt,
        progress: &AtomicBool,
    ) -> Result<Disposition, AwsError> {
        let found = self.access.integrations.get(&message.key.user_id, &message.key.account()).await?;
        if matches!(message.r#type, SyncJob::PurgeRecords | SyncJob::DeleteIntegration) {
            return self.erase(found, message, attempt).await;
        }
        let Some(integration) = found else { return Ok(Disposition::Done) };
        let Some(provider) = self.registry.find(&integration.key.provider) else {
            return Ok(Disposition::dead_letter(
                Reason::UnknownProvider,
                format!("there is no provider {:?}", integration.key.provider),
            ));
        };
        // Disconnected since it was asked for.
        if !self.access.is_usable(&integration, provider.spec().provider_api().credential).await? {
            if integration.unreadable && attempt.number > 1 {
                // An earlier attempt at this message set the integration aside, and its dead letter may not have been sent.
                return Ok(Disposition::dead_letter(Reason::Corrupt, "the stored credential can't be opened"));
            }
            tracing::info!(sync.r#type = ?message.r#type, "nothing to do");
            return Ok(Disposition::Done);
        }
        // Without the lease: a sync that joins another one reads the name, too. On the heap: it holds a whole call.
        Box::pin(self.name(provider, &integration, message, attempt)).await?;
        let id = integration.key.id();
        let lease = match self.syncs.lease(&id, &attempt.message_id, message.r#type, attempt.at).await? {
            Leasing::Won(lease) => lease,
            Leasing::Busy(running, until) => return self.busy(&id, message, running, until, attempt).await,
        };
        let work = Work {
            provider,
            integration: &integration,
            key: &integration.key,
            id,
            lease,
            attempt,
            asked_at: message.asked_at,
            progress,
            due_at: clock::now() + INTERVAL,
        };
        // On the heap: it holds a whole run.
        Box::pin(self.work(&work, message, attempt)).await
    }

    /// Another message holds the lease. A running sync is told to run again if what it reads may be too old; an erasure is
    /// waited for, because what it deletes must be read again after it.
    async fn busy(
        &self,
        id: &str,
        message: &SyncMessage,
        running: SyncJob,
        until: Timestamp,
        attempt: &Attempt,
    ) -> Result<Disposition, AwsError> {
        let covers = match running {
            SyncJob::Full => true,
            SyncJob::Incremental => message.r#type == SyncJob::Incremental,
            SyncJob::RenewWatches | SyncJob::PurgeRecords | SyncJob::DeleteIntegration => false,
        };
        if matches!(running, SyncJob::PurgeRecords | SyncJob::DeleteIntegration) {
            return Ok(in_turn(until, attempt));
        }
        match (message.r#type, message.cause) {
            (SyncJob::PurgeRecords | SyncJob::DeleteIntegration | SyncJob::RenewWatches, _) => {
                Ok(in_turn(until, attempt))
            }
            (SyncJob::Full | SyncJob::Incremental, Cause::Asked | Cause::Due) if covers => Ok(Disposition::Done),
            (kind @ (SyncJob::Full | SyncJob::Incremental), _) => {
                let told = self.syncs.run_again(id, kind, clock::now()).await?;
                // They had just finished: it is our turn.
                Ok(if told { Disposition::Done } else { Disposition::wait_for_lease(Duration::from_secs(1)) })
            }
        }
    }

    async fn work(&self, work: &Work<'_>, message: &SyncMessage, attempt: &Attempt) -> Result<Disposition, AwsError> {
        // What is refused for longer is tried before its time only where a user or a program asks for it, and once.
        let (mut kind, mut forced) = (message.r#type, message.cause == Cause::Asked);
        // From now on the schedule finds it when it is due again, whatever becomes of this attempt.
        if kind != SyncJob::RenewWatches && !self.access.integrations.sync_due(work.key, work.due_at).await? {
            self.syncs.abandon(&work.lease).await?;
            return Ok(Disposition::Done);
        }
        loop {
            let stop = match self.round(work, kind, forced).await {
                Ok(()) => match self.syncs.release(&work.lease).await {
                    Ok(None) => return Ok(Disposition::Done),
                    Ok(Some(again)) => {
                        (kind, forced) = (again, false);
                        continue;
                    }
                    Err(error) => error.into(),
                },
                Err(stop) => stop,
            };
            return self.stopped(work, kind, stop, attempt).await;
        }
    }

    /// One round over all streams, and what a person and the application hear of it.
    async fn round(&self, work: &Work<'_>, kind: SyncJob, forced: bool) -> Result<(), Stop> {
        let started_at = clock::now();
        let overview = self.syncs.overview(&work.id, started_at).await?;
        if kind == SyncJob::RenewWatches {
            return Box::pin(self.watch(work, &overview, false)).await;
        }
        let mut entry = LogEntry::begin(kind, started_at, overview.last.as_ref());
        // On the heap: it holds all pages.
        let outcome = Box::pin(self.read(work, overview, forced, &mut entry)).await;
        entry.finished_at = clock::now();
        self.report(work, &outcome, &entry).await;
        // Of a sync that only goes on later, or elsewhere, there is nothing to tell.
        let told = outcome.as_ref().map_or_else(|stop| work.failure(stop).is_some(), |_| true);
        if told && let Err(error) = self.syncs.log(&work.id, &entry).await {
            // What stopped the sync matters more than that it can't be told.
            outcome?;
            return Err(error.into());
        }
        let read = outcome?;
        if !read {
            tracing::info!(service = work.provider.spec().id, integration.id = work.id.as_str(), sync.r#type = ?kind, "nothing read");
            return Ok(());
        }
        // What the first full run found can be watched only now.
        let overview = self.syncs.overview(&work.id, clock::now()).await?;
        Box::pin(self.watch(work, &overview, kind == SyncJob::Full)).await?;
        let id = format!("{}:sync:{}", work.id, started_at.as_millisecond());
        let data = serde_json::json!({
            "sync_type": kind, "changes": entry.changes, "deleted": entry.swept, "started_at": started_at,
        });
        self.access.bus.announce("sync.completed", &id, work.key, entry.finished_at, &data).await?;
        tracing::info!(
            service = work.provider.spec().id,
            integration.id = work.id.as_str(),
            sync.r#type = ?kind,
            entry.changes,
            entry.swept,
            "synced"
        );
        Ok(())
    }

    /// Renews the watches and reads every stream. The entry says what failed. Whether a stream was read.
    async fn read(
        &self,
        work: &Work<'_>,
        overview: Overview,
        forced: bool,
        entry: &mut LogEntry,
    ) -> Result<bool, Stop> {
        let outcome = match Box::pin(self.watch(work, &overview, false)).await {
            Ok(()) => self.streams(work, overview.streams, forced, entry).await,
            Err(stop) => Err(stop),
        };
        if let Err(stop) = &outcome
            && entry.outcome.is_ok()
            && let Some(failure) = work.failure(stop)
        {
            entry.fail(None, failure);
        }
        outcome
    }
}

impl Handler for SyncWorker {
    type Message<'a> = SyncMessage;

    fn delivery_id<'m>(message: &'m Self::Message<'_>) -> Option<&'m str> {
        message.delivery_id.as_deref()
    }

    async fn handle(&self, message: Self::Message<'_>, attempt: &Attempt) -> Disposition {
        let id = message.key.id();
        tracing::Span::current().record("integration.id", id.as_str());
        // On the heap: it holds a whole run.
        let progress = AtomicBool::new(false);
        let disposition = match Box::pin(self.sync(&message, attempt, &progress)).await {
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
            // A page was written: the age of the message begins anew.
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
