//! What changes during a full run is read beside it, and what ends an integration ends both.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use http::Method;
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, Running, dead_letters, stack};

use super::{CALENDAR, here};

const GMAIL: &str = "gmail";
/// Limits that keep no test waiting.
const FREE: (&str, &str) = ("RateLimits", "gmail/user=100000/s gmail/project=100000/s");
/// Messages that a full run reads one by one, and that the sandbox is slow with.
const OLD: usize = 40;

async fn user(stack: &Running) -> Guest<'_> {
    let ada = Guest::new(stack, "ada").await;
    for number in 0..OLD {
        let message = json!({ "id": format!("old{number:03}"), "silent": true });
        ada.admin(GMAIL, Method::POST, "messages", &message).await;
    }
    ada
}

/// Calls at a provider come late until the faults are taken away: so long that what follows can't be what comes after them.
async fn slow(guest: &Guest<'_>, provider: &str, name: &str) {
    guest.fault(provider, name, 10_000, json!({ "hang_ms": 5000 })).await;
}

/// Waits until a provider was asked so, and is slow to answer.
async fn asked(guest: &Guest<'_>, provider: &str, name: &str) {
    let struck = async || {
        let faults = guest.admin(provider, Method::GET, "faults", &Value::Null).await;
        let mut all = faults.as_array()?.iter();
        all.any(|it| it["match"] == name && it["struck"].as_u64() > Some(0)).then_some(())
    };
    guest.stack.until(PATIENCE, struck).await.unwrap();
}

/// When the stream was last read in full.
async fn last_full(guest: &Guest<'_>, provider: &str, stream: &str) -> Value {
    let status = guest.status(provider).await;
    let found = status["streams"].as_array().and_then(|all| all.iter().find(|it| it["name"] == stream).cloned());
    found.map_or(Value::Null, |stream| stream["last_full_sync"].clone())
}

async fn full_sync(guest: &Guest<'_>, provider: &str) {
    let path = format!("/integrations/{provider}/sync");
    let (status, body) = guest.api(Method::POST, &path, &json!({ "type": "full" })).await;
    assert_eq!(status, 202, "{body}");
}

/// A message arrives, and Gmail reports it. Waits until its record is there.
async fn arrives(guest: &Guest<'_>, id: &str) {
    guest.admin(GMAIL, Method::POST, "messages", &json!({ "id": "new0" })).await;
    let came = async || here(guest, id).await.contains("messages#new0").then_some(());
    guest.stack.until(PATIENCE, came).await.unwrap();
}

