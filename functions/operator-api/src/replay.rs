//! Replay: what failed is sent to the queue again, and claimed there like any other message.
//!
//! *Invariant:* a replay applies nothing by itself. The claim decides, so that what was applied is not applied again, however often
//! it is replayed. No delivery is sent before an event on the bus names the administrator.

use domain::{Problem, error::Kind};
use futures_util::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use lambda_http::http::StatusCode;
use platform::{
    aws::queue::group,
    base::clock,
    runtime::{
        http::{Call, Input, internal, json},
        session::Caller,
    },
    stores::deliveries::{DeliveriesQuery, Delivery, Position},
};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::json;

use crate::{
    Answer, OperatorApi,
    deliveries::{SEARCH, state, time},
};

/// Deliveries that one call looks at.
const MAX: usize = 100;
/// Deliveries at a time.
const CONCURRENCY: usize = 8;
/// Before the deadline no further delivery is begun: a call to AWS takes at most 1.5 seconds.
const RESERVE: SignedDuration = SignedDuration::from_secs(2);
/// The tenant of replays in the fair queue: they don't delay what comes in meanwhile.
const TENANT: &str = "replay";

/// What became of the deliveries that a call asked for.
#[derive(Default, Serialize)]
struct Replayed {
    /// Sent to the queue.
    accepted: usize,
    /// No body is kept of them.
    expired: usize,
    /// What to go on after; none at the end.
    next: Option<String>,
}

impl OperatorApi {
    /// Replays one delivery; 410 if its body is gone.
    pub(crate) async fn replay(&self, call: &Call<'_>) -> Answer {
        let caller = self.front.program(call).await?.admin()?;
        let delivery = self.found(call).await?.delivery;
        if !self.send_again(call, &caller, &delivery).await? {
            let next = "Ask the provider to send it again.";
            return Err(Problem::new(Kind::Gone, "The body of this delivery is not kept, or not any more.", next));
        }
        Ok(json(StatusCode::ACCEPTED, &Replayed { accepted: 1, ..Replayed::default() }))
    }

    /// Replays the deliveries of a state, newest first: a part of them, and where to go on.
    pub(crate) async fn replay_all(&self, call: &Call<'_>) -> Answer {
        let caller = self.front.program(call).await?.admin()?;
        let input = Input::of(call)?;
        let needed = || Problem::field("state", "It must say which deliveries: dead or retry, for example.");
        let state = state(input.text("state")?.ok_or_else(needed)?)?;
        let providers = self.providers(input.text("provider")?)?;
        let (since, until) = (time("since", input.text("since")?)?, time("until", input.text("until")?)?);
        let since = since.ok_or_else(|| Problem::field("since", "It must be given."))?;
        if until.is_some_and(|until| until <= since) {
            return Err(Problem::field("until", "It must be later than since."));
        }
        let after = input.text("after")?.map(|after| {
            Position::parse(after).ok_or_else(|| Problem::field("after", "It must be the next of the answer before."))
        });
        let after = after.transpose()?;
        let deadline = call.deadline().min(clock::now() + SEARCH);
        let query = DeliveriesQuery {
            providers: &providers,
            state: Some(state),
            since: Some(since),
            until,
            after: after.as_ref(),
            limit: MAX,
            deadline,
        };
        let part = self.deliveries.list(query).await.map_err(|error| internal(&error))?;
        let sends: Vec<_> = part.deliveries.iter().map(|it| self.send_again(call, &caller, it)).collect();
        let mut sends = stream::iter(sends).buffered(CONCURRENCY);
        // In their order, so that a call that has no time left, or that AWS fails, tells from where the next one goes on.
        let until = call.deadline() - RESERVE;
        let (mut accepted, mut expired, mut last) = (0, 0, None);
        for delivery in &part.deliveries {
            match sends.next().await {
                Some(Ok(true)) => accepted += 1,
                Some(Ok(false)) => expired += 1,
                Some(Err(problem)) if last.is_none() => return Err(problem),
                Some(Err(_)) | None => break,
            }
            last = Some(delivery);
            if clock::now() >= until {
                break;
            }
        }
        tracing::info!(count = accepted, "deliveries are replayed");
        let rest = last.filter(|_| accepted + expired < part.deliveries.len());
        let next = rest.map_or(part.next, |last| Some(Position::of(last).to_string()));
        Ok(json(StatusCode::ACCEPTED, &Replayed { accepted, expired, next }))
    }

    /// Whether the delivery's message was there, and was sent.
    async fn send_again(&self, call: &Call<'_>, caller: &Caller, delivery: &Delivery) -> Result<bool, Problem> {
        let now = clock::now();
        let Some(kept) = self.bodies.open(&delivery.key, now).await.map_err(|error| internal(&error))? else {
            return Ok(false);
        };
        self.announce(call, caller, delivery, now).await?;
        let sent = self.queue.send(kept.text.expose_secret().to_owned(), Some(&group(TENANT))).await;
        sent.map_err(|error| internal(&error))?;
        tracing::info!(delivery.id = delivery.id, "replayed");
        Ok(true)
    }

    async fn announce(
        &self,
        call: &Call<'_>,
        caller: &Caller,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let id = format!("{}-{}", call.request_id, delivery.id);
        let data = json!({
            "delivery_id": delivery.id, "event_id": delivery.event_id, "event_type": delivery.r#type,
            "state": delivery.state, "by": caller.user_id, "actor": caller.actor,
        });
        let told = self.bus.announce_of_stack("delivery.replayed", &id, &delivery.provider, now, &data).await;
        told.map_err(|error| internal(&error))
    }
}
