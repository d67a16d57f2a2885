//! The table: one row for each route.

use serde_json::{Value, json};

use super::exempt::Exemption;
use Refused::{Body, Both, Query};

/// A route with a request that it takes, and values that it refuses.
pub(super) struct Row {
    pub(super) method: &'static str,
    pub(super) route: &'static str,
    pub(super) checks: Checks,
}

pub(super) enum Checks {
    /// What is not known is refused by name.
    Strict { path: &'static str, body: Value, refused: Vec<Refused> },
    /// Unknown names change nothing.
    Exempt(Exemption),
}

/// A value that is refused at the field of this name.
pub(super) enum Refused {
    Query(&'static str, &'static str),
    Body(&'static str, Value),
    /// In the query and in the body at once.
    Both(&'static str, &'static str, Value),
}

/// All routes.
pub(super) fn rows() -> Vec<Row> {
    let others = vec![
        exempt("POST", "/webhooks/{provider}", Exemption::Delivery),
        exempt("POST", "/webhooks/{provider}/{integration_id}", Exemption::OwnDelivery),
        strict(
            "POST",
            "/actions/{provider}/{action}",
            "/actions/slack/post_message",
            json!({ "channel": "C0GENERAL01", "text": "Hello" }),
            vec![Body("blocks", json!("no list"))],
        ),
        exempt("ANY", "/proxy/{provider}/{proxy+}", Exemption::Proxy),
    ];
    oauth_callback().into_iter().chain(integrations_api()).chain(operator_api()).chain(others).collect()
}

fn oauth_callback() -> Vec<Row> {
    vec![
        strict(
            "GET",
            "/connect/{provider}",
            "/connect/slack",
            Value::Null,
            vec![
                Query("return_to", "//evil.example"),
                Query("scopes", "channels:nope"),
                Query("scopes", "channels:history,chat:wriet"),
            ],
        ),
        strict(
            "POST",
            "/connect/{provider}",
            "/connect/stripe",
            json!({ "api_key": "rk_test_sandbox" }),
            vec![
                Body("api_key", json!("")),
                Body("api_key", json!("rk_test_sand box")),
                Body("api_key", json!("hunter2")),
                Body("api_secret", json!("s")),
                Body("webhook_secret", json!(" \n")),
                Body("webhook_secret", json!("whsec_a\nwhsec_b")),
                Body("webhook_secret", json!("whsec_\u{200b}a")),
            ],
        ),
        exempt("GET", "/auth/{provider}/callback", Exemption::Callback),
        strict(
            "POST",
            "/integrations/{provider}/disconnect",
            "/integrations/slack/disconnect",
            json!({ "keep_records": true }),
            vec![
                Query("keep_records", "yes"),
                Body("keep_records", json!("yes")),
                Body("keep_records", json!("true")),
                Body("keep_records", json!(1)),
                Both("keep_records", "true", json!(false)),
                Both("account", "T0SANDBOX", json!("T0SANDBOX")),
            ],
        ),
        strict("DELETE", "/users/{user_id}", "/users/ada", Value::Null, vec![]),
        strict("GET", "/users/{user_id}", "/users/ada", Value::Null, vec![]),
    ]
}

fn integrations_api() -> Vec<Row> {
    vec![
        exempt("GET", "/settings/integrations", Exemption::Page),
        exempt("GET", "/settings/assets/{file}", Exemption::Asset),
        strict("GET", "/integrations", "/integrations", Value::Null, vec![]),
        strict("GET", "/integrations/{provider}", "/integrations/slack", Value::Null, vec![]),
        strict(
            "GET",
            "/integrations/{provider}/records",
            "/integrations/slack/records",
            Value::Null,
            vec![
                Query("stream", "nope"),
                Query("stream", "customers"),
                Query("after", "nope"),
                Query("limit", "0"),
                Query("limit", "ten"),
                Query("include_deleted", "yes"),
                Query("include_deleted", ""),
            ],
        ),
        strict(
            "GET",
            "/changes",
            "/changes",
            Value::Null,
            vec![
                Query("provider", "nope"),
                Query("stream", "nope"),
                Query("after", ""),
                Query("after", "nope"),
                Query("limit", "0"),
                Query("limit", "ten"),
            ],
        ),
        strict(
            "POST",
            "/integrations/{provider}/sync",
            "/integrations/slack/sync",
            json!({ "type": "full" }),
            vec![
                Body("type", json!("fulll")),
                Body("type", json!(7)),
                Both("account", "T0SANDBOX", json!("T0SANDBOX")),
            ],
        ),
        strict("GET", "/livez", "/livez", Value::Null, vec![]),
        strict("GET", "/openapi.json", "/openapi.json", Value::Null, vec![]),
        strict("GET", "/providers", "/providers", Value::Null, vec![]),
        strict("GET", "/health", "/health", Value::Null, vec![]),
        strict("GET", "/health/{provider}", "/health/slack", Value::Null, vec![]),
        strict(
            "POST",
            "/session",
            "/session",
            json!({ "token": "a.b.c" }),
            vec![Body("return_to", json!("//evil.example"))],
        ),
        strict(
            "POST",
            "/session/code",
            "/session/code",
            json!({ "origin": "https://app.example.com" }),
            vec![Body("origin", json!("https://evil.example"))],
        ),
        strict(
            "POST",
            "/tokens/{provider}",
            "/tokens/slack",
            json!({ "minimum_seconds": 60 }),
            vec![Body("minimum_seconds", json!(-1))],
        ),
        strict("POST", "/session/end", "/session/end", json!({}), vec![]),
    ]
}

fn operator_api() -> Vec<Row> {
    vec![
        strict(
            "GET",
            "/deliveries",
            "/deliveries",
            Value::Null,
            vec![
                Query("provider", "nope"),
                Query("state", "nope"),
                Query("after", "nope"),
                Query("limit", "ten"),
                Query("since", "today"),
                Query("until", "7"),
            ],
        ),
        strict("GET", "/deliveries/{id}", "/deliveries/19a-x", Value::Null, vec![]),
        strict("POST", "/deliveries/{id}/replay", "/deliveries/19a-x/replay", json!({}), vec![]),
        strict(
            "POST",
            "/deliveries/replay",
            "/deliveries/replay",
            json!({ "state": "dead", "since": "2026-11-29T10:00:00Z" }),
            vec![
                Body("state", json!("nope")),
                Body("provider", json!("nope")),
                Body("since", json!("today")),
                Body("until", json!(7)),
                Body("after", json!("nope")),
            ],
        ),
    ]
}

fn strict(method: &'static str, route: &'static str, path: &'static str, body: Value, refused: Vec<Refused>) -> Row {
    Row { method, route, checks: Checks::Strict { path, body, refused } }
}

fn exempt(method: &'static str, route: &'static str, exemption: Exemption) -> Row {
    Row { method, route, checks: Checks::Exempt(exemption) }
}

/// Actions besides the one in the table, with an input that each takes.
pub(super) fn actions() -> Vec<(&'static str, Value)> {
    let day =
        json!({ "calendar_id": "primary", "time_min": "2026-11-23T00:00:00Z", "time_max": "2026-11-24T00:00:00Z" });
    vec![
        ("/actions/slack/list_channels", json!({})),
        ("/actions/stripe/create_subscription", json!({ "customer": "cus_1", "price": "price_1" })),
        ("/actions/stripe/cancel_subscription", json!({ "subscription": "sub_1" })),
        ("/actions/google-calendar/list_events", day),
        ("/actions/gmail/send_email", json!({ "to": "ada@example.com", "subject": "Hi", "body": "Hello" })),
    ]
}
