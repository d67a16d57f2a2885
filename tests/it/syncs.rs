//! Syncs: one holder at a time writes, only under its lease, and no reported change is forgotten.

use std::time::Duration;

use domain::sync::{
    SyncJob,
    outcome::LogEntry,
    stream::{Lane, Run, StreamState},
};
use jiff::Timestamp;
use platform::stores::syncs::{Lease, LeaseError, Leasing, Syncs};
use serde_json::{Value, json};
use tests::{Ground, integration_id};

fn syncs(ground: &Ground) -> Syncs {
    Syncs::new(&ground.aws, "intertie-syncs", Duration::from_mins(1))
}

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

async fn won(syncs: &Syncs, holder: &str, at: Timestamp) -> Lease {
    match syncs.lease(&integration_id(1), (Lane::Main, holder), SyncJob::Incremental, at).await.unwrap() {
        Leasing::Won(lease) => lease,
        Leasing::Busy(kind, until) => panic!("{kind:?} runs until {until}"),
    }
}

async fn busy(syncs: &Syncs, holder: &str, at: Timestamp) -> Option<(SyncJob, Timestamp)> {
    match syncs.lease(&integration_id(1), (Lane::Main, holder), SyncJob::Full, at).await.unwrap() {
        Leasing::Won(_) => None,
        Leasing::Busy(kind, until) => Some((kind, until)),
    }
}

fn state(position: Value) -> StreamState {
    let run = Run::new(SyncJob::Full, true, later(0), position);
    StreamState { run: Some(run), ..StreamState::default() }
}

#[tokio::test]
async fn a_lease_goes_to_one_and_every_page_prolongs_it() {
    let ground = Ground::start().await;
    let syncs = syncs(&ground);
    let lease = won(&syncs, "one", later(0)).await;
    assert_eq!(busy(&syncs, "two", later(59)).await, Some((SyncJob::Incremental, later(60))));
    syncs.save(&lease, "events", &state(json!(1)), vec![], later(50)).await.unwrap();
    assert_eq!(busy(&syncs, "two", later(60)).await, Some((SyncJob::Incremental, later(110))));
    assert_eq!(syncs.release(&lease).await.unwrap(), None);
    assert_eq!(busy(&syncs, "two", later(61)).await, None);
}

#[tokio::test]
async fn whoever_lost_the_lease_writes_nothing_any_more() {
    let ground = Ground::start().await;
    let syncs = syncs(&ground);
    let lost = |outcome: Result<(), LeaseError>| matches!(outcome, Err(LeaseError::Lost));
    // Taken over after its end, by its own message that came again, or broken by a disconnect.
    let ended = won(&syncs, "one", later(0)).await;
    let again = won(&syncs, "two", later(60)).await;
    let current = won(&syncs, "two", later(61)).await;
    syncs.save(&current, "events", &state(json!("new")), vec![], later(62)).await.unwrap();
    for old in [&ended, &again] {
        assert!(lost(syncs.save(old, "events", &state(json!("old")), vec![], later(63)).await));
        assert!(lost(syncs.save_watch(old, "primary", (None, "{}"), later(63)).await.map(drop)));
        assert!(matches!(syncs.release(old).await, Err(LeaseError::Lost)));
        syncs.abandon(old).await.unwrap();
    }
    assert!(busy(&syncs, "three", later(63)).await.is_some(), "a late holder gave a new one's lease back");
    assert_eq!(
        syncs.break_leases(&integration_id(1), later(63)).await.unwrap(),
        Some(later(62 + 60)),
        "until when it was held"
    );
    assert!(lost(syncs.save(&current, "events", &state(json!("old")), vec![], later(64)).await), "after a disconnect");
    assert_eq!(
        syncs.break_leases(&integration_id(1), later(64)).await.unwrap(),
        Some(later(62 + 60)),
        "also to one that goes on with it"
    );
    assert_eq!(syncs.break_leases(&integration_id(2), later(64)).await.unwrap(), None, "it never was");
    let overview = syncs.overview(&integration_id(1)).await.unwrap();
    assert_eq!(overview.streams["events"].main, state(json!("new")));
    assert!(overview.watches.is_empty());
}

