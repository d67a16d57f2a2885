//! A sweep costs what is due, not what exists; and however much is due, all of it is sent within any time.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use domain::{
    IntegrationId, IntegrationKey,
    messages::message::SyncMessage,
    sync::slot::{INTERVAL, SWEEP, slot},
};
use futures_util::{StreamExt as _, future::join_all, stream};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Context, LambdaEvent};
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use platform::{
    AwsError,
    aws::queue::MAX_DELAY,
    base::{clock, config::load_from},
    stores::due::{Due, SHARDS, shard},
};
use serde_json::{Value, json};
use sync_scheduler::{Config, SyncScheduler};
use tests::Ground;

const TABLE: &str = "intertie-integrations";
const FUNCTION: &str = "sync-scheduler";

/// An integration that is stored.
#[derive(Clone)]
struct Stored {
    key: IntegrationKey,
    user_id: String,
    id: IntegrationId,
    due_at: Timestamp,
}

impl Stored {
    /// That of this user, of an account of its own; in its slot after `from`.
    fn new(number: usize, from: Timestamp) -> Self {
        let user_id = format!("user-{number}");
        let key = IntegrationKey::parse(&user_id, &format!("slack#T{number}")).unwrap();
        let (id, due_at) = (key.id(), slot(key.rhythm(), from));
        Self { key, user_id, id, due_at }
    }

    fn write(&self) -> WriteRequest {
        let n = |number: i64| AttributeValue::N(number.to_string());
        let put = PutRequest::builder()
            .item("user_id", AttributeValue::S(self.user_id.clone()))
            .item("integration", AttributeValue::S(self.key.account()))
            .item("granted", AttributeValue::S("x".repeat(300)))
            .item("due_shard", n(shard(&self.id).into()))
            .item("due_at", n(self.due_at.as_second()));
        WriteRequest::builder().put_request(put.build().unwrap()).build()
    }
}

async fn store<'a>(ground: &Ground, all: impl Iterator<Item = &'a Stored>) {
    let writes: Vec<_> = all.map(Stored::write).collect();
    let batches = (writes.chunks(25))
        .map(|batch| ground.clients.dynamodb.batch_write_item().request_items(TABLE, batch.to_vec()).send());
    let outputs: Vec<_> = stream::iter(batches).buffer_unordered(4).collect().await;
    assert!(outputs.iter().all(|output| output.as_ref().unwrap().unprocessed_items().is_none_or(HashMap::is_empty)));
}

/// The function with the settings of template.yaml, and the time that it has.
struct Scheduler<'g> {
    ground: &'g Ground,
    function: SyncScheduler,
    timeout: Duration,
}

impl<'g> Scheduler<'g> {
    fn new(ground: &'g Ground, timeout: Duration) -> Self {
        let spec = ground.template.functions.iter().find(|it| it.binary == FUNCTION).unwrap();
        let config = load_from(spec.environment.clone(), Config::read).unwrap();
        Self { ground, function: SyncScheduler::new(&ground.aws_of(FUNCTION), &config), timeout }
    }

    async fn invoke(&self, event: Value) -> Result<Value, AwsError> {
        let mut context = Context::default();
        context.deadline = u64::try_from((clock::now() + self.timeout).as_millisecond()).unwrap();
        let payload = serde_json::from_value(event).unwrap();
        let answer = self.function.handle(LambdaEvent { payload, context }).await?;
        Ok(serde_json::to_value(answer).unwrap())
    }

    async fn fire(&self) -> Result<Value, AwsError> {
        self.invoke(json!({ "schedule": "incremental" })).await
    }

    async fn go_on(&self, continuation: &str) {
        let record = json!({ "messageId": "m", "receiptHandle": "r", "body": continuation });
        let answer = self.invoke(json!({ "Records": [record] })).await.unwrap();
        assert_eq!(answer, json!({ "batchItemFailures": [] }), "{continuation}");
    }

    /// Hands the function its continuations until none is left: how many there were.
    async fn go_on_to_the_end(&self) -> usize {
        let mut continuations = 0;
        loop {
            let bodies = self.take("schedules").await;
            if bodies.is_empty() {
                return continuations;
            }
            continuations += bodies.len();
            join_all(bodies.iter().map(|body| self.go_on(body))).await;
        }
    }

