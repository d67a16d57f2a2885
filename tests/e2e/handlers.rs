//! The application's own code runs once per event, and what it can't take is put aside with its reason.

use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use futures_util::future::join_all;
use local_base::web::Web;
use serde_json::{Value, json};
use tests::{
    FAST, PATIENCE, bootstraps_with, customer_event, dead_letters, deliver, depth, logs, published, seen, stack,
    stack_with,
};

fn event(id: &str, kind: &str, object: &Value) -> String {
    json!({ "id": id, "object": "event", "type": kind, "created": 1_795_000_000, "data": { "object": object } })
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_bus_does_not_take_is_dead_lettered_and_the_rest_of_its_batch_is_heard_of_once() {
    let stack = stack(FAST).await;
    let web = Web::new();
    let mut bodies: Vec<_> = (0..9).map(|number| customer_event(&format!("evt_{number}"), "cus_1", number)).collect();
    // As deep as a body may be, which is deeper than the bus reads.
    let deep = format!("{}{}", "[".repeat(125), "]".repeat(125));
    bodies.push(
        event("evt_deep", "x.y", &json!({ "id": "x_1", "object": "gizmo", "deep": "DEEP" })).replace("\"DEEP\"", &deep),
    );
    let answers = join_all(bodies.iter().map(|body| deliver(&web, &stack, body))).await;
    assert_eq!(answers, [Some(200); 10]);
    let settled = async || (depth(&stack, "webhooks") == 0).then_some(depth(&stack, "webhooks-dead"));
    assert_eq!(stack.until(PATIENCE, settled).await.unwrap(), 1);
    let deep = seen(&stack, "evt_deep").await.unwrap();
    assert_eq!((deep.state.as_str(), deep.attempts, deep.effects), ("dead", 1, 1));
    for number in 0..9 {
        let seen = seen(&stack, &format!("evt_{number}")).await.unwrap();
        assert_eq!((seen.state.as_str(), seen.attempts, seen.effects), ("done", 1, 1), "evt_{number}");
    }
    assert_eq!(published(&stack).len(), 9);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applications_handlers_hear_of_their_events_and_one_that_cannot_be_taken_does_not_hold_up_nine() {
    let stack = stack_with(bootstraps_with("webhook-handlers").await, FAST).await;
    let web = Web::new();
    let payment = |number: usize, amount: Value| {
        let object = json!({
            "id": format!("pi_{number}"), "object": "payment_intent", "status": "succeeded",
            "amount_received": amount, "currency": "eur",
        });
        event(&format!("evt_{number}"), "payment_intent.succeeded", &object)
    };
    let mut bodies: Vec<_> = (0..8).map(|number| payment(number, json!(2_000))).collect();
    // As long as that, because log lines are full of ids: four digits stand in one of them every so often.
    let quoted = "4242424242424242";
    bodies.push(payment(8, json!(quoted)));
    let subscription =
        json!({ "id": "sub_1", "object": "subscription", "status": "canceled", "ended_at": 1_795_000_000 });
    bodies.push(event("evt_9", "customer.subscription.deleted", &subscription));
    let answers = join_all(bodies.iter().map(|body| deliver(&web, &stack, body))).await;
    assert_eq!(answers, [Some(200); 10]);
    let settled = async || (depth(&stack, "webhooks") == 0).then_some(depth(&stack, "webhooks-dead"));
    assert_eq!(stack.until(PATIENCE, settled).await.unwrap(), 1);

    for number in 0..10 {
        let seen = seen(&stack, &format!("evt_{number}")).await.unwrap();
        let state = if number == 8 { "dead" } else { "done" };
        assert_eq!((seen.state.as_str(), seen.attempts), (state, 1), "evt_{number}");
    }
    let logged = async || {
        let text = logs(&stack);
        let lines = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        ((lines("payment succeeded"), lines("subscription ended")) == (8, 1)).then_some(text)
    };
    let text = stack.until(PATIENCE, logged).await.expect("both examples write to the log");
    assert!(!text.contains(quoted), "a reason quotes the payload");
    assert!(published(&stack).iter().all(|detail| detail["id"] != "evt_8"));
    assert_eq!(published(&stack).len(), 9);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_messages_the_one_whose_handler_panics_is_dead_lettered_with_its_reason_and_nine_are_applied() {
    let stack = stack_with(bootstraps_with("poison").await, FAST).await;
    let web = Web::new();
    let mut bodies: Vec<_> = (0..9).map(|number| customer_event(&format!("evt_{number}"), "cus_1", number)).collect();
    bodies.insert(4, customer_event("evt_poison", "cus_2", 9));
    // They become visible together, so that they are one batch.
    let sqs = &stack.embedded.as_ref().expect("embedded").sqs;
    let call = stack.clients.sqs.set_queue_attributes().queue_url(sqs.queue_url("intertie-webhooks"));
    call.attributes(QueueAttributeName::DelaySeconds, "600").send().await.unwrap();
    let answers = join_all(bodies.iter().map(|body| deliver(&web, &stack, body))).await;
    assert_eq!(answers, [Some(200); 10]);
    sqs.advance(Duration::from_mins(10));
    let settled = async || (depth(&stack, "webhooks") == 0).then_some(depth(&stack, "webhooks-dead"));
    assert_eq!(stack.until(PATIENCE, settled).await.unwrap(), 1);

    let poison = seen(&stack, "evt_poison").await.unwrap();
    assert_eq!((poison.state.as_str(), poison.attempts), ("dead", 1));
    for number in 0..9 {
        let seen = seen(&stack, &format!("evt_{number}")).await.unwrap();
        assert_eq!((seen.state.as_str(), seen.attempts, seen.effects), ("done", 1, 1), "evt_{number}");
    }
    let dead = dead_letters(&stack, "webhooks").await;
    assert_eq!(dead, ["handler_panicked"]);
    assert_eq!(published(&stack).len(), 9);
    stack.shutdown().await;
}
