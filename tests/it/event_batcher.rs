//! The events of a batch are published in one call, and a member that does not come delays no other.

use std::{future::poll_fn, pin::pin, sync::LazyLock, task::Poll, time::Duration};

use domain::{EventType, ProviderId};
use futures_util::future::join_all;
use jiff::Timestamp;
use platform::{
    Aws,
    aws::{
        Patience,
        bus::{Bus, Detail, Payload, PublishError},
        event_batcher::{EventBatcher, Member},
    },
};
use serde_json::value::RawValue;
use tests::{Ground, PATIENCE};
use tokio::sync::Semaphore;

static STRIPE: ProviderId = ProviderId::of_data("stripe");
static UPDATED: LazyLock<EventType> = LazyLock::new(|| "customer.updated".parse().unwrap());

/// For the whole run: few are made.
fn detail(id: &str) -> Detail<'static> {
    Detail {
        id: Box::leak(Box::new(id.parse().unwrap())),
        user_id: None,
        integration_id: None,
        provider: &STRIPE,
        r#type: &UPDATED,
        occurred_at: Timestamp::UNIX_EPOCH,
        livemode: None,
        data: Payload::Whole(RawValue::NULL),
    }
}

/// A batcher with a count of its calls to the bus.
fn batcher(ground: &Ground) -> EventBatcher {
    EventBatcher::new(Bus::new(&ground.aws, "intertie"))
}

fn heard(ground: &Ground) -> Vec<String> {
    ground.published().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn nobody_publishes_before_all_are_ready_or_have_left() {
    let ground = Ground::start().await;
    let batcher = batcher(&ground);
    let (one, other, third) = (batcher.join(), batcher.join(), batcher.join());
    let details = [detail("evt_1")];
    let mut first = pin!(one.publish(&details, None));
    let pending = |poll: Poll<_>| matches!(poll, Poll::Pending);
    assert!(poll_fn(|context| Poll::Ready(pending(first.as_mut().poll(context)))).await);
    drop(third);
    assert!(poll_fn(|context| Poll::Ready(pending(first.as_mut().poll(context)))).await, "the other is still to come");
    assert_eq!(heard(&ground), [""; 0]);
    let more = [detail("evt_2")];
    let (one, other) = futures_util::future::join(first, other.publish(&more, None)).await;
    one.unwrap();
    other.unwrap();
    assert_eq!(heard(&ground), ["evt_1", "evt_2"]);
}

#[tokio::test]
async fn ten_ready_ones_take_one_call_and_a_slow_one_that_left_follows() {
    let ground = Ground::start().await;
    let batcher = batcher(&ground);
    let ids: Vec<_> = (0..10).map(|number| format!("evt_{number}")).collect();
    let ready = Semaphore::new(0);
    let work = ids.iter().enumerate().map(|(number, id)| {
        let (mut member, ready) = (batcher.join(), &ready);
        async move {
            if number == 3 {
                member.leave();
                // Slower than all others.
                ready.acquire_many(9).await.unwrap().forget();
                member.rejoin();
            }
            member.publish(&[detail(id)], None).await.unwrap();
            ready.add_permits(1);
        }
    });
    let all = tokio::time::timeout(PATIENCE, join_all(work)).await;
    assert!(all.is_ok(), "the others wait for the one that left");
    let mut heard = heard(&ground);
    assert_eq!(heard.last().map(String::as_str), Some("evt_3"));
    heard.sort();
    assert_eq!(heard, ids);
}

#[tokio::test]
async fn an_event_that_the_bus_does_not_take_keeps_no_other_from_it() {
    let ground = Ground::start().await;
    let batcher = batcher(&ground);
    // Deeper than the bus reads.
    let deep = RawValue::from_string(format!("{}{}", "[".repeat(128), "]".repeat(128))).unwrap();
    let ids: Vec<_> = (0..10).map(|number| format!("evt_{number}")).collect();
    let members: Vec<_> = ids.iter().map(|_| batcher.join()).collect();
    let publish = async |(number, member): (usize, Member<'_>)| {
        let mut detail = detail(&ids[number]);
        if number == 4 {
            detail.data = Payload::Whole(&deep);
        }
        member.publish(&[detail], None).await
    };
    let outcomes = join_all(members.into_iter().enumerate().map(publish)).await;
    for (number, outcome) in outcomes.iter().enumerate() {
        let refused = matches!(outcome, Err(PublishError::Refused(code)) if code == "MalformedDetail");
        assert!(if number == 4 { refused } else { outcome.is_ok() }, "{number}: {outcome:?}");
    }
    assert_eq!(heard(&ground).len(), 9);
}

#[tokio::test]
async fn an_event_of_many_integrations_goes_alone_and_nobody_waits_for_it() {
    let ground = Ground::start().await;
    let batcher = batcher(&ground);
    let (many, one, late) = (batcher.join(), batcher.join(), batcher.join());
    let details: Vec<_> = (0..25).map(|_| detail("evt_many")).collect();
    many.publish(&details, None).await.unwrap();
    assert_eq!(heard(&ground).len(), 25);
    drop(late);
    one.publish(&[detail("evt_one")], None).await.unwrap();
    assert_eq!(heard(&ground).len(), 26);
}

#[tokio::test]
async fn a_bus_that_fails_fails_all_who_waited_and_who_gave_up_holds_nobody() {
    let nowhere = Aws::at("http://127.0.0.1:9", local_aws::REGION, "a-key", Patience::REQUEST);
    let batcher = EventBatcher::new(Bus::new(&nowhere, "intertie"));
    let members: Vec<_> = (0..3).map(|_| batcher.join()).collect();
    let outcomes =
        join_all(members.into_iter().map(async |member| member.publish(&[detail("evt_1")], None).await)).await;
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");

    // The first one gives up while it waits: what it had is not sent, and the next one sends.
    let ground = Ground::start().await;
    let batcher = self::batcher(&ground);
    let (one, other) = (batcher.join(), batcher.join());
    let gone = tokio::time::timeout(Duration::from_millis(20), one.publish(&[detail("evt_gone")], None)).await;
    assert!(gone.is_err());
    other.publish(&[detail("evt_here")], None).await.unwrap();
    assert_eq!(heard(&ground), ["evt_here"]);
}
