//! Stripe's objects as our records, under Stripe's own names: <https://docs.stripe.com/api/customers/object>,
//! <https://docs.stripe.com/api/subscriptions/object>, <https://docs.stripe.com/api/payment_intents/object>, read 2026-11.
//!
//! *Invariant:* the record does not depend on the API version that shaped the object. Lists come in the version that we ask for,
//! events in that of the webhook endpoint or account, so what moved between versions is looked for at all its places, and
//! what only one of the two ever carries is not a field.

use domain::sync::record::Clock;
use serde_json::{Map, Value, value::RawValue};

use crate::stream::pick;

/// `created` of an event is in whole seconds.
pub(super) const CLOCK: Clock = Clock::Seconds;

type Fields = &'static [(&'static str, &'static str)];
type Further = fn(&Value, &mut Map<String, Value>);

/// Stripe's `object`, our stream, its fields, and what is built.
const STREAMS: &[(&str, &str, Fields, Further)] = &[
    ("customer", "customers", CUSTOMER, customer),
    ("subscription", "subscriptions", SUBSCRIPTION, subscription),
    ("payment_intent", "payment_intents", PAYMENT, payment),
];

const CUSTOMER: Fields = &[
    ("address", "/address"),
    ("balance", "/balance"),
    ("created", "/created"),
    ("currency", "/currency"),
    ("delinquent", "/delinquent"),
    ("description", "/description"),
    ("email", "/email"),
    ("livemode", "/livemode"),
    ("metadata", "/metadata"),
    ("name", "/name"),
    ("phone", "/phone"),
    ("preferred_locales", "/preferred_locales"),
    ("shipping", "/shipping"),
    ("tax_exempt", "/tax_exempt"),
];

const SUBSCRIPTION: Fields = &[
    ("billing_cycle_anchor", "/billing_cycle_anchor"),
    ("cancel_at", "/cancel_at"),
    ("cancel_at_period_end", "/cancel_at_period_end"),
    ("canceled_at", "/canceled_at"),
    ("collection_method", "/collection_method"),
    ("created", "/created"),
    ("currency", "/currency"),
    ("description", "/description"),
    ("ended_at", "/ended_at"),
    ("livemode", "/livemode"),
    ("metadata", "/metadata"),
    ("pause_collection", "/pause_collection"),
    ("start_date", "/start_date"),
    ("status", "/status"),
    ("trial_end", "/trial_end"),
    ("trial_start", "/trial_start"),
];
const CANCELLATION: Fields = &[("comment", "/comment"), ("feedback", "/feedback"), ("reason", "/reason")];
/// Prices that were made before 2020 are only a `plan`.
const PLAN: Fields = &[
    ("currency", "/plan/currency"),
    ("interval", "/plan/interval"),
    ("interval_count", "/plan/interval_count"),
    ("price", "/plan/id"),
    ("unit_amount", "/plan/amount"),
    ("unit_amount_decimal", "/plan/amount_decimal"),
];
const ITEM: Fields = &[
    ("currency", "/price/currency"),
    ("id", "/id"),
    ("interval", "/price/recurring/interval"),
    ("interval_count", "/price/recurring/interval_count"),
    ("price", "/price/id"),
    ("quantity", "/quantity"),
    ("unit_amount", "/price/unit_amount"),
    ("unit_amount_decimal", "/price/unit_amount_decimal"),
];

const PAYMENT: Fields = &[
    ("amount", "/amount"),
    ("amount_capturable", "/amount_capturable"),
    ("amount_received", "/amount_received"),
    ("canceled_at", "/canceled_at"),
    ("cancellation_reason", "/cancellation_reason"),
    ("capture_method", "/capture_method"),
    ("created", "/created"),
    ("currency", "/currency"),
    ("description", "/description"),
    ("livemode", "/livemode"),
    ("metadata", "/metadata"),
    ("payment_method_types", "/payment_method_types"),
    ("receipt_email", "/receipt_email"),
    ("status", "/status"),
];
const PAYMENT_ERROR: Fields =
    &[("code", "/code"), ("decline_code", "/decline_code"), ("message", "/message"), ("type", "/type")];

