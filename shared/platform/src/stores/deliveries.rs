//! The deliveries list for administrators: the idempotency records, newest first.
//!
//! *Invariant:* every outcome of a delivery that was accepted is a record in the index `by_day`, with its reason. An event is one
//! record, and its repeats are its attempts; a delivery that is no event, and another payload under a used event id, are records
//! of their own.
//!
//! The index is sharded like the others, because one partition of DynamoDB takes a bounded rate of writes. Provider, time and
//! shard follow from a delivery's id, so that a record can be found by the id of its first delivery without an index on it.

mod detail;
mod positions;

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::KeysAndAttributes;
use domain::{ClaimState, ProviderId, webhook::event};
use jiff::{SignedDuration, Timestamp, ToSpan as _, fmt::serde::timestamp::millisecond};
use serde::{Deserialize, Serialize};

pub use self::{detail::DeliveryDetail, positions::Position};
use crate::{
    aws::{Aws, AwsError},
    base::clock,
    stores::{
        claims::RETENTION,
        delivery_index::day,
        item::{self, Item, malformed, read, s, text},
        table::Table,
    },
};

/// The provider under which is listed what names none of the registry's.
pub static UNKNOWN: ProviderId = ProviderId::of_data("-");
/// How far back a list goes that names no beginning: a day costs 40 queries.
pub const USUAL: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How far the clocks of two functions may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// Records that are looked at together: what DynamoDB reads in one call.
const MAX_BATCH: usize = 100;
/// How often what it left unread is asked for.
const MAX_ROUNDS: u32 = 5;
/// The wait before that, longer each time.
const PAUSE: Duration = Duration::from_millis(50);

/// The table of idempotency records, read by day.
#[derive(Debug)]
pub struct Deliveries {
    table: Table,
}

/// An event, or a delivery that is none, and what became of it.
#[derive(Debug, Serialize)]
pub struct Delivery {
    /// The id of the first delivery of it: see [`domain::DeliveryId`].
    pub id: String,
    /// The key of its record.
    #[serde(skip)]
    pub key: String,
    /// The provider; `-` if a message names none.
    pub provider: String,
    /// The account, or the integration whose own endpoint was called; `-` if neither is known.
    pub account: String,
    /// The provider's id of the event; none if it is no event.
    pub event_id: Option<String>,
    /// The provider's type.
    pub r#type: Option<String>,
    /// Where its processing stands.
    pub state: ClaimState,
    /// How often processing was started.
    pub attempts: u64,
    /// How often its effect was committed.
    pub effects: u64,
    /// Why the last attempt failed, if it did: the name of a [`domain::Reason`].
    pub reason: Option<String>,
    /// The same failure as a sentence.
    pub last_error: Option<String>,
    /// When its first delivery came.
    pub received_at: Timestamp,
}

/// A part of a list.
#[derive(Debug, Serialize)]
pub struct DeliveriesPage {
    /// Newest first.
    pub deliveries: Vec<Delivery>,
    /// What to go on after; none at the end of the list.
    pub next: Option<String>,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Copy)]
pub struct DeliveriesQuery<'a> {
    /// The providers' ids, [`UNKNOWN`] among them if wanted.
    pub providers: &'a [&'a ProviderId],
    /// In this state; in any, if none.
    pub state: Option<ClaimState>,
    /// Received at this time or later; if none, [`USUAL`] before the end.
    pub since: Option<Timestamp>,
    /// Received before this time; if none, until now.
    pub until: Option<Timestamp>,
    /// Only those after this position.
    pub after: Option<&'a Position>,
    /// At most this many deliveries.
    pub limit: usize,
    /// When the answer must be ready; what was not looked at by then follows in the next part.
    pub deadline: Timestamp,
}

