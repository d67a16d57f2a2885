//! The leases of an integration's syncs, one for each lane, the mark that asks its holder to run again, and how a lease is taken away.

use aws_sdk_dynamodb::types::ReturnValue;
use domain::{
    Fence, IntegrationId,
    sync::{SyncJob, stream::Lane},
};
use jiff::{Timestamp, fmt::serde::timestamp::millisecond};
use serde::Deserialize;

use super::{RETENTION, Syncs, json, parse};
use crate::{
    aws::AwsError,
    stores::{
        item::{malformed, millis, n, number, read, s, seconds, text},
        lease::{self, ACQUIRABLE},
        table::Outcome,
    },
};

/// The right to sync an integration in a lane, until its lease ends.
#[derive(Debug, Clone)]
pub struct Lease {
    pub(super) integration_id: IntegrationId,
    pub(super) lane: Lane,
    pub(super) fence: Fence,
}

/// What trying to lease an integration led to.
#[derive(Debug)]
pub enum Leasing {
    /// The message may sync it.
    Won(Lease),
    /// A sync of this type runs; its lease ends then unless it is prolonged.
    Busy(SyncJob, Timestamp),
}

/// What the holder of a lease is to run again for.
#[derive(Debug)]
pub struct Mark {
    /// What is to be run.
    pub job: SyncJob,
    /// In Unix milliseconds.
    at: i64,
}

/// Why a write under a lease failed.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another message holds it now: nothing was written, and nothing may be.
    #[error("the lease was taken over")]
    Lost,
    /// DynamoDB failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

/// The item of a lease that another message holds.
#[derive(Debug, Deserialize)]
struct Held {
    /// JSON.
    r#type: String,
    #[serde(with = "millisecond::required")]
    lease_until: Timestamp,
}

/// The item of a lease that was taken away.
#[derive(Debug, Deserialize)]
struct Broken {
    #[serde(default, with = "millisecond::optional")]
    held_until: Option<Timestamp>,
}

