//! What is due: read from an index on due time, so that a sweep costs what is due and not what exists.
//!
//! The index is sharded, because one partition of DynamoDB takes a bounded rate of writes.

use aws_sdk_dynamodb::Client;
use jiff::Timestamp;

use crate::{
    aws::{Aws, AwsError, client},
    item::{n, text},
};

/// How many partitions a due index is spread over.
pub const SHARDS: u32 = 8;

/// The partition of an integration: its id is a hash already.
pub fn shard(integration_id: &str) -> u32 {
    integration_id.chars().next_back().and_then(|digit| digit.to_digit(16)).unwrap_or(0) % SHARDS
}

/// An index on due time.
#[derive(Debug, Clone)]
pub struct Due {
    client: Client,
    table: String,
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
        let client = client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB");
        Self { client, table: table.into(), index, shard_and_time, key }
    }

    /// The keys of what is due in one shard at `now`, earliest first; of all that will ever be due, if none.
    pub async fn shard(&self, shard: u32, now: Option<Timestamp>) -> Result<Vec<[String; 2]>, AwsError> {
        let until = now.map_or(i64::MAX, Timestamp::as_second);
        let call = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(self.index)
            .key_condition_expression("#shard = :shard AND #at <= :until")
            .expression_attribute_names("#shard", self.shard_and_time[0])
            .expression_attribute_names("#at", self.shard_and_time[1])
            .expression_attribute_values(":shard", n(shard))
            .expression_attribute_values(":until", n(until));
        let items = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let items = items.map_err(|error| AwsError::new("dynamodb:Query", &error))?;
        items
            .iter()
            .map(|item| Ok([text(item, self.key[0])?.to_owned(), text(item, self.key[1])?.to_owned()]))
            .collect()
    }
}
