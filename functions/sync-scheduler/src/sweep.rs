//! A sweep: a message for each entry of an index that is due, page by page and shard by shard.
//!
//! *Invariant:* a continuation goes on after the last entry that was sent, and each invocation comes further, so that a sweep ends
//! however much is due and however short the time is.

use std::time::Duration;

use domain::{
    IntegrationKey,
    messages::message::{Cause, DueEntry, EnvelopeVersion, Schedule, ScheduleMessage, SyncMessage},
    sync::{SyncJob, slot},
};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use platform::{
    AwsError,
    aws::queue::MAX_BATCH,
    base::clock,
    stores::due::{Due, SHARDS},
};

use crate::SyncScheduler;

/// Time reserved before the deadline for handing the rest of a sweep to a new invocation.
const RESERVE: SignedDuration = SignedDuration::from_secs(5);
/// Calls to SQS at a time. One takes some 10 ms, of which this function computes 1: eight keep it busy, and more would only hold
/// more in memory. A page and eight batches of some 500 bytes a message are less than half a megabyte.
const CONCURRENCY: usize = 8;

/// The part of a sweep that one invocation makes.
struct Part<'a> {
    job: Job,
    index: &'a Due,
    until: Timestamp,
    /// When the rest goes to another invocation.
    ends_at: Timestamp,
    /// Whether it has come further than where it began.
    moved: bool,
    sent: usize,
}

/// What a sweep asks for.
#[derive(Clone, Copy)]
enum Job {
    Sync,
    RenewWatches,
}

/// How far a shard was swept.
enum Swept {
    Whole,
    /// The time is up; this was the last entry.
    UpTo(Option<DueEntry>),
}

impl Job {
    const fn of(schedule: Schedule) -> Option<Self> {
        match schedule {
            Schedule::Incremental => Some(Self::Sync),
            Schedule::Watches => Some(Self::RenewWatches),
            Schedule::Refresh | Schedule::DeadLetters => None,
        }
    }

    /// What a sweep that begins now sends: syncs ahead of their slots, because SQS delivers them then.
    fn until(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Sync => now + slot::SWEEP,
            Self::RenewWatches => now,
        }
    }

    /// The message for an entry, and its delay; none for an entry that this version can't read.
    fn message(self, entry: &DueEntry, now: Timestamp) -> Option<(SyncMessage, Duration)> {
        let [user_id, integration] = &entry.key;
        let key = IntegrationKey::parse(user_id, integration).ok()?;
        let due_at = Timestamp::from_second(entry.due_at).ok()?;
        let message = match self {
            Self::Sync => SyncMessage::for_slot(&key, due_at, now),
            Self::RenewWatches => SyncMessage::new(&key, SyncJob::RenewWatches, Cause::Due, now),
        };
        Some((message, slot::delay(key.rhythm(), due_at, now)))
    }
}

impl Part<'_> {
    /// Whether there is time for one more step. For the first there always is, so that a sweep ends.
    fn goes_on(&self) -> bool {
        !self.moved || clock::now() < self.ends_at
    }
}

impl SyncScheduler {
    /// Begins a sweep: how many messages this invocation sent.
    pub(crate) async fn begin(&self, schedule: Schedule, deadline: Timestamp) -> Result<usize, AwsError> {
        let v = EnvelopeVersion;
        self.sweep(ScheduleMessage { v, schedule, shard: 0, after: None, until: None, hop: 0 }, deadline).await
    }

    /// Sends what is due, from where the message says. What does not fit into the time left goes to a new invocation. A shard that
    /// fails stops no other; the sweep is then repeated from where this part began, and what was sent twice is one sync.
    pub(crate) async fn sweep(&self, from: ScheduleMessage, deadline: Timestamp) -> Result<usize, AwsError> {
        let Some(job) = Job::of(from.schedule) else { return Ok(0) };
        let until = from.until.unwrap_or_else(|| job.until(clock::now()));
        let index = match job {
            Job::Sync => &self.due,
            Job::RenewWatches => &self.watches,
        };
        let mut part = Part { job, index, until, ends_at: deadline - RESERVE, moved: false, sent: 0 };
        let (mut after, mut failed) = (from.after.clone(), Ok(()));
        for shard in from.shard..SHARDS {
            let swept = match self.shard(&mut part, shard, after.take()).await {
                Ok(swept) => swept,
                Err(error) => {
                    failed = failed.and(Err(error));
                    continue;
                }
            };
            if let Swept::UpTo(last) = swept {
                let rest = ScheduleMessage { shard, after: last, until: Some(until), hop: from.hop + 1, ..from };
                let text = serde_json::to_string(&rest).map_err(|error| AwsError::unwritable("message", error))?;
                self.schedules.send(text, None).await?;
                break;
            }
        }
        tracing::info!(schedule = ?from.schedule, from.shard, from.hop, sent = part.sent, "swept");
        failed.map(|()| part.sent)
    }

    /// Sends what is due in one shard after an entry.
    async fn shard(&self, part: &mut Part<'_>, shard: u32, mut after: Option<DueEntry>) -> Result<Swept, AwsError> {
        loop {
            if !part.goes_on() {
                return Ok(Swept::UpTo(after));
            }
            let page = part.index.page(shard, part.until, after.as_ref()).await?;
            for round in page.entries.chunks(MAX_BATCH * CONCURRENCY) {
                if !part.goes_on() {
                    return Ok(Swept::UpTo(after));
                }
                let sent = join_all(round.chunks(MAX_BATCH).map(|batch| self.batch(part.job, batch))).await;
                part.sent += sent.into_iter().sum::<Result<usize, _>>()?;
                part.moved = true;
                after = round.last().cloned();
            }
            part.moved = true;
            if !page.more {
                return Ok(Swept::Whole);
            }
        }
    }

    /// Sends the messages of a batch of entries: how many there are.
    async fn batch(&self, job: Job, entries: &[DueEntry]) -> Result<usize, AwsError> {
        let now = clock::now();
        let messages = entries.iter().filter_map(|entry| job.message(entry, now));
        let messages: Vec<_> = messages.filter(|(message, _)| self.offered.has(&message.key.provider)).collect();
        if !messages.is_empty() {
            self.syncs.send_batch(&messages).await?;
        }
        Ok(messages.len())
    }
}
