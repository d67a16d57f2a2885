//! What a user hears of a sync that did not come to its end: what failed, what it is about, when it is tried again; and nothing
//! more once it works.

use http::Method;
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, depth, stack};

use super::{CALENDAR, here, silently, sync, there, time};

/// The status of one stream.
fn stream<'a>(status: &'a Value, name: &str) -> &'a Value {
    status["streams"].as_array().unwrap().iter().find(|stream| stream["name"] == name).unwrap()
}

/// A sentence for people: it ends, and shows no status code.
fn assert_sentence(error: &Value) {
    let words = error.as_str().unwrap_or_else(|| panic!("{error} is no sentence"));
    assert!(words.ends_with('.'), "{words}");
    let codes = ["400", "403", "404", "500", "KMS", "Aws", "kms:"];
    assert!(codes.iter().all(|code| !words.contains(code)), "{words}");
}

fn assert_clean(status: &Value) {
    assert_eq!(status["error"], Value::Null, "{status}");
    for stream in status["streams"].as_array().unwrap() {
        assert_eq!((&stream["error"], &stream["next_try"]), (&Value::Null, &Value::Null), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_kms_refuses_is_reported_as_failed_and_is_clean_by_itself_after_the_repair() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync(CALENDAR).await;
    let before = ada.status(CALENDAR).await;
    assert!(before["last_sync"].is_string(), "{before}");
    assert_clean(&before);

    // An environment remembers the data keys that it has opened.
    while stack.function("sync-worker").unwrap().kill_one() {}
    let refuse = Fault {
        function: Some("sync-worker".into()),
        service: Some(Service::Kms),
        operation: Some("Decrypt".into()),
        times: u64::MAX,
        ..Fault::new(Effect::Refuse)
    };
    stack.gateway.faults.arm(vec![refuse]);
    let path = format!("/integrations/{CALENDAR}/sync");
    assert_eq!(ada.api(Method::POST, &path, &json!({ "type": "incremental" })).await.0, 202);
    let failed = async || Some(ada.status(CALENDAR).await).filter(|status| !status["error"].is_null());
    let status = stack.until(PATIENCE, failed).await.unwrap();
    assert_sentence(&status["error"]);
    assert_eq!(status["last_sync"], before["last_sync"], "{status}");
    assert_eq!(status["connected"], true, "{status}");
    let events = stream(&status, "events");
    assert_sentence(&events["error"]);
    assert!(time(&events["next_try"]) > time(&before["last_sync"]), "{events}");

    stack.gateway.faults.arm(Vec::new());
    ada.settled("syncs").await;
    let status = ada.status(CALENDAR).await;
    assert_clean(&status);
    assert!(time(&status["last_sync"]) > time(&before["last_sync"]), "{status}");
    assert_eq!(depth(&stack, "syncs-dead"), 0);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_its_scope_refuses_is_the_only_one_with_an_error() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let refusal = json!({ "status": 200, "body": { "ok": false, "error": "missing_scope" } });
    ada.fault("slack", "users.list", 100, refusal).await;
    ada.connect_and_sync("slack").await;
    let status = ada.status("slack").await;
    let (users, channels) = (stream(&status, "users"), stream(&status, "channels"));
    assert_sentence(&users["error"]);
    assert!(users["next_try"].is_string(), "{users}");
    assert_eq!((&channels["error"], &channels["next_try"]), (&Value::Null, &Value::Null), "{channels}");
    assert!(channels["records"].as_u64() > Some(0) && channels["last_full_sync"].is_string(), "{channels}");
    assert!(status["error"].as_str().unwrap().contains("users"), "{status}");
    assert!(status["last_sync"].is_string(), "the sync ended: {status}");
    let page = ada.get("/settings/integrations").await;
    assert!(page.body.contains("We try again in"), "{}", page.body);

    ada.admin("slack", Method::DELETE, "faults", &Value::Null).await;
    ada.api(Method::POST, "/integrations/slack/sync", &json!({ "type": "full" })).await;
    ada.settled("syncs").await;
    assert_clean(&ada.status("slack").await);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_fails_for_a_while_does_not_keep_the_next_one_from_being_read() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("slack").await;
    let before = ada.status("slack").await;
    ada.fault("slack", "conversations.list", 1_000, json!({ "status": 503 })).await;
    ada.api(Method::POST, "/integrations/slack/sync", &json!({ "type": "full" })).await;
    let read = |status: &Value| time(&stream(status, "users")["last_full_sync"]) > time(&before["last_sync"]);
    let users = async || Some(ada.status("slack").await).filter(|status| read(status) && !status["error"].is_null());
    let status = stack.until(PATIENCE, users).await.unwrap();
    assert_sentence(&stream(&status, "channels")["error"]);
    ada.admin("slack", Method::DELETE, "faults", &Value::Null).await;
    ada.settled("syncs").await;
    assert_clean(&ada.status("slack").await);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_or_a_calendar_that_cannot_be_had_is_named_and_everything_else_is_synced() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync(CALENDAR).await;
    let mut before = ada.status(CALENDAR).await;
    let moved = |before: &Value, status: &Value| {
        assert_eq!(status["error"], Value::Null, "{status}");
        assert!(time(&status["last_sync"]) > time(&before["last_sync"]), "{status}");
        status.clone()
    };

    silently(&ada, Method::POST, "bigevent", json!({ "summary": "x".repeat(400_000) })).await;
    silently(&ada, Method::POST, "sibling", json!({ "summary": "Small" })).await;
    sync(&ada, "incremental").await;
    let status = ada.status(CALENDAR).await;
    before = moved(&before, &status);
    let error = stream(&status, "events")["error"].as_str().unwrap();
    assert_eq!(error, "1 event is too large to be kept here: ada@example.com/bigevent.");
    let big = "events#ada@example.com/bigevent".to_owned();
    assert_eq!(here(&ada, &id).await, there(&ada).await.into_iter().filter(|key| *key != big).collect());

    silently(&ada, Method::DELETE, "bigevent", json!({})).await;
    let refusal = json!({ "error": { "code": 403, "errors": [{ "reason": "forbidden" }], "message": "Forbidden" } });
    ada.fault(CALENDAR, "/calendars/team", 100, json!({ "status": 403, "body": refusal })).await;
    sync(&ada, "full").await;
    let status = ada.status(CALENDAR).await;
    before = moved(&before, &status);
    assert_eq!(stream(&status, "events")["error"], "1 calendar can't be read: Team.");
    assert_eq!(stream(&status, "events")["next_try"], Value::Null, "at the next full sync: {status}");
    assert_eq!(here(&ada, &id).await, there(&ada).await, "what could not be read stays");
    let page = ada.get("/settings/integrations").await;
    assert!(page.body.contains("1 calendar can&#39;t be read: Team."), "{}", page.body);

    ada.admin(CALENDAR, Method::DELETE, "faults", &Value::Null).await;
    sync(&ada, "full").await;
    let status = ada.status(CALENDAR).await;
    moved(&before, &status);
    assert_clean(&status);
    assert_eq!(here(&ada, &id).await, there(&ada).await);
    assert_eq!(depth(&stack, "syncs-dead"), 0);
    stack.shutdown().await;
}
