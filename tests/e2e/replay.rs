//! What failed is replayed: applied once, whatever dies on the way and however often it is asked for, and its body is nowhere else.

use http::Method;
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use local_base::web::Web;
use local_cli::bundle::Bundle;
use local_sandbox::LOCAL_ACCOUNT;
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, SHORT_CLAIMS, customer_event, deliver, logs, published, seen, stack};

/// In the body, and in no part of it that is applied or published.
const CANARY: &str = "canary-7f3a";

/// Puts messages into the dead-letter queue as SQS itself moves them, and has them listed.
async fn moved(stack: &Bundle, events: impl Iterator<Item = String>) {
    let url = stack.embedded.as_ref().unwrap().sqs.queue_url(&format!("{}-webhooks-dead", stack.prefix()));
    let at = platform::base::clock::now();
    for event in events {
        let mut body: Value = serde_json::from_str(&customer_event(&event, &format!("cus_{event}"), 1)).unwrap();
        body["request"] = json!({ "id": CANARY });
        let message = json!({
            "v": 1, "provider": "stripe", "integration_id": null, "account": LOCAL_ACCOUNT,
            "delivery_id": domain::DeliveryId::new(at, &event), "received_at": at, "body": { "json": body },
        });
        let call = stack.clients.sqs.send_message().queue_url(&url).message_body(message.to_string());
        call.send().await.unwrap();
    }
    let timer = stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-dead-letters")).unwrap();
    timer.fire().await.unwrap();
}

async fn listed(admin: &Guest<'_>, state: &str) -> Vec<Value> {
    let (status, body) = admin.api(Method::GET, &format!("/deliveries?state={state}"), &Value::Null).await;
    assert_eq!(status, 200, "{body}");
    body["deliveries"].as_array().unwrap().clone()
}

fn path(delivery: &Value, rest: &str) -> String {
    format!("/deliveries/{}{rest}", delivery["id"].as_str().unwrap().replace('=', "%3D").replace('/', "%2F"))
}

async fn replay(admin: &Guest<'_>, delivery: &Value) -> (u16, Value) {
    admin.api(Method::POST, &path(delivery, "/replay"), &Value::Null).await
}

/// Replays all dead letters, call by call: how many were accepted, and how many had expired.
async fn replay_all(admin: &Guest<'_>) -> (u64, u64) {
    let (mut accepted, mut expired, mut next) = (0, 0, Value::Null);
    loop {
        let body = json!({ "state": "dead", "since": "2026-01-01T00:00:00Z", "after": next });
        let (status, body) = admin.api(Method::POST, "/deliveries/replay", &body).await;
        assert_eq!(status, 202, "{body}");
        accepted += body["accepted"].as_u64().unwrap();
        expired += body["expired"].as_u64().unwrap();
        next = body["next"].clone();
        if next.is_null() {
            return (accepted, expired);
        }
    }
}

/// As if the days had passed for which bodies are kept.
async fn let_bodies_expire(admin: &Guest<'_>) {
    for item in admin.look.items("delivery-bodies").await.unwrap() {
        let call = admin.stack.clients.dynamodb.update_item().table_name(admin.stack.table("delivery-bodies"));
        let call = call.key("key", item["key"].clone()).key("part", item["part"].clone());
        let call = call.update_expression("SET expires_at = :past");
        let past = aws_sdk_dynamodb::types::AttributeValue::N("1".into());
        call.expression_attribute_values(":past", past).send().await.unwrap();
    }
}

