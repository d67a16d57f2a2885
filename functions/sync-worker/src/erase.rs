//! The end of an integration's records: erased under the leases of its syncs, and with the last message the integration itself.

use std::time::Duration;

use domain::{
    AccountAddress, Aging, Deferral, Diagnosis, Disposition, Integration, Reason,
    integration::IntegrationState,
    messages::message::SyncMessage,
    sync::{SyncJob, stream::Lane},
};
use platform::{AwsError, runtime::consumer::Attempt, stores::syncs::Leasing};

use crate::{
    SyncWorker,
    work::{in_turn, is_over},
};

impl SyncWorker {
    /// Deletes what was synced, of providers that are not there any more, too.
    pub(crate) async fn erase(
        &self,
        found: Option<Integration>,
        message: &SyncMessage,
        attempt: &Attempt,
    ) -> Result<Disposition, AwsError> {
        let (key, id) = (&message.key, message.key.id());
        // Connected again since: what is there now is another grant's.
        if found
            .as_ref()
            .is_some_and(|it| it.state == IntegrationState::Connected || it.connected_at > message.asked_at)
        {
            tracing::info!(integration.id = %id, "nothing to erase");
            // An earlier attempt may have died under its lease, and the new grant's sync waits for that.
            self.syncs.give_up(&id, &attempt.message_id).await?;
            return Ok(Disposition::Done);
        }
        // Both, so that nothing that a sync still writes comes after.
        let mut leases = Vec::new();
        for lane in [Lane::Main, Lane::Full] {
            match self.syncs.lease(&id, (lane, &attempt.message_id), message.r#type, attempt.at).await? {
                Leasing::Won(lease) => leases.push(lease),
                Leasing::Busy(_, until) => {
                    for lease in &leases {
                        self.syncs.abandon(lease).await?;
                    }
                    return Ok(in_turn(until, attempt));
                }
            }
        }
        // First what says which records are there: should the integration be connected again before this has ended, its first sync
        // must not take erased records for known.
        self.syncs.erase(&id).await?;
        let done = self.records.erase((&self.integrations, key), attempt.deadline, || is_over(attempt)).await?;
        let is_last = message.r#type == SyncJob::DeleteIntegration;
        // Also later than that, for what was kept by an attempt that was under way.
        if done && (is_last || found.is_none()) {
            let address = found.as_ref().and_then(|it| it.address.as_ref()).map(AccountAddress::as_str);
            self.bodies.erase(key, address).await?;
        }
        if done && is_last {
            // Last: as long as the integration is there, a repeated erasure finds what is left.
            self.integrations.forget(key).await?;
        }
        // The fences stay, and expire by themselves.
        for lease in &leases {
            self.syncs.abandon(lease).await?;
        }
        tracing::info!(integration.id = %id, ?message.r#type, done, "erased");
        Ok(if done {
            Disposition::Done
        } else {
            let why = Diagnosis::new(Reason::TimedOut, "more records are to be deleted than one invocation can delete");
            Disposition::Defer(Deferral {
                after: Duration::from_secs(1),
                why,
                aging: Aging::Restarts,
                has_place: false,
                is_long: true,
            })
        })
    }
}
