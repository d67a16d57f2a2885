//! Which headers go through, in both directions.

use http::Method;
use serde_json::json;
use tests::{FAST, Guest, stack};

use super::last_call;

/// What becomes of a header of a request.
enum Row {
    Passed,
    RefusedByName,
    Harmless,
}

/// Header, provider, fate. What an HTTP/1.1 client can't choose (`Connection`, `TE`, …) is tested beside the lists.
const ROWS: &[(&str, &str, Row)] = &[
    ("accept", "stripe", Row::Passed),
    ("accept-language", "stripe", Row::Passed),
    ("cache-control", "stripe", Row::Passed),
    ("content-encoding", "stripe", Row::Passed),
    ("content-language", "stripe", Row::Passed),
    ("content-md5", "stripe", Row::Passed),
    ("idempotency-key", "stripe", Row::Passed),
    ("idempotency-key", "slack", Row::Passed),
    ("if-match", "google-calendar", Row::Passed),
    ("if-modified-since", "google-calendar", Row::Passed),
    ("if-none-match", "google-calendar", Row::Passed),
    ("if-range", "google-calendar", Row::Passed),
    ("if-unmodified-since", "google-calendar", Row::Passed),
    ("prefer", "stripe", Row::Passed),
    ("range", "stripe", Row::Passed),
    ("stripe-account", "stripe", Row::Passed),
    ("stripe-context", "stripe", Row::Passed),
    ("stripe-version", "stripe", Row::Passed),
    ("x-goog-fieldmask", "google-calendar", Row::Passed),
    ("x-goog-request-reason", "google-calendar", Row::Passed),
    ("x-goog-user-project", "google-calendar", Row::Passed),
    // Another provider's header is not known to this one.
    ("stripe-account", "slack", Row::RefusedByName),
    ("x-goog-user-project", "stripe", Row::RefusedByName),
    ("x-goog-api-key", "google-calendar", Row::RefusedByName),
    ("x-goog-authuser", "google-calendar", Row::RefusedByName),
    ("x-http-method", "google-calendar", Row::RefusedByName),
    ("x-http-method-override", "google-calendar", Row::RefusedByName),
    ("x-method-override", "google-calendar", Row::RefusedByName),
    ("x-original-url", "stripe", Row::RefusedByName),
    ("x-api-key", "stripe", Row::RefusedByName),
    ("x-of-next-year", "slack", Row::RefusedByName),
    ("cookie", "stripe", Row::Harmless),
    ("accept-encoding", "stripe", Row::Harmless),
    ("user-agent", "stripe", Row::Harmless),
    ("x-stripe-client-user-agent", "stripe", Row::Harmless),
    ("x-goog-api-client", "google-calendar", Row::Harmless),
    ("x-stainless-lang", "slack", Row::Harmless),
    ("origin", "stripe", Row::Harmless),
    ("referer", "stripe", Row::Harmless),
    ("sec-fetch-mode", "stripe", Row::Harmless),
    ("dnt", "stripe", Row::Harmless),
    ("forwarded", "stripe", Row::Harmless),
    ("via", "stripe", Row::Harmless),
    ("x-forwarded-for", "stripe", Row::Harmless),
    ("x-forwarded-host", "stripe", Row::Harmless),
    ("x-amzn-trace-id", "stripe", Row::Harmless),
    ("cloudfront-viewer-country", "stripe", Row::Harmless),
    ("cf-ray", "stripe", Row::Harmless),
    ("proxy-authorization", "stripe", Row::Harmless),
    ("traceparent", "stripe", Row::Harmless),
    ("x-request-id", "stripe", Row::Harmless),
];

