//! A report of a change is about one thing, and no more than that is read.

use http::Method;
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, stack};

use super::{CALENDAR, here, silently, sync, there};

const SALES: &str = "C0SALES0001";

/// How often Slack was asked for its lists, and for a channel.
async fn asked(guest: &Guest<'_>) -> (usize, usize) {
    let lists = guest.calls("slack", "conversations.list").await + guest.calls("slack", "users.list").await;
    (lists, guest.calls("slack", "conversations.info").await)
}

/// Something happens to a channel, and Slack reports it. What Slack was asked for until the record is another one.
async fn change(guest: &Guest<'_>, id: &str, fields: Value) -> (usize, usize) {
    let (before, old) = (asked(guest).await, record(guest, id).await);
    guest.admin("slack", Method::POST, &format!("channels/{SALES}"), &fields).await;
    let changed = async || (record(guest, id).await != old).then_some(());
    guest.stack.until(PATIENCE, changed).await.unwrap();
    guest.settled("syncs").await;
    let after = asked(guest).await;
    (after.0 - before.0, after.1 - before.1)
}

/// The record of the channel: whether it is deleted, and its data.
async fn record(guest: &Guest<'_>, id: &str) -> (bool, Value) {
    let items = guest.look.items("records").await.unwrap();
    let mut found = items
        .into_iter()
        .filter(|item| item["integration_id"].as_s().unwrap() == id)
        .filter(|item| *item["record"].as_s().unwrap() == format!("channels#{SALES}"));
    let item = found.next().unwrap();
    (*item["deleted"].as_bool().unwrap(), serde_json::from_str(item["data"].as_s().unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_a_channel_asks_for_that_channel_and_one_that_can_not_be_had_for_the_lists() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    let (_, before) = record(&ada, &id).await;
    assert_eq!(change(&ada, &id, json!({ "name": "revenue" })).await, (0, 1));
    let (_, after) = record(&ada, &id).await;
    assert_eq!((&after["name"], &after["previous_names"][0]), (&json!("revenue"), &json!("sales")));
    assert_eq!(after["num_members"], before["num_members"], "as lists have it");
    assert_eq!(change(&ada, &id, json!({ "is_archived": true })).await, (0, 1));
    assert_eq!(record(&ada, &id).await.1["is_archived"], true);
    // The app is taken out of it, and may not see it any more.
    ada.admin("slack", Method::POST, &format!("channels/{SALES}"), &json!({ "is_member": true, "silent": true })).await;
    ada.admin("slack", Method::POST, &format!("channels/{SALES}"), &json!({ "is_private": true, "silent": true }))
        .await;
    assert_eq!(change(&ada, &id, json!({ "is_member": false })).await, (2, 1));
    assert!(record(&ada, &id).await.0, "it is gone for the app");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_about_a_calendar_reads_that_calendar_and_the_others_stay_where_they_stood() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync(CALENDAR).await;
    let asked = async || (ada.calls(CALENDAR, "/calendarList").await, ada.calls(CALENDAR, "/events").await);
    // Nothing reports this one.
    silently(&ada, Method::POST, "quiet0", json!({ "summary": "Quiet" })).await;
    let before = asked().await;
    let path = "events/team@group.calendar.google.com";
    ada.admin(CALENDAR, Method::POST, path, &json!({ "id": "plan0", "summary": "Plan" })).await;
    let plan = "events#team@group.calendar.google.com/plan0";
    let came = async || here(&ada, &id).await.contains(plan).then_some(());
    stack.until(PATIENCE, came).await.unwrap();
    ada.settled("syncs").await;
    let after = asked().await;
    assert_eq!((after.0 - before.0, after.1 - before.1), (0, 1), "one page of one calendar");
    let read = here(&ada, &id).await;
    assert!(!read.contains("events#ada@example.com/quiet0"), "{read:?}");
    // The next sync over all goes on where each calendar stands.
    sync(&ada, "incremental").await;
    assert_eq!(here(&ada, &id).await, there(&ada).await);
    stack.shutdown().await;
}
