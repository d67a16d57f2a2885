//! Events of two calendars.

use fastrand::Rng;
use http::Method;
use serde_json::json;

use crate::{
    course::{Course, Order, Truth},
    slack::object,
    world::World,
};

pub(crate) struct Calendar {
    created: usize,
    /// The second calendar may not be read, or fails.
    closed: bool,
}

/// The calendars of the account, and what the sandbox calls them.
const CALENDARS: [&str; 2] = ["ada@example.com", "team@group.calendar.google.com"];

impl Course for Calendar {
    const PROVIDER: &'static str = "google-calendar";
    const ACCOUNT: &'static str = "ada@example.com";
    const CARRIES: bool = false;
    const SECONDS: bool = false;

    fn new() -> Self {
        Self { created: 0, closed: false }
    }

    async fn grant(world: &World<'_>) -> (&'static str, String) {
        let scope = "https://www.googleapis.com/auth/calendar.readonly";
        ("user", world.consent("/o/oauth2/v2/auth", "/token", scope).await)
    }

    fn order(&mut self, rng: &mut Rng) -> Order {
        let (from, to) = if rng.u8(..4) > 0 { (CALENDARS[0], CALENDARS[1]) } else { (CALENDARS[1], CALENDARS[0]) };
        let (events, word) = (format!("events/{from}"), format!("w{}", rng.u16(..)));
        if rng.u8(..8) == 0 {
            let error = json!({ "errors": [{ "domain": "global", "reason": "forbidden" }], "code": 403, "message": "Forbidden" });
            let effect = json!({ "status": 403, "body": { "error": error } });
            // Nothing else tells what happens in it meanwhile.
            return Order::post("faults", json!({ "match": "calendars/team", "times": 1000, "effect": effect }))
                .untold();
        }
        // Few of them, so that much happens to each.
        if self.created == 0 || (self.created < 3 && rng.u8(..4) == 0) {
            self.created += 1;
            let id = format!("event{:04}", self.created - 1);
            let when = json!({ "dateTime": "2026-12-01T09:00:00Z", "timeZone": "UTC" });
            return match rng.u8(..4) {
                // An instance of the event before, which may be cancelled or be gone itself.
                0 if self.created > 1 => {
                    let status = if rng.bool() { "cancelled" } else { "confirmed" };
                    let of = format!("event{:04}", self.created - 2);
                    let fields = json!({
                        "id": id, "recurringEventId": of, "originalStartTime": when, "status": status, "summary": word,
                    });
                    Order::post(events, fields)
                }
                _ => Order::post(events, json!({ "id": id, "summary": word, "start": when, "end": when })),
            };
        }
        let event = format!("{events}/event{:04}", rng.usize(..self.created));
        match rng.u8(..14) {
            0..=3 => Order::delete(event),
            4..=7 => Order::post(format!("{event}/restore"), json!({})),
            8 => Order::post(format!("{event}/move"), json!({ "destination": to })),
            9 => Order::post("stubs", json!({ "whole": rng.bool() })),
            10 => Order::post("expire_sync_tokens", json!({})),
            11 => Order::post(event, json!({ "transparency": "transparent", "eventType": "workingLocation" })),
            12 => Order::post(event, json!({ "start": { "date": "2026-12-24" }, "end": { "date": "2026-12-25" } })),
            _ => Order::post(event, json!({ "summary": word })),
        }
    }

    fn happened(&mut self, order: &Order) {
        self.closed |= order.path == "faults";
    }

    fn unreadable(&self) -> Option<String> {
        self.closed.then(|| format!("events#{}/", CALENDARS[1]))
    }

    async fn truth(&self, world: &World<'_>) -> Truth {
        let mut truth = Truth::new();
        for calendar in CALENDARS {
            let path = format!("events/{calendar}");
            let all = world.admin(Method::GET, &path, &json!({})).await.unwrap();
            for event in all.as_array().unwrap().iter().filter(|event| event["status"] != "cancelled") {
                let mut fields = object(json!({
                    "summary": event["summary"], "transparency": event["transparency"], "event_type": event["eventType"],
                    "calendar": calendar, "recurring_event_id": event["recurringEventId"],
                }));
                if let Some(date) = event["start"].get("date") {
                    fields.insert("start".to_owned(), json!({ "date": date }));
                }
                truth.insert(format!("events#{calendar}/{}", event["id"].as_str().unwrap()), fields);
            }
        }
        truth
    }
}
