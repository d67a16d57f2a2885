//! The idempotency records. See [`domain::webhook::claim`] for the states; every write here is one of its arrows.

mod given_up;

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{
        transact_write_items::TransactWriteItemsError,
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update},
};
use domain::{ClaimState, Diagnosis, IdempotencyRecord, Reason};
use jiff::{SignedDuration, Timestamp};

pub use self::given_up::{Entry, GivenUp};
use crate::{
    aws::{Aws, AwsError, client, queue},
    stores::{
        delivery_index::partition,
        item::{Item, create, malformed, n, number, s, text},
    },
};

/// For how long a provider may repeat a delivery: Pub/Sub keeps a message for 7 days by default
/// (<https://cloud.google.com/pubsub/docs/subscription-properties>), Stripe repeats one for 3 days; read 2026-11.
const REPEATED_FOR: Duration = Duration::from_hours(7 * 24);
/// How long a record is kept: while a message can live in its queue, and then in the dead-letter queue, and the provider can
/// repeat the delivery.
pub const RETENTION: Duration = queue::RETENTION.saturating_mul(2).saturating_add(REPEATED_FOR);
/// DynamoDB takes 100 items in a transaction; one is the claim's.
const WRITES: usize = 99;
/// How often a transaction that met another one is repeated.
const MAX_CONFLICTS: u32 = 4;
/// The wait before that, longer each time.
const CONFLICT_PAUSE: Duration = Duration::from_millis(25);

/// The table.
#[derive(Debug, Clone)]
pub struct Claims {
    client: Client,
    table: String,
    lease: Duration,
}

/// The right to process one event, until its lease ends.
#[derive(Debug, Clone)]
pub struct Claim {
    key: String,
    fence: u64,
    /// Whether an earlier claimant already committed the effect.
    pub applied: bool,
}

/// What is told of an event beside its claim. Of all deliveries of it the first one's is stored.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The provider under which it is listed.
    pub provider: &'a str,
    /// The provider's type; none if it is no event.
    pub r#type: Option<&'a str>,
    /// The delivery.
    pub delivery_id: &'a str,
    /// When this delivery of it came.
    pub received_at: Timestamp,
}

/// What trying to claim an event led to.
#[derive(Debug)]
pub enum Claiming {
    /// It is ours.
    Won(Claim),
    /// Another attempt's, or finished: [`IdempotencyRecord::verdict`] says which. Or the record is of another body.
    Lost(IdempotencyRecord),
}

/// Why a write under a claim failed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The lease ended and somebody else claimed the event: nothing was written, and nothing may be.
    #[error("the claim was taken over by a later one")]
    Superseded,
    /// DynamoDB failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl ClaimError {
    /// Its reason and its sentence.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Superseded => Diagnosis::new(Reason::Superseded, self.to_string()),
            Self::Aws(error) => error.diagnosis(),
        }
    }
}

/// A conditional write that is committed together with the claim. A refused one (a newer state is stored) is left out.
#[derive(Debug, Clone)]
pub struct Write(pub(crate) Update);

/// What became of the effect of an event.
#[derive(Debug)]
#[must_use]
pub enum Applied {
    /// It is committed.
    Committed,
    /// It is not yet: other states of the same version are stored, and which is the newer, only the provider can tell. Once
    /// it is certain that it will be asked, these writes are what is left to apply.
    VersionConflict(Vec<Write>),
}

impl Write {
    /// Whether what is stored has the same version and other data, and neither is an end.
    fn ties(&self, stored: Option<&Item>) -> bool {
        let (Some(stored), Some(ours)) = (stored, self.0.expression_attribute_values()) else { return false };
        let same = |name: &str, value: &str| stored.get(name) == ours.get(value);
        let ends = ours.get(":deleted").is_none_or(|it| it.as_bool() != Ok(&false));
        !ends && same("deleted", ":deleted") && same("version", ":version") && !same("data", ":data")
    }
}

