//! The rounds of a sync: watches and streams, until no other message asks for one more.
//!
//! *Invariant:* the lease is released only if nothing was asked for meanwhile.

use domain::{
    Disposition, RecordKey,
    messages::message::{Cause, SyncMessage},
    sync::{Scope, SyncJob, outcome::LogEntry},
};
use jiff::Timestamp;
use platform::{
    AwsError,
    base::{clock, lock::lock},
    runtime::consumer::Attempt,
    stores::{records::Put, syncs::Overview},
};
use providers::Watched;

use crate::{SyncWorker, run::Extent, stop::Stop, work::Work};

impl SyncWorker {
    pub(crate) async fn work(
        &self,
        work: &Work<'_>,
        message: &SyncMessage,
        attempt: &Attempt,
    ) -> Result<Disposition, AwsError> {
        // What is refused for longer is tried before its time only where a user or a program asks for it, and once.
        let mut extent = Extent { forced: message.cause == Cause::Asked, part: None };
        let (mut kind, mut scope) = (message.r#type, message.scope.clone());
        // A sync of one thing is not that of everything, for which the schedule still comes.
        if scope.is_all() && !self.begin(work, message).await? {
            self.syncs.abandon(&work.lease).await?;
            return Ok(Disposition::Done);
        }
        if message.cause == Cause::Due {
            // Under the lease, so that messages for the same slot ask for it once. On the heap: it holds a whole call.
            Box::pin(self.name(work.provider, work.integration, message, attempt)).await?;
        }
        loop {
            let outcome = match std::mem::take(&mut scope) {
                Scope::Object(key) => match Box::pin(self.one(work, &key)).await {
                    // What can't be had alone is found by reading everything.
                    Ok(false) => self.round(work, kind, extent.clone(), None).await,
                    Ok(true) => Ok(()),
                    Err(stop) => Err(stop),
                },
                Scope::Channel(channel) => self.round(work, kind, extent.clone(), Some(&channel)).await,
                Scope::All => self.round(work, kind, extent.clone(), None).await,
            };
            let stop = match outcome {
                Ok(()) => match self.syncs.release(&work.lease).await {
                    Ok(None) => return Ok(Disposition::Done),
                    Ok(Some(again)) => {
                        self.integrations.begin_sync(work.key, work.due_at, attempt.deadline).await?;
                        (kind, extent.forced) = (again, false);
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
    async fn round(
        &self,
        work: &Work<'_>,
        kind: SyncJob,
        mut extent: Extent,
        channel: Option<&str>,
    ) -> Result<(), Stop> {
        let started_at = clock::now();
        let stored = self.syncs.overview(&work.id).await?;
        extent.part = channel.and_then(|channel| watched_by(&stored, channel));
        let mut entry = LogEntry::begin(kind, started_at, stored.last.as_ref());
        *lock(&work.stored) = stored;
        if kind == SyncJob::RenewWatches {
            let watch_due = Box::pin(self.watch(work, false)).await?;
            return Ok(self.show(work, None, watch_due).await?);
        }
        let full = work.reads_watched_stream_in_full(kind);
        // On the heap: it holds all pages.
        let (mut watch_due, outcome) = Box::pin(self.read(work, &extent, &mut entry)).await;
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
            Err(Stop::Time) => Some(work.attempt.deadline),
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
        self.announce(work, entry).await?;
        tracing::info!(
            service = %work.provider.spec().id,
            integration.id = %work.id,
            sync.r#type = ?entry.r#type,
            entry.changes,
            entry.swept,
            "synced"
        );
        Ok(())
    }

    /// Reads one object. Whether it could be had.
    async fn one(&self, work: &Work<'_>, key: &RecordKey) -> Result<bool, Stop> {
        let now = clock::now();
        let Some((request, gone)) = work.provider.again(key.stream(), key.id(), now) else { return Ok(false) };
        let Ok(change) = self.object(work, key.stream(), request, gone, now).await? else { return Ok(false) };
        let mut entry = LogEntry::begin(SyncJob::Incremental, now, None);
        match self.records.put_page(&work.id, &[&change]).await?.first() {
            Some(Put::TooLarge) => return Ok(false),
            Some(Put::Written { .. }) => entry.changes = 1,
            Some(Put::Unchanged) | None => return Ok(true),
        }
        entry.finished_at = clock::now();
        self.announce(work, &entry).await?;
        Ok(true)
    }

    /// Tells the application what a sync changed.
    async fn announce(&self, work: &Work<'_>, entry: &LogEntry) -> Result<(), Stop> {
        let id = format!("{}:sync:{}", work.id, entry.started_at.as_millisecond());
        let data = serde_json::json!({
            "sync_type": entry.r#type, "changes": entry.changes, "deleted": entry.swept, "started_at": entry.started_at,
        });
        Ok(self.bus.announce("sync.completed", &id, work.key, entry.finished_at, &data).await?)
    }

    /// Renews the watches and reads every stream. The entry says what failed. When a watch is to be renewed next, and whether a stream
    /// was read.
    async fn read(
        &self,
        work: &Work<'_>,
        extent: &Extent,
        entry: &mut LogEntry,
    ) -> (Option<Timestamp>, Result<bool, Stop>) {
        let (watch_due, outcome) = match Box::pin(self.watch(work, false)).await {
            Ok(watch_due) => (watch_due, self.streams(work, extent, entry).await),
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

/// What the watch with this channel reports changes of; none if there is no such watch any more.
fn watched_by(overview: &Overview, channel: &str) -> Option<String> {
    let is_its = |text: &str| Watched::read(Some(text)).watch.is_some_and(|watch| watch.channel_id == channel);
    overview.watches.iter().find(|(_, text)| is_its(text)).map(|(resource, _)| resource.clone())
}
