//! Records of what was given up without a claim: a delivery that is no event, another payload under a used event id, a message
//! that can't be read, and what SQS itself moved to the dead-letter queue.
//!
//! *Invariant:* a record that says `dead` never blocks a claim, so a redrive after the repair is processed as usual.

use aws_sdk_dynamodb::{operation::update_item::builders::UpdateItemFluentBuilder, types::ReturnValue};
use domain::{ClaimState, Diagnosis};
use jiff::Timestamp;

use super::{About, Claims, LISTED, RETENTION, listed};
use crate::{
    aws::AwsError,
    stores::item::{conditional_or_stored, n, s, text},
};

/// What a record is of.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The record's key.
    pub key: &'a str,
    /// The hash of the body.
    pub body_hash: &'a str,
    /// What is told of it.
    pub about: About<'a>,
}

/// What recording the end of a message that SQS moved led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// The record says `dead` now.
    Recorded,
    /// Another outcome stands: the event is done, given up already, or an attempt holds it.
    Stands,
    /// The record is of another payload under the same event id.
    Forked,
}

impl Claims {
    /// Records that an attempt gave up a delivery that has no claim.
    pub async fn give_up(&self, entry: Entry<'_>, why: &Diagnosis, now: Timestamp) -> Result<(), AwsError> {
        let call = self.giving_up(entry, why, 1, now);
        call.send().await.map_err(|error| AwsError::new("dynamodb:UpdateItem", error))?;
        Ok(())
    }

    /// Records that SQS moved the message of a delivery to the dead-letter queue: only if no attempt holds it any more and no
    /// other outcome stands. A delivery that never had a record gets one.
    pub async fn moved_away(&self, entry: Entry<'_>, why: &Diagnosis, now: Timestamp) -> Result<GivenUp, AwsError> {
        let call = self
            .giving_up(entry, why, 0, now)
            .condition_expression(
                "attribute_not_exists(#key) \
                 OR (#state IN (:claimed, :retry) AND lease_until <= :now AND body_hash = :body_hash)",
            )
            .expression_attribute_names("#key", "key")
            .expression_attribute_values(":claimed", s(ClaimState::Claimed.name()))
            .expression_attribute_values(":retry", s(ClaimState::Retry.name()));
        match conditional_or_stored(call).await? {
            Ok(_) => Ok(GivenUp::Recorded),
            Err(stored) if text(&stored, "body_hash")? == entry.body_hash => Ok(GivenUp::Stands),
            Err(_) => Ok(GivenUp::Forked),
        }
    }

    fn giving_up(&self, entry: Entry<'_>, why: &Diagnosis, attempts: u8, now: Timestamp) -> UpdateItemFluentBuilder {
        listed(self.claiming(entry.key), entry.about)
            .update_expression(format!(
                "SET #state = :dead, reason = :reason, last_error = :detail, lease_until = :now, \
                 expires_at = :expires_at, fence = if_not_exists(fence, :zero) + :one, \
                 attempts = if_not_exists(attempts, :zero) + :attempts, effects = if_not_exists(effects, :zero), \
                 body_hash = if_not_exists(body_hash, :body_hash){LISTED}"
            ))
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":dead", s(ClaimState::Dead.name()))
            .expression_attribute_values(":reason", s(why.reason.name()))
            .expression_attribute_values(":detail", s(&why.detail))
            .expression_attribute_values(":now", n(now.as_millisecond()))
            .expression_attribute_values(":expires_at", n((now + RETENTION).as_second()))
            .expression_attribute_values(":zero", n(0))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":attempts", n(attempts))
            .expression_attribute_values(":body_hash", s(entry.body_hash))
            .return_values(ReturnValue::None)
    }
}
