//! The samples in events/ are what the functions take.

use domain::messages::message::{RefreshMessage, ScheduleMessage, SyncMessage, WebhookMessage};
use local_runtime::bootstraps::root;
use serde_json::Value;

fn sample(name: &str) -> Value {
    let path = root().join("events").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn bodies(name: &str) -> Vec<String> {
    let sample = sample(name);
    let records = sample["Records"].as_array().unwrap();
    records.iter().map(|record| record["body"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn message_samples_are_messages_of_the_current_version() {
    for body in bodies("sqs-webhooks.json") {
        let message: WebhookMessage<'_> = serde_json::from_str(&body).unwrap();
        let domain::messages::message::Body::Json(json) = message.body;
        assert!(providers::REGISTRY.find(&message.provider).unwrap().event(json, message.received_at).is_ok());
    }
    for body in bodies("sqs-syncs.json") {
        serde_json::from_str::<SyncMessage>(&body).unwrap();
    }
    for body in bodies("sqs-refreshes.json") {
        serde_json::from_str::<RefreshMessage>(&body).unwrap();
    }
    for body in bodies("sqs-schedules.json") {
        serde_json::from_str::<ScheduleMessage>(&body).unwrap();
    }
}

#[test]
fn schedule_samples_are_the_inputs_that_the_template_declares() {
    let template = tests::template("http://localhost", &[]);
    for (name, function) in [
        ("schedule-syncs.json", "sync-scheduler"),
        ("schedule-refresh.json", "token-refresh"),
        ("schedule-dead-letters.json", "webhook-process"),
    ] {
        let function = template.functions.iter().find(|it| it.binary == function).unwrap();
        let sample = sample(name);
        assert!(function.schedules.iter().any(|schedule| schedule.input == sample), "{name}");
    }
}

#[test]
fn http_samples_name_routes_that_exist() {
    for name in [
        "http-webhook-stripe.json",
        "http-connect.json",
        "http-integrations.json",
        "http-deliveries.json",
        "http-action.json",
    ] {
        let sample = sample(name);
        let route = sample["routeKey"].as_str().unwrap();
        let known =
            platform::runtime::http::route::ROUTES.iter().any(|it| format!("{} {}", it.method, it.path) == route);
        assert!(known, "{name}: {route}");
    }
}
