//! Syncs: what changes while one runs is not missed, one at a time runs, and what ends the integration ends them.

mod counts;
mod crashes;
mod lanes;
mod mailbox;
mod members;
mod outcomes;
mod refusals;
mod scope;
mod sent;

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use http::Method;
use jiff::Timestamp;
use local_aws::faults::{Effect, Fault};
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, depth, let_time_pass, stack};

const CALENDAR: &str = "google-calendar";
/// More than a page.
const EVENTS: usize = 255;

/// Has an integration synced, and waits until that is done.
async fn sync(guest: &Guest<'_>, kind: &str) {
    let path = format!("/integrations/{CALENDAR}/sync");
    let (status, body) = guest.api(Method::POST, &path, &json!({ "type": kind })).await;
    assert_eq!(status, 202, "{body}");
    guest.settled("webhooks").await;
    guest.settled("syncs").await;
}

/// A time of a status, if it has one. As texts, times of another number of digits would be in another order.
fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// The events that Google has, as the keys of records.
async fn there(guest: &Guest<'_>) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (path, calendar) in
        [("primary", "ada@example.com"), ("team@group.calendar.google.com", "team@group.calendar.google.com")]
    {
        let all = guest.admin(CALENDAR, Method::GET, &format!("events/{path}"), &Value::Null).await;
        let live = all.as_array().unwrap().iter().filter(|event| event["status"] != "cancelled");
        keys.extend(live.map(|event| format!("events#{calendar}/{}", event["id"].as_str().unwrap())));
    }
    keys
}

/// The keys of the live records of an integration.
async fn here(guest: &Guest<'_>, id: &str) -> BTreeSet<String> {
    let items = guest.look.items("records").await.unwrap();
    let live =
        items.iter().filter(|item| item["integration_id"].as_s().unwrap() == id && !item["deleted"].as_bool().unwrap());
    live.map(|item| item["record"].as_s().unwrap().clone()).collect()
}

/// A change of an event that no webhook reports.
async fn silently(guest: &Guest<'_>, method: Method, event: &str, body: Value) {
    let mut body = body;
    body["silent"] = true.into();
    guest.admin(CALENDAR, method, &format!("events/primary/{event}"), &body).await;
}

