//! Addresses in the headers of an answer.

use http::Method;
use serde_json::json;
use tests::{FAST, Guest, stack};

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