#[tokio::test]
async fn a_change_that_is_reported_while_a_sync_runs_is_not_given_back_with_the_lease() {
    let ground = Ground::start().await;
    let syncs = syncs(&ground);
    assert!(
        !syncs.run_again(&integration_id(1), Lane::Main, SyncJob::Incremental, later(0)).await.unwrap(),
        "nobody runs"
    );
    let lease = won(&syncs, "one", later(0)).await;
    assert!(syncs.run_again(&integration_id(1), Lane::Main, SyncJob::Incremental, later(1)).await.unwrap());
    assert!(syncs.run_again(&integration_id(1), Lane::Main, SyncJob::Full, later(2)).await.unwrap());
    assert!(syncs.run_again(&integration_id(1), Lane::Main, SyncJob::Incremental, later(3)).await.unwrap());
    assert_eq!(syncs.release(&lease).await.unwrap(), Some(SyncJob::Full), "a full run covers an incremental one");
    assert!(busy(&syncs, "two", later(4)).await.is_some(), "the lease stays while there is more to do");
    assert_eq!(syncs.release(&lease).await.unwrap(), None);
    assert!(
        !syncs.run_again(&integration_id(1), Lane::Main, SyncJob::Incremental, later(5)).await.unwrap(),
        "it has just ended"
    );
    // A mark of a run that died waits for the next one to end.
    let lease = won(&syncs, "two", later(6)).await;
    assert!(syncs.run_again(&integration_id(1), Lane::Main, SyncJob::Full, later(7)).await.unwrap());
    let next = won(&syncs, "three", later(100)).await;
    assert!(matches!(syncs.release(&lease).await, Err(LeaseError::Lost)));
    assert_eq!(syncs.release(&next).await.unwrap(), Some(SyncJob::Full));
    assert_eq!(syncs.release(&next).await.unwrap(), None);
}

#[tokio::test]
async fn of_two_watches_that_both_lanes_start_the_first_is_stored() {
    let ground = Ground::start().await;
    let syncs = syncs(&ground);
    let main = won(&syncs, "one", later(0)).await;
    let asked = syncs.lease(&integration_id(1), (Lane::Full, "two"), SyncJob::Full, later(0)).await;
    let Leasing::Won(full) = asked.unwrap() else { panic!("each lane has a lease of its own") };
    assert!(syncs.save_watch(&main, "primary", (None, "main's"), later(1)).await.unwrap());
    assert!(!syncs.save_watch(&full, "primary", (None, "full's"), later(1)).await.unwrap());
    let stored = async || syncs.overview(&integration_id(1)).await.unwrap().watches["primary"].clone();
    assert_eq!(stored().await, "main's");
    assert!(syncs.save_watch(&full, "primary", (Some("main's"), "the next"), later(2)).await.unwrap());
    assert_eq!(stored().await, "the next");
}

#[tokio::test]
async fn what_is_erased_leaves_the_fence_that_keeps_a_late_writer_out() {
    let ground = Ground::start().await;
    let syncs = syncs(&ground);
    let lease = won(&syncs, "one", later(0)).await;
    syncs.save(&lease, "events", &state(json!(1)), vec![], later(1)).await.unwrap();
    assert!(syncs.save_watch(&lease, "primary", (None, "{}"), later(1)).await.unwrap());
    let entry = LogEntry { finished_at: later(2), changes: 1, ..LogEntry::begin(SyncJob::Full, later(0), None) };
    syncs.log(&integration_id(1), &entry).await.unwrap();
    let overview = syncs.overview(&integration_id(1)).await.unwrap();
    assert_eq!((overview.streams.len(), overview.watches.len(), overview.last.map(|it| it.changes)), (1, 1, Some(1)));
    syncs.break_leases(&integration_id(1), later(2)).await.unwrap();
    syncs.erase(&integration_id(1)).await.unwrap();
    assert!(matches!(syncs.save(&lease, "events", &state(json!(2)), vec![], later(3)).await, Err(LeaseError::Lost)));
    let overview = syncs.overview(&integration_id(1)).await.unwrap();
    assert!(overview.streams.is_empty() && overview.watches.is_empty() && overview.last.is_none());
}