/// A change between two pages of the next list.
async fn between_pages(guest: &Guest<'_>, method: &str, event: &str, body: Value) {
    let then = json!({ "method": method, "path": format!("events/primary/{event}"), "body": body });
    guest.admin(CALENDAR, Method::POST, "between_pages", &json!({ "match": "/events", "then": then })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_made_while_a_sync_runs_are_not_missed_and_calendars_are_read_to_their_end() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    for event in 0..EVENTS {
        silently(&ada, Method::POST, &format!("event{event:04}"), json!({ "summary": "Old" })).await;
    }
    let record = async |id: &str, event: &str| {
        ada.look.record(id, &format!("events#ada@example.com/{event}")).await.unwrap().unwrap()
    };

    // Changed after its page was read, before the last one was.
    between_pages(&ada, "POST", "event0001", json!({ "summary": "New", "silent": true })).await;
    let id = ada.connect_and_sync(CALENDAR).await;
    assert_eq!(here(&ada, &id).await, there(&ada).await, "all pages of all calendars");
    sync(&ada, "incremental").await;
    assert_eq!(record(&id, "event0001").await.1["summary"], "New", "a change between two pages was missed");

    // Deleted after its page was read; Google tells of it while the sync runs.
    between_pages(&ada, "DELETE", "event0002", json!({})).await;
    sync(&ada, "full").await;
    let gone = async || record(&id, "event0002").await.0.then_some(());
    stack.until(PATIENCE, gone).await.expect("a delete during a sync leaves a tombstone");

    // Deleted before its page was read: the full run does not see it any more.
    between_pages(&ada, "DELETE", "event0254", json!({ "silent": true })).await;
    sync(&ada, "full").await;
    assert!(record(&id, "event0254").await.0, "the deleted event stayed");

    // Google forgets where we were.
    silently(&ada, Method::DELETE, "event0003", json!({})).await;
    silently(&ada, Method::POST, "event0005", json!({ "summary": "New" })).await;
    ada.admin(CALENDAR, Method::POST, "expire_sync_tokens", &json!({})).await;
    sync(&ada, "incremental").await;
    assert!(record(&id, "event0003").await.0, "a delete was lost with the token");
    assert_eq!(record(&id, "event0005").await.1["summary"], "New");
    assert_eq!(here(&ada, &id).await, there(&ada).await);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_is_asked_for_while_one_runs_joins_it() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync(CALENDAR).await;
    let completed = ada.look.announced("sync.completed", &id).unwrap();
    // Longer than the asking takes: each answer comes late until the faults are taken away.
    for list in ["calendarList", "/events"] {
        ada.fault(CALENDAR, list, 100, json!({ "hang_ms": 8500 })).await;
    }
    let path = format!("/integrations/{CALENDAR}/sync");
    let lists = ada.calls(CALENDAR, "/calendarList").await;
    let ask = async || ada.api(Method::POST, &path, &json!({ "type": "full" })).await;
    ask().await;
    let runs = async || (ada.status(CALENDAR).await["sync_in_progress"] == true).then_some(());
    stack.until(PATIENCE, runs).await.unwrap();
    for (status, body) in join_all((0..3).map(|_| ask())).await {
        assert_eq!(status, 202, "{body}");
    }
    // On a slow machine the run goes on among the long ones by then.
    let alone = async || (depth(&stack, "syncs") + depth(&stack, "long-syncs") == 1).then_some(());
    stack.until(PATIENCE, alone).await.unwrap();
    assert_eq!(ada.status(CALENDAR).await["sync_in_progress"], true, "the three were answered by the one");
    ada.admin(CALENDAR, Method::DELETE, "faults", &Value::Null).await;
    ada.settled("syncs").await;
    assert_eq!(ada.look.announced("sync.completed", &id).unwrap(), completed + 1);
    assert_eq!(ada.calls(CALENDAR, "/calendarList").await, lists + 1);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sync_still_writes_after_a_disconnect_does_not_stay() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync(CALENDAR).await;
    assert_eq!(here(&ada, &id).await.len(), 7);
    // The lease and the next due time are the first two; the records of a page follow.
    let late = Fault {
        function: Some("sync-worker".into()),
        operation: Some("UpdateItem".into()),
        at: 3,
        times: 4,
        ..Fault::new(Effect::Delay(1800))
    };
    stack.gateway.faults.arm(vec![late]);
    let path = format!("/integrations/{CALENDAR}/sync");
    ada.api(Method::POST, &path, &json!({ "type": "full" })).await;
    stack.until(PATIENCE, async || (stack.gateway.faults.armed()[0].seen >= 3).then_some(())).await.unwrap();
    let (status, body) = ada.api(Method::POST, &format!("/integrations/{CALENDAR}/disconnect"), &json!({})).await;
    assert_eq!((status, &body["revoked"]), (200, &json!("yes")), "{body}");
    // What is delayed comes when the sync must have ended.
    let embedded = stack.embedded.as_ref().unwrap();
    let idle = async || {
        let queue = embedded.sqs.depths().into_iter().find(|queue| queue.name.ends_with("-syncs"))?;
        (queue.visible + queue.in_flight == 0).then_some(())
    };
    stack.until(PATIENCE, idle).await.unwrap();
    assert!(stack.gateway.faults.armed()[0].seen > 3, "nothing was written late");
    embedded.sqs.advance(std::time::Duration::from_mins(15));
    ada.settled("syncs").await;
    assert_eq!(here(&ada, &id).await, BTreeSet::new(), "records of a disconnected integration");
    assert_eq!(ada.holdings().await, (1, 0));
    assert_eq!(ada.status(CALENDAR).await["state"], "disconnected");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sync_stored_of_its_own_progress_after_a_disconnect_is_erased_with_the_records() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync(CALENDAR).await;
    let strike = Fault { function: Some("sync-worker".into()), times: u64::MAX, ..Fault::new(Effect::Refuse) };
    stack.gateway.faults.arm(vec![strike]);
    let (status, body) = ada.api(Method::POST, &format!("/integrations/{CALENDAR}/disconnect"), &json!({})).await;
    assert_eq!(status, 200, "{body}");
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let late = stack.clients.dynamodb.put_item().table_name(stack.table("syncs")).item("integration_id", text(&id));
    late.item("item", text("stream#late")).item("state", text("{}")).send().await.unwrap();
    stack.gateway.faults.arm(Vec::new());
    ada.settled("syncs").await;
    let left = ada.look.items("syncs").await.unwrap();
    let left: Vec<_> = left.iter().filter(|item| item["integration_id"] == text(&id)).collect();
    let is_lease = |item: &AttributeValue| [text("lease"), text("lease#full")].contains(item);
    assert!(left.iter().all(|item| is_lease(&item["item"])), "{left:?}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_is_asked_for_while_old_records_are_erased_runs_after_that() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync(CALENDAR).await;
    for (what, effect) in [("slow", Effect::Delay(1800)), ("killed", Effect::KillBefore)] {
        let strike =
            Fault { function: Some("sync-worker".into()), operation: Some("DeleteItem".into()), ..Fault::new(effect) };
        stack.gateway.faults.arm(vec![strike]);
        let (status, body) = ada.api(Method::POST, &format!("/integrations/{CALENDAR}/disconnect"), &json!({})).await;
        assert_eq!(status, 200, "{body}");
        stack.until(PATIENCE, async || (stack.gateway.faults.armed()[0].seen >= 1).then_some(())).await.unwrap();
        ada.connect(CALENDAR).await;
        if effect == Effect::KillBefore {
            // The message of the erasure that was killed comes back, and finds that there is nothing to erase any more.
            stack.embedded.as_ref().unwrap().sqs.advance(std::time::Duration::from_hours(1));
        }
        ada.settled("syncs").await;
        assert_eq!(here(&ada, &id).await, there(&ada).await, "the erasure was {what}");
        assert!(ada.status(CALENDAR).await["streams"][0]["last_full_sync"].is_string(), "the erasure was {what}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_grant_ends_the_integration_and_is_reported_under_one_id_whenever_the_function_dies() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    for (what, operation, effect) in [
        ("before it is told", "PutEvents", Effect::KillBefore),
        ("after it is told", "PutEvents", Effect::KillAfter),
        ("after it is written", "TransactWriteItems", Effect::KillBefore),
    ] {
        let id = ada.connect_and_sync("slack").await;
        // Slack tells the time of an event in whole seconds, and what ended before it was connected is another grant.
        connected_earlier(&ada).await;
        let earlier = ended(&ada, &id).len();
        let strike =
            Fault { function: Some("webhook-process".into()), operation: Some(operation.into()), ..Fault::new(effect) };
        stack.gateway.faults.arm(vec![strike]);
        ada.admin("slack", Method::POST, "grants/revoke", &json!({})).await;
        stack.until(PATIENCE, async || (stack.gateway.faults.armed()[0].seen >= 1).then_some(())).await.unwrap();
        let_time_pass(&stack).await;
        ada.settled("webhooks").await;
        let status = ada.status("slack").await;
        assert_eq!(status["state"], "reconnect_required", "{what}");
        assert!(status["error"].as_str().is_some_and(|words| words.contains("Slack")), "{what}: {status}");
        assert_eq!(ended(&ada, &id).len(), earlier + 1, "{what}");
        let (status, body) = ada.api(Method::POST, "/integrations/slack/sync", &json!({})).await;
        assert_eq!((status, &body["error"]["kind"]), (409, &json!("reconnect_required")), "{body}");
    }
    stack.shutdown().await;
}

/// Moves the time of a guest's Slack integration back.
async fn connected_earlier(guest: &Guest<'_>) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let call = guest.stack.clients.dynamodb.update_item().table_name(guest.stack.table("integrations"));
    let call = call.key("user_id", text(&guest.user)).key("integration", text("slack#T0SANDBOX"));
    let call = call.update_expression("SET connected_at = :at");
    let minute_ago = platform::base::clock::now() - std::time::Duration::from_mins(1);
    call.expression_attribute_values(":at", text(&minute_ago.to_string())).send().await.unwrap();
}

/// The ids under which the application was told that an integration must be reconnected.
fn ended(guest: &Guest<'_>, id: &str) -> BTreeSet<String> {
    let all = tests::published(guest.stack).into_iter();
    let of = all.filter(|event| event["type"] == "integration.reconnect_required" && event["integration_id"] == id);
    of.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}
