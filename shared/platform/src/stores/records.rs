//! The records table: objects of providers, kept current.

mod changed;
mod sync;
mod write;

use aws_sdk_dynamodb::operation::query::QueryOutput;
use domain::{Change, IntegrationId, Record, RecordKey, Version, sync::record, webhook::json::escaped_len};
use jiff::Timestamp;
use serde::Deserialize;

pub(crate) use self::{
    changed::{Changed, Position},
    write::Refused,
};
pub use self::{
    sync::Swept,
    write::{Put, Write},
};
use crate::{
    aws::{Aws, AwsError},
    stores::{
        item::{self, Item, malformed, read, s},
        table::{Query, Table},
    },
};

/// Items per query.
const ITEMS: i32 = 200;
/// Queries per listing.
const MAX_QUERIES: usize = 20;
/// What records take in a response at most, in bytes: that of a Lambda is limited to 6 MB.
pub(super) const MAX_BYTES: usize = 5_000_000;
/// What a response has of a record beside its data, in bytes: names, ids, the account. A key has up to 1 KB, which may need escapes.
const AROUND: usize = 2_500;

/// The largest data of a record, in bytes: DynamoDB takes items of 400 KB, keys and names included.
const MAX_DATA: usize = 390_000;

/// A change that no record can hold.
#[derive(Debug, thiserror::Error)]
pub enum UpsertError {
    /// Its data does not fit into an item.
    #[error("a record of {} has {bytes} bytes of data; at most {MAX_DATA} can be stored", .key.stream())]
    TooLarge {
        /// The key of the record.
        key: RecordKey,
        /// The size of its data.
        bytes: usize,
    },
    /// The write can't be made.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

/// The table of records.
#[derive(Debug, Clone)]
pub struct Records {
    table: Table,
}

/// The item of a record.
#[derive(Debug, Deserialize)]
struct Stored {
    record: RecordKey,
    version: Version,
    updated_at: Timestamp,
    deleted: bool,
    /// JSON.
    data: String,
}

/// A part of the records of an integration.
#[derive(Debug)]
pub struct RecordsPage {
    /// In the order of their keys.
    pub records: Vec<Record>,
    /// Where the next part starts, if there is one.
    pub next: Option<String>,
}

/// Which records to list.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    /// Only records of this stream.
    pub stream: Option<&'a str>,
    /// Only those after this [`RecordsPage::next`].
    pub after: Option<&'a str>,
    /// At most this many records.
    pub limit: usize,
    /// Whether tombstones are listed too.
    pub deleted: bool,
}

impl Records {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { table: Table::new(aws, table) }
    }

    /// The write that brings one object up to date, unless a newer state is stored: see [`Change::replaces`]. Of two states of one
    /// version the later read counts: a sync reads them in their order.
    pub fn upsert_from_sync(&self, integration_id: &IntegrationId, change: &Change) -> Result<Write, UpsertError> {
        self.write(integration_id, change, true)
    }

    /// The same for a change that an event reports. Events come in any order, so of two states of one version the stored one
    /// stays until a sync has asked: see [`crate::stores::claims::Applied::VersionConflict`]. An end needs no asking.
    pub fn upsert_from_event(&self, integration_id: &IntegrationId, change: &Change) -> Result<Write, UpsertError> {
        self.write(integration_id, change, change.is_deleted())
    }

    /// `replaces` says whether a stored state of the same version is replaced.
    fn write(&self, integration_id: &IntegrationId, change: &Change, replaces: bool) -> Result<Write, UpsertError> {
        let data = change.data().to_string();
        if data.len() > MAX_DATA {
            return Err(UpsertError::TooLarge { key: change.key().clone(), bytes: data.len() });
        }
        let record = self.table.update(item_key(integration_id, change.key()));
        Ok(Write::new(record, change, data, replaces))
    }

    /// Lists records in the order of stream and id. A part may be shorter than asked for, even empty, and still have a next:
    /// reading stops at a bounded number of items and bytes, however many tombstones lie on the way.
    pub async fn list(
        &self,
        integration_id: &IntegrationId,
        selection: Selection<'_>,
    ) -> Result<RecordsPage, AwsError> {
        let mut records: Vec<Record> = Vec::new();
        let mut bytes = 0;
        let mut after = selection.after.map(str::to_owned);
        for _ in 0..MAX_QUERIES {
            let output = self.query(integration_id, selection.stream, after.as_deref()).await?;
            for item in output.items.unwrap_or_default() {
                let stored: Stored = read(item)?;
                let key = stored.record.to_string();
                if selection.deleted || !stored.deleted {
                    let more = shown(&stored.data);
                    if records.len() == selection.limit || !records.is_empty() && bytes + more > MAX_BYTES {
                        return Ok(RecordsPage { records, next: after });
                    }
                    bytes += more;
                    records.push(record(stored)?);
                }
                after = Some(key);
            }
            if output.last_evaluated_key.is_none() {
                return Ok(RecordsPage { records, next: None });
            }
        }
        Ok(RecordsPage { records, next: after })
    }

    async fn query(
        &self,
        integration_id: &IntegrationId,
        stream: Option<&str>,
        after: Option<&str>,
    ) -> Result<QueryOutput, AwsError> {
        let query = match stream {
            Some(stream) => self.of_stream(integration_id, stream),
            None => self.table.query("integration_id = :integration_id", [(":integration_id", s(integration_id))]),
        };
        let call = query
            .call()
            .consistent_read(true)
            .limit(ITEMS)
            .set_exclusive_start_key(after.map(|key| item_key(integration_id, key)));
        call.send().await.map_err(|error| AwsError::new("dynamodb:Query", error))
    }

    fn of_stream(&self, integration_id: &IntegrationId, stream: &str) -> Query {
        self.under(integration_id, &record::prefix(stream, ""))
    }

    /// The records with keys that begin with `prefix`.
    fn under(&self, integration_id: &IntegrationId, prefix: &str) -> Query {
        self.table.query(
            "integration_id = :integration_id AND begins_with(record, :prefix)",
            [(":integration_id", s(integration_id)), (":prefix", s(prefix))],
        )
    }
}

/// What a record takes in a response at most, in bytes: its data is text within the JSON of the response.
fn shown(data: &str) -> usize {
    AROUND + escaped_len(data)
}

fn item_key(integration_id: &IntegrationId, record: impl Into<String>) -> Item {
    item::key([("integration_id", s(integration_id)), ("record", s(record))])
}

fn record(stored: Stored) -> Result<Record, AwsError> {
    Ok(Record {
        data: serde_json::from_str(&stored.data).map_err(|_| malformed("data"))?,
        key: stored.record,
        version: stored.version,
        updated_at: stored.updated_at,
        deleted: stored.deleted,
    })
}
