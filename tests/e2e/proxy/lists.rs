//! Lists end where an answer or its time does, and waits are told in the way HTTP has for it.

use http::Method;
use serde_json::{Value, json};
use tests::{FAST, Guest, stack};

const LIST: &str = "/actions/google-calendar/list_events";

fn input() -> Value {
    json!({ "calendar_id": "primary", "time_min": "2026-11-01T00:00:00Z", "time_max": "2026-12-01T00:00:00Z" })
}

/// A page of so many events of 4,000 quotes each, after which another follows.
fn page(events: usize, next: &str) -> Value {
    let event = |index| json!({ "id": format!("e{index}"), "summary": "\"".repeat(4_000) });
    let items: Vec<_> = (0..events).map(event).collect();
    json!({ "status": 200, "body": { "kind": "calendar#events", "items": items, "nextPageToken": next } })
}

async fn list(ada: &Guest<'_>, headers: &[(&str, &str)]) -> (u16, Value) {
    let body = input().to_string();
    let all: Vec<_> = [("content-type", "application/json")].into_iter().chain(headers.iter().copied()).collect();
    let (status, _, answer) = ada.call(Method::POST, LIST, &all, body.as_bytes()).await;
    (status, serde_json::from_slice(&answer).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_larger_than_an_answer_is_cut_and_says_so_also_under_a_key() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("google-calendar").await;
    let key = [("idempotency-key", "k-1")];
    for _ in 0..2 {
        for next in ["a", "b"] {
            ada.fault("google-calendar", "GET /calendar/v3/calendars/primary/events", 1, page(250, next)).await;
        }
        let (status, answer) = list(&ada, &key).await;
        assert_eq!((status, &answer["complete"]), (200, &false.into()));
        let events = answer["events"].as_array().unwrap().len();
        // 250 events of 4,000 quotes are 2 MB as JSON and 4 MB inside the answer's JSON.
        assert!((251..500).contains(&events), "{events}");
        ada.admin("google-calendar", Method::DELETE, "faults", &Value::Null).await;
    }
    let other =
        json!({ "calendar_id": "other", "time_min": "2026-11-01T00:00:00Z", "time_max": "2026-12-01T00:00:00Z" });
    let headers = [("content-type", "application/json"), key[0]];
    let (status, ..) = ada.call(Method::POST, LIST, &headers, other.to_string().as_bytes()).await;
    assert_eq!(status, 409, "the key is still that of the first input");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_must_wait_for_a_limit_gives_what_it_has() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("google-calendar").await;
    let limited = json!({ "status": 429, "headers": { "retry-after": "3600" } });
    let name = "GET /calendar/v3/calendars/primary/events";
    ada.fault("google-calendar", name, 1, page(1, "a")).await;
    ada.fault("google-calendar", name, 1, limited.clone()).await;
    let (status, answer) = list(&ada, &[]).await;
    assert_eq!((status, &answer["complete"]), (200, &false.into()), "{answer}");
    assert_eq!(answer["events"].as_array().unwrap().len(), 1);
    // Without a page there is nothing to give.
    ada.fault("google-calendar", name, 1, limited).await;
    assert_eq!(list(&ada, &[]).await.0, 429);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_runs_out_of_time_gives_what_it_has() {
    let stack = stack(&[("ProxyTimeoutSeconds", "8")]).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("google-calendar").await;
    let mut slow = page(1, "b");
    slow["hang_ms"] = 5_000.into();
    let name = "GET /calendar/v3/calendars/primary/events";
    ada.fault("google-calendar", name, 1, page(1, "a")).await;
    ada.fault("google-calendar", name, 2, slow).await;
    let (status, answer) = list(&ada, &[]).await;
    assert_eq!((status, &answer["complete"]), (200, &false.into()), "{answer}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_is_reported_in_the_header_as_in_the_body() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("slack").await;
    let input = json!({ "channel": "C0GENERAL01", "text": "Hello" }).to_string();
    for (effect, status, seconds) in [
        (json!({ "status": 503 }), 502, 50..=60),
        (json!({ "status": 429, "headers": { "retry-after": "90" } }), 429, 80..=90),
    ] {
        ada.fault("slack", "POST /api/chat.postMessage", 4, effect).await;
        let headers = [("content-type", "application/json")];
        let (answered, headers, body) =
            ada.call(Method::POST, "/actions/slack/post_message", &headers, input.as_bytes()).await;
        ada.admin("slack", Method::DELETE, "faults", &Value::Null).await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answered, status, "{body}");
        assert!(body["error"]["retry_at"].is_string(), "{body}");
        let wait: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!(seconds.contains(&wait), "{wait}");
    }
    stack.shutdown().await;
}
