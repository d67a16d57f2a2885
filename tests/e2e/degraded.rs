//! That an integration's syncs or refreshes fail, and that they work again, is told once per spell, whatever dies on the way.

use std::collections::BTreeSet;

use http::Method;
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, hurry, published, stack};

const LIST: &str = "conversations.list";
const TOKEN: &str = "POST /api/oauth.v2.access";

/// The events of a kind that are on the bus about an integration.
fn notices(guest: &Guest<'_>, kind: &str, id: &str) -> Vec<Value> {
    let of = |event: &Value| event["type"] == format!("integration.{kind}") && event["integration_id"] == id;
    published(guest.stack).into_iter().filter(of).collect()
}

fn ids(events: &[Value]) -> BTreeSet<String> {
    events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

async fn sync(guest: &Guest<'_>) {
    let (status, body) = guest.api(Method::POST, "/integrations/slack/sync", &json!({})).await;
    assert_eq!(status, 202, "{body}");
}

async fn down(guest: &Guest<'_>, name: &str) {
    guest.fault("slack", name, 1_000, json!({ "status": 503 })).await;
}

async fn up(guest: &Guest<'_>) {
    guest.admin("slack", Method::DELETE, "faults", &Value::Null).await;
    guest.settled("syncs").await;
}

/// Waits until so many runs have failed at their first call, after four attempts.
async fn runs(guest: &Guest<'_>, count: usize) {
    let name = format!("/api/{LIST}");
    let before = guest.calls("slack", &name).await;
    let failed = async || (guest.calls("slack", &name).await >= before + 4 * count).then_some(());
    let hurried = hurry(guest.stack, 20);
    guest.stack.until(PATIENCE, failed).await.expect("the runs fail");
    hurried.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_for_several_runs_is_reported_once_and_its_recovery_once() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    assert_eq!(ada.status("slack").await["degraded"], Value::Null);
    for spell in 1..=2 {
        down(&ada, LIST).await;
        sync(&ada).await;
        runs(&ada, 3).await;
        let events = notices(&ada, "degraded", &id);
        assert_eq!((events.len(), notices(&ada, "recovered", &id).len()), (spell, spell - 1), "{events:?}");
        let data = &events[spell - 1]["data"];
        assert!(data["message"].as_str().unwrap().starts_with("Slack") && data["next_try"].is_string(), "{data}");
        let status = ada.status("slack").await;
        assert_eq!((&status["degraded"]["message"], &status["state"]), (&data["message"], &json!("connected")));
        up(&ada).await;
        let events = notices(&ada, "recovered", &id);
        assert_eq!(events.len(), spell, "{events:?}");
        assert_eq!(events[spell - 1]["data"]["since"], status["degraded"]["since"]);
        assert_eq!(ada.status("slack").await["degraded"], Value::Null);
        sync(&ada).await;
        ada.settled("syncs").await;
    }
    assert_eq!((ids(&notices(&ada, "degraded", &id)).len(), ids(&notices(&ada, "recovered", &id)).len()), (2, 2));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_reported_under_one_id_whenever_the_worker_dies() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let strike = |effect| Fault {
        function: Some("sync-worker".into()),
        service: Some(Service::Events),
        operation: Some("PutEvents".into()),
        ..Fault::new(effect)
    };
    for effect in [Effect::KillBefore, Effect::KillAfter] {
        let id = ada.connect_and_sync("slack").await;
        let earlier = [ids(&notices(&ada, "degraded", &id)).len(), ids(&notices(&ada, "recovered", &id)).len()];
        down(&ada, LIST).await;
        stack.gateway.faults.arm(vec![strike(effect)]);
        sync(&ada).await;
        let struck = async || (stack.gateway.faults.armed()[0].seen >= 1).then_some(());
        stack.until(PATIENCE, struck).await.expect("the worker dies as it tells");
        ada.admin("slack", Method::DELETE, "faults", &Value::Null).await;
        // The message comes back when its visibility timeout ends, and finds Slack working again.
        stack.embedded.as_ref().unwrap().sqs.advance(std::time::Duration::from_hours(1));
        ada.settled("syncs").await;
        let counts = [ids(&notices(&ada, "degraded", &id)).len(), ids(&notices(&ada, "recovered", &id)).len()];
        assert_eq!(counts, [earlier[0] + 1, earlier[1] + 1], "{effect:?}");
        assert_eq!(ada.status("slack").await["degraded"], Value::Null, "{effect:?}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshes_that_fail_are_reported_once_and_no_sync_that_works_ends_that_before_a_refresh_does() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    let sweep = async || {
        // Due, and valid for another hour.
        ada.look.age(&id, 3_600).await.unwrap();
        stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-refresh")).unwrap().fire().await.unwrap();
        ada.settled("refreshes").await;
    };
    let counts = || (notices(&ada, "degraded", &id).len(), notices(&ada, "recovered", &id).len());
    down(&ada, TOKEN).await;
    for _ in 0..2 {
        sweep().await;
        sync(&ada).await;
        ada.settled("syncs").await;
        assert_eq!(counts(), (1, 0));
    }
    let status = ada.status("slack").await;
    assert!(status["degraded"]["message"].as_str().unwrap().starts_with("Slack"), "{status}");
    assert_eq!(status["error"], Value::Null, "the syncs work: {status}");
    up(&ada).await;
    sweep().await;
    assert_eq!(counts(), (1, 1));

    // A refresh that a call needs ends it just as well.
    down(&ada, TOKEN).await;
    sweep().await;
    assert_eq!(counts(), (2, 1));
    up(&ada).await;
    ada.look.age(&id, -10).await.unwrap();
    sync(&ada).await;
    ada.settled("syncs").await;
    assert_eq!(counts(), (2, 2));
    assert_eq!(ada.status("slack").await["degraded"], Value::Null);
    stack.shutdown().await;
}
