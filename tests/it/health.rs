//! Health: counted by provider and hour, written once, added up over a day.

use std::time::Duration;

use domain::ProviderId;
use jiff::{SignedDuration, Timestamp};
use platform::stores::health::{CallHealth, Observed};
use tests::Ground;

static SLACK: ProviderId = ProviderId::of_data("slack");
static STRIPE: ProviderId = ProviderId::of_data("stripe");

fn hours(count: i64) -> Timestamp {
    // A whole hour, and a minute.
    Timestamp::from_second(1_700_000_000 / 3600 * 3600 + 60).unwrap() + SignedDuration::from_hours(count)
}

fn call(service: &'static ProviderId, healthy: bool, at: Timestamp) -> Observed {
    Observed { service, healthy, limited: false, took: Duration::from_millis(5), paced: Duration::ZERO, at }
}

#[tokio::test]
async fn calls_of_a_day_add_up_over_instances_and_older_ones_do_not_count() {
    let ground = Ground::start().await;
    let instances = [CallHealth::new(&ground.aws, "intertie-health"), CallHealth::new(&ground.aws, "intertie-health")];
    let idle = instances[0].of(&SLACK, hours(0)).await.unwrap();
    assert_eq!((idle.calls, idle.error_rate(), idle.last_success), (0, None, None));
    for (hour, worked) in [(0, false), (1, true), (1, false), (20, true), (24, true)] {
        for instance in &instances {
            instance.count(call(&SLACK, worked, hours(hour)));
            instance.count(call(&STRIPE, true, hours(hour)));
            instance.flush("intertie", hours(hour)).await;
        }
    }
    let day = instances[0].of(&SLACK, hours(25)).await.unwrap();
    assert_eq!((day.calls, day.failures), (8, 2), "the first hour is more than a day ago");
    assert_eq!((day.last_success, day.last_failure), (Some(hours(24)), Some(hours(1))));
    assert_eq!(instances[1].of(&STRIPE, hours(25)).await.unwrap().failures, 0);
    instances[0].flush("intertie", hours(25)).await;
    assert_eq!(instances[0].of(&SLACK, hours(25)).await.unwrap().calls, 8, "what was written is not written again");
}
