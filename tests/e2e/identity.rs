//! Whose an account is: what never changes identifies it, and what changes is a name.

use http::Method;
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, published, stack};

const ADA: &str = "ada@example.com";
const SUB: &str = "100000000000000000001";

/// The account gets another address at Google, or a service or not.
async fn google_account(ada: &Guest<'_>, order: Value) {
    ada.admin("gmail", Method::POST, "account", &order).await;
}

/// Google reports that this account's mailbox changed: the report as it is on the bus.
async fn pushed(ada: &Guest<'_>, account: &str, id: &str) -> Value {
    ada.admin("gmail", Method::POST, "send", &json!({ "account": account, "message_id": id })).await;
    let found = async || published(ada.stack).into_iter().find(|detail| detail["id"] == id);
    ada.stack.until(PATIENCE, found).await.unwrap_or_else(|waited| panic!("{id} is not on the bus: {waited}"))
}

async fn sync(ada: &Guest<'_>, provider: &str, kind: &str) {
    let path = format!("/integrations/{provider}/sync");
    let (status, body) = ada.api(Method::POST, &path, &json!({ "type": kind })).await;
    assert_eq!(status, 202, "{body}");
    ada.settled("syncs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_google_account_stays_one_integration_and_its_pushes_find_it_after_the_next_sync() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let gmail = ada.connect_and_sync("gmail").await;
    assert_eq!(ada.status("gmail").await["account"], json!({ "id": SUB, "name": "ada@example.com" }));
    assert_eq!(pushed(&ada, ADA, "before").await["integration_id"], gmail.as_str());

    google_account(&ada, json!({ "address": "Ada.King@example.com" })).await;
    assert_eq!(pushed(&ada, ADA, "unknown").await["integration_id"], Value::Null, "nobody has this address yet");
    sync(&ada, "gmail", "incremental").await;
    assert_eq!(ada.status("gmail").await["account"], json!({ "id": SUB, "name": "Ada.King@example.com" }));
    assert_eq!(pushed(&ada, ADA, "after").await["integration_id"], gmail.as_str());

    // Connecting again finds the same integration, and the other provider of the same account has the same id.
    assert_eq!(ada.connect("gmail").await, gmail);
    ada.connect("google-calendar").await;
    assert_eq!(ada.status("google-calendar").await["account"]["id"], SUB);
    assert_eq!(ada.holdings().await.0, 2);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_changed_hands_leads_to_who_has_it_now() {
    let stack = stack(FAST).await;
    let (ada, grace) = (Guest::new(&stack, "ada").await, Guest::new(&stack, "grace").await);
    let hers = ada.connect_and_sync("gmail").await;
    google_account(&ada, json!({ "address": "ada.king@example.com" })).await;
    google_account(&ada, json!({ "account": "grace@example.com", "address": "ada@example.com" })).await;
    let of_grace = grace.connect_account("gmail", "ada@example.com").await;
    sync(&ada, "gmail", "full").await;
    let found = pushed(&ada, "grace@example.com", "m1").await;
    assert_eq!((&found["integration_id"], &found["user_id"]), (&json!(of_grace), &json!("grace")));
    assert_eq!(pushed(&ada, ADA, "m2").await["integration_id"], hers.as_str());
    stack.shutdown().await;
}