impl Deliveries {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { table: Table::new(aws, table) }
    }

    /// Lists deliveries. A part may be shorter than asked for, even empty, and still have a next.
    pub async fn list(&self, listed: DeliveriesQuery<'_>) -> Result<DeliveriesPage, AwsError> {
        let now = clock::now();
        let until = listed.until.unwrap_or(now + SKEW).min(now + SKEW);
        // A record begins to expire when it is written, which is later than its delivery is received.
        let kept = now - RETENTION - SKEW;
        let since = listed.since.unwrap_or_else(|| until.checked_sub(USUAL).unwrap_or(kept)).max(kept).as_millisecond();
        let until = until.as_millisecond() - 1;
        let mut after = listed.after.cloned();
        let mut deliveries = Vec::new();
        let mut last: Option<Position> = None;
        let mut today = day(after.as_ref().map_or(until, |after| until.min(after.received_at)));
        while today >= day(since) {
            let latest = after.as_ref().map_or(until, |after| until.min(after.received_at));
            let mut positions = self.positions(&listed, today, since..=latest, after.as_ref()).await?;
            let more = positions.len() > MAX_BATCH;
            positions.truncate(MAX_BATCH);
            let mut items = self.read(&positions).await?;
            for position in &positions {
                let Some(delivery) = items.remove(&position.key).map(delivery).transpose()? else { continue };
                if listed.state.is_some_and(|state| delivery.state != state) {
                    continue;
                }
                if deliveries.len() == listed.limit {
                    return Ok(DeliveriesPage { deliveries, next: last.as_ref().map(ToString::to_string) });
                }
                deliveries.push(delivery);
                last = Some(position.clone());
            }
            after = positions.pop().or(after);
            if !more {
                // Nothing of this day is left.
                after = Some(Position::beginning(today));
                let Ok(yesterday) = today.checked_sub(1.day()) else { break };
                today = yesterday;
            }
            let full = more && deliveries.len() == listed.limit;
            if full || (clock::now() >= listed.deadline && today >= day(since)) {
                return Ok(DeliveriesPage { deliveries, next: after.as_ref().map(ToString::to_string) });
            }
        }
        Ok(DeliveriesPage { deliveries, next: None })
    }

    async fn read(&self, positions: &[Position]) -> Result<HashMap<String, Item>, AwsError> {
        let mut items = HashMap::new();
        for positions in positions.chunks(MAX_BATCH) {
            let keys = positions.iter().map(|position| item::key([("key", s(&position.key))])).collect();
            let keys = KeysAndAttributes::builder().set_keys(Some(keys)).build();
            let mut open = keys.map_err(|error| AwsError::unwritable("deliveries", error)).map(Some)?;
            for round in 0.. {
                let Some(keys) = open.take() else { break };
                if round == MAX_ROUNDS {
                    return Err(AwsError::Answer { action: "dynamodb:BatchGetItem", lack: "it leaves items unread" });
                }
                tokio::time::sleep(PAUSE * round).await;
                let call = self.table.client.batch_get_item().request_items(&self.table.name, keys);
                let output = call.send().await.map_err(|error| AwsError::new("dynamodb:BatchGetItem", error))?;
                for item in output.responses.into_iter().flat_map(HashMap::into_values).flatten() {
                    items.insert(text(&item, "key")?.to_owned(), item);
                }
                open = output.unprocessed_keys.and_then(|mut rest| rest.remove(&self.table.name));
            }
        }
        Ok(items)
    }
}

/// What is read of an idempotency record.
#[derive(Debug, Deserialize)]
struct Stored {
    key: String,
    delivery_id: String,
    r#type: Option<String>,
    state: ClaimState,
    attempts: u64,
    effects: u64,
    reason: Option<String>,
    last_error: Option<String>,
    #[serde(with = "millisecond::required")]
    received_at: Timestamp,
}

fn delivery(item: Item) -> Result<Delivery, AwsError> {
    let stored: Stored = read(item)?;
    let (provider, account, event_id) = event::parts(&stored.key).ok_or_else(|| malformed("key"))?;
    Ok(Delivery {
        id: stored.delivery_id,
        provider: provider.to_owned(),
        account: account.to_owned(),
        event_id: event_id.map(str::to_owned),
        r#type: stored.r#type,
        state: stored.state,
        attempts: stored.attempts,
        effects: stored.effects,
        reason: stored.reason,
        last_error: stored.last_error,
        received_at: stored.received_at,
        key: stored.key,
    })
}
