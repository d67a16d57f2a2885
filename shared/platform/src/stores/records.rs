//! The records table: objects of providers, kept current.

mod sync;

use aws_sdk_dynamodb::{
    Client,
    operation::query::{QueryOutput, builders::QueryFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure, Select, Update},
};
use domain::{Change, Record, RecordKey, Version, sync::record};
use jiff::Timestamp;

use crate::{
    aws::{Aws, AwsError, client},
    stores::{
        claims::Write,
        item::{Item, flag, malformed, n, number, s, text, time},
    },
};

/// Items per query.
const ITEMS: i32 = 200;
/// Queries per listing.
const MAX_QUERIES: usize = 20;
/// Bytes of records after which a listing stops: a Lambda's response is limited to 6 MB.
const MAX_BYTES: usize = 4_000_000;

/// The largest data of a record, in bytes: DynamoDB takes items of 400 KB, keys and names included.
const MAX_DATA: usize = 390_000;

/// A change that no record can hold.
#[derive(Debug, thiserror::Error)]
pub enum UpsertError {
    /// It does not fit into an item.
    #[error("a record of {} has {bytes} bytes of data; at most {MAX_DATA} can be stored", .key.stream())]
    TooLarge {
        /// Of the record.
        key: RecordKey,
        /// Of its data.
        bytes: usize,
    },
    /// The write can't be made.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

/// The table.
#[derive(Debug, Clone)]
pub struct Records {
    client: Client,
    table: String,
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
    /// Only this stream.
    pub stream: Option<&'a str>,
    /// Only those after this [`Page::next`].
    pub after: Option<&'a str>,
    /// At most this many.
    pub limit: usize,
    /// Tombstones too.
    pub deleted: bool,
}

impl Records {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { client: client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB"), table: table.into() }
    }

    /// The write that brings one object up to date, unless a newer state is stored: see [`Change::replaces`]. `seen_at` is
    /// when the provider said so. Of two states of one version the later read counts: a sync reads them in their order.
    pub fn upsert_from_sync(
        &self,
        integration_id: &str,
        change: &Change,
        seen_at: Timestamp,
    ) -> Result<Write, UpsertError> {
        self.write(integration_id, change, seen_at, true)
    }

    /// The same for a change that an event tells. Events come in any order, so of two states of one version the stored one
    /// stays until a sync has asked: see [`crate::stores::claims::Applied::Tied`]. An end needs no asking.
    pub fn upsert_from_event(
        &self,
        integration_id: &str,
        change: &Change,
        seen_at: Timestamp,
    ) -> Result<Write, UpsertError> {
        if change.is_deleted() {
            return self.upsert_from_sync(integration_id, change, seen_at);
        }
        self.write(integration_id, change, seen_at, false)
    }

    /// `replaces` says whether a stored state of the same version is replaced.
    fn write(
        &self,
        integration_id: &str,
        change: &Change,
        seen_at: Timestamp,
        replaces: bool,
    ) -> Result<Write, UpsertError> {
        let data = change.data().to_string();
        if data.len() > MAX_DATA {
            return Err(UpsertError::TooLarge { key: change.key().clone(), bytes: data.len() });
        }
        // What a sweep deleted for want of a sighting comes back either way.
        let tie = if replaces { "deleted = :false OR attribute_exists(swept)" } else { "attribute_exists(swept)" };
        let update = Update::builder()
            .table_name(&self.table)
            .key("integration_id", s(integration_id))
            .key("record", s(change.key()))
            .set_expression_attribute_values(
                replaces.then(|| Item::from([(":false".to_owned(), AttributeValue::Bool(false))])),
            )
            .update_expression(
                "SET #stream = :stream, id = :id, version = :version, updated_at = :updated_at, deleted = :deleted, \
                 #data = :data, seen_at = :seen_at REMOVE swept",
            )
            .condition_expression(format!(
                "attribute_not_exists(#record) OR version < :version OR (version = :version AND ({tie}))"
            ))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .expression_attribute_names("#record", "record")
            .expression_attribute_names("#stream", "stream")
            .expression_attribute_names("#data", "data")
            .expression_attribute_values(":stream", s(change.key().stream()))
            .expression_attribute_values(":id", s(change.key().id()))
            .expression_attribute_values(":version", n(change.version().get()))
            .expression_attribute_values(":updated_at", s(change.updated_at().to_string()))
            .expression_attribute_values(":deleted", AttributeValue::Bool(change.is_deleted()))
            .expression_attribute_values(":data", s(data))
            .expression_attribute_values(":seen_at", n(seen_at.as_millisecond()))
            .build();
        Ok(update.map(Write).map_err(|error| AwsError::unwritable("upsert", error))?)
    }

