//! What SQS itself moves to the dead-letter queue is listed within minutes, stays there, and is processed after a redrive.

use std::time::Duration;

use http::Method;
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use local_base::web::Web;
use local_cli::bundle::Bundle;
use serde_json::{Value, json};
use tests::{Guest, PATIENCE, customer_event, deliver, depth, logs, published, seen, stack};

/// Fires the schedule that looks through the dead letters: how many it looked at.
async fn review(stack: &Bundle) -> u64 {
    let timer = stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-dead-letters")).unwrap();
    let answer: Value = serde_json::from_str(&timer.fire().await.unwrap()).unwrap();
    answer["reviewed"].as_u64().unwrap()
}

/// Runs the command of the alarm's text.
async fn redrive(stack: &Bundle) {
    let text = std::fs::read_to_string(local_runtime::bootstraps::root().join("template.yaml")).unwrap();
    let alarm = text.split("\n  WebhooksDeadAlarm:\n").nth(1).unwrap();
    let arn = |option: &str| {
        let id = alarm.split(&format!("{option} ${{")).nth(1).unwrap().split(".Arn}").next().unwrap();
        &stack.template.resources.queues.iter().find(|queue| queue.logical_id == id).unwrap().arn
    };
    let task = stack.clients.sqs.start_message_move_task().source_arn(arn("--source-arn"));
    task.destination_arn(arn("--destination-arn")).send().await.unwrap();
}

/// Lets every attempt at an event die at its claim, until SQS has moved its message away.
async fn exhaust(guest: &Guest<'_>, web: &Web, event: &str, effect: Effect) {
    let (stack, before) = (guest.stack, depth(guest.stack, "webhooks-dead"));
    let strike = Fault {
        function: Some("webhook-process".into()),
        service: Some(Service::Dynamodb),
        operation: Some("UpdateItem".into()),
        times: 2,
        ..Fault::new(effect)
    };
    stack.gateway.faults.arm(vec![strike]);
    assert_eq!(deliver(web, stack, &customer_event(event, "cus_1", 1)).await, Some(200));
    let sqs = &stack.embedded.as_ref().unwrap().sqs;
    for attempt in 1..=2 {
        let struck = async || (stack.gateway.faults.armed()[0].seen >= attempt).then_some(());
        stack.until(PATIENCE, struck).await.unwrap_or_else(|waited| panic!("{event}: {waited}"));
        // The message comes back at once and not after its timeout.
        sqs.advance(Duration::from_secs(61));
    }
    let moved = async || (depth(stack, "webhooks-dead") == before + 1).then_some(());
    stack.until(PATIENCE, moved).await.unwrap_or_else(|waited| panic!("{event}: {waited}"));
    stack.gateway.faults.arm(Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sqs_moved_is_listed_stays_and_is_processed_after_a_redrive() {
    // Time enough for a review on a busy machine: it waits a second for more messages by itself.
    let stack = stack(&[
        ("MaxReceiveCount", "2"),
        ("ProcessTimeoutSeconds", "10"),
        ("ProxyTimeoutSeconds", "10"),
        ("ClaimLeaseSeconds", "11"),
        ("WebhooksVisibilitySeconds", "60"),
    ])
    .await;
    let admin = Guest::new(&stack, "admin").await;
    let web = Web::new();
    exhaust(&admin, &web, "evt_unseen", Effect::KillBefore).await;
    assert_eq!(seen(&stack, "evt_unseen").await, None, "no attempt came so far");
    exhaust(&admin, &web, "evt_claimed", Effect::KillAfter).await;
    assert_eq!(seen(&stack, "evt_claimed").await.unwrap().state, "claimed");
    // What an attempt gives up tells its reason by itself.
    assert_eq!(deliver(&web, &stack, r#"{"no":"event"}"#).await, Some(200));
    admin.settled("webhooks").await;

    // A claim is believed until its lease ends.
    let listed = async || {
        assert_eq!(review(&stack).await, 3);
        let (status, body) = admin.api(Method::GET, "/deliveries?state=dead", &Value::Null).await;
        assert_eq!(status, 200, "{body}");
        let all = body["deliveries"].as_array().unwrap().clone();
        (all.len() == 3).then_some(all)
    };
    let dead = stack.until(PATIENCE, listed).await.unwrap();
    // An attempt that finds the claim of a dead one held is none.
    for (event, attempts) in [("evt_unseen", 0..=0), ("evt_claimed", 1..=2)] {
        let delivery = dead.iter().find(|it| it["event_id"] == event).unwrap();
        assert_eq!(
            (&delivery["reason"], &delivery["effects"]),
            (&json!("receives_exhausted"), &json!(0)),
            "{delivery}"
        );
        assert!(attempts.contains(&delivery["attempts"].as_u64().unwrap()), "{delivery}");
        // What died over it wrote nothing else.
        let (id, lines) = (delivery["id"].as_str().unwrap(), logs(&stack));
        let again = |line: &&str| line.contains("received again") && line.contains(id);
        assert_eq!(lines.lines().filter(again).count(), 1, "{event}: {lines}");
    }
    assert_eq!(review(&stack).await, 3, "the messages are there for the next one");
    let logged = || logs(&stack).matches("receives_exhausted").count();
    // A line and a metric for each, once.
    stack.until(PATIENCE, async || (logged() >= 3).then_some(())).await.unwrap();
    let lines = logs(&stack);
    let lines = lines.lines().filter(|line| line.contains("receives_exhausted") && line.contains("\"level\"")).count();
    assert_eq!(lines, 2);

    // The cause is repaired, and the alarm's command runs: twice, in case it was not seen to run.
    for _ in 0..2 {
        redrive(&stack).await;
        for event in ["evt_unseen", "evt_claimed"] {
            let done = async || seen(&stack, event).await.filter(|seen| seen.state == "done");
            let done = stack.until(PATIENCE, done).await.unwrap_or_else(|waited| panic!("{event}: {waited}"));
            assert_eq!(done.effects, 1, "{event}");
            assert_eq!(published(&stack).iter().filter(|detail| detail["id"] == event).count(), 1, "{event}");
        }
        admin.settled("webhooks").await;
        assert_eq!(review(&stack).await, 1, "what is no event is given up again");
    }
    let (_, body) = admin.api(Method::GET, "/deliveries?state=done", &Value::Null).await;
    let done = body["deliveries"].as_array().unwrap();
    assert!(done.len() == 2 && done.iter().all(|it| it["reason"].is_null() && it["last_error"].is_null()), "{body}");
    stack.shutdown().await;
}
