//! `token-refresh` struck at each of its calls to AWS: afterwards the new token works or the user is asked to reconnect. No
//! lease is stuck, and nothing is lost in silence.

use http::Method;
use local_aws::faults::{Effect, Fault};
use local_cli::bundle::Bundle;
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, depth, let_time_pass, stack};

/// Calls for one refresh: read, look at the integration, read again, lease, store.
const CALLS: u64 = 5;
/// The lease among them.
const LEASE: u64 = 4;
/// Calls for one that finds the grant over: read, look, read again, lease, read again, give the lease back, look, tell, end.
const CALLS_AT_THE_END: u64 = 9;

/// Has a credential refreshed, with these faults in force, and waits until the message is gone.
async fn refresh(guest: &Guest<'_>, id: &str, faults: Vec<Fault>) {
    let stack = guest.stack;
    guest.look.age(id, 60).await.unwrap();
    let killed = faults.iter().any(|fault| matches!(fault.effect, Effect::KillBefore | Effect::KillAfter));
    let at = faults.first().map_or(0, |fault| fault.at);
    stack.gateway.faults.arm(faults);
    let sqs = &stack.embedded.as_ref().expect("embedded").sqs;
    let message = json!({ "v": 1, "integration_id": id, "credential": "bot" }).to_string();
    let call = stack.clients.sqs.send_message().queue_url(sqs.queue_url(&format!("{}-refreshes", stack.prefix())));
    call.message_body(message).send().await.unwrap();
    if killed {
        // Nothing has the message any more: it comes back at once and not after its timeout, and finds no lease.
        stack.until(PATIENCE, async || (struck(stack, at)).then_some(())).await.expect("the fault strikes");
        let_time_pass(stack).await;
    }
    guest.settled("refreshes").await;
    assert!(at == 0 || struck(stack, at), "call {at} never came");
    assert_eq!(depth(stack, "refreshes-dead"), 0);
}

fn struck(stack: &Bundle, at: u64) -> bool {
    stack.gateway.faults.armed().first().is_some_and(|armed| armed.seen >= at)
}

fn strike(effect: Effect, at: u64) -> Vec<Fault> {
    vec![Fault { function: Some("token-refresh".into()), at, ..Fault::new(effect) }]
}

async fn version(guest: &Guest<'_>, id: &str) -> i64 {
    guest.look.credential(id).await.unwrap().version
}

/// Whether the integration is connected and its token works. If not, it says that it must be reconnected and why.
async fn works(guest: &Guest<'_>, id: &str, what: &str) -> bool {
    let (status, body) = guest.api(Method::GET, "/proxy/slack/auth.test", &Value::Null).await;
    let stored = guest.look.credentials(id).await.unwrap().remove(0);
    assert!(!stored.contains_key("lease_until"), "{what}: the lease is stuck");
    if status == 200 {
        assert_eq!(body["ok"], true, "{what}: {body}");
        return true;
    }
    assert_eq!((status, &body["error"]["kind"]), (409, &json!("reconnect_required")), "{what}: {body}");
    let announced = guest.status("slack").await;
    assert!(announced["error"].as_str().is_some_and(|words| words.contains("Slack")), "{what}: {announced}");
    false
}

/// Each call that is struck, and how. Between two calls to AWS nothing happens but a call to Slack, which comes after the
/// lease: so what dies before a call has died after the one before.
fn kills(calls: u64) -> Vec<(Effect, u64)> {
    let before = (1..=calls).map(|call| (Effect::KillBefore, call));
    before.chain([LEASE, calls].map(|call| (Effect::KillAfter, call))).collect()
}

async fn sweep(strikes: Vec<(Effect, u64)>) {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    for (effect, call) in strikes {
        let what = format!("{effect:?} at call {call}");
        // Cold starts are not part of what is struck.
        refresh(&ada, &id, Vec::new()).await;
        let (before, announced) =
            (version(&ada, &id).await, ada.look.announced("integration.reconnect_required", &id).unwrap());
        refresh(&ada, &id, strike(effect, call)).await;
        let lost = effect == Effect::KillBefore && call == CALLS;
        assert_eq!(works(&ada, &id, &what).await, !lost, "{what}: only what Slack gave and nobody stored is lost");
        let announced_now = ada.look.announced("integration.reconnect_required", &id).unwrap();
        assert_eq!(announced_now - announced, usize::from(lost), "{what}");
        if lost {
            ada.connect_and_sync("slack").await;
        } else {
            assert_eq!(version(&ada, &id).await, before + 1, "{what}");
        }
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_or_after_any_call_a_refresh_ends_in_a_token_or_in_words() {
    sweep(kills(CALLS)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_or_a_refused_call_costs_no_token() {
    let effects = [Effect::DropReply, Effect::Refuse, Effect::Throttle];
    sweep(effects.into_iter().flat_map(|effect| (1..=CALLS).map(move |call| (effect, call))).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_grant_is_over_is_reported_whenever_the_function_dies() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    for (effect, call) in kills(CALLS_AT_THE_END) {
        let what = format!("{effect:?} at call {call}");
        let id = ada.connect_and_sync("slack").await;
        refresh(&ada, &id, Vec::new()).await;
        let announced = ada.look.announced("integration.reconnect_required", &id).unwrap();
        ada.admin("slack", Method::POST, "grants/revoke", &json!({ "silent": true })).await;
        refresh(&ada, &id, strike(effect, call)).await;
        assert!(!works(&ada, &id, &what).await, "{what}");
        let announced = ada.look.announced("integration.reconnect_required", &id).unwrap() - announced;
        assert!((1..=2).contains(&announced), "{what}: told {announced} ×");
    }
    stack.shutdown().await;
}
