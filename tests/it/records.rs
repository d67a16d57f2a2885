//! Records: no stale write wins, and listing them loses none and repeats none.

use domain::{
    Change, IntegrationId, RecordKey, Version,
    sync::{
        manifest::{Entry, Manifest},
        stream::{Extent, Sweep},
    },
};
use jiff::{SignedDuration, Timestamp};
use platform::{
    base::clock,
    stores::{
        claims::{Applied, Claiming, Claims},
        integrations::Integrations,
        records::{Put, Records, Selection},
    },
};
use serde_json::json;
use tests::{Ground, integration, integration_id};

fn change(id: &str, version: i64, deleted: bool) -> Change {
    change_of("customers", id, version, deleted)
}

fn change_of(stream: &str, id: &str, version: i64, deleted: bool) -> Change {
    let make = if deleted { Change::tombstone } else { Change::new };
    let (key, at) = (RecordKey::new(stream, id).unwrap(), Timestamp::from_second(version).unwrap());
    make(key, Version::stored(version), at, json!({ "version": version }))
}

/// Commits changes one by one, each under a claim of its own, as events do.
async fn commit(ground: &Ground, integration: &IntegrationId, changes: &[Change]) {
    let claims = Claims::new(&ground.aws, "intertie-idempotency", std::time::Duration::from_secs(30));
    let records = Records::new(&ground.aws, "intertie-records");
    for change in changes {
        let key = format!("stripe#a#{}", uuid::Uuid::new_v4());
        let Claiming::Won(claim) = claims.claim(&key, "", "me", Timestamp::UNIX_EPOCH).await.unwrap() else {
            panic!("not claimed")
        };
        let write = records.upsert_from_event(integration, change).unwrap();
        assert!(matches!(claims.apply(&claim, vec![write]).await.unwrap(), Applied::Committed));
    }
}

fn all(limit: usize) -> Selection<'static> {
    Selection { stream: None, after: None, limit, deleted: true }
}

#[tokio::test]
async fn all_orders_of_create_update_update_and_delete_end_in_one_state() {
    let ground = Ground::start().await;
    let records = Records::new(&ground.aws, "intertie-records");
    let changes = [change("c", 1, false), change("c", 2, false), change("c", 3, false), change("c", 3, true)];
    let mut orders = 0;
    for a in 0..4 {
        for b in (0..4).filter(|b| *b != a) {
            for c in (0..4).filter(|c| ![a, b].contains(c)) {
                let order = [a, b, c, 6 - a - b - c].map(|index| changes[index].clone());
                let integration = integration_id(orders);
                commit(&ground, &integration, &order).await;
                let found = records.list(&integration, all(10)).await.unwrap().records;
                assert_eq!(found.len(), 1);
                assert_eq!((found[0].version.get(), found[0].deleted), (3, true), "{order:?}");
                orders += 1;
            }
        }
    }
    assert_eq!(orders, 24);
}

