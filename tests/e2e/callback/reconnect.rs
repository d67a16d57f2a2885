//! Connecting again keeps what the answer does not replace, and a grant that nothing renews says so at once.

use http::Method;
use serde_json::{Value, json};
use tests::{FAST, Guest, stack};

const CALENDAR: &str = "/proxy/google-calendar/calendars/primary";

/// Whether a refresh token is stored.
async fn is_renewable(ada: &Guest<'_>, id: &str) -> bool {
    ada.look.credentials(id).await.unwrap()[0].contains_key("refresh")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_refresh_token_keeps_the_stored_one_and_without_one_says_when_access_ends() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let bring_refresh_tokens = async |renewable: bool| {
        ada.admin("google", Method::POST, "tokens/renewable", &json!({ "renewable": renewable })).await;
    };
    let works = async || ada.api(Method::GET, CALENDAR, &Value::Null).await.0 == 200;
    let id = ada.connect_and_sync("google-calendar").await;

    bring_refresh_tokens(false).await;
    assert_eq!(ada.connect_and_sync("google-calendar").await, id);
    assert!(is_renewable(&ada, &id).await && ada.look.credential(&id).await.unwrap().due, "it is kept, and due");
    assert_eq!(ada.status("google-calendar").await["error"], Value::Null);
    ada.look.age(&id, -1).await.unwrap();
    assert!(works().await, "it is refreshed with the token that was kept");
    assert_eq!(ada.refreshes("google").await.0, 1);

    // What is over renews nothing.
    ada.admin("google", Method::POST, "grants/revoke", &json!({})).await;
    assert!(!works().await);
    assert_eq!(ada.status("google-calendar").await["state"], "reconnect_required");
    ada.connect_and_sync("google-calendar").await;
    let status = ada.status("google-calendar").await;
    let words = status["error"].as_str().unwrap();
    assert_eq!(status["state"], "connected", "{status}");
    assert!(words.starts_with("Google Calendar gave us access that can't be renewed: it ends "), "{words}");
    assert!(words.ends_with(" UTC. Connect Google Calendar again."), "{words}");
    assert!(works().await && !is_renewable(&ada, &id).await);
    let page = ada.get("/settings/integrations").await.body;
    assert!(page.contains("it ends"), "{page}");

    ada.look.age(&id, -1).await.unwrap();
    ada.admin("google", Method::POST, "tokens/expire", &json!({})).await;
    assert!(!works().await, "it has ended as was told");
    bring_refresh_tokens(true).await;
    ada.connect("google-calendar").await;
    assert_eq!(ada.status("google-calendar").await["error"], Value::Null);
    assert!(works().await && is_renewable(&ada, &id).await);
    stack.shutdown().await;
}
