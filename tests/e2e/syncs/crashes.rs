//! `sync-worker` killed at each of its calls to AWS in a full sync: the records are the provider's in the end, and what was read
//! since the run was last stored is read again.

use std::time::Duration;

use http::Method;
use local_aws::faults::{Effect, Fault};
use local_cli::bundle::Bundle;
use serde_json::json;
use tests::{FAST, Guest, PATIENCE, depth, stack};

use super::{CALENDAR, here, silently, sync, there};

/// More than any visibility timeout.
const COMES_BACK: Duration = Duration::from_hours(1);
/// Pages of a full sync: the list of calendars, and one of each calendar.
const PAGES: usize = 4;

/// Calls to AWS that `sync-worker` made so far.
fn calls(stack: &Bundle) -> u64 {
    let counts = stack.gateway.counts();
    counts.iter().filter(|((function, ..), _)| function.ends_with("-sync-worker")).map(|(_, count)| count).sum()
}

/// Pages that Google was asked for so far.
async fn pages(guest: &Guest<'_>) -> usize {
    guest.calls(CALENDAR, "/calendarList").await + guest.calls(CALENDAR, "/events").await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_any_call_a_full_sync_ends_with_what_the_provider_has() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync(CALENDAR).await;
    sync(&ada, "full").await;
    let before = calls(&stack);
    sync(&ada, "full").await;
    let all = calls(&stack) - before;
    for call in 1..=all {
        // Each round brings one event and takes another away.
        silently(&ada, Method::POST, &format!("round{call:03}"), json!({ "summary": "Round" })).await;
        if call > 1 {
            silently(&ada, Method::DELETE, &format!("round{:03}", call - 1), json!({})).await;
        }
        let read = pages(&ada).await;
        let strike = Fault { function: Some("sync-worker".into()), at: call, ..Fault::new(Effect::KillBefore) };
        stack.gateway.faults.arm(vec![strike]);
        let path = format!("/integrations/{CALENDAR}/sync");
        ada.api(Method::POST, &path, &json!({ "type": "full" })).await;
        let struck = async || (stack.gateway.faults.armed()[0].seen >= call).then_some(());
        stack.until(PATIENCE, struck).await.unwrap_or_else(|_| panic!("call {call} of {all} never came"));
        let first = pages(&ada).await - read;
        stack.embedded.as_ref().unwrap().sqs.advance(COMES_BACK);
        ada.settled("syncs").await;
        assert_eq!(here(&ada, &id).await, there(&ada).await, "killed before call {call} of {all}");
        // What was read since the run was last stored is read again; after its end it is another run.
        let most = PAGES + first;
        let read = pages(&ada).await - read;
        assert!((PAGES..=most).contains(&read), "{read} pages, {first} before the kill, before call {call} of {all}");
        assert_eq!(ada.status(CALENDAR).await["sync_in_progress"], false, "call {call} of {all}");
    }
    assert_eq!(depth(&stack, "syncs-dead"), 0);
    stack.shutdown().await;
}
