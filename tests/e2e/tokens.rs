//! Tokens on request: off unless the deployment turns it on, good for as long as they are asked to be, on the bus, and in no log.

use http::Method;
use serde_json::{Value, json};
use tests::{FAST, Guest, logs, published, stack};

async fn ask(guest: &Guest<'_>, provider: &str, body: Value) -> (u16, Value) {
    guest.api(Method::POST, &format!("/tokens/{provider}"), &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_given_out_unless_the_deployment_says_so() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("slack").await;
    let (status, body) = ask(&ada, "slack", json!({})).await;
    assert_eq!((status, &body["error"]["kind"]), (403, &json!("scope_missing")), "{body}");
    assert!(body["error"]["next_action"].as_str().unwrap().contains("TokenVending"), "{body}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_as_long_as_asked_works_at_the_provider_and_is_on_the_bus_and_in_no_log() {
    let stack = stack(&[FAST, &[("TokenVending", "on")]].concat()).await;
    let ada = Guest::new(&stack, "ada").await;
    let eve = Guest::new(&stack, "eve").await;
    let id = ada.connect_and_sync("google-calendar").await;
    let (status, body) = ask(&ada, "google-calendar", json!({})).await;
    assert_eq!(
        (status, &body["token_type"], &body["account"]["name"]),
        (200, &json!("Bearer"), &json!("ada@example.com")),
        "{body}"
    );
    assert!(body["scopes"].as_array().unwrap().iter().any(|it| it.as_str().unwrap().contains("calendar")), "{body}");
    let token = body["access_token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let url = format!("{}/calendar/v3/users/me/calendarList", stack.sandbox.url("google"));
    let answer = local_base::web::Web::new().call(Method::GET, &url, &[("authorization", &bearer)], "").await.unwrap();
    assert_eq!(answer.status(), 200, "the provider takes it");

    // One that ends too soon is refreshed first.
    let before = ada.refreshes("google-calendar").await.0;
    ada.look.age(&id, 600).await.unwrap();
    let (_, same) = ask(&ada, "google-calendar", json!({ "minimum_seconds": 300 })).await;
    assert_eq!((same["access_token"].as_str(), ada.refreshes("google-calendar").await.0), (Some(&*token), before));
    let (status, fresh) =
        ask(&ada, "google-calendar", json!({ "minimum_seconds": 900, "account": "ada@example.com" })).await;
    assert_eq!((status, ada.refreshes("google-calendar").await), (200, (before + 1, false)), "{fresh}");
    let other = fresh["access_token"].as_str().unwrap();
    assert_ne!(other, token);
    let ends: jiff::Timestamp = fresh["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(ends.duration_since(platform::base::clock::now()).as_secs() > 900, "{fresh}");

    for (body, field) in [
        (json!({ "minimum_seconds": 3_001 }), "minimum_seconds"),
        (json!({ "minimum_seconds": "60" }), "minimum_seconds"),
    ] {
        let (status, answer) = ask(&ada, "google-calendar", body).await;
        assert_eq!((status, &answer["error"]["fields"][0]["field"]), (422, &json!(field)), "{answer}");
    }
    assert_eq!(ask(&eve, "google-calendar", json!({})).await.0, 409, "another user has no such integration");
    let issued: Vec<_> =
        published(&stack).into_iter().filter(|it| it.to_string().contains("integration.token_issued")).collect();
    assert_eq!(issued.len(), 3, "{issued:?}");
    for secret in [&*token, other] {
        assert!(!logs(&stack).contains(secret) && issued.iter().all(|it| !it.to_string().contains(secret)));
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_grant_is_over_is_not_given_out_and_the_user_is_asked_to_reconnect() {
    let stack = stack(&[FAST, &[("TokenVending", "on")]].concat()).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("gmail").await;
    ada.admin("gmail", Method::POST, "grants/revoke", &json!({})).await;
    ada.look.age(&id, -10).await.unwrap();
    let (status, body) = ask(&ada, "gmail", json!({})).await;
    assert_eq!((status, &body["error"]["kind"]), (409, &json!("reconnect_required")), "{body}");
    assert_eq!(ada.status("gmail").await["state"], "reconnect_required");
    assert_eq!(ask(&ada, "gmail", json!({})).await.0, 409);
    stack.shutdown().await;
}
