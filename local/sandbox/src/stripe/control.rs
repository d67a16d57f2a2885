//! Stripe's own controls: `customers`, `subscriptions` and `payment_intents` change as from the Dashboard, keys are rolled, any event
//! can be sent.
//!
//! `POST keys` `{"key","state"}` makes a key `good`, `expired` or `revoked`.
//! `"livemode": true` in a body is for the objects of live mode. `POST send`: `{"event":{…}}`, fields in place of the usual ones;
//! with the `object` `v2.core.event`, in place of a thin event's.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    ApiKey, Stripe,
    change::canceled,
    objects::{customer, event, payment_intent, subscription, thin_event, with},
};
use crate::{
    controls::Control,
    emulator::{Outcome, refusal},
};

/// The calls, and the fields of their bodies: those of the objects are Stripe's.
pub(super) const CONTROLS: &[Control] = &[
    Control("GET", "customers", &[LIVE]),
    Control("GET", "subscriptions", &[LIVE]),
    Control("GET", "payment_intents", &[LIVE]),
    Control("GET", "events", &[LIVE]),
    Control("POST", "customers", &[SILENT, ANY, CUSTOMER]),
    Control("POST", "customers/*", &[SILENT, ANY, CUSTOMER]),
    Control("DELETE", "customers/*", &[SILENT, LIVE]),
    Control("POST", "subscriptions", &[SILENT, ANY, SUBSCRIPTION]),
    Control("POST", "subscriptions/*", &[SILENT, ANY, SUBSCRIPTION]),
    Control("DELETE", "subscriptions/*", &[SILENT, LIVE]),
    Control("POST", "payment_intents", &[SILENT, ANY, PAYMENT]),
    Control("POST", "payment_intents/*", &[SILENT, ANY, PAYMENT]),
    Control("DELETE", "payment_intents/*", &[SILENT, LIVE]),
    Control("POST", "send", &[&["event"]]),
    Control("POST", "keys", &[&["key", "state"]]),
    Control("POST", "tokens/expire", &[]),
    Control("POST", "grants/revoke", &[]),
    Control("GET", "grants", &[]),
    Control("GET", "secrets", &[]),
];

const SILENT: &[&str] = &["silent"];
const LIVE: &[&str] = &["livemode"];
/// What all objects have.
const ANY: &[&str] = &["id", "object", "created", "currency", "description", "livemode", "metadata"];
/// <https://docs.stripe.com/api/customers/object>
const CUSTOMER: &[&str] = &[
    "address",
    "balance",
    "default_source",
    "delinquent",
    "discount",
    "email",
    "invoice_prefix",
    "invoice_settings",
    "name",
    "phone",
    "preferred_locales",
    "shipping",
    "tax_exempt",
];
/// <https://docs.stripe.com/api/subscriptions/object>
const SUBSCRIPTION: &[&str] = &[
    "cancel_at",
    "cancel_at_period_end",
    "canceled_at",
    "cancellation_details",
    "collection_method",
    "customer",
    "default_payment_method",
    "ended_at",
    "items",
    "latest_invoice",
    "pause_collection",
    "start_date",
    "status",
    "trial_end",
    "trial_start",
];
/// <https://docs.stripe.com/api/payment_intents/object>
const PAYMENT: &[&str] = &[
    "amount",
    "amount_capturable",
    "amount_received",
    "canceled_at",
    "cancellation_reason",
    "capture_method",
    "client_secret",
    "confirmation_method",
    "customer",
    "last_payment_error",
    "latest_charge",
    "payment_method",
    "payment_method_types",
    "receipt_email",
    "status",
];

