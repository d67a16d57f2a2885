//! The readings that integrations of one account share: a lease for the one that reads, and what the last readings left.
//!
//! *Invariant:* nothing here decides what a record becomes. If it is lost, or two hold the lease, the account is read once more.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use domain::{IntegrationId, integration::SharedAccount, sync::sharing::Readings};
use jiff::{SignedDuration, Timestamp, fmt::serde::timestamp::millisecond};
use serde::Deserialize;

use super::Syncs;
use crate::{
    aws::AwsError,
    stores::{
        item::{Item, key, millis, read, s, seconds},
        lease::{self, ACQUIRABLE},
        table::{self, Outcome, Update},
    },
};

/// The only item of an account.
const ITEM: &str = "reading";
/// How long an item is kept that no reading renews.
const RETENTION: SignedDuration = SignedDuration::from_hours(24);

/// What is known of an account's readings.
#[derive(Debug, Default)]
pub struct Shared {
    /// The last reading of each stream.
    pub readings: Readings,
    /// Which integration reads now, by its public id, and until when its lease lasts.
    pub reader: Option<(String, Timestamp)>,
}

/// What trying to lease an account led to.
#[derive(Debug)]
pub enum Reading {
    /// The integration may read it.
    Won(Shared),
    /// Another one reads it.
    Busy(Shared),
}

#[derive(Debug, Deserialize)]
struct Stored {
    #[serde(default)]
    holder: Option<String>,
    #[serde(default, with = "millisecond::optional")]
    lease_until: Option<Timestamp>,
    /// JSON of [`Readings`].
    #[serde(default)]
    readings: Option<String>,
}

impl Shared {
    fn of(item: Item) -> Result<Self, AwsError> {
        let Stored { holder, lease_until, readings } = read(item)?;
        // What can't be read is read anew.
        let readings = readings.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Ok(Self { readings, reader: holder.zip(lease_until) })
    }
}

impl Syncs {
    /// What is known of an account's readings.
    pub async fn shared(&self, account: &SharedAccount) -> Result<Shared, AwsError> {
        let values = [(":id", s(account.as_str())), (":item", s(ITEM))];
        let query = self.table.query("integration_id = :id AND item = :item", values);
        let mut items = table::items(query.call().consistent_read(true)).await?;
        items.pop().map_or_else(|| Ok(Shared::default()), Shared::of)
    }

    /// Leases an account for an integration to read it. The same integration takes its own lease over.
    pub async fn lease_shared(
        &self,
        account: &SharedAccount,
        reader: &IntegrationId,
        now: Timestamp,
        time: Duration,
    ) -> Result<Reading, AwsError> {
        let update = self
            .shared_item(account)
            .acquire(lease::Lease { holder: reader.as_str(), now, time })
            .set("expires_at = :expires_at")
            .when(ACQUIRABLE)
            .with([(":expires_at", seconds(now + RETENTION))])
            .returning(ReturnValue::AllNew);
        Ok(match update.send().await? {
            Outcome::Written(item) => Reading::Won(Shared::of(item)?),
            Outcome::Refused(item) => Reading::Busy(Shared::of(item)?),
        })
    }

    /// Prolongs the lease, and stores what the reader has read, if it still reads.
    pub async fn prolong_shared(
        &self,
        account: &SharedAccount,
        reader: &IntegrationId,
        readings: &Readings,
        until: Timestamp,
    ) -> Result<(), AwsError> {
        let json = serde_json::to_string(readings).map_err(|error| AwsError::unwritable("readings", error))?;
        let update = self
            .read_by(account, reader)
            .set("lease_until = :until, readings = :readings, expires_at = :expires_at")
            .with([(":until", millis(until)), (":readings", s(json)), (":expires_at", seconds(until + RETENTION))]);
        update.send().await.map(|_| ())
    }

    /// Releases the lease of an account, if the integration has it.
    pub async fn release_shared(&self, account: &SharedAccount, reader: &IntegrationId) -> Result<(), AwsError> {
        self.read_by(account, reader).release().send().await.map(|_| ())
    }

    fn read_by(&self, account: &SharedAccount, reader: &IntegrationId) -> Update {
        self.shared_item(account).when("holder = :holder").with([(":holder", s(reader))])
    }

    fn shared_item(&self, account: &SharedAccount) -> Update {
        self.table.update(key([("integration_id", s(account.as_str())), ("item", s(ITEM))]))
    }
}
