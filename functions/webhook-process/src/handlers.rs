//! The place for the application's own Rust code per event type.
//!
//! A handler runs after the event's records are committed and before it is put on the bus. It runs at least once: after a
//! crash the whole event is repeated, so what it does must be safe to repeat; `event.id` with the ids of `integrations` is
//! stable and serves as key. What came to an integration's own address has only that integration: its user holds the secret,
//! so it proves what this user says and no more.
//! A handler that fails for now makes the message come back later, and after the queue's `maxReceiveCount` it is
//! dead-lettered; one that fails for good is dead-lettered at once, with its reason.
//!
//! To add one, add an arm to [`handle`]. The two below are worked examples: put your own code where they write a line to
//! the log, or remove them.

use domain::{Event, IntegrationKey, event::is_id};
use serde::Deserialize;

/// Why a handler failed. Its text becomes the idempotency record's `last_error`: no secrets, no personal data.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandlerError {
    /// It may succeed later: a service of the application is away, say.
    #[error("{0}")]
    #[expect(dead_code, reason = "neither example can fail for now")]
    Transient(String),
    /// It can't succeed with this event.
    #[error("{0}")]
    Permanent(String),
}

/// Runs the application's handler for an event, if there is one. `integrations` are those of the event's account, none if
/// nobody has connected it.
#[expect(clippy::unused_async, reason = "neither example waits for anything")]
pub(crate) async fn handle(
    provider: &str,
    event: &Event<'_>,
    integrations: &[IntegrationKey],
) -> Result<(), HandlerError> {
    match (provider, event.r#type.as_str()) {
        ("stripe", "payment_intent.succeeded") => payment_succeeded(event, integrations),
        ("stripe", "customer.subscription.deleted") => subscription_ended(event, integrations),
        // One arm per event type.
        _ => Ok(()),
    }
}

/// Where an application would ship the order, under a key, so that a repetition ships nothing.
fn payment_succeeded(event: &Event<'_>, integrations: &[IntegrationKey]) -> Result<(), HandlerError> {
    /// <https://docs.stripe.com/api/payment_intents/object>
    #[derive(Deserialize)]
    struct Payment {
        id: String,
        /// In the smallest unit of the currency.
        amount_received: Option<i64>,
    }
    let Payment { id, amount_received } = object(event)?;
    tracing::info!(event.id, payment = safe(&id)?, amount_received, users = integrations.len(), "payment succeeded");
    Ok(())
}

/// Where an application would end what the subscription paid for.
fn subscription_ended(event: &Event<'_>, integrations: &[IntegrationKey]) -> Result<(), HandlerError> {
    /// <https://docs.stripe.com/api/subscriptions/object>
    #[derive(Deserialize)]
    struct Subscription {
        id: String,
        /// In Unix seconds.
        ended_at: Option<i64>,
    }
    let Subscription { id, ended_at } = object(event)?;
    tracing::info!(event.id, subscription = safe(&id)?, ended_at, users = integrations.len(), "subscription ended");
    Ok(())
}

/// The object that an event of Stripe is about.
fn object<'e, T: Deserialize<'e>>(event: &'e Event<'_>) -> Result<T, HandlerError> {
    #[derive(Deserialize)]
    struct Data<T> {
        object: T,
    }
    // The parser's own words could quote the payload.
    let data = serde_json::from_str::<Data<T>>(event.data.get());
    data.map(|data| data.object).map_err(|_| {
        HandlerError::Permanent("the object is not as documented: it has no id, or a field of another type".to_owned())
    })
}

/// An id as it may stand in a log or a key.
fn safe(id: &str) -> Result<&str, HandlerError> {
    if is_id(id) { Ok(id) } else { Err(HandlerError::Permanent("the object's id can't be one".to_owned())) }
}
