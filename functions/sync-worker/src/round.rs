//! The rounds of a sync: watches and streams, until no other message asks for one more.
//!
//! *Invariant:* the lease is released only if nothing was asked for meanwhile.

use domain::{
    Disposition,
    messages::message::{Cause, SyncMessage},
    sync::{SyncJob, outcome::LogEntry},
};
use platform::{AwsError, base::clock, runtime::consumer::Attempt, stores::syncs::Overview};

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
        // From now on the schedule finds it when it is due again, whatever becomes of this attempt.
        if kind != SyncJob::RenewWatches && !self.integrations.sync_due(work.key, work.due_at).await? {
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
        let is_logged = outcome.as_ref().map_or_else(|stop| work.failure(stop).is_some(), |_| true);
        if is_logged && let Err(error) = self.syncs.log(&work.id, &entry).await {
            // What stopped the sync matters more than that it can't be told.
            outcome?;
            return Err(error.into());
        }
        let read = outcome?;
        if !read {
            tracing::info!(service = %work.provider.spec().id, integration.id = %work.id, sync.r#type = ?kind, "nothing read");
            return Ok(());
        }
        // What the first full run found can be watched only now.
        let overview = self.syncs.overview(&work.id, clock::now()).await?;
        Box::pin(self.watch(work, &overview, kind == SyncJob::Full)).await?;
        let id = format!("{}:sync:{}", work.id, started_at.as_millisecond());
        let data = serde_json::json!({
            "sync_type": kind, "changes": entry.changes, "deleted": entry.swept, "started_at": started_at,
        });
        self.bus.announce("sync.completed", &id, work.key, entry.finished_at, &data).await?;
        tracing::info!(
            service = %work.provider.spec().id,
            integration.id = %work.id,
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
