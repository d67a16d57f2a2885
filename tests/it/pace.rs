//! Cells of buckets: reserved once, kept by all processes together, closed when the provider says so.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use domain::{
    ProviderId,
    call::{
        Micros,
        limit::{Bucket, BucketKey},
        rate::{Rate, Reservation},
    },
};
use futures_util::future::join_all;
use platform::{
    Aws,
    aws::Patience,
    client::pace::{Exhausted, Pace, Waiting},
};
use tests::Ground;

const TABLE: &str = "intertie-rate-limits";
const PATIENCE: Duration = Duration::from_secs(5);

fn bucket(account: &str, rate: Rate) -> Bucket {
    let closes = Duration::from_mins(15);
    Bucket {
        key: BucketKey::new(&ProviderId::of_data("slack"), "tier2", [account]),
        rate,
        cost: 1,
        reasons: &[],
        closes,
    }
}

/// A bucket's TAT, read past the code that moves it.
async fn next_slot(ground: &Ground, bucket: &Bucket) -> Option<Micros> {
    let key = aws_sdk_dynamodb::types::AttributeValue::S(bucket.key.as_str().to_owned());
    let call = ground.clients.dynamodb.get_item().table_name(TABLE).key("bucket", key).consistent_read(true);
    call.send().await.unwrap().item.map(|item| item["next_slot"].as_n().unwrap().parse().unwrap())
}

#[tokio::test]
async fn of_many_processes_at_once_each_gets_cells_of_its_own() {
    let ground = Ground::start().await;
    let bucket = bucket("of-many", Rate::per_second(100, 10));
    let processes: Vec<_> = (0..10).map(|_| Pace::new(&ground.aws, TABLE)).collect();
    let start = Instant::now();
    let calls = processes.iter().flat_map(|pace| std::iter::repeat_n(pace, 10));
    let turns = join_all(calls.map(async |pace| {
        pace.turn(std::slice::from_ref(&bucket), PATIENCE, Waiting::Here).await.unwrap();
        start.elapsed()
    }));
    let mut turns = turns.await;
    turns.sort_unstable();
    // 100 calls at 100 a second, a few of them at once.
    assert!(turns[99] >= Duration::from_millis(900), "{turns:?}");
    let in_first_half_second = turns.iter().filter(|at| at.as_millis() < 500).count();
    assert!(in_first_half_second <= 60, "{in_first_half_second}");
}

#[tokio::test]
async fn the_table_decides_by_the_rule_of_the_arithmetic() {
    let ground = Ground::start().await;
    let rate = Rate::per_second(10, 10);
    let patience = Duration::from_secs(2);
    for ahead in [-60_000_000, -500_000, -300_000, 0, 700_000, 1_900_000, 12_000_000, 60_000_000] {
        let (bucket, ahead) = (bucket(&format!("rule-{ahead}"), rate), Micros::new(ahead));
        let now = Micros::at(platform::base::clock::now());
        let put = ground.clients.dynamodb.put_item().table_name(TABLE);
        let put = put.item("bucket", aws_sdk_dynamodb::types::AttributeValue::S(bucket.key.as_str().to_owned()));
        let put = put.item("next_slot", aws_sdk_dynamodb::types::AttributeValue::N((now + ahead).get().to_string()));
        put.send().await.unwrap();
        let turn = Pace::new(&ground.aws, TABLE).turn(std::slice::from_ref(&bucket), patience, Waiting::Here).await;
        // The clock went on between the two.
        let took = Micros::at(platform::base::clock::now()) - now;
        let ask = Reservation {
            units: 1,
            advance: Micros::default(),
            floor: now - Micros::new(412_000),
            latest: now + Micros::of(patience),
        };
        let moved = next_slot(&ground, &bucket).await.unwrap();
        match ask.of(Some(now + ahead)) {
            Ok(first) => {
                turn.unwrap();
                let expected = first + rate.interval();
                assert!((expected..=expected + took).contains(&moved), "{ahead:?}: {:?} off", moved - expected);
            }
            Err(full) => {
                let Exhausted(wait) = turn.unwrap_err();
                assert_eq!(moved, now + ahead, "{ahead:?}: nothing was leased");
                let off = full - now - Micros::of(wait);
                assert!((Micros::default()..=took).contains(&off), "{ahead:?}: {off:?} off");
            }
        }
    }
}