/// An object as a record.
pub(super) struct Normalised {
    pub(super) stream: &'static str,
    pub(super) id: String,
    pub(super) data: Value,
}

/// `None` for an object of no stream. An error if it has no id, or is no object.
pub(super) fn object(object: &RawValue) -> Result<Option<Normalised>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Head {
        object: Option<String>,
    }
    #[derive(serde::Deserialize)]
    struct Body {
        id: String,
    }
    let kind = serde_json::from_str::<Head>(object.get())?.object;
    let Some((_, stream, fields, further)) = STREAMS.iter().find(|(name, ..)| kind.as_deref() == Some(name)) else {
        return Ok(None);
    };
    let Body { id } = serde_json::from_str(object.get())?;
    let object: Value = serde_json::from_str(object.get())?;
    let mut data = pick(&object, fields);
    further(&object, &mut data);
    Ok(Some(Normalised { stream, id, data: data.into() }))
}

fn customer(object: &Value, data: &mut Map<String, Value>) {
    reference(data, "default_source", object.get("default_source"));
    reference(data, "default_payment_method", object.pointer("/invoice_settings/default_payment_method"));
}

fn subscription(object: &Value, data: &mut Map<String, Value>) {
    for name in ["customer", "default_payment_method", "latest_invoice"] {
        reference(data, name, object.get(name));
    }
    let details = object.get("cancellation_details").map(|details| pick(details, CANCELLATION));
    data.extend(details.filter(|it| !it.is_empty()).map(|it| ("cancellation_details".to_owned(), it.into())));
    let list = object.pointer("/items/data").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    let items: Vec<_> = list.iter().map(|one| item(one, object)).collect();
    // The first of several periods to end is the next thing that happens.
    for name in ["current_period_start", "current_period_end"] {
        let earliest = items.iter().filter_map(|item| item.get(name)?.as_i64()).min();
        data.extend(earliest.map(|time| (name.to_owned(), time.into())));
    }
    data.insert("items".to_owned(), items.into_iter().map(Value::from).collect());
    if object.pointer("/items/has_more") == Some(&Value::Bool(true)) {
        data.insert("has_more_items".to_owned(), true.into());
    }
}

/// An item. Until 2025-03-31.basil the period is that of the whole subscription:
/// <https://docs.stripe.com/changelog/basil/2025-03-31/deprecate-subscription-current-period-start-and-end>.
fn item(item: &Value, subscription: &Value) -> Map<String, Value> {
    let mut fields = pick(item, PLAN);
    fields.extend(pick(item, ITEM));
    let products = ["/price/product", "/plan/product"];
    reference(&mut fields, "product", products.iter().find_map(|pointer| item.pointer(pointer)));
    for name in ["current_period_start", "current_period_end"] {
        let time = item.get(name).or_else(|| subscription.get(name)).filter(|time| time.is_i64());
        fields.extend(time.map(|time| (name.to_owned(), time.clone())));
    }
    fields
}

fn payment(object: &Value, data: &mut Map<String, Value>) {
    for name in ["customer", "payment_method"] {
        reference(data, name, object.get(name));
    }
    // Until 2022-11-15 all charges are there, the latest first.
    reference(data, "latest_charge", object.get("latest_charge").or_else(|| object.pointer("/charges/data/0")));
    let error = object.get("last_payment_error").map(|error| pick(error, PAYMENT_ERROR)).filter(|it| !it.is_empty());
    data.extend(error.map(|error| ("last_payment_error".to_owned(), error.into())));
}

/// The id of another object, which may be there as a whole: <https://docs.stripe.com/api/expanding_objects>.
fn reference(data: &mut Map<String, Value>, name: &str, value: Option<&Value>) {
    let id = value.map(|value| value.get("id").unwrap_or(value)).filter(|id| id.is_string());
    data.extend(id.map(|id| (name.to_owned(), id.clone())));
}

#[cfg(test)]
#[path = "normalise_tests.rs"]
mod tests;
