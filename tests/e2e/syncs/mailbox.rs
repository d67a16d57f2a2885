//! What full runs of a mailbox ask for: the new messages and no other, whatever the size of the mailbox and whenever the worker dies.

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use local_aws::faults::{Effect, Fault};
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, depth, stack};

const GMAIL: &str = "gmail";
/// Limits that keep no test waiting.
const FREE: (&str, &str) = ("RateLimits", "gmail/user=100000/s gmail/project=100000/s");

/// A user with a mailbox that was synced, and that no notification reports about.
async fn mailbox(stack: &tests::Running, messages: usize) -> (Guest<'_>, String) {
    let ada = Guest::new(stack, "ada").await;
    for number in 0..messages {
        arrives(&ada, &format!("m{number:04}")).await;
    }
    ada.fault(GMAIL, "/users/me/watch", 100, json!({ "status": 403 })).await;
    let id = ada.connect_and_sync(GMAIL).await;
    (ada, id)
}

async fn arrives(guest: &Guest<'_>, id: &str) {
    guest.admin(GMAIL, Method::POST, "messages", &json!({ "id": id, "silent": true })).await;
}

async fn labelled(guest: &Guest<'_>, id: &str, labels: Value) {
    let order = json!({ "labelIds": labels, "silent": true });
    guest.admin(GMAIL, Method::POST, &format!("messages/{id}"), &order).await;
}

async fn deleted(guest: &Guest<'_>, id: &str) {
    guest.admin(GMAIL, Method::DELETE, &format!("messages/{id}"), &json!({ "silent": true })).await;
}

/// Syncs what changed, in full if that is due: the calls for pages and for messages, by their paths below the mailbox.
async fn sync(guest: &Guest<'_>, kind: &str) -> (Vec<String>, Vec<String>) {
    guest.admin(GMAIL, Method::DELETE, "calls", &Value::Null).await;
    guest.api(Method::POST, &format!("/integrations/{GMAIL}/sync"), &json!({ "type": kind })).await;
    guest.settled("syncs").await;
    let calls = guest.admin(GMAIL, Method::GET, "calls", &Value::Null).await;
    let path = |call: &Value| {
        let path = call["path"].as_str()?.split('?').next()?.strip_prefix("/gmail/v1/users/me/")?.to_owned();
        // The name of the account is read, and a watch begun, at other times, too.
        (path != "profile" && path != "watch").then_some(path)
    };
    let all = calls.as_array().unwrap().iter().filter_map(path);
    all.partition(|path| !path.starts_with("messages/"))
}

/// The labels of each message that Gmail has, and of each record.
async fn there_and_here(guest: &Guest<'_>, id: &str) -> [BTreeMap<String, Value>; 2] {
    let all = guest.admin(GMAIL, Method::GET, "messages", &Value::Null).await;
    let there = all.as_array().unwrap().iter();
    let there = there.map(|it| (format!("messages#{}", it["id"].as_str().unwrap()), it["labelIds"].clone())).collect();
    let items = guest.look.items("records").await.unwrap();
    let live =
        items.iter().filter(|item| item["integration_id"].as_s().unwrap() == id && !item["deleted"].as_bool().unwrap());
    let labels = |data: &str| serde_json::from_str::<Value>(data).unwrap()["label_ids"].clone();
    let here =
        live.map(|item| (item["record"].as_s().unwrap().clone(), labels(item["data"].as_s().unwrap()))).collect();
    [there, here]
}

async fn assert_current(guest: &Guest<'_>, id: &str, what: &str) {
    let [there, here] = there_and_here(guest, id).await;
    assert_eq!(here, there, "{what}");
    assert_eq!(guest.status(GMAIL).await["error"], Value::Null, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weekly_full_run_of_a_mailbox_asks_for_new_messages_only() {
    let stack = stack(&[FAST, &[FREE]].concat()).await;
    let (ada, id) = mailbox(&stack, 60).await;
    assert_current(&ada, &id, "more than a portion").await;
    let lists = ["history", "messages"].map(str::to_owned);

    ada.full_run_is_due(&id, "messages").await;
    assert_eq!(sync(&ada, "incremental").await, (lists.to_vec(), vec![]), "nothing changed");

    arrives(&ada, "new0").await;
    ada.full_run_is_due(&id, "messages").await;
    assert_eq!(sync(&ada, "incremental").await, (lists.to_vec(), vec!["messages/new0".to_owned()]));
    assert_eq!(sync(&ada, "incremental").await, (lists[..1].to_vec(), vec![]), "it is asked for once");

    labelled(&ada, "m0001", json!(["STARRED"])).await;
    deleted(&ada, "m0002").await;
    ada.full_run_is_due(&id, "messages").await;
    assert_eq!(sync(&ada, "incremental").await, (lists.to_vec(), vec!["messages/m0001".to_owned()]));
    assert_current(&ada, &id, "labels and an end").await;

    let (_, asked) = sync(&ada, "full").await;
    assert_eq!(asked.len(), 60 + 6, "one that is asked for reads every message");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_any_call_a_full_run_of_a_mailbox_ends_with_what_the_provider_has() {
    let stack = stack(&[FAST, &[FREE]].concat()).await;
    let (ada, id) = mailbox(&stack, 0).await;
    let calls = || -> u64 {
        let counts = stack.gateway.counts();
        counts.iter().filter(|((function, ..), _)| function.ends_with("-sync-worker")).map(|(_, count)| count).sum()
    };
    arrives(&ada, "round000").await;
    ada.full_run_is_due(&id, "messages").await;
    let before = calls();
    sync(&ada, "incremental").await;
    let all = calls() - before;
    for call in 1..=all {
        // Each round brings a message, labels the one before, and takes the one before that away.
        arrives(&ada, &format!("round{call:03}")).await;
        labelled(&ada, &format!("round{:03}", call - 1), json!(["STARRED"])).await;
        if call > 1 {
            deleted(&ada, &format!("round{:03}", call - 2)).await;
        }
        ada.full_run_is_due(&id, "messages").await;
        let strike = Fault { function: Some("sync-worker".into()), at: call, ..Fault::new(Effect::KillBefore) };
        stack.gateway.faults.arm(vec![strike]);
        let path = format!("/integrations/{GMAIL}/sync");
        ada.api(Method::POST, &path, &json!({ "type": "incremental" })).await;
        let struck = async || (stack.gateway.faults.armed()[0].seen >= call).then_some(());
        stack.until(PATIENCE, struck).await.unwrap_or_else(|_| panic!("call {call} of {all} never came"));
        stack.embedded.as_ref().unwrap().sqs.advance(Duration::from_hours(1));
        ada.settled("syncs").await;
        assert_current(&ada, &id, &format!("killed before call {call} of {all}")).await;
    }
    assert_eq!(depth(&stack, "syncs-dead"), 0);
    stack.shutdown().await;
}
