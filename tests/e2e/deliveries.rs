//! What an administrator sees of deliveries: every event with its outcome and reason, and no other caller sees them.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use http::Method;
use local_aws::faults::{Effect, Fault};
use local_base::web::Web;
use local_cli::sign::sign;
use secrecy::SecretString;
use serde_json::{Value, json};
use tests::{FAST, Guest, SHORT_CLAIMS, customer_event, deliver, logs, published, stack};

async fn list(guest: &Guest<'_>, query: &str) -> Value {
    let (status, body) = guest.api(Method::GET, &format!("/deliveries?{query}"), &Value::Null).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_listed_once_with_its_outcome_and_its_reason() {
    let stack = stack(SHORT_CLAIMS).await;
    let admin = Guest::new(&stack, "admin").await;
    let web = Web::new();
    let began = platform::base::clock::now();
    for number in 0..7 {
        let body = customer_event(&format!("evt_{number}"), "cus_1", 1_795_000_000 + number);
        for _ in 0..2 {
            assert_eq!(deliver(&web, &stack, &body).await, Some(200));
        }
    }
    // Too large for a record, and signed all the same.
    let mut large: Value = serde_json::from_str(&customer_event("evt_large", "cus_2", 1_795_000_000)).unwrap();
    large["data"]["object"]["description"] = "x".repeat(600_000).into();
    assert_eq!(deliver(&web, &stack, &large.to_string()).await, Some(200));
    admin.settled("webhooks").await;

    let all = list(&admin, "").await;
    let listed = all["deliveries"].as_array().unwrap();
    assert_eq!((listed.len(), &all["next"]), (8, &Value::Null), "{all}");
    // As times: of texts, one that ends in a zero less would count as the later.
    let time = |it: &Value| it["received_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let times: Vec<_> = listed.iter().map(time).collect();
    assert!(times.is_sorted_by(|one, other| one >= other), "newest first: {times:?}");
    for delivery in listed {
        let large = delivery["event_id"] == "evt_large";
        let state = if large { "dead" } else { "done" };
        assert_eq!((&delivery["state"], &delivery["effects"]), (&json!(state), &json!(u8::from(!large))), "{delivery}");
        assert_eq!(delivery["last_error"].is_string(), large, "{delivery}");
        assert_eq!(delivery["reason"], if large { json!("too_large") } else { Value::Null }, "{delivery}");
        assert_eq!((&delivery["provider"], &delivery["type"]), (&json!("stripe"), &json!("customer.updated")));
        assert!(delivery["received_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap() >= began);
    }
    let dead = list(&admin, "state=dead&provider=stripe").await;
    assert_eq!(dead["deliveries"].as_array().unwrap().len(), 1, "{dead}");
    assert!(dead["deliveries"][0]["last_error"].as_str().unwrap().contains("600"), "{dead}");
    assert_eq!(list(&admin, "provider=slack").await["deliveries"], json!([]));
    let began = began.to_string();
    assert_eq!(list(&admin, &format!("until={began}")).await["deliveries"], json!([]), "before the first");
    let since = list(&admin, &format!("since={began}&until=2099-01-01T00:00:00Z")).await;
    assert_eq!(since["deliveries"].as_array().unwrap().len(), 8, "{since}");

    // In parts, none twice and none left out.
    let (mut seen, mut next) = (BTreeSet::new(), String::new());
    for _ in 0..8 {
        let part = list(&admin, &format!("limit=3&after={next}")).await;
        for delivery in part["deliveries"].as_array().unwrap() {
            assert!(seen.insert(delivery["event_id"].as_str().unwrap().to_owned()), "{delivery} twice");
        }
        match part["next"].as_str() {
            Some(more) => next = more.replace('#', "%23"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 8);

    for (query, field) in [
        ("state=lost", "state"),
        ("since=today", "since"),
        ("until=2026-11-29", "until"),
        ("since=2026-11-29T10:00:00Z&until=2026-11-29T10:00:00Z", "until"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("after=x", "after"),
    ] {
        let (status, body) = admin.api(Method::GET, &format!("/deliveries?{query}"), &Value::Null).await;
        assert_eq!((status, &body["error"]["fields"][0]["field"]), (422, &json!(field)), "{query}: {body}");
    }
    let plain = stack.session("ada", None, std::time::Duration::from_mins(5)).unwrap();
    let bearer = format!("Bearer {plain}");
    let answer = web.call(Method::GET, &format!("{}/deliveries", stack.url), &[("authorization", &bearer)], "").await;
    assert_eq!(answer.unwrap().status(), 403);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_read_by_its_id_with_what_its_processing_came_to() {
    let stack = stack(FAST).await;
    let admin = Guest::new(&stack, "admin").await;
    let web = Web::new();
    admin.connect_stripe(json!({})).await;
    // Four calls fail, which is more than the SDK repeats: the first attempt fails.
    let throttle = Fault {
        function: Some("webhook-process".into()),
        operation: Some("PutEvents".into()),
        times: 4,
        ..Fault::new(Effect::Throttle)
    };
    stack.gateway.faults.arm(vec![throttle]);
    assert_eq!(deliver(&web, &stack, &customer_event("evt_1", "cus_1", 1_795_000_000)).await, Some(200));
    admin.settled("webhooks").await;
    let listed = list(&admin, "state=done").await["deliveries"][0].clone();
    let path = |id: &Value| format!("/deliveries/{}", id.as_str().unwrap().replace('=', "%3D").replace('/', "%2F"));
    let (status, one) = admin.api(Method::GET, &path(&listed["id"]), &Value::Null).await;
    assert_eq!(status, 200, "{one}");
    for (name, value) in listed.as_object().unwrap() {
        assert_eq!(one[name], *value, "{name}");
    }
    let outcome = &one["outcome"];
    // The stack's own user has the account, too.
    let (records, count) = (&outcome["records"], &outcome["integrations_count"]);
    assert_eq!((records, count, &outcome["published"]), (&json!(["customers#cus_1"]), &json!(2), &json!(2)), "{one}");
    let of = |detail: &Value| (detail["id"] == "evt_1").then(|| detail["integration_id"].clone());
    let expected: BTreeSet<_> = published(&stack).iter().filter_map(of).map(|id| id.to_string()).collect();
    let named = outcome["integrations"].as_array().unwrap().iter().map(ToString::to_string);
    assert_eq!(named.collect::<BTreeSet<_>>(), expected, "{one}");
    let [failed] = one["failures"].as_array().unwrap().as_slice() else { panic!("{one}") };
    assert_eq!((&failed["attempt"], &failed["reason"]), (&json!(1), &json!("throttled")), "{one}");
    assert_eq!(one["attempts"], 2, "{one}");

    // An administrator's browser may read it, too; a user may not, and an id that is none is not found.
    let page = admin.get(&path(&listed["id"])).await;
    assert_eq!(page.status, 200, "{}", page.body);
    for id in ["refused", "19a-x", "7fffffffffffffff-x", "%00", "a%20b"] {
        let (status, body) = admin.api(Method::GET, &format!("/deliveries/{id}"), &Value::Null).await;
        assert_eq!((status, &body["error"]["kind"]), (404, &json!("not_found")), "{id}: {body}");
    }
    let plain = stack.session("ada", None, std::time::Duration::from_mins(5)).unwrap();
    let (bearer, url) = (format!("Bearer {plain}"), format!("{}{}", stack.url, path(&listed["id"])));
    let answer = web.call(Method::GET, &url, &[("authorization", &bearer)], "").await;
    assert_eq!(answer.unwrap().status(), 403);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_no_integration_has_is_unmatched_and_published_once_and_changes_nothing() {
    let stack = stack(FAST).await;
    let admin = Guest::new(&stack, "admin").await;
    let web = Web::new();
    let mut event: Value = serde_json::from_str(&customer_event("evt_1", "cus_1", 1_795_000_000)).unwrap();
    event["account"] = "acct_of_nobody".into();
    for _ in 0..2 {
        assert_eq!(deliver(&web, &stack, &event.to_string()).await, Some(200));
        admin.settled("webhooks").await;
    }
    let unmatched = list(&admin, "state=unmatched").await["deliveries"].clone();
    let [delivery] = unmatched.as_array().unwrap().as_slice() else { panic!("{unmatched}") };
    let found = (&delivery["event_id"], &delivery["account"], &delivery["attempts"], &delivery["effects"]);
    assert_eq!(found, (&json!("evt_1"), &json!("acct_of_nobody"), &json!(1), &json!(0)), "{delivery}");
    assert_eq!(list(&admin, "state=done").await["deliveries"], json!([]));
    let published = published(&stack);
    let [event] = published.as_slice() else { panic!("{published:?}") };
    assert_eq!(
        (&event["id"], &event["user_id"], &event["integration_id"]),
        (&json!("evt_1"), &Value::Null, &Value::Null)
    );
    assert!(admin.look.items("records").await.unwrap().is_empty());
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_listed_with_its_reason_however_unlike_an_event_it_is() {
    let stack = stack(FAST).await;
    let admin = Guest::new(&stack, "admin").await;
    let web = Web::new();
    assert_eq!(deliver(&web, &stack, r#"{"no":"event"}"#).await, Some(200));
    assert_eq!(deliver(&web, &stack, &customer_event("evt_1", "cus_1", 1)).await, Some(200));
    admin.settled("webhooks").await;
    // Twice the same fork.
    for _ in 0..2 {
        assert_eq!(deliver(&web, &stack, &customer_event("evt_1", "cus_2", 1)).await, Some(200));
    }
    // What only another version of the stack would send.
    let gone = json!({
        "v": 1, "provider": "myspace", "integration_id": null, "account": null, "delivery_id": "19a-gone",
        "received_at": platform::base::clock::now(), "body": { "json": {} },
    });
    let url = stack.embedded.as_ref().unwrap().sqs.queue_url(&format!("{}-webhooks", stack.prefix()));
    for body in [gone.to_string(), r#"{"v":2}"#.to_owned()] {
        stack.clients.sqs.send_message().queue_url(&url).message_body(body).send().await.unwrap();
    }
    admin.settled("webhooks").await;

    let dead = list(&admin, "state=dead").await["deliveries"].clone();
    let mut found: Vec<_> = dead
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let text = |name: &str| it[name].as_str().unwrap_or("null").to_owned();
            (text("reason"), text("provider"), text("event_id"), it["attempts"].as_u64().unwrap())
        })
        .collect();
    found.sort();
    let expected = [
        ("forked", "stripe", "evt_1", 2),
        ("message_unreadable", "-", "null", 1),
        ("not_an_event", "stripe", "null", 1),
        ("unknown_provider", "myspace", "null", 1),
    ];
    let expected = expected.map(|(reason, provider, event, n)| (reason.into(), provider.into(), event.into(), n));
    assert_eq!(found, expected, "{dead}");
    // The event itself is none of them.
    assert_eq!(list(&admin, "state=done").await["deliveries"][0]["event_id"], "evt_1");
    let ids: BTreeSet<_> = dead.as_array().unwrap().iter().map(|it| it["id"].to_string()).collect();
    assert_eq!(ids.len(), 4, "{ids:?}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_repeated_and_given_up_is_counted_by_reason() {
    let stack = stack(SHORT_CLAIMS).await;
    let admin = Guest::new(&stack, "admin").await;
    let web = Web::new();
    let body = customer_event("evt_1", "cus_1", 1_795_000_000);
    let url = format!("{}/webhooks/stripe", stack.url);
    assert_eq!(web.call(Method::POST, &url, &[], body.clone()).await.unwrap().status(), 400);
    let forged = [("stripe-signature", "t=1,v1=00")];
    assert_eq!(web.call(Method::POST, &url, &forged, body.clone()).await.unwrap().status(), 400);
    let deliveries = join_all((0..5).map(|_| deliver(&web, &stack, &body))).await;
    assert_eq!(deliveries, [Some(200); 5]);
    assert_eq!(deliver(&web, &stack, r#"{"no":"event"}"#).await, Some(200));
    // Slack says that it sends again. No integration has the workspace.
    let slack = r#"{"type":"event_callback","team_id":"T0SANDBOX","event_id":"Ev1","event_time":1795000000,"event":{"type":"channel_created"}}"#;
    let secret: &SecretString = &stack.webhook_secrets["slack"];
    let headers = sign("slack", slack.as_bytes(), secret, platform::base::clock::now()).unwrap();
    let mut headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.extend([("x-slack-retry-num", "1"), ("x-slack-retry-reason", "http_timeout")]);
    let answer = web.call(Method::POST, &format!("{}/webhooks/slack", stack.url), &headers, slack).await.unwrap();
    assert_eq!(answer.status(), 200);
    admin.settled("webhooks").await;

    let measured = |name: &str, part: &str| -> u64 {
        let text = logs(&stack);
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.get(line.find('{')?..)?).ok());
        let of = |line: &Value| {
            line["_aws"].is_object() && [&line["reason"], &line["service"]].iter().any(|it| **it == part)
        };
        let sum = |line: Value| line[name].as_array().into_iter().flatten().filter_map(Value::as_u64).sum::<u64>();
        let all = lines.filter(|line| line["_aws"].is_object() && (part.is_empty() || of(line)));
        all.map(sum).sum()
    };
    let expected = [
        ("EventsApplied", "", 1),
        ("EventsUnmatched", "", 1),
        ("DeliveriesRefused", "missing", 1),
        ("DeliveriesRefused", "", 2),
        ("EventsRepeated", "", 4),
        ("EventsDeadLettered", "not_an_event", 1),
        ("DeliveriesRetried", "slack", 1),
    ];
    let all = async || expected.iter().all(|(name, part, count)| measured(name, part) == *count).then_some(());
    let counted = stack.until(tests::PATIENCE, all).await;
    let found = expected.map(|(name, part, count)| (name, part, measured(name, part), count));
    counted.unwrap_or_else(|waited| panic!("{waited}: {found:?}"));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_applied_at_once_costs_five_calls_and_what_is_kept_for_operators_costs_nothing() {
    let stack = stack(FAST).await;
    let admin = Guest::new(&stack, "admin").await;
    let web = Web::new();
    let function = format!("{}-webhook-process", stack.prefix());
    let apply = async |event: &str| {
        assert_eq!(deliver(&web, &stack, &customer_event(event, "cus_1", 1_795_000_000)).await, Some(200));
        admin.settled("webhooks").await;
    };
    let calls = || -> Vec<(String, u64)> {
        let of = |((caller, _, operation), count): ((String, _, String), u64)| {
            (caller == function).then_some((operation, count))
        };
        stack.gateway.counts().into_iter().filter_map(of).collect()
    };
    // By table and operation: write units, those of the index too.
    let units = || -> Vec<(String, f64)> {
        let of =
            |((caller, table, operation), consumed): ((String, String, String), local_aws::consumption::Consumed)| {
                (caller == function && consumed.write > 0.0).then(|| (format!("{table} {operation}"), consumed.write))
            };
        stack.gateway.consumption().into_iter().filter_map(of).collect()
    };
    assert!(units().is_empty(), "they are counted from now on");
    apply("evt_1").await;
    let (calls_of_one, units_of_one) = (calls(), units());
    let named = |name: &str| calls_of_one.iter().find(|(operation, _)| operation == name).map(|(_, count)| *count);
    let expected = [("UpdateItem", 2), ("Query", 1), ("TransactWriteItems", 1), ("PutEvents", 1)];
    assert_eq!(expected.map(|(name, _)| named(name)), expected.map(|(_, count)| Some(count)), "{calls_of_one:?}");
    assert_eq!(calls_of_one.len(), expected.len(), "{calls_of_one:?}");
    let updates = units_of_one.iter().find(|(name, _)| name.ends_with("idempotency UpdateItem"));
    let updates = updates.unwrap_or_else(|| panic!("{units_of_one:?}"));
    // The claim and its entry in the index, and the outcome with its trace, which needs no second KB.
    assert!((updates.1 - 3.0).abs() < f64::EPSILON, "{units_of_one:?}");
    stack.shutdown().await;
}
