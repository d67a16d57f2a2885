//! The queue loop, with a real queue: nothing is lost, whatever a message does.

use std::{sync::Mutex, time::Duration};

use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};
use domain::{Aging, Deferral, Diagnosis, Disposition, Reason};
use lambda_runtime::{Context, LambdaEvent};
use platform::{
    aws::queue::Queue,
    runtime::{
        batch::{Batch, BatchResponse},
        consumer::{Attempt, Consumer, Handler},
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use tests::Ground;

/// Does what the message says.
#[derive(Default)]
struct Obedient {
    applied: Mutex<Vec<u32>>,
}

#[derive(Deserialize)]
struct Order {
    id: u32,
    what: String,
}

impl Handler for Obedient {
    type Message<'a> = Order;

    async fn handle(&self, order: Self::Message<'_>, attempt: &Attempt) -> Disposition {
        match order.what.as_str() {
            "apply" => {
                self.applied.lock().unwrap().push(order.id);
                Disposition::Done
            }
            // Without the panic hook: printing a backtrace takes a time that would be the other messages' as well.
            "panic" => std::panic::resume_unwind(Box::new("as ordered")),
            "hang" => std::future::pending().await,
            "retry" => Disposition::Retry(Duration::from_secs(7), Diagnosis::new(Reason::HandlerFailed, "asked to")),
            "defer" => deferred(Aging::Grows),
            "go on with long work" => Disposition::Defer(Deferral { is_long: true, ..deferral(Aging::Grows) }),
            "wait for a limit" => deferred(Aging::Pauses),
            "make progress" => deferred(Aging::Restarts),
            "wait in line" if attempt.has_place => Disposition::Done,
            "wait in line" => {
                let why = Diagnosis::new(Reason::ThrottledLocally, "asked to");
                Disposition::Defer(Deferral {
                    after: Duration::from_secs(7),
                    why,
                    aging: Aging::Pauses,
                    has_place: true,
                    is_long: false,
                })
            }
            other => Disposition::dead_letter(Reason::NotAnEvent, format!("no such order: {other}\u{7}")),
        }
    }
}

fn deferred(aging: Aging) -> Disposition {
    Disposition::Defer(deferral(aging))
}

fn deferral(aging: Aging) -> Deferral {
    let why = Diagnosis::new(Reason::Unavailable, "asked to");
    Deferral { after: Duration::from_secs(7), why, aging, has_place: false, is_long: false }
}

struct Bench {
    ground: Ground,
    consumer: Consumer,
}

impl Bench {
    async fn start() -> Self {
        let ground = Ground::start().await;
        let queue = |name: &str| Queue::new(&ground.aws, ground.queue_url(name));
        let consumer = Consumer::new(queue("webhooks"), queue("webhooks-dead"), 4).and_from(queue("long-syncs"));
        Self { ground, consumer }
    }

    async fn send(&self, body: &str) {
        self.send_to("webhooks", body).await;
    }

    async fn send_to(&self, queue: &str, body: &str) {
        let call = self.ground.clients.sqs.send_message().queue_url(self.ground.queue_url(queue));
        call.message_body(body).message_group_id("tenant").send().await.unwrap();
    }

    async fn receive(&self, queue: &str) -> Vec<Message> {
        let call = self.ground.clients.sqs.receive_message().queue_url(self.ground.queue_url(queue));
        let call = call.max_number_of_messages(10).message_attribute_names("All");
        let call = call.message_system_attribute_names(MessageSystemAttributeName::All);
        call.send().await.unwrap().messages.unwrap_or_default()
    }

    /// Receives what there is, lets the loop handle it with `left` of its time, and deletes what it may.
    async fn round(&self, handler: &Obedient, left: Duration) -> (usize, usize) {
        self.round_of("webhooks", handler, left).await
    }

    async fn round_of(&self, queue: &str, handler: &Obedient, left: Duration) -> (usize, usize) {
        let messages = self.receive(queue).await;
        let records: Vec<_> = messages.iter().map(|message| record(queue, message)).collect();
        let batch: Batch = serde_json::from_value(json!({ "Records": records })).unwrap();
        let mut context = Context::default();
        let deadline = platform::base::clock::now() + left;
        context.deadline = u64::try_from(deadline.as_millisecond()).unwrap();
        let response = self.consumer.run(handler, LambdaEvent { payload: batch, context }).await;
        let failed = failures(&response);
        for message in &messages {
            if !failed.contains(&message.message_id.clone().unwrap()) {
                let call = self.ground.clients.sqs.delete_message().queue_url(self.ground.queue_url(queue));
                call.receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
            }
        }
        (messages.len(), failed.len())
    }

    /// Waiting, in flight, delayed.
    fn depth(&self, name: &str) -> (usize, usize, usize) {
        let depths = self.ground.sqs.depths();
        let depth = depths.iter().find(|depth| depth.name == format!("intertie-{name}")).unwrap();
        (depth.visible, depth.in_flight, depth.delayed)
    }
}

fn record(queue: &str, message: &Message) -> Value {
    let attributes = message.attributes().unwrap().iter().map(|(name, value)| (name.as_str().to_owned(), json!(value)));
    // A test can't wait for hours: what is sent now says when it was sent.
    let sent = message.message_attributes().and_then(|all| all.get("Sent")?.string_value());
    let attributes = attributes.chain(sent.map(|sent| ("SentTimestamp".to_owned(), json!(sent))));
    let custom = message.message_attributes().into_iter().flatten();
    let custom = custom.map(|(name, value)| (name.clone(), json!({ "stringValue": value.string_value() })));
    json!({
        "messageId": message.message_id(),
        "receiptHandle": message.receipt_handle(),
        "body": message.body(),
        "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:intertie-{queue}"),
        "attributes": attributes.collect::<serde_json::Map<_, _>>(),
        "messageAttributes": custom.collect::<serde_json::Map<_, _>>(),
    })
}

fn failures(response: &BatchResponse) -> Vec<String> {
    let json = serde_json::to_value(response).unwrap();
    let all = json["batchItemFailures"].as_array().unwrap();
    all.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

fn order(id: u32, what: &str) -> String {
    json!({ "id": id, "what": what }).to_string()
}

const PLENTY: Duration = Duration::from_secs(30);
/// A hang lasts as long as this, less a second: long enough that a busy machine begins all messages of a batch before.
const ENOUGH: Duration = Duration::from_secs(5);

#[tokio::test]
async fn one_poison_message_in_ten_is_dead_lettered_with_its_reason_and_nine_are_applied() {
    let bench = Bench::start().await;
    for id in 0..9 {
        bench.send(&order(id, "apply")).await;
    }
    bench.send("not JSON").await;
    let handler = Obedient::default();
    assert_eq!(bench.round(&handler, PLENTY).await, (10, 0));
    assert_eq!(handler.applied.lock().unwrap().len(), 9);
    let dead = bench.receive("webhooks-dead").await;
    assert_eq!(dead[0].body(), Some("not JSON"));
    let reason = dead[0].message_attributes().unwrap()["Reason"].string_value().unwrap();
    assert_eq!(reason, "message_unreadable");
    assert_eq!(bench.depth("webhooks"), (0, 0, 0));
}

#[tokio::test]
async fn what_is_put_off_goes_back_to_its_own_queue_of_two_and_long_work_to_the_second() {
    let bench = Bench::start().await;
    let handler = Obedient::default();
    for queue in ["webhooks", "long-syncs"] {
        bench.send_to(queue, &order(1, "defer")).await;
        bench.send_to(queue, &order(2, "retry")).await;
        assert_eq!(bench.round_of(queue, &handler, PLENTY).await, (2, 1), "{queue}");
        assert_eq!(bench.depth(queue), (0, 1, 1), "{queue}");
    }
    bench.send(&order(3, "go on with long work")).await;
    assert_eq!(bench.round(&handler, PLENTY).await, (1, 0));
    assert_eq!((bench.depth("webhooks").2, bench.depth("long-syncs").2), (1, 2));
}

#[tokio::test]
async fn a_panic_and_a_hang_fail_alone_and_come_back() {
    let bench = Bench::start().await;
    for (id, what) in [(1, "apply"), (2, "panic"), (3, "hang"), (4, "apply")] {
        bench.send(&order(id, what)).await;
    }
    let handler = Obedient::default();
    assert_eq!(bench.round(&handler, ENOUGH).await, (4, 2));
    assert_eq!(*handler.applied.lock().unwrap(), [1, 4]);
    // The panic's may be back already: it waits for its backoff only, a second or two.
    let (visible, in_flight, delayed) = bench.depth("webhooks");
    assert_eq!((visible + in_flight, delayed), (2, 0));
}

#[tokio::test]
async fn without_time_left_nothing_is_started_and_everything_comes_back() {
    let bench = Bench::start().await;
    bench.send(&order(1, "apply")).await;
    let handler = Obedient::default();
    assert_eq!(bench.round(&handler, Duration::from_millis(400)).await, (1, 1));
    assert!(handler.applied.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_retry_counts_and_a_deferral_does_not() {
    let bench = Bench::start().await;
    bench.send(&order(1, "retry")).await;
    bench.send(&order(2, "defer")).await;
    let handler = Obedient::default();
    assert_eq!(bench.round(&handler, PLENTY).await, (2, 1));
    assert_eq!(bench.depth("webhooks"), (0, 1, 1));
    bench.ground.sqs.advance(Duration::from_secs(8));
    let again = bench.receive("webhooks").await;
    let seen: std::collections::BTreeMap<_, _> = again
        .iter()
        .map(|message| {
            let count = &message.attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
            (message.body().unwrap().to_owned(), count.clone())
        })
        .collect();
    assert_eq!(seen[&order(1, "retry")], "2");
    assert_eq!(seen[&order(2, "defer")], "1");
    let deferred = again.iter().find(|message| message.body() == Some(&order(2, "defer"))).unwrap();
    assert_eq!(deferred.attributes().unwrap()[&MessageSystemAttributeName::MessageGroupId], "tenant");
    assert_eq!(deferred.message_attributes().unwrap()["Hops"].string_value(), Some("1"));
}

#[tokio::test]
async fn deferring_ends_by_age_and_a_wait_for_a_limit_or_progress_does_not_age() {
    let bench = Bench::start().await;
    let hours_ago = |hours| (platform::base::clock::now() - Duration::from_hours(hours)).as_millisecond();
    let (old, recent) = (hours_ago(7), hours_ago(5));
    let now = hours_ago(0);
    for (id, what, since, sent) in [
        (1, "defer", old, recent),
        (2, "defer", recent, recent),
        (3, "wait for a limit", old, recent),
        (4, "make progress", old, recent),
        // Redriven long after it was given up: it starts over.
        (5, "defer", old, now),
    ] {
        let number =
            |at: i64| MessageAttributeValue::builder().data_type("Number").string_value(at.to_string()).build();
        let (since, sent) = (number(since), number(sent));
        let call = bench.ground.clients.sqs.send_message().queue_url(bench.ground.queue_url("webhooks"));
        let call = call.message_body(order(id, what)).message_group_id("tenant");
        let call = call.message_attributes("DeferredSince", since.unwrap());
        call.message_attributes("Sent", sent.unwrap()).send().await.unwrap();
    }
    assert_eq!(bench.round(&Obedient::default(), PLENTY).await, (5, 0));
    let dead = bench.receive("webhooks-dead").await;
    assert_eq!(dead.iter().map(|it| it.body().unwrap()).collect::<Vec<_>>(), [order(1, "defer")]);
    assert_eq!(dead[0].message_attributes().unwrap()["Reason"].string_value(), Some("unavailable"));
    bench.ground.sqs.advance(Duration::from_secs(8));
    let again = bench.receive("webhooks").await;
    let since = |body: &str| -> i64 {
        let message = again.iter().find(|message| message.body() == Some(body)).unwrap();
        message.message_attributes().unwrap()["DeferredSince"].string_value().unwrap().parse().unwrap()
    };
    assert_eq!(since(&order(2, "defer")), recent);
    assert_eq!(since(&order(3, "wait for a limit")), old + 7_000);
    assert!(since(&order(4, "make progress")) > hours_ago(1));
    assert_eq!(since(&order(5, "defer")), now);
}

#[tokio::test]
async fn a_reason_that_sqs_would_refuse_is_cleaned_and_the_message_still_arrives() {
    let bench = Bench::start().await;
    bench.send(&domain::webhook::json::ascii(&order(1, "\u{ffff}\u{1f600}"))).await;
    assert_eq!(bench.round(&Obedient::default(), PLENTY).await, (1, 0));
    let dead = bench.receive("webhooks-dead").await;
    let reason = dead[0].message_attributes().unwrap()["Detail"].string_value().unwrap();
    assert!(reason.starts_with("no such order:"), "{reason}");
}

#[tokio::test]
async fn a_message_is_told_that_it_comes_at_its_place_and_neither_that_nor_progress_counts_as_a_deferral() {
    let bench = Bench::start().await;
    for (id, what) in [(1, "wait in line"), (2, "make progress"), (3, "defer")] {
        let number = MessageAttributeValue::builder().data_type("Number").string_value("4").build().unwrap();
        let call = bench.ground.clients.sqs.send_message().queue_url(bench.ground.queue_url("webhooks"));
        let call = call.message_body(order(id, what)).message_group_id("tenant");
        call.message_attributes("Hops", number).send().await.unwrap();
    }
    let handler = Obedient::default();
    assert_eq!(bench.round(&handler, PLENTY).await, (3, 0));
    bench.ground.sqs.advance(Duration::from_secs(8));
    let again = bench.receive("webhooks").await;
    let hops = |id, what| {
        let body = order(id, what);
        let message = again.iter().find(|message| message.body() == Some(&body)).unwrap();
        message.message_attributes().unwrap()["Hops"].string_value().unwrap().to_owned()
    };
    assert_eq!([hops(1, "wait in line"), hops(2, "make progress"), hops(3, "defer")], ["4", "0", "5"]);
    for message in &again {
        let call = bench.ground.clients.sqs.change_message_visibility().queue_url(bench.ground.queue_url("webhooks"));
        call.receipt_handle(message.receipt_handle().unwrap()).visibility_timeout(0).send().await.unwrap();
    }
    bench.round(&handler, PLENTY).await;
    bench.ground.sqs.advance(Duration::from_secs(8));
    let bodies: Vec<_> = bench.receive("webhooks").await.into_iter().filter_map(|it| it.body).collect();
    assert!(!bodies.contains(&order(1, "wait in line")) && bodies.len() == 2, "{bodies:?}");
}