#[expect(clippy::print_stdout, reason = "the measurement is the result")]
async fn replayed_once_each(number: usize) {
    // Time for one review to look at all of them.
    let stack = stack(&[
        ("ProcessTimeoutSeconds", "60"),
        ("ClaimLeaseSeconds", "61"),
        ("WebhooksVisibilitySeconds", "360"),
        ("HttpTimeoutSeconds", "10"),
    ])
    .await;
    let admin = Guest::new(&stack, "admin").await;
    moved(&stack, (0..number).map(|it| format!("evt_{it}"))).await;
    assert_eq!(admin.look.items("delivery-bodies").await.unwrap().len(), number);
    let begun = std::time::Instant::now();
    assert_eq!(replay_all(&admin).await, (number as u64, 0));
    // Again, while the first ones are being worked on.
    replay_all(&admin).await;
    admin.settled("webhooks").await;
    println!("{number} replayed and applied in {:?}", begun.elapsed());
    for event in 0..number {
        let found = seen(&stack, &format!("evt_{event}")).await.unwrap();
        assert_eq!((found.state.as_str(), found.effects), ("done", 1), "evt_{event}");
    }
    assert_eq!(replay_all(&admin).await, (0, 0), "none is dead any more");
    assert_eq!(admin.look.items("delivery-bodies").await.unwrap().len(), 0, "what is processed is not kept");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_replayed_part_by_part_and_each_is_applied_once() {
    replayed_once_each(120).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the same of a thousand"]
async fn a_thousand_dead_letters_are_replayed_and_each_is_applied_once() {
    replayed_once_each(1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_body_is_in_the_answer_about_its_delivery_alone_and_is_gone_when_its_days_are_over() {
    let stack = stack(FAST).await;
    let admin = Guest::new(&stack, "admin").await;
    let web = Web::new();
    moved(&stack, ["evt_moved".to_owned()].into_iter()).await;
    // What an attempt gives up is kept by the attempt.
    let given_up = json!({ "hello": CANARY });
    assert_eq!(deliver(&web, &stack, &given_up.to_string()).await, Some(200));
    // What no integration is there for is not kept.
    let mut nobodys: Value = serde_json::from_str(&customer_event("evt_nobodys", "cus_1", 1)).unwrap();
    nobodys["account"] = "acct_of_nobody".into();
    assert_eq!(deliver(&web, &stack, &nobodys.to_string()).await, Some(200));
    admin.settled("webhooks").await;
    let dead = listed(&admin, "dead").await;
    assert_eq!(dead.len(), 2, "{dead:?}");
    for delivery in &dead {
        let (status, one) = admin.api(Method::GET, &path(delivery, ""), &Value::Null).await;
        assert_eq!(status, 200, "{one}");
        assert!(one["body"].to_string().contains(CANARY) && one["body_until"].is_string(), "{one}");
    }
    let nobodys = listed(&admin, "unmatched").await;
    let (_, one) = admin.api(Method::GET, &path(&nobodys[0], ""), &Value::Null).await;
    assert_eq!((&one["body"], &one["body_until"]), (&Value::Null, &Value::Null), "{one}");
    assert_eq!(replay(&admin, &nobodys[0]).await.0, 410);

    let moved = dead.iter().find(|it| it["event_id"] == "evt_moved").unwrap();
    assert_eq!(replay(&admin, moved).await, (202, json!({ "accepted": 1, "expired": 0, "next": null })));
    admin.settled("webhooks").await;
    let told: Vec<_> = published(&stack).into_iter().filter(|it| it["type"] == "delivery.replayed").collect();
    let [told] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((&told["data"]["by"], &told["data"]["delivery_id"]), (&json!("admin"), &moved["id"]), "{told}");
    assert_eq!(seen(&stack, "evt_moved").await.unwrap().effects, 1);

    let_bodies_expire(&admin).await;
    let [left] = &listed(&admin, "dead").await[..] else { panic!("{dead:?}") };
    assert_eq!(replay(&admin, left).await.0, 410);
    assert_eq!(replay_all(&admin).await, (0, 1));
    let (_, one) = admin.api(Method::GET, &path(left, ""), &Value::Null).await;
    assert_eq!((&one["body"], &one["body_until"]), (&Value::Null, &Value::Null), "{one}");

    for state in ["dead", "done", "unmatched"] {
        assert!(!format!("{:?}", listed(&admin, state).await).contains(CANARY), "{state}");
    }
    assert!(!logs(&stack).contains(CANARY));
    assert!(!format!("{:?}", published(&stack)).contains(CANARY));
    let bytes = admin.look.bytes("delivery-bodies").await.unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains(CANARY));

    // Only a program may ask for it, and only an administrator's.
    let plain = stack.session("ada", None, std::time::Duration::from_mins(5)).unwrap();
    let (bearer, url) = (format!("Bearer {plain}"), format!("{}{}", stack.url, path(left, "/replay")));
    assert_eq!(web.call(Method::POST, &url, &[("authorization", &bearer)], "").await.unwrap().status(), 403);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_not_kept_if_it_is_nobodys_or_its_user_was_erased() {
    let stack = stack(FAST).await;
    let admin = Guest::new(&stack, "admin").await;
    let kept = async || admin.look.items("delivery-bodies").await.unwrap().len();
    let refuse = Fault {
        function: Some("webhook-process".into()),
        operation: Some("PutEvents".into()),
        times: u64::MAX,
        ..Fault::new(Effect::Refuse)
    };
    stack.gateway.faults.arm(vec![refuse]);
    let mut nobodys: Value = serde_json::from_str(&customer_event("evt_nobodys", "cus_1", 1)).unwrap();
    nobodys["account"] = "acct_of_nobody".into();
    let web = Web::new();
    for event in [nobodys.to_string(), customer_event("evt_somebodys", "cus_1", 1)] {
        assert_eq!(deliver(&web, &stack, &event).await, Some(200));
    }
    let failed = async || {
        let both = listed(&admin, "retry").await.len() + listed(&admin, "dead").await.len() == 2;
        both.then_some(())
    };
    stack.until(PATIENCE, failed).await.unwrap();
    assert_eq!(kept().await, 1, "of the one that an integration is there for");
    stack.gateway.faults.arm(Vec::new());

    moved(&stack, ["evt_before".to_owned()].into_iter()).await;
    assert!(kept().await >= 1);
    let (status, body) = admin.api(Method::DELETE, "/users/user-1", &Value::Null).await;
    assert_eq!(status, 202, "{body}");
    admin.settled("syncs").await;
    moved(&stack, ["evt_after".to_owned()].into_iter()).await;
    let none = async || (kept().await == 0).then_some(());
    stack.until(PATIENCE, none).await.expect("nothing of the user's, and nothing that came after");
    assert!(listed(&admin, "dead").await.iter().any(|it| it["event_id"] == "evt_after"));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_what_is_done_applies_nothing() {
    let stack = stack(&[FAST, &[("DeliveryBodies", "all")]].concat()).await;
    let admin = Guest::new(&stack, "admin").await;
    assert_eq!(deliver(&Web::new(), &stack, &customer_event("evt_1", "cus_1", 1)).await, Some(200));
    admin.settled("webhooks").await;
    let before = (seen(&stack, "evt_1").await, published(&stack).iter().filter(|it| it["id"] == "evt_1").count());
    let done = listed(&admin, "done").await;
    assert_eq!(replay(&admin, &done[0]).await.0, 202);
    admin.settled("webhooks").await;
    let after = (seen(&stack, "evt_1").await, published(&stack).iter().filter(|it| it["id"] == "evt_1").count());
    assert_eq!(before, after);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_during_a_replay_the_event_is_applied_once() {
    let stack = stack(SHORT_CLAIMS).await;
    let admin = Guest::new(&stack, "admin").await;
    let operations = ["Query", "BatchGetItem", "Decrypt", "PutEvents", "SendMessage"];
    let strikes = operations.into_iter().flat_map(|it| [(it, Effect::KillBefore), (it, Effect::KillAfter)]);
    for (number, (operation, effect)) in strikes.enumerate() {
        let event = format!("evt_{number}");
        moved(&stack, [event.clone()].into_iter()).await;
        let dead = listed(&admin, "dead").await;
        let strike =
            Fault { function: Some("operator-api".into()), operation: Some(operation.into()), ..Fault::new(effect) };
        stack.gateway.faults.arm(vec![strike]);
        let (status, body) = replay(&admin, &dead[0]).await;
        // An open data key is in memory: then KMS is not asked.
        let struck = stack.gateway.faults.armed()[0].seen > 0;
        assert!(if struck { status >= 500 } else { operation == "Decrypt" }, "{operation} {effect:?}: {status} {body}");
        stack.gateway.faults.arm(Vec::new());
        // It may be done already.
        assert!([202, 410].contains(&replay(&admin, &dead[0]).await.0), "{operation} {effect:?}");
        admin.settled("webhooks").await;
        let found = seen(&stack, &event).await.unwrap();
        assert_eq!((found.state.as_str(), found.effects), ("done", 1), "{operation} {effect:?}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_while_a_body_is_kept_or_deleted_the_event_is_applied_once_and_no_body_is_left() {
    let stack = stack(SHORT_CLAIMS).await;
    let admin = Guest::new(&stack, "admin").await;
    let web = Web::new();
    let strikes =
        [("GenerateDataKey", Service::Kms), ("PutItem", Service::Dynamodb), ("DeleteItem", Service::Dynamodb)];
    let strikes =
        strikes.into_iter().flat_map(|it| [(it, Effect::KillBefore), (it, Effect::KillAfter), (it, Effect::Throttle)]);
    for (number, ((operation, service), effect)) in strikes.enumerate() {
        let event = format!("evt_{number}");
        let of = |operation: &str, service, effect, times| Fault {
            function: Some("webhook-process".into()),
            service: Some(service),
            operation: Some(operation.into()),
            times,
            ..Fault::new(effect)
        };
        // The first attempt fails at the bus.
        let faults = vec![of("PutEvents", Service::Events, Effect::Throttle, 4), of(operation, service, effect, 1)];
        stack.gateway.faults.arm(faults);
        assert_eq!(deliver(&web, &stack, &customer_event(&event, "cus_1", 1)).await, Some(200));
        if matches!(effect, Effect::KillBefore | Effect::KillAfter) {
            let struck = async || (stack.gateway.faults.armed()[1].seen > 0).then_some(());
            // A data key that is in memory is made no second time.
            if stack.until(std::time::Duration::from_secs(5), struck).await.is_ok() {
                tests::let_time_pass(&stack).await;
            }
        }
        let done = async || seen(&stack, &event).await.filter(|it| it.state == "done");
        let found =
            stack.until(PATIENCE, done).await.unwrap_or_else(|waited| panic!("{operation} {effect:?}: {waited}"));
        assert_eq!(found.effects, 1, "{operation} {effect:?}");
        admin.settled("webhooks").await;
        assert_eq!(admin.look.items("delivery-bodies").await.unwrap().len(), 0, "{operation} {effect:?}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_bodies_are_erased_with_the_user() {
    let stack = stack(FAST).await;
    let admin = Guest::new(&stack, "admin").await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_stripe(json!({ "webhook_secret": "whsec_of_ada" })).await;
    ada.settled("syncs").await;
    // No event: at the integration's own endpoint, and of the account.
    let body = json!({ "hello": "ada" }).to_string();
    assert_eq!(crate::own_endpoint::deliver(&ada, &id, "whsec_of_ada", &body).await, 200);
    moved(&stack, ["evt_of_ada".to_owned()].into_iter()).await;
    admin.settled("webhooks").await;
    assert_eq!(admin.look.items("delivery-bodies").await.unwrap().len(), 2);
    let (status, body) = admin.api(Method::DELETE, "/users/ada", &Value::Null).await;
    assert_eq!(status, 202, "{body}");
    let gone = async || admin.look.items("delivery-bodies").await.unwrap().is_empty().then_some(());
    stack.until(PATIENCE, gone).await.unwrap_or_else(|waited| panic!("{waited}"));
    stack.shutdown().await;
}
