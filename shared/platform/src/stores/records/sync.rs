//! What syncs do with records: write pages, and delete what a full run did not see.

use domain::{
    Change, IntegrationId, IntegrationKey, Record, RecordKey, Version,
    sync::{
        manifest::{ContentHash, Entry, Manifest},
        record::prefix,
        stream::{Extent, Sweep},
    },
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Deserialize;

use super::{Put, Records, UpsertError, Write, item_key, record};
use crate::{
    aws::AwsError,
    base::clock,
    stores::{
        integrations::Integrations,
        item::{Item, bytes, flag, malformed, micros, n, parsed, read, s, text, time},
        table::{self, Update},
    },
};

/// Writes at a time.
const CONCURRENCY: usize = 16;
/// The coarsest tick of a stream's clock, a second, in microseconds.
const TICK: i64 = 1_000_000;
/// The data of a tombstone, as JSON.
const NULL: &str = "null";

/// What the index of changes has of a record.
#[derive(Debug, Deserialize)]
struct Indexed {
    record: RecordKey,
    #[serde(with = "serde_bytes")]
    content: Vec<u8>,
    deleted: bool,
}

/// What a sweep deleted.
#[derive(Debug)]
pub struct Swept {
    /// The keys of the records.
    pub keys: Vec<RecordKey>,
    /// Whether that was all: a record that was confirmed meanwhile stays.
    pub all: bool,
}

impl Records {
    /// Brings the objects of a page up to date, each unless a newer state is stored. Repeating it changes nothing. What became of
    /// each, in their order.
    pub async fn put_page(&self, integration_id: &IntegrationId, changes: &[&Change]) -> Result<Vec<Put>, AwsError> {
        let writes: Vec<_> = changes.iter().map(|change| self.upsert_from_sync(integration_id, change)).collect();
        let put = async |write: Result<Write, UpsertError>| match write {
            Ok(write) => write.send().await,
            Err(UpsertError::TooLarge { .. }) => Ok(Put::TooLarge),
            Err(UpsertError::Aws(error)) => Err(error),
        };
        stream::iter(writes.into_iter().map(put)).buffered(CONCURRENCY).try_collect().await
    }

    /// Notes in the manifest what the records of a stream hold that changed since then; all of them, if no time is given. It costs
    /// what changed: an index has the records in the order of their changes.
    pub async fn note_changes(
        &self,
        integration_id: &IntegrationId,
        stream: &str,
        since: Option<Timestamp>,
        manifest: &mut Manifest,
    ) -> Result<(), AwsError> {
        let since = since.unwrap_or(Timestamp::UNIX_EPOCH);
        self.each_change(integration_id, stream, since, |_, entry| manifest.note(entry)).await
    }

    /// Reads from the index of changes what the records of a stream hold that changed since then.
    pub async fn each_change(
        &self,
        integration_id: &IntegrationId,
        stream: &str,
        since: Timestamp,
        mut each: impl FnMut(RecordKey, Entry),
    ) -> Result<(), AwsError> {
        let values = [(":integration_id", s(integration_id)), (":since", micros(since))];
        let query = self.table.query("integration_id = :integration_id AND changed_at >= :since", values);
        let query = query.filter("begins_with(record, :prefix)", [(":prefix", s(prefix(stream, "")))]);
        let call = query.project("record, content, deleted").call().index_name("by_change").consistent_read(true);
        let mut pages = call.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| AwsError::new("dynamodb:Query", error))?;
            for item in page.items.unwrap_or_default() {
                let Indexed { record, content, deleted } = read(item)?;
                let content = ContentHash::stored(&content).ok_or_else(|| malformed("content"))?;
                let entry = Entry::new(&record, content, deleted);
                each(record, entry);
            }
        }
        Ok(())
    }

    /// These records, without those that are not there.
    pub async fn some(&self, integration_id: &IntegrationId, keys: Vec<RecordKey>) -> Result<Vec<Record>, AwsError> {
        let one = async |key: RecordKey| {
            let values = [(":id", s(integration_id)), (":record", s(&key))];
            let query = self.table.query("integration_id = :id AND record = :record", values);
            let mut found = table::items(query.call().consistent_read(true)).await?;
            found.pop().map(|item| record(read(item)?)).transpose()
        };
        let all = stream::iter(keys.into_iter().map(one)).buffered(CONCURRENCY);
        all.try_filter_map(async |found| Ok(found)).try_collect().await
    }

    /// Deletes the records of a stream that a sync found gone, unless they changed since. `version` is what a list of
    /// [`Sweep::since`] is versioned by, so that a late event of an earlier time revives none.
    pub async fn delete_unseen(
        &self,
        integration_id: &IntegrationId,
        stream: &str,
        sweep: &Sweep,
        version: Version,
        is_gone: impl Fn(&RecordKey) -> bool,
    ) -> Result<Swept, AwsError> {
        let Sweep { since, of, except } = sweep;
        let since = *since;
        let prefix = prefix(stream, of.as_ref().map_or("", Extent::id));
        let is_swept = |key: &RecordKey| {
            of.as_ref().is_none_or(|of| of.holds(key.id()))
                && !except.iter().any(|extent| extent.holds(key.id()))
                && is_gone(key)
        };
        let mut swept = Swept { keys: Vec::new(), all: true };
        let query = self.under(integration_id, &prefix).project("record");
        let query = query
            .filter("changed_at < :since AND deleted = :false", [(":since", micros(since)), (":false", flag(false))]);
        let mut pages = query.call().consistent_read(true).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| AwsError::new("dynamodb:Query", error))?;
            let keys: Vec<RecordKey> =
                page.items().iter().map(|item| parsed(item, "record")).collect::<Result<_, _>>()?;
            let delete = async |key: RecordKey| {
                let deleted = self.tombstone(integration_id, &key, since, version).await?;
                Ok::<_, AwsError>(deleted.then_some(key))
            };
            let deleted: Vec<_> = stream::iter(keys.into_iter().filter(|key| is_swept(key)).map(delete))
                .buffer_unordered(CONCURRENCY)
                .try_collect()
                .await?;
            swept.all &= deleted.iter().all(Option::is_some);
            swept.keys.extend(deleted.into_iter().flatten());
        }
        Ok(swept)
    }

    /// Deletes records of an integration, tombstones too, until none is left or `enough` says so. Whether none is left.
    ///
    /// Followers of changes hear of it from the integration: it has its records erased `by` the time at which this process has
    /// stopped at the latest, as long as they are being deleted, and then by the time at which that was over.
    pub async fn erase(
        &self,
        (integrations, key): (&Integrations, &IntegrationKey),
        by: Timestamp,
        enough: impl Fn() -> bool,
    ) -> Result<bool, AwsError> {
        let integration_id = &key.id();
        let mut begun = false;
        let is_empty = loop {
            let output = self.query(integration_id, None, None).await?;
            if output.items().is_empty() {
                break true;
            }
            if !begun {
                integrations.set_erased_at(key, by).await?;
                begun = true;
            }
            let delete = async |item: &Item| {
                let key = item_key(integration_id, text(item, "record")?);
                self.table.delete(key).await
            };
            stream::iter(output.items().iter().map(delete)).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
            if enough() {
                break false;
            }
        };
        // Also what an earlier attempt began, that died before it could say that it was over.
        if begun || integrations.get(key).await?.is_some_and(|it| it.erased_at > Some(clock::now())) {
            integrations.set_erased_at(key, clock::now()).await?;
        }
        Ok(is_empty)
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
            .set(
                "deleted = :true, swept = :true, updated_at = :updated_at, data = :null, content = :content, \
                 changed_at = :changed_at",
            )
            .when("changed_at < :since AND deleted = :false")
            .with([
                (":since", micros(since)),
                (":updated_at", time(since)),
                (":null", s(NULL)),
                (":content", bytes(ContentHash::of(NULL).bytes().to_vec())),
                (":version", n(version.get())),
                (":true", flag(true)),
                (":false", flag(false)),
            ]);
        // Within one tick of the stream's clock the stored version can be the larger one, and stays. What is later still was
        // confirmed after the list was asked for.
        let older = tombstone.clone().set("version = :version").when("version < :version");
        let newer = tombstone.when("version >= :version AND version < :tick");
        let newer = newer.with([(":tick", n(version.get().saturating_add(TICK)))]);
        // Each is stamped when it is sent: the first one may have taken its time.
        let send = async |update: Update| update.with([(":changed_at", micros(clock::now()))]).send_once().await;
        Ok(send(older).await?.is_written() || send(newer).await?.is_written())
    }
}
