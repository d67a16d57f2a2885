//! What became of deliveries: the idempotency records of a day, newest first, for whoever runs this.
//!
//! The index is sharded like the others: one partition of DynamoDB takes a bounded rate of writes.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{Client, types::KeysAndAttributes};
use domain::disposition::spread;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    aws::{Aws, AwsError, client},
    due::SHARDS,
    item::{Item, malformed, number, s, text},
};

/// Queries at a time.
const CONCURRENCY: usize = 8;
/// What DynamoDB takes in one call.
const MAX_BATCH: usize = 100;
/// How often what it left unread is asked for.
const MAX_ROUNDS: u32 = 5;
/// The wait before that, longer each time.
const PAUSE: Duration = Duration::from_millis(50);

/// The table.
#[derive(Debug)]
pub struct Deliveries {
    client: Client,
    table: String,
}

/// An event, and what became of its deliveries.
#[derive(Debug, Serialize)]
pub struct Delivery {
    /// The provider.
    pub provider: String,
    /// The account, or the integration whose own endpoint was called; `-` if nobody knows.
    pub account: String,
    /// The provider's id of the event.
    pub event_id: String,
    /// The provider's type.
    pub r#type: String,
    /// `claimed`, `retry`, `done` or `dead`.
    pub state: String,
    /// How often processing was started.
    pub attempts: u64,
    /// How often its effect was committed.
    pub effects: u64,
    /// Why the last attempt failed, if it did.
    pub last_error: Option<String>,
    /// When its first delivery came.
    pub received_at: Timestamp,
}

/// A part of a list.
#[derive(Debug, Serialize)]
pub struct Part {
    /// Newest first.
    pub deliveries: Vec<Delivery>,
    /// What to go on after; none at the end of the day.
    pub next: Option<String>,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// Of these providers.
    pub providers: &'a [&'static str],
    /// Of this day, as `2026-11-25`, UTC.
    pub day: &'a str,
    /// In this state; in any, if none.
    pub state: Option<&'a str>,
    /// After this place.
    pub after: Option<&'a Place>,
    /// At most this many.
    pub limit: usize,
}

/// Where an event is listed.
pub(crate) fn partition(provider: &str, key: &str, received_at: Timestamp) -> String {
    shard(provider, &received_at.strftime("%F").to_string(), spread(key) % SHARDS)
}

fn shard(provider: &str, day: &str, shard: u32) -> String {
    format!("{provider}#{day}#{shard}")
}

/// A place in the list: the newest time first, then the key.
pub type Place = (i64, String);

/// The place of a [`Part::next`].
pub fn place(next: &str) -> Option<Place> {
    let (at, key) = next.split_once(':')?;
    Some((at.parse().ok()?, key.to_owned()))
}

impl Deliveries {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { client: client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB"), table: table.into() }
    }

    /// Lists deliveries. A part may be shorter than asked for, even empty, and still have a next.
    pub async fn list(&self, listed: Listed<'_>) -> Result<Part, AwsError> {
        let partitions = listed
            .providers
            .iter()
            .flat_map(|provider| (0..SHARDS).map(move |number| shard(provider, listed.day, number)));
        let partitions: Vec<_> = partitions.collect();
        let queries = partitions.into_iter().map(|partition| self.query(partition, listed.after, listed.limit));
        let found: Vec<Vec<Place>> = stream::iter(queries).buffer_unordered(CONCURRENCY).try_collect().await?;
        let mut places: Vec<_> = found.into_iter().flatten().collect();
        places.sort_unstable_by(|one, other| other.cmp(one));
        let more = places.len() > listed.limit;
        places.truncate(listed.limit);
        let next = places.last().filter(|_| more).map(|(at, key)| format!("{at}:{key}"));
        let mut items = self.read(&places).await?;
        let in_order = places.iter().filter_map(|(_, key)| items.remove(key));
        let deliveries = in_order.map(|item| delivery(&item)).collect::<Result<Vec<_>, _>>()?;
        let wanted = |delivery: &Delivery| listed.state.is_none_or(|state| delivery.state == state);
        Ok(Part { deliveries: deliveries.into_iter().filter(wanted).collect(), next })
    }

    /// The newest places of a partition after this one, more than `limit`, so that it shows if there are more. Those of one
    /// millisecond are in no order, so they come all.
    async fn query(&self, partition: String, after: Option<&Place>, limit: usize) -> Result<Vec<Place>, AwsError> {
        let latest = after.map_or(i64::MAX, |(at, _)| *at);
        let call = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("by_day")
            .key_condition_expression("#day = :day AND received_at <= :latest")
            .expression_attribute_names("#day", "day")
            .expression_attribute_values(":day", s(partition))
            .expression_attribute_values(":latest", crate::item::n(latest))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX).saturating_add(2))
            .scan_index_forward(false);
        let mut pages = call.into_paginator().items().send();
        let mut places = Vec::<Place>::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| AwsError::new("dynamodb:Query", error))?;
            let place = (number(&item, "received_at")?, text(&item, "key")?.to_owned());
            if places.len() > limit && places.last().is_some_and(|last| place.0 < last.0) {
                break;
            }
            if after.is_none_or(|after| place < *after) {
                places.push(place);
            }
        }
        Ok(places)
    }

    async fn read(&self, places: &[Place]) -> Result<HashMap<String, Item>, AwsError> {
        let mut items = HashMap::new();
        for places in places.chunks(MAX_BATCH) {
            let keys = places.iter().map(|(_, key)| Item::from([("key".to_owned(), s(key))])).collect();
            let keys = KeysAndAttributes::builder().set_keys(Some(keys)).build();
            let mut open = keys.map_err(|error| AwsError::unwritable("deliveries", error)).map(Some)?;
            for round in 0.. {
                let Some(keys) = open.take() else { break };
                if round == MAX_ROUNDS {
                    return Err(AwsError::Answer { action: "dynamodb:BatchGetItem", lack: "it leaves items unread" });
                }
                tokio::time::sleep(PAUSE * round).await;
                let call = self.client.batch_get_item().request_items(&self.table, keys);
                let output = call.send().await.map_err(|error| AwsError::new("dynamodb:BatchGetItem", error))?;
                for item in output.responses.into_iter().flat_map(HashMap::into_values).flatten() {
                    items.insert(text(&item, "key")?.to_owned(), item);
                }
                open = output.unprocessed_keys.and_then(|mut rest| rest.remove(&self.table));
            }
        }
        Ok(items)
    }
}

fn delivery(item: &Item) -> Result<Delivery, AwsError> {
    let mut parts = text(item, "key")?.splitn(3, '#').map(str::to_owned);
    let mut part = || parts.next().ok_or_else(|| malformed("key"));
    Ok(Delivery {
        provider: part()?,
        account: part()?,
        event_id: part()?,
        r#type: text(item, "type")?.to_owned(),
        state: text(item, "state")?.to_owned(),
        attempts: number(item, "attempts")?,
        effects: number(item, "effects")?,
        last_error: text(item, "last_error").ok().map(str::to_owned),
        received_at: Timestamp::from_millisecond(number(item, "received_at")?).map_err(|_| malformed("received_at"))?,
    })
}
