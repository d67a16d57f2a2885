//! `sync-scheduler`: finds what is due and fans it out; reads no token.
//!
//! *Invariant:* it writes nothing per integration. The worker serves each slot once, so a message sent twice is one sync.

mod sweep;

use domain::{
    Disposition, Offered,
    messages::message::{Schedule, ScheduleMessage},
};
use lambda_runtime::LambdaEvent;
use platform::{
    Aws, AwsError,
    aws::{queue::Queue, sync_queue::SyncQueue},
    base::{clock, config::Env, metrics},
    runtime::{
        batch::{Batch, BatchResponse},
        consumer::{Attempt, Consumer, Handler, deadline},
    },
    stores::due::Due,
};
use serde::{Deserialize, Serialize};

/// The settings that template.yaml gives the function.
#[derive(Debug)]
pub struct Config {
    integrations_table: String,
    long_syncs_queue_url: String,
    schedules_queue_url: String,
    schedules_dead_letter_queue_url: String,
    offered: Offered,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        env.compared(&["SCHEDULE_TIMEOUT_SECONDS", "SCHEDULES_VISIBILITY_SECONDS"]);
        Self {
            integrations_table: env.text("INTEGRATIONS_TABLE"),
            long_syncs_queue_url: env.text("LONG_SYNCS_QUEUE_URL"),
            schedules_queue_url: env.text("SCHEDULES_QUEUE_URL"),
            schedules_dead_letter_queue_url: env.text("SCHEDULES_DEAD_LETTER_QUEUE_URL"),
            offered: env.offered(),
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
    offered: Offered,
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
        /// How many syncs this invocation sent.
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
            syncs: SyncQueue::new(aws, &config.long_syncs_queue_url),
            schedules,
            offered: config.offered.clone(),
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
                let sent = self.begin(schedule, deadline).await?;
                metrics::schedule_done(schedule);
                Ok(Answer::Sweep { sent })
            }
        }
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
