//! Deliveries are followed through logs, metrics, dead letters and the list: one id on every hop, one line per failure, one
//! reason everywhere.

use aws_sdk_sqs::types::Message;
use http::Method;
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use local_base::web::Web;
use local_cli::bundle::Bundle;
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, customer_event, deliver, logs, stack};

/// The lines of the functions' logs, each as JSON.
fn lines(stack: &Bundle) -> Vec<Value> {
    let text = logs(stack);
    text.lines().filter_map(|line| serde_json::from_str(line.get(line.find('{')?..)?).ok()).collect()
}

/// What the log tells of a delivery: level, message and reason of each line, in their order per function.
fn logged(stack: &Bundle, id: &str) -> Vec<[String; 3]> {
    let of = |line: &Value| line["delivery.id"] == id || line["span"]["delivery.id"] == id;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = lines(stack).into_iter().filter(of);
    let mut all: Vec<_> = lines
        .map(|line| [text(&line["timestamp"]), text(&line["level"]), text(&line["message"]), text(&line["reason"])])
        .collect();
    all.sort();
    all.into_iter().map(|[_, level, message, reason]| [level, message, reason]).collect()
}

fn counted(stack: &Bundle, metric: &str, reason: &str) -> u64 {
    let of = |line: &Value| line["_aws"].is_object() && (reason.is_empty() || line["reason"] == reason);
    let values =
        lines(stack).into_iter().filter(of).flat_map(|line| line[metric].as_array().cloned().unwrap_or_default());
    values.filter_map(|value| value.as_u64()).sum()
}

