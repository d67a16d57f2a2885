//! Errors of the proxy as vendors' SDKs understand them: what a retry can't help is not to be sent again.

use http::Method;
use serde_json::{Value, json};
use tests::{FAST, Guest, stack};

#[tokio::test(flavor = "multi_thread")]
async fn stripes_sdks_are_told_not_to_repeat_what_no_repeat_helps() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let (status, headers, body) = ada.call(Method::GET, path, headers, b"").await;
        let retry = headers.get("stripe-should-retry").map(|value| value.to_str().unwrap().to_owned());
        let body: Value = serde_json::from_slice(&body).unwrap();
        (status, retry, body["error"]["kind"].as_str().unwrap_or_default().to_owned())
    };
    let no = Some("false".to_owned());
    // They repeat 409 twice.
    assert_eq!(ask("/proxy/stripe/v1/account", &[]).await, (409, no.clone(), "not_connected".to_owned()));
    ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    let account = [("intertie-account", "acct_other")];
    let (status, retry, _) = ask("/proxy/stripe/v1/account", &account).await;
    assert_eq!((status, retry), (404, no.clone()));
    assert_eq!(ask("/proxy/stripe/v1/account", &[("x-api-key", "1")]).await.1, no);
    // A retry helps here, after the wait that Retry-After names.
    ada.fault("stripe", "GET /v1/account", 5, json!({ "close": true })).await;
    let (status, headers, _) = ada.call(Method::GET, "/proxy/stripe/v1/account", &[], b"").await;
    assert_eq!((status, headers.get("stripe-should-retry"), headers.contains_key("retry-after")), (502, None, true));
    ada.admin("stripe", Method::DELETE, "faults", &Value::Null).await;
    // What Stripe itself says stays.
    let effect = json!({ "status": 409, "headers": { "stripe-should-retry": "true" }, "body": { "error": {} } });
    ada.fault("stripe", "POST /v1/customers", 4, effect).await;
    let form = [("content-type", "application/x-www-form-urlencoded"), ("idempotency-key", "k")];
    let (status, headers, _) = ada.call(Method::POST, "/proxy/stripe/v1/customers", &form, b"name=x").await;
    assert_eq!((status, &headers["stripe-should-retry"]), (409, &http::HeaderValue::from_static("true")));
    // Slack's have no such header.
    assert_eq!(ask("/proxy/slack/auth.test", &[]).await, (409, None, "not_connected".to_owned()));
    stack.shutdown().await;
}