    /// Lists records in the order of stream and id. A part may be shorter than asked for, even empty, and still have a next:
    /// reading stops at a bounded number of items and bytes, however many tombstones lie on the way.
    pub async fn list(&self, integration_id: &str, selection: Selection<'_>) -> Result<RecordsPage, AwsError> {
        let mut records: Vec<Record> = Vec::new();
        let mut bytes = 0;
        let mut after = selection.after.map(str::to_owned);
        for _ in 0..MAX_QUERIES {
            let output = self.query(integration_id, selection.stream, after.as_deref()).await?;
            for item in output.items() {
                let record = read(item)?;
                let key = record.key.to_string();
                if selection.deleted || !record.deleted {
                    if records.len() == selection.limit || bytes > MAX_BYTES {
                        return Ok(RecordsPage { records, next: after });
                    }
                    bytes += text(item, "data")?.len();
                    records.push(record);
                }
                after = Some(key);
            }
            if output.last_evaluated_key().is_none() {
                return Ok(RecordsPage { records, next: None });
            }
        }
        Ok(RecordsPage { records, next: after })
    }

    /// How many records of a stream there are, without tombstones. It reads them all, at half the price.
    pub async fn count(&self, integration_id: &str, stream: &str) -> Result<u64, AwsError> {
        let mut count = 0;
        let mut after = None;
        loop {
            let call = self
                .of_stream(integration_id, stream)
                .filter_expression("deleted = :false")
                .expression_attribute_values(":false", AttributeValue::Bool(false))
                .select(Select::Count)
                .set_exclusive_start_key(after);
            let output = call.send().await.map_err(|error| AwsError::new("dynamodb:Query", error))?;
            count += u64::try_from(output.count()).unwrap_or(0);
            after = output.last_evaluated_key;
            if after.is_none() {
                return Ok(count);
            }
        }
    }

    async fn query(
        &self,
        integration_id: &str,
        stream: Option<&str>,
        after: Option<&str>,
    ) -> Result<QueryOutput, AwsError> {
        let call = match stream {
            Some(stream) => self.of_stream(integration_id, stream),
            None => self.of_integration(integration_id).key_condition_expression("integration_id = :integration_id"),
        };
        let call = call
            .consistent_read(true)
            .limit(ITEMS)
            .set_exclusive_start_key(after.map(|key| item_key(integration_id, key)));
        call.send().await.map_err(|error| AwsError::new("dynamodb:Query", error))
    }

    fn of_stream(&self, integration_id: &str, stream: &str) -> QueryFluentBuilder {
        self.under(integration_id, &record::prefix(stream, ""))
    }

    /// The records whose keys begin so.
    fn under(&self, integration_id: &str, prefix: &str) -> QueryFluentBuilder {
        self.of_integration(integration_id)
            .key_condition_expression("integration_id = :integration_id AND begins_with(#record, :prefix)")
            .expression_attribute_names("#record", "record")
            .expression_attribute_values(":prefix", s(prefix))
    }

    fn of_integration(&self, integration_id: &str) -> QueryFluentBuilder {
        let call = self.client.query().table_name(&self.table);
        call.expression_attribute_values(":integration_id", s(integration_id))
    }
}

fn item_key(integration_id: &str, record: &str) -> Item {
    Item::from([("integration_id".to_owned(), s(integration_id)), ("record".to_owned(), s(record))])
}

fn read(item: &Item) -> Result<Record, AwsError> {
    Ok(Record {
        key: RecordKey::parse(text(item, "record")?).map_err(|_| malformed("record"))?,
        version: Version::stored(number(item, "version")?),
        updated_at: time(item, "updated_at")?,
        deleted: flag(item, "deleted")?,
        data: serde_json::from_str(text(item, "data")?).map_err(|_| malformed("data"))?,
    })
}
