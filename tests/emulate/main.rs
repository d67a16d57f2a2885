//! The whole stack against npm's `emulate`, which is Slack and Google as people outside of this project read the vendors'
//! documentation. gaps.md says what it lacks, and what is done instead. And Slack's own SDK beside the product.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod google;
mod peer;
mod sdk;
mod slack;

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Map, Value, json};
use tests::Guest;

/// Objects by id.
type Objects = BTreeMap<String, Value>;

/// The fields at these pointers, by their names; null where there is nothing.
fn pick(object: &Value, fields: &[(&str, &str)]) -> Value {
    let field =
        |(name, pointer): &(&str, &str)| ((*name).to_owned(), object.pointer(pointer).cloned().unwrap_or_default());
    fields.iter().map(field).collect::<Map<_, _>>().into()
}

/// The records of a stream, without tombstones, as a program reads them: of each these fields.
async fn records(guest: &Guest<'_>, provider: &str, stream: &str, fields: &[(&str, &str)]) -> Objects {
    let all = stored(guest, provider, stream, "").await;
    all.iter().map(|record| (record["id"].as_str().unwrap().to_owned(), pick(record, fields))).collect()
}

/// Whether an object was found to be deleted.
async fn is_tombstone(guest: &Guest<'_>, provider: &str, stream: &str, id: &str) -> bool {
    let all = stored(guest, provider, stream, "&include_deleted=true").await;
    all.iter().any(|record| record["id"] == id && record["deleted"] == true)
}

async fn stored(guest: &Guest<'_>, provider: &str, stream: &str, more: &str) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/integrations/{provider}/records?stream={stream}&limit=1000{more}{after}");
        let (status, body) = guest.api(Method::GET, &path, &Value::Null).await;
        assert_eq!(status, 200, "{body}");
        all.extend(body["records"].as_array().unwrap().iter().cloned());
        let Some(next) = body["next"].as_str() else { return all };
        after = format!("&after={}", form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>());
    }
}

/// Has an integration synced, and waits until that is done.
async fn sync(guest: &Guest<'_>, provider: &str, kind: &str) {
    let path = format!("/integrations/{provider}/sync");
    let (status, body) = guest.api(Method::POST, &path, &json!({ "type": kind })).await;
    assert_eq!(status, 202, "{body}");
    guest.settled("syncs").await;
}

/// Nothing is left undone, or was given up.
async fn assert_clean(guest: &Guest<'_>, providers: &[&str]) {
    for queue in ["webhooks-dead", "syncs-dead"] {
        assert_eq!(
            tests::depth(guest.stack, queue),
            0,
            "{queue}: {:?}",
            tests::dead_letters(guest.stack, queue.trim_end_matches("-dead")).await
        );
    }
    for provider in providers {
        let status = guest.status(provider).await;
        assert_eq!(json!([status["state"], status["error"]]), json!(["connected", null]), "{status}");
    }
}
