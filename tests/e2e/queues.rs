//! The queues of syncs, refreshes and schedules: what does not fit into one invocation goes on, what ran out of time comes back,
//! and what can't be read is given up.

use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use local_aws::{
    Service,
    clients::DEVELOPER_KEY,
    faults::{Effect, Fault},
};
use platform::{Aws, aws::Patience, base::clock, stores::integrations::Integrations};
use serde_json::{Value, json};
use tests::{Guest, PATIENCE, Running, dead_letters, depth, integration, logs, stack};

/// The shortest timeouts there are, and a lease that is over before a message comes back.
const SHORT: &[(&str, &str)] = &[
    ("ScheduleTimeoutSeconds", "10"),
    ("SchedulesVisibilitySeconds", "60"),
    ("RefreshTimeoutSeconds", "10"),
    ("RefreshesVisibilitySeconds", "60"),
    ("SyncTimeoutSeconds", "3"),
    ("SyncsVisibilitySeconds", "18"),
    ("SyncLeaseSeconds", "4"),
    ("MaxReceiveCount", "20"),
];

/// Stores so many integrations that are due.
async fn due(stack: &Running, count: usize) {
    let aws = Aws::at(&stack.aws_url, local_aws::REGION, DEVELOPER_KEY, Patience::QUEUE);
    let integrations = Integrations::new(&aws, stack.table("integrations"));
    for user in 0..count {
        integrations.put(&integration(&format!("due-{user}")), Timestamp::UNIX_EPOCH).await.unwrap();
    }
}

async fn fire(stack: &Running, schedule: &str) -> Value {
    let timer = stack.timers.iter().find(|timer| timer.schedule.name.ends_with(schedule)).unwrap();
    serde_json::from_str(&timer.fire().await.unwrap()).unwrap()
}

async fn send(stack: &Running, queue: &str, body: &Value) {
    let url = stack.embedded.as_ref().unwrap().sqs.queue_url(&format!("{}-{queue}", stack.prefix()));
    let call = stack.clients.sqs.send_message().queue_url(url).message_group_id("test");
    call.message_body(body.to_string()).send().await.unwrap();
}

fn calls(stack: &Running, function: &str, operation: &str) -> u64 {
    let key = (format!("{}-{function}", stack.prefix()), Service::Sqs, operation.to_owned());
    stack.gateway.counts().get(&key).copied().unwrap_or_default()
}

/// Calls of this operation by a function take this long.
fn slow(function: &str, operation: &str, milliseconds: u64) -> Fault {
    let (function, operation) = (Some(function.to_owned()), Some(operation.to_owned()));
    Fault { function, operation, times: u64::MAX, ..Fault::new(Effect::Delay(milliseconds)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_does_not_fit_into_one_invocation_goes_on_in_another() {
    let stack = stack(SHORT).await;
    let ada = Guest::new(&stack, "ada").await;
    due(&stack, 39).await;
    // Four of the sixteen shards take six of the ten seconds, and five are the reserve.
    stack.gateway.faults.arm(vec![Fault { times: 4, ..slow("sync-scheduler", "Query", 1500) }]);
    let first = fire(&stack, "-incremental").await["sent"].as_u64().unwrap();
    assert!((1..40).contains(&first), "{first} of 40");
    ada.settled("schedules").await;
    assert_eq!(calls(&stack, "sync-scheduler", "SendMessage"), 1, "one continuation");
    // A line of the log is written a moment later.
    let swept = || -> u64 {
        let logs = logs(&stack);
        let lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line.get(line.find('{')?..)?).ok());
        let lines = lines.filter(|line| line["message"] == "swept" || line["fields"]["message"] == "swept");
        lines.filter_map(|line| line["sent"].as_u64().or(line["fields"]["sent"].as_u64())).sum()
    };
    let all = async || (swept() >= 40).then_some(());
    stack.until(PATIENCE, all).await.unwrap_or_else(|waited| panic!("{} of 40 were sent: {waited}", swept()));
    assert_eq!(swept(), 40, "each integration once");
    ada.settled("syncs").await;
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_runs_out_of_time_comes_back_soon_and_is_done() {
    let stack = stack(SHORT).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    due(&stack, 40).await;
    let refreshes = ada.refreshes("slack").await.0;
    let syncs = ada.look.announced("sync.completed", &id).unwrap();
    // Each takes longer than its function has. The first attempt at a read of token-refresh takes longer than the SDK waits.
    let tries = slow("token-refresh", "GetItem", 3000);
    let tries =
        vec![Fault { every: 2, ..tries.clone() }, Fault { at: 2, every: 2, effect: Effect::Delay(1600), ..tries }];
    let slow_sync = || vec![slow("sync-worker", "GetItem", 1500), slow("sync-worker", "UpdateItem", 1500)];
    for (function, queue, slow) in [
        // No shard's messages can be sent, and each takes until the SDK gives up.
        ("sync-scheduler", "schedules", vec![slow("sync-scheduler", "SendMessageBatch", 3000)]),
        ("token-refresh", "refreshes", tries),
        ("sync-worker", "syncs", slow_sync()),
        ("sync-worker", "long-syncs", slow_sync()),
    ] {
        let before = calls(&stack, function, "ChangeMessageVisibility");
        stack.gateway.faults.arm(slow);
        match queue {
            "refreshes" => {
                ada.look.age(&id, 60).await.unwrap();
                send(&stack, queue, &json!({ "v": 1, "integration_id": id, "credential": "bot" })).await;
            }
            "schedules" => {
                send(&stack, queue, &json!({ "v": 1, "schedule": "incremental", "shard": 0, "hop": 1 })).await;
            }
            "long-syncs" => {
                let rest = json!({ "v": 1, "user_id": "ada", "integration": "slack#T0SANDBOX", "type": "incremental", "cause": "due",
                    "asked_at": clock::now(), "stage": "rest" });
                send(&stack, queue, &rest).await;
            }
            _ => {
                let (status, body) = ada.api(Method::POST, "/integrations/slack/sync", &json!({})).await;
                assert_eq!(status, 202, "{body}");
            }
        }
        let hidden = async || (calls(&stack, function, "ChangeMessageVisibility") > before).then_some(());
        stack.until(PATIENCE, hidden).await.unwrap_or_else(|waited| panic!("{function} hides nothing: {waited}"));
        stack.gateway.faults.arm(Vec::new());
        ada.settled(queue).await;
        ada.settled("syncs").await;
        assert_eq!(depth(&stack, &format!("{}-dead", queue.trim_start_matches("long-"))), 0, "{queue}");
        let logged = async || logs(&stack).contains(r#""reason":"timed_out""#).then_some(());
        stack.until(PATIENCE, logged).await.unwrap();
    }
    assert!(ada.refreshes("slack").await.0 > refreshes);
    assert!(ada.look.announced("sync.completed", &id).unwrap() > syncs);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_can_not_be_read_is_dead_lettered_at_once() {
    let stack = stack(&[]).await;
    for queue in ["syncs", "refreshes", "schedules"] {
        send(&stack, queue, &json!({ "v": 1, "of": "another time" })).await;
        let dead = async || (depth(&stack, &format!("{queue}-dead")) == 1).then_some(());
        stack.until(PATIENCE, dead).await.unwrap_or_else(|waited| panic!("{queue}: {waited}"));
        assert_eq!(dead_letters(&stack, queue).await, ["message_unreadable"], "{queue}");
    }
    // Not after its receives have run out.
    stack.embedded.as_ref().unwrap().sqs.advance(Duration::from_hours(12));
    assert_eq!(depth(&stack, "syncs"), 0);
    stack.shutdown().await;
}
