//! What the browser and the token endpoint can bring back that is not a grant.

use serde_json::{Value, json};
use tests::{FAST, Guest, stack};

use super::{add, assert_invalid, assert_leads, set, without};

type Change = Box<dyn Fn(&str) -> String>;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_answers_of_a_provider_store_nothing_and_are_explained_in_our_words() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    answers_of_the_browser(&ada).await;
    answers_of_the_token_endpoint(&ada).await;
    assert_eq!(ada.holdings().await, (0, 0));
    assert!(ada.look.items("oauth-states").await.unwrap().is_empty(), "an authorization request that failed is over");
    ada.connect("slack").await;
    stack.shutdown().await;
}

/// What the browser brings back.
async fn answers_of_the_browser(ada: &Guest<'_>) {
    let right = "https://accounts.google.com";
    let refused = |callback: &str| without(&set(callback, "error", "access_denied"), "code");
    let cases: Vec<(&str, Change)> = vec![
        ("another issuer", Box::new(|it| set(it, "iss", "https://evil.example"))),
        ("two issuers", Box::new(|it| add(it, "iss", "https://evil.example"))),
        ("the issuer twice", Box::new(move |it| add(it, "iss", right))),
        ("two codes", Box::new(|it| add(it, "code", "4/other"))),
        ("no code", Box::new(|it| without(it, "code"))),
        ("a huge code", Box::new(|it| set(it, "code", &"c".repeat(5000)))),
        ("a code with a line break", Box::new(|it| set(it, "code", "c\r\nX-Evil: 1"))),
        ("a code with a NUL", Box::new(|it| set(it, "code", "c\0d"))),
        ("another error", Box::new(|it| set(it, "error", "invalid_scope"))),
        ("the provider is down", Box::new(|it| set(it, "error", "server_error"))),
        ("two errors", Box::new(move |it| add(&refused(it), "error", "<script>"))),
    ];
    for (what, change) in cases {
        let callback = ada.allow("/connect/google-calendar").await;
        let code = if what == "the provider is down" { "provider_down" } else { "connect_failed" };
        assert_leads(&ada.get(&change(&callback)).await, &format!("?error={code}"), what);
        assert_invalid(&ada.get(&callback).await, what);
    }

    assert_eq!(ada.calls("gmail", "POST /token").await, 0, "Google was asked for a token");

    let callback = ada.allow("/connect/google-calendar").await;
    let words = "<script>alert(1)</script>";
    let page = ada.get(&set(&refused(&callback), "error_description", words)).await;
    assert_leads(&page, "?error=access_denied", "the user refuses");
    let home = ada.get(page.location.as_deref().unwrap()).await;
    assert!(!page.body.contains("script") && !home.body.contains("alert"), "the provider's words are shown");
    assert!(home.body.contains("access was not allowed"), "{}", home.body);
}

/// What the token endpoint answers.
async fn answers_of_the_token_endpoint(ada: &Guest<'_>) {
    let slack = ada.stack.sandbox.url("slack");
    let ok = |fields: Value| {
        let mut body = json!({ "ok": true, "access_token": "xoxb-1", "team": { "id": "T1", "name": "T" } });
        fields.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        json!({ "status": 200, "body": body })
    };
    for (what, effect) in [
        ("a page", json!({ "html": true })),
        ("a refusal in a success", json!({ "status": 200, "body": { "ok": false, "error": "invalid_code" } })),
        ("tokens in a refusal", ok(json!({ "ok": false }))),
        ("a redirect", json!({ "status": 302, "headers": { "location": format!("{slack}/api/attacker") } })),
        (
            "a redirect that keeps the body",
            json!({ "status": 307, "headers": { "location": format!("{slack}/api/attacker") } }),
        ),
        ("more than is read", json!({ "status": 200, "body": { "ok": true, "access_token": "x".repeat(7_000_000) } })),
        ("an empty object", json!({ "status": 200, "body": {} })),
        ("an empty token", ok(json!({ "access_token": "" }))),
        ("a token with a line break", ok(json!({ "access_token": "a\r\nb" }))),
        ("a token of another type", ok(json!({ "token_type": "mac" }))),
        ("an account that could forge a key", ok(json!({ "team": { "id": "T1#x", "name": "T" } }))),
        ("no account", ok(json!({ "team": null }))),
        ("an outage", json!({ "status": 503 })),
        ("no answer", json!({ "close": true })),
    ] {
        let callback = ada.allow("/connect/slack").await;
        ada.fault("slack", "POST /api/oauth.v2.access", 1, effect).await;
        let down = ["an outage", "no answer"].contains(&what);
        let code = if down { "provider_down" } else { "connect_failed" };
        assert_leads(&ada.get(&callback).await, &format!("?error={code}"), what);
        assert_eq!(ada.holdings().await, (0, 0), "{what}");
    }
    assert_eq!(ada.calls("slack", "/api/attacker").await, 0, "a redirect was followed");
}
