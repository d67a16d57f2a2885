//! Where deliveries stand in the list, read from the shards of a day at the same time.

use std::{fmt, ops::RangeInclusive};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{civil::Date, tz::TimeZone};

use super::{Deliveries, DeliveriesQuery, Delivery, MAX_BATCH};
use crate::{
    aws::AwsError,
    stores::{
        delivery_index::{SHARDS, shard},
        item::{n, number, s, text},
    },
};

/// Queries at a time.
const CONCURRENCY: usize = 16;

/// A position in the list, which begins with the largest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// In milliseconds since 1970.
    pub(super) received_at: i64,
    pub(super) key: String,
}

impl Position {
    /// After all deliveries of a day, before those of the day before.
    pub(super) fn beginning(day: Date) -> Self {
        let received_at = day.to_zoned(TimeZone::UTC).map_or(i64::MIN, |zoned| zoned.timestamp().as_millisecond());
        Self { received_at, key: String::new() }
    }

    /// That of a delivery of a list.
    pub fn of(delivery: &Delivery) -> Self {
        Self { received_at: delivery.received_at.as_millisecond(), key: delivery.key.clone() }
    }

    /// The position of a [`DeliveriesPage::next`](super::DeliveriesPage::next).
    pub fn parse(next: &str) -> Option<Self> {
        let (at, key) = next.split_once(':')?;
        Some(Self { received_at: at.parse().ok()?, key: key.to_owned() })
    }
}

/// As [`Position::parse`] reads it.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.received_at, self.key)
    }
}

impl Deliveries {
    /// The newest positions of a day that are left after `after`; more than [`MAX_BATCH`] if there are more.
    pub(super) async fn positions(
        &self,
        listed: &DeliveriesQuery<'_>,
        day: Date,
        times: RangeInclusive<i64>,
        after: Option<&Position>,
    ) -> Result<Vec<Position>, AwsError> {
        let of = |provider| (0..SHARDS).map(move |number| shard(provider, day, number));
        let partitions: Vec<_> = listed.providers.iter().copied().flat_map(of).collect();
        let queries = partitions.into_iter().map(|partition| self.query(partition, &times, after));
        let found: Vec<Vec<Position>> = stream::iter(queries).buffer_unordered(CONCURRENCY).try_collect().await?;
        let mut positions: Vec<_> = found.into_iter().flatten().collect();
        positions.sort_unstable_by(|one, other| other.cmp(one));
        Ok(positions)
    }

    /// The newest positions of a partition within `times`, after this one; more than [`MAX_BATCH`], so that it shows if there are
    /// more. Those of one millisecond are in no order, so all of them come.
    pub(super) async fn query(
        &self,
        partition: String,
        times: &RangeInclusive<i64>,
        after: Option<&Position>,
    ) -> Result<Vec<Position>, AwsError> {
        let mut positions = Vec::<Position>::new();
        if times.is_empty() {
            return Ok(positions);
        }
        let values = [(":day", s(partition)), (":since", n(*times.start())), (":latest", n(*times.end()))];
        let query = self.table.query("day = :day AND received_at BETWEEN :since AND :latest", values);
        let limit = i32::try_from(MAX_BATCH).unwrap_or(i32::MAX).saturating_add(2);
        let call = query.call().index_name("by_day").limit(limit).scan_index_forward(false);
        let mut pages = call.into_paginator().items().send();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| AwsError::new("dynamodb:Query", error))?;
            let position = Position { received_at: number(&item, "received_at")?, key: text(&item, "key")?.to_owned() };
            if positions.len() > MAX_BATCH
                && positions.last().is_some_and(|last| position.received_at < last.received_at)
            {
                break;
            }
            if after.is_none_or(|after| position < *after) {
                positions.push(position);
            }
        }
        Ok(positions)
    }
}
