//! Stripe's objects as our records: the documented fields of each stream, under Stripe's own names.

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

/// Stripe's `object`, our stream, and the fields that are kept.
const STREAMS: &[(&str, &str, &[&str])] = &[
    (
        "customer",
        "customers",
        &["email", "name", "phone", "description", "currency", "livemode", "metadata", "created"],
    ),
    (
        "subscription",
        "subscriptions",
        &["customer", "status", "currency", "cancel_at_period_end", "canceled_at", "livemode", "metadata", "created"],
    ),
    (
        "payment_intent",
        "payment_intents",
        &["customer", "status", "amount", "amount_received", "currency", "livemode", "metadata", "created"],
    ),
];

/// An object as a record.
pub(super) struct Normalised {
    pub(super) stream: &'static str,
    pub(super) id: String,
    pub(super) data: Value,
}

/// `None` for an object of no stream.
pub(super) fn object(object: &RawValue) -> Result<Option<Normalised>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Head {
        object: Option<String>,
    }
    #[derive(Deserialize)]
    struct Body {
        id: String,
        #[serde(flatten)]
        fields: Map<String, Value>,
    }
    let kind = serde_json::from_str::<Head>(object.get())?.object;
    let Some((_, stream, fields)) = STREAMS.iter().find(|(name, ..)| kind.as_deref() == Some(name)) else {
        return Ok(None);
    };
    let mut body: Body = serde_json::from_str(object.get())?;
    let data = fields.iter().filter_map(|name| Some(((*name).to_owned(), body.fields.remove(*name)?))).collect();
    Ok(Some(Normalised { stream, id: body.id, data: Value::Object(data) }))
}
