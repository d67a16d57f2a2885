//! The idempotency records. See [`domain::webhook::claim`] for the states; every write here is one of its arrows.
//!
//! *Invariant:* a write under a claim is conditional on the fence that the claim was won with, so a claimant whose lease ended
//! writes nothing once another attempt has claimed the event.

mod apply;
mod given_up;
mod trace;

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use domain::{ClaimState, DeliveryId, Diagnosis, EventType, Fence, IdempotencyRecord, ProviderId, Reason};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub(super) use self::trace::{FAILURES_KEPT, failure};
pub use self::{
    apply::Applied,
    given_up::{Entry, GivenUp},
    trace::{FailedAttempt, Trace},
};
use crate::{
    aws::{Aws, AwsError, queue},
    stores::{
        delivery_index::partition,
        item::{self, millis, number, read, s, seconds},
        lease::Lease,
        table::{Outcome, Table, Update},
    },
};

/// For how long a provider may repeat a delivery: Pub/Sub keeps a message for 7 days by default
/// (<https://cloud.google.com/pubsub/docs/subscription-properties>), Stripe repeats one for 3 days; read 2026-11.
const REPEATED_FOR: Duration = Duration::from_hours(7 * 24);
/// How long a record is kept: while a message can live in its queue, and then in the dead-letter queue, and the provider can
/// repeat the delivery.
pub const RETENTION: Duration = queue::RETENTION.saturating_mul(2).saturating_add(REPEATED_FOR);
/// What a failed attempt leaves in the record.
const FAILURE: &str = "last_error, reason";
/// What lists a record among the deliveries; see [`crate::stores::deliveries`].
const LISTED: &str = "type = if_not_exists(type, :type), day = if_not_exists(day, :day), \
                      received_at = if_not_exists(received_at, :received_at), \
                      delivery_id = if_not_exists(delivery_id, :delivery_id)";

/// The table of idempotency records.
#[derive(Debug, Clone)]
pub struct Claims {
    table: Table,
    lease: Duration,
}

/// The right to process one event, until its lease ends.
#[derive(Debug, Clone)]
pub struct Claim {
    key: String,
    fence: Fence,
    /// Whether an earlier claimant already committed the effect.
    pub applied: bool,
    /// Whether the event was claimed before.
    pub again: bool,
    /// Whether its message is kept: see [`crate::stores::bodies`].
    pub is_kept: bool,
}

/// What the record says of an event beside its claim. Of all its deliveries, the first one's is stored.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The provider under which it is listed.
    pub provider: &'a ProviderId,
    /// The provider's type; none if the delivery is no event.
    pub r#type: Option<&'a EventType>,
    /// See [`DeliveryId::new`].
    pub delivery_id: &'a DeliveryId,
    /// When this delivery was received.
    pub received_at: Timestamp,
}

/// What trying to claim an event led to.
#[derive(Debug)]
pub enum Claiming {
    /// The attempt may process it.
    Won(Claim),
    /// Another attempt holds it, or it is finished: [`IdempotencyRecord::verdict`] says which. Or the record is of another body.
    Lost(IdempotencyRecord),
}

/// Why a write under a claim failed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The lease ended and another attempt claimed the event: nothing was written, and nothing may be.
    #[error("the claim was taken over by a later one")]
    Superseded,
    /// DynamoDB failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl ClaimError {
    /// The reason and the sentence for operators.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Superseded => Diagnosis::new(Reason::Superseded, self.to_string()),
            Self::Aws(error) => error.diagnosis(),
        }
    }
}

impl Claims {
    /// The table of this name; claims end after `lease`.
    pub fn new(aws: &Aws, table: impl Into<String>, lease: Duration) -> Self {
        Self { table: Table::new(aws, table), lease }
    }

    /// Claims an event for the attempt `holder`. Repeating the call for the same holder finds the claim again, so a lost
    /// reply does not lock the event. Another body under the same key never gets the claim.
    pub async fn claim(&self, key: &str, body_hash: &str, holder: &str, now: Timestamp) -> Result<Claiming, AwsError> {
        let lease = Lease { holder, now, time: self.lease };
        claim(key, body_hash, lease, self.record(key)).await
    }

    /// The same for an event, which is listed among the deliveries of its day: see [`crate::stores::deliveries`].
    pub async fn claim_event(
        &self,
        key: &str,
        body_hash: &str,
        holder: &str,
        about: About<'_>,
        now: Timestamp,
    ) -> Result<Claiming, AwsError> {
        let lease = Lease { holder, now, time: self.lease };
        claim(key, body_hash, lease, listed(self.record(key), about)).await
    }

    fn record(&self, key: &str) -> Update {
        self.table.update(item::key([("key", s(key))]))
    }

    /// Ends a claim: it is done.
    pub async fn complete(&self, claim: &Claim) -> Result<(), ClaimError> {
        end(self.ending(claim, ClaimState::Done).remove(FAILURE)).await
    }

    /// Ends a claim on an event: it is done, or no integration has its account. The trace is for operators.
    /// `kept_until` is the end of its kept message; none if none is kept any more.
    pub async fn processed(
        &self,
        claim: &Claim,
        state: ClaimState,
        trace: &Trace,
        kept_until: Option<Timestamp>,
    ) -> Result<(), ClaimError> {
        let ending = self.ending(claim, state).remove(FAILURE).set("trace = :trace").with([(":trace", json(trace)?)]);
        let ending = match kept_until {
            Some(until) => kept(ending, Some(until)),
            None => ending.remove("kept_until"),
        };
        end(ending).await
    }

