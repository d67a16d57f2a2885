//! Lists: newest first, `starting_after`, `limit`. <https://docs.stripe.com/api/pagination>.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Answer, Refusal, Stripe, invalid, objects::missing};
use crate::form::Form;

/// Filters of all lists.
const COMMON: &[&str] = &[
    "limit",
    "starting_after",
    "ending_before",
    "created",
    "created[gt]",
    "created[gte]",
    "created[lt]",
    "created[lte]",
];

/// Filters by equality, of each list.
const FILTERS: &[(&str, &[&str])] = &[
    ("customers", &["email"]),
    ("subscriptions", &["customer", "status", "price"]),
    ("payment_intents", &["customer"]),
    ("events", &["type", "types[]", "delivery_success"]),
];

impl Stripe {
    /// `GET /v1/{kind}`.
    pub(super) fn list(&self, kind: &str, query: &Form) -> Answer {
        let own = FILTERS.iter().find(|(known, _)| *known == kind).map_or(&[] as &[&str], |(_, names)| *names);
        let unknown = query.pairs().map(|(name, _)| name).find(|name| {
            !COMMON.contains(name) && !own.contains(name) && !name.starts_with("expand[") && !name.starts_with("types[")
        });
        if let Some(name) = unknown {
            let error = json!({
                "type": "invalid_request_error", "code": "parameter_unknown", "param": name,
                "message": format!("Received unknown parameter: {name}"),
            });
            return Err(Refusal(StatusCode::BAD_REQUEST, error));
        }
        let limit = match query.get("limit") {
            None => 10,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=100).contains(limit))
                .ok_or_else(|| invalid(Some("limit"), "This value must be an integer between 1 and 100."))?,
        };
        let times = times(query)?;
        let mut found: Vec<_> = self.objects.of(kind).iter().filter(|object| object["deleted"] != true).collect();
        // Newest first; what was created later within one second comes first, too.
        found.sort_by_key(|object| object["created"].as_i64());
        found.reverse();
        if let Some(id) = query.get("starting_after") {
            // A customer deleted between two pages still marks its place.
            let place = self.objects.of(kind).iter().find(|object| object["id"] == id);
            let place = place.ok_or_else(|| missing(kind, id, "starting_after", StatusCode::BAD_REQUEST))?;
            match found.iter().position(|object| object["id"] == id) {
                Some(position) => drop(found.drain(..=position)),
                None => found.retain(|object| object["created"].as_i64() <= place["created"].as_i64()),
            }
        }
        found.retain(|object| {
            let created = object["created"].as_i64().unwrap_or_default();
            times.iter().all(|(holds, time)| holds(created, *time)) && matches(kind, object, query)
        });
        let more = found.len() > limit;
        found.truncate(limit);
        Ok(json!({ "object": "list", "data": found, "has_more": more, "url": format!("/v1/{kind}") }))
    }
}

type Comparison = fn(i64, i64) -> bool;

fn times(query: &Form) -> Result<Vec<(Comparison, i64)>, Refusal> {
    let comparisons: [(&str, Comparison); 5] = [
        ("created", |created, time| created == time),
        ("created[gt]", |created, time| created > time),
        ("created[gte]", |created, time| created >= time),
        ("created[lt]", |created, time| created < time),
        ("created[lte]", |created, time| created <= time),
    ];
    let mut times = Vec::new();
    for (name, comparison) in comparisons {
        if let Some(text) = query.get(name) {
            let time = text.parse().map_err(|_| invalid(Some(name), &format!("Invalid integer: {text}")))?;
            times.push((comparison, time));
        }
    }
    Ok(times)
}

fn matches(kind: &str, object: &Value, query: &Form) -> bool {
    let equal = |name: &str| query.get(name).is_none_or(|wanted| object[name] == wanted);
    match kind {
        // Unless asked for, canceled ones are left out.
        "subscriptions" => {
            let status = match query.get("status") {
                None => object["status"] != "canceled",
                Some("all") => true,
                Some(wanted) => object["status"] == wanted,
            };
            status && equal("customer")
        }
        "events" => {
            let listed: Vec<_> = query.pairs().filter(|(name, _)| name.starts_with("types[")).collect();
            let fits = |wanted: &str| {
                let kind = object["type"].as_str().unwrap_or_default();
                wanted.strip_suffix('*').map_or(kind == wanted, |start| kind.starts_with(start))
            };
            (listed.is_empty() || listed.iter().any(|(_, wanted)| fits(wanted))) && query.get("type").is_none_or(fits)
        }
        _ => equal("customer") && equal("email"),
    }
}
