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
    let hidden = |it: &&Value| it["labelIds"].as_array().unwrap().contains(&json!("TRASH"));
    let there = all.as_array().unwrap().iter().filter(|it| !hidden(it));
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
async fn after_a_lost_history_the_messages_are_read_whose_labels_changed_and_all_if_the_labels_cannot_be_listed() {
    let stack = stack(&[FAST, &[FREE]].concat()).await;
    let (ada, id) = mailbox(&stack, 60).await;
    labelled(&ada, "m0001", json!(["INBOX", "UNREAD", "Label_7"])).await;
    labelled(&ada, "m0002", json!(["INBOX"])).await;
    labelled(&ada, "m0003", json!(["TRASH"])).await;
    deleted(&ada, "m0004").await;
    arrives(&ada, "new0").await;
    ada.admin(GMAIL, Method::POST, "history_floor", &json!({})).await;
    let (lists, mut read) = sync(&ada, "incremental").await;
    read.sort_unstable();
    assert_eq!(read, ["messages/m0001", "messages/m0002", "messages/new0"]);
    // All messages, and those of each label but spam and trash.
    assert_eq!(lists.iter().filter(|path| *path == "messages").count(), 1 + 13, "{lists:?}");
    assert_current(&ada, &id, "labels changed").await;
    assert_eq!(
        sync(&ada, "incremental").await,
        (vec!["history".to_owned()], vec![]),
        "the new place in the history serves"
    );

    labelled(&ada, "m0001", json!(["INBOX"])).await;
    ada.admin(GMAIL, Method::POST, "history_floor", &json!({})).await;
    ada.fault(GMAIL, "/users/me/labels", 1, json!({ "status": 403 })).await;
    let (_, read) = sync(&ada, "incremental").await;
    assert_eq!(read.len(), 60 + 6 - 2 + 1, "every message that is listed");
    assert_current(&ada, &id, "the labels can't be listed").await;
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_three_failed_comparisons_of_labels_every_message_is_read() {
    let stack = stack(&[FAST, &[FREE]].concat()).await;
    let (ada, id) = mailbox(&stack, 60).await;
    for (failures, read) in [(2, 1), (3, 60 + 6)] {
        labelled(&ada, "m0001", json!(["INBOX", "UNREAD", format!("Label_{failures}")])).await;
        ada.admin(GMAIL, Method::POST, "history_floor", &json!({})).await;
        let slower =
            json!({ "error": { "code": 429, "errors": [{ "reason": "rateLimitExceeded" }], "message": "Slower." } });
        let effect = json!({ "status": 429, "headers": { "retry-after": "6" }, "body": slower });
        ada.fault(GMAIL, "/users/me/labels", failures, effect).await;
        let (lists, asked) = sync(&ada, "incremental").await;
        let comparisons = lists.iter().filter(|path| *path == "labels").count();
        // The list of all labels, of each comparison that is begun.
        assert_eq!((comparisons, asked.len()), (3, read), "{failures} failures: {lists:?}");
        assert_current(&ada, &id, "slower lists").await;
        // A history that is refused again right after it was lost begins no full run.
        sync(&ada, "incremental").await;
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_of_a_page_before_gmail_asks_to_slow_down_is_not_read_again() {
    let stack = stack(&[FAST, &[FREE]].concat()).await;
    let (ada, id) = mailbox(&stack, 60).await;
    let slower =
        json!({ "error": { "code": 429, "errors": [{ "reason": "rateLimitExceeded" }], "message": "Slower." } });
    let effect = json!({ "status": 429, "headers": { "retry-after": "6" }, "body": slower });
    // In the middle of the first portion: the newest messages come first.
    ada.fault(GMAIL, "/messages/m0030", 1, effect).await;
    let (_, asked) = sync(&ada, "full").await;
    // Those that were under way, and the one that failed.
    assert!((66 + 1..=66 + 4).contains(&asked.len()), "{} calls", asked.len());
    assert_current(&ada, &id, "slower").await;
    stack.shutdown().await;
}

/// What a list of calls costs, in Gmail's units.
fn units(calls: &[String]) -> usize {
    let cost = |path: &String| match path.as_str() {
        "history" => 2,
        "labels" => 1,
        "messages" => 5,
        _ => 20,
    };
    calls.iter().map(cost).sum()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of minutes"]
async fn a_mailbox_of_20_000_messages_costs_this_many_units() {
    let stack = tests::stack_alone(&[FREE]).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.admin(GMAIL, Method::POST, "mailbox", &json!({ "messages": 20_000 })).await;
    ada.fault(GMAIL, "/users/me/watch", 100, json!({ "status": 403 })).await;
    let id = ada.connect(GMAIL).await;
    let read = async || {
        let status = ada.status(GMAIL).await;
        status["streams"][0]["last_full_sync"].is_string().then_some(())
    };
    stack.until(Duration::from_mins(9), read).await.unwrap();
    ada.settled("syncs").await;
    for (what, kind) in [("a weekly full run", "due"), ("after a lost history", "lost")] {
        let all = ada.admin(GMAIL, Method::GET, "messages", &Value::Null).await;
        let of = |place: usize| all[place]["id"].as_str().unwrap().to_owned();
        if kind == "lost" {
            labelled(&ada, &of(3), json!(["STARRED"])).await;
            labelled(&ada, &of(4_711), json!(["STARRED"])).await;
            ada.admin(GMAIL, Method::POST, "history_floor", &json!({})).await;
        } else {
            ada.full_run_is_due(&id, "messages").await;
        }
        let begun = std::time::Instant::now();
        let (lists, read) = sync(&ada, "incremental").await;
        let sum = units(&lists) + units(&read);
        println!("{what}: {} lists, {} messages, {sum} units, {:?}", lists.len(), read.len(), begun.elapsed());
    }
    let [there, here] = there_and_here(&ada, &id).await;
    assert!(there == here && here.len() == 20_000);
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
