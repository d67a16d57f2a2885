//! What `sync-worker` writes about the syncs of an integration: when they are due, since when streams are read whole, what is shown.

use domain::{
    Integration, IntegrationKey,
    integration::{IntegrationState, summary::SyncSummary},
    sync::{ReadSince, slot::slot, stream::Lane},
};
use jiff::Timestamp;

use super::{Integrations, state};
use crate::{
    aws::AwsError,
    stores::{
        due::shard,
        item::{n, s, seconds, time},
        table::Update,
    },
};

impl Integrations {
    /// Says from when on an integration in use is to be synced next: at its first slot then. Whether it is in use.
    pub async fn sync_due(&self, key: &IntegrationKey, at: Timestamp) -> Result<bool, AwsError> {
        Ok(self.due(key, slot(key.rhythm(), at)).send_once().await?.is_written())
    }

    /// The same for a sync that begins in a lane, and is over by `until`.
    pub async fn begin_sync(
        &self,
        key: &IntegrationKey,
        next: Timestamp,
        until: (Lane, Timestamp),
    ) -> Result<bool, AwsError> {
        Ok(self.begin(key, slot(key.rhythm(), next), until).send_once().await?.is_written())
    }

    /// The same for a sync that goes on beside those that slots bring: none of these moves. Whether the integration is in use.
    pub async fn resume_sync(&self, key: &IntegrationKey, until: (Lane, Timestamp)) -> Result<bool, AwsError> {
        let update = self.update(key).when("state = :connected");
        let update = update.with([(":connected", state(IntegrationState::Connected))]);
        Ok(runs(update, until).send_once().await?.is_written())
    }

    /// The same as [`Self::begin_sync`], and takes the slots before from the message that serves one: the sync that begins covers them.
    pub async fn take_slots(
        &self,
        key: &IntegrationKey,
        next: Timestamp,
        until: (Lane, Timestamp),
    ) -> Result<bool, AwsError> {
        let update = self.begin(key, slot(key.rhythm(), next), until).remove("served_by");
        Ok(update.send_once().await?.is_written())
    }

    /// Has the message of `asked_at` serve a slot by a sync that begins, and says when the `next` is due. Whether the integration is in
    /// use and the slot is [open](domain::sync::slot::Slots::is_open) for that message.
    pub async fn serve_slot(
        &self,
        key: &IntegrationKey,
        slot: Timestamp,
        asked_at: Timestamp,
        next: Timestamp,
        until: (Lane, Timestamp),
    ) -> Result<bool, AwsError> {
        let update = self
            .begin(key, next, until)
            .set("served_by = :asked_at")
            .when("due_at <= :slot OR served_by = :asked_at")
            .with([(":slot", seconds(slot)), (":asked_at", time(asked_at))]);
        Ok(update.send_once().await?.is_written())
    }

    /// The message of `asked_at` is done with its slot: a repeated delivery of it finds the slot served.
    pub async fn slot_served(&self, key: &IntegrationKey, asked_at: Timestamp) -> Result<(), AwsError> {
        let update = self.update(key).remove("served_by").when("served_by = :asked_at");
        update.with([(":asked_at", time(asked_at))]).send_once().await.map(|_| ())
    }

    /// Stores since when the streams of an integration in use have been read whole.
    /// That of another grant stays.
    pub async fn set_read_since(&self, integration: &Integration, since: &ReadSince) -> Result<(), AwsError> {
        let json = serde_json::to_string(since).map_err(|error| AwsError::unwritable("the begin of a run", error))?;
        let update = self.update(&integration.key).set("read_since = :since");
        let update = update.when("state = :connected AND connected_at = :connected_at");
        let values = [
            (":connected", state(IntegrationState::Connected)),
            (":connected_at", time(integration.connected_at)),
            (":since", s(json)),
        ];
        update.with(values).send().await.map(|_| ())
    }

    /// Stores what is shown of the syncs of an integration in use, unless it was connected again: then it is not of this grant. The sync
    /// in this lane goes on until then, if it is not over; a watch is to be renewed at `watch_due`, if that has changed. Whether it was
    /// stored.
    pub async fn set_sync_summary(
        &self,
        key: &IntegrationKey,
        summary: &SyncSummary,
        (lane, until): (Lane, Option<Timestamp>),
        watch_due: Option<Timestamp>,
    ) -> Result<bool, AwsError> {
        let json = serde_json::to_string(summary).map_err(|error| AwsError::unwritable("a summary of syncs", error))?;
        let mut update = self
            .update(key)
            .set("sync_summary = :summary")
            .when("state = :connected AND connected_at = :connected_at")
            .with([
                (":connected", state(IntegrationState::Connected)),
                (":connected_at", time(summary.connected_at)),
                (":summary", s(json)),
            ]);
        update = match until {
            Some(until) => runs(update, (lane, until)),
            None => update.remove(attribute(lane)),
        };
        if let Some(at) = watch_due {
            let values = [(":shard", n(shard(&key.id()))), (":at", seconds(at))];
            update = update.set("watch_shard = :shard, watch_due_at = :at").with(values);
        }
        Ok(update.send().await?.is_written())
    }

    /// An update by which a sync begins that is over by `until`; the slot `next` is due.
    fn begin(&self, key: &IntegrationKey, next: Timestamp, until: (Lane, Timestamp)) -> Update {
        runs(self.due(key, next), until)
    }

    /// An update by which this slot of an integration in use is due.
    fn due(&self, key: &IntegrationKey, slot: Timestamp) -> Update {
        self.update(key).set("due_shard = :shard, due_at = :at").when("state = :connected").with([
            (":connected", state(IntegrationState::Connected)),
            (":shard", n(shard(&key.id()))),
            (":at", seconds(slot)),
        ])
    }
}

/// The attribute that says until when the sync of a lane runs at the latest.
const fn attribute(lane: Lane) -> &'static str {
    match lane {
        Lane::Main => "syncing_until",
        Lane::Full => "full_until",
    }
}

fn runs(update: Update, (lane, until): (Lane, Timestamp)) -> Update {
    let set = match lane {
        Lane::Main => "syncing_until = :until",
        Lane::Full => "full_until = :until",
    };
    update.set(set).with([(":until", seconds(until))])
}
