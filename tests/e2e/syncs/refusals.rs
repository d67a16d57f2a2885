//! Cursors that the provider refuses, and syncs that it refuses for good.

use http::Method;
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, depth, stack};

use super::{CALENDAR, here, silently, sync, there, time};
use crate::damage::alarms;

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_token_that_is_refused_as_invalid_is_dropped_and_its_calendar_read_whole_once() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    silently(&ada, Method::POST, "gone0", json!({ "summary": "Old" })).await;
    let id = ada.connect_and_sync(CALENDAR).await;
    silently(&ada, Method::DELETE, "gone0", json!({})).await;
    ada.admin(CALENDAR, Method::POST, "expire_sync_tokens", &json!({ "invalid": true })).await;
    let lists = async || ada.calls(CALENDAR, "/events").await;
    let before = lists().await;
    sync(&ada, "incremental").await;
    assert_eq!(lists().await, before + 6, "each of three calendars: with its token, then without");
    assert_eq!(here(&ada, &id).await, there(&ada).await, "what was deleted meanwhile is found");
    let status = ada.status(CALENDAR).await;
    assert_eq!((&status["error"], &status["streams"][0]["error"]), (&Value::Null, &Value::Null), "{status}");
    sync(&ada, "incremental").await;
    assert_eq!(lists().await, before + 9, "the new tokens serve");
    assert_eq!(depth(&stack, "syncs-dead"), 0);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_is_refused_begins_one_full_run() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("gmail").await;
    let mail = async || {
        ada.api(Method::POST, "/integrations/gmail/sync", &json!({ "type": "incremental" })).await;
        ada.settled("syncs").await;
    };
    ada.admin("gmail", Method::POST, "messages", &json!({ "id": "fresh0", "silent": true })).await;
    let refusal = json!({ "error": { "code": 400, "message": "Bad", "errors": [{ "reason": "invalidArgument" }] } });
    let runs = ada.calls("gmail", "/users/me/labels").await;
    ada.fault("gmail", "/users/me/history", 1, json!({ "status": 400, "body": refusal })).await;
    mail().await;
    assert!(here(&ada, &id).await.contains("messages#fresh0"));
    mail().await;
    assert_eq!(ada.calls("gmail", "/users/me/labels").await, runs + 1, "one full run, with what the labels are");
    assert_eq!(ada.status("gmail").await["error"], Value::Null);
    assert_eq!(depth(&stack, "syncs-dead"), 0);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_only_an_administrator_can_allow_is_reported_and_left_alone_for_hours() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync(CALENDAR).await;
    let before = ada.status(CALENDAR).await;
    ada.admin(CALENDAR, Method::POST, "account", &json!({ "blocked": true })).await;
    sync(&ada, "incremental").await;
    let status = ada.status(CALENDAR).await;
    let words = status["error"].as_str().unwrap();
    assert!(words.contains("administrators of this Google account do not allow this app"), "{words}");
    assert_eq!(status["last_sync"], before["last_sync"]);
    let next: jiff::Timestamp = status["streams"][0]["next_try"].as_str().unwrap().parse().unwrap();
    let pause = next.duration_since(platform::base::clock::now()).as_mins();
    assert!((50..=60).contains(&pause), "{pause} minutes");
    assert_eq!(depth(&stack, "syncs-dead"), 0, "only the administrator can change it");

    // The schedule leaves it alone.
    let calls = ada.calls(CALENDAR, "/calendarList").await;
    stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-incremental")).unwrap().fire().await.unwrap();
    ada.settled("syncs").await;
    assert_eq!(ada.calls(CALENDAR, "/calendarList").await, calls);

    ada.admin(CALENDAR, Method::POST, "account", &json!({ "blocked": false })).await;
    sync(&ada, "incremental").await;
    let status = ada.status(CALENDAR).await;
    assert_eq!((&status["error"], &status["streams"][0]["error"]), (&Value::Null, &Value::Null), "{status}");
    assert!(time(&status["last_sync"]) > time(&before["last_sync"]), "{status}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_operators_can_change_rings_their_alarm_and_the_sync_goes_on_by_itself() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync(CALENDAR).await;
    let before = ada.status(CALENDAR).await;
    let off = json!({ "error": { "code": 403, "message": "Off", "errors": [{ "reason": "accessNotConfigured" }] } });
    ada.fault(CALENDAR, "/calendarList", 100, json!({ "status": 403, "body": off })).await;
    ada.api(Method::POST, &format!("/integrations/{CALENDAR}/sync"), &json!({ "type": "incremental" })).await;
    let failed = async || Some(ada.status(CALENDAR).await).filter(|status| !status["error"].is_null());
    let status = stack.until(PATIENCE, failed).await.unwrap();
    let words = status["error"].as_str().unwrap();
    assert!(words.contains("does not accept this application"), "{words}");
    let rung = async || (alarms(&stack, "app_refused") > 0).then_some(());
    stack.until(PATIENCE, rung).await.expect("the alarm");

    ada.admin(CALENDAR, Method::DELETE, "faults", &Value::Null).await;
    ada.settled("syncs").await;
    let status = ada.status(CALENDAR).await;
    assert_eq!((&status["error"], &status["streams"][0]["error"]), (&Value::Null, &Value::Null), "{status}");
    assert!(time(&status["last_sync"]) > time(&before["last_sync"]), "{status}");
    assert_eq!(depth(&stack, "syncs-dead"), 0);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apps_address_that_may_not_be_reported_to_is_tried_with_one_calendar_only() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let reason = "push.webhookUrlUnauthorized";
    let refusal = json!({ "error": { "code": 401, "message": "No", "errors": [{ "reason": reason }] } });
    ada.fault(CALENDAR, "/watch", 100, json!({ "status": 401, "body": refusal })).await;
    ada.connect_and_sync(CALENDAR).await;
    assert_eq!(ada.calls(CALENDAR, "/watch").await, 1);
    assert_eq!(ada.status(CALENDAR).await["error"], Value::Null);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_has_no_mailbox_any_more_is_reported_and_no_operators_matter() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("gmail").await;
    ada.admin("gmail", Method::POST, "account", &json!({ "mail": false })).await;
    ada.api(Method::POST, "/integrations/gmail/sync", &json!({ "type": "full" })).await;
    ada.settled("syncs").await;
    let status = ada.status("gmail").await;
    assert!(status["error"].as_str().unwrap().contains("may have no mailbox"), "{status}");
    assert!(status["streams"][0]["next_try"].is_string(), "{status}");
    assert_eq!((depth(&stack, "syncs-dead"), alarms(&stack, "rejected")), (0, 0));
    stack.shutdown().await;
}
