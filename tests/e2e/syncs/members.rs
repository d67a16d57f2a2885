//! One member that can't be read, or watched, stops no other: calendars of a list, messages of a mailbox.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};
use tests::{FAST, Guest, depth, stack};

use super::{CALENDAR, here, silently, sync, there, time};

const HOLIDAYS: &str = "en.uk%23holiday@group.v.calendar.google.com";
const TEAM: &str = "team@group.calendar.google.com";

async fn calendar(guest: &Guest<'_>, calendar: &str, mood: Value) {
    guest.admin(CALENDAR, Method::POST, &format!("calendars/{calendar}"), &mood).await;
}

/// The records of an integration that are tombstones.
async fn tombstones(guest: &Guest<'_>, id: &str) -> usize {
    let items = guest.look.items("records").await.unwrap();
    let dead = |item: &&std::collections::HashMap<String, _>| {
        let item: &std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue> = item;
        item["integration_id"].as_s().unwrap() == id && *item["deleted"].as_bool().unwrap()
    };
    items.iter().filter(dead).count()
}

async fn mail(guest: &Guest<'_>, kind: &str) {
    guest.api(Method::POST, "/integrations/gmail/sync", &json!({ "type": kind })).await;
    guest.settled("syncs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_sync_with_one_calendar_forbidden_and_one_failing_deletes_nothing_of_them_and_reads_the_others() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.admin(CALENDAR, Method::POST, &format!("events/{HOLIDAYS}"), &json!({ "id": "boxing0day" })).await;
    let id = ada.connect_and_sync(CALENDAR).await;
    let holiday = "events#en.uk#holiday@group.v.calendar.google.com/boxing0day".to_owned();
    assert!(here(&ada, &id).await.contains(&holiday));
    let before = ada.status(CALENDAR).await;

    calendar(&ada, TEAM, json!({ "list": "forbidden" })).await;
    calendar(&ada, HOLIDAYS, json!({ "list": "failing" })).await;
    silently(&ada, Method::POST, "tea00", json!({ "summary": "Tea" })).await;
    sync(&ada, "full").await;
    let status = ada.status(CALENDAR).await;
    let events = &status["streams"][0];
    assert_eq!(status["error"], Value::Null, "{status}");
    assert!(time(&status["last_sync"]) > time(&before["last_sync"]), "{status}");
    assert_eq!(events["error"], "2 calendars can't be read: Team, Holidays in United Kingdom.", "{status}");
    assert!(time(&events["next_try"]) >= time(&status["last_sync"]), "the failing one is asked again soon: {status}");
    assert_eq!(tombstones(&ada, &id).await, 0);
    let all: BTreeSet<_> = there(&ada).await.into_iter().chain([holiday.clone()]).collect();
    assert_eq!(here(&ada, &id).await, all);

    // With every calendar refused, the sync has failed.
    calendar(&ada, "primary", json!({ "list": "forbidden" })).await;
    calendar(&ada, HOLIDAYS, json!({ "list": "forbidden" })).await;
    sync(&ada, "full").await;
    let failed = ada.status(CALENDAR).await;
    assert_eq!(failed["last_sync"], status["last_sync"], "{failed}");
    let words = failed["error"].as_str().unwrap();
    assert!(words.starts_with("3 calendars can't be read: "), "{words}");
    assert_eq!((tombstones(&ada, &id).await, depth(&stack, "syncs-dead")), (0, 0));

    // Changes from the time when they could not be read are there as soon as they can.
    let path = format!("events/{TEAM}");
    ada.admin(CALENDAR, Method::POST, &path, &json!({ "id": "plan0", "silent": true })).await;
    for name in ["primary", TEAM, HOLIDAYS] {
        calendar(&ada, name, json!({ "list": "willing" })).await;
    }
    let whole = ada.calls(CALENDAR, "/events").await;
    sync(&ada, "incremental").await;
    assert_eq!(ada.calls(CALENDAR, "/events").await, whole + 3, "each is read from where it stood");
    let status = ada.status(CALENDAR).await;
    assert_eq!((&status["error"], &status["streams"][0]["error"]), (&Value::Null, &Value::Null), "{status}");
    let all: BTreeSet<_> = there(&ada).await.into_iter().chain([holiday]).collect();
    assert_eq!(here(&ada, &id).await, all);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_with_messages_that_cannot_be_read_is_current_but_for_them() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let all = ada.admin("gmail", Method::GET, "messages", &Value::Null).await;
    let ids: Vec<_> = all.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
    ada.admin("gmail", Method::POST, "unreadable", &json!({ "ids": ids[..2] })).await;
    let id = ada.connect_and_sync("gmail").await;
    let key = |id: &String| format!("messages#{id}");
    assert_eq!(here(&ada, &id).await, ids[2..].iter().map(key).collect());
    let before = ada.status("gmail").await;
    assert!(before["last_sync"].is_string() && before["error"].is_null(), "{before}");
    let words = before["streams"][0]["error"].as_str().unwrap();
    assert!(words.starts_with("2 messages can't be read: ") && words.contains(&ids[0]), "{words}");

    // The cursor moves on, also over a message that comes and can't be read.
    for id in ["new0", "new1"] {
        ada.admin("gmail", Method::POST, "messages", &json!({ "id": id, "silent": true })).await;
    }
    ada.admin("gmail", Method::POST, "unreadable", &json!({ "ids": [ids[0], ids[1], "new0"] })).await;
    mail(&ada, "incremental").await;
    let calls = ada.calls("gmail", "/messages/new0").await;
    mail(&ada, "incremental").await;
    assert_eq!(ada.calls("gmail", "/messages/new0").await, calls, "it is read again by a full sync only");
    let readable: BTreeSet<_> = ids[2..].iter().map(key).chain(["messages#new1".to_owned()]).collect();
    assert_eq!(here(&ada, &id).await, readable);
    let status = ada.status("gmail").await;
    assert!(time(&status["last_sync"]) > time(&before["last_sync"]), "{status}");
    assert!(status["streams"][0]["error"].as_str().unwrap().starts_with("3 messages can't be read: "), "{status}");

    ada.admin("gmail", Method::POST, "unreadable", &json!({ "ids": [] })).await;
    mail(&ada, "full").await;
    assert_eq!(here(&ada, &id).await.len(), ids.len() + 2);
    assert_eq!(ada.status("gmail").await["streams"][0]["error"], Value::Null);
    assert_eq!((tombstones(&ada, &id).await, depth(&stack, "syncs-dead")), (0, 0));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_reading_fails_for_a_while_is_asked_for_again_by_the_next_sync() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    // Without a watch no notification leads to another sync.
    ada.fault("gmail", "/users/me/watch", 100, json!({ "status": 403 })).await;
    let id = ada.connect_and_sync("gmail").await;
    ada.admin("gmail", Method::POST, "messages", &json!({ "id": "late0", "silent": true })).await;
    ada.fault("gmail", "/messages/late0", 4, json!({ "status": 503 })).await;
    mail(&ada, "incremental").await;
    assert!(!here(&ada, &id).await.contains("messages#late0"));
    assert_eq!(ada.status("gmail").await["streams"][0]["error"], "1 message can't be read: late0.");
    mail(&ada, "incremental").await;
    assert!(here(&ada, &id).await.contains("messages#late0"), "the history does not name it any more");
    assert_eq!(ada.status("gmail").await["streams"][0]["error"], Value::Null);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calendar_that_cannot_be_watched_keeps_no_other_from_being_watched() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    calendar(&ada, TEAM, json!({ "watch": "forbidden" })).await;
    ada.connect_and_sync(CALENDAR).await;
    let watched = async || {
        let all = ada.admin(CALENDAR, Method::GET, "channels", &Value::Null).await;
        all.as_array().unwrap().iter().map(|it| it["calendar"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(watched().await, ["ada@example.com"], "the primary calendar");
    assert_eq!(ada.status(CALENDAR).await["watching"], json!({ "active": 1, "of": 3 }));
    let page = ada.get("/settings/integrations").await;
    assert!(page.body.contains("1 of 3"), "{}", page.body);

    let asked = ada.calls(CALENDAR, "/watch").await;
    sync(&ada, "incremental").await;
    assert_eq!(ada.calls(CALENDAR, "/watch").await, asked, "what is refused is not asked for at every sync");
    calendar(&ada, TEAM, json!({ "watch": "willing" })).await;
    sync(&ada, "full").await;
    assert_eq!(ada.calls(CALENDAR, "/watch").await, asked + 2, "a full sync asks again");
    assert_eq!(watched().await, ["ada@example.com", TEAM]);
    assert_eq!(ada.status(CALENDAR).await["watching"], json!({ "active": 2, "of": 3 }));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_lives_for_less_than_was_asked_for_is_not_renewed_by_each_sync() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.admin(CALENDAR, Method::POST, "watches/life", &json!({ "seconds": 43_200 })).await;
    ada.connect_and_sync(CALENDAR).await;
    let started = ada.calls(CALENDAR, "/watch").await;
    sync(&ada, "incremental").await;
    assert_eq!(ada.calls(CALENDAR, "/watch").await, started);
    assert_eq!(ada.status(CALENDAR).await["watching"], json!({ "active": 2, "of": 3 }));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_watch_that_a_full_sync_has_no_turn_to_ask_for_is_asked_for_by_the_next_sync() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    calendar(&ada, TEAM, json!({ "watch": "forbidden" })).await;
    ada.connect_and_sync(CALENDAR).await;
    assert_eq!(ada.status(CALENDAR).await["watching"], json!({ "active": 1, "of": 3 }));
    calendar(&ada, TEAM, json!({ "watch": "willing" })).await;
    let error =
        json!({ "error": { "code": 429, "errors": [{ "reason": "rateLimitExceeded" }], "message": "Slower." } });
    let effect = json!({ "status": 429, "headers": { "retry-after": "1" }, "body": error });
    ada.fault(CALENDAR, "team%40group.calendar.google.com/events/watch", 100, effect).await;
    sync(&ada, "full").await;
    assert_eq!(ada.status(CALENDAR).await["watching"], json!({ "active": 1, "of": 3 }));
    ada.admin(CALENDAR, Method::DELETE, "faults", &Value::Null).await;
    sync(&ada, "incremental").await;
    assert_eq!(ada.status(CALENDAR).await["watching"], json!({ "active": 2, "of": 3 }));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_first_watch_refused_the_others_are_started() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    calendar(&ada, "primary", json!({ "watch": "failing" })).await;
    ada.connect_and_sync(CALENDAR).await;
    assert_eq!(ada.status(CALENDAR).await["watching"], json!({ "active": 1, "of": 3 }));
    // What fails for a while is tried again.
    calendar(&ada, "primary", json!({ "watch": "willing" })).await;
    sync(&ada, "incremental").await;
    assert_eq!(ada.status(CALENDAR).await["watching"], json!({ "active": 2, "of": 3 }));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_remedy_that_a_refused_watch_names_is_tried_once() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.admin("gmail", Method::POST, "watched_elsewhere", &json!({})).await;
    ada.connect_and_sync("gmail").await;
    let calls = (ada.calls("gmail", "POST /gmail/v1/users/me/watch").await, ada.calls("gmail", "/users/me/stop").await);
    assert_eq!(calls, (2, 1));
    assert_eq!(ada.status("gmail").await["watching"], json!({ "active": 1, "of": 1 }));
    stack.shutdown().await;
}