    /// Ends a claim on a request: it is done, and this was answered.
    pub async fn answered(&self, claim: &Claim, answer: &str) -> Result<(), ClaimError> {
        let answered = self.ending(claim, ClaimState::Done).set("answer = :answer").with([(":answer", s(answer))]);
        end(answered.remove(FAILURE)).await
    }

    /// Ends a claim on a request: the attempt failed for this reason.
    pub async fn release(&self, claim: &Claim, state: ClaimState, reason: &str) -> Result<(), ClaimError> {
        end(self.ending(claim, state).set("last_error = :error").with([(":error", s(reason))])).await
    }

    /// Ends a claim on an event: the attempt failed.
    pub async fn failed(
        &self,
        claim: &Claim,
        state: ClaimState,
        why: &Diagnosis,
        kept_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), ClaimError> {
        let number = u64::from(claim.fence);
        let failed = FailedAttempt { attempt: number, at: now, reason: why.reason.name().to_owned() };
        let ending = self.ending(claim, state).alias("failure", &failure(number % FAILURES_KEPT));
        let ending = ending.set("reason = :reason, last_error = :error, failure = :failure");
        let values = [(":reason", s(why.reason.name())), (":error", s(why.detail())), (":failure", json(&failed)?)];
        end(kept(ending.with(values), kept_until)).await
    }

    /// Whether this is the first use of something that may be used once until `expires_at`.
    pub async fn first_use(&self, key: &str, expires_at: Timestamp) -> Result<bool, AwsError> {
        let expires_at = seconds(expires_at + SignedDuration::from_hours(1));
        self.table.create(item::key([("key", s(key)), ("expires_at", expires_at)]), "key").await
    }

    /// The record of an event, read consistently.
    pub async fn get(&self, key: &str) -> Result<Option<IdempotencyRecord>, AwsError> {
        self.table.get(item::key([("key", s(key))])).await?.map(read).transpose()
    }

    /// Sets the state under a claim. The condition holds too if this very call was made before and its reply was lost.
    fn ending(&self, claim: &Claim, state: ClaimState) -> Update {
        self.record(&claim.key)
            .set("state = :state")
            .held(claim.fence)
            .when("state IN (:claimed, :state)")
            .with([(":state", s(state.name())), (":claimed", s(ClaimState::Claimed.name()))])
    }
}

async fn claim(key: &str, body_hash: &str, lease: Lease<'_>, record: Update) -> Result<Claiming, AwsError> {
    let claimed = record
        .alias("holder", "owner")
        .acquire(lease)
        .set(
            "state = :claimed, expires_at = :expires_at, attempts = if_not_exists(attempts, :zero) + :one, \
             effects = if_not_exists(effects, :zero), body_hash = if_not_exists(body_hash, :body_hash)",
        )
        // The same as `IdempotencyRecord::verdict`, or the holder's own claim; and the same body.
        .when(
            "attribute_not_exists(key) OR (body_hash = :body_hash AND (state IN (:retry, :dead) \
             OR (state = :claimed AND (lease_until <= :now OR holder = :holder))))",
        )
        .with([
            (":claimed", s(ClaimState::Claimed.name())),
            (":retry", s(ClaimState::Retry.name())),
            (":dead", s(ClaimState::Dead.name())),
            (":expires_at", seconds(lease.now + RETENTION)),
            (":body_hash", s(body_hash)),
        ])
        .returning(ReturnValue::AllNew);
    match claimed.send().await? {
        Outcome::Written(item) => {
            let is_kept = number(&item, "kept_until").is_ok_and(|until: i64| until > lease.now.as_second());
            let IdempotencyRecord { fence, effects, .. } = read(item)?;
            let again = u64::from(fence) > 1;
            Ok(Claiming::Won(Claim { key: key.to_owned(), fence, applied: effects > 0, again, is_kept }))
        }
        Outcome::Refused(item) => Ok(Claiming::Lost(read(item)?)),
    }
}

/// Until when the message of a delivery is kept, if it is.
fn kept(record: Update, until: Option<Timestamp>) -> Update {
    until.into_iter().fold(record, |record, until| record.set("kept_until = :kept").with([(":kept", seconds(until))]))
}

/// As text, in which attributes have an order.
fn json<T: Serialize>(value: &T) -> Result<AttributeValue, AwsError> {
    serde_json::to_string(value).map(s).map_err(|error| AwsError::unwritable("a record", error))
}

async fn end(update: Update) -> Result<(), ClaimError> {
    if update.send().await?.is_written() { Ok(()) } else { Err(ClaimError::Superseded) }
}

fn listed(record: Update, about: About<'_>) -> Update {
    record.set(LISTED).with([
        (":type", about.r#type.map_or(AttributeValue::Null(true), s)),
        (":day", s(partition(about.provider, about.delivery_id, about.received_at))),
        (":received_at", millis(about.received_at)),
        (":delivery_id", s(about.delivery_id)),
    ])
}
