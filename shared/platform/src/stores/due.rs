//! What is due: read from an index on due time, so that a sweep costs what is due and not what exists.
//!
//! *Invariant:* a sweep reads an index page by page, so that its memory is bounded whatever is due.

use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};
use domain::{IntegrationId, messages::message::DueEntry};
use jiff::Timestamp;

use crate::{
    aws::{Aws, AwsError},
    stores::{
        item::{key, n, number, s, text},
        table::Table,
    },
};

/// How many partitions a due index is spread over: all values of the last digit of an integration's id.
///
/// A partition of DynamoDB takes 1,000 write units a second, of an index too
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>, read 2026-11). A sync that moves
/// its integration's due time costs two in the index: the entry goes, and comes under another key. A million integrations in
/// slots 15 minutes apart are 1,111 syncs and so 2,222 units a second: three partitions at least, and 139 units a second in each of
/// sixteen. The rest is for syncs that webhooks ask for, which move the due time as well. A full partition does not lose
/// entries: it throttles the writes of the table, which the SDK repeats.
pub const SHARDS: u32 = 16;
/// Entries of a page. In memory each is two keys, some 300 bytes: 300 KB. A page costs at most 30 read units.
const PAGE: i32 = 1_000;

/// The partition of an integration: its id is a hash already.
pub fn shard(integration_id: &IntegrationId) -> u32 {
    integration_id.as_str().chars().next_back().and_then(|digit| digit.to_digit(16)).unwrap_or(0) % SHARDS
}

/// A page of what is due in one shard.
#[derive(Debug, Default)]
pub struct DuePage {
    /// Earliest first.
    pub entries: Vec<DueEntry>,
    /// Whether more may follow its last entry.
    pub more: bool,
    /// What DynamoDB charges for it, in read units.
    pub read_units: f64,
}

/// An index on due time.
#[derive(Debug, Clone)]
pub struct Due {
    table: Table,
    index: &'static str,
    /// The attributes of the index.
    shard_and_time: [&'static str; 2],
    key: [&'static str; 2],
}

impl Due {
    /// The index of the integrations table: user id and `provider#account` of those whose sync is due.
    pub fn syncs(aws: &Aws, table: impl Into<String>) -> Self {
        Self::new(aws, table, "by_due", ["due_shard", "due_at"], ["user_id", "integration"])
    }

    /// The same of those with a watch to renew.
    pub fn watches(aws: &Aws, table: impl Into<String>) -> Self {
        Self::new(aws, table, "by_watch_due", ["watch_shard", "watch_due_at"], ["user_id", "integration"])
    }

    /// The index of the credentials table: integration id and name of those that expire soon.
    pub fn refreshes(aws: &Aws, table: impl Into<String>) -> Self {
        Self::new(aws, table, "by_refresh_due", ["due_shard", "due_at"], ["integration_id", "credential"])
    }

    fn new(
        aws: &Aws,
        table: impl Into<String>,
        index: &'static str,
        shard_and_time: [&'static str; 2],
        key: [&'static str; 2],
    ) -> Self {
        Self { table: Table::new(aws, table), index, shard_and_time, key }
    }

    /// The first page of what is due in one shard by `until`, or the page after this entry, which need not be there any more.
    pub async fn page(&self, shard: u32, until: Timestamp, after: Option<&DueEntry>) -> Result<DuePage, AwsError> {
        let [shard_name, time_name] = self.shard_and_time;
        let condition = format!("{shard_name} = :shard AND {time_name} <= :until");
        let query = self.table.query(&condition, [(":shard", n(shard)), (":until", n(until.as_second()))]);
        let after = after.map(|DueEntry { due_at, key: [partition, sort] }| {
            let [partition_name, sort_name] = self.key;
            let (partition, sort) = ((partition_name, s(partition)), (sort_name, s(sort)));
            key([(shard_name, n(shard)), (time_name, n(*due_at)), partition, sort])
        });
        let call = query.call().index_name(self.index).limit(PAGE).set_exclusive_start_key(after);
        let page = call.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let page = page.map_err(|error| AwsError::new("dynamodb:Query", error))?;
        let entry = |item| {
            let [partition_name, sort_name] = self.key;
            let key = [text(item, partition_name)?.to_owned(), text(item, sort_name)?.to_owned()];
            Ok(DueEntry { due_at: number(item, time_name)?, key })
        };
        Ok(DuePage {
            entries: page.items().iter().map(entry).collect::<Result<_, AwsError>>()?,
            more: page.last_evaluated_key().is_some(),
            read_units: page.consumed_capacity().and_then(ConsumedCapacity::capacity_units).unwrap_or_default(),
        })
    }
}
