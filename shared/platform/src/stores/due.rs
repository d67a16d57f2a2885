//! What is due: read from an index on due time, so that a sweep costs what is due and not what exists.
//!
//! The index is sharded, because one partition of DynamoDB takes a bounded rate of writes.

use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};
use domain::IntegrationId;
use jiff::Timestamp;

use crate::{
    aws::{Aws, AwsError},
    stores::{
        item::{n, text},
        table::Table,
    },
};

/// How many partitions a due index is spread over.
pub const SHARDS: u32 = 8;

/// The partition of an integration: its id is a hash already.
pub fn shard(integration_id: &IntegrationId) -> u32 {
    integration_id.as_str().chars().next_back().and_then(|digit| digit.to_digit(16)).unwrap_or(0) % SHARDS
}

/// What is due in one shard.
#[derive(Debug, Default)]
pub struct Found {
    /// Its keys, earliest first.
    pub keys: Vec<[String; 2]>,
    /// The calls that it took.
    pub requests: u32,
    /// What DynamoDB charges for them, in read units.
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

    /// What is due in one shard at `now`; all that will ever be due, if none.
    pub async fn shard(&self, shard: u32, now: Option<Timestamp>) -> Result<Found, AwsError> {
        let until = now.map_or(i64::MAX, Timestamp::as_second);
        let [shard_name, time_name] = self.shard_and_time;
        let condition = format!("{shard_name} = :shard AND {time_name} <= :until");
        let query = self.table.query(&condition, [(":shard", n(shard)), (":until", n(until))]);
        let call = query.call().index_name(self.index).return_consumed_capacity(ReturnConsumedCapacity::Total);
        let mut pages = call.into_paginator().send();
        let mut found = Found::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| AwsError::new("dynamodb:Query", error))?;
            found.requests += 1;
            found.read_units += page.consumed_capacity().and_then(ConsumedCapacity::capacity_units).unwrap_or_default();
            for item in page.items() {
                found.keys.push([text(item, self.key[0])?.to_owned(), text(item, self.key[1])?.to_owned()]);
            }
        }
        Ok(found)
    }
}
