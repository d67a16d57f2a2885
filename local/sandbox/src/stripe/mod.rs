//! Stripe: <https://docs.stripe.com/api>. Form bodies, bracketed; every change makes an event, which is sent.

mod change;
mod control;
mod events;
mod list;
mod objects;
mod subscribe;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use self::objects::Objects;
use super::{
    app::App,
    call::{Call, Reply},
    controls::Control,
    deliver::Outbox,
    emulator::{Emulator, Outcome, Spec},
    opaque::random,
};

/// The version of accounts that pin none.
const VERSION: &str = "2025-03-31.basil";

/// The app is sent keys, not client credentials: only its webhook secret counts.
pub(super) const SPEC: Spec = Spec {
    secret: "stripe",
    providers: &["stripe"],
    origins: &["https://api.stripe.com"],
    settings: &[],
    start: |app, outbox| Ok(Box::new(Stripe::new(app, outbox))),
};

struct Stripe {
    app: App,
    /// Keys ever issued, and whether they are good.
    keys: BTreeMap<String, ApiKey>,
    /// Those of the mode of the present call.
    objects: Objects,
    /// Those of the other one: nothing of one mode is in the other.
    others: Objects,
    /// Whether the present call is in live mode.
    live: bool,
    /// By idempotency key: what was asked, and the answer.
    answered: BTreeMap<String, (String, Kept)>,
    outbox: Outbox,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ApiKey {
    Good,
    Expired,
    Revoked,
}

#[derive(Clone)]
struct Kept {
    status: StatusCode,
    body: Value,
}

/// What a call asks for, once it is known to be allowed.
struct Request<'c> {
    call: &'c Call,
    version: &'c str,
    /// Of the body, nested.
    fields: Value,
}

/// An error: status and the fields of `error`.
struct Refusal(StatusCode, Value);

type Answer = Result<Value, Refusal>;

impl Stripe {
    fn new(app: App, outbox: Outbox) -> Self {
        let keys = [
            ("sk_test_sandbox", ApiKey::Good),
            ("rk_test_sandbox", ApiKey::Good),
            ("sk_live_sandbox", ApiKey::Good),
            ("rk_live_sandbox", ApiKey::Good),
            ("sk_test_expired", ApiKey::Expired),
        ];
        let keys = keys.map(|(key, state)| (key.to_owned(), state)).into();
        let (objects, others) = (Objects::seed(), Objects::default());
        Self { app, keys, objects, others, live: false, answered: BTreeMap::new(), outbox }
    }

    /// Goes on in this mode: <https://docs.stripe.com/keys>.
    fn enter(&mut self, live: bool) {
        if live != self.live {
            std::mem::swap(&mut self.objects, &mut self.others);
            self.live = live;
        }
    }

