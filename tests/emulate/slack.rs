//! Slack.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tests::{Guest, PATIENCE, published};

use crate::{Objects, assert_clean, is_tombstone, peer::Peer, pick, records, sync};

const SCOPES: &str = "channels:read,groups:read,chat:write,users:read";
/// An administrator of the workspace, and a token of theirs.
const ADMIN: (&str, &str) = ("U000000001", "xoxp-admin");

/// What is compared: our field, and where Slack has it.
const CHANNEL: &[(&str, &str)] = &[
    ("name", "/name"),
    ("is_private", "/is_private"),
    ("is_archived", "/is_archived"),
    ("is_member", "/is_member"),
    ("num_members", "/num_members"),
    ("topic", "/topic/value"),
    ("purpose", "/purpose/value"),
    ("created", "/created"),
];
const USER: &[(&str, &str)] = &[
    ("name", "/name"),
    ("real_name", "/real_name"),
    ("display_name", "/profile/display_name"),
    ("is_bot", "/is_bot"),
    ("is_admin", "/is_admin"),
    ("deactivated", "/deleted"),
];

/// The objects of a list, page by page, as the same bot sees them.
async fn there(peer: &Peer, bot: &str, method: &str, list: &str, fields: &[(&str, &str)]) -> Objects {
    let (mut all, mut page) = (Objects::new(), Value::Null);
    loop {
        let cursor = page["response_metadata"]["next_cursor"].as_str().unwrap_or_default();
        let asked = [("types", "public_channel,private_channel"), ("limit", "50"), ("cursor", cursor)];
        page = peer.slack(method, bot, &asked).await;
        for object in page[list].as_array().unwrap() {
            all.insert(object["id"].as_str().unwrap().to_owned(), pick(object, fields));
        }
        if page["response_metadata"]["next_cursor"] == "" {
            return all;
        }
    }
}

async fn here(ada: &Guest<'_>, stream: &str, fields: &[(&str, &str)]) -> Objects {
    let ours: Vec<_> = fields.iter().map(|(name, _)| (*name, format!("/data/{name}"))).collect();
    let ours: Vec<_> = ours.iter().map(|(name, pointer)| (*name, pointer.as_str())).collect();
    records(ada, "slack", stream, &ours).await
}

async fn assert_equal(peer: &Peer, ada: &Guest<'_>, bot: &str) {
    assert_eq!(here(ada, "channels", CHANNEL).await, there(peer, bot, "conversations.list", "channels", CHANNEL).await);
    assert_eq!(here(ada, "users", USER).await, there(peer, bot, "users.list", "members", USER).await);
}