    /// Takes messages that are visible, ten at most.
    async fn take(&self, queue: &str) -> Vec<String> {
        let (sqs, url) = (&self.ground.clients.sqs, self.ground.queue_url(queue));
        let call = sqs.receive_message().queue_url(&url).max_number_of_messages(10).wait_time_seconds(0);
        let messages = call.send().await.unwrap().messages.unwrap_or_default();
        let entry = |(index, message): (usize, &Message)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            entry.receipt_handle(message.receipt_handle().unwrap()).build().unwrap()
        };
        let entries: Vec<_> = messages.iter().enumerate().map(entry).collect();
        if !entries.is_empty() {
            sqs.delete_message_batch().queue_url(&url).set_entries(Some(entries)).send().await.unwrap();
        }
        messages.into_iter().map(|message| message.body.unwrap()).collect()
    }

    /// Takes everything from `long-syncs` as it is delivered: how often each slot was sent, by user; and how many messages came in each
    /// minute of the interval.
    async fn delivered(&self) -> (BTreeMap<(String, Timestamp), usize>, Vec<usize>) {
        let (mut slots, mut minutes) = (BTreeMap::new(), Vec::new());
        for _ in 0..INTERVAL.as_mins() {
            self.ground.sqs.advance(Duration::from_mins(1));
            let before = slots.values().sum::<usize>();
            loop {
                let bodies = self.take("long-syncs").await;
                if bodies.is_empty() {
                    break;
                }
                for body in bodies {
                    let message: SyncMessage = serde_json::from_str(&body).unwrap();
                    *slots.entry((message.key.user_id.to_string(), message.slot.unwrap())).or_default() += 1;
                }
            }
            minutes.push(slots.values().sum::<usize>() - before);
        }
        (slots, minutes)
    }

    fn calls(&self, service: Service, operation: &str) -> u64 {
        let key = (FUNCTION.to_owned(), service, operation.to_owned());
        self.ground.gateway.counts().get(&key).copied().unwrap_or_default()
    }
}

/// So many integrations, of which so many are due, of which so many are in one shard.
fn integrations(all: usize, due: usize, in_one: usize) -> (Vec<Stored>, Vec<Stored>) {
    // The sweeps were out of order for hours.
    let now = clock::now();
    let (mut overdue, mut later, mut first, mut others) = (Vec::new(), Vec::new(), 0, 0);
    for number in 0..all {
        let mut it = Stored::new(number, now - INTERVAL * 8);
        let (count, most) = if shard(&it.id) == 0 { (&mut first, in_one) } else { (&mut others, due - in_one) };
        if *count < most {
            *count += 1;
            overdue.push(it);
        } else {
            // Not while the test runs, however long it takes to store them.
            it.due_at = slot(it.key.rhythm(), now + SignedDuration::from_hours(24));
            later.push(it);
        }
    }
    assert_eq!(overdue.len(), due, "there are enough integrations in the shard");
    (overdue, later)
}

/// Two firings at once, of which each has this time. What they cost; and the function and what was due, to look at what is delivered.
async fn two_firings(
    ground: &Ground,
    (all, due, in_one): (usize, usize, usize),
    timeout: Duration,
) -> (String, Scheduler<'_>, Vec<Stored>) {
    let (overdue, later) = integrations(all, due, in_one);
    store(ground, overdue.iter().chain(&later)).await;
    let scheduler = Scheduler::new(ground, timeout);
    let began = Instant::now();
    for answer in join_all((0..2).map(|_| scheduler.fire())).await {
        answer.unwrap();
    }
    let continuations = scheduler.go_on_to_the_end().await;
    let took = began.elapsed();
    let queries = scheduler.calls(Service::Dynamodb, "Query");
    let batches = scheduler.calls(Service::Sqs, "SendMessageBatch");
    let cost = format!(
        "{all} stored, {due} due, {in_one} of them in one shard, {timeout:?} an invocation: 2 firings, {continuations} continuations, \
         {queries} queries, {batches} batches, {took:?}"
    );
    assert!(continuations > 2, "the time was long enough for all at once: {cost}");
    assert_eq!(scheduler.calls(Service::Dynamodb, "Scan"), 0);
    let syncs = ground.sqs.depths().into_iter().find(|queue| queue.name.ends_with("-long-syncs")).unwrap();
    assert_eq!(syncs.visible + syncs.delayed, 2 * due, "{cost}");
    (cost, scheduler, overdue)
}

#[tokio::test]
async fn with_a_hundred_due_a_sweep_costs_the_same_of_a_thousand_and_of_a_hundred_thousand() {
    println!("{}", costs(&[1_000, 10_000, 100_000]).await);
}

#[tokio::test]
async fn two_firings_of_many_short_invocations_send_each_slot_once_each() {
    const DUE: usize = 1_000;
    let ground = Ground::start().await;
    let (cost, scheduler, overdue) = two_firings(&ground, (11_000, DUE, 600), Duration::from_millis(5_150)).await;
    println!("{cost}");
    let (slots, minutes) = scheduler.delivered().await;
    let wanted: BTreeMap<_, _> = overdue.into_iter().map(|it| ((it.user_id, it.due_at), 2)).collect();
    assert!(slots == wanted, "each slot is sent once by each firing: {} of {DUE}", slots.len());
    let even = 2 * DUE / minutes.len();
    assert!(minutes.iter().all(|count| (even / 2..even * 2).contains(count)), "{minutes:?}");
}

#[tokio::test]
#[ignore = "takes half an hour"]
async fn two_firings_over_a_million() {
    let ground = Ground::start().await;
    // Taking 200,000 messages from the embedded queue would take hours: they are counted.
    let (cost, ..) = two_firings(&ground, (1_000_000, 100_000, 60_000), Duration::from_secs(10)).await;
    println!("{cost}");
}

