//! Slots: each is served by one sync, however many messages name it, and an integration keeps its rhythm.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use domain::{
    IntegrationKey,
    sync::slot::{INTERVAL, slot},
};
use futures_util::future::join_all;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use platform::base::clock;
use serde_json::{Value, json};
use tests::{FAST, Guest, Running, let_time_pass, stack};

const SLACK: &str = "slack#T0SANDBOX";

/// A user with an integration of Slack.
struct Synced<'s> {
    guest: Guest<'s>,
    key: IntegrationKey,
}

impl<'s> Synced<'s> {
    async fn new(stack: &'s Running, user: &str) -> Self {
        let guest = Guest::new(stack, user).await;
        guest.connect_and_sync("slack").await;
        let key = IntegrationKey::parse(user, SLACK).unwrap();
        Self { guest, key }
    }

    /// The same of this account and these scopes.
    async fn with_scopes(stack: &'s Running, user: &str, account: &str, scopes: &[&str]) -> Self {
        let guest = Guest::new(stack, user).await;
        let callback = guest.allow_only("/connect/slack", account, &[&scopes.join(",")]).await;
        assert_eq!(guest.get(&callback).await.status, 302);
        guest.quiet().await;
        let key = IntegrationKey::parse(user, &format!("slack#{account}")).unwrap();
        Self { guest, key }
    }

    /// Makes a slot of the last hour the one that is due.
    async fn overdue(&self) -> Timestamp {
        let due_at = slot(self.key.rhythm(), clock::now() - SignedDuration::from_hours(1));
        let stack = self.guest.stack;
        let call = stack.clients.dynamodb.update_item().table_name(stack.table("integrations"));
        let call = call.key("user_id", AttributeValue::S(self.guest.user.clone()));
        let call = call.key("integration", AttributeValue::S(self.key.account()));
        let call = call.update_expression("SET due_at = :at");
        let at = AttributeValue::N(due_at.as_second().to_string());
        call.expression_attribute_values(":at", at).send().await.unwrap();
        due_at
    }

    async fn item(&self) -> local_cli::stores::Item {
        let mut items = self.guest.look.items("integrations").await.unwrap();
        items.retain(|item| item["user_id"].as_s().is_ok_and(|user| *user == self.guest.user));
        items.remove(0)
    }

    /// The next slot, of which no message has begun to work.
    async fn next(&self) -> Timestamp {
        let item = self.item().await;
        assert!(!item.contains_key("served_by"), "{item:?}");
        Timestamp::from_second(item["due_at"].as_n().unwrap().parse().unwrap()).unwrap()
    }

    /// The message of a sweep for a slot.
    async fn send(&self, slot: Timestamp) {
        let body = json!({
            "v": 1, "user_id": self.guest.user, "integration": self.key.account(), "type": "incremental", "cause": "due",
            "asked_at": clock::now(), "slot": slot,
        });
        let stack = self.guest.stack;
        let url = stack.embedded.as_ref().unwrap().sqs.queue_url(&format!("{}-syncs", stack.prefix()));
        let call = stack.clients.sqs.send_message().queue_url(url).message_group_id(&self.guest.user);
        call.message_body(body.to_string()).send().await.unwrap();
    }

    /// Calls of Slack's API, of all users.
    async fn calls(&self) -> usize {
        self.guest.calls("slack", "").await
    }
}

/// Fires the schedule of syncs: how many messages were sent.
async fn fire(stack: &Running) -> u64 {
    let timer = stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-incremental")).unwrap();
    let answer: Value = serde_json::from_str(&timer.fire().await.unwrap()).unwrap();
    answer["sent"].as_u64().unwrap()
}

/// The calls of sync-worker to AWS so far.
fn worked(stack: &Running) -> BTreeMap<(Service, String), u64> {
    let name = format!("{}-sync-worker", stack.prefix());
    let counts = stack.gateway.counts().into_iter().filter(|((function, ..), _)| *function == name);
    counts.map(|((_, service, operation), count)| ((service, operation), count)).collect()
}

fn strike(function: &str, operation: &str, at: u64, effect: Effect) -> Vec<Fault> {
    let (function, operation) = (Some(function.to_owned()), Some(operation.to_owned()));
    vec![Fault { function, operation, at, ..Fault::new(effect) }]
}