/// How often an event's effect was committed.
async fn effects(peer: &Peer, event: &str) -> Option<String> {
    let key = AttributeValue::S(format!("slack#T000000001#{event}"));
    let call = peer.stack.clients.dynamodb.get_item().table_name(peer.stack.table("idempotency")).key("key", key);
    let item = call.consistent_read(true).send().await.unwrap().item?;
    (item["state"].as_s().unwrap() == "done").then(|| item["effects"].as_n().unwrap().clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_is_connected_through_its_own_page_synced_told_of_changes_once_and_acted_on() {
    let peer = Peer::start().await;
    let ada = Guest::new(&peer.stack, "ada").await;
    peer.connect(&ada, "slack", ADMIN.0).await;
    let bot = peer.token("slack", &peer.stack.apps["slack"], SCOPES, ADMIN.0).await;
    let account = ada.status("slack").await["account"].clone();
    assert_eq!(account, json!({ "id": "T000000001", "name": "Acme" }));
    assert_equal(&peer, &ada, &bot).await;
    assert!(here(&ada, "channels", CHANNEL).await.len() > 999);

    // Changes: told of by Slack's own signed events, each of them sent twice.
    let admin = async |method: &str, arguments: &[(&str, &str)]| peer.slack(method, ADMIN.1, arguments).await;
    let channel = async |name: &str| {
        let found = there(&peer, ADMIN.1, "conversations.list", "channels", CHANNEL).await;
        found.into_iter().find(|(_, channel)| channel["name"] == name).unwrap().0
    };
    let (renamed, archived, secret) = (channel("channel1").await, channel("channel2").await, channel("secret").await);
    let me = admin("auth.test", &[]).await["user_id"].as_str().unwrap().to_owned();
    assert_eq!(me, ADMIN.0);
    let bot_user = peer.slack("auth.test", &bot, &[]).await["user_id"].as_str().unwrap().to_owned();
    admin("conversations.rename", &[("channel", &renamed), ("name", "renamed")]).await;
    admin("conversations.archive", &[("channel", &archived)]).await;
    admin("conversations.invite", &[("channel", &secret), ("users", &bot_user)]).await;
    admin("users.profile.set", &[("profile", r#"{"real_name":"Grace Hopper","display_name":"grace"}"#)]).await;
    let sent = peer.deliveries().await;
    assert!(sent.iter().all(|delivery| delivery["status"] == 200), "{sent:?}");
    let mut events: Vec<_> = sent.iter().map(|delivery| delivery["id"].as_str().unwrap().to_owned()).collect();
    events.sort();
    events.dedup();
    assert_eq!(sent.len(), 2 * events.len(), "{sent:?}");
    for kind in ["channel_rename", "channel_archive", "member_joined_channel", "user_change", "message"] {
        assert!(sent.iter().any(|delivery| delivery["type"] == kind), "{kind}: {sent:?}");
    }
    ada.settled("webhooks").await;
    ada.settled("syncs").await;
    for effects in join_all(events.iter().map(|event| effects(&peer, event))).await {
        assert_eq!(effects.as_deref(), Some("1"));
    }
    let count = |event: &String| {
        published(&peer.stack)
            .iter()
            .filter(|detail| detail["id"].as_str().is_some_and(|id| id.contains(event.as_str())))
            .count()
    };
    assert!(events.iter().all(|event| count(event) == 1), "{:?}", published(&peer.stack));

    sync(&ada, "slack", "incremental").await;
    assert_equal(&peer, &ada, &bot).await;
    let channels = here(&ada, "channels", CHANNEL).await;
    assert_eq!(json!([channels[&renamed]["name"], channels[&archived]["is_archived"]]), json!(["renamed", true]));
    assert_eq!(channels[&secret]["is_private"], true);
    assert_eq!(here(&ada, "users", USER).await[ADMIN.0]["real_name"], "Grace Hopper");

    // Nothing is deleted there: what the bot can't see any more is gone for it.
    admin("conversations.kick", &[("channel", &secret), ("user", &bot_user)]).await;
    ada.settled("webhooks").await;
    sync(&ada, "slack", "full").await;
    assert_equal(&peer, &ada, &bot).await;
    assert!(is_tombstone(&ada, "slack", "channels", &secret).await);

    let message = json!({
        "channel": renamed, "text": "Grüße & <b>", "unfurl_links": false,
        "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": "*Hello* & goodbye" } }],
    });
    let (status, posted) = ada.api(Method::POST, "/actions/slack/post_message", &message).await;
    assert_eq!(status, 200, "{posted}");
    let history = admin("conversations.history", &[("channel", &renamed)]).await;
    let found = history["messages"].as_array().unwrap().iter().find(|it| it["ts"] == posted["ts"]).unwrap();
    for field in ["text", "blocks", "unfurl_links"] {
        assert_eq!(found[field], message[field], "{found}");
    }
    assert_eq!(found["user"], bot_user);
    let (status, listed) = ada.api(Method::POST, "/actions/slack/list_channels", &json!({})).await;
    assert_eq!((status, listed["channels"].as_array().map(Vec::len)), (200, Some(channels.len() - 1)));

    // The event of our own message comes too.
    let mine = async || {
        let mine = |detail: &Value| detail["type"] == "message" && detail["data"]["ts"] == posted["ts"];
        published(&peer.stack).iter().any(mine).then_some(())
    };
    peer.stack.until(PATIENCE, mine).await.unwrap();
    assert_clean(&ada, &["slack"]).await;

    // It knows no auth.revoke: the person is told that it could not be done there.
    let (status, end) = ada.api(Method::POST, "/integrations/slack/disconnect", &json!({})).await;
    assert!(status == 200 && end["revoked"] != "yes", "{status} {end}");
    peer.stop().await;
}
