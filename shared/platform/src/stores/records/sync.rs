//! What syncs do with records: write pages, and delete what a full run did not see.

use domain::{
    Change, IntegrationId, RecordKey, Version,
    sync::{
        record,
        stream::{Extent, Sweep},
    },
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::{Records, UpsertError, item_key};
use crate::{
    aws::AwsError,
    stores::item::{Item, flag, millis, n, parsed, s, text, time},
};

/// Writes at a time.
const CONCURRENCY: usize = 16;

impl Records {
    /// Brings the objects of a page up to date, each unless a newer state is stored. Repeating it changes nothing.
    ///
    /// A state that is refused as old still says that the object exists: a full run must not delete it. Returns the ids of the
    /// objects that are too large; the others are written.
    pub async fn put_page(
        &self,
        integration_id: &IntegrationId,
        changes: &[Change],
        seen_at: Timestamp,
    ) -> Result<Vec<String>, AwsError> {
        let put = async |change: &Change| {
            let write = match self.upsert_from_sync(integration_id, change, seen_at) {
                Ok(write) => write,
                Err(UpsertError::TooLarge { .. }) => return Ok(Some(change.key().id().to_owned())),
                Err(UpsertError::Aws(error)) => return Err(error),
            };
            if !write.0.send().await?.is_written() && !change.is_deleted() {
                self.confirm(integration_id, change.key(), seen_at).await?;
            }
            Ok(None)
        };
        let too_large = stream::iter(changes.iter().map(put)).buffer_unordered(CONCURRENCY);
        too_large.try_filter_map(|id| std::future::ready(Ok(id))).try_collect().await
    }

    /// Deletes the records of a stream that a sync did not see. `version` is what a list of [`Sweep::since`] is versioned by, so
    /// that a late event of an earlier time revives none. How many.
    pub async fn delete_unseen(
        &self,
        integration_id: &IntegrationId,
        stream: &str,
        sweep: &Sweep,
        version: Version,
    ) -> Result<u64, AwsError> {
        let Sweep { since, of, except } = sweep;
        let since = *since;
        let prefix = record::prefix(stream, of.as_ref().map_or("", Extent::id));
        let is_swept = |key: &&RecordKey| {
            of.as_ref().is_none_or(|of| of.holds(key.id())) && !except.iter().any(|extent| extent.holds(key.id()))
        };
        let mut swept = 0;
        let mut after = None;
        loop {
            let query = self
                .under(integration_id, &prefix)
                .project("record")
                .filter("seen_at < :since AND deleted = :false", [(":since", millis(since)), (":false", flag(false))]);
            let call = query.call().consistent_read(true).set_exclusive_start_key(after);
            let output = call.send().await.map_err(|error| AwsError::new("dynamodb:Query", error))?;
            let keys: Vec<_> = output.items().iter().map(|item| parsed(item, "record")).collect::<Result<_, _>>()?;
            let delete = async |key: &RecordKey| self.tombstone(integration_id, key, since, version).await;
            let deleted: Vec<_> = stream::iter(keys.iter().filter(is_swept).map(delete))
                .buffer_unordered(CONCURRENCY)
                .try_collect()
                .await?;
            swept += deleted.into_iter().map(u64::from).sum::<u64>();
            after = output.last_evaluated_key;
            if after.is_none() {
                return Ok(swept);
            }
        }
    }

    /// Deletes records of an integration, tombstones too, until none is left or `enough` says so. Whether none is left.
    pub async fn erase(&self, integration_id: &IntegrationId, enough: impl Fn() -> bool) -> Result<bool, AwsError> {
        loop {
            let output = self.query(integration_id, None, None).await?;
            if output.items().is_empty() {
                return Ok(true);
            }
            let delete = async |item: &Item| {
                let key = item_key(integration_id, text(item, "record")?);
                self.table.delete(key).await
            };
            stream::iter(output.items().iter().map(delete)).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
            if enough() {
                return Ok(false);
            }
        }
    }

    /// Marks a record as seen. Repeating it changes nothing.
    async fn confirm(
        &self,
        integration_id: &IntegrationId,
        record: &RecordKey,
        seen_at: Timestamp,
    ) -> Result<(), AwsError> {
        let update = self
            .table
            .update(item_key(integration_id, record))
            .set("seen_at = :seen_at")
            .when("deleted = :false AND seen_at < :seen_at")
            .with([(":seen_at", millis(seen_at)), (":false", flag(false))]);
        update.send().await.map(|_| ())
    }

    /// Leaves a tombstone, marked as swept: the provider did not say that it is gone, so a state of the same version revives it.
    async fn tombstone(
        &self,
        integration_id: &IntegrationId,
        record: &RecordKey,
        since: Timestamp,
        version: Version,
    ) -> Result<bool, AwsError> {
        let tombstone = self
            .table
            .update(item_key(integration_id, record))
            .set("deleted = :true, swept = :true, updated_at = :updated_at, data = :null")
            .when("seen_at < :since AND deleted = :false")
            .with([
                (":since", millis(since)),
                (":updated_at", time(since)),
                (":null", s("null")),
                (":version", n(version.get())),
                (":true", flag(true)),
                (":false", flag(false)),
            ]);
        // Within one tick of the stream's clock the stored version can be the larger one, and stays.
        let older = tombstone.clone().set("version = :version").when("version < :version");
        let newer = tombstone.when("version >= :version");
        Ok(older.send_once().await?.is_written() || newer.send_once().await?.is_written())
    }
}
