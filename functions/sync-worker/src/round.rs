//! The rounds of a sync: watches and streams, until no other message asks for one more.
//!
//! *Invariant:* the lease is released only if nothing was asked for meanwhile.

use domain::{
    Disposition, IntegrationKey,
    messages::message::{Cause, SyncMessage},
    sync::{SyncJob, outcome::LogEntry},
};
use jiff::Timestamp;
use platform::{
    AwsError,
    base::{clock, lock::lock},
    runtime::consumer::Attempt,
};

use crate::{SyncWorker, stop::Stop, work::Work};

impl SyncWorker {
    pub(crate) async fn work(
        &self,
        work: &Work<'_>,
        message: &SyncMessage,
        attempt: &Attempt,
    ) -> Result<Disposition, AwsError> {
        // What is refused for longer is tried before its time only where a user or a program asks for it, and once.
        let (mut kind, mut forced) = (message.r#type, message.cause == Cause::Asked);
        let is_narrow = match self.narrow(work, &message.scope).await {
            Ok(is_narrow) => is_narrow,
            Err(stop) => return self.stopped(work, kind, stop, attempt).await,
        };
        if !is_narrow && !self.begin(work, message).await? {
            self.syncs.abandon(&work.lease).await?;
            return Ok(Disposition::Done);
        }
        if message.cause == Cause::Due {
            // Under the lease, so that messages for the same slot ask for it once. On the heap: it holds a whole call.
            Box::pin(self.name(work.provider, work.integration, message, attempt)).await?;
        }
        let mut outcome = if is_narrow { Ok(()) } else { self.round(work, kind, forced).await };
        loop {
            let stop = match outcome {
                Ok(()) => match self.syncs.release(&work.lease).await {
                    Ok(None) => return Ok(Disposition::Done),
                    Ok(Some(again)) => {
                        self.integrations.begin_sync(work.key, work.due_at, attempt.deadline).await?;
                        (kind, forced) = (again, false);
                        work.sharing.read_anew(kind);
                        outcome = self.round(work, kind, forced).await;
                        continue;
                    }
                    Err(error) => error.into(),
                },
                Err(stop) => stop,
            };
            return self.stopped(work, kind, stop, attempt).await;
        }
    }

    /// Has the schedule find the integration in its next slot, whatever becomes of this attempt. Whether it is in use, and no other
    /// message has served the slot meanwhile.
    async fn begin(&self, work: &Work<'_>, message: &SyncMessage) -> Result<bool, AwsError> {
        let (next, until) = (work.due_at, work.attempt.deadline);
        match message.slot {
            _ if message.r#type == SyncJob::RenewWatches => Ok(true),
            Some(slot) => self.integrations.serve_slot(work.key, slot, message.asked_at, next, until).await,
            None => self.integrations.take_slots(work.key, next, until).await,
        }
    }

    /// One round over all streams, and what a person and the application hear of it.
    async fn round(&self, work: &Work<'_>, kind: SyncJob, forced: bool) -> Result<(), Stop> {
        let started_at = clock::now();
        let stored = self.syncs.overview(&work.id).await?;
        let mut entry = LogEntry::begin(kind, started_at, stored.last.as_ref());
        if stored.last.as_ref().is_some_and(|last| last.started_at < work.integration.connected_at) {
            // What failed under an earlier grant says nothing of this one.
            entry.streams.clear();
        }
        *lock(&work.stored) = stored;
        if kind == SyncJob::RenewWatches {
            let watch_due = Box::pin(self.watch(work, false)).await?;
            return Ok(self.show(work, None, watch_due).await?);
        }
        let full = work.reads_watched_stream_in_full(kind);
        // On the heap: it holds all pages.
        let (mut watch_due, outcome) = Box::pin(self.read(work, forced, &mut entry)).await;
        entry.finished_at = clock::now();
        self.report(work, &outcome, &entry).await;
        // Of a sync that only goes on later, or elsewhere, there is nothing to tell.
        let is_logged = outcome.as_ref().map_or_else(|stop| work.failure(stop).is_some(), |_| true);
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
        let (watch_due, outcome) = match Box::pin(self.watch(work, false)).await {
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
