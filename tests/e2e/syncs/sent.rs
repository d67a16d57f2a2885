//! Calls and counters are what the vendors' own SDKs send and read.

use http::Method;
use serde_json::{Value, json};
use tests::{FAST, Guest, stack};

/// The records of a stream, deleted ones included.
async fn records(guest: &Guest<'_>, provider: &str, stream: &str) -> Vec<Value> {
    let path = format!("/integrations/{provider}/records?stream={stream}&include_deleted=true");
    let (status, body) = guest.api(Method::GET, &path, &Value::Null).await;
    assert_eq!(status, 200, "{body}");
    body["records"].as_array().unwrap().clone()
}

async fn sync(guest: &Guest<'_>, provider: &str) {
    let (status, body) =
        guest.api(Method::POST, &format!("/integrations/{provider}/sync"), &json!({ "type": "incremental" })).await;
    assert_eq!(status, 202, "{body}");
    guest.settled("syncs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gmails_history_is_followed_over_all_its_unsigned_64_bits() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    // What i64 does not hold begins two changes later.
    let near = i64::MAX - 20;
    ada.admin("gmail", Method::POST, "history_id", &json!({ "history_id": near.to_string() })).await;
    ada.connect_and_sync("gmail").await;
    let before = records(&ada, "gmail", "messages").await;
    assert_eq!(before.len(), 6, "{before:?}");

    let id = |record: &Value| record["id"].as_str().unwrap().to_owned();
    let (labelled, deleted) = (id(&before[0]), id(&before[1]));
    for labels in [json!(["INBOX", "STARRED"]), json!(["INBOX"])] {
        let order = json!({ "labelIds": labels, "silent": true });
        ada.admin("gmail", Method::POST, &format!("messages/{labelled}"), &order).await;
    }
    ada.admin("gmail", Method::DELETE, &format!("messages/{deleted}"), &json!({ "silent": true })).await;
    sync(&ada, "gmail").await;

    let after = records(&ada, "gmail", "messages").await;
    let found = |wanted: &str| after.iter().find(|record| record["id"] == wanted).unwrap();
    assert_eq!(found(&labelled)["data"]["label_ids"], json!(["INBOX"]));
    assert_eq!(found(&deleted)["deleted"], true);
    assert_eq!(tests::depth(&stack, "syncs-dead"), 0);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slacks_lists_are_posted_and_posted_again_when_slack_fails_but_a_message_is_not() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    for list in ["conversations.list", "users.list"] {
        // The answer is lost: the outcome of the call is unknown.
        ada.fault("slack", list, 1, json!({ "status": 502, "after": true })).await;
    }
    let id = ada.connect_and_sync("slack").await;
    for list in ["conversations.list", "users.list"] {
        assert_eq!(ada.calls("slack", &format!("GET /api/{list}")).await, 0);
        assert_eq!(ada.calls("slack", &format!("POST /api/{list}")).await, 2, "{list}");
    }

    assert_eq!(ada.look.announced("sync.completed", &id).unwrap(), 1);

    ada.fault("slack", "chat.postMessage", 1, json!({ "status": 502, "after": true })).await;
    let message = json!({ "channel": "C0GENERAL01", "text": "Grüße & more", "blocks": [{ "type": "divider" }] });
    let (status, body) = ada.api(Method::POST, "/actions/slack/post_message", &message).await;
    assert_eq!(status, 502, "{body}");
    assert_eq!(ada.calls("slack", "POST /api/chat.postMessage").await, 1);
    let messages = ada.admin("slack", Method::GET, "messages", &Value::Null).await;
    let posted = messages.as_array().unwrap().iter().find(|it| it["text"] == "Grüße & more").unwrap();
    assert_eq!(posted["blocks"], message["blocks"]);
    stack.shutdown().await;
}
