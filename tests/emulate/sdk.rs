//! What the product sends to Slack is what Slack's own SDK sends for the same call; and the sandbox takes it from both.

use http::Method;
use local_cli::bundle::Options;
use serde_json::{Value, json};
use tests::{Guest, Node, options, stack_of};

/// Each call of methods that went through since the last time, without its order.
async fn relayed(node: &Node) -> Vec<Value> {
    let mut calls = node.order(json!({ "relayed": true })).await.as_array().unwrap().clone();
    calls.retain(|call| call["path"] != "/api/oauth.v2.access");
    calls.sort_by_key(Value::to_string);
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn the_product_sends_what_slacks_own_sdk_sends_for_the_same_call() {
    let node = Node::start("emulate", "sdk.mjs").await;
    let relay = node.ready["url"].as_str().unwrap();
    let stack = stack_of(Options { rewrites: format!("https://slack.com={relay}"), ..options().await }).await;
    node.order(json!({ "to": stack.sandbox.url("slack") })).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("slack").await;
    let message = json!({
        "channel": "C0GENERAL01", "text": "Grüße & <b> 100 % + more", "unfurl_links": false, "unfurl_media": true,
        "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": "*Hello* & goodbye" } }],
        "attachments": [{ "text": "And this" }],
    });
    let (status, posted) = ada.api(Method::POST, "/actions/slack/post_message", &message).await;
    assert_eq!(status, 200, "{posted}");
    let (status, listed) = ada.api(Method::POST, "/actions/slack/list_channels", &json!({})).await;
    assert_eq!(status, 200, "{listed}");
    let ours = relayed(&node).await;
    assert_eq!(ours.len(), 4, "{ours:?}");

    let secrets = ada.admin("slack", Method::GET, "secrets", &Value::Null).await;
    let mut secrets = secrets.as_array().unwrap().iter().filter_map(Value::as_str);
    let token = secrets.find(|secret| secret.starts_with("xoxe.xoxb-")).unwrap();
    let channels = |limit: u16| json!({ "types": "public_channel,private_channel", "limit": limit });
    for (method, arguments) in [
        ("conversations.list", channels(999)),
        ("users.list", json!({ "limit": 999 })),
        ("chat.postMessage", message.clone()),
        ("conversations.list", channels(999)),
    ] {
        let answer = node.order(json!({ "token": token, "method": method, "arguments": arguments })).await;
        assert_eq!(answer["ok"], true, "{answer}");
        if method == "chat.postMessage" {
            assert_eq!(answer["message"]["blocks"], message["blocks"]);
        }
    }
    assert_eq!(relayed(&node).await, ours);

    // Page by page: the SDK's cursors, and ours.
    let pages = json!({ "token": token, "paginate": "conversations.list", "arguments": channels(2) });
    let pages = node.order(pages).await;
    let pages = pages.as_array().unwrap();
    assert!(pages.len() > 1, "{pages:?}");
    let ids = |list: &Value| list.as_array().unwrap().iter().map(|it| it["id"].clone()).collect::<Vec<_>>();
    assert_eq!(pages.iter().flat_map(|page| ids(&page["channels"])).collect::<Vec<_>>(), ids(&listed["channels"]));
    let first = relayed(&node).await.iter().filter(|call| call["arguments"]["cursor"].is_null()).count();
    assert_eq!(first, 1, "the others have a cursor");

    let (status, end) = ada.api(Method::POST, "/integrations/slack/disconnect", &json!({})).await;
    assert!(status == 200 && end["revoked"] == "yes", "{status} {end}");
    let ours = relayed(&node).await;
    let answer = node.order(json!({ "token": token, "method": "auth.revoke" })).await;
    assert_eq!(answer["error"], "token_revoked", "{answer}");
    assert_eq!(relayed(&node).await, ours);
    stack.shutdown().await;
}