async fn dead_letters(stack: &Bundle) -> Vec<Message> {
    let sqs = &stack.embedded.as_ref().unwrap().sqs;
    let url = sqs.queue_url(&format!("{}-webhooks-dead", stack.prefix()));
    let call = stack.clients.sqs.receive_message().queue_url(url).max_number_of_messages(10).visibility_timeout(0);
    call.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_has_one_id_on_every_hop_one_line_per_failure_and_one_reason_everywhere() {
    let stack = stack(FAST).await;
    let admin = Guest::new(&stack, "admin").await;
    let web = Web::new();
    let send = async |body: &str| {
        let status = deliver(&web, &stack, body).await;
        admin.settled("webhooks").await;
        status
    };
    let url = format!("{}/webhooks/stripe", stack.url);

    let good = customer_event("evt_good", "cus_1", 1);
    assert_eq!(send(&good).await, Some(200));
    assert_eq!(send(&good).await, Some(200), "a repeat");
    let signature = format!("t={},v1={}", platform::base::clock::now().as_second(), "00".repeat(32));
    let forged = [("stripe-signature", signature.as_str())];
    assert_eq!(web.call(Method::POST, &url, &forged, good.clone()).await.unwrap().status(), 400);
    assert_eq!(send(&customer_event("evt_good", "cus_2", 1)).await, Some(200), "another body under its id");
    let mut large: Value = serde_json::from_str(&customer_event("evt_large", "cus_3", 1)).unwrap();
    large["data"]["object"]["description"] = "x".repeat(600_000).into();
    assert_eq!(send(&large.to_string()).await, Some(200), "too large for a record");
    large["data"]["object"]["description"] = "x".repeat(1_100_000).into();
    assert_eq!(send(&large.to_string()).await, Some(413), "too large for a message");
    // As often as the SDK asks within one attempt.
    let outage = Fault {
        function: Some("webhook-process".into()),
        service: Some(Service::Dynamodb),
        operation: Some("UpdateItem".into()),
        times: 3,
        ..Fault::new(Effect::Throttle)
    };
    stack.gateway.faults.arm(vec![outage]);
    assert_eq!(send(&customer_event("evt_outage", "cus_4", 1)).await, Some(200));
    stack.gateway.faults.arm(Vec::new());

    let (_, list) = admin.api(Method::GET, "/deliveries", &Value::Null).await;
    let listed = list["deliveries"].as_array().unwrap();
    let entry = |event: &str, state: &str| {
        let found: Vec<_> = listed.iter().filter(|it| it["event_id"] == event && it["state"] == state).collect();
        let [entry] = found[..] else { panic!("{event} {state}: {list}") };
        (entry["id"].as_str().unwrap().to_owned(), entry["reason"].clone())
    };
    let good = entry("evt_good", "done");
    let forked = entry("evt_good", "dead");
    let large = entry("evt_large", "dead");
    let outage = entry("evt_outage", "done");
    assert_eq!(listed.len(), 4, "{list}");
    let reasons = [&good, &forked, &large, &outage].map(|(_, reason)| reason.clone());
    assert_eq!(reasons, [Value::Null, json!("forked"), json!("too_large"), Value::Null]);

    let line = |level: &str, message: &str, reason: &str| [level, message, reason].map(str::to_owned);
    let accepted = line("INFO", "accepted", "");
    for (id, expected) in [
        (&good.0, vec![accepted.clone(), line("INFO", "applied", "")]),
        (&forked.0, vec![accepted.clone(), line("ERROR", "dead-lettered", "forked")]),
        (&large.0, vec![accepted.clone(), line("ERROR", "dead-lettered", "too_large")]),
        (&outage.0, vec![accepted.clone(), line("WARN", "deferred", "throttled"), line("INFO", "applied", "")]),
    ] {
        let written = async || (logged(&stack, id).len() >= expected.len()).then_some(());
        stack.until(PATIENCE, written).await.unwrap_or_else(|waited| panic!("{id}: {waited} {:?}", logged(&stack, id)));
        assert_eq!(logged(&stack, id), expected, "{id}");
    }
    // What is refused is in the log and in the metrics, under an id of its own.
    for reason in ["mismatch", "too_large"] {
        let refused: Vec<_> = lines(&stack)
            .into_iter()
            .filter(|line| line["message"] == "refused" && line["reason"] == reason)
            .map(|line| line["delivery.id"].as_str().unwrap().to_owned())
            .collect();
        let [id] = refused.as_slice() else { panic!("{reason}: {refused:?}") };
        assert_eq!(logged(&stack, id), [line("WARN", "refused", reason)], "{id}");
        assert!(!list.to_string().contains(id.as_str()), "{id}");
    }
    // Nothing else failed, and a repeat is no failure.
    let failures: Vec<_> =
        lines(&stack).into_iter().filter(|it| ["WARN", "ERROR"].iter().any(|level| it["level"] == *level)).collect();
    assert_eq!(failures.len(), 5, "{failures:#?}");

    let counts = [
        ("EventsApplied", "", 2),
        ("EventsRepeated", "", 1),
        ("EventsDeadLettered", "forked", 1),
        ("EventsDeadLettered", "too_large", 1),
        ("EventsDeadLettered", "", 2),
        ("DeliveriesRefused", "mismatch", 1),
        ("DeliveriesRefused", "too_large", 1),
        ("DeliveriesRefused", "", 2),
    ];
    let found = async || counts.iter().all(|(name, reason, n)| counted(&stack, name, reason) == *n).then_some(());
    let found = stack.until(PATIENCE, found).await;
    // Lines of the log and of the metrics alike.
    let of_the_release = |line: &Value| line["version"] == env!("CARGO_PKG_VERSION");
    let others: Vec<_> = lines(&stack).into_iter().filter(|line| !of_the_release(line)).collect();
    assert!(others.is_empty(), "{others:#?}");
    let all = counts.map(|(name, reason, n)| (name, reason, n, counted(&stack, name, reason)));
    found.unwrap_or_else(|waited| panic!("{waited}: {all:?}"));

    let dead = dead_letters(&stack).await;
    let mut attributes: Vec<_> = dead
        .iter()
        .map(|message| {
            let all = message.message_attributes.as_ref().unwrap();
            ["Reason", "DeliveryId"].map(|name| all[name].string_value().unwrap().to_owned())
        })
        .collect();
    attributes.sort();
    assert_eq!(attributes, [["forked".to_owned(), forked.0], ["too_large".to_owned(), large.0]]);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sync_that_a_delivery_causes_tells_its_id() {
    let stack = stack(FAST).await;
    let guest = Guest::new(&stack, "ada").await;
    guest.connect_and_sync("slack").await;
    guest.admin("slack", Method::POST, "channels", &json!({ "name": "news" })).await;
    let arrived = async || {
        let (_, list) = guest.api(Method::GET, "/deliveries?provider=slack&state=done", &Value::Null).await;
        list["deliveries"][0]["id"].as_str().map(str::to_owned)
    };
    let id = stack.until(PATIENCE, arrived).await.unwrap();
    guest.settled("syncs").await;
    let synced = async || logged(&stack, &id).iter().any(|[_, message, _]| message == "synced").then_some(());
    stack.until(PATIENCE, synced).await.unwrap_or_else(|waited| panic!("{waited}: {:?}", logged(&stack, &id)));
    stack.shutdown().await;
}
