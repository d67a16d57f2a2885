//! A thousand events, each delivered three times in shuffled order, while functions are killed at random: what was
//! accepted is applied exactly once, and every message is accounted for. `CHAOS_EVENTS=10000` in the environment takes more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{StreamExt as _, stream};
use local_base::web::Web;
use local_cli::bundle::Bundle;
use local_runtime::bootstraps::target_folder;
use tests::{Running, SHORT_CLAIMS, customer_event, deliver, depth, hurry, published, stack_by_chance, start};

const EVENTS: usize = 1_000;
/// Each has several events.
const CUSTOMERS: usize = 250;
const DELIVERIES: usize = 3;
const IN_FLIGHT: usize = 6;
/// AWS answers between two kills, at most.
const CALM: u64 = 250;
const LIMIT: std::time::Duration = std::time::Duration::from_mins(5);

#[expect(clippy::disallowed_methods, reason = "the caller of the test chooses")]
fn events() -> usize {
    std::env::var("CHAOS_EVENTS").map_or(EVENTS, |text| text.parse().expect("a multiple of 250"))
}

fn event_id(event: usize) -> String {
    format!("evt_{event:04}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_events_delivered_three_times_while_functions_die_have_one_effect_each() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let stack = Arc::new(stack_by_chance(SHORT_CLAIMS).await);
    // A message of a killed function comes back after 18 seconds of the queues, when its claim has ended.
    let hurried = hurry(&stack, 4);
    let web = Web::new();
    let events = events();
    let mut deliveries: Vec<usize> = (0..events).cycle().take(events * DELIVERIES).collect();
    random.shuffle(&mut deliveries);

    let kills = Arc::new(AtomicUsize::new(0));
    let killer = start(kill_at_random(Arc::clone(&stack), random.fork(), Arc::clone(&kills)));

    // A provider sends again until it is told 2xx.
    let refused = AtomicUsize::new(0);
    stream::iter(&deliveries)
        .for_each_concurrent(IN_FLIGHT, |event| {
            let (stack, web, refused) = (&stack, &web, &refused);
            async move {
                let body = customer_event(
                    &event_id(*event),
                    &format!("cus_{}", event % CUSTOMERS),
                    i64::try_from(*event).unwrap(),
                );
                while deliver(web, stack, &body).await != Some(200) {
                    let count = refused.fetch_add(1, Ordering::Relaxed);
                    assert!(count < events, "the webhook endpoint takes nothing any more");
                }
            }
        })
        .await;
    let drained = async || (depth(&stack, "webhooks") == 0).then_some(());
    stack.until(LIMIT, drained).await.expect("the queue drains");
    killer.abort();
    // It was either aborted or had ended.
    let _ = killer.await;

    // Whatever died too often is in the dead-letter queue: a redrive finishes it.
    let dead = depth(&stack, "webhooks-dead");
    redrive(&stack).await;
    let settled = async || {
        let empty = depth(&stack, "webhooks") == 0 && depth(&stack, "webhooks-dead") == 0;
        (empty && states(&stack).await.get("done") == Some(&events)).then_some(())
    };
    let outcome = stack.until(LIMIT, settled).await;
    hurried.abort();

    let effects = effects(&stack).await;
    let details = published(&stack);
    let distinct: BTreeSet<_> = details.iter().filter_map(|detail| detail["id"].as_str()).collect();
    let ledger = format!(
        "ledger: seed {seed}; {} deliveries accepted ({} answered otherwise and sent again); {} kills; {dead} dead-lettered and redriven; \
         {} events done of {events}; effects {:?}; on the bus {} for {} events; queue {}, dead-letter queue {}",
        deliveries.len(),
        refused.load(Ordering::Relaxed),
        kills.load(Ordering::Relaxed),
        states(&stack).await.get("done").copied().unwrap_or_default(),
        effects,
        details.len(),
        distinct.len(),
        depth(&stack, "webhooks"),
        depth(&stack, "webhooks-dead"),
    );
    println!("{ledger}");
    // Where the gate finds it: a passing test's output is not shown.
    std::fs::write(target_folder().unwrap().join("ledger.txt"), &ledger).unwrap();
    outcome.expect("every event is done and no message is left");
    assert_eq!(effects, BTreeMap::from([(1, events)]), "seed {seed}");
    assert_eq!(distinct.len(), events, "seed {seed}");
    assert!(kills.load(Ordering::Relaxed) > 10, "seed {seed}: nothing was tried");
    assert_newest_states(&stack, events).await;
    Arc::into_inner(stack).expect("the killer has stopped").shutdown().await;
}

/// Kills a random environment each time AWS has answered a random number of calls.
async fn kill_at_random(stack: Arc<Running>, mut random: fastrand::Rng, kills: Arc<AtomicUsize>) {
    let mut activity = stack.gateway.activity();
    let mut next = random.u64(..CALM);
    while activity.changed().await.is_ok() {
        if *activity.borrow_and_update() < next {
            continue;
        }
        let name = ["webhook-process", "webhook-process", "webhook-ingest"][random.usize(..3)];
        if stack.function(name).is_some_and(|function| function.kill_one()) {
            kills.fetch_add(1, Ordering::Relaxed);
        }
        next = *activity.borrow() + random.u64(..CALM);
    }
}

async fn redrive(stack: &Bundle) {
    let sqs = &stack.embedded.as_ref().expect("embedded").sqs;
    let (from, to) = (sqs.queue_arn("intertie-webhooks-dead"), sqs.queue_arn("intertie-webhooks"));
    let call = stack.clients.sqs.start_message_move_task().source_arn(from).destination_arn(to);
    call.send().await.expect("the redrive starts");
}

async fn items(
    stack: &Bundle,
    table: &str,
) -> Vec<std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>> {
    let pages = stack.clients.dynamodb.scan().table_name(stack.table(table)).consistent_read(true).into_paginator();
    pages.items().send().collect::<Result<Vec<_>, _>>().await.expect("a scan")
}

/// How many events are in each state.
async fn states(stack: &Bundle) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    for item in items(stack, "idempotency").await {
        *states.entry(item["state"].as_s().expect("a text").clone()).or_default() += 1;
    }
    states
}

/// How many events had how many effects.
async fn effects(stack: &Bundle) -> BTreeMap<u64, usize> {
    let mut effects = BTreeMap::new();
    for item in items(stack, "idempotency").await {
        let count = item["effects"].as_n().expect("a number").parse().expect("a number");
        *effects.entry(count).or_default() += 1;
    }
    effects
}

/// Each customer got events in any order; the record must be that of the newest.
async fn assert_newest_states(stack: &Bundle, events: usize) {
    let records = items(stack, "records").await;
    assert_eq!(records.len(), CUSTOMERS);
    for item in records {
        let customer: usize = item["id"].as_s().unwrap().strip_prefix("cus_").unwrap().parse().unwrap();
        let newest = i64::try_from(events - CUSTOMERS + customer).unwrap();
        // The second of its event in microseconds, between the first and the last states of that second.
        assert_eq!(item["version"].as_n().unwrap(), &(newest * 1_000_000 + 1).to_string());
    }
}
