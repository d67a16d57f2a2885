//! The account's objects.

use http::StatusCode;
use local_base::now;
use serde_json::{Value, json};

use super::{Refusal, VERSION};
use crate::opaque::random;

/// By kind, in the order of creation.
#[derive(Default)]
pub(super) struct Objects {
    customers: Vec<Value>,
    subscriptions: Vec<Value>,
    payment_intents: Vec<Value>,
    pub(super) events: Vec<Value>,
}

/// The account: <https://docs.stripe.com/api/accounts/object>.
pub(super) fn account() -> Value {
    json!({
        "id": "acct_local", "object": "account",
        "business_profile": { "name": "Sandbox Shop", "url": "https://shop.example" },
        "business_type": "company", "charges_enabled": true, "country": "GB", "default_currency": "eur",
        "details_submitted": true, "email": "owner@shop.example", "payouts_enabled": true, "type": "standard",
        "settings": { "dashboard": { "display_name": "Sandbox Shop", "timezone": "Europe/London" } },
    })
}

impl Objects {
    /// Five customers, two subscriptions, two payments, over the last days.
    pub(super) fn seed() -> Self {
        let day = 86_400;
        let start = now().as_second() - 10 * day;
        let people = ["Ada Lovelace", "Grace Hopper", "Katherine Johnson", "Annie Easley", "Mary Jackson"];
        let customers = people.iter().zip(1..).map(|(name, n)| {
            let email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
            customer(
                &json!({ "id": format!("cus_Seed{n:010}"), "name": name, "email": email, "created": start + n * day }),
            )
        });
        let subscriptions = [(1, "active"), (2, "canceled")].map(|(n, status)| {
            let (id, customer) = (format!("sub_1Seed{n:019}"), format!("cus_Seed{n:010}"));
            let created = start + (n + 5) * day;
            let ended = (status == "canceled").then_some(created + day);
            subscription(&json!({
                "id": id, "customer": customer, "status": status, "created": created, "canceled_at": ended,
                "ended_at": ended,
            }))
        });
        let payment_intents =
            [(1, "succeeded", 2000), (2, "requires_payment_method", 4900)].map(|(n, status, amount)| {
                let received = if status == "succeeded" { amount } else { 0 };
                payment_intent(&json!({
                    "id": format!("pi_3Seed{n:019}"), "customer": format!("cus_Seed{n:010}"), "status": status,
                    "amount": amount, "amount_received": received, "created": start + (n + 5) * day,
                }))
            });
        Self {
            customers: customers.collect(),
            subscriptions: subscriptions.into(),
            payment_intents: payment_intents.into(),
            events: Vec::new(),
        }
    }

    /// The objects of a kind, deleted customers included.
    pub(super) fn of(&self, kind: &str) -> &[Value] {
        match kind {
            "customers" => &self.customers,
            "subscriptions" => &self.subscriptions,
            "payment_intents" => &self.payment_intents,
            _ => &self.events,
        }
    }

    fn of_mut(&mut self, kind: &str) -> &mut Vec<Value> {
        match kind {
            "customers" => &mut self.customers,
            "subscriptions" => &mut self.subscriptions,
            "payment_intents" => &mut self.payment_intents,
            _ => &mut self.events,
        }
    }

    /// An object. `status` is that of the refusal: 404 for the object asked for, 400 for one that a parameter names.
    pub(super) fn find(&self, kind: &str, id: &str, status: StatusCode) -> Result<&Value, Refusal> {
        let found = self.of(kind).iter().find(|object| object["id"] == id);
        found.ok_or_else(|| missing(kind, id, "id", status))
    }

    /// Stores a new object, or another state of one.
    pub(super) fn put(&mut self, kind: &str, object: Value) {
        let objects = self.of_mut(kind);
        match objects.iter_mut().find(|known| known["id"] == object["id"]) {
            Some(known) => *known = object,
            None => objects.push(object),
        }
    }
}

/// There is no such object.
pub(super) fn missing(kind: &str, id: &str, parameter: &str, status: StatusCode) -> Refusal {
    let name = if kind == "payment_intents" { "payment_intent" } else { kind.trim_end_matches('s') };
    let words = format!("No such {name}: '{id}'");
    let error =
        json!({ "type": "invalid_request_error", "code": "resource_missing", "message": words, "param": parameter });
    Refusal(status, error)
}

