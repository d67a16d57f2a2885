//! Idempotency records: of any number of claimants one works, and a late one writes nothing.

use std::time::Duration;

use domain::{Change, ClaimState, IntegrationId, RecordKey, Verdict, Version};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use platform::stores::{
    claims::{Applied, Claim, ClaimError, Claiming, Claims},
    records::{Records, Selection, Write},
};
use serde_json::{Value, json};
use tests::{Ground, integration_id};

const LEASE: Duration = Duration::from_secs(30);

fn claims(ground: &Ground) -> Claims {
    Claims::new(&ground.aws, "intertie-idempotency", LEASE)
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

async fn won(claims: &Claims, owner: &str, at: Timestamp) -> Claim {
    match claims.claim("stripe#a#evt_1", "hash", owner, at).await.unwrap() {
        Claiming::Won(claim) => claim,
        Claiming::Lost(record) => panic!("lost to {record:?}"),
    }
}

async fn commit(claims: &Claims, claim: &Claim, writes: Vec<Write>) {
    assert!(matches!(claims.apply(claim, writes).await.unwrap(), Applied::Committed));
}

fn change(version: i64) -> Change {
    change_of(version, json!({ "version": version }))
}

fn change_of(version: i64, data: Value) -> Change {
    Change::new(RecordKey::new("customers", "cus_1").unwrap(), Version::stored(version), now(), data)
}

#[tokio::test]
async fn of_many_claimants_at_once_exactly_one_wins() {
    let ground = Ground::start().await;
    let claims = claims(&ground);
    let owners: Vec<_> = (0..20).map(|owner| format!("owner-{owner}")).collect();
    let all = join_all(owners.iter().map(|owner| claims.claim("stripe#a#evt_1", "hash", owner, now()))).await;
    let (mut wins, mut busy) = (0, 0);
    for claiming in all {
        match claiming.unwrap() {
            Claiming::Won(_) => wins += 1,
            Claiming::Lost(record) => {
                assert_eq!(record.verdict(now()), Verdict::Busy(now() + LEASE));
                busy += 1;
            }
        }
    }
    assert_eq!((wins, busy), (1, 19));
}

#[tokio::test]
async fn a_late_finisher_is_refused_whatever_it_tries() {
    let ground = Ground::start().await;
    let claims = claims(&ground);
    let records = Records::new(&ground.aws, "intertie-records");
    let slow = won(&claims, "slow", now()).await;
    let fast = won(&claims, "fast", later(30)).await;
    let write = records.upsert_from_sync(&integration_id(1), &change(1)).unwrap();
    assert!(matches!(claims.apply(&slow, vec![write.clone()]).await, Err(ClaimError::Superseded)));
    assert!(matches!(claims.complete(&slow).await, Err(ClaimError::Superseded)));
    assert!(matches!(claims.release(&slow, ClaimState::Retry, "x").await, Err(ClaimError::Superseded)));
    commit(&claims, &fast, vec![write]).await;
    claims.complete(&fast).await.unwrap();
    let record = claims.get("stripe#a#evt_1").await.unwrap().unwrap();
    assert_eq!((record.state, record.effects, record.attempts), (ClaimState::Done, 1, 2));
}

#[tokio::test]
async fn a_claim_after_a_crash_between_effect_and_completion_does_not_apply_again() {
    let ground = Ground::start().await;
    let claims = claims(&ground);
    let first = won(&claims, "first", now()).await;
    assert!(!first.applied);
    commit(&claims, &first, vec![]).await;
    let second = won(&claims, "second", later(31)).await;
    assert!(second.applied);
    assert!(matches!(claims.apply(&second, vec![]).await, Err(ClaimError::Superseded)));
    claims.complete(&second).await.unwrap();
    assert_eq!(claims.get("stripe#a#evt_1").await.unwrap().unwrap().effects, 1);
}

#[tokio::test]
async fn a_failed_or_dead_event_can_be_claimed_again_and_a_finished_one_cannot() {
    let ground = Ground::start().await;
    let claims = claims(&ground);
    for (state, owner) in [(ClaimState::Retry, "1"), (ClaimState::Dead, "2")] {
        let claim = won(&claims, owner, now()).await;
        claims.release(&claim, state, "it failed").await.unwrap();
        assert_eq!(claims.get("stripe#a#evt_1").await.unwrap().unwrap().last_error.as_deref(), Some("it failed"));
    }
    let claim = won(&claims, "3", now()).await;
    commit(&claims, &claim, vec![]).await;
    claims.complete(&claim).await.unwrap();
    let Claiming::Lost(record) = claims.claim("stripe#a#evt_1", "hash", "4", later(1000)).await.unwrap() else {
        panic!("a finished event was claimed");
    };
    assert_eq!((record.verdict(later(1000)), record.attempts), (Verdict::Finished, 3));
}

#[tokio::test]
async fn a_stale_write_is_left_out_and_the_rest_is_committed_with_the_claim() {
    let ground = Ground::start().await;
    let claims = claims(&ground);
    let records = Records::new(&ground.aws, "intertie-records");
    let claim = won(&claims, "1", now()).await;
    commit(&claims, &claim, vec![records.upsert_from_sync(&integration_id(1), &change(5)).unwrap()]).await;
    claims.complete(&claim).await.unwrap();

    let Claiming::Won(claim) = claims.claim("stripe#a#evt_2", "hash", "2", now()).await.unwrap() else {
        panic!("not claimed");
    };
    let writes = vec![
        records.upsert_from_sync(&integration_id(1), &change(4)).unwrap(),
        records.upsert_from_sync(&integration_id(2), &change(4)).unwrap(),
    ];
    commit(&claims, &claim, writes).await;
    let version = async |integration: &IntegrationId| {
        let selection = Selection { stream: None, after: None, limit: 10, deleted: true };
        records.list(integration, selection).await.unwrap().records[0].version
    };
    assert_eq!(
        (version(&integration_id(1)).await, version(&integration_id(2)).await),
        (Version::stored(5), Version::stored(4))
    );
    assert_eq!(claims.get("stripe#a#evt_2").await.unwrap().unwrap().effects, 1);
}

#[tokio::test]
async fn of_two_states_of_one_version_the_stored_one_stays_and_the_other_is_told_apart_before_anything_is_committed() {
    let ground = Ground::start().await;
    let claims = claims(&ground);
    let records = Records::new(&ground.aws, "intertie-records");
    let named = |name: &str| change_of(1, json!({ "name": name }));
    let write = |integration: &IntegrationId, name| records.upsert_from_event(integration, &named(name)).unwrap();
    let stored = async |integration: &IntegrationId| {
        let selection = Selection { stream: None, after: None, limit: 10, deleted: true };
        let records = records.list(integration, selection).await.unwrap().records;
        records.into_iter().next().map(|record| record.data["name"].clone())
    };
    let claim = won(&claims, "1", now()).await;
    commit(&claims, &claim, vec![write(&integration_id(1), "one")]).await;

    let claimed = async |event: &str| match claims.claim(event, "hash", "2", now()).await.unwrap() {
        Claiming::Won(claim) => claim,
        Claiming::Lost(record) => panic!("lost to {record:?}"),
    };
    let claim = claimed("stripe#a#evt_2").await;
    let tied = claims
        .apply(&claim, vec![write(&integration_id(1), "other"), write(&integration_id(2), "other")])
        .await
        .unwrap();
    let Applied::VersionConflict(rest) = tied else { panic!("not tied") };
    assert_eq!((stored(&integration_id(1)).await, stored(&integration_id(2)).await), (Some(json!("one")), None));
    assert_eq!(claims.get("stripe#a#evt_2").await.unwrap().unwrap().effects, 0);
    commit(&claims, &claim, rest).await;
    assert_eq!(
        (stored(&integration_id(1)).await, stored(&integration_id(2)).await),
        (Some(json!("one")), Some(json!("other")))
    );
    assert_eq!(claims.get("stripe#a#evt_2").await.unwrap().unwrap().effects, 1);

    // The same state once more is no tie, and an end needs no asking.
    commit(&claims, &claimed("stripe#a#evt_3").await, vec![write(&integration_id(1), "one")]).await;
    let end = Change::tombstone(named("end").key().clone(), named("end").version(), now(), json!({ "name": "end" }));
    let end = records.upsert_from_event(&integration_id(1), &end).unwrap();
    commit(&claims, &claimed("stripe#a#evt_4").await, vec![end]).await;
    assert_eq!(stored(&integration_id(1)).await, Some(json!("end")));
    // A sync read them in their order.
    records.put_page(&integration_id(2), &[&named("newest")]).await.unwrap();
    assert_eq!(stored(&integration_id(2)).await, Some(json!("newest")));
}

#[tokio::test]
async fn more_writes_than_a_transaction_holds_are_all_made_and_count_as_one_effect() {
    let ground = Ground::start().await;
    let claims = claims(&ground);
    let records = Records::new(&ground.aws, "intertie-records");
    let claim = won(&claims, "1", now()).await;
    let writes = (0..250).map(|user| records.upsert_from_sync(&integration_id(user), &change(1)).unwrap()).collect();
    commit(&claims, &claim, writes).await;
    let scanned = ground.clients.dynamodb.scan().table_name("intertie-records").send().await.unwrap();
    assert_eq!(scanned.count(), 250);
    assert_eq!(claims.get("stripe#a#evt_1").await.unwrap().unwrap().effects, 1);
}

#[tokio::test]
async fn the_stores_condition_agrees_with_the_verdict_in_every_state() {
    let ground = Ground::start().await;
    let claims = claims(&ground);
    for (index, state) in ClaimState::ALL.map(ClaimState::name).into_iter().enumerate() {
        for lease in [-1, 0, 1] {
            let key = format!("stripe#a#evt_{index}_{lease}");
            let n = |number: i64| aws_sdk_dynamodb::types::AttributeValue::N(number.to_string());
            let s = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
            let put = ground.clients.dynamodb.put_item().table_name("intertie-idempotency").item("key", s(&key));
            let put = put.item("state", s(state)).item("owner", s("other")).item("body_hash", s("hash"));
            let put = put.item("fence", n(7)).item("attempts", n(7)).item("effects", n(0));
            put.item("lease_until", n(later(lease).as_millisecond())).send().await.unwrap();
            let verdict = claims.get(&key).await.unwrap().unwrap().verdict(now());
            match claims.claim(&key, "hash", "me", now()).await.unwrap() {
                Claiming::Won(_) => assert_eq!(verdict, Verdict::Claim, "{state} {lease}"),
                Claiming::Lost(_) => assert_ne!(verdict, Verdict::Claim, "{state} {lease}"),
            }
        }
    }
}
