//! The counts of the status are those of the records after each sync, and grow while the first one runs.

use http::Method;
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, delayed, stack};

use super::{CALENDAR, here, silently, sync, there, time};

/// How many records the status says that an integration's only stream has.
fn records(status: &Value) -> usize {
    usize::try_from(status["streams"][0]["records"].as_u64().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_counts_the_records_after_every_sync_and_after_another_grant() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync(CALENDAR).await;
    let counted = async |what: &str| {
        let (status, here) = (ada.status(CALENDAR).await, here(&ada, &id).await);
        assert_eq!(here, there(&ada).await, "{what}");
        assert_eq!(records(&status), here.len(), "{what}: {status}");
        assert_eq!(status["sync_in_progress"], false, "{what}");
        status
    };
    counted("the first sync").await;
    for kind in ["incremental", "full"] {
        silently(&ada, Method::POST, "tea00", json!({ "summary": "Tea" })).await;
        sync(&ada, kind).await;
        counted("an event came").await;
        silently(&ada, Method::DELETE, "tea00", json!({})).await;
        sync(&ada, kind).await;
        counted("an event is gone").await;
    }

    let forbidden = json!({ "error": { "code": 403, "errors": [{ "reason": "forbidden" }], "message": "Forbidden" } });
    ada.fault(CALENDAR, "/calendarList", 100, json!({ "status": 403, "body": forbidden })).await;
    sync(&ada, "full").await;
    let failed = counted("a sync that is refused").await;
    assert!(failed["error"].is_string() && failed["streams"][0]["error"].is_string(), "{failed}");

    // Another grant, before its first sync.
    let strike = Fault {
        function: Some("sync-worker".into()),
        service: Some(Service::Dynamodb),
        times: u64::MAX,
        ..Fault::new(Effect::Refuse)
    };
    stack.gateway.faults.arm(vec![strike]);
    ada.connect(CALENDAR).await;
    // No attempt is at work when the fault ends: its message would be visible for another one.
    let deferred = async || (delayed(&stack, "syncs") == 1).then_some(());
    stack.until(PATIENCE, deferred).await.expect("the first sync is tried later");
    let status = counted("another grant").await;
    assert_eq!((&status["error"], &status["streams"][0]["error"]), (&Value::Null, &Value::Null), "{status}");
    assert_eq!(status["last_sync"], failed["last_sync"]);
    ada.admin(CALENDAR, Method::DELETE, "faults", &Value::Null).await;
    stack.gateway.faults.arm(Vec::new());
    ada.settled("syncs").await;
    let status = counted("its first sync").await;
    assert!(time(&status["last_sync"]) > time(&failed["last_sync"]), "{status}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_first_sync_has_read_is_counted_before_it_ends() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let slower =
        json!({ "error": { "code": 429, "errors": [{ "reason": "rateLimitExceeded" }], "message": "Slower." } });
    let effect = json!({ "status": 429, "headers": { "retry-after": "6" }, "body": slower });
    ada.fault(CALENDAR, "team%40group.calendar.google.com/events", 100, effect).await;
    let id = ada.connect(CALENDAR).await;
    let some = async || Some(ada.status(CALENDAR).await).filter(|status| records(status) > 0);
    let status = stack.until(PATIENCE, some).await.expect("a count before the end");
    assert_eq!(
        (&status["last_sync"], &status["streams"][0]["last_full_sync"]),
        (&Value::Null, &Value::Null),
        "{status}"
    );
    assert_eq!(records(&status), here(&ada, &id).await.len());
    ada.admin(CALENDAR, Method::DELETE, "faults", &Value::Null).await;
    ada.settled("syncs").await;
    assert_eq!(records(&ada.status(CALENDAR).await), there(&ada).await.len());
    stack.shutdown().await;
}