/// The messages that Gmail has, as the keys of records.
async fn there(guest: &Guest<'_>) -> BTreeSet<String> {
    let all = guest.admin(GMAIL, Method::GET, "messages", &Value::Null).await;
    all.as_array().unwrap().iter().map(|it| format!("messages#{}", it["id"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_during_a_full_run_of_its_mailbox_is_there_before_the_run_ends() {
    let stack = stack(&[FAST, &[FREE]].concat()).await;
    let ada = user(&stack).await;
    let id = ada.connect_and_sync(GMAIL).await;
    let before = last_full(&ada, GMAIL, "messages").await;
    assert!(before.is_string());
    slow(&ada, GMAIL, "/messages/old").await;
    full_sync(&ada, GMAIL).await;
    asked(&ada, GMAIL, "/messages/old").await;
    arrives(&ada, &id).await;
    assert_eq!(last_full(&ada, GMAIL, "messages").await, before, "the full run goes on");
    assert_eq!(ada.status(GMAIL).await["sync_in_progress"], true);
    ada.admin(GMAIL, Method::DELETE, "faults", &Value::Null).await;
    ada.quiet().await;
    assert_ne!(last_full(&ada, GMAIL, "messages").await, before);
    assert_eq!(here(&ada, &id).await, there(&ada).await);
    assert_eq!(ada.status(GMAIL).await["streams"][0]["records"], there(&ada).await.len(), "both lanes' are counted");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_during_the_first_sync_of_its_mailbox_is_there_before_the_sync_ends() {
    let stack = stack(&[FAST, &[FREE]].concat()).await;
    let ada = user(&stack).await;
    slow(&ada, GMAIL, "/messages/old").await;
    let id = ada.connect(GMAIL).await;
    asked(&ada, GMAIL, "/messages/old").await;
    arrives(&ada, &id).await;
    assert_eq!(last_full(&ada, GMAIL, "messages").await, Value::Null, "the first run goes on");
    ada.admin(GMAIL, Method::DELETE, "faults", &Value::Null).await;
    ada.quiet().await;
    assert_eq!(here(&ada, &id).await, there(&ada).await);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_a_channel_is_served_during_a_full_run_of_its_workspace() {
    const SALES: &str = "C0SALES0001";
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    let before = last_full(&ada, "slack", "users").await;
    slow(&ada, "slack", "users.list").await;
    full_sync(&ada, "slack").await;
    asked(&ada, "slack", "users.list").await;
    ada.admin("slack", Method::POST, &format!("channels/{SALES}"), &json!({ "name": "revenue" })).await;
    let renamed = async || {
        let (_, data) = ada.look.record(&id, &format!("channels#{SALES}")).await.unwrap().unwrap();
        (data["name"] == "revenue").then_some(())
    };
    stack.until(PATIENCE, renamed).await.unwrap();
    assert_eq!(last_full(&ada, "slack", "users").await, before, "the full run goes on");
    ada.admin("slack", Method::DELETE, "faults", &Value::Null).await;
    ada.quiet().await;
    assert_ne!(last_full(&ada, "slack", "users").await, before);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_both_lanes_start_in_one_moment_is_one_in_the_end() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    slow(&ada, CALENDAR, "/watch").await;
    ada.connect(CALENDAR).await;
    // By the full run, which has ended but for that.
    asked(&ada, CALENDAR, "/watch").await;
    let (status, body) = ada.api(Method::POST, &format!("/integrations/{CALENDAR}/sync"), &json!({})).await;
    assert_eq!(status, 202, "{body}");
    let both = async || (ada.calls(CALENDAR, "/watch").await >= 2).then_some(());
    stack.until(PATIENCE, both).await.expect("the lane of incremental runs starts one, too");
    ada.admin(CALENDAR, Method::DELETE, "faults", &Value::Null).await;
    ada.settled("syncs").await;
    let channels = ada.admin(CALENDAR, Method::GET, "channels", &Value::Null).await;
    let mut watched: Vec<_> = channels.as_array().unwrap().iter().map(|it| it["calendar"].clone()).collect();
    let all = watched.len();
    watched.sort_by_key(ToString::to_string);
    watched.dedup();
    assert_eq!((all, watched.len()), (2, 2), "{channels}");
    assert!(ada.calls(CALENDAR, "/channels/stop").await >= 1);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_that_is_disconnected_during_a_full_run_and_an_incremental_one_leaves_no_record() {
    let stack = stack(&[FAST, &[FREE]].concat()).await;
    let ada = user(&stack).await;
    let id = ada.connect_and_sync(GMAIL).await;
    slow(&ada, GMAIL, "/messages/old").await;
    full_sync(&ada, GMAIL).await;
    asked(&ada, GMAIL, "/messages/old").await;
    ada.admin(GMAIL, Method::POST, "messages", &json!({ "id": "old999" })).await;
    let (status, body) = ada.api(Method::POST, &format!("/integrations/{GMAIL}/disconnect"), &json!({})).await;
    assert_eq!(status, 200, "{body}");
    ada.admin(GMAIL, Method::DELETE, "faults", &Value::Null).await;
    ada.quiet().await;
    stack.embedded.as_ref().unwrap().sqs.advance(Duration::from_mins(15));
    ada.settled("syncs").await;
    assert_eq!(here(&ada, &id).await, BTreeSet::new());
    assert_eq!(ada.status(GMAIL).await["state"], "disconnected");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_arrive_all_the_time_keep_no_full_run_away_that_is_due() {
    let stack = stack(&[FAST, &[FREE]].concat()).await;
    let ada = user(&stack).await;
    let id = ada.connect_and_sync(GMAIL).await;
    let before = last_full(&ada, GMAIL, "messages").await;
    ada.full_run_is_due(&id, "messages").await;
    // No schedule is fired: each report takes the slot.
    arrives(&ada, &id).await;
    ada.quiet().await;
    assert_ne!(last_full(&ada, GMAIL, "messages").await, before);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_sync_that_is_asked_for_during_a_full_run_that_fails_is_made() {
    let stack = stack(&[FAST, &[FREE]].concat()).await;
    let ada = user(&stack).await;
    let id = ada.connect_and_sync(GMAIL).await;
    let before = last_full(&ada, GMAIL, "messages").await;
    ada.full_run_is_due(&id, "messages").await;
    // Refused for good, but only once.
    let refused = json!({ "hang_ms": 3000, "status": 400, "body": { "error": { "code": 400 } } });
    ada.fault(GMAIL, "/users/me/messages", 1, refused).await;
    let (status, body) = ada.api(Method::POST, &format!("/integrations/{GMAIL}/sync"), &json!({})).await;
    assert_eq!(status, 202, "{body}");
    asked(&ada, GMAIL, "/users/me/messages").await;
    full_sync(&ada, GMAIL).await;
    ada.quiet().await;
    assert_eq!(dead_letters(&stack, "syncs").await.len(), 1, "the run that failed");
    let after = last_full(&ada, GMAIL, "messages").await;
    assert!(after.is_string() && after != before, "{after}");
    stack.shutdown().await;
}

/// How long it takes from a change at Gmail to the record, for so many messages one after another.
async fn pushes(guest: &Guest<'_>, id: &str, count: usize) -> Vec<Duration> {
    let mut all = Vec::new();
    for _ in 0..count {
        let message = guest.admin(GMAIL, Method::POST, "messages", &json!({})).await;
        let (key, sent) = (format!("messages#{}", message["id"].as_str().unwrap()), Instant::now());
        let came = async || guest.look.record(id, &key).await.unwrap().map(|_| ());
        guest.stack.until(Duration::from_mins(5), came).await.unwrap();
        all.push(sent.elapsed());
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of minutes"]
async fn thirty_pushes_beside_a_hundred_full_runs_of_mailboxes_of_20_000_messages_take_this_long() {
    const MAILBOXES: usize = 100;
    let stack = tests::stack_alone(&[]).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync(GMAIL).await;
    let idle = pushes(&ada, &id, 30).await;
    let mut others = Vec::new();
    for number in 0..MAILBOXES {
        let account = format!("large{number}@example.com");
        ada.admin(GMAIL, Method::POST, "mailbox", &json!({ "account": account, "messages": 20_000, "seed": number }))
            .await;
        let user = Guest::new(&stack, &format!("user{number}")).await;
        user.connect_account(GMAIL, &account).await;
        others.push(user);
    }
    let long = async || (tests::depth(&stack, "syncs") == 0).then_some(());
    stack.until(Duration::from_mins(5), long).await.unwrap();
    let busy = pushes(&ada, &id, 30).await;
    let mut going_on = 0;
    for user in &others {
        going_on += usize::from(user.status(GMAIL).await["streams"][0]["last_full_sync"].is_null());
    }
    let p95 = |all: &[Duration]| all[all.len() * 95 / 100];
    println!(
        "idle: p95 {:?}; beside {going_on} full runs: p95 {:?}, longest {:?}",
        p95(&idle),
        p95(&busy),
        busy.last()
    );
    stack.shutdown().await;
}
