//! `sync-scheduler`: finds what is due and fans it out; reads no token.
//!
//! *Invariant:* it writes nothing per integration. The worker advances the due time under its lease, so a message sent
//! twice is one sync.

use std::time::Duration;

use domain::{
    Disposition, IntegrationKey,
    messages::message::{Cause, EnvelopeVersion, Schedule, ScheduleMessage, SyncMessage},
    sync::SyncJob,
};
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use platform::{
    Aws, AwsError,
    aws::{queue::Queue, sync_queue::SyncQueue},
    base::{clock, config::Env},
    runtime::{
        batch::{Batch, BatchResponse},
        consumer::{Attempt, Consumer, Handler, deadline},
    },
    stores::due::{Due, SHARDS},
};
use serde::{Deserialize, Serialize};

/// Time reserved before the deadline for handing the rest of a sweep to a new invocation.
const RESERVE: Duration = Duration::from_secs(5);

/// The settings that template.yaml gives the function.
#[derive(Debug)]
pub struct Config {
    integrations_table: String,
    syncs_queue_url: String,
    schedules_queue_url: String,
    schedules_dead_letter_queue_url: String,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        env.compared(&["SCHEDULE_TIMEOUT_SECONDS", "SCHEDULES_VISIBILITY_SECONDS"]);
        Self {
            integrations_table: env.text("INTEGRATIONS_TABLE"),
            syncs_queue_url: env.text("SYNCS_QUEUE_URL"),
            schedules_queue_url: env.text("SCHEDULES_QUEUE_URL"),
            schedules_dead_letter_queue_url: env.text("SCHEDULES_DEAD_LETTER_QUEUE_URL"),
        }
    }
}

#[derive(Debug)]
pub struct SyncScheduler {
    consumer: Consumer,
    due: Due,
    watches: Due,
    syncs: SyncQueue,
    schedules: Queue,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Trigger {
    /// A schedule of template.yaml.
    Schedule { schedule: Schedule },
    /// Continuations.
    Batch(Batch),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    Sweep {
        /// How many syncs were sent.
        sent: usize,
    },
    Batch(BatchResponse),
}

impl SyncScheduler {
    pub fn new(aws: &Aws, config: &Config) -> Self {
        let schedules = Queue::new(aws, &config.schedules_queue_url);
        let dead_letters = Queue::new(aws, &config.schedules_dead_letter_queue_url);
        Self {
            consumer: Consumer::new(schedules.clone(), dead_letters, 1),
            due: Due::syncs(aws, &config.integrations_table),
            watches: Due::watches(aws, &config.integrations_table),
            syncs: SyncQueue::new(aws, &config.syncs_queue_url),
            schedules,
        }
    }

    pub async fn handle(&self, event: LambdaEvent<Trigger>) -> Result<Answer, AwsError> {
        let (trigger, context) = (event.payload, event.context);
        match trigger {
            Trigger::Batch(batch) => {
                Ok(Answer::Batch(self.consumer.run(self, LambdaEvent { payload: batch, context }).await))
            }
            Trigger::Schedule { schedule } => {
                let deadline = deadline(&context, clock::now());
                let first = ScheduleMessage { v: EnvelopeVersion, schedule, shard: 0, hop: 0 };
                Ok(Answer::Sweep { sent: self.sweep(first, deadline).await? })
            }
        }
    }

    /// Sends what is due, shard by shard; the shards that don't fit into the time left go to a new invocation. A shard that fails
    /// stops no other.
    async fn sweep(&self, from: ScheduleMessage, deadline: Timestamp) -> Result<usize, AwsError> {
        let Some(kind) = sync_type(from.schedule) else { return Ok(0) };
        let (mut sent, mut failed) = (0, Ok(()));
        for shard in from.shard..SHARDS {
            let now = clock::now();
            if shard > from.shard && now + RESERVE >= deadline {
                let rest = ScheduleMessage { shard, hop: from.hop + 1, ..from };
                self.schedules.send(body(&rest)?, None).await?;
                break;
            }
            match self.shard(kind, shard, now).await {
                Ok(count) => sent += count,
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        tracing::info!(schedule = ?from.schedule, from.shard, from.hop, sent, "swept");
        failed.map(|()| sent)
    }

    /// Sends what is due in one shard.
    async fn shard(&self, kind: SyncJob, shard: u32, now: Timestamp) -> Result<usize, AwsError> {
        let due = match kind {
            SyncJob::Incremental => self.due.shard(shard, Some(now)).await?,
            SyncJob::RenewWatches => self.watches.shard(shard, Some(now)).await?,
            // All that are in use, due or not.
            SyncJob::Full | SyncJob::PurgeRecords | SyncJob::DeleteIntegration => self.due.shard(shard, None).await?,
        };
        let message = |[user_id, integration]: [String; 2]| {
            let key = IntegrationKey::parse(&user_id, &integration).ok()?;
            Some(SyncMessage::new(&key, kind, Cause::Due, now))
        };
        let messages: Vec<_> = due.keys.into_iter().filter_map(message).collect();
        self.syncs.send_all(&messages).await?;
        Ok(messages.len())
    }
}

impl Handler for SyncScheduler {
    type Message<'a> = ScheduleMessage;

    async fn handle(&self, message: Self::Message<'_>, attempt: &Attempt) -> Disposition {
        match self.sweep(message, attempt.deadline).await {
            Ok(_) => Disposition::Done,
            Err(error) => attempt.failed(error.diagnosis()),
        }
    }
}

const fn sync_type(schedule: Schedule) -> Option<SyncJob> {
    match schedule {
        Schedule::Incremental => Some(SyncJob::Incremental),
        Schedule::Full => Some(SyncJob::Full),
        Schedule::Watches => Some(SyncJob::RenewWatches),
        Schedule::Refresh | Schedule::DeadLetters => None,
    }
}

fn body<T: Serialize>(message: &T) -> Result<String, AwsError> {
    serde_json::to_string(message).map_err(|error| AwsError::unwritable("message", error))
}
