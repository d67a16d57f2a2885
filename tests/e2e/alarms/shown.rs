//! What alarms, dashboard and queries name is written by a stack, and every metric that a stack writes is named.

use std::collections::BTreeSet;

use http::Method;
use local_aws::{Service, faults::Effect};
use local_base::web::Web;
use local_cli::sign::sign;
use serde_json::{Value, json};
use tests::{
    FAST, Guest, PATIENCE,
    alarms::{Metric, Named, Query, Watch},
    customer_event, deliver, logs, stack,
};

use super::{
    ask,
    providers::{fire, refuse_renewal},
    send, strikes,
};

/// Brings about all that is counted and logged.
async fn live(ada: &Guest<'_>) {
    let (web, stack) = (Web::new(), ada.stack);
    // Calls, refreshes, a limit of the provider, and one of ours.
    let id = ada.connect_and_sync("slack").await;
    ada.look.age(&id, 60).await.unwrap();
    fire(ada, "-refresh").await;
    ada.settled("refreshes").await;
    ada.look.age(&id, 60).await.unwrap();
    ada.fault("slack", "POST /api/oauth.v2.access", 1_000, json!({ "status": 503 })).await;
    fire(ada, "-refresh").await;
    ada.settled("refreshes").await;
    ada.admin("slack", Method::DELETE, "faults", &Value::Null).await;
    for _ in 0..4 {
        ada.api(Method::GET, "/proxy/slack/auth.test", &Value::Null).await;
    }
    ada.fault("slack", "auth.test", 1, json!({ "status": 429, "headers": { "retry-after": "60" } })).await;
    ada.api(Method::GET, "/proxy/slack/auth.test", &Value::Null).await;
    ada.api(Method::GET, "/proxy/slack/auth.test", &Value::Null).await;
    // A watch that ends.
    let id = ada.connect_and_sync("google-calendar").await;
    refuse_renewal(ada, &id).await;
    // Webhooks of all kinds, and what is given up. An endpoint of a user's own has its secret in a table.
    ada.connect_stripe(json!({ "webhook_secret": "whsec_of_ada" })).await;
    ada.admin("slack", Method::POST, "send", &json!({ "kind": "ssl_check" })).await;
    for event in
        [customer_event("evt_1", "cus_1", 1), customer_event("evt_1", "cus_1", 1), r#"{"no":"event"}"#.to_owned()]
    {
        assert_eq!(deliver(&web, stack, &event).await, Some(200));
        ada.settled("webhooks").await;
    }
    for queue in ["refreshes", "schedules"] {
        send(stack, queue, "{}").await;
    }
    assert_eq!(ask(&web, stack, Method::POST, "/webhooks/stripe").await, 400);
    // Slack says that it sends again what no integration is about.
    let event = r#"{"type":"event_callback","team_id":"T0NOBODY","event_id":"Ev1","event_time":1795000000,"event":{"type":"x"}}"#;
    let signed =
        sign("slack", event.as_bytes(), &stack.webhook_secrets["slack"], platform::base::clock::now()).unwrap();
    let mut headers: Vec<_> = signed.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("x-slack-retry-num", "1"));
    let answer = web.call(Method::POST, &format!("{}/webhooks/slack", stack.url), &headers, event.to_owned()).await;
    assert_eq!(answer.unwrap().status(), 200);
    ada.settled("webhooks").await;
    fire(ada, "-incremental").await;
    fire(ada, "-dead-letters").await;
    stack.gateway.faults.arm(vec![strikes("webhook-process", Service::Dynamodb, Effect::Deny)]);
    assert_eq!(deliver(&web, stack, &customer_event("evt_2", "cus_1", 2)).await, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_and_field_that_is_named_is_written_and_every_metric_that_is_written_is_named() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let mut watch = Watch::new(&stack).await;
    watch.timers.clear();
    live(&ada).await;
    let template = &stack.template.monitoring;
    let shown = Named::of_dashboards(template);
    let named: BTreeSet<_> =
        shown.iter().cloned().chain(watch.alarms.iter().map(|it| Named::One(it.metric()))).collect();
    let mut lacking = Vec::new();
    let all = async || {
        watch.pass(1).await;
        lacking = named.iter().filter(|named| !watch.seen.keys().any(|metric| named.is(metric))).cloned().collect();
        lacking.is_empty().then_some(())
    };
    let found = stack.until(PATIENCE, all).await;
    found.unwrap_or_else(|waited| panic!("{waited}: named, but not written: {lacking:#?}"));

    let ours = |metric: &&Metric| metric.namespace == platform::base::metrics::NAMESPACE;
    let unnamed: Vec<_> =
        watch.seen.keys().filter(ours).filter(|metric| !named.iter().any(|it| it.is(metric))).collect();
    assert!(unnamed.is_empty(), "written, but not named: {unnamed:#?}");
    let written: BTreeSet<_> = watch.seen.keys().filter(ours).map(|metric| metric.name.as_str()).collect();
    assert_eq!(written, platform::base::metrics::Metric::ALL.iter().map(|metric| metric.name()).collect());

    let lines = logs(&stack);
    let lines: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for Query { groups, fields, message } in Query::all(template) {
        for group in &groups {
            let function = group.strip_prefix("/aws/lambda/").unwrap();
            assert!(stack.functions.iter().any(|it| it.spec().name == function), "there are no logs {group}");
        }
        let found = lines.iter().any(|line| {
            fields.iter().all(|field| !line[field].is_null())
                && message.as_ref().is_none_or(|text| line["message"] == **text)
        });
        assert!(found, "no line has {message:?} and {fields:?}");
    }
    stack.shutdown().await;
}
