//! Answers that no provider gives, to see where they lead.

use domain::Reply;
use serde_json::json;

/// Ids and marks that would lead elsewhere if they were not encoded.
pub(super) const HOSTILE: &[&str] =
    &["../../evil", "..", "a?b#c&d=e", "//evil.example/x", "https://evil.example/", "@evil.example", "ä\r\n"];

/// What providers' answers are made of.
const FIELDS: &[&str] = &[
    "channel",
    "channels",
    "data",
    "error",
    "expiration",
    "has_more",
    "history",
    "historyId",
    "id",
    "items",
    "labels",
    "latest_invoice",
    "members",
    "messages",
    "nextPageToken",
    "nextSyncToken",
    "ok",
    "resourceId",
    "response_metadata",
    "resultSizeEstimate",
    "threadId",
    "ts",
];

pub(super) fn reply(body: impl Into<Vec<u8>>) -> Reply {
    Reply { status: 200, body: body.into(), ..Reply::default() }
}

/// Answers that no provider documents: no JSON, no object, each field alone with each type.
pub(super) fn nonsense() -> Vec<Reply> {
    let mut all: Vec<_> =
        ["", "null", "[]", "{}", "\"\"", "1e999", "<html>", "{\"data\":", "\u{feff}{}"].map(reply).into();
    all.push(reply("[".repeat(100_000)));
    all.push(reply(format!("{{\"items\":{}", "[{\"items\":".repeat(50_000))));
    all.push(reply([0xff, 0xfe]));
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!("x"),
        json!([null]),
        json!([[]]),
        json!([{}]),
        json!({}),
    ];
    for field in FIELDS {
        all.extend(values.iter().map(|value| reply(json!({ *field: value }).to_string())));
    }
    all
}

/// Answers that lead on, with hostile marks and ids in all places.
pub(super) fn leading(mark: &str) -> Vec<Reply> {
    let customer = json!({"id": mark, "object": "customer"});
    let event = json!({"id": "evt_1", "type": "customer.updated", "created": 1, "data": {"object": customer}});
    [
        json!({"channels": [{"id": mark}], "response_metadata": {"next_cursor": mark}}),
        json!({"members": [{"id": mark}], "response_metadata": {"next_cursor": mark}}),
        json!({"channels": [], "members": [], "response_metadata": {"next_cursor": mark}}),
        json!({"data": [customer], "has_more": true}),
        json!({"data": [event, {"id": mark, "object": "customer"}], "has_more": true}),
        json!({"items": [{"id": mark}], "nextPageToken": mark}),
        json!({"items": [{"id": mark}], "nextSyncToken": mark}),
        json!({"historyId": "1", "nextPageToken": mark}),
        json!({"messages": [{"id": mark}], "nextPageToken": mark}),
        json!({"messages": [], "nextPageToken": mark}),
        json!({"labels": [{"id": mark}]}),
    ]
    .map(|body| reply(body.to_string()))
    .into()
}
