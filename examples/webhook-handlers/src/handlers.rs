//! The application's table of handlers, and two of them. Each writes a line to the log where an application would act.

use domain::{Event, id::is_segment};
use serde::Deserialize;
use webhook_process::{EventHandler, HandlerError, HandlerInput};

/// One row per event type.
pub(crate) fn table() -> [EventHandler; 2] {
    [
        EventHandler::new("stripe", "payment_intent.succeeded", |input| Box::pin(payment_succeeded(input))),
        EventHandler::new("stripe", "customer.subscription.deleted", |input| Box::pin(subscription_ended(input))),
    ]
}

/// An application would ship the order here, under `payment` as its idempotency key: a handler runs at least once.
#[expect(clippy::unused_async, reason = "a handler is async; this one waits for nothing")]
async fn payment_succeeded(input: HandlerInput<'_>) -> Result<(), HandlerError> {
    /// <https://docs.stripe.com/api/payment_intents/object>
    #[derive(Deserialize)]
    struct Payment {
        id: String,
        /// In the smallest unit of the currency.
        amount_received: Option<i64>,
    }
    let HandlerInput { event, integrations, .. } = input;
    let Payment { id, amount_received } = object(event)?;
    tracing::info!(
        event.id = event.id().as_str(),
        payment = safe(&id)?,
        amount_received,
        users = integrations.len(),
        "payment succeeded"
    );
    Ok(())
}

/// An application would end here what the subscription paid for.
#[expect(clippy::unused_async, reason = "a handler is async; this one waits for nothing")]
async fn subscription_ended(input: HandlerInput<'_>) -> Result<(), HandlerError> {
    /// <https://docs.stripe.com/api/subscriptions/object>
    #[derive(Deserialize)]
    struct Subscription {
        id: String,
        /// In Unix seconds.
        ended_at: Option<i64>,
    }
    let HandlerInput { event, integrations, .. } = input;
    let Subscription { id, ended_at } = object(event)?;
    tracing::info!(
        event.id = event.id().as_str(),
        subscription = safe(&id)?,
        ended_at,
        users = integrations.len(),
        "subscription ended"
    );
    Ok(())
}

/// The object that an event of Stripe is about: <https://docs.stripe.com/api/events/object>.
fn object<'e, T: Deserialize<'e>>(event: &'e Event<'_>) -> Result<T, HandlerError> {
    #[derive(Deserialize)]
    struct Data<T> {
        object: T,
    }
    // The parser's own words could quote the payload.
    let data = serde_json::from_str::<Data<T>>(event.data().get());
    data.map(|data| data.object).map_err(|_| {
        HandlerError::Permanent("the object is not as documented: it has no id, or a field of another type".to_owned())
    })
}

/// An id that may stand in a log or a key.
fn safe(id: &str) -> Result<&str, HandlerError> {
    if is_segment(id) {
        Ok(id)
    } else {
        Err(HandlerError::Permanent("the object's id has characters that no id has".to_owned()))
    }
}
