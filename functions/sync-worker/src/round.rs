//! The rounds of a sync: watches and streams, until no other message asks for one more.
//!
//! *Invariant:* the lease is released only if nothing was asked for meanwhile.

use std::time::Duration;

use domain::{
    Disposition, IntegrationKey,
    messages::message::{Cause, Stage, SyncMessage},
    sync::{SyncJob, outcome::LogEntry, stream::Lane},
};
use jiff::Timestamp;
use platform::{
    AwsError,
    base::{clock, lock::lock},
};

use crate::{SyncWorker, stop::Stop, work::Work};

impl SyncWorker {
    /// Reads and watches what is of the main lane. What is to be read in full then gets a message of its own, among the long syncs.
    pub(crate) async fn work(&self, work: &Work<'_>) -> Result<Disposition, AwsError> {
        let message = work.task.message;
        // What is refused for longer is tried before its time only where a user or a program asks for it, and once.
        let forced = message.cause == Cause::Asked;
        let is_narrow = match Box::pin(self.narrow(work, &message.scope)).await {
            Ok(is_narrow) => is_narrow,
            Err(stop) => return self.stopped(work, stop).await,
        };
        if !is_narrow {
            self.look(work).await?;
            if !self.begin(work).await? {
                self.syncs.abandon(&work.lease).await?;
                return Ok(Disposition::Done);
            }
        }
        let mut reads_all = !is_narrow && message.r#type != SyncJob::RenewWatches;
        let mut outcome = if is_narrow { Ok(()) } else { Box::pin(self.round(work, message.r#type, forced)).await };
        loop {
            let stop = match outcome {
                Ok(()) => match self.syncs.release(&work.lease).await {
                    Ok(None) => break,
                    Ok(Some(_)) => {
                        self.look(work).await?;
                        self.take_slots(work).await?;
                        reads_all = true;
                        outcome = Box::pin(self.round(work, SyncJob::Incremental, false)).await;
                        continue;
                    }
                    Err(error) => error.into(),
                },
                Err(stop) => stop,
            };
            // Once: a message that comes back again and again would send as many.
            if reads_all && stop.is_of_one_stream() && work.attempt.hops == 0 && !work.is_read_in_full() {
                self.hand_over(work).await?;
            }
            return self.stopped(work, stop).await;
        }
        if reads_all {
            self.hand_over(work).await?;
        }
        Ok(Disposition::Done)
    }

    /// Sends a message for what is to be read in full, if something is.
    async fn hand_over(&self, work: &Work<'_>) -> Result<(), AwsError> {
        let mut streams = work.provider.spec().streams.iter();
        if streams.any(|stream| work.full_wanted(stream).is_some()) {
            self.queue.send(&work.task.message.rest(Stage::Full), Duration::ZERO).await?;
        }
        Ok(())
    }

    /// Reads what is to be read in full, in the lane of full runs.
    pub(crate) async fn work_in_full(&self, work: &Work<'_>) -> Result<Disposition, AwsError> {
        let message = work.task.message;
        self.look(work).await?;
        let is_in_use = if message.stage == Stage::Full {
            self.integrations.resume_sync(work.key, (work.lane, work.attempt.deadline)).await?
        } else {
            self.begin(work).await?
        };
        if !is_in_use {
            self.syncs.abandon(&work.lease).await?;
            return Ok(Disposition::Done);
        }
        let read = Box::pin(self.round(work, message.r#type, message.cause == Cause::Asked)).await;
        let outcome = match read {
            Ok(()) => self.release_full(work).await,
            Err(stop) => Err(stop),
        };
        match outcome {
            Ok(()) => Ok(Disposition::Done),
            Err(stop) => self.stopped(work, stop).await,
        }
    }

    /// Gives the lease of a full run back. What was reported meanwhile is asked for by a message of its own, because it may be for the
    /// main lane.
    pub(crate) async fn release_full(&self, work: &Work<'_>) -> Result<(), Stop> {
        while let Some(mark) = self.syncs.release_unmarked(&work.lease).await? {
            let again = SyncMessage::new(work.key, mark.job, Cause::Changed, clock::now());
            // Later than the lease is given back: else the message would mark it again.
            self.queue.send(&again, Duration::from_secs(1)).await?;
            if self.syncs.release_marked(&work.lease, &mark).await? {
                break;
            }
        }
        Ok(())
    }

    /// Has the schedule find the integration in its next slot, whatever becomes of this attempt. Whether it is in use, and no other
    /// message has served the slot meanwhile.
    async fn begin(&self, work: &Work<'_>) -> Result<bool, AwsError> {
        let message = work.task.message;
        let (next, until) = (work.due_at, (work.lane, work.attempt.deadline));
        let is_open = match message.slot {
            _ if message.r#type == SyncJob::RenewWatches => true,
            Some(slot) => self.integrations.serve_slot(work.key, slot, message.asked_at, next, until).await?,
            None => self.take_slots(work).await?,
        };
        if is_open && message.cause == Cause::Due {
            // Under the lease, so that messages for the same slot ask for it once. On the heap: it holds a whole call.
            Box::pin(self.name(work.provider, work.integration, message, work.attempt)).await?;
        }
        Ok(is_open)
    }

    /// Takes the slots before the next one from the messages that serve them, because this sync does. Whether the integration is in use.
    async fn take_slots(&self, work: &Work<'_>) -> Result<bool, AwsError> {
        let until = (work.lane, work.attempt.deadline);
        if work.task.message.cause == Cause::Changed && work.is_read_in_full() {
            // Reports may come all the time, and what has become of the full run is found out by the messages of slots.
            return self.integrations.resume_sync(work.key, until).await;
        }
        self.integrations.take_slots(work.key, work.due_at, until).await
    }

    /// Reads where the streams stand.
    async fn look(&self, work: &Work<'_>) -> Result<(), AwsError> {
        *lock(&work.looked_at) = clock::now();
        *lock(&work.stored) = self.syncs.overview(&work.id).await?;
        Ok(())
    }

    /// Reads what the other lane has told since then.
    async fn look_again(&self, work: &Work<'_>) -> Result<(), AwsError> {
        match work.lane {
            _ if !work.task.has_main_lane() => {}
            Lane::Main => {
                let (last, looked_at) = (self.syncs.last(&work.id).await?, *lock(&work.looked_at));
                // A full run may have begun and ended since then: what is shown of the streams must have it.
                if last.as_ref().is_some_and(|last| last.finished_at >= looked_at) {
                    return self.look(work).await;
                }
                lock(&work.stored).last = last;
            }
            Lane::Full => *lock(&work.stored) = self.syncs.overview(&work.id).await?,
        }
        Ok(())
    }

    /// One round over the streams of the lane, and what a person and the application hear of it.
    async fn round(&self, work: &Work<'_>, kind: SyncJob, forced: bool) -> Result<(), Stop> {
        let started_at = clock::now();
        lock(&work.read).clear();
        if kind == SyncJob::RenewWatches {
            let watch_due = Box::pin(self.watch(work, false)).await?;
            return Ok(self.show(work, None, watch_due).await?);
        }
        let streams = work.provider.spec().streams;
        if work.lane == Lane::Full && streams.iter().all(|stream| work.full_wanted(stream).is_none()) {
            // Another message has gone on with the run.
            return Ok(self.show(work, None, None).await?);
        }
        let full = work.lane == Lane::Full && work.reads_watched_stream_in_full();
        let mut entry = LogEntry::begin(kind, started_at, None);
        // On the heap: it holds all pages.
        let (mut watch_due, outcome) = Box::pin(self.read(work, forced, &mut entry)).await;
        entry.finished_at = clock::now();
        if !matches!(outcome, Err(Stop::Lost)) {
            self.look_again(work).await?;
        }
        // While a full run is under way, how that goes decides whether syncs work.
        let is_partial = work.lane == Lane::Main && work.is_read_in_full();
        if outcome.is_err() || !is_partial {
            self.report(work, &outcome, &entry).await;
        }
        work.merge(&mut entry);
        // Of a sync that only goes on later, or elsewhere, there is nothing to tell; nor of one without a stream.
        let has_read = !lock(&work.read).is_empty() || streams.is_empty();
        let is_logged = match &outcome {
            Err(stop) => work.failure(stop).is_some(),
            Ok(_) => has_read || entry.outcome.is_err(),
        };
        if is_logged {
            if let Err(error) = self.syncs.log(&work.id, &entry).await {
                // What stopped the sync matters more than that it can't be told.
                outcome?;
                return Err(error.into());
            }
            lock(&work.stored).last = Some(entry.clone());
        }
        let outcome = match outcome {
            Ok(true) => self.complete(work, &entry, full, &mut watch_due).await,
            Ok(false) => {
                tracing::info!(service = %work.provider.spec().id, integration.id = %work.id, sync.r#type = ?kind, "nothing read");
                Ok(())
            }
            Err(stop) => Err(stop),
        };
        let syncing_until = match &outcome {
            Err(Stop::Lost) => return outcome,
            // The next invocation goes on at once.
            Err(Stop::Time | Stop::Turn) => Some(work.attempt.deadline),
            Ok(()) | Err(Stop::Call(_)) => None,
        };
        if is_partial {
            // The full run may have ended, and told so.
            self.look(work).await?;
        }
        let shown = self.show(work, syncing_until, watch_due).await;
        outcome?;
        Ok(shown?)
    }

    /// Watches what the first full run found, and tells that the sync ended.
    async fn complete(
        &self,
        work: &Work<'_>,
        entry: &LogEntry,
        full: bool,
        watch_due: &mut Option<Timestamp>,
    ) -> Result<(), Stop> {
        *watch_due = Box::pin(self.watch(work, full)).await?;
        self.announce(work.key, entry).await?;
        work.log_synced(entry);
        Ok(())
    }

    /// Tells the application what a sync changed.
    pub(crate) async fn announce(&self, key: &IntegrationKey, entry: &LogEntry) -> Result<(), AwsError> {
        let id = format!("{}:sync:{}", key.id(), entry.started_at.as_millisecond());
        let data = serde_json::json!({
            "sync_type": entry.r#type, "changes": entry.changes, "deleted": entry.swept, "started_at": entry.started_at,
        });
        self.bus.announce("sync.completed", &id, key, entry.finished_at, &data).await
    }

    /// Renews the watches and reads every stream. The entry says what failed. When a watch is to be renewed next, and whether a stream
    /// was read.
    async fn read(
        &self,
        work: &Work<'_>,
        forced: bool,
        entry: &mut LogEntry,
    ) -> (Option<Timestamp>, Result<bool, Stop>) {
        // Watches are of the main lane: a full run only starts those of what it finds.
        let watched = match work.lane {
            Lane::Main => Box::pin(self.watch(work, false)).await,
            Lane::Full => Ok(None),
        };
        let (watch_due, outcome) = match watched {
            Ok(watch_due) => {
                let outcome = self.streams(work, forced, entry).await;
                let released = self.end_reading(work, &outcome).await;
                (watch_due, outcome.and_then(|read| Ok(released.map(|()| read)?)))
            }
            Err(stop) => (None, Err(stop)),
        };
        if let Err(stop) = &outcome
            && entry.outcome.is_ok()
            && let Some(failure) = work.failure(stop)
        {
            entry.fail(None, failure);
        }
        (watch_due, outcome)
    }
}
