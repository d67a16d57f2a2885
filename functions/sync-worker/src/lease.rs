//! The leases of an integration's syncs: in each lane one message at a time works on it, and what another message asks for is not lost.
//!
//! *Invariant:* a message that does not get a lease ends only if the running sync covers it, or is told to run again.

use std::{sync::atomic::AtomicBool, time::Duration};

use domain::{
    Disposition, IntegrationId, Reason,
    integration::SharedAccount,
    messages::message::{Cause, Stage, SyncMessage},
    sync::{Scope, SyncJob, slot::next_slot, stream::Lane},
};
use platform::{
    AwsError,
    base::clock,
    runtime::consumer::Attempt,
    stores::syncs::{Lease, Leasing},
};

use crate::{
    SyncWorker,
    work::{Task, Work, in_turn},
};

/// What becomes of a message while another one holds the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// It comes back when the lease is free.
    Waits,
    /// The running sync reads what it asks for.
    Covered,
    /// The running sync is told to run again, because what it reads may be too old.
    RunsAgain,
}

impl Beside {
    /// What deletes records is waited for, because they must be read again after it, and waits itself.
    const fn of(asked: SyncJob, cause: Cause, running: SyncJob) -> Self {
        match (asked, cause, running) {
            (SyncJob::PurgeRecords | SyncJob::DeleteIntegration | SyncJob::RenewWatches, ..)
            | (_, _, SyncJob::PurgeRecords | SyncJob::DeleteIntegration) => Self::Waits,
            (_, Cause::Asked | Cause::Due, SyncJob::Full)
            | (SyncJob::Incremental, Cause::Asked | Cause::Due, SyncJob::Incremental) => Self::Covered,
            (SyncJob::Full | SyncJob::Incremental, ..) => Self::RunsAgain,
        }
    }
}