impl Claims {
    /// The table of this name; claims end after `lease`.
    pub fn new(aws: &Aws, table: impl Into<String>, lease: Duration) -> Self {
        Self { client: client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB"), table: table.into(), lease }
    }

    /// Claims an event for the attempt `owner`. Repeating the call under the same owner finds the claim again, so a lost
    /// reply does not lock the event. Another body under the same key never gets the claim.
    pub async fn claim(&self, key: &str, body_hash: &str, holder: &str, now: Timestamp) -> Result<Claiming, AwsError> {
        self.claim_with(self.claiming(key), "", (key, body_hash, holder), now).await
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
        let call = listed(self.claiming(key), about);
        self.claim_with(call, LISTED, (key, body_hash, holder), now).await
    }

    fn claiming(&self, key: &str) -> UpdateItemFluentBuilder {
        self.client.update_item().table_name(&self.table).key("key", s(key))
    }

    async fn claim_with(
        &self,
        call: UpdateItemFluentBuilder,
        more: &str,
        (key, body_hash, owner): (&str, &str, &str),
        now: Timestamp,
    ) -> Result<Claiming, AwsError> {
        const ACTION: &str = "claim: dynamodb:UpdateItem";
        let lease_until = now + self.lease;
        let call = call
            .update_expression(format!(
                "SET #state = :claimed, #owner = :owner, lease_until = :lease_until, expires_at = :expires_at, \
                 fence = if_not_exists(fence, :zero) + :one, attempts = if_not_exists(attempts, :zero) + :one, \
                 effects = if_not_exists(effects, :zero), body_hash = if_not_exists(body_hash, :body_hash){more}"
            ))
            // The same as `IdempotencyRecord::verdict`, or our own claim; and the same body.
            .condition_expression(
                "attribute_not_exists(#key) OR (body_hash = :body_hash AND (#state IN (:retry, :dead) \
                 OR (#state = :claimed AND (lease_until <= :now OR #owner = :owner))))",
            )
            .expression_attribute_names("#key", "key")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":claimed", s(ClaimState::Claimed.name()))
            .expression_attribute_values(":retry", s(ClaimState::Retry.name()))
            .expression_attribute_values(":dead", s(ClaimState::Dead.name()))
            .expression_attribute_values(":owner", s(owner))
            .expression_attribute_values(":now", n(now.as_millisecond()))
            .expression_attribute_values(":lease_until", n(lease_until.as_millisecond()))
            .expression_attribute_values(":expires_at", n((now + RETENTION).as_second()))
            .expression_attribute_values(":zero", n(0))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":body_hash", s(body_hash))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match call.send().await {
            Ok(output) => {
                let record = read(output.attributes().ok_or_else(|| malformed("key"))?)?;
                let applied = record.effects > 0;
                Ok(Claiming::Won(Claim { key: key.to_owned(), fence: record.fence, applied }))
            }
            Err(error) => match old_item(&error) {
                Some(item) => Ok(Claiming::Lost(read(item)?)),
                None => Err(AwsError::new(ACTION, error)),
            },
        }
    }

    /// Commits the effect of an event: all `writes` and the mark that they are applied, or nothing.
    ///
    /// Writes beyond a transaction's limit go ahead in transactions of their own; they are conditional on versions, so
    /// repeating them is harmless.
    pub async fn apply(&self, claim: &Claim, mut writes: Vec<Write>) -> Result<Applied, ClaimError> {
        while writes.len() > WRITES {
            let ahead = writes.split_off(writes.len() - WRITES);
            if let Applied::VersionConflict(rest) = self.transact(ahead, None).await? {
                writes.extend(rest);
                return Ok(Applied::VersionConflict(writes));
            }
        }
        self.transact(writes, Some(claim)).await
    }

    async fn transact(&self, mut writes: Vec<Write>, claim: Option<&Claim>) -> Result<Applied, ClaimError> {
        const ACTION: &str = "apply: dynamodb:TransactWriteItems";
        let mut conflicts = 0;
        loop {
            let updates = writes.iter().map(|write| Ok(write.0.clone()));
            let items: Vec<_> = updates
                .chain(claim.map(|claim| self.mark_applied(claim)))
                .map(|update| Ok(TransactWriteItem::builder().update(update?).build()))
                .collect::<Result<_, AwsError>>()?;
            if items.is_empty() {
                return Ok(Applied::Committed);
            }
            let Err(error) = self.client.transact_write_items().set_transact_items(Some(items)).send().await else {
                return Ok(Applied::Committed);
            };
            let refused = refused(&error, "ConditionalCheckFailed");
            if claim.is_some() && refused.iter().any(|(index, _)| *index == writes.len()) {
                return Err(ClaimError::Superseded);
            }
            if refused.is_empty() {
                // Two events of one object at once: the SDK repeats what was throttled, but not this.
                if conflicts == MAX_CONFLICTS || self::refused(&error, "TransactionConflict").is_empty() {
                    return Err(AwsError::new(ACTION, error).into());
                }
                conflicts += 1;
                tokio::time::sleep(CONFLICT_PAUSE * conflicts).await;
            }
            let tied =
                refused.iter().any(|(index, stored)| writes.get(*index).is_some_and(|write| write.ties(*stored)));
            let mut index = 0..;
            writes.retain(|_| index.next().is_none_or(|index| refused.iter().all(|(refused, _)| *refused != index)));
            if tied {
                return Ok(Applied::VersionConflict(writes));
            }
        }
    }

    /// Ends a claim: the event is done.
    pub async fn complete(&self, claim: &Claim) -> Result<(), ClaimError> {
        self.end(claim, ClaimState::Done, &[]).await
    }

    /// Ends a claim: the event is genuine, and no integration has its account.
    pub async fn unmatched(&self, claim: &Claim) -> Result<(), ClaimError> {
        self.end(claim, ClaimState::Unmatched, &[]).await
    }

    /// Ends a claim on a request: it is done, and this was answered.
    pub async fn answered(&self, claim: &Claim, answer: &str) -> Result<(), ClaimError> {
        self.end(claim, ClaimState::Done, &[("answer", answer)]).await
    }

    /// Ends a claim on a request: the attempt failed for this reason.
    pub async fn release(&self, claim: &Claim, state: ClaimState, reason: &str) -> Result<(), ClaimError> {
        self.end(claim, state, &[("last_error", reason)]).await
    }

    /// Ends a claim on an event: the attempt failed.
    pub async fn failed(&self, claim: &Claim, state: ClaimState, why: &Diagnosis) -> Result<(), ClaimError> {
        self.end(claim, state, &[("reason", why.reason.name()), ("last_error", &why.detail)]).await
    }

    /// Whether this is the first use of something that may be used once until `expires_at`.
    pub async fn first_use(&self, key: &str, expires_at: Timestamp) -> Result<bool, AwsError> {
        let call = self.client.put_item().table_name(&self.table).item("key", s(key));
        let call = call.item("expires_at", n((expires_at + SignedDuration::from_hours(1)).as_second()));
        create(call, "key").await
    }

    /// The record of an event, read consistently.
    pub async fn get(&self, key: &str) -> Result<Option<IdempotencyRecord>, AwsError> {
        let call = self.client.get_item().table_name(&self.table).key("key", s(key)).consistent_read(true);
        let output = call.send().await.map_err(|error| AwsError::new("dynamodb:GetItem", error))?;
        output.item().map(read).transpose()
    }

    /// Sets the state and these attributes. What an earlier attempt failed for is forgotten.
    async fn end(&self, claim: &Claim, state: ClaimState, more: &[(&str, &str)]) -> Result<(), ClaimError> {
        let mut set = String::new();
        for (name, _) in more {
            set.extend([", ", name, " = :", name]);
        }
        let failed = more.iter().any(|(name, _)| *name == "last_error");
        let forget = if failed { "" } else { " REMOVE last_error, reason" };
        let update = format!("SET #state = :state{set}{forget}");
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("key", s(&claim.key))
            .update_expression(update)
            // Also true if this very call was made before and its reply was lost.
            .condition_expression("fence = :fence AND #state IN (:claimed, :state)")
            .expression_attribute_names("#state", "state");
        let mut values = Item::from([
            (":state".to_owned(), s(state.name())),
            (":claimed".to_owned(), s(ClaimState::Claimed.name())),
            (":fence".to_owned(), n(claim.fence)),
        ]);
        values.extend(more.iter().map(|(name, value)| (format!(":{name}"), s(*value))));
        match call.set_expression_attribute_values(Some(values)).send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Err(ClaimError::Superseded)
            }
            Err(error) => Err(AwsError::new("dynamodb:UpdateItem", error).into()),
        }
    }

    fn mark_applied(&self, claim: &Claim) -> Result<Update, AwsError> {
        Update::builder()
            .table_name(&self.table)
            .key("key", s(&claim.key))
            .update_expression("ADD effects :one")
            .condition_expression("fence = :fence AND #state = :claimed AND effects = :zero")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":claimed", s(ClaimState::Claimed.name()))
            .expression_attribute_values(":fence", n(claim.fence))
            .expression_attribute_values(":zero", n(0))
            .expression_attribute_values(":one", n(1))
            .build()
            .map_err(|error| AwsError::unwritable("apply", error))
    }
}

