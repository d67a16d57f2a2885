//! Gmail's messages as our records: <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages>,
//! read 2026-11. Bodies and the content of attachments are not read.

use domain::{Change, RecordKey, Request, call::Unreadable, sync::record::Clock};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::SPEC;
use crate::{google, stream::pick};

/// Pushes carry no message: states come from reading messages.
pub(super) const CLOCK: Clock = Clock::Microseconds;

/// The documented fields of `messages`, besides headers, times and attachments.
const MESSAGE: &[(&str, &str)] = &[
    ("label_ids", "/labelIds"),
    ("size_estimate", "/sizeEstimate"),
    ("snippet", "/snippet"),
    ("thread_id", "/threadId"),
];
/// Headers, and the fields that they become.
const HEADERS: &[(&str, &str)] = &[
    ("Bcc", "bcc"),
    ("Cc", "cc"),
    ("Date", "date"),
    ("From", "from"),
    ("In-Reply-To", "in_reply_to"),
    ("Message-ID", "message_id"),
    ("References", "references"),
    ("Reply-To", "reply_to"),
    ("Subject", "subject"),
    ("To", "to"),
];
/// Gmail's ids of attachments are others at every reading, so they are no field: `part_id` finds the part.
const ATTACHMENT: &[(&str, &str)] =
    &[("name", "/filename"), ("part_id", "/partId"), ("size", "/body/size"), ("type", "/mimeType")];
/// Lists leave out what has these labels, so it is gone for us as well; it comes back as it loses them.
pub(super) const GONE: &[&str] = &["SPAM", "TRASH"];

/// What is read of a part of a message: what it is, not what it says.
const PART: &str = "partId,mimeType,filename,body/size";
/// How deep parts are read. The fields that are asked for can't be recursive; signed and forwarded mail needs three or four levels.
const DEPTH: usize = 6;

/// The key of a message.
pub(super) fn key(id: &str) -> Result<RecordKey, Unreadable> {
    RecordKey::new("messages", id).map_err(|_| Unreadable("a message without a usable id"))
}

/// The call for a message, with what it becomes if there is no such message.
///
/// `format=metadata` leaves the parts out, and with them the attachments' names. `fields` leaves the content out:
/// <https://developers.google.com/workspace/gmail/api/guides/performance#partial-response>, read 2026-11.
pub(super) fn detail(key: RecordKey, asked_at: Timestamp) -> (Request, Change) {
    let parts = (1..DEPTH).fold(PART.to_owned(), |below, _| format!("{PART},parts({below})"));
    let fields =
        format!("id,threadId,labelIds,snippet,sizeEstimate,internalDate,payload(headers,{PART},parts({parts}))");
    let request =
        SPEC.get("/users/me/messages/{id}", key.id()).query([("format", "full"), ("fields", fields.as_str())]);
    (request, tombstone(key, asked_at))
}

/// A message that was found gone when it was asked for at `asked_at`.
pub(super) fn tombstone(key: RecordKey, asked_at: Timestamp) -> Change {
    Change::tombstone(key, CLOCK.listed(asked_at), asked_at, Value::Null)
}

/// A message as it was at `asked_at`. Gmail does not say when it changed last. `None` if it lacks its id.
pub(super) fn message(message: &Value, asked_at: Timestamp) -> Option<Change> {
    let key = key(message.get("id")?.as_str()?).ok()?;
    let labels = message.get("labelIds").and_then(Value::as_array);
    if labels.is_some_and(|labels| labels.iter().any(|label| GONE.iter().any(|gone| label == gone))) {
        return Some(tombstone(key, asked_at));
    }
    let mut data = pick(message, MESSAGE);
    let received = message.get("internalDate").and_then(google::time);
    data.extend(received.map(|time| ("internal_date".to_owned(), time.to_string().into())));
    data.extend(headers(message));
    let mut attachments = Vec::new();
    message.get("payload").into_iter().for_each(|payload| attachments_of(payload, &mut attachments));
    if !attachments.is_empty() {
        data.insert("attachments".to_owned(), attachments.into());
    }
    Some(Change::new(key, CLOCK.listed(asked_at), asked_at, data.into()))
}

/// Of several headers of one name the first counts.
fn headers(message: &Value) -> Map<String, Value> {
    let all = message.pointer("/payload/headers").and_then(Value::as_array);
    let field = |header: &Value| {
        let name = header.get("name")?.as_str()?;
        let (_, field) = HEADERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(((*field).to_owned(), header.get("value")?.clone()))
    };
    all.into_iter().flatten().rev().filter_map(field).collect()
}

/// The parts with a file name, in their order.
fn attachments_of(part: &Value, found: &mut Vec<Value>) {
    if part.get("filename").and_then(Value::as_str).is_some_and(|name| !name.is_empty()) {
        found.push(pick(part, ATTACHMENT).into());
    }
    let below = part.get("parts").and_then(Value::as_array);
    below.into_iter().flatten().for_each(|part| attachments_of(part, found));
}

#[cfg(test)]
#[path = "normalise_tests.rs"]
mod tests;