impl SyncWorker {
    /// Runs what a message asks for, if the integration is in use and the lanes are free.
    pub(crate) async fn sync(
        &self,
        message: &SyncMessage,
        attempt: &Attempt,
        slice: Duration,
        progress: &AtomicBool,
    ) -> Result<Disposition, AwsError> {
        let erases = matches!(message.r#type, SyncJob::PurgeRecords | SyncJob::DeleteIntegration);
        if !erases && !self.offered.has(&message.key.provider) {
            // It was asked for before the provider was taken out. The slot stays due.
            tracing::info!(service = %message.key.provider, "not offered any more");
            return Ok(Disposition::Done);
        }
        if let (Scope::Object(object), false) = (&message.scope, message.others.is_empty()) {
            return self.object_for_all(message, object, attempt).await;
        }
        let found = self.integrations.get_with_slots(&message.key).await?;
        if erases {
            return self.erase(found.map(|(integration, _)| integration), message, attempt).await;
        }
        let Some((integration, slots)) = found else { return Ok(Disposition::Done) };
        if message.slot.is_some_and(|slot| !slots.is_open(slot, message.asked_at)) {
            tracing::info!(slot = ?message.slot, "this slot is served");
            return Ok(Disposition::Done);
        }
        let Some(provider) = self.registry.find(&integration.key.provider) else {
            return Ok(Disposition::dead_letter(
                Reason::UnknownProvider,
                format!("there is no provider {:?}", integration.key.provider.as_str()),
            ));
        };
        // Disconnected since it was asked for.
        if !self.grants.is_usable(&integration, provider.spec().provider_api().credential).await? {
            if integration.unreadable && attempt.number > 1 {
                // An earlier attempt at this message set the integration aside, and its dead letter may not have been sent.
                return Ok(Disposition::dead_letter(Reason::Corrupt, "the stored credential can't be opened"));
            }
            tracing::info!(sync.r#type = ?message.r#type, "nothing to do");
            let is_shared = provider.spec().streams.iter().any(|stream| stream.shared_by.is_some());
            if let Some(account) = SharedAccount::of(&integration.key, &integration.granted).filter(|_| is_shared) {
                // A reading that it began goes on with another integration of the account.
                self.syncs.release_shared(&account, &integration.key.id()).await?;
            }
            return Ok(Disposition::Done);
        }
        if message.cause == Cause::Asked {
            // Without the lease: a sync that joins another one reads the name, too. On the heap: it holds a whole call.
            Box::pin(self.name(provider, &integration, message, attempt)).await?;
        }
        let id = integration.key.id();
        let due_at = next_slot(integration.key.rhythm(), message.slot, clock::now());
        let until = attempt.at + slice;
        let has_place = &AtomicBool::new(attempt.has_place);
        let task =
            Task { provider, integration: &integration, id, message, attempt, until, due_at, progress, has_place };
        let disposition = self.in_lane(&task).await?;
        if message.slot.is_some()
            && matches!(disposition, Disposition::Done | Disposition::DeadLetter(_))
            && let Err(error) = self.integrations.slot_served(&integration.key, message.asked_at).await
        {
            // The sync has ended all the same. Only a repeated delivery of this very message would sync again.
            tracing::warn!(reason = error.reason().name(), "the slot is not marked as served");
        }
        Ok(disposition)
    }

    async fn in_lane(&self, task: &Task<'_>) -> Result<Disposition, AwsError> {
        if task.has_main_part() {
            let message = task.message;
            // A sync of one thing reads nothing that another message asks for, as if it renewed watches; two of them take turns.
            let held_as = if message.scope.is_all() { message.r#type } else { SyncJob::RenewWatches };
            let lease = match self.leased(task, Lane::Main, held_as).await? {
                Ok(lease) => lease,
                Err(disposition) => return Ok(disposition),
            };
            let work = Work::new(task, Lane::Main, lease);
            // On the heap: it holds a whole run.
            return Box::pin(self.work(&work)).await;
        }
        let lease = match self.leased(task, Lane::Full, task.message.r#type).await? {
            Ok(lease) => lease,
            Err(disposition) => return Ok(disposition),
        };
        let work = Work::new(task, Lane::Full, lease);
        Box::pin(self.work_in_full(&work)).await
    }

    /// The lease of a lane, or what becomes of the message without it.
    async fn leased(
        &self,
        task: &Task<'_>,
        lane: Lane,
        held_as: SyncJob,
    ) -> Result<Result<Lease, Disposition>, AwsError> {
        let (message, attempt) = (task.message, task.attempt);
        let (running, until) =
            match self.syncs.lease(&task.id, (lane, &attempt.message_id), held_as, attempt.at).await? {
                Leasing::Won(lease) => return Ok(Ok(lease)),
                Leasing::Busy(running, until) => (running, until),
            };
        let takes_turns = running == SyncJob::RenewWatches && !message.scope.is_all();
        // What goes on was begun already. Another run over everything would follow if the other sync were told to run again.
        let goes_on = message.stage != Stage::First;
        Ok(Err(match Beside::of(message.r#type, message.cause, running) {
            Beside::Waits => in_turn(until, attempt),
            Beside::RunsAgain if takes_turns || goes_on => in_turn(until, attempt),
            Beside::Covered => Disposition::Done,
            Beside::RunsAgain => self.run_again(&task.id, lane, message.r#type).await?,
        }))
    }

    /// Tells the running sync to run again. If it has just ended, the message takes the lease itself, soon.
    async fn run_again(&self, id: &IntegrationId, lane: Lane, job: SyncJob) -> Result<Disposition, AwsError> {
        let noted = self.syncs.run_again(id, lane, job, clock::now()).await?;
        Ok(if noted { Disposition::Done } else { Disposition::wait_for_lease(Duration::from_secs(1)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_beside_a_running_sync_only_if_that_one_reads_all_that_it_asks_for() {
        use Beside::{Covered, RunsAgain, Waits};
        use SyncJob::{DeleteIntegration, Full, Incremental, PurgeRecords, RenewWatches};
        for (asked, running, scheduled, changed) in [
            (Full, Full, Covered, RunsAgain),
            (Full, Incremental, RunsAgain, RunsAgain),
            (Full, RenewWatches, RunsAgain, RunsAgain),
            (Incremental, Full, Covered, RunsAgain),
            (Incremental, Incremental, Covered, RunsAgain),
            (Incremental, RenewWatches, RunsAgain, RunsAgain),
            (Full, PurgeRecords, Waits, Waits),
            (Incremental, DeleteIntegration, Waits, Waits),
            (RenewWatches, Full, Waits, Waits),
            (PurgeRecords, Full, Waits, Waits),
            (DeleteIntegration, PurgeRecords, Waits, Waits),
        ] {
            for cause in [Cause::Asked, Cause::Due] {
                assert_eq!(Beside::of(asked, cause, running), scheduled, "{asked:?} beside {running:?}");
            }
            assert_eq!(Beside::of(asked, Cause::Changed, running), changed, "{asked:?} beside {running:?}");
        }
    }
}
