//! A sweep costs what is due, not what exists.

use std::{collections::HashMap, fmt::Write as _};

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use platform::stores::due::{Due, SHARDS, shard};
use tests::{Ground, integration_id};

const TABLE: &str = "intertie-credentials";
const DUE: usize = 100;
const NOW: i64 = 1_800_000_000;

/// Stores credentials from `from` to `to`; of all, those with a number below [`DUE`] are due.
async fn fill(ground: &Ground, from: usize, to: usize) {
    let write = |number: usize| {
        let id = integration_id(number);
        let at = if number < DUE { NOW - 60 } else { NOW + 3_600 };
        let n = |number: i64| AttributeValue::N(number.to_string());
        let put = PutRequest::builder()
            .item("integration_id", AttributeValue::S(id.to_string()))
            .item("credential", AttributeValue::S("user".into()))
            .item("access", AttributeValue::S("x".repeat(300)))
            .item("due_shard", n(shard(&id).into()))
            .item("due_at", n(at));
        WriteRequest::builder().put_request(put.build().unwrap()).build()
    };
    let numbers: Vec<_> = (from..to).collect();
    let batches = numbers.chunks(25).map(|batch| {
        let writes = batch.iter().map(|number| write(*number)).collect();
        ground.clients.dynamodb.batch_write_item().request_items(TABLE, writes).send()
    });
    let outputs: Vec<_> = stream::iter(batches).buffer_unordered(4).collect().await;
    assert!(outputs.iter().all(|output| output.as_ref().unwrap().unprocessed_items().is_none_or(HashMap::is_empty)));
}

#[tokio::test]
async fn with_a_hundred_due_a_sweep_reads_the_same_of_a_thousand_and_of_a_hundred_thousand() {
    let ground = Ground::start().await;
    let due = Due::refreshes(&ground.aws, TABLE);
    let mut seen = Vec::new();
    let mut report = String::new();
    let mut stored = 0;
    for all in [1_000, 10_000, 100_000] {
        fill(&ground, stored, all).await;
        stored = all;
        let (mut keys, mut requests, mut read_units) = (0, 0, 0.0);
        for shard in 0..SHARDS {
            let found = due.shard(shard, Some(Timestamp::from_second(NOW).unwrap())).await.unwrap();
            keys += found.keys.len();
            requests += found.requests;
            read_units += found.read_units;
        }
        writeln!(report, "{all} stored, {keys} due: {requests} requests, {read_units} read units").unwrap();
        assert_eq!(keys, DUE);
        seen.push((requests, read_units));
    }
    println!("{report}");
    assert!(seen.iter().all(|it| *it == seen[0]), "{report}");
    assert_eq!(seen[0].0, SHARDS, "{report}");
    assert!(seen[0].1 > 0.0 && seen[0].1 <= f64::from(2 * SHARDS), "{report}");
}