impl Syncs {
    /// Leases a lane of an integration for the message `holder`. The same message takes its own lease over: it comes again only when
    /// its earlier attempt crashed or was given up.
    ///
    /// What an erasure leases expires by itself: the integration may be gone, and with it all that could delete the item.
    pub async fn lease(
        &self,
        integration_id: &IntegrationId,
        (lane, holder): (Lane, &str),
        kind: SyncJob,
        now: Timestamp,
    ) -> Result<Leasing, AwsError> {
        let update = self
            .lease_item(integration_id, lane)
            .acquire(lease::Lease { holder, now, time: self.lease })
            .set("type = :type")
            .when(ACQUIRABLE)
            .with([(":type", s(json(&kind)?))])
            .returning(ReturnValue::AllNew);
        let update = match kind {
            SyncJob::PurgeRecords | SyncJob::DeleteIntegration => {
                update.set("expires_at = :expires_at").with([(":expires_at", seconds(now + RETENTION))])
            }
            SyncJob::Full | SyncJob::Incremental | SyncJob::RenewWatches => update.remove("expires_at"),
        };
        match update.send().await? {
            Outcome::Written(item) => {
                Ok(Leasing::Won(Lease { integration_id: integration_id.clone(), lane, fence: number(&item, "fence")? }))
            }
            Outcome::Refused(item) => {
                let held: Held = read(item)?;
                Ok(Leasing::Busy(parse("type", &held.r#type)?, held.lease_until))
            }
        }
    }

    /// Tells the holder of a lane's lease to run again. Whether there was one.
    pub async fn run_again(
        &self,
        integration_id: &IntegrationId,
        lane: Lane,
        kind: SyncJob,
        now: Timestamp,
    ) -> Result<bool, AwsError> {
        let again = match kind {
            // A full run covers an incremental one.
            SyncJob::Full => "again = :type",
            SyncJob::Incremental | SyncJob::RenewWatches | SyncJob::PurgeRecords | SyncJob::DeleteIntegration => {
                "again = if_not_exists(again, :type)"
            }
        };
        let values = [(":type", s(json(&kind)?)), (":now", millis(now))];
        let update = self.lease_item(integration_id, lane).set(again).set("again_at = :now");
        let update = update.when("lease_until > :now").with(values);
        Ok(update.send_once().await?.is_written())
    }

    /// Gives a lease back, unless a change was reported meanwhile: then it stays, the mark is taken off, and this is what to
    /// run.
    pub async fn release(&self, lease: &Lease) -> Result<Option<SyncJob>, LeaseError> {
        let release = self.lease_of(lease).release().remove("type").when("attribute_not_exists(again)");
        if release.send_once().await?.is_written() {
            return Ok(None);
        }
        let take_mark = self.lease_of(lease).remove("again, again_at").when("attribute_exists(again)");
        match take_mark.returning(ReturnValue::AllOld).send().await? {
            Outcome::Written(item) => Ok(Some(parse("again", text(&item, "again")?)?)),
            // Still held, so the mark was taken off by this very call, whose reply was lost: what it said is not known. A full
            // sync covers whatever it was.
            Outcome::Refused(item) if number::<Fence>(&item, "fence").is_ok_and(|fence| fence == lease.fence) => {
                Ok(Some(SyncJob::Full))
            }
            Outcome::Refused(_) => Err(LeaseError::Lost),
        }
    }

    /// Gives a lease back unless it is marked: then it stays with its mark.
    pub async fn release_unmarked(&self, lease: &Lease) -> Result<Option<Mark>, LeaseError> {
        let release = self.lease_of(lease).release().remove("type").when("attribute_not_exists(again)");
        match release.returning(ReturnValue::AllOld).send().await? {
            Outcome::Written(_) => Ok(None),
            Outcome::Refused(item) if number::<Fence>(&item, "fence").is_ok_and(|fence| fence == lease.fence) => {
                // Without a mark it is this very call, whose reply was lost, that released it.
                let Ok(again) = text(&item, "again") else { return Ok(None) };
                Ok(Some(Mark { job: parse("again", again)?, at: number(&item, "again_at")? }))
            }
            Outcome::Refused(_) => Err(LeaseError::Lost),
        }
    }

    /// Gives a lease back with its mark, unless it was marked anew meanwhile. Whether it is given back.
    pub async fn release_marked(&self, lease: &Lease, mark: &Mark) -> Result<bool, LeaseError> {
        let release = self.lease_of(lease).release().remove("type, again, again_at").when("again_at = :at");
        let release = release.with([(":at", n(mark.at))]);
        match release.returning(ReturnValue::AllOld).send().await? {
            Outcome::Written(_) => Ok(true),
            Outcome::Refused(item) if number::<Fence>(&item, "fence").is_ok_and(|fence| fence == lease.fence) => {
                Ok(text(&item, "again").is_err())
            }
            Outcome::Refused(_) => Err(LeaseError::Lost),
        }
    }

    /// Gives a lease back. What was reported meanwhile stays marked, and the next holder runs again for it.
    pub async fn abandon(&self, lease: &Lease) -> Result<(), AwsError> {
        self.lease_of(lease).release().remove("type").send_once().await.map(|_| ())
    }

    /// Makes sure that a message holds no lease, whatever became of its calls.
    pub async fn give_up(&self, integration_id: &IntegrationId, holder: &str) -> Result<(), AwsError> {
        for lane in [Lane::Main, Lane::Full] {
            let update = self.lease_item(integration_id, lane).release().remove("type");
            let _given_up = update.when("holder = :holder").with([(":holder", s(holder))]).send_once().await?;
        }
        Ok(())
    }

    /// Takes the leases of an integration that is being ended from their holders: what the holders still write about their runs is
    /// refused. Until when one was last held so, for its holder may be in the middle of a page. The items, which have the fences,
    /// expire by themselves unless a sync leases the integration again.
    pub async fn break_leases(
        &self,
        integration_id: &IntegrationId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, AwsError> {
        let main = self.break_lease(integration_id, Lane::Main, now).await?;
        Ok(main.max(self.break_lease(integration_id, Lane::Full, now).await?))
    }

    async fn break_lease(
        &self,
        integration_id: &IntegrationId,
        lane: Lane,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, AwsError> {
        let update = self
            .lease_item(integration_id, lane)
            .set("fence = if_not_exists(fence, :zero) + :one, expires_at = :expires_at")
            .release()
            .remove("type, again, again_at")
            .with([(":zero", n(0)), (":one", n(1)), (":expires_at", seconds(now + RETENTION))])
            .returning(ReturnValue::AllNew);
        let held = update.clone().set("held_until = lease_until").when("attribute_exists(lease_until)");
        let broken = match held.send_once().await? {
            Outcome::Written(item) => item,
            Outcome::Refused(_) => update.send().await?.written().ok_or_else(|| malformed("fence"))?,
        };
        Ok(read::<Broken>(broken)?.held_until)
    }
}