#[tokio::test]
async fn pages_join_without_gap_or_repetition_and_skip_tombstones_unless_asked() {
    let ground = Ground::start().await;
    let records = Records::new(&ground.aws, "intertie-records");
    let changes: Vec<_> = (0..25).map(|index| change(&format!("c{index:02}"), 1, index % 3 == 0)).collect();
    commit(&ground, &integration_id(1), &changes).await;
    commit(&ground, &integration_id(2), &changes[..1]).await;
    for deleted in [true, false] {
        let mut after: Option<String> = None;
        let mut found = Vec::new();
        loop {
            let selection = Selection { stream: Some("customers"), after: after.as_deref(), limit: 4, deleted };
            let page = records.list(&integration_id(1), selection).await.unwrap();
            assert!(page.records.len() == 4 || page.next.is_none());
            found.extend(page.records.into_iter().map(|record| record.key.id().to_owned()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let expected: Vec<_> = changes
            .iter()
            .filter(|change| deleted || !change.is_deleted())
            .map(|change| change.key().id().to_owned())
            .collect();
        assert_eq!(found, expected);
    }
    let other = Selection { stream: Some("custom"), ..all(10) };
    assert!(records.list(&integration_id(1), other).await.unwrap().records.is_empty(), "a stream is not a prefix");
}

#[tokio::test]
async fn a_sync_deletes_what_is_gone_and_nothing_that_is_newer_or_of_another_part() {
    let ground = Ground::start().await;
    let records = Records::new(&ground.aws, "intertie-records");
    let put = async |changes: &[Change]| {
        records.put_page(&integration_id(1), &changes.iter().collect::<Vec<_>>()).await.unwrap();
    };
    let before = clock::now();
    let now = || clock::now() + SignedDuration::from_secs(1);
    let gone = |keys: &'static [&'static str]| move |key: &RecordKey| keys.contains(&key.id());
    let sweep = async |since, of, except, keys, version| {
        let (sweep, version) = (Sweep { since, of, except }, Version::stored(version));
        records.delete_unseen(&integration_id(1), "customers", &sweep, version, gone(keys)).await.unwrap().keys.len()
    };
    let here = async || {
        let found = records.list(&integration_id(1), all(10)).await.unwrap().records;
        found.into_iter().map(|it| (it.key.id().to_owned(), it.version.get(), it.deleted)).collect::<Vec<_>>()
    };
    let row = |id: &str, version, deleted| (id.to_owned(), version, deleted);
    put(&[change("gone", 5, false), change("same", 5, false), change("dead", 5, true)]).await;
    put(&[change_of("subscriptions", "gone", 1, false)]).await;
    // What could not be read, is of another part, or changed since the run began is not taken for gone.
    assert_eq!(sweep(now(), None, vec![Extent::Under("go".into())], &["gone"], 7).await, 0);
    assert_eq!(sweep(now(), None, vec![Extent::One("gone".into())], &["gone"], 7).await, 0);
    assert_eq!(sweep(now(), Some(Extent::Under("sa".into())), vec![], &["gone"], 7).await, 0);
    assert_eq!(sweep(before, None, vec![], &["gone"], 7).await, 0);
    let only = Some(Extent::Under("go".into()));
    assert_eq!(sweep(now(), only, vec![Extent::One("go".into())], &["gone", "same", "dead"], 7).await, 1);
    let expected = [row("dead", 5, true), row("gone", 7, true), row("same", 5, false), row("gone", 1, false)];
    assert_eq!(here().await, expected);
    assert_eq!(sweep(now(), None, vec![], &["gone"], 7).await, 0, "again");
    // What the provider said is gone comes back with a newer state only; what a run did not see, with one as new as the run.
    put(&[change("dead", 5, false)]).await;
    commit(&ground, &integration_id(1), &[change("gone", 6, false)]).await;
    assert_eq!(here().await, expected, "an event of before the run revives nothing");
    put(&[change("gone", 7, false)]).await;
    assert_eq!(here().await[1], row("gone", 7, false));
    // In one tick of the clock an event can have the larger version.
    assert_eq!(sweep(now(), None, vec![], &["gone", "same"], 4).await, 2);
    assert_eq!(here().await[1], row("gone", 7, true));
    // An integration that is not there any more is not made again by the end of its records.
    let (key, integrations) = (integration("ada").key, Integrations::new(&ground.aws, "intertie-integrations"));
    records.put_page(&key.id(), &[&change("a", 1, false)]).await.unwrap();
    assert!(records.erase((&integrations, &key), clock::now(), || false).await.unwrap());
    assert!(records.list(&key.id(), all(1)).await.unwrap().records.is_empty());
    assert_eq!(integrations.get(&key).await.unwrap(), None);
    assert_eq!(here().await.len(), 4, "of another integration");
}

/// A state of the object `c` with this data.
fn state(version: i64, deleted: bool, data: &str) -> Change {
    let make = if deleted { Change::tombstone } else { Change::new };
    let (key, at) = (RecordKey::new("customers", "c").unwrap(), Timestamp::from_second(version).unwrap());
    make(key, Version::stored(version), at, json!(data))
}

#[tokio::test]
async fn a_write_becomes_the_same_whether_a_condition_or_the_verdict_decides_and_equal_data_is_not_written() {
    let ground = Ground::start().await;
    let records = Records::new(&ground.aws, "intertie-records");
    let mut number = 0;
    for (version, deleted, data) in
        [(1, false, "a"), (2, false, "a"), (3, false, "a"), (2, false, "b"), (3, false, "b")].into_iter().chain([
            (1, true, "a"),
            (2, true, "a"),
            (3, true, "a"),
            (3, true, "b"),
        ])
    {
        for was_deleted in [false, true] {
            for is_event in [false, true] {
                number += 1;
                let (integration, before) = (integration_id(number), state(2, was_deleted, "a"));
                records.put_page(&integration, &[&before]).await.unwrap();
                let after = state(version, deleted, data);
                if is_event {
                    let tied = version == 2 && data == "b" && !was_deleted && !deleted;
                    let write = records.upsert_from_event(&integration, &after).unwrap();
                    let claims = Claims::new(&ground.aws, "intertie-idempotency", std::time::Duration::from_secs(30));
                    let event = format!("stripe#a#{number}");
                    let claiming = claims.claim(&event, "", "me", Timestamp::UNIX_EPOCH).await.unwrap();
                    let Claiming::Won(claim) = claiming else { panic!("not claimed") };
                    let applied = claims.apply(&claim, vec![write]).await.unwrap();
                    assert_eq!(matches!(applied, Applied::VersionConflict(_)), tied, "{after:?} after {before:?}");
                } else {
                    let put = records.put_page(&integration, &[&after]).await.unwrap();
                    let is_news = version > 2 || (version == 2 && !was_deleted);
                    let writes = is_news && (deleted, data) != (was_deleted, "a");
                    let expected = if writes { Put::Written { was_live: !was_deleted } } else { Put::Same };
                    let put: Vec<_> =
                        put.into_iter().map(|put| if let Put::Newer { .. } = put { Put::Same } else { put }).collect();
                    assert_eq!(put, [expected], "{after:?} after {before:?}");
                }
                let stored = records.list(&integration, all(1)).await.unwrap().records.remove(0);
                let is_tie = version == 2 && is_event && !deleted;
                let wins = version > 2 || (version == 2 && !was_deleted && !is_tie);
                let expected = if wins { &after } else { &before };
                assert_eq!(
                    (stored.deleted, &stored.data),
                    (expected.is_deleted(), expected.data()),
                    "{after:?}, event: {is_event}"
                );
                assert_eq!(
                    stored.version,
                    Version::stored(version.max(2)),
                    "{after:?} after {before:?}, event: {is_event}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_lies_between_two_equal_states_does_not_replace_them() {
    let ground = Ground::start().await;
    let records = Records::new(&ground.aws, "intertie-records");
    for (integration, is_event) in [(&integration_id(1), false), (&integration_id(2), true)] {
        records.put_page(integration, &[&state(1, false, "a")]).await.unwrap();
        if is_event {
            commit(&ground, integration, &[state(9, false, "a")]).await;
        } else {
            records.put_page(integration, &[&state(9, false, "a")]).await.unwrap();
        }
        commit(&ground, integration, &[state(5, false, "between")]).await;
        let stored = records.list(integration, all(1)).await.unwrap().records.remove(0);
        assert_eq!((stored.version, stored.data), (Version::stored(9), json!("a")), "event: {is_event}");
        assert_eq!(stored.updated_at, Timestamp::from_second(1).unwrap(), "it did not change since");
    }
}

#[tokio::test]
async fn the_index_of_changes_has_each_record_at_its_last_change() {
    let ground = Ground::start().await;
    let records = Records::new(&ground.aws, "intertie-records");
    let put =
        async |id: &str, version| records.put_page(&integration_id(1), &[&change(id, version, false)]).await.unwrap();
    let entry = |id: &str, version, deleted| Entry::from(&change(id, version, deleted));
    let noted = async |since| {
        let mut manifest = Manifest::default();
        records.note_changes(&integration_id(1), "customers", since, &mut manifest).await.unwrap();
        manifest.settle();
        manifest
    };
    put("a", 1).await;
    put("b", 1).await;
    records.put_page(&integration_id(1), &[&change_of("subscriptions", "s", 1, false)]).await.unwrap();
    let later = clock::now();
    put("b", 2).await;
    commit(&ground, &integration_id(1), &[change("c", 1, false)]).await;
    // Equal data is no change, however often it is read.
    let again = Change::new(change("a", 1, false).key().clone(), Version::stored(9), later, json!({ "version": 1 }));
    records.put_page(&integration_id(1), &[&again]).await.unwrap();
    let all = noted(None).await;
    assert!([entry("a", 1, false), entry("b", 2, false), entry("c", 1, false)].iter().all(|it| all.is_known(it)));
    assert!(!all.is_known(&Entry::from(&change_of("subscriptions", "s", 1, false))), "of another stream");
    let recent = noted(Some(later)).await;
    assert_eq!(
        [entry("a", 1, false), entry("b", 2, false), entry("c", 1, false)].map(|it| recent.is_known(&it)),
        [false, true, true]
    );
}
