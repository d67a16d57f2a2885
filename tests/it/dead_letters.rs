//! Looking through dead letters takes none out, and the end of a message that SQS moved is recorded only where no other outcome
//! stands.

use std::{
    collections::BTreeSet,
    sync::{LazyLock, Mutex},
    time::Duration,
};

use domain::{ClaimState, DeliveryId, Diagnosis, EventType, ProviderId, Reason};
use jiff::{SignedDuration, Timestamp};
use platform::{
    aws::queue::{DeadLetter, Queue},
    base::clock,
    stores::claims::{About, Claiming, Claims, Entry, GivenUp, Trace},
};
use tests::Ground;

const LEASE: Duration = Duration::from_secs(30);

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

static STRIPE: ProviderId = ProviderId::of_data("stripe");
static DELIVERY: LazyLock<(EventType, DeliveryId)> =
    LazyLock::new(|| ("x.y".parse().unwrap(), "19a-1".parse().unwrap()));

fn entry(key: &str) -> Entry<'_> {
    let (event_type, delivery_id) = &*DELIVERY;
    let about = About { provider: &STRIPE, r#type: Some(event_type), delivery_id, received_at: now() };
    Entry { key, body_hash: "hash", about }
}

fn exhausted() -> Diagnosis {
    Diagnosis::new(Reason::ReceivesExhausted, "no attempt ended")
}

/// The bodies that one review looks at.
async fn review(queue: &Queue, most: usize) -> (BTreeSet<String>, bool) {
    let seen = Mutex::new(Vec::new());
    let look = async |letters: Vec<DeadLetter>| {
        seen.lock().unwrap().extend(letters.into_iter().map(|letter| letter.body));
        Ok(())
    };
    let reviewed = queue.review(most, clock::now() + LEASE, look).await.unwrap();
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.len(), reviewed.messages);
    let distinct: BTreeSet<_> = seen.into_iter().collect();
    assert_eq!(distinct.len(), reviewed.messages, "a message was looked at twice");
    (distinct, reviewed.all)
}

#[tokio::test]
async fn reviews_take_nothing_and_each_looks_at_others_where_there_are_many() {
    let ground = Ground::start().await;
    let queue = Queue::new(&ground.aws, ground.queue_url("webhooks-dead"));
    for number in 0..25 {
        queue.send(format!("message {number}"), None).await.unwrap();
    }
    let visible = || {
        let depths = ground.sqs.depths();
        let depth = depths.iter().find(|depth| depth.name == "intertie-webhooks-dead").unwrap();
        (depth.visible, depth.in_flight)
    };
    let (first, all) = review(&queue, 10).await;
    assert_eq!((first.len(), all, visible()), (10, false, (15, 10)));
    let (second, all) = review(&queue, 12).await;
    assert_eq!((second.len(), all), (12, false));
    assert!(first.is_disjoint(&second));
    // The rest is all there is now, and is shown again at once.
    let (third, all) = review(&queue, 10).await;
    assert_eq!((third.len(), all, visible()), (3, true, (3, 22)));
    ground.sqs.advance(Duration::from_mins(6));
    assert_eq!(visible(), (25, 0), "a redrive finds all of them");
    let (again, all) = review(&queue, 100).await;
    assert_eq!((again.len(), all, visible()), (25, true, (25, 0)));
}

#[tokio::test]
async fn the_end_of_what_sqs_moved_is_recorded_only_where_no_other_outcome_stands() {
    let ground = Ground::start().await;
    let claims = Claims::new(&ground.aws, "intertie-idempotency", LEASE);
    let moved = async |key: &str, at| claims.moved_away(entry(key), &exhausted(), at).await.unwrap();
    let won = async |key: &str| match claims.claim_event(key, "hash", "attempt", entry(key).about, now()).await.unwrap()
    {
        Claiming::Won(claim) => claim,
        Claiming::Lost(record) => panic!("{key} is lost to {record:?}"),
    };
    let state = async |key: &str| claims.get(key).await.unwrap().unwrap().state;

    assert_eq!(moved("stripe#a#unseen", now()).await, GivenUp::Recorded);
    assert_eq!(moved("stripe#a#unseen", now()).await, GivenUp::NotKept, "recorded once, and its message is not kept");
    assert!(claims.keep("stripe#a#unseen", later(60)).await.unwrap());
    assert_eq!(moved("stripe#a#unseen", now()).await, GivenUp::Stands, "now it is");
    assert!(!claims.keep("stripe#a#absent", later(60)).await.unwrap(), "only of what was given up");

    won("stripe#a#claimed").await;
    assert_eq!(moved("stripe#a#claimed", later(29)).await, GivenUp::Stands, "an attempt holds it");
    assert_eq!(moved("stripe#a#claimed", later(30)).await, GivenUp::Recorded);

    let claim = won("stripe#a#retry").await;
    claims
        .failed(&claim, ClaimState::Retry, &Diagnosis::new(Reason::HandlerFailed, "for now"), None, now())
        .await
        .unwrap();
    assert_eq!(moved("stripe#a#retry", later(30)).await, GivenUp::Recorded);
    let record = claims.get("stripe#a#retry").await.unwrap().unwrap();
    assert_eq!(
        (record.state, record.attempts, record.last_error.as_deref()),
        (ClaimState::Dead, 1, Some("no attempt ended"))
    );

    claims.complete(&won("stripe#a#done").await).await.unwrap();
    claims.processed(&won("stripe#a#unmatched").await, ClaimState::Unmatched, &Trace::default(), None).await.unwrap();
    let claim = won("stripe#a#dead").await;
    claims
        .failed(&claim, ClaimState::Dead, &Diagnosis::new(Reason::TooLarge, "too large"), Some(later(60)), now())
        .await
        .unwrap();
    for (key, stands) in [("done", ClaimState::Done), ("unmatched", ClaimState::Unmatched), ("dead", ClaimState::Dead)]
    {
        let key = format!("stripe#a#{key}");
        assert_eq!(moved(&key, later(3_000)).await, GivenUp::Stands, "{key}");
        assert_eq!(state(&key).await, stands);
    }
    let other = Entry { body_hash: "another", ..entry("stripe#a#done") };
    assert_eq!(claims.moved_away(other, &exhausted(), later(3_000)).await.unwrap(), GivenUp::Forked);

    // A late finisher is refused, and a redrive is a claim like any other.
    let claim = won("stripe#a#late").await;
    assert_eq!(moved("stripe#a#late", later(30)).await, GivenUp::Recorded);
    assert!(claims.complete(&claim).await.is_err());
    let again = claims.claim_event("stripe#a#late", "hash", "redriven", entry("").about, later(31)).await.unwrap();
    let Claiming::Won(claim) = again else { panic!("a redrive is blocked") };
    claims.complete(&claim).await.unwrap();
    assert_eq!(claims.get("stripe#a#late").await.unwrap().unwrap().last_error, None);
}
