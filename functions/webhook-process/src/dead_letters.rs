//! What SQS itself moved to the dead-letter queue: no code of ours saw it go, so a schedule looks for it.
//!
//! *Invariant:* a message stays where it is, and its record says `dead` only if no attempt holds the event and no other outcome
//! stands. What an attempt gave up was recorded by that attempt, before the message moved.

use domain::{
    ClaimState, DeliveryId, Diagnosis, Reason,
    messages::message::WebhookMessage,
    reason::Class,
    webhook::event::{key_of_delivery, key_of_fork},
};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use platform::{
    AwsError,
    aws::queue::{DeadLetter, Reviewed},
    base::{clock, metrics},
    stores::{
        claims::{About, Entry, GivenUp},
        deliveries::UNKNOWN,
    },
};

use crate::{Process, received::Received};

/// Messages that one run looks at.
const MOST: usize = 1_000;

impl Process {
    /// Looks through the dead-letter queue.
    pub(crate) async fn review(&self, deadline: Timestamp) -> Result<Reviewed, AwsError> {
        let look = async |letters: Vec<DeadLetter>| {
            try_join_all(letters.iter().map(|letter| self.look_at(letter))).await.map(|_| ())
        };
        let reviewed = self.dead_letters.review(MOST, deadline, look).await?;
        tracing::info!(messages = reviewed.messages, all = reviewed.all, "dead letters reviewed");
        Ok(reviewed)
    }

    /// One that can't be recorded for good keeps no other from it.
    async fn look_at(&self, letter: &DeadLetter) -> Result<(), AwsError> {
        match self.moved_away(letter).await {
            Err(error) if error.reason().class() == Class::Hopeless => {
                let (reason, detail) = error.diagnosis().into_parts();
                tracing::error!(
                    message.id = letter.message_id,
                    reason = reason.name(),
                    detail,
                    "a dead letter is not recorded"
                );
                Ok(())
            }
            outcome => outcome,
        }
    }

    async fn moved_away(&self, letter: &DeadLetter) -> Result<(), AwsError> {
        let why = match &letter.why {
            // A failure of this stack may have kept the attempt from recording it.
            Some(why) if why.reason.class() == Class::Hopeless && !why.reason.alarms() => return Ok(()),
            // Deferred for so long that the queue loop gave it up, which the attempt did not know.
            Some(why) => why.clone(),
            None => Diagnosis::new(
                Reason::ReceivesExhausted,
                "the message was received as often as the queue allows, and no attempt at it ended",
            ),
        };
        let now = clock::now();
        let Ok(message) = serde_json::from_str::<WebhookMessage<'_>>(&letter.body) else {
            let id = DeliveryId::new(now, &letter.message_id);
            let about = About { provider: &UNKNOWN, r#type: None, delivery_id: &id, received_at: now };
            let key = key_of_delivery(&UNKNOWN, UNKNOWN.as_str(), &letter.message_id);
            return self.ended(Entry { key: &key, body_hash: "", about }, None, &why, now).await.map(|_| ());
        };
        let received = Received::read(self.registry, &message);
        if self.ended(received.entry(), Some(&received), &why, now).await? == GivenUp::Forked {
            let fork = key_of_fork(&received.key, &received.hash);
            self.ended(Entry { key: &fork, ..received.entry() }, Some(&received), &why, now).await?;
        }
        Ok(())
    }

    async fn ended(
        &self,
        entry: Entry<'_>,
        received: Option<&Received<'_>>,
        why: &Diagnosis,
        now: Timestamp,
    ) -> Result<GivenUp, AwsError> {
        let given_up = self.claims.moved_away(entry, why, now).await?;
        if given_up == GivenUp::Recorded {
            // The queue loop told of what it gave up itself, and counted it.
            if why.reason == Reason::ReceivesExhausted {
                metrics::dead_letter(why.reason);
                let (delivery, reason) = (entry.about.delivery_id, why.reason.name());
                let event = received.and_then(|it| it.event.as_ref().ok()).map(|it| it.event.id());
                tracing::error!(
                    delivery.id = %delivery,
                    event.id = event.map(domain::EventId::as_str),
                    reason,
                    detail = why.detail(),
                    "dead-lettered"
                );
            }
        }
        let unkept = match given_up {
            GivenUp::Recorded | GivenUp::NotKept => received,
            GivenUp::Stands | GivenUp::Forked => None,
        };
        if let Some(received) = unkept
            && let Some(until) = self.keep_failed(entry.key, received, ClaimState::Dead, now).await
            && !self.claims.keep(entry.key, until).await?
        {
            // It was redriven or replayed meanwhile, and that attempt may have ended before the body was kept.
            self.bodies.drop(entry.key, ClaimState::Unmatched).await?;
        }
        Ok(given_up)
    }
}