/// <https://docs.stripe.com/api/customers/object>
pub(super) fn customer(fields: &Value) -> Value {
    let object = json!({
        "id": format!("cus_{}", random(14)), "object": "customer", "address": null, "balance": 0,
        "created": now().as_second(),
        "currency": null, "default_source": null, "delinquent": false, "description": null, "discount": null,
        "email": null, "invoice_prefix": random(8).to_uppercase(), "livemode": false, "metadata": {}, "name": null,
        "phone": null, "preferred_locales": [], "shipping": null, "tax_exempt": "none",
        "invoice_settings": { "custom_fields": null, "default_payment_method": null, "footer": null },
    });
    with(object, fields)
}

/// <https://docs.stripe.com/api/subscriptions/object>
pub(super) fn subscription(fields: &Value) -> Value {
    let now = now().as_second();
    let id = fields["id"].as_str().map_or_else(|| format!("sub_1{}", random(23)), str::to_owned);
    let price = json!({
        "id": "price_sandbox", "object": "price", "currency": "eur", "unit_amount": 2000, "type": "recurring",
        "product": "prod_sandbox", "unit_amount_decimal": "2000",
        "recurring": { "interval": "month", "interval_count": 1, "usage_type": "licensed" },
    });
    let item = json!({
        "id": format!("si_{}", random(14)), "object": "subscription_item", "created": now, "price": price,
        "quantity": 1,
        "subscription": id, "current_period_start": now, "current_period_end": now + 30 * 86_400,
    });
    let object = json!({
        "id": id, "object": "subscription", "cancel_at": null, "cancel_at_period_end": false, "canceled_at": null,
        "collection_method": "charge_automatically", "created": now, "currency": "eur", "customer": null,
        "ended_at": null,
        "items": {
            "object": "list", "data": [item], "has_more": false,
            "url": format!("/v1/subscription_items?subscription={id}"),
        },
        "latest_invoice": null, "livemode": false, "metadata": {}, "start_date": now, "status": "active",
        "billing_cycle_anchor": now, "cancellation_details": { "comment": null, "feedback": null, "reason": null },
        "default_payment_method": null, "description": null, "pause_collection": null, "trial_end": null,
        "trial_start": null,
    });
    with(object, fields)
}

/// <https://docs.stripe.com/api/payment_intents/object>
pub(super) fn payment_intent(fields: &Value) -> Value {
    let id = fields["id"].as_str().map_or_else(|| format!("pi_3{}", random(23)), str::to_owned);
    let object = json!({
        "id": id, "object": "payment_intent", "amount": 2000, "amount_received": 0, "capture_method": "automatic",
        "client_secret": format!("{id}_secret_{}", random(25)), "confirmation_method": "automatic",
        "created": now().as_second(), "currency": "eur", "customer": null, "description": null, "livemode": false,
        "metadata": {}, "payment_method_types": ["card"], "status": "requires_payment_method", "amount_capturable": 0,
        "canceled_at": null, "cancellation_reason": null, "last_payment_error": null, "latest_charge": null,
        "payment_method": null, "receipt_email": null,
    });
    with(object, fields)
}

/// <https://docs.stripe.com/api/events/object>
pub(super) fn event(kind: &str, data: &Value, request: &Value) -> Value {
    json!({
        "id": format!("evt_1{}", random(23)), "object": "event", "api_version": VERSION, "created": now().as_second(),
        "data": data, "livemode": false, "pending_webhooks": 1, "request": request, "type": kind,
    })
}

/// A thin event as it is pushed: <https://docs.stripe.com/api/v2/core/events/event-types>. It brings no object.
pub(super) fn thin_event() -> Value {
    json!({
        "id": format!("evt_test_{}", random(24)), "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered", "created": now().to_string(), "livemode": false,
        "related_object": { "id": "mtr_sandbox", "type": "billing.meter", "url": "/v1/billing/meters/mtr_sandbox" },
    })
}

/// `object` with these fields in place of its own; `metadata` is merged, and its empty values are removed.
pub(super) fn with(mut object: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().into_iter().flatten().filter(|(name, _)| *name != "silent") {
        match (name.as_str(), value.as_object()) {
            ("metadata", Some(pairs)) => {
                for (key, value) in pairs {
                    object["metadata"][key] = value.clone();
                }
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    metadata.retain(|_, value| value != "");
                }
            }
            // Emptied as a whole.
            ("metadata", None) => object["metadata"] = json!({}),
            _ => object[name] = value.clone(),
        }
    }
    object
}