#[tokio::test(flavor = "multi_thread")]
async fn firings_that_overlap_and_a_queue_that_is_late_call_the_provider_once_a_slot() {
    let stack = stack(FAST).await;
    // None of them shares its account with another one.
    let lists = ["channels:read", "groups:read", "users:read"];
    let all = [
        Synced::new(&stack, "ada").await,
        Synced::with_scopes(&stack, "bob", "T0SANDBOX", &lists).await,
        Synced::with_scopes(&stack, "eve", "T0SANDBOX2", &lists).await,
    ];
    // The tests' own integration of Stripe has no credential, and is due, too.
    fire(&stack).await;
    all[0].guest.settled("syncs").await;

    let before = all[0].calls().await;
    for it in &all {
        it.overdue().await;
    }
    assert_eq!(fire(&stack).await, 3);
    all[0].guest.settled("syncs").await;
    let once = all[0].calls().await - before;
    assert!(once >= 6, "{once} calls");

    let mut served = Vec::new();
    for it in &all {
        served.push(it.overdue().await);
    }
    // Two firings at once, and a third before the first message of the others is delivered.
    assert_eq!(join_all([fire(&stack), fire(&stack)]).await, [3, 3]);
    assert_eq!(fire(&stack).await, 3);
    all[0].guest.settled("syncs").await;
    assert_eq!(all[0].calls().await, before + 2 * once);
    let now = clock::now();
    for it in &all {
        let next = it.next().await;
        assert_eq!(next, slot(it.key.rhythm(), next), "the rhythm is kept");
        assert!(next > now + INTERVAL / 3 && next < now + INTERVAL * 2, "{next}");
    }

    // What comes again for a slot that was served is done after one read.
    let read = ((Service::Dynamodb, "GetItem".to_owned()), 1);
    for (it, slot) in all.iter().zip(served) {
        let mut before = worked(&stack);
        it.send(slot).await;
        it.guest.settled("syncs").await;
        *before.get_mut(&read.0).unwrap() += read.1;
        assert_eq!(worked(&stack), before);
    }
    assert_eq!(all[0].calls().await, before + 2 * once);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_serves_its_slot_though_its_worker_dies_or_the_provider_fails_meanwhile() {
    let stack = stack(FAST).await;
    let ada = Synced::new(&stack, "ada").await;
    for what in ["worker", "provider"] {
        let before = ada.guest.status("slack").await["last_sync"].clone();
        ada.overdue().await;
        match what {
            // After it has the lease and the slot.
            "worker" => stack.gateway.faults.arm(strike("sync-worker", "UpdateItem", 2, Effect::KillAfter)),
            // As often as one attempt at the message asks.
            _ => ada.guest.fault("slack", "/conversations.list", 4, json!({ "status": 503 })).await,
        }
        assert!(fire(&stack).await >= 1);
        if what == "worker" {
            stack.embedded.as_ref().unwrap().sqs.advance(std::time::Duration::from_mins(15));
            let died = async || (stack.gateway.faults.armed()[0].seen >= 2).then_some(());
            stack.until(tests::PATIENCE, died).await.unwrap();
            let_time_pass(&stack).await;
        }
        ada.guest.settled("syncs").await;
        assert_ne!(ada.guest.status("slack").await["last_sync"], before, "{what}");
        assert!(ada.next().await > clock::now(), "{what}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_of_an_integration_that_is_synced_ended_or_connected_again_meanwhile_is_not_served() {
    let stack = stack(FAST).await;
    let ada = Synced::new(&stack, "ada").await;
    let lists = async || ada.guest.calls("slack", "/conversations.list").await;
    for (meanwhile, expected) in [("synced", 1), ("ended", 0), ("connected", 1)] {
        let before = lists().await;
        ada.overdue().await;
        assert!(fire(&stack).await >= 1);
        match meanwhile {
            "synced" => {
                let (status, body) = ada.guest.api(Method::POST, "/integrations/slack/sync", &json!({})).await;
                assert_eq!(status, 202, "{body}");
            }
            _ => {
                let (status, body) = ada
                    .guest
                    .api(Method::POST, "/integrations/slack/disconnect", &json!({ "keep_records": true }))
                    .await;
                assert_eq!(status, 200, "{body}");
            }
        }
        if meanwhile == "connected" {
            ada.guest.connect("slack").await;
        }
        ada.guest.settled("syncs").await;
        assert_eq!(lists().await, before + expected, "{meanwhile}");
        if meanwhile == "ended" {
            ada.guest.connect_and_sync("slack").await;
        }
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_dies_before_its_continuation_is_sent_calls_the_provider_once_a_slot() {
    let stack = stack(&[("ScheduleTimeoutSeconds", "10"), ("SchedulesVisibilitySeconds", "60")]).await;
    let ada = Synced::new(&stack, "ada").await;
    fire(&stack).await;
    ada.guest.settled("syncs").await;
    let before = ada.guest.calls("slack", "/conversations.list").await;
    ada.overdue().await;
    // The shards take all the time.
    let mut faults = strike("sync-scheduler", "SendMessage", 1, Effect::KillBefore);
    let slow = strike("sync-scheduler", "Query", 1, Effect::Delay(1200));
    faults.extend(slow.into_iter().map(|slow| Fault { times: 10, ..slow }));
    stack.gateway.faults.arm(faults);
    let sqs = &stack.embedded.as_ref().unwrap().sqs;
    let url = sqs.queue_url(&format!("{}-schedules", stack.prefix()));
    let body = json!({ "v": 1, "schedule": "incremental", "shard": 0, "hop": 0 }).to_string();
    stack.clients.sqs.send_message().queue_url(url).message_body(body).send().await.unwrap();
    let died = async || (stack.gateway.faults.armed()[0].seen >= 1).then_some(());
    stack.until(tests::PATIENCE, died).await.unwrap();
    sqs.advance(std::time::Duration::from_mins(2));
    ada.guest.settled("schedules").await;
    ada.guest.settled("syncs").await;
    assert_eq!(ada.guest.calls("slack", "/conversations.list").await, before + 1);
    assert!(ada.next().await > clock::now());
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_sync_after_a_streams_hour_of_the_week_reads_it_in_full_and_no_other_stream() {
    let stack = stack(FAST).await;
    let guest = Guest::new(&stack, "ada").await;
    let id = guest.connect_stripe(json!({})).await;
    guest.settled("syncs").await;
    let fulls = async || -> BTreeMap<String, String> {
        let status = guest.status("stripe").await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let streams = status["streams"].as_array().unwrap().iter();
        streams.map(|stream| (text(&stream["name"]), text(&stream["last_full_sync"]))).collect()
    };
    guest.full_run_is_due(&id, "customers").await;

    let sync = async || {
        let (status, body) = guest.api(Method::POST, "/integrations/stripe/sync", &json!({})).await;
        assert_eq!(status, 202, "{body}");
        guest.settled("syncs").await;
        fulls().await
    };
    let (before, calls) = (fulls().await, guest.calls("stripe", "/v1/customers").await);
    let after = sync().await;
    let read: Vec<_> = after.iter().filter(|it| before.get(it.0) != Some(it.1)).map(|it| it.0.as_str()).collect();
    assert_eq!(read, ["customers"]);
    assert_eq!(guest.calls("stripe", "/v1/customers").await, calls + 1);
    assert_eq!(sync().await, after, "once a week");
    stack.shutdown().await;
}

/// The most memory that the process of sync-scheduler has held, in KiB.
fn peak(stack: &Running) -> u64 {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let is_it = |path: &std::path::PathBuf| {
        let name = std::fs::read_link(path.join("exe")).is_ok_and(|exe| exe.ends_with("sync-scheduler"));
        // Those of other tests have another AWS.
        let url = stack.aws_url.as_bytes();
        name && std::fs::read(path.join("environ")).is_ok_and(|all| all.windows(url.len()).any(|part| part == url))
    };
    let told = |path: std::path::PathBuf| -> Option<u64> {
        let status = std::fs::read_to_string(path.join("status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.trim().parse().ok()
    };
    processes.filter(is_it).filter_map(told).max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_holds_a_page_in_memory_whatever_is_due_in_a_shard() {
    const DUE: usize = 6_000;
    let stack = stack(FAST).await;
    let mut peaks = Vec::new();
    for users in [0..1_000, 1_000..DUE] {
        let count = users.len();
        let write = |user: usize| {
            let put = PutRequest::builder().item("user_id", AttributeValue::S(format!("user-{user}")));
            let put = put.item("integration", AttributeValue::S(SLACK.into()));
            let put =
                put.item("due_shard", AttributeValue::N("0".into())).item("due_at", AttributeValue::N("1".into()));
            WriteRequest::builder().put_request(put.build().unwrap()).build()
        };
        for batch in users.collect::<Vec<_>>().chunks(25) {
            let writes = batch.iter().map(|user| write(*user)).collect();
            let call = stack.clients.dynamodb.batch_write_item().request_items(stack.table("integrations"), writes);
            call.send().await.unwrap();
        }
        assert!(fire(&stack).await >= count as u64);
        peaks.push(peak(&stack));
    }
    // Five pages more would be 5 MB.
    assert!(peaks[1] - peaks[0] < 2_500, "{peaks:?} KiB");
    stack.shutdown().await;
}