    /// <https://docs.stripe.com/api/authentication>
    fn authenticate(&mut self, call: &Call) -> Result<(), Refusal> {
        let basic = call.basic();
        let key = basic.as_ref().map(|(user, _)| user.as_str()).or_else(|| call.bearer());
        let unauthorized = |error| Err(Refusal(StatusCode::UNAUTHORIZED, error));
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            let words = "You did not provide an API key. You need to provide your API key in the Authorization header, \
                         using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').";
            return unauthorized(json!({ "type": "invalid_request_error", "message": words }));
        };
        match self.keys.get(key) {
            Some(ApiKey::Good) => {
                self.enter(key.starts_with("sk_live_") || key.starts_with("rk_live_"));
                Ok(())
            }
            Some(ApiKey::Expired) => unauthorized(json!({
                "type": "invalid_request_error", "code": "api_key_expired",
                "message": format!("Expired API Key provided: {}", masked(key)),
            })),
            None | Some(ApiKey::Revoked) => unauthorized(json!({
                "type": "invalid_request_error", "message": format!("Invalid API Key provided: {}", masked(key)),
            })),
        }
    }

    fn reply(&mut self, call: &Call) -> Result<Reply, Refusal> {
        self.authenticate(call)?;
        let form = match (call.form(), call.body.is_empty()) {
            (Some(form), _) => form,
            (None, true) => super::form::Form::default(),
            (None, false) => {
                let words = "Invalid request (check that your POST content type is application/x-www-form-urlencoded). \
                             If you have any questions, we can help at https://support.stripe.com/.";
                return Err(invalid(None, words));
            }
        };
        let version = call.header("stripe-version").unwrap_or(VERSION);
        let request = Request { call, version, fields: form.nested().into() };
        let key = call.header("idempotency-key").filter(|_| call.method == Method::POST);
        let Some(key) = key else { return self.routed(&request).map(|answer| page(&answer)) };
        let asked = format!("{} {}", call.name(), String::from_utf8_lossy(&call.body));
        if let Some((before, kept)) = self.answered.get(key) {
            if *before != asked {
                let words = format!(
                    "Keys for idempotent requests can only be used with the same parameters they were first used with. \
                     Try using a key other than '{key}' if you meant to execute a different request."
                );
                let error = json!({ "type": "idempotency_error", "message": words });
                return Err(Refusal(StatusCode::BAD_REQUEST, error));
            }
            let reply = Reply::json(kept.status, &kept.body);
            return Ok(reply.with("idempotency-key", key).with("idempotent-replayed", "true"));
        }
        let kept = match self.routed(&request) {
            Ok(body) => Kept { status: StatusCode::OK, body },
            // What fails before it is begun is not kept.
            Err(refusal) if refusal.0 == StatusCode::BAD_REQUEST => return Err(refusal),
            Err(Refusal(status, error)) => Kept { status, body: json!({ "error": error }) },
        };
        self.answered.insert(key.to_owned(), (asked, kept.clone()));
        Ok(Reply::json(kept.status, &kept.body).with("idempotency-key", key))
    }

    /// An answer in the mode of the key.
    fn routed(&mut self, request: &Request<'_>) -> Answer {
        let mut answer = self.route(request)?;
        if let Some(livemode) = answer.get_mut("livemode") {
            *livemode = self.live.into();
        }
        Ok(answer)
    }

    fn route(&mut self, request: &Request<'_>) -> Answer {
        let segments = request.call.segments();
        let path: Vec<_> = segments.iter().map(String::as_str).collect();
        let subscription = |id: &str| self.objects.find("subscriptions", id, StatusCode::NOT_FOUND).map(drop);
        match (request.call.method.as_str(), path.as_slice()) {
            ("GET", ["v1", "account"]) => Ok(objects::account()),
            ("GET", ["v1", "accounts", id]) if objects::account()["id"] == *id => Ok(objects::account()),
            ("GET", ["v1", kind @ ("customers" | "subscriptions" | "payment_intents" | "events")]) => {
                self.list(kind, &request.call.query)
            }
            ("GET", ["v1", kind @ ("customers" | "subscriptions" | "payment_intents" | "events"), id]) => {
                self.objects.find(kind, id, StatusCode::NOT_FOUND).cloned()
            }
            ("POST", ["v1", "customers"]) => self.create_customer(request),
            ("POST", ["v1", "customers", id]) => self.update_customer(id, request),
            ("DELETE", ["v1", "customers", id]) => self.delete_customer(id, request),
            ("POST", ["v1", "subscriptions"]) => self.subscribe(request),
            ("POST", ["v1", "subscriptions", id]) => {
                subscription(id)?;
                self.update_subscription(id, request)
            }
            ("DELETE", ["v1", "subscriptions", id]) => {
                subscription(id)?;
                self.cancel_subscription(id, request)
            }
            (method, _) => {
                let words = format!("Unrecognized request URL ({method}: {}).", request.call.path);
                Err(Refusal(StatusCode::NOT_FOUND, json!({ "type": "invalid_request_error", "message": words })))
            }
        }
    }
}

impl Emulator for Stripe {
    fn answer(&mut self, call: &Call) -> Reply {
        let version = call.header("stripe-version").unwrap_or(VERSION).to_owned();
        let reply = self.reply(call);
        let reply = reply.unwrap_or_else(|Refusal(status, error)| Reply::json(status, &json!({ "error": error })));
        reply.with("stripe-version", &version)
    }

    /// <https://docs.stripe.com/rate-limits>: no `Retry-After`.
    fn limited(&self, _call: &Call, _wait: u64) -> Reply {
        let words = "Request rate limit exceeded. Learn more about rate limits at https://stripe.com/docs/rate-limits.";
        let error = json!({ "type": "invalid_request_error", "code": "rate_limit", "message": words });
        let reply = Reply::json(StatusCode::TOO_MANY_REQUESTS, &json!({ "error": error }));
        reply.with("stripe-rate-limited-reason", "global-rate")
    }

    fn finish(&self, reply: &mut Reply) {
        let is_set = reply.headers.contains_key("stripe-should-retry");
        let again = !is_set && (reply.status.is_server_error() || reply.status == StatusCode::CONFLICT);
        let mut finished = std::mem::replace(reply, Reply::empty(reply.status));
        finished = finished.with("request-id", &format!("req_{}", random(14)));
        *reply = if again { finished.with("stripe-should-retry", "true") } else { finished };
    }

    fn controls(&self) -> &'static [&'static [Control]] {
        &[control::CONTROLS]
    }

    fn administer(&mut self, method: &Method, path: &[&str], body: &Value) -> Option<Outcome> {
        self.control(method, path, body)
    }
}

fn page(answer: &Value) -> Reply {
    Reply::json(StatusCode::OK, answer).more(answer["has_more"] == true)
}

/// The first letters of a key and stars, as in Stripe's own messages.
fn masked(key: &str) -> String {
    format!("{}****", key.chars().take(8).collect::<String>())
}

/// Parameters are wrong.
fn invalid(parameter: Option<&str>, message: &str) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, json!({ "type": "invalid_request_error", "message": message, "param": parameter }))
}
