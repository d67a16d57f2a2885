//! An attempt at one message: what it tells, its claim, and how it ends.
//!
//! *Invariant:* a message is given up only after its record says so, so that every dead letter is in the list of deliveries.

use domain::{
    ClaimState, DeliveryId, Diagnosis, Disposition,
    messages::message::WebhookMessage,
    webhook::event::{key_of_delivery, key_of_fork},
};
use jiff::Timestamp;
use platform::{
    AwsError,
    base::{clock, metrics::Metric},
    runtime::consumer::{Attempt, Handler},
    stores::{
        bodies::BodyKeeper,
        claims::{About, Claim, Claiming, Entry},
        deliveries::UNKNOWN,
    },
};
use tracing::Span;

use crate::{
    Process,
    apply::{Ended, Work},
    failure::{AttemptFailure, claim_lost, forked},
    received::{EventOf, Received},
};

impl Handler for Process {
    type Message<'a> = WebhookMessage<'a>;

    fn delivery_id<'m>(message: &'m Self::Message<'_>) -> Option<&'m DeliveryId> {
        Some(&message.delivery_id)
    }

    async fn unreadable(&self, why: Diagnosis, attempt: &Attempt) -> Disposition {
        let id = DeliveryId::new(attempt.at, &attempt.message_id);
        let about = About { provider: &UNKNOWN, r#type: None, delivery_id: &id, received_at: attempt.at };
        let key = key_of_delivery(&UNKNOWN, UNKNOWN.as_str(), &attempt.message_id);
        self.give_up(Entry { key: &key, body_hash: "", about }, None, why, attempt).await
    }

    async fn handle(&self, message: Self::Message<'_>, attempt: &Attempt) -> Disposition {
        let member = self.batcher.join();
        let received = Received::read(self.registry, &message);
        let EventOf { provider, event, recipient } = match &received.event {
            Ok(event) => event,
            Err(why) => {
                drop(member);
                return self.give_up(received.entry(), Some(&received), why.clone(), attempt).await;
            }
        };
        Span::current().record("event.id", event.id().as_str());
        let permit = self.table_permit().await;
        let claim = match self
            .claims
            .claim_event(&received.key, &received.hash, &attempt.id, received.about(), attempt.at)
            .await
        {
            Ok(Claiming::Won(claim)) => claim,
            Ok(Claiming::Lost(record)) if !record.is_of(&received.hash) => {
                drop(member);
                let key = key_of_fork(&received.key, &received.hash);
                let entry = Entry { key: &key, ..received.entry() };
                return self.give_up(entry, Some(&received), forked(), attempt).await;
            }
            Ok(Claiming::Lost(record)) => {
                let disposition = claim_lost(&record, attempt);
                if disposition == Disposition::Done {
                    self.tally.count(Metric::EventsRepeated);
                }
                return disposition;
            }
            Err(error) => return attempt.failed(error.diagnosis()),
        };
        let spec = provider.spec();
        let work =
            Work { claim: &claim, spec, event, recipient, received: &received, delivery_id: &message.delivery_id };
        match self.apply(&work, member, permit).await {
            Ok(ended) => {
                let (counted, words) = match ended {
                    Ended::Applied => (Metric::EventsApplied, "applied"),
                    Ended::Unmatched => (Metric::EventsUnmatched, "unmatched"),
                };
                tracing::info!(
                    provider.name = %spec.id,
                    event.r#type = %event.event_type(),
                    attempt = attempt.number,
                    "{words}"
                );
                self.tally.count(counted);
                Disposition::Done
            }
            Err(failure) => self.failed(&claim, &received, &failure, attempt).await,
        }
    }
}

impl Process {
    /// Records that an attempt failed: what becomes of its message.
    async fn failed(
        &self,
        claim: &Claim,
        received: &Received<'_>,
        failure: &AttemptFailure,
        attempt: &Attempt,
    ) -> Disposition {
        let why = failure.diagnosis();
        let Some(state) = failure.resulting_state() else { return attempt.failed(why) };
        let now = clock::now();
        let kept_until = if claim.is_kept { None } else { self.keep_failed(&received.key, received, state, now).await };
        match (state, self.claims.failed(claim, state, &why, kept_until, now).await) {
            (ClaimState::Dead, Ok(())) => Disposition::DeadLetter(why),
            (ClaimState::Dead, Err(error)) => attempt.failed(error.diagnosis()),
            // If that could not be recorded, the claim stays until its lease ends, and the next attempt waits for it.
            (ClaimState::Claimed | ClaimState::Retry | ClaimState::Done | ClaimState::Unmatched, _) => {
                attempt.failed(why)
            }
        }
    }

    /// Keeps the message of a delivery that failed, if the policy says so: until when. What no integration is there for belongs to no user
    /// with whose erasure it would go, or to one that was erased before the message came.
    pub(crate) async fn keep_failed(
        &self,
        record: &str,
        received: &Received<'_>,
        state: ClaimState,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if !self.bodies.keeps(state) {
            return None;
        }
        match self.is_for_an_integration(received).await {
            Ok(true) => self.bodies.keep(record, || received.text(), state, now).await,
            Ok(false) => None,
            Err(error) => {
                BodyKeeper::not_kept(&error);
                None
            }
        }
    }

    /// Whether an integration in use is there that a delivery is for, as the index has it now.
    async fn is_for_an_integration(&self, received: &Received<'_>) -> Result<bool, AwsError> {
        let Some((provider, recipient)) = received.recipient() else { return Ok(false) };
        let Some(lookup) = &recipient.lookup else { return Ok(false) };
        let found = self.integrations.find(provider, lookup).await?;
        Ok(!recipient.among(found).integrations.is_empty())
    }

    /// Records that a message without a claim is given up, and gives it up.
    async fn give_up(
        &self,
        entry: Entry<'_>,
        received: Option<&Received<'_>>,
        why: Diagnosis,
        attempt: &Attempt,
    ) -> Disposition {
        let kept_until = match received {
            Some(received) => self.keep_failed(entry.key, received, ClaimState::Dead, attempt.at).await,
            // What can't be read as a message has no body to show, and is redriven as it is.
            None => None,
        };
        match self.claims.give_up(entry, &why, kept_until, attempt.at).await {
            Ok(()) => Disposition::DeadLetter(why),
            Err(error) => attempt.failed(error.diagnosis()),
        }
    }
}