#[tokio::test]
async fn a_lease_costs_one_write_and_another_one_where_its_bucket_was_taken_for_idle() {
    let ground = Ground::start().await;
    let aws = ground.aws_of("paced");
    let writes = || ground.gateway.counts().values().sum::<u64>();
    let cost = async |pace: &Pace, bucket: &Bucket| {
        let before = writes();
        pace.turn(std::slice::from_ref(bucket), PATIENCE, Waiting::Here).await.unwrap();
        writes() - before
    };
    let [one, other] = [(); 2].map(|()| Pace::new(&aws, TABLE));
    let idle = bucket("idle", Rate::per_second(1_000_000, 1));
    for pace in [&one, &other] {
        assert_eq!(cost(pace, &idle).await, 1, "idle");
    }
    let busy = bucket("busy", Rate::per_second(2, 2));
    assert_eq!(cost(&one, &busy).await, 1);
    assert_eq!(cost(&other, &busy).await, 2, "taken for idle once");
    assert_eq!(cost(&other, &busy).await, 1);
}

#[tokio::test]
async fn what_a_provider_said_to_one_process_holds_for_all_and_for_no_other_bucket() {
    let ground = Ground::start().await;
    let [one, other] = [(); 2].map(|()| Pace::new(&ground.aws, TABLE));
    let rate = Rate::per_second(50, 50);
    let (limited, free) = (bucket("T1", rate), bucket("T2", rate));
    for pace in [&one, &other] {
        pace.turn(std::slice::from_ref(&limited), PATIENCE, Waiting::Here).await.unwrap();
    }
    one.exhaust(&limited, Duration::from_secs(30)).await;
    for pace in [&one, &other] {
        let mut refused = BTreeSet::new();
        // Slots that were leased before may still be used.
        for _ in 0..5 {
            refused.extend(
                pace.turn(std::slice::from_ref(&limited), PATIENCE, Waiting::Here)
                    .await
                    .err()
                    .map(|Exhausted(wait)| wait.as_secs()),
            );
        }
        assert!(!refused.is_empty() && refused.iter().all(|wait| (10..=30).contains(wait)), "{refused:?}");
        let turn = pace.turn(std::slice::from_ref(&free), PATIENCE, Waiting::Here).await;
        assert!(turn.is_ok(), "another tenant has to wait: {turn:?}");
    }
    // A shorter wait does not open it.
    one.exhaust(&limited, Duration::from_secs(1)).await;
    assert!(Pace::new(&ground.aws, TABLE).turn(&[limited], PATIENCE, Waiting::Here).await.is_err());
}

#[tokio::test]
async fn a_table_that_can_not_be_asked_stops_no_call() {
    let nowhere = Aws::at("http://127.0.0.1:9", local_aws::REGION, "a-key", Patience::REQUEST);
    let pace = Pace::new(&nowhere, TABLE);
    let bucket = bucket("nowhere", Rate::per_second(1, 1));
    pace.turn(std::slice::from_ref(&bucket), PATIENCE, Waiting::Here).await.unwrap();
    pace.exhaust(&bucket, Duration::from_secs(1)).await;
}

#[tokio::test]
async fn a_call_that_takes_from_two_limits_keeps_both() {
    let ground = Ground::start().await;
    let pace = Pace::new(&ground.aws, TABLE);
    let both = [bucket("narrow", Rate::per_second(10, 2)), bucket("wide", Rate::per_second(100, 100))];
    let start = Instant::now();
    for _ in 0..6 {
        pace.turn(&both, PATIENCE, Waiting::Here).await.unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(480), "the narrow one: {:?}", start.elapsed());
    pace.exhaust(&both[1], Duration::from_secs(30)).await;
    let seen = next_slot(&ground, &both[0]).await;
    assert!(Pace::new(&ground.aws, TABLE).turn(&both, PATIENCE, Waiting::Here).await.is_err(), "the wide one");
    assert_eq!(next_slot(&ground, &both[0]).await, seen, "no cell was spent for a call that is not made");
}

