//! The application's own code per event type: a table of functions that the application's own bootstrap passes to
//! [`Process::new`](crate::Process::new). The product's bootstrap passes an empty one; `examples/webhook-handlers` is a
//! complete bootstrap with two handlers.
//!
//! A handler runs after the event's records are committed and before the event is published on the bus. It runs at least
//! once: after a crash the whole event is repeated, so what a handler does must be safe to repeat; `event.id` together with
//! the ids of `integrations` is stable and serves as an idempotency key.

use std::{any::Any, collections::HashMap, fmt, panic::AssertUnwindSafe, pin::Pin};

use domain::{Event, IntegrationKey, ProviderId};
use futures_util::FutureExt as _;
use providers::Registry;

/// What a handler is called with.
#[derive(Debug, Clone, Copy)]
pub struct HandlerInput<'a> {
    /// The id of the provider, such as `stripe`.
    pub provider: &'static ProviderId,
    /// Verified, and not yet on the bus.
    pub event: &'a Event<'a>,
    /// The integrations of the event's account in the event's mode; none if no user has connected it. An account that is connected
    /// in the other mode alone calls no handler. A delivery to an integration's own
    /// endpoint has only that integration: its user holds the secret, so the delivery proves nothing about other users.
    pub integrations: &'a [IntegrationKey],
}

/// Why a handler failed. The text is stored as the event's error and in the dead-letter queue, so it must hold no secret and
/// no personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// A later attempt may succeed: a service of the application does not answer, for example. The message is received
    /// again after a backoff, and moved to the dead-letter queue after the queue's `maxReceiveCount`.
    #[error("{0}")]
    Transient(String),
    /// No attempt with this event can succeed. The message is dead-lettered at once.
    #[error("{0}")]
    Permanent(String),
}

/// What a handler returns: a boxed future, so that handlers of different types fit into one table.
pub type HandlerFuture<'a> = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send + 'a>>;

/// One row of the table: the code for one event type of one provider.
pub struct EventHandler {
    provider: &'static str,
    event_type: &'static str,
    run: Box<Run>,
}

type Run = dyn for<'a> Fn(HandlerInput<'a>) -> HandlerFuture<'a> + Send + Sync;

impl EventHandler {
    /// Calls `run` for events of `provider` (its id in the registry, such as `stripe`) of the type `event_type` (the
    /// provider's own name, such as `customer.updated`). A handler that needs clients captures them.
    ///
    /// ```
    /// use webhook_process::{EventHandler, HandlerError, HandlerInput};
    ///
    /// async fn updated(input: HandlerInput<'_>) -> Result<(), HandlerError> {
    ///     let _users = input.integrations.iter().map(|integration| &integration.user_id);
    ///     Ok(())
    /// }
    ///
    /// let handler = EventHandler::new("stripe", "customer.updated", |input| Box::pin(updated(input)));
    /// ```
    pub fn new(
        provider: &'static str,
        event_type: &'static str,
        run: impl for<'a> Fn(HandlerInput<'a>) -> HandlerFuture<'a> + Send + Sync + 'static,
    ) -> Self {
        Self { provider, event_type, run: Box::new(run) }
    }
}

impl fmt::Debug for EventHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHandler")
            .field("provider", &self.provider)
            .field("event_type", &self.event_type)
            .finish_non_exhaustive()
    }
}

/// A table that is refused when the function starts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandlersError {
    /// Two rows have the same provider and event type, and only one of them could run.
    #[error("the table of handlers has two rows for {provider}'s {event_type:?}")]
    Duplicate {
        /// By its id in the registry.
        provider: &'static str,
        /// As the provider names it.
        event_type: &'static str,
    },
    /// A row names a provider that is not in the registry, so it would never run.
    #[error("the table of handlers names the provider {provider:?}, which the registry does not have")]
    UnknownProvider {
        /// The id in the row.
        provider: &'static str,
    },
}

/// How the call of a handler failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The handler returned an error.
    #[error("the application's handler failed: {0}")]
    Failed(#[from] HandlerError),
    /// The handler panicked. The message of the panic goes to the log of the function's standard error only, because it
    /// could quote the payload.
    #[error("the application's handler panicked")]
    Panicked,
}

/// A checked table.
#[derive(Debug, Default)]
pub(crate) struct Handlers(HashMap<(&'static str, &'static str), EventHandler>);

impl Handlers {
    pub(crate) fn new(
        registry: Registry,
        table: impl IntoIterator<Item = EventHandler>,
    ) -> Result<Self, HandlersError> {
        let mut all = HashMap::new();
        for handler in table {
            let (provider, event_type) = (handler.provider, handler.event_type);
            if registry.find(provider).is_none() {
                return Err(HandlersError::UnknownProvider { provider });
            }
            if all.insert((provider, event_type), handler).is_some() {
                return Err(HandlersError::Duplicate { provider, event_type });
            }
        }
        Ok(Self(all))
    }

    /// Runs the event's handler, if the table has one. A panic is the handler's alone: the other messages of the batch
    /// go on, and repeating the event would repeat the panic.
    pub(crate) async fn call(&self, input: HandlerInput<'_>) -> Result<(), CallError> {
        let Some(handler) = self.0.get(&(input.provider.as_str(), input.event.event_type().as_str())) else {
            return Ok(());
        };
        // The closure itself may panic before there is a future.
        let run = AssertUnwindSafe(async { (handler.run)(input).await });
        run.catch_unwind().await.map_err(|_: Box<dyn Any + Send>| CallError::Panicked)?.map_err(CallError::Failed)
    }
}

#[cfg(test)]
mod tests {
    use providers::REGISTRY;

    use super::*;

    fn row(provider: &'static str, event_type: &'static str) -> EventHandler {
        EventHandler::new(provider, event_type, |_| Box::pin(async { Ok(()) }))
    }

    #[test]
    fn two_rows_for_one_event_type_are_refused_and_named() {
        let same_type = [row("stripe", "customer.updated"), row("slack", "customer.updated")];
        assert!(Handlers::new(REGISTRY, same_type).is_ok());
        let duplicate = [row("stripe", "customer.updated"), row("stripe", "a"), row("stripe", "customer.updated")];
        let refused = HandlersError::Duplicate { provider: "stripe", event_type: "customer.updated" };
        assert_eq!(Handlers::new(REGISTRY, duplicate).err(), Some(refused));
    }

    #[test]
    fn a_row_for_an_unknown_provider_is_refused_and_named() {
        let refused = HandlersError::UnknownProvider { provider: "stripes" };
        assert_eq!(Handlers::new(REGISTRY, [row("stripes", "customer.updated")]).err(), Some(refused));
    }
}
