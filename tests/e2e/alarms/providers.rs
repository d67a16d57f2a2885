//! What providers refuse or answer wrongly, what strangers send, and what only an operator can repair.

use http::Method;
use local_aws::{Service, faults::Effect};
use local_base::web::Web;
use serde_json::{Value, json};
use tests::{FAST, Guest, alarms::Watch, customer_event, deliver, stack};

use super::{ask, connected, quiet, set, strikes};

pub(super) fn seen() -> Vec<String> {
    ["provider-failures", "refresh-failures", "watches-ending", "webhooks-refused", "operator-failures"]
        .map(str::to_owned)
        .into()
}

/// Fires a schedule, by its name without prefix.
pub(super) async fn fire(guest: &Guest<'_>, schedule: &str) {
    guest.stack.timers.iter().find(|timer| timer.schedule.name.ends_with(schedule)).unwrap().fire().await.unwrap();
}

/// Has Google refuse to renew a watch that ends tomorrow.
pub(super) async fn refuse_renewal(guest: &Guest<'_>, id: &str) {
    guest.fault("google-calendar", "/watch", 1_000, json!({ "status": 503 })).await;
    guest.watch_is_due(id, 24).await;
    fire(guest, "-watches").await;
    guest.settled("syncs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_rings() {
    let stack = stack(FAST).await;
    let (ada, _) = connected(&stack, "ada").await;
    let mut watch = Watch::new(&stack).await;
    watch.pass(5).await;
    ada.fault("slack", "conversations.list", 1_000, json!({ "status": 503 })).await;
    for _ in 0..3 {
        // Each call is made up to four times.
        assert_eq!(ada.api(Method::POST, "/actions/slack/list_channels", &json!({})).await.0, 502);
    }
    watch.breach("provider-failures").await;
    watch.pass(5).await;
    assert_eq!(watch.rung(), set(["provider-failures"]));
    ada.admin("slack", Method::DELETE, "faults", &Value::Null).await;
    assert_eq!(ada.api(Method::POST, "/actions/slack/list_channels", &json!({})).await.0, 200);
    watch.pass(watch.alarm("provider-failures").memory()).await;
    quiet(&mut watch, "the repair").await;
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshes_that_are_refused_ring() {
    let stack = stack(FAST).await;
    let mut all = Vec::new();
    for user in ["ada", "bob", "eve"] {
        all.push(connected(&stack, user).await);
    }
    let mut watch = Watch::new(&stack).await;
    watch.pass(5).await;
    let (ada, _) = &all[0];
    ada.admin("slack", Method::POST, "grants/revoke", &json!({ "silent": true })).await;
    for (guest, id) in &all {
        guest.look.age(id, 60).await.unwrap();
    }
    fire(ada, "-refresh").await;
    watch.breach("refresh-failures").await;
    watch.pass(15).await;
    assert_eq!(watch.rung(), set(["refresh-failures"]));
    // Their users connect again.
    for (guest, _) in &all {
        let id = guest.connect("slack").await;
        guest.look.age(&id, 60).await.unwrap();
    }
    fire(ada, "-refresh").await;
    ada.settled("refreshes").await;
    watch.pass(watch.alarm("refresh-failures").memory()).await;
    quiet(&mut watch, "connecting again").await;
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_the_token_endpoint_refuses_rings_even_if_only_a_call_finds_out() {
    let stack = stack(FAST).await;
    let (ada, _) = connected(&stack, "ada").await;
    let mut watch = Watch::new(&stack).await;
    watch.pass(5).await;
    let refusal = json!({ "ok": false, "error": "bad_client_secret" });
    ada.fault("slack", "oauth.v2.access", 1_000, json!({ "status": 200, "body": refusal })).await;
    ada.admin("slack", Method::POST, "tokens/expire", &json!({})).await;
    let call = async || ada.api(Method::POST, "/actions/slack/list_channels", &json!({})).await;
    let (status, answer) = call().await;
    assert_eq!(status, 500, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("does not accept this application"), "{answer}");
    watch.breach("operator-failures").await;
    watch.pass(1).await;
    assert_eq!(watch.rung(), set(["operator-failures"]));
    ada.admin("slack", Method::DELETE, "faults", &Value::Null).await;
    assert_eq!(call().await.0, 200);
    watch.pass(watch.alarm("operator-failures").memory()).await;
    quiet(&mut watch, "the repair").await;
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_ends_and_is_not_renewed_rings() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("google-calendar").await;
    let mut watch = Watch::new(&stack).await;
    // Days pass: the schedules would fire hundreds of times.
    watch.timers.clear();
    refuse_renewal(&ada, &id).await;
    watch.breach("watches-ending").await;
    watch.pass(1).await;
    assert!(watch.ringing().contains("watches-ending"), "{:?}", watch.ringing());
    ada.admin("google-calendar", Method::DELETE, "faults", &Value::Null).await;
    ada.watch_is_due(&id, 24).await;
    fire(&ada, "-watches").await;
    ada.quiet().await;
    // The new one, and the old one until it ends.
    assert_eq!(ada.status("google-calendar").await["watching"]["active"], 2);
    watch.pass(watch.alarm("watches-ending").memory()).await;
    assert!(!watch.ringing().contains("watches-ending"));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_are_refused_for_a_quarter_of_an_hour_ring() {
    let stack = stack(FAST).await;
    let (web, mut watch) = (Web::new(), Watch::new(&stack).await);
    watch.pass(5).await;
    for _ in 0..3 {
        for _ in 0..21 {
            assert_eq!(ask(&web, &stack, Method::POST, "/webhooks/stripe").await, 400);
        }
        watch.breach("webhooks-refused").await;
        assert_eq!(watch.rung(), set([]));
        watch.pass(5).await;
    }
    assert_eq!(watch.rung(), set(["webhooks-refused"]));
    watch.pass(watch.alarm("webhooks-refused").memory()).await;
    quiet(&mut watch, "the last of them").await;
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_away_rings_at_once_and_the_work_is_done_after_the_repair() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let (web, mut watch) = (Web::new(), Watch::new(&stack).await);
    watch.pass(5).await;
    stack.gateway.faults.arm(vec![strikes("webhook-process", Service::Dynamodb, Effect::Deny)]);
    assert_eq!(deliver(&web, &stack, &customer_event("evt_1", "cus_1", 1)).await, Some(200));
    watch.breach("operator-failures").await;
    watch.pass(1).await;
    assert_eq!(watch.rung(), set(["operator-failures"]));
    stack.gateway.faults.arm(Vec::new());
    ada.settled("webhooks").await;
    assert_eq!(tests::seen(&stack, "evt_1").await.unwrap().state, "done");
    watch.pass(watch.alarm("operator-failures").memory()).await;
    watch.rung();
    quiet(&mut watch, "the repair").await;
    stack.shutdown().await;
}