/// What lists a record among the deliveries; see [`crate::stores::deliveries`].
const LISTED: &str = ", #type = if_not_exists(#type, :type), #day = if_not_exists(#day, :day), \
                      received_at = if_not_exists(received_at, :received_at), \
                      delivery_id = if_not_exists(delivery_id, :delivery_id)";

/// The names and values of [`LISTED`].
fn listed(call: UpdateItemFluentBuilder, about: About<'_>) -> UpdateItemFluentBuilder {
    let day = partition(about.provider, about.delivery_id, about.received_at);
    call.expression_attribute_names("#type", "type")
        .expression_attribute_names("#day", "day")
        .expression_attribute_values(":type", about.r#type.map_or(AttributeValue::Null(true), s))
        .expression_attribute_values(":day", s(day))
        .expression_attribute_values(":received_at", n(about.received_at.as_millisecond()))
        .expression_attribute_values(":delivery_id", s(about.delivery_id))
}

fn read(item: &Item) -> Result<IdempotencyRecord, AwsError> {
    let state = ClaimState::parse(text(item, "state")?).ok_or_else(|| malformed("state"))?;
    Ok(IdempotencyRecord {
        state,
        fence: number(item, "fence")?,
        lease_until: Timestamp::from_millisecond(number(item, "lease_until")?).map_err(|_| malformed("lease_until"))?,
        attempts: number(item, "attempts")?,
        effects: number(item, "effects")?,
        body_hash: text(item, "body_hash")?.to_owned(),
        last_error: text(item, "last_error").ok().map(str::to_owned),
        answer: text(item, "answer").ok().map(str::to_owned),
    })
}

fn old_item<R>(error: &SdkError<UpdateItemError, R>) -> Option<&Item> {
    let UpdateItemError::ConditionalCheckFailedException(refusal) = error.as_service_error()? else { return None };
    refusal.item()
}

/// The positions of the items for which a transaction was cancelled with this code, and what is stored, where that was asked.
fn refused<'a, R>(error: &'a SdkError<TransactWriteItemsError, R>, code: &str) -> Vec<(usize, Option<&'a Item>)> {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
        return Vec::new();
    };
    let reasons = cancelled.cancellation_reasons().iter().enumerate();
    reasons.filter(|(_, reason)| reason.code() == Some(code)).map(|(index, reason)| (index, reason.item())).collect()
}
