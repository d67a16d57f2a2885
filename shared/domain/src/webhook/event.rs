//! What happened at a provider, read from a verified delivery.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::{call::Mode, sync::record::Change};

/// An event in the provider's own terms, with what it changes here.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// The provider's id of the event; the same in every delivery of it.
    pub id: String,
    /// The provider's event type, e.g. `customer.updated`.
    pub r#type: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Whose it is, as far as it says so.
    pub owner: Owner,
    /// The mode it happened in, where the provider's accounts have modes.
    pub mode: Option<Mode>,
    /// The payload for the application: a part of the body, or made from it where a part of the body is not for everybody.
    pub data: Cow<'a, RawValue>,
    /// What it does here.
    pub effect: Effect,
}

/// What an event says about whose it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Owner {
    /// Nothing: the endpoint decides.
    #[default]
    Unnamed,
    /// The account of this id.
    Account(String),
    /// The account that has this address, in lower case.
    Address(String),
    /// One integration of an account: the delivery came through a channel of its own.
    Integration {
        /// The integration's public id.
        id: String,
        /// The account's id.
        account: String,
    },
    /// Nothing, but the object it tells of is this account. That counts only where the endpoint has no account either: a
    /// platform hears of its connected accounts, too.
    About(String),
}

/// What an event does here.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// It brings these records up to date; none for an event that is only published.
    Records(Vec<Change>),
    /// It says that something changed, not what: a sync finds out.
    Sync,
    /// It ends the grant from the provider's side.
    GrantEnded,
}

impl Event<'_> {
    /// The records it changes.
    pub fn changes(&self) -> &[Change] {
        match &self.effect {
            Effect::Records(changes) => changes,
            Effect::Sync | Effect::GrantEnded => &[],
        }
    }
}

/// Why a verified delivery is not an event.
#[derive(Debug, thiserror::Error)]
pub enum NotAnEvent {
    /// A field is absent or of another type than the provider documents. The parser's own words could quote the body.
    #[error("not an event: a field is missing or of another type (line {line}, column {column})")]
    Shape {
        /// Where in the body.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// The provider's events are not read here.
    #[error("not an event: {0} sends none that are read here")]
    Unread(&'static str),
    /// The type is empty or longer than the bus takes.
    #[error("not an event: its type is empty or longer than {MAX_TYPE} bytes")]
    Type,
    /// The id can't serve as a key.
    #[error(
        "not an event: its id is empty, longer than {MAX_ID} bytes, or has characters other than letters, digits and . _ : - @ + '"
    )]
    Id,
    /// The time is out of range.
    #[error("not an event: its time is out of range")]
    Time,
}

/// The longest id of an event or account that is taken, in bytes; providers' are far shorter.
pub const MAX_ID: usize = 255;

/// The longest event type that is taken, in bytes: EventBridge's limit on a detail type.
pub const MAX_TYPE: usize = 128;

impl From<serde_json::Error> for NotAnEvent {
    fn from(error: serde_json::Error) -> Self {
        Self::Shape { line: error.line(), column: error.column() }
    }
}

/// Whether `id` may become part of a key: it must not be able to imitate another key's separators.
pub fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-@+'".contains(&b))
}

/// The key of an event's idempotency record: `provider#scope#event`, the scope being the account or integration.
pub fn key(provider: &str, scope: &str, event_id: &str) -> String {
    format!("{provider}#{scope}#{event_id}")
}

/// What no id has, so that no event's key looks like one of the two below.
const APART: char = '!';

/// The key of the record of a delivery that is no event: `provider#scope#!delivery`.
pub fn key_of_delivery(provider: &str, scope: &str, delivery_id: &str) -> String {
    key(provider, scope, &format!("{APART}{delivery_id}"))
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
        let event = key("stripe", "acct_1", "evt_1");
        assert_eq!(parts(&event), Some(("stripe", "acct_1", Some("evt_1"))));
        assert_eq!(parts(&key_of_fork(&event, "0123456789abcdef0123")), Some(("stripe", "acct_1", Some("evt_1"))));
        assert_eq!(parts(&key_of_delivery("slack", "-", "19a-x=")), Some(("slack", "-", None)));
        assert_eq!(parts("session#x"), None);
    }

    #[test]
    fn ids_that_could_forge_a_key_are_refused() {
        assert!(is_id("evt_1NG8Du2eZvKYlo2CUI79vXWy"));
        for id in ["", "evt#1", "a|b", "a b", "é", "a/b", &"x".repeat(256)] {
            assert!(!is_id(id), "{id}");
        }
    }
}
