//! What happens is stored, becomes an event, and is sent, signed: <https://docs.stripe.com/webhooks>.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Stripe, objects::event};
use crate::deliver::{Delivery, To, hmac};

impl Stripe {
    /// An object is new, or in another state than `before`.
    pub(super) fn happen(&mut self, kind: &str, object: Value, before: Option<&Value>, origin: &Value) {
        let event = self.record(kind, object, before, origin);
        self.outbox.send(self.delivery(&event));
    }

    /// Likewise, without a webhook; the event is in the list of events all the same.
    pub(super) fn record(&mut self, kind: &str, mut object: Value, before: Option<&Value>, origin: &Value) -> Value {
        object["livemode"] = self.live.into();
        let mut data = json!({ "object": object });
        if let Some(before) = before {
            let changed = before.as_object().into_iter().flatten().filter(|(name, value)| object[*name] != **value);
            let changed: Map<_, _> = changed.map(|(name, value)| (name.clone(), value.clone())).collect();
            data["previous_attributes"] = changed.into();
        }
        let mut event = event(kind, &data, origin);
        event["livemode"] = self.live.into();
        let kind = match object["object"].as_str() {
            Some("customer") => "customers",
            Some("subscription") => "subscriptions",
            _ => "payment_intents",
        };
        self.objects.put(kind, object);
        self.objects.events.push(event.clone());
        event
    }

    /// `Stripe-Signature: t=…,v1=…`: the hex HMAC-SHA256 of `{t}.{body}`, made for each attempt.
    pub(super) fn delivery(&self, event: &Value) -> Delivery {
        let secret = self.app.webhook_secret.clone();
        let body = event.to_string();
        let signed = body.clone();
        Delivery {
            to: To::App("/webhooks/stripe"),
            headers: Box::new(move |_, now| {
                let time = now.as_second();
                let signature = format!("t={time},v1={}", hmac(&secret, &format!("{time}.{signed}")));
                vec![("content-type", "application/json; charset=utf-8".to_owned()), ("stripe-signature", signature)]
            }),
            body: body.into(),
            patience: Duration::from_secs(10),
            again: |answer| !answer.status().is_success(),
        }
    }
}
