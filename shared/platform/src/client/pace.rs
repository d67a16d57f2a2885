//! Calls at a provider's pace, kept by all processes together: each leases slots of a bucket ahead, in one write for several calls.
//! See [`domain::call::rate`] for the arithmetic.
//!
//! *Invariant:* a slot is leased once. If the table can't be asked, calls go ahead: the provider's own refusal is the net.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as Lock, PoisonError},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use domain::call::{
    limit::Bucket,
    rate::{Ask, Share, between, micros},
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::{
    aws::{Aws, AwsError, client},
    base::clock,
    stores::item::{malformed, n, number, s},
};

/// A bucket nobody takes from is forgotten after this: longer than any wait that is believed.
const RETENTION: SignedDuration = SignedDuration::from_hours(48);
/// Buckets that are remembered in memory; what is leased of others lapses.
const MAX_SHARES: usize = 1_000;
/// What asking the table may take beyond a caller's patience.
const SLOW: Duration = Duration::from_secs(1);
/// After the table could not be asked, it is not asked again for so long.
const BLIND: Duration = Duration::from_secs(1);
/// How often a lease is tried: the bucket may go idle or fill up in between.
const TRIES: u32 = 3;

/// The table, and what this process holds of it.
#[derive(Debug)]
pub struct Pace {
    client: Client,
    table: String,
    shares: Lock<HashMap<String, Arc<Mutex<Share>>>>,
}

/// There is no slot within the time: not before this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full(pub Duration);

impl Pace {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        let client = client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB");
        Self { client, table: table.into(), shares: Lock::default() }
    }

    /// Waits for a call's turn in all its buckets, `patience` at most. How long that took.
    pub async fn turn(&self, buckets: &[Bucket], patience: Duration) -> Result<Duration, Full> {
        if buckets.is_empty() {
            return Ok(Duration::ZERO);
        }
        let began = now();
        let latest = began.saturating_add(micros(patience));
        let all = async {
            // The widest first: its turn passes while the narrow one is waited for, and it has more room for that.
            for bucket in buckets.iter().rev() {
                let at = self.slot(bucket, between(now(), latest)).await?;
                if at > latest {
                    return Err(Full(between(now(), at)));
                }
                let wait = between(now(), at);
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
            }
            Ok(())
        };
        match tokio::time::timeout(patience + SLOW, all).await {
            Ok(outcome) => outcome.map(|()| between(began, now())),
            Err(_) => {
                tracing::warn!(limit = buckets[0].name, "not paced: the table is too slow");
                Ok(between(began, now()))
            }
        }
    }

    /// The provider said that a bucket is empty for this long: nobody takes from it until then.
    pub async fn close(&self, bucket: &Bucket, wait: Duration) {
        let until = now().saturating_add(micros(wait));
        self.share(bucket).lock().await.closed(until);
        let call = self.update(bucket).update_expression("SET next_slot = :until, expires_at = :expires_at");
        let call = call.condition_expression("attribute_not_exists(next_slot) OR next_slot < :until");
        let call = call.expression_attribute_values(":until", n(until));
        let told = tokio::time::timeout(SLOW, call.send()).await;
        let known = match &told {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception)
            }
            Err(_) => false,
        };
        if !known {
            tracing::warn!(limit = bucket.name, "other processes don't know of the provider's word on its limit");
        }
    }

    async fn slot(&self, bucket: &Bucket, patience: Duration) -> Result<i64, Full> {
        let share = self.share(bucket);
        // Others of this process wait here while one asks for all.
        let mut share = share.lock().await;
        let now = now();
        if let Some(at) = share.take(bucket.rate, bucket.cost, now) {
            return Ok(at);
        }
        if let Some(wait) = share.full(now, patience) {
            return Err(Full(wait));
        }
        if share.is_blind(now) {
            return Ok(now);
        }
        let ask = share.ask(bucket.rate, bucket.cost, now, patience);
        match self.lease(bucket, ask, share.is_busy()).await {
            Ok(Ok(first)) => {
                share.leased(first, ask, now);
                Ok(share.take(bucket.rate, bucket.cost, now).unwrap_or(first))
            }
            Ok(Err(full)) => {
                share.closed(full);
                Err(Full(between(now, full)))
            }
            Err(error) => {
                tracing::warn!(
                    reason = error.reason().name(),
                    detail = error.diagnosis().detail,
                    limit = bucket.name,
                    "not paced"
                );
                share.blind(now.saturating_add(micros(BLIND)));
                Ok(now)
            }
        }
    }

    /// The first slot that was leased, or the first free one that is too late. By the same rule as [`Ask::of`].
    async fn lease(&self, bucket: &Bucket, ask: Ask, busy: bool) -> Result<Result<i64, i64>, AwsError> {
        // A busy bucket's time line moves on from where it stands, an idle one's from the clock; the table knows which it is, and a
        // wrong guess costs a write.
        let mut idle = !busy;
        for _ in 0..TRIES {
            let call = self.update(bucket).return_values(ReturnValue::UpdatedNew);
            let call = if idle {
                call.update_expression("SET next_slot = :next, expires_at = :expires_at")
                    .condition_expression("attribute_not_exists(next_slot) OR next_slot < :floor")
                    .expression_attribute_values(":next", n(ask.floor + ask.advance))
            } else {
                call.update_expression("SET next_slot = next_slot + :advance, expires_at = :expires_at")
                    .condition_expression("next_slot BETWEEN :floor AND :latest")
                    .expression_attribute_values(":advance", n(ask.advance))
                    .expression_attribute_values(":latest", n(ask.latest))
            };
            let error = match call.expression_attribute_values(":floor", n(ask.floor)).send().await {
                Ok(output) => {
                    let item = output.attributes().ok_or_else(|| malformed("next_slot"))?;
                    return Ok(Ok(number::<i64>(item, "next_slot")? - ask.advance));
                }
                Err(error) => error,
            };
            let Some(UpdateItemError::ConditionalCheckFailedException(refusal)) = error.as_service_error() else {
                return Err(AwsError::new("dynamodb:UpdateItem", error));
            };
            let next = refusal.item().map(|item| number(item, "next_slot")).transpose()?;
            match ask.of(next) {
                Ok(_) => idle = next.is_none_or(|next| next < ask.floor),
                Err(full) => return Ok(Err(full)),
            }
        }
        Err(AwsError::Answer { action: "dynamodb:UpdateItem", lack: "the bucket changes faster than it can be asked" })
    }

    fn update(&self, bucket: &Bucket) -> UpdateItemFluentBuilder {
        let expires_at = (clock::now() + RETENTION).as_second();
        self.client
            .update_item()
            .table_name(&self.table)
            .key("bucket", s(&bucket.key))
            .expression_attribute_values(":expires_at", n(expires_at))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    fn share(&self, bucket: &Bucket) -> Arc<Mutex<Share>> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() >= MAX_SHARES && !shares.contains_key(&bucket.key) {
            shares.retain(|_, share| Arc::strong_count(share) > 1);
        }
        if let Some(share) = shares.get(&bucket.key) {
            return Arc::clone(share);
        }
        Arc::clone(shares.entry(bucket.key.clone()).or_default())
    }
}

fn now() -> i64 {
    let now: Timestamp = clock::now();
    now.as_microsecond()
}