#[tokio::test]
#[ignore = "takes half an hour"]
async fn a_sweep_costs_the_same_of_a_million() {
    println!("{}", costs(&[1_000, 10_000, 100_000, 1_000_000]).await);
}

#[tokio::test]
async fn the_template_fires_as_often_as_sweeps_look_ahead_and_a_message_can_wait_for_the_next_slot() {
    let ground = Ground::start().await;
    let schedules = ground.template.functions.iter().flat_map(|it| &it.schedules);
    let incremental = schedules.into_iter().find(|it| it.name.ends_with("-incremental")).unwrap();
    assert_eq!(incremental.expression, format!("rate({} minutes)", SWEEP.as_mins()));
    assert!(INTERVAL.unsigned_abs() <= MAX_DELAY);
}

/// Stores ever more integrations, of which a hundred are due. What a sweep costs with each number of them.
async fn costs(sizes: &[usize]) -> String {
    const DUE: usize = 100;
    let ground = Ground::start().await;
    let (overdue, later) = integrations(*sizes.last().unwrap(), DUE, 10);
    store(&ground, overdue.iter()).await;
    let due = Due::syncs(&ground.aws, TABLE);
    let (mut stored, mut seen, mut report) = (DUE, Vec::new(), String::new());
    for size in sizes {
        store(&ground, later[stored - DUE..size - DUE].iter()).await;
        stored = *size;
        let scheduler = Scheduler::new(&ground, Duration::from_mins(1));
        let calls = || {
            let batches = scheduler.calls(Service::Sqs, "SendMessageBatch");
            (scheduler.calls(Service::Dynamodb, "Query"), batches)
        };
        let before = calls();
        assert_eq!(scheduler.fire().await.unwrap(), json!({ "sent": DUE }));
        let after = calls();
        let mut read_units = 0.0;
        for shard in 0..SHARDS {
            read_units += due.page(shard, clock::now() + SWEEP, None).await.unwrap().read_units;
        }
        seen.push((after.0 - before.0, after.1 - before.1, read_units));
        writeln!(report, "{size} stored, {DUE} due: queries, batches and read units {:?}", seen.last().unwrap())
            .unwrap();
    }
    assert!(seen.iter().all(|it| *it == seen[0]), "{report}");
    assert_eq!(seen[0].0, u64::from(SHARDS), "{report}");
    assert!(seen[0].1 <= u64::from(SHARDS) + 10, "{report}");
    assert!(seen[0].2 > 0.0 && seen[0].2 <= f64::from(2 * SHARDS), "{report}");
    report
}

#[tokio::test]
async fn what_is_left_when_the_time_ends_within_a_shard_follows_though_its_last_entry_has_moved() {
    let ground = Ground::start().await;
    let (overdue, _) = integrations(7_000, 400, 400);
    store(&ground, overdue.iter()).await;
    // Its first step takes all the time that there is.
    let scheduler = Scheduler::new(&ground, Duration::from_secs(5));
    assert_eq!(scheduler.fire().await.unwrap(), json!({ "sent": 80 }), "as many batches as there are calls at a time");
    let continuation = scheduler.take("schedules").await.remove(0);
    let after = &serde_json::from_str::<Value>(&continuation).unwrap()["after"];
    // The worker serves that slot meanwhile.
    let user_id = after["key"][0].as_str().unwrap();
    let moved = overdue.iter().find(|it| it.user_id == user_id).unwrap();
    let served = Stored { due_at: slot(moved.key.rhythm(), clock::now() + INTERVAL), ..moved.clone() };
    store(&ground, [&served].into_iter()).await;
    // The message comes twice.
    join_all((0..2).map(|_| scheduler.go_on(&continuation))).await;
    scheduler.go_on_to_the_end().await;
    let (slots, _) = scheduler.delivered().await;
    assert_eq!(slots.len(), 400);
    let of = |count: usize| slots.values().filter(|it| **it == count).count();
    assert_eq!((of(1), of(2)), (80, 320), "only what is left is sent, and by each of the two");
}

#[tokio::test]
async fn a_sweep_that_fails_is_repeated_and_forgets_nothing() {
    let ground = Ground::start().await;
    let (overdue, _) = integrations(7_000, 400, 400);
    store(&ground, overdue.iter()).await;
    let scheduler = Scheduler::new(&ground, Duration::from_mins(1));
    for operation in ["SendMessageBatch", "Query"] {
        let (function, operation) = (Some(FUNCTION.to_owned()), Some(operation.to_owned()));
        let fault = Fault { function, operation, at: 9, times: 3, ..Fault::new(Effect::Deny) };
        ground.gateway.faults.arm(vec![fault]);
        assert!(scheduler.fire().await.is_err(), "what failed is report");
    }
    ground.gateway.faults.arm(Vec::new());
    assert_eq!(scheduler.fire().await.unwrap(), json!({ "sent": 400 }));
    let (slots, _) = scheduler.delivered().await;
    assert_eq!(slots.len(), 400);
}
