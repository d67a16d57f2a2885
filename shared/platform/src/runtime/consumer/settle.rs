//! What becomes of a message after an attempt: its disposition as calls of SQS.
//!
//! *Invariant:* a failure is logged here, once, with its reason, and a dead letter is counted; what an operator must repair rings an alarm from here.

use std::time::Duration;

use domain::{Aging, Deferral, DeliveryId, Diagnosis, Disposition, Reason};

use super::{Attempt, Consumer, remaining};
use crate::{
    aws::{
        AwsError,
        queue::{Attribute, DELIVERY_ID, DETAIL, Queue, REASON},
    },
    base::{clock, metrics},
    runtime::batch::{DEFERRED_SINCE, HOPS, PLACE, Received},
};

impl Consumer {
    /// Whether the message may be deleted.
    pub(super) async fn settle(
        &self,
        received: &Received,
        attempt: &Attempt,
        disposition: Disposition,
        delivery: Option<&DeliveryId>,
    ) -> bool {
        let disposition = self.aged(received, attempt, disposition);
        if let Some(why) = disposition.diagnosis() {
            report(attempt, &disposition, why);
        }
        let settled = match disposition {
            Disposition::Done => return true,
            Disposition::Retry(after, _) => self.change_visibility(received, after).await.map(|()| false),
            Disposition::Defer(deferral) => self.defer(received, attempt, &deferral).await.map(|()| true),
            Disposition::DeadLetter(why) => {
                self.dead_letter(received, attempt.number, &why, delivery).await.map(|()| true)
            }
        };
        settled.unwrap_or_else(|error| {
            let (reason, detail) = error.diagnosis().into_parts();
            tracing::warn!(
                reason = reason.name(),
                detail,
                "not settled; the message comes back when its visibility timeout ends"
            );
            false
        })
    }

    /// A message that was deferred for too long without progress is given up.
    fn aged(&self, received: &Received, attempt: &Attempt, disposition: Disposition) -> Disposition {
        if let Disposition::Defer(Deferral { aging: Aging::Grows, why, .. }) = &disposition
            && remaining(attempt.at, received.waiting_since(attempt.at, self.deferred_for)) > self.deferred_for
        {
            return Disposition::DeadLetter(why.clone());
        }
        disposition
    }

    async fn change_visibility(&self, received: &Received, after: Duration) -> Result<(), AwsError> {
        self.source(received).change_visibility(&received.receipt_handle, after).await
    }

    /// The queue that a message was received from.
    fn source(&self, received: &Received) -> &Queue {
        self.second.as_ref().filter(|queue| queue.is_named(&received.source)).unwrap_or(&self.queue)
    }

    async fn defer(&self, received: &Received, attempt: &Attempt, deferral: &Deferral) -> Result<(), AwsError> {
        let since = received.waiting_since(attempt.at, self.deferred_for);
        let since = match deferral.aging {
            Aging::Grows => since,
            // The wait moves the beginning along.
            Aging::Pauses => since + deferral.after,
            Aging::Restarts => clock::now(),
        };
        let hops = match deferral.aging {
            Aging::Restarts => 0,
            Aging::Grows | Aging::Pauses => attempt.hops + u32::from(!deferral.has_place),
        };
        let mut attributes =
            vec![Attribute::number(HOPS, hops), Attribute::number(DEFERRED_SINCE, since.as_millisecond())];
        attributes.extend(deferral.has_place.then(|| Attribute::number(PLACE, 1)));
        let queue = self.second.as_ref().filter(|_| deferral.is_long).unwrap_or_else(|| self.source(received));
        queue.pass_on(&received.body, received.attributes.group.as_deref(), deferral.after, &attributes).await
    }

    async fn dead_letter(
        &self,
        received: &Received,
        attempt: u32,
        why: &Diagnosis,
        delivery: Option<&DeliveryId>,
    ) -> Result<(), AwsError> {
        let mut attributes = vec![
            Attribute::text(REASON, why.reason.name()),
            Attribute::text(DETAIL, printable(why.detail())),
            Attribute::number("Attempt", attempt),
            Attribute::text("MessageId", &received.message_id),
        ];
        attributes.extend(delivery.map(|id| Attribute::text(DELIVERY_ID, id)));
        self.dead_letters
            .pass_on(&received.body, received.attributes.group.as_deref(), Duration::ZERO, &attributes)
            .await
    }
}

/// The one line of a failure. Waiting for another worker or for a limit is none.
fn report(attempt: &Attempt, disposition: &Disposition, why: &Diagnosis) {
    let (reason, detail, attempt) = (why.reason.name(), why.detail(), attempt.number);
    match (disposition, why.reason) {
        (Disposition::DeadLetter(_), _) => {
            tracing::error!(attempt, reason, detail, "dead-lettered");
            metrics::dead_letter(why.reason);
        }
        (_, Reason::LeaseHeld | Reason::ThrottledLocally) => tracing::info!(reason, detail, "deferred"),
        (Disposition::Defer(_), _) => tracing::warn!(attempt, reason, detail, "deferred"),
        (Disposition::Retry(..) | Disposition::Done, _) => {
            tracing::warn!(attempt, reason, detail, "will be tried again");
        }
    }
    metrics::operator_failure(why.reason);
}

/// A text for a message attribute: it may quote what was sent to the function, so only what SQS takes, and 500 characters at most.
fn printable(reason: &str) -> String {
    reason.chars().take(500).map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect()
}
