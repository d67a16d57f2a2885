//! What one page of the feed has, and what a follower hears of erasures that did not come to their end.

use domain::{Change, Integration, RecordKey, Version, webhook::json::escaped_len};
use jiff::{SignedDuration, Timestamp};
use local_aws::faults::{Effect, Fault};
use platform::{
    base::clock,
    stores::{
        changes::{Changes, ChangesPage, Cursor, Entry, Feed},
        records::Records,
    },
};
use serde_json::{Value, json};
use tests::Ground;

use super::{Processes, connect, integrations, key};

/// The largest response of a function, in bytes: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>, read 2026-11.
const MAX_RESPONSE: usize = 6 * 1024 * 1024;

/// Writes so many records of an account with this data.
async fn fill(ground: &Ground, account: usize, count: usize, data: &Value) {
    let records = Records::new(&ground.aws, "intertie-records");
    let change = |number: usize| {
        let record = RecordKey::new("customers", &format!("{number:04}")).unwrap();
        Change::new(record, Version::stored(1), clock::now(), data.clone())
    };
    let changes: Vec<_> = (0..count).map(change).collect();
    // A few at a time: the embedded DynamoDB takes long for large ones.
    for changes in changes.chunks(5) {
        records.put_page(&key(account).id(), &changes.iter().collect::<Vec<_>>()).await.unwrap();
    }
}

/// A page of the feed, which is not behind the clock: nothing is written meanwhile.
async fn page(ground: &Ground, stream: Option<&str>, after: Option<Cursor>, limit: usize) -> ChangesPage {
    let records = Records::new(&ground.aws, "intertie-records");
    let changes = Changes::new(integrations(ground), records, SignedDuration::ZERO);
    let user_id = key(0).user_id;
    let feed = Feed { user_id: &user_id, provider: None, stream };
    changes.page(&feed, after, limit, clock::now(), Timestamp::MAX).await.unwrap()
}

#[tokio::test]
async fn a_page_has_as_many_entries_as_it_may_have_and_its_bytes_fit_into_a_response() {
    let ground = Ground::start().await;
    connect(&ground, 0).await;
    fill(&ground, 0, 1010, &json!({})).await;
    for stream in [None, Some("customers")] {
        let first = page(&ground, stream, None, 1000).await;
        assert_eq!(first.entries.len(), 1000, "{stream:?}");
        assert_eq!(page(&ground, stream, Some(first.next), 1000).await.entries.len(), 10, "{stream:?}");
    }
    assert_eq!(page(&ground, Some("customers"), None, 3).await.entries.len(), 3);

    let ground = Ground::start().await;
    connect(&ground, 0).await;
    // Each quotation mark takes four bytes in the end: it is within text, within JSON, within the JSON of the response.
    fill(&ground, 0, 20, &json!({ "name": "\"".repeat(190_000) })).await;
    let (mut after, mut found) = (None, 0);
    while found < 20 {
        let part = page(&ground, None, after, 1000).await;
        let bytes = part.entries.iter().map(|entry| match entry {
            Entry::Changed(_, record) => escaped_len(&record.data.to_string()),
            Entry::Erased(id) => panic!("{id}"),
        });
        let bytes: usize = bytes.sum();
        assert!((1..MAX_RESPONSE).contains(&bytes), "{bytes}");
        found += part.entries.len();
        after = Some(part.next);
    }
}

#[tokio::test]
async fn an_erasure_whose_last_call_fails_is_told_when_it_is_tried_again() {
    let ground = Ground::start().await;
    let processes = Processes::of(&ground);
    connect(&ground, 0).await;
    fill(&ground, 0, 3, &json!({})).await;
    let dies = Fault {
        function: Some("eraser".into()),
        operation: Some("UpdateItem".into()),
        at: 2,
        ..Fault::new(Effect::KillBefore)
    };
    ground.gateway.faults.arm(vec![dies]);
    let by = clock::now() + SignedDuration::from_mins(15);
    let aws = ground.aws_of("eraser");
    let (tables, records) = (integrations(&ground), Records::new(&aws, "intertie-records"));
    let own = platform::stores::integrations::Integrations::new(&aws, "intertie-integrations");
    let alive = processes.run("eraser", async move {
        let _ = records.erase((&own, &key(0)), by, || false).await;
    });
    assert!(!alive.await, "it was to be killed");
    let erased_at = async || tables.get(&key(0)).await.unwrap().unwrap().erased_at;
    assert_eq!(erased_at().await, Some(by));
    let records = Records::new(&ground.aws, "intertie-records");
    assert!(records.erase((&tables, &key(0)), by, || false).await.unwrap());
    assert!(erased_at().await <= Some(clock::now()));
}

#[tokio::test]
async fn what_was_left_of_a_user_that_was_erased_comes_when_the_account_is_connected_again() {
    let ground = Ground::start().await;
    // Committed by an event that was under way, when the integration was gone already.
    fill(&ground, 0, 1, &json!({})).await;
    let start = page(&ground, None, None, 100).await;
    assert!(start.entries.is_empty());
    let integration = Integration::connected(key(0), "Shop", clock::now());
    let tables = integrations(&ground);
    tables.reserve(&integration).await.unwrap();
    tables.put(&integration, clock::now()).await.unwrap();
    let next = page(&ground, None, Some(start.next), 100).await;
    let found: Vec<_> = next.entries.iter().map(|entry| matches!(entry, Entry::Changed(..))).collect();
    assert_eq!(found, [false, true], "a copy of an earlier time is dropped first");
}
