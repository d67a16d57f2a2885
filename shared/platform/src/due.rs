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

/// An index on due time.
#[derive(Debug, Clone)]
pub struct Due {
    client: Client,
    table: String,
    index: &'static str,
    key: [&'static str; 2],
}

impl Due {
    /// The index of the integrations table: user id and `provider#account` of those whose sync is due.
    pub fn syncs(aws: &Aws, table: impl Into<String>) -> Self {
        Self::new(aws, table, "by_due", ["user_id", "integration"])
    }

    /// The index of the credentials table: integration id and name of those that expire soon.
    pub fn refreshes(aws: &Aws, table: impl Into<String>) -> Self {
        Self::new(aws, table, "by_refresh_due", ["integration_id", "credential"])
    }

    fn new(aws: &Aws, table: impl Into<String>, index: &'static str, key: [&'static str; 2]) -> Self {
        Self { client: client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB"), table: table.into(), index, key }
    }

    /// The keys of what is due in one shard at `now`, earliest first.
    pub async fn shard(&self, shard: u32, now: Timestamp) -> Result<Vec<[String; 2]>, AwsError> {
        let call = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(self.index)
            .key_condition_expression("due_shard = :shard AND due_at <= :now")
            .expression_attribute_values(":shard", n(shard))
            .expression_attribute_values(":now", n(now.as_second()));
        let items = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let items = items.map_err(|error| AwsError::new("dynamodb:Query", &error))?;
        items
            .iter()
            .map(|item| Ok([text(item, self.key[0])?.to_owned(), text(item, self.key[1])?.to_owned()]))
            .collect()
    }
}
