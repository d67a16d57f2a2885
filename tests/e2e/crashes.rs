//! `webhook-process` struck at each of its calls to AWS: the effect happens once, the event is published, nothing is lost.

use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use local_base::web::Web;
use local_cli::bundle::Bundle;
use tests::{
    FAST, PATIENCE, SHORT_CLAIMS, Seen, customer_event, deliver, depth, let_time_pass, published, seen, stack,
};

/// Calls `webhook-process` makes for one event: claim, integrations, transaction, bus, completion.
const CALLS: u64 = 5;

/// Delivers an event and waits until it is done and the queue is empty.
async fn settle(stack: &Bundle, web: &Web, event: &str, customer: &str) -> Seen {
    assert_eq!(deliver(web, stack, &customer_event(event, customer, 1)).await, Some(200));
    done(stack, event).await
}

async fn done(stack: &Bundle, event: &str) -> Seen {
    let done = async || {
        let found = seen(stack, event).await?;
        (found.state == "done" && depth(stack, "webhooks") == 0).then_some(found)
    };
    stack.until(PATIENCE, done).await.unwrap_or_else(|waited| panic!("{event}: {waited}"))
}

async fn sweep(effect: Effect, attempts: std::ops::RangeInclusive<u64>) {
    let kills = matches!(effect, Effect::KillBefore | Effect::KillAfter);
    let stack = stack(SHORT_CLAIMS).await;
    let web = Web::new();
    // Cold starts are not part of what is struck.
    settle(&stack, &web, "evt_warm", "cus_warm").await;
    for call in 1..=CALLS {
        let event = format!("evt_{call}");
        let strike = Fault { function: Some("webhook-process".into()), at: call, ..Fault::new(effect) };
        stack.gateway.faults.arm(vec![strike]);
        assert_eq!(deliver(&web, &stack, &customer_event(&event, &format!("cus_{call}"), 1)).await, Some(200));
        let struck = || stack.gateway.faults.armed()[0].seen >= call;
        if kills {
            // It comes back now and not after 18 seconds, and finds no claim.
            let struck = stack.until(PATIENCE, async || struck().then_some(())).await;
            struck.unwrap_or_else(|waited| panic!("{effect:?} at call {call} never struck: {waited}"));
            let_time_pass(&stack).await;
        }
        let seen = done(&stack, &event).await;
        assert!(struck(), "{effect:?} at call {call} never struck");
        assert_eq!(seen.effects, 1, "{effect:?} at call {call}");
        assert!(attempts.contains(&seen.attempts), "{effect:?} at call {call}: {} attempts", seen.attempts);
        let count = published(&stack).iter().filter(|detail| detail["id"] == event.as_str()).count();
        assert!(count >= 1, "{effect:?} at call {call}: not published");
    }
    assert_eq!(depth(&stack, "webhooks-dead"), 0, "{effect:?}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_any_call_reaches_aws() {
    sweep(Effect::KillBefore, 1..=2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_call_took_effect() {
    sweep(Effect::KillAfter, 1..=2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reply_to_any_call_is_lost() {
    sweep(Effect::DropReply, 1..=2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_is_refused_or_throttled_once() {
    sweep(Effect::Refuse, 1..=1).await;
    sweep(Effect::Throttle, 1..=1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_meets_another_is_repeated_at_once() {
    let stack = stack(FAST).await;
    let web = Web::new();
    settle(&stack, &web, "evt_warm", "cus_warm").await;
    for (times, attempts) in [(1, 1..=1), (4, 1..=1), (6, 2..=2)] {
        let conflict = Fault {
            function: Some("webhook-process".into()),
            operation: Some("TransactWriteItems".into()),
            times,
            ..Fault::new(Effect::Conflict)
        };
        stack.gateway.faults.arm(vec![conflict]);
        let seen = settle(&stack, &web, &format!("evt_{times}"), &format!("cus_{times}")).await;
        assert_eq!(seen.effects, 1, "{times} conflicts");
        assert!(attempts.contains(&seen.attempts), "{times} conflicts: {seen:?}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamodb_throttled_for_long_at_claim_effect_and_completion_still_means_one_effect() {
    let stack = stack(FAST).await;
    let web = Web::new();
    settle(&stack, &web, "evt_warm", "cus_warm").await;
    for (index, operation) in ["UpdateItem", "TransactWriteItems", "PutEvents"].into_iter().enumerate() {
        let throttle = Fault {
            function: Some("webhook-process".into()),
            operation: Some(operation.into()),
            times: 4,
            ..Fault::new(Effect::Throttle)
        };
        stack.gateway.faults.arm(vec![throttle]);
        let event = format!("evt_{index}");
        let seen = settle(&stack, &web, &event, &format!("cus_{index}")).await;
        assert_eq!(seen.effects, 1, "{operation}");
    }
    // The completion alone: the claim of the next event is the first UpdateItem, its completion the second.
    let completion = Fault {
        function: Some("webhook-process".into()),
        service: Some(Service::Dynamodb),
        operation: Some("UpdateItem".into()),
        at: 2,
        times: 5,
        ..Fault::new(Effect::Throttle)
    };
    stack.gateway.faults.arm(vec![completion]);
    let seen = settle(&stack, &web, "evt_completion", "cus_completion").await;
    assert_eq!(seen.effects, 1);
    assert!(seen.attempts >= 2);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_lands_late_under_its_own_name_costs_time_and_no_event() {
    let parameters = [
        ("ProcessTimeoutSeconds", "8"),
        ("ProxyTimeoutSeconds", "8"),
        ("WebhooksVisibilitySeconds", "48"),
        ("ClaimLeaseSeconds", "9"),
    ];
    let stack = stack(&parameters).await;
    let web = Web::new();
    settle(&stack, &web, "evt_warm", "cus_warm").await;
    let delay = |operation: &str, milliseconds| Fault {
        function: Some("webhook-process".into()),
        operation: Some(operation.into()),
        ..Fault::new(Effect::Delay(milliseconds))
    };
    // The SDK gives the first call up after two seconds and repeats it; then the first reaches DynamoDB after all, while
    // the transaction is still on its way.
    stack.gateway.faults.arm(vec![delay("UpdateItem", 3_500), delay("TransactWriteItems", 1_900)]);
    let seen = settle(&stack, &web, "evt_late", "cus_late").await;
    assert_eq!(seen.effects, 1);
    assert!(seen.attempts >= 3, "the late claim never landed: {seen:?}");
    stack.shutdown().await;
}
