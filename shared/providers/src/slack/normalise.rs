//! Slack's objects as our records.
//!
//! <https://docs.slack.dev/reference/objects/conversation-object> and
//! <https://docs.slack.dev/reference/objects/user-object>, read 2026-11. A user's e-mail address takes a scope of its own,
//! which is not asked for, so it is left out.

use domain::{Change, event::is_id};
use jiff::Timestamp;
use serde_json::Value;

use crate::stream::pick;

/// The documented fields of `channels`.
pub(super) const CHANNEL: &[(&str, &str)] = &[
    ("name", "/name"),
    ("is_private", "/is_private"),
    ("is_archived", "/is_archived"),
    ("is_member", "/is_member"),
    ("num_members", "/num_members"),
    ("topic", "/topic/value"),
    ("purpose", "/purpose/value"),
    ("created", "/created"),
];

/// The documented fields of `users`. What Slack calls deleted can be undone and still has messages, so it is a field.
const USER: &[(&str, &str)] = &[
    ("name", "/name"),
    ("real_name", "/real_name"),
    ("display_name", "/profile/display_name"),
    ("is_bot", "/is_bot"),
    ("is_admin", "/is_admin"),
    ("deactivated", "/deleted"),
    ("tz", "/tz"),
];

/// An object of `stream` as it was at `at`. `None` if it has no usable id.
///
/// Objects carry no revision: the time at which they had this state orders them.
pub(super) fn object(stream: &str, object: &Value, at: Timestamp) -> Option<Change> {
    let id = object.get("id")?.as_str().filter(|id| is_id(id))?;
    let updated = object.get("updated").and_then(Value::as_i64);
    // Channels tell milliseconds, users seconds.
    let (fields, updated) = match stream {
        "users" => (USER, updated.map(Timestamp::from_second)),
        _ => (CHANNEL, updated.map(Timestamp::from_millisecond)),
    };
    Some(Change {
        stream: stream.to_owned(),
        id: id.to_owned(),
        version: at.as_millisecond().into(),
        updated_at: updated.and_then(Result::ok).unwrap_or(at),
        deleted: false,
        data: pick(object, fields).into(),
    })
}

/// A channel that is gone. `None` if the id is not usable.
pub(super) fn deleted_channel(id: &str, at: Timestamp) -> Option<Change> {
    is_id(id).then(|| Change {
        stream: "channels".to_owned(),
        id: id.to_owned(),
        version: at.as_millisecond().into(),
        updated_at: at,
        deleted: true,
        data: Value::Null,
    })
}
