//! Records of what was given up without a claim: a delivery that is no event, another payload under a used event id, a message
//! that can't be read, and what SQS itself moved to the dead-letter queue.
//!
//! *Invariant:* a record that says `dead` never blocks a claim, so a redrive after the repair is processed as usual.

use domain::{ClaimState, Diagnosis};
use jiff::Timestamp;

use super::{About, Claims, RETENTION, kept, listed};
use crate::{
    aws::AwsError,
    stores::{
        item::{millis, n, s, seconds, text},
        table::{Outcome, Update},
    },
};

/// What a record is of.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The record's key.
    pub key: &'a str,
    /// The hash of the body.
    pub body_hash: &'a str,
    /// What the record says of it.
    pub about: About<'a>,
}

/// What recording the end of a message that SQS moved led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// The record says `dead` now.
    Recorded,
    /// The record said `dead` before, and the message is not kept.
    NotKept,
    /// Another outcome stands: the event is done, given up already, or an attempt holds it.
    Stands,
    /// The record is of another payload under the same event id.
    Forked,
}

impl Claims {
    /// Records that an attempt gave up a delivery that has no claim, and until when its message is kept, if it is.
    pub async fn give_up(
        &self,
        entry: Entry<'_>,
        why: &Diagnosis,
        kept_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), AwsError> {
        kept(self.giving_up(entry, why, 1, now), kept_until).send().await.map(|_| ())
    }

    /// Records until when the message of a delivery is kept that was given up: whether it is still given up.
    pub async fn keep(&self, key: &str, until: Timestamp) -> Result<bool, AwsError> {
        let update = kept(self.record(key), Some(until)).when("state = :dead");
        Ok(update.with([(":dead", s(ClaimState::Dead.name()))]).send().await?.is_written())
    }

    /// Records that SQS moved the message of a delivery to the dead-letter queue: only if no attempt holds it any more and no
    /// other outcome stands. A delivery that never had a record gets one.
    pub async fn moved_away(&self, entry: Entry<'_>, why: &Diagnosis, now: Timestamp) -> Result<GivenUp, AwsError> {
        let given_up = self
            .giving_up(entry, why, 0, now)
            .when(
                "attribute_not_exists(key) \
                 OR (state IN (:claimed, :retry) AND lease_until <= :now AND body_hash = :body_hash)",
            )
            .with([(":claimed", s(ClaimState::Claimed.name())), (":retry", s(ClaimState::Retry.name()))]);
        match given_up.send_once().await? {
            Outcome::Written(_) => Ok(GivenUp::Recorded),
            Outcome::Refused(stored) if text(&stored, "body_hash")? != entry.body_hash => Ok(GivenUp::Forked),
            Outcome::Refused(stored) => {
                let is_dead = text(&stored, "state")? == ClaimState::Dead.name();
                let is_kept = stored.contains_key("kept_until");
                Ok(if is_dead && !is_kept { GivenUp::NotKept } else { GivenUp::Stands })
            }
        }
    }

    fn giving_up(&self, entry: Entry<'_>, why: &Diagnosis, attempts: u8, now: Timestamp) -> Update {
        listed(self.record(entry.key), entry.about)
            .set(
                "state = :dead, reason = :reason, last_error = :detail, lease_until = :now, expires_at = :expires_at, \
                 fence = if_not_exists(fence, :zero) + :one, attempts = if_not_exists(attempts, :zero) + :attempts, \
                 effects = if_not_exists(effects, :zero), body_hash = if_not_exists(body_hash, :body_hash)",
            )
            .with([
                (":dead", s(ClaimState::Dead.name())),
                (":reason", s(why.reason.name())),
                (":detail", s(why.detail())),
                (":now", millis(now)),
                (":expires_at", seconds(now + RETENTION)),
                (":zero", n(0)),
                (":one", n(1)),
                (":attempts", n(attempts)),
                (":body_hash", s(entry.body_hash)),
            ])
    }
}
