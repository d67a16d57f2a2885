//! Stripe's event object: <https://docs.stripe.com/api/events/object>.

use std::borrow::Cow;

use domain::{
    AccountId, Change, Effect, Event, EventId, EventType, Mode, NotAnEvent, Owner, RecordKey, id::NotAnId,
    sync::record::Rank,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{SPEC, normalise};

#[derive(Deserialize)]
struct Envelope<'a> {
    id: EventId,
    r#type: EventType,
    created: Created,
    livemode: Option<bool>,
    /// The connected account of a platform that it happened at.
    account: Option<String>,
    /// Likewise, in thin events: the account, or the way to it, `acct_…/acct_…`.
    context: Option<String>,
    /// Thin events have none.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    /// What a thin event (`v2.core.event`) is about.
    #[serde(borrow)]
    related_object: Option<&'a RawValue>,
}

/// Unix seconds, in thin events RFC 3339.
#[derive(Deserialize)]
#[serde(untagged)]
enum Created {
    Seconds(i64),
    Text(Timestamp),
}

pub(super) fn read(body: &RawValue) -> Result<Event<'_>, NotAnEvent> {
    let envelope: Envelope<'_> = serde_json::from_str(body.get())?;
    let owner = owner(&envelope)?;
    let occurred_at = match envelope.created {
        Created::Seconds(seconds) => Timestamp::from_second(seconds).map_err(|_| NotAnEvent::Time)?,
        Created::Text(time) => time,
    };
    let changes = match envelope.data {
        Some(data) => change(envelope.r#type.as_str(), occurred_at, data)?.into_iter().collect(),
        None => Vec::new(),
    };
    // What a pushed thin event is about; whatever it brings besides is in the data of a fetched one.
    let data = envelope.data.or(envelope.related_object).unwrap_or(RawValue::NULL);
    let mode = envelope.livemode.map(|live| if live { Mode::Live } else { Mode::Test });
    let event = Event::new(envelope.id, envelope.r#type, occurred_at, Cow::Borrowed(data));
    Ok(event.with_owner(owner).with_mode(mode).with_effect(Effect::Records(changes)))
}

/// The account that a delivery names, without reading the rest of it.
pub(super) fn account(body: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        account: Option<Cow<'a, str>>,
        #[serde(borrow)]
        context: Option<Cow<'a, str>>,
    }
    let Head { account, context } = serde_json::from_str(body).ok()?;
    account.or_else(|| Some(named_last(&context?).to_owned().into()))
}

/// The account at the end of a context.
fn named_last(context: &str) -> &str {
    context.rsplit('/').next().unwrap_or(context)
}

/// The owner that the envelope names: <https://docs.stripe.com/connect/webhooks>, <https://docs.stripe.com/context>,
/// <https://docs.stripe.com/api/v2/core/events/object>, read 2026-11.
fn owner(envelope: &Envelope<'_>) -> Result<Owner, NotAnId> {
    let named = envelope.account.as_deref().or_else(|| envelope.context.as_deref().map(named_last));
    match named.filter(|account| !account.is_empty()) {
        Some(account) => AccountId::parse(account).map(Owner::Account),
        None => Ok(about(envelope).map_or(Owner::Unnamed, Owner::About)),
    }
}

/// The account that it is about: itself, or what belongs to it.
fn about(envelope: &Envelope<'_>) -> Option<AccountId> {
    #[derive(Deserialize)]
    struct Related {
        id: Option<String>,
        url: Option<String>,
    }
    #[derive(Deserialize)]
    struct Data {
        object: Object,
    }
    #[derive(Deserialize)]
    struct Object {
        id: Option<String>,
        object: Option<String>,
    }
    let account = |id: &str| AccountId::parse(id).ok().filter(|_| id.starts_with("acct_"));
    if let Some(related) = envelope.related_object {
        let Related { id, url } = serde_json::from_str(related.get()).ok()?;
        let of_url = || url?.split('/').find_map(account);
        return id.as_deref().and_then(account).or_else(of_url);
    }
    let Data { object } = serde_json::from_str(envelope.data?.get()).ok()?;
    object.id.as_deref().filter(|_| object.object.as_deref() == Some("account")).and_then(account)
}

/// The record that an event of one of our streams brings up to date.
///
/// Stripe's objects carry no revision, so the event's time orders them. Its resolution is a second, in which an object is
/// often created and brought to its end, so the type decides within one: a creation is first, an end is last.
fn change(event_type: &str, at: Timestamp, data: &RawValue) -> Result<Option<Change>, NotAnEvent> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        object: Option<&'a RawValue>,
    }
    // What a thin event has here, once it is fetched, is no object.
    let Some(object) = serde_json::from_str::<Data<'_>>(data.get())?.object else { return Ok(None) };
    let Some(normalised) = normalise::object(object)? else { return Ok(None) };
    let key = RecordKey::new(normalised.stream, &normalised.id)?;
    let deleted = SPEC.stream(normalised.stream).is_some_and(|stream| stream.ends.contains(&event_type));
    let version = normalise::CLOCK.event_version(at, rank(event_type));
    Ok(Some(if deleted {
        Change::tombstone(key, version, at, Value::Null)
    } else {
        Change::new(key, version, at, normalised.data)
    }))
}

/// The order of event types within one second. A canceled subscription can still be updated, so its end is in no order with
/// its updates.
fn rank(event_type: &str) -> Rank {
    match event_type {
        "customer.created" | "customer.subscription.created" | "payment_intent.created" => Rank::First,
        "customer.deleted" | "payment_intent.canceled" | "payment_intent.succeeded" => Rank::Last,
        _ => Rank::Between,
    }
}

#[cfg(test)]
mod tests;
