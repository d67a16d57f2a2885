//! The place for the application's own Rust code per event type.
//!
//! A handler runs after the event's records are committed and before it is put on the bus. It runs at least once: after a
//! crash the whole event is repeated, so what it does must be safe to repeat; `event.id` is stable and serves as key.
//! A handler that fails for now makes the message come back later, and after the queue's `maxReceiveCount` it is
//! dead-lettered; one that fails for good is dead-lettered at once, with its reason.
//!
//! To add one, add an arm to [`handle`]:
//!
//! ```text
//! ("stripe", "payment_intent.succeeded") => ship_the_order(event, integrations).await,
//! ```
//!
//! The `#[expect]`s below are for the time before the first arm; clippy says when each can go.

use domain::{Event, IntegrationKey};

/// Why a handler failed. Its text becomes the idempotency record's `last_error`: no secrets, no personal data.
#[derive(Debug, thiserror::Error)]
#[expect(dead_code, reason = "for the application's handlers to use")]
pub(crate) enum HandlerError {
    /// It may succeed later.
    #[error("{0}")]
    Transient(String),
    /// It can't succeed with this event.
    #[error("{0}")]
    Permanent(String),
}

/// Runs the application's handler for an event, if there is one. `integrations` are those of the event's account.
#[expect(
    clippy::unused_async,
    clippy::match_single_binding,
    reason = "until the application adds an arm, which may wait"
)]
pub(crate) async fn handle(
    provider: &str,
    event: &Event<'_>,
    _integrations: &[IntegrationKey],
) -> Result<(), HandlerError> {
    match (provider, event.r#type.as_str()) {
        // One arm per event type.
        _ => Ok(()),
    }
}
