//! A function that fails as a whole.

use http::Method;
use local_aws::{Service, faults::Effect};
use local_base::web::Web;
use serde_json::json;
use tests::{FAST, alarms::Watch, customer_event, deliver, stack};

use super::{ask, connected, quiet, set, strikes};

/// What makes a function call AWS.
enum Cause {
    Get(&'static str),
    Webhook,
    Action,
    Schedule(&'static str),
}

/// The functions, and the service at whose first call each is killed.
const KILLED: [(&str, Service, Cause); 9] = [
    ("webhook-ingest", Service::Sqs, Cause::Webhook),
    ("webhook-process", Service::Dynamodb, Cause::Webhook),
    ("oauth-callback", Service::Dynamodb, Cause::Get("/connect/slack")),
    ("integrations-api", Service::Dynamodb, Cause::Get("/integrations")),
    ("operator-api", Service::Dynamodb, Cause::Get("/deliveries")),
    ("api-proxy", Service::Dynamodb, Cause::Action),
    ("sync-worker", Service::Dynamodb, Cause::Get("sync")),
    ("sync-scheduler", Service::Dynamodb, Cause::Schedule("-incremental")),
    ("token-refresh", Service::Dynamodb, Cause::Schedule("-refresh")),
];

pub(super) fn seen() -> Vec<String> {
    KILLED.iter().map(|(function, ..)| format!("{function}-errors")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_killed_rings_its_own_alarm() {
    let stack = stack(FAST).await;
    let (ada, _) = connected(&stack, "ada").await;
    let (web, mut watch) = (Web::new(), Watch::new(&stack).await);
    watch.pass(5).await;
    assert_eq!(watch.rung(), set([]));
    for (at, (function, service, cause)) in KILLED.iter().enumerate() {
        stack.gateway.faults.arm(vec![strikes(function, *service, Effect::KillBefore)]);
        match cause {
            Cause::Webhook => drop(deliver(&web, &stack, &customer_event(&format!("evt_{at}"), "cus_1", 1)).await),
            Cause::Get("sync") => drop(ada.api(Method::POST, "/integrations/slack/sync", &json!({})).await),
            Cause::Get(path) => drop(ada.api(Method::GET, path, &json!(null)).await),
            Cause::Action => drop(ada.api(Method::POST, "/actions/slack/list_channels", &json!({})).await),
            Cause::Schedule(name) => {
                let timer = stack.timers.iter().find(|timer| timer.schedule.name.ends_with(name)).unwrap();
                timer.fire().await.expect_err(function);
            }
        }
        let alarm = format!("{function}-errors");
        watch.breach(&alarm).await;
        watch.pass(1).await;
        assert_eq!(watch.rung(), set([alarm.as_str()]));
        stack.gateway.faults.arm(Vec::new());
        watch.pass(watch.alarm(&alarm).memory()).await;
        quiet(&mut watch, function).await;
    }
    assert_eq!(ask(&web, &stack, Method::GET, "/livez").await, 200);
    stack.shutdown().await;
}
