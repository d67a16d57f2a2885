//! Gmail's messages as our records: <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages>,
//! read 2026-11. Bodies and attachments are not read.

use domain::{Change, Request, event::is_id, record::MAX_VERSION};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::SPEC;
use crate::{google, stream::pick};

/// The documented fields of `messages`, besides headers and times.
const MESSAGE: &[(&str, &str)] = &[
    ("thread_id", "/threadId"),
    ("label_ids", "/labelIds"),
    ("snippet", "/snippet"),
    ("size_estimate", "/sizeEstimate"),
];
/// Headers, and the fields that they become.
const HEADERS: &[(&str, &str)] = &[("From", "from"), ("To", "to"), ("Subject", "subject"), ("Date", "date")];
/// Lists leave out what has these labels, so it is gone for us as well; it comes back as it loses them.
const GONE: &[&str] = &["SPAM", "TRASH"];

/// The call for a message, with what it becomes if there is no such message: gone, by what was known at `history_id`.
pub(super) fn detail(id: &str, history_id: i128, asked_at: Timestamp) -> (Request, Change) {
    let request = SPEC
        .get("/users/me/messages/{id}", id)
        .query([("format", "metadata")])
        .query(HEADERS.iter().map(|(header, _)| ("metadataHeaders", *header)));
    (request, tombstone(id, history_id, asked_at))
}

/// A message that is gone since `history_id`.
pub(super) fn tombstone(id: &str, history_id: i128, asked_at: Timestamp) -> Change {
    Change {
        stream: "messages".to_owned(),
        id: id.to_owned(),
        version: history_id,
        updated_at: asked_at,
        deleted: true,
        data: Value::Null,
    }
}

/// A message as it was at `asked_at`. Gmail does not tell when it changed last, only the place in the mailbox's history.
/// `None` if it lacks its id or place.
pub(super) fn message(message: &Value, asked_at: Timestamp) -> Option<Change> {
    let id = message.get("id")?.as_str().filter(|id| is_id(id))?;
    let version = place(message.get("historyId")?.as_str()?)?;
    let labels = message.get("labelIds").and_then(Value::as_array);
    if labels.is_some_and(|labels| labels.iter().any(|label| GONE.iter().any(|gone| label == gone))) {
        return Some(tombstone(id, version, asked_at));
    }
    let mut data = pick(message, MESSAGE);
    let received = message.get("internalDate").and_then(google::time);
    data.extend(received.map(|time| ("internal_date".to_owned(), time.to_string().into())));
    data.extend(headers(message));
    let data = data.into();
    Some(Change { deleted: false, data, ..tombstone(id, version, asked_at) })
}

/// A place in the history: an unsigned 64-bit integer, as decimal text. Longer ones are read as far as a store takes them.
pub(super) fn place(history_id: &str) -> Option<i128> {
    let digits = history_id.bytes().all(|byte| byte.is_ascii_digit());
    history_id.parse().ok().filter(|place| digits && *place <= MAX_VERSION)
}

fn headers(message: &Value) -> Map<String, Value> {
    let all = message.pointer("/payload/headers").and_then(Value::as_array);
    let field = |header: &Value| {
        let name = header.get("name")?.as_str()?;
        let (_, field) = HEADERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(((*field).to_owned(), header.get("value")?.clone()))
    };
    all.into_iter().flatten().filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: Timestamp = Timestamp::constant(1_795_428_000, 0);

    fn sample(labels: &[&str]) -> Value {
        json!({
            "id": "18c2f1a", "threadId": "18c2f00", "labelIds": labels, "snippet": "See you &#39;soon&#39;", "sizeEstimate": 3120,
            "historyId": "9876543", "internalDate": "1795420800000",
            "payload": {"mimeType": "text/plain", "headers": [
                {"name": "from", "value": "Ada <ada@example.com>"}, {"name": "Subject", "value": "Grüße"},
                {"name": "X-Secret", "value": "no"}, {"name": "To", "value": "bob@example.com"}
            ]}
        })
    }

    #[test]
    fn a_message_is_its_metadata_versioned_by_its_place_in_the_history() {
        let change = message(&sample(&["INBOX", "UNREAD"]), AT).unwrap();
        assert_eq!((change.key().as_str(), change.version, change.deleted), ("messages#18c2f1a", 9_876_543, false));
        assert_eq!(
            change.data,
            json!({
                "thread_id": "18c2f00", "label_ids": ["INBOX", "UNREAD"], "snippet": "See you &#39;soon&#39;", "size_estimate": 3120,
                "internal_date": "2026-11-23T08:00:00Z", "from": "Ada <ada@example.com>", "to": "bob@example.com",
                "subject": "Grüße"
            })
        );
    }

    #[test]
    fn a_place_of_64_bits_or_more_is_exact() {
        for (history_id, version) in [("18446744073709551615", u64::MAX.into()), (&"9".repeat(38), MAX_VERSION)] {
            let mut sample = sample(&["INBOX"]);
            sample["historyId"] = history_id.into();
            assert_eq!(message(&sample, AT).unwrap().version, version);
        }
    }

    #[test]
    fn what_is_in_the_trash_is_gone_as_it_is_for_gmails_own_list() {
        let change = message(&sample(&["TRASH"]), AT).unwrap();
        assert_eq!(change, tombstone("18c2f1a", 9_876_543, AT));
    }

    #[test]
    fn a_message_without_id_or_place_is_unreadable() {
        for broken in [
            json!({}),
            json!({"id": "a"}),
            json!({"id": "a#b", "historyId": "1"}),
            json!({"id": "a", "historyId": "x"}),
            json!({"id": "a", "historyId": "-1"}),
            json!({"id": "a", "historyId": "+1"}),
            json!({"id": "a", "historyId": "9".repeat(39)}),
        ] {
            assert!(message(&broken, AT).is_none(), "{broken}");
        }
    }

    #[test]
    fn the_call_for_a_message_asks_for_few_headers_and_no_body() {
        let (request, gone) = detail("18c2f1a", 5, AT);
        assert_eq!(
            request.url,
            "https://gmail.googleapis.com/gmail/v1/users/me/messages/18c2f1a?format=metadata&metadataHeaders=From\
             &metadataHeaders=To&metadataHeaders=Subject&metadataHeaders=Date"
        );
        assert!(gone.deleted && gone.version == 5);
    }
}