impl Stripe {
    pub(super) fn control(&mut self, method: &Method, path: &[&str], body: &Value) -> Option<Outcome> {
        self.enter(body["livemode"] == true);
        let done = match (method.as_str(), path) {
            ("GET", [kind @ ("customers" | "subscriptions" | "payment_intents" | "events")]) => {
                json!(self.objects.of(kind))
            }
            ("POST", [kind @ ("customers" | "subscriptions" | "payment_intents"), id @ ..]) => {
                self.alter(kind, id.first().copied(), body)
            }
            ("DELETE", [kind @ ("customers" | "subscriptions" | "payment_intents"), id]) => {
                return Some(self.remove(kind, id, body));
            }
            ("POST", ["send"]) => {
                let usual = match body["event"]["object"].as_str() {
                    Some("v2.core.event") => thin_event(),
                    Some(_) | None => event("ping", &json!({ "object": {} }), &Value::Null),
                };
                let event = with(usual, &body["event"]);
                return Some(Outcome::Send(self.delivery(&event)));
            }
            ("POST", ["keys"]) => {
                let state = match (&body["state"], body["state"].as_str()) {
                    (_, Some("expired")) => ApiKey::Expired,
                    (_, Some("revoked")) => ApiKey::Revoked,
                    (Value::Null, _) | (_, Some("good")) => ApiKey::Good,
                    _ => {
                        let words = "state is one of good, expired, revoked";
                        return Some(Outcome::Done(refusal(StatusCode::UNPROCESSABLE_ENTITY, words)));
                    }
                };
                let Some(key) = body["key"].as_str() else {
                    return Some(Outcome::Done(refusal(StatusCode::UNPROCESSABLE_ENTITY, "key is missing")));
                };
                self.keys.insert(key.to_owned(), state);
                json!({ "keys": self.keys.len() })
            }
            ("POST", ["tokens", "expire"]) => {
                self.keys.values_mut().for_each(|state| *state = ApiKey::Expired);
                json!({ "expired": true })
            }
            ("POST", ["grants", "revoke"]) => {
                self.keys.values_mut().for_each(|state| *state = ApiKey::Revoked);
                json!({ "revoked": self.keys.len() })
            }
            ("GET", ["grants"]) => json!([]),
            ("GET", ["secrets"]) => json!(self.keys.keys().collect::<Vec<_>>()),
            _ => return None,
        };
        Some(done.into())
    }

    fn alter(&mut self, kind: &str, id: Option<&str>, body: &Value) -> Value {
        let id = id.or_else(|| body["id"].as_str()).map(str::to_owned);
        let known = self.objects.of(kind).iter().find(|object| id.as_deref().is_some_and(|id| object["id"] == id));
        let before = known.filter(|object| object["deleted"] != true).cloned();
        let mut fields = body.clone();
        if let Some(id) = id {
            fields["id"] = id.into();
        }
        let after = match (&before, kind) {
            (Some(before), _) => with(before.clone(), &fields),
            (None, "customers") => customer(&fields),
            (None, "subscriptions") => subscription(&fields),
            (None, _) => payment_intent(&fields),
        };
        // A payment has events for its states only; other changes of one are told by none.
        let name = match (kind, &before) {
            ("customers", None) => "customer.created".to_owned(),
            ("customers", Some(_)) => "customer.updated".to_owned(),
            ("subscriptions", None) => "customer.subscription.created".to_owned(),
            ("subscriptions", Some(before)) if after["status"] == "canceled" && before["status"] != "canceled" => {
                "customer.subscription.deleted".to_owned()
            }
            ("subscriptions", Some(_)) => "customer.subscription.updated".to_owned(),
            (_, None) => "payment_intent.created".to_owned(),
            (_, Some(before)) if before["status"] == after["status"] => {
                self.objects.put(kind, after.clone());
                return after;
            }
            (_, Some(_)) => format!("payment_intent.{}", payment_event(after["status"].as_str().unwrap_or_default())),
        };
        self.tell(&name, after.clone(), before.as_ref(), body);
        after
    }

    fn remove(&mut self, kind: &str, id: &str, body: &Value) -> Outcome {
        let Ok(object) = self.objects.find(kind, id, StatusCode::NOT_FOUND).cloned() else {
            return Outcome::Done(refusal(StatusCode::NOT_FOUND, "there is no such object"));
        };
        match kind {
            "customers" if body["silent"] == true => {
                let gone = json!({ "id": id, "object": "customer", "deleted": true, "created": object["created"] });
                self.record("customer.deleted", object, None, &Value::Null);
                self.objects.put("customers", gone);
            }
            // Refused only if it is deleted already.
            "customers" => drop(self.remove_customer(id, &Value::Null)),
            "subscriptions" => self.tell("customer.subscription.deleted", canceled(object), None, body),
            _ => self.tell("payment_intent.canceled", with(object, &json!({ "status": "canceled" })), None, body),
        }
        json!({ "deleted": id }).into()
    }

    fn tell(&mut self, kind: &str, object: Value, before: Option<&Value>, body: &Value) {
        // Changes in the Dashboard have no request.
        let origin = json!({ "id": null, "idempotency_key": null });
        if body["silent"] == true {
            self.record(kind, object, before, &origin);
        } else {
            self.happen(kind, object, before, &origin);
        }
    }
}

fn payment_event(status: &str) -> &str {
    match status {
        "requires_payment_method" => "payment_failed",
        "requires_capture" => "amount_capturable_updated",
        other => other,
    }
}
