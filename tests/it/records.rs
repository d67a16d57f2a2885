//! Records: no stale write wins, and listing them loses none and repeats none.

use domain::{
    Change, IntegrationId, RecordKey, Version,
    sync::stream::{Extent, Sweep},
};
use jiff::Timestamp;
use platform::stores::{
    claims::{Applied, Claiming, Claims},
    records::{Records, Selection},
};
use serde_json::json;
use tests::{Ground, integration_id};

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
        let write = records.upsert_from_event(integration, change, Timestamp::UNIX_EPOCH).unwrap();
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
async fn a_full_run_deletes_what_it_did_not_see_and_nothing_that_is_newer_or_was_seen() {
    let ground = Ground::start().await;
    let records = Records::new(&ground.aws, "intertie-records");
    let at = |second| Timestamp::from_second(second).unwrap();
    let put =
        async |changes: &[Change], second| records.put_page(&integration_id(1), changes, at(second)).await.unwrap();
    let sweep = async |of, except| {
        records
            .delete_unseen(&integration_id(1), "customers", &Sweep { since: at(20), of, except }, Version::stored(7))
            .await
            .unwrap()
    };
    let here = async || {
        let found = records.list(&integration_id(1), all(10)).await.unwrap().records;
        found.into_iter().map(|it| (it.key.id().to_owned(), it.version.get(), it.deleted)).collect::<Vec<_>>()
    };
    let row = |id: &str, version, deleted| (id.to_owned(), version, deleted);
    put(&[change("gone", 5, false), change("old", 5, false), change("same", 5, false), change("dead", 5, true)], 10)
        .await;
    let other = change_of("subscriptions", "other", 1, false);
    put(&[other], 10).await;
    // The run begins at 20. A state that is older than the stored one still says that the object is there.
    put(&[change("old", 4, false), change("same", 5, false), change("dead", 4, false)], 21).await;
    put(&[change("late", 9, false)], 22).await;
    put(&[change("late", 9, false)], 22).await;
    // What could not be read, or is of another part, is not taken for gone.
    assert_eq!(sweep(None, vec![Extent::Under("go".into())]).await, 0);
    assert_eq!(sweep(None, vec![Extent::One("gone".into())]).await, 0);
    assert_eq!(sweep(Some(Extent::Under("ol".into())), vec![]).await, 0);
    assert_eq!(sweep(Some(Extent::Under("go".into())), vec![Extent::One("go".into())]).await, 1);
    let expected = [
        row("dead", 5, true),
        row("gone", 7, true),
        row("late", 9, false),
        row("old", 5, false),
        row("same", 5, false),
        row("other", 1, false),
    ];
    assert_eq!(here().await, expected);
    assert_eq!(sweep(None, vec![]).await, 0, "again");
    // What the provider said is gone comes back with a newer state only; what a run did not see, with one as new as the run.
    put(&[change("dead", 5, false)], 30).await;
    commit(&ground, &integration_id(1), &[change("gone", 6, false)]).await;
    assert_eq!(here().await, expected, "an event of before the run revives nothing");
    put(&[change("gone", 7, false)], 30).await;
    assert_eq!(here().await[1], row("gone", 7, false));
    assert_eq!(records.count(&integration_id(1), "customers").await.unwrap(), 4);
    // In one tick of the clock an event can have the larger version.
    assert_eq!(
        records
            .delete_unseen(
                &integration_id(1),
                "customers",
                &Sweep { since: at(31), of: None, except: vec![] },
                Version::stored(4)
            )
            .await
            .unwrap(),
        4
    );
    assert_eq!(here().await[1], row("gone", 7, true));
    assert!(records.erase(&integration_id(1), || false).await.unwrap());
    assert!(here().await.is_empty());
}
