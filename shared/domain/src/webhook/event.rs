//! What happened at a provider, read from a verified delivery.
//!
//! *Invariant:* an [`Event`] can become a key, an entry on the bus and a row of a list: its ids, its type and its owner were
//! checked when they were parsed, so that a provider can't leave a check out.

use std::{borrow::Cow, fmt::Display};

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::{
    call::Mode,
    id::{AccountAddress, AccountId, IntegrationId, NotAnId, ProviderId, SEGMENT, id, is_segment},
    sync::{Scope, record::Change},
};

/// The longest event type, in bytes: EventBridge's limit on a detail type
/// (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html>, read 2026-11).
const MAX_TYPE: usize = 128;

id! {
    /// The provider's id of an event, the same in every delivery of it.
    EventId, "an event id", SEGMENT, is_segment
}

id! {
    /// The provider's type of an event, such as `customer.updated`.
    EventType, "an event type", "1 to 128 bytes", |text| (1..=MAX_TYPE).contains(&text.len())
}

/// An event in the provider's own terms, with what it changes here.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    id: EventId,
    r#type: EventType,
    occurred_at: Timestamp,
    owner: Owner,
    mode: Option<Mode>,
    data: Cow<'a, RawValue>,
    effect: Effect,
}

/// The account or integration that an event belongs to, as far as the event says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Owner {
    /// The event names none: the endpoint decides.
    #[default]
    Unnamed,
    /// The account of this id.
    Account(AccountId),
    /// The account that has this address.
    Address(AccountAddress),
    /// One integration of an account: the delivery came through a channel of its own.
    Integration {
        /// The integration that opened the channel.
        id: IntegrationId,
        /// The account of that integration.
        account: AccountId,
    },
    /// The event names none, but its object is this account. That counts only where the endpoint has no account either: a
    /// platform receives the events of its connected accounts, too.
    About(AccountId),
}

/// What an event does here.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// It brings these records up to date; none for an event that is only published.
    Records(Vec<Change>),
    /// It says that something changed, not what: a sync of this finds out.
    Sync(Scope),
    /// It ends the grant from the provider's side.
    GrantEnded,
}

impl<'a> Event<'a> {
    /// An event that names no owner and no mode, and is only published. `data` is the payload for the application: a part of the
    /// body, or made from it where a part of the body must not leave this stack.
    pub fn new(id: EventId, event_type: EventType, occurred_at: Timestamp, data: Cow<'a, RawValue>) -> Self {
        let effect = Effect::Records(Vec::new());
        Self { id, r#type: event_type, occurred_at, owner: Owner::Unnamed, mode: None, data, effect }
    }

    /// The same event of this owner.
    #[must_use]
    pub fn with_owner(self, owner: Owner) -> Self {
        Self { owner, ..self }
    }

    /// The same event in this mode, where the provider's accounts have modes.
    #[must_use]
    pub fn with_mode(self, mode: Option<Mode>) -> Self {
        Self { mode, ..self }
    }

    /// The same event with this effect.
    #[must_use]
    pub fn with_effect(self, effect: Effect) -> Self {
        Self { effect, ..self }
    }

    /// The provider's id: one idempotency record exists for each id and scope.
    pub const fn id(&self) -> &EventId {
        &self.id
    }

    /// The detail type on the bus, and what selects the application's handler.
    pub const fn event_type(&self) -> &EventType {
        &self.r#type
    }

    /// When it happened at the provider; when it was received if the provider does not say.
    pub const fn occurred_at(&self) -> Timestamp {
        self.occurred_at
    }

    /// The owner that the event names.
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The mode in which it happened; none if it does not say.
    pub const fn mode(&self) -> Option<Mode> {
        self.mode
    }

    /// The payload for the application.
    pub fn data(&self) -> &RawValue {
        &self.data
    }

    /// What it changes here.
    pub const fn effect(&self) -> &Effect {
        &self.effect
    }

    /// The records that it changes.
    pub fn changes(&self) -> &[Change] {
        match &self.effect {
            Effect::Records(changes) => changes,
            Effect::Sync(_) | Effect::GrantEnded => &[],
        }
    }
}

/// Why a verified delivery is not an event.
#[derive(Debug, thiserror::Error)]
pub enum NotAnEvent {
    /// A field is absent, or of another type or form than the provider documents. The parser's own words could quote the body.
    #[error("not an event: a field is missing, or of another type or form (line {line}, column {column})")]
    Shape {
        /// Where in the body.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// The provider's events are not read here.
    #[error("not an event: {0} sends none that are read here")]
    Unread(&'static str),
    /// A field is absent without which the delivery is no event.
    #[error("not an event: its {0} is missing")]
    Missing(&'static str),
    /// Its id, its type or its owner has not the form that is needed here.
    #[error("not an event: {0}")]
    Id(#[from] NotAnId),
    /// The time is out of range.
    #[error("not an event: its time is out of range")]
    Time,
}

impl From<serde_json::Error> for NotAnEvent {
    fn from(error: serde_json::Error) -> Self {
        Self::Shape { line: error.line(), column: error.column() }
    }
}

/// The key of an event's idempotency record: `provider#scope#event`, the scope being the account or integration.
pub fn key(provider: &ProviderId, scope: &str, event_id: &EventId) -> String {
    format!("{provider}#{scope}#{event_id}")
}

/// What no id has, so that no event's key looks like one of the two below.
const APART: char = '!';

/// The key of the record of a delivery that is no event: `provider#scope#!delivery`, with the delivery's id or its message's.
pub fn key_of_delivery(provider: &ProviderId, scope: &str, id: impl Display) -> String {
    format!("{provider}#{scope}#{APART}{id}")
}

/// The key of the record of another payload under a used event id: the event's key and the beginning of the payload's hash.
pub fn key_of_fork(key: &str, hash: &str) -> String {
    format!("{key}{APART}{}", hash.get(..16).unwrap_or(hash))
}

/// Provider, scope and event id of a key; no event id if the delivery is no event. `None` for what is no such key.
pub fn parts(key: &str) -> Option<(&str, &str, Option<&str>)> {
    let mut parts = key.splitn(3, '#');
    let (provider, scope, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let id = rest.split_once(APART).map_or(rest, |(id, _)| id);
    Some((provider, scope, Some(id).filter(|id| !id.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_what_it_is_of() {
        let provider = ProviderId::of_data;
        let event = key(&provider("stripe"), "acct_1", &EventId::parse("evt_1").unwrap());
        assert_eq!(parts(&event), Some(("stripe", "acct_1", Some("evt_1"))));
        assert_eq!(parts(&key_of_fork(&event, "0123456789abcdef0123")), Some(("stripe", "acct_1", Some("evt_1"))));
        assert_eq!(parts(&key_of_delivery(&provider("slack"), "-", "19a-x=")), Some(("slack", "-", None)));
        assert_eq!(parts("session#x"), None);
    }
}
