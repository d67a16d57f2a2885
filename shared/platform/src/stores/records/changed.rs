//! Records in the order in which they last changed, read from the index of changes.

use aws_sdk_dynamodb::types::Select;
use domain::{IntegrationId, Record, RecordKey, sync::record::prefix};
use jiff::{SignedDuration, Timestamp};

use super::{ITEMS, Records, item_key, record, shown};
use crate::{
    aws::AwsError,
    stores::item::{Item, malformed, micros, number, parsed, read, s, text},
};

/// The resolution of the index.
const TICK: SignedDuration = SignedDuration::from_micros(1);

/// How far the changes of an integration are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// All before this time.
    pub(crate) changed_at: Timestamp,
    /// Of those that changed then, those up to this record, in the order of the index.
    pub(crate) record: Option<RecordKey>,
}

/// A record that changed.
#[derive(Debug)]
pub(crate) struct Changed {
    /// As it is now.
    pub(crate) record: Record,
    /// What it takes in a response at most, in bytes.
    pub(crate) bytes: usize,
    /// The position after it.
    pub(crate) position: Position,
}

/// A part of the changes of an integration.
#[derive(Debug)]
pub(crate) struct ChangedPart {
    pub(crate) changes: Vec<Changed>,
    /// How many entries of the index were read.
    pub(crate) read: usize,
    /// Where the next part starts, if there is one.
    pub(crate) next: Option<Position>,
}

impl Position {
    /// After all that changed until then.
    pub(crate) fn after(at: Timestamp) -> Self {
        Self { changed_at: at + TICK, record: None }
    }

    fn of(item: &Item) -> Result<Self, AwsError> {
        let changed_at =
            Timestamp::from_microsecond(number(item, "changed_at")?).map_err(|_| malformed("changed_at"))?;
        Ok(Self { changed_at, record: Some(parsed(item, "record")?) })
    }
}

impl Records {
    /// Reads, consistently, up to `limit` entries of the index from a position on that changed until `to`: a record that was written is
    /// there once, at its last change. The records themselves are fetched by DynamoDB.
    pub(crate) async fn changed(
        &self,
        integration_id: &IntegrationId,
        from: &Position,
        to: Timestamp,
        stream: Option<&str>,
        limit: usize,
    ) -> Result<ChangedPart, AwsError> {
        let condition = "integration_id = :integration_id AND changed_at BETWEEN :from AND :to";
        let values = [(":integration_id", s(integration_id)), (":from", micros(from.changed_at)), (":to", micros(to))];
        let mut query = self.table.query(condition, values);
        if let Some(stream) = stream {
            query = query.filter("begins_with(record, :prefix)", [(":prefix", s(prefix(stream, "")))]);
        }
        let start = from.record.as_ref().map(|record| {
            let mut key = item_key(integration_id, record);
            key.insert("changed_at".to_owned(), micros(from.changed_at));
            key
        });
        let limit = i32::try_from(limit).unwrap_or(ITEMS).min(ITEMS);
        let call = query.call().index_name("by_change").select(Select::AllAttributes).consistent_read(true);
        let call = call.limit(limit).set_exclusive_start_key(start);
        let output = call.send().await.map_err(|error| AwsError::new("dynamodb:Query", error))?;
        let read_entries = usize::try_from(output.scanned_count()).unwrap_or_default();
        let next = output.last_evaluated_key().map(Position::of).transpose()?;
        let changed = |item: Item| {
            let position = Position::of(&item)?;
            let bytes = shown(text(&item, "data")?);
            Ok(Changed { record: record(read(item)?)?, bytes, position })
        };
        let changes = output.items.unwrap_or_default().into_iter().map(changed);
        let mut changes = changes.collect::<Result<Vec<_>, AwsError>>()?;
        // A record is fetched after its entry was read, and may have changed in between: it is of the next walk.
        changes.retain(|it| it.position.changed_at <= to);
        Ok(ChangedPart { changes, read: read_entries, next })
    }
}