/// A path of each provider that answers.
fn path(provider: &str) -> &'static str {
    match provider {
        "stripe" => "v1/account",
        "slack" => "auth.test",
        _ => "users/me/calendarList",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_passes_or_changes_nothing_or_refuses_the_call_by_its_name() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    ada.connect("slack").await;
    ada.connect("google-calendar").await;
    ada.settled("syncs").await;
    for (name, provider, row) in ROWS {
        let value = format!("a-value-of-{name}");
        ada.admin(provider, Method::DELETE, "calls", &json!(null)).await;
        let url = format!("/proxy/{provider}/{}", path(provider));
        let (status, _, body) = ada.call(Method::GET, &url, &[(name, &value)], b"").await;
        let body = String::from_utf8_lossy(&body);
        let arrived = last_call(&ada, provider).await;
        match row {
            Row::RefusedByName => {
                assert_eq!(status, 422, "{name} to {provider}: {body}");
                assert!(
                    body.contains(&format!("\\\"{name}\\\"")) && body.contains("invalid_request"),
                    "{name}: {body}"
                );
                assert!(arrived.is_null(), "{name} to {provider} left");
            }
            Row::Passed => {
                assert_eq!(arrived["headers"][name], value.as_str(), "{name} to {provider}: {status} {body}");
            }
            Row::Harmless => {
                assert!(!arrived.is_null(), "{name} to {provider}: {status} {body}");
                assert_ne!(arrived["headers"][name], value.as_str(), "{name} to {provider}");
            }
        }
    }
    // What the provider's data says by itself is replaced by what the caller says.
    let (status, headers, _) =
        ada.call(Method::GET, "/proxy/stripe/v1/account", &[("stripe-version", "2022-11-15")], b"").await;
    assert_eq!(status, 200);
    assert!(headers.contains_key("request-id"), "{headers:?}");
    assert_eq!(last_call(&ada, "stripe").await["headers"]["stripe-version"], "2022-11-15");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn known_headers_of_an_answer_come_back_and_a_cookie_never() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    ada.connect("slack").await;
    ada.settled("syncs").await;
    let returned = [
        ("accept-ranges", "bytes"),
        ("content-disposition", "attachment; filename=\"a.csv\""),
        ("content-range", "bytes 0-1/9"),
        ("content-type", "text/csv"),
        ("etag", "\"1\""),
        ("idempotent-replayed", "true"),
        ("last-modified", "Sun, 29 Nov 2026 10:00:00 GMT"),
        ("stripe-version", "2022-11-15"),
        ("vary", "origin"),
        ("www-authenticate", "Bearer realm=\"a\""),
        ("x-request-id", "1"),
    ];
    let mut headers: serde_json::Map<_, _> =
        returned.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    headers.insert("set-cookie".into(), json!("a=b"));
    headers.insert("x-powered-by".into(), json!("chance"));
    headers.insert("access-control-allow-origin".into(), json!("*"));
    ada.fault("stripe", "GET /v1/account", 1, json!({ "status": 206, "headers": headers, "body": "ab" })).await;
    let (status, answered, body) =
        ada.call(Method::GET, "/proxy/stripe/v1/account", &[("range", "bytes=0-1")], b"").await;
    assert_eq!((status, body.as_slice()), (206, b"ab".as_slice()));
    for (name, value) in returned {
        assert_eq!(answered.get(name).and_then(|it| it.to_str().ok()), Some(value), "{name}");
    }
    for name in ["set-cookie", "x-powered-by", "access-control-allow-origin"] {
        assert!(!answered.contains_key(name), "{name}");
    }
    assert!(answered.contains_key("request-id"), "Stripe's own");
    let (_, answered, _) = ada.call(Method::GET, "/proxy/slack/auth.test", &[], b"").await;
    assert!(answered.contains_key("x-oauth-scopes"), "{answered:?}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_locations_lead_through_the_proxy_or_nowhere() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    let ask = async |headers: serde_json::Value| {
        let effect = json!({ "status": 201, "headers": headers });
        ada.fault("stripe", "GET /v1/account", 1, effect).await;
        ada.call(Method::GET, "/proxy/stripe/v1/account", &[], b"").await.1
    };
    let own = format!("{}/proxy/stripe/v1", stack.url);
    let answered = ask(json!({
        "location": "/v1/files/file_1",
        "content-location": "https://api.stripe.com/v1/account?page=1",
        "link": "<https://api.stripe.com/v1/account?page=2>; rel=\"next\", <https://docs.stripe.com/x>; rel=\"help\"",
    }))
    .await;
    assert_eq!(answered["location"], format!("{own}/files/file_1"));
    assert_eq!(answered["content-location"], format!("{own}/account?page=1"));
    assert_eq!(answered["link"], format!("<{own}/account?page=2>; rel=\"next\""));
    assert_eq!(answered["intertie-removed"], "link");
    // An emulator writes its own address.
    let answered = ask(json!({ "location": format!("{}/v1/account", stack.sandbox.url("stripe")) })).await;
    assert_eq!(answered["location"], format!("{own}/account"));
    // Where it leads, a client goes with its session token: that is ours, and leads to the provider.
    let followed = answered["location"].to_str().unwrap().strip_prefix(&stack.url).unwrap();
    assert_eq!(ada.call(Method::GET, followed, &[], b"").await.0, 200);
    for elsewhere in ["https://evil.example/v1/x", "//evil.example/v1/x", "http://api.stripe.com/v1/x", "data:x"] {
        let answered = ask(json!({ "location": elsewhere })).await;
        assert!(!answered.contains_key("location"), "{elsewhere}");
        assert_eq!(answered["intertie-removed"], "location", "{elsewhere}");
    }
    stack.shutdown().await;
}
