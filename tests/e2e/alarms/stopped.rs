//! Functions that may not run: their reserved concurrency is 0, as an operator sets it, or as an account does whose quota is used up.

use std::time::Duration;

use http::Method;
use local_base::web::Web;
use local_cli::bundle::Bundle;
use tests::{Guest, alarms::Watch, customer_event, deliver, stack, start};

use super::{ask, quiet, send, set};

/// What invokes a function meanwhile.
enum Cause {
    Request(Method, &'static str),
    Webhook,
    /// A message that the function has nothing to do for.
    Message(&'static str, &'static str),
}

const SYNC: &str = r#"{"v":1,"user_id":"nobody","integration":"stripe#acct_1#test","type":"incremental","cause":"asked","asked_at":"2026-11-23T10:00:00Z"}"#;

/// The functions, and the alarms that ring beside that on their throttles.
const STOPPED: [(&str, Cause, &[&str]); 10] = [
    ("webhook-ingest", Cause::Request(Method::POST, "/webhooks/stripe"), &["api-errors"]),
    ("oauth-callback", Cause::Request(Method::GET, "/connect/slack"), &["api-errors"]),
    ("integrations-api", Cause::Request(Method::GET, "/livez"), &["api-errors"]),
    ("operator-api", Cause::Request(Method::GET, "/deliveries"), &["api-errors"]),
    ("api-proxy", Cause::Request(Method::POST, "/actions/slack/list_channels"), &["api-errors"]),
    ("webhook-process", Cause::Webhook, &["webhooks-age", "dead-letters-missed"]),
    (
        "sync-scheduler",
        Cause::Message("schedules", r#"{"v":1,"schedule":"incremental","shard":15,"hop":1}"#),
        &["schedules-age", "incremental-missed", "watches-missed"],
    ),
    ("sync-worker", Cause::Message("syncs", SYNC), &["syncs-age"]),
    ("sync-worker", Cause::Message("long-syncs", SYNC), &["long-syncs-age"]),
    (
        "token-refresh",
        Cause::Message(
            "refreshes",
            r#"{"v":1,"integration_id":"int_00000000000000000000000000000001","credential":"token"}"#,
        ),
        &["refreshes-age", "refresh-missed"],
    ),
];
/// More than any visibility timeout, after which a queue's poller tries again.
const AGAIN: Duration = Duration::from_mins(31);

pub(super) fn seen() -> Vec<String> {
    let with = STOPPED.iter().flat_map(|(.., with)| with.iter().map(|name| (*name).to_owned()));
    STOPPED.iter().map(|(function, ..)| format!("{function}-throttles")).chain(with).collect()
}

/// Sets the reserved concurrency of a function, as `aws lambda put-function-concurrency` and `delete-function-concurrency` do.
async fn concurrency(web: &Web, stack: &Bundle, function: &str, stop: bool) {
    let url = format!("{}/2017-10-31/functions/{function}/concurrency", stack.control_url);
    let (method, body) =
        if stop { (Method::PUT, r#"{"ReservedConcurrentExecutions":0}"#) } else { (Method::DELETE, "") };
    let answer = web.call(method, &url, &[], body.to_owned()).await.unwrap();
    assert!(answer.status().is_success(), "{:?}", answer.body());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_may_not_run_rings_for_its_throttles_its_queue_and_its_schedules() {
    let stack = stack(&[("MaxReceiveCount", "100")]).await;
    let guest = Guest::new(&stack, "ada").await;
    let sqs = &stack.embedded.as_ref().unwrap().sqs;
    let (web, mut watch) = (Web::new(), Watch::new(&stack).await);
    watch.pass(5).await;
    assert_eq!(watch.rung(), set([]));
    for (function, cause, with) in &STOPPED {
        concurrency(&web, &stack, function, true).await;
        let declared = stack.template.functions.iter().find(|it| it.binary == *function).unwrap();
        let (waiting, firing): (Vec<_>, Vec<_>) =
            stack.timers.iter().partition(|timer| declared.schedules.contains(&timer.schedule));
        // Lambda keeps the events of schedules, and tries them later.
        let waiting: Vec<_> =
            waiting.into_iter().cloned().map(|timer| start(async move { timer.fire().await })).collect();
        watch.timers = firing;
        match cause {
            Cause::Request(..) => {}
            Cause::Webhook => drop(deliver(&web, &stack, &customer_event("evt_1", "cus_1", 1)).await),
            Cause::Message(queue, body) => send(&stack, queue, body).await,
        }
        let throttled = format!("{function}-throttles");
        for _ in 0..3 {
            match cause {
                Cause::Request(method, path) => {
                    for _ in 0..6 {
                        assert_eq!(ask(&web, &stack, method.clone(), path).await, 503, "{function}");
                    }
                }
                Cause::Webhook | Cause::Message(..) => sqs.advance(AGAIN),
            }
            watch.breach(&throttled).await;
            watch.pass(5).await;
        }
        let expected = set(with.iter().copied().chain([throttled.as_str()]));
        let memory = expected.iter().map(|name| watch.alarm(name).memory()).max().unwrap();
        watch.pass(memory).await;
        assert_eq!(watch.rung(), expected, "{function}");

        concurrency(&web, &stack, function, false).await;
        for event in waiting {
            event.await.unwrap().unwrap();
        }
        sqs.advance(AGAIN);
        for queue in
            declared.mappings.iter().filter_map(|it| it.queue_arn.rsplit(':').next()?.strip_prefix("intertie-"))
        {
            guest.settled(queue).await;
        }
        watch.timers = stack.timers.iter().collect();
        watch.pass(memory).await;
        watch.rung();
        quiet(&mut watch, function).await;
    }
    stack.shutdown().await;
}