#[tokio::test]
async fn messages_that_wait_for_a_limit_get_places_a_cell_apart_and_find_cells_at_them() {
    let ground = Ground::start().await;
    let bucket = bucket("line", Rate::per_second(1, 1));
    let turn = async |has_place: &AtomicBool| {
        // Each attempt is in a process of its own.
        let pace = Pace::new(&ground.aws, TABLE);
        pace.turn(std::slice::from_ref(&bucket), Duration::from_secs(1), Waiting::InLine(has_place)).await
    };
    let first = AtomicBool::new(false);
    turn(&first).await.unwrap();
    Pace::new(&ground.aws, TABLE).exhaust(&bucket, Duration::from_secs(2)).await;
    let mut places = Vec::new();
    for _ in 0..5 {
        let Exhausted(wait) = turn(&AtomicBool::new(false)).await.unwrap_err();
        places.push(Instant::now() + wait);
    }
    for two in places.windows(2) {
        let apart = two[1].duration_since(two[0]);
        assert!((900..1_200).contains(&apart.as_millis()), "{apart:?}");
    }
    // The limit is open again, but a message that comes anew does not pass the line.
    tokio::time::sleep_until(places[0].into()).await;
    let Exhausted(wait) = turn(&AtomicBool::new(false)).await.unwrap_err();
    assert!(Instant::now() + wait > places[4], "{wait:?}");
    for place in &places[..2] {
        tokio::time::sleep_until((*place).into()).await;
        let has_place = AtomicBool::new(true);
        let another = bucket_of_another_call();
        let pace = Pace::new(&ground.aws, TABLE);
        pace.turn(&[another], Duration::from_secs(1), Waiting::InLine(&has_place)).await.unwrap();
        assert!(has_place.load(Ordering::Relaxed), "a call that need not wait spends no place");
        turn(&has_place).await.expect("a cell at its place");
        assert!(!has_place.into_inner(), "it counts for one call");
    }
}

#[tokio::test]
async fn a_caller_that_waits_itself_does_not_wait_behind_the_line() {
    let ground = Ground::start().await;
    let bucket = bucket("passed", Rate::per_second(2, 2));
    let pace = Pace::new(&ground.aws, TABLE);
    pace.exhaust(&bucket, Duration::from_millis(1_500)).await;
    for _ in 0..40 {
        let (another, no_place) = (Pace::new(&ground.aws, TABLE), AtomicBool::new(false));
        let turn = another.turn(std::slice::from_ref(&bucket), Duration::ZERO, Waiting::InLine(&no_place));
        assert!(turn.await.is_err());
    }
    let waited = pace.turn(std::slice::from_ref(&bucket), PATIENCE, Waiting::Here).await.unwrap();
    assert!(waited < Duration::from_secs(3), "forty wait for twenty seconds: {waited:?}");
}

#[tokio::test]
async fn a_line_is_no_longer_than_a_message_can_wait() {
    let ground = Ground::start().await;
    let bucket = bucket("long", Rate::per_minute(1, 1));
    Pace::new(&ground.aws, TABLE).exhaust(&bucket, Duration::from_mins(1)).await;
    let mut waits = Vec::new();
    for _ in 0..18 {
        let (pace, no_place) = (Pace::new(&ground.aws, TABLE), AtomicBool::new(false));
        let turn = pace.turn(std::slice::from_ref(&bucket), PATIENCE, Waiting::InLine(&no_place));
        waits.push(turn.await.unwrap_err().0.as_secs());
    }
    // Of 61.8 s each, from 60 s on.
    assert_eq!(waits.iter().filter(|wait| **wait < 900).count(), 14, "{waits:?}");
    // In a process that was told so, a message at its place still asks: the bucket itself is open soon.
    let pace = Pace::new(&ground.aws, TABLE);
    let no_place = AtomicBool::new(false);
    let told = pace.turn(std::slice::from_ref(&bucket), PATIENCE, Waiting::InLine(&no_place)).await.unwrap_err();
    let at_its_place = AtomicBool::new(true);
    let turn = pace.turn(std::slice::from_ref(&bucket), PATIENCE, Waiting::InLine(&at_its_place)).await.unwrap_err();
    assert!(told.0.as_secs() >= 890 && turn.0.as_secs() <= 60, "{told:?} {turn:?}");
    let beyond = &waits[14..];
    assert!(beyond.iter().all(|wait| *wait >= 890), "those that get no place are told when one is free: {waits:?}");
}

fn bucket_of_another_call() -> Bucket {
    bucket("another", Rate::per_second(1_000, 1_000))
}
