//! Slack's objects as our records.
//!
//! <https://docs.slack.dev/reference/objects/conversation-object> and
//! <https://docs.slack.dev/reference/objects/user-object>, read 2026-11. A user's e-mail address takes a scope of its own,
//! which is not asked for, so it is left out.

use domain::{
    Change, RecordKey, Version,
    sync::record::{Clock, Rank},
};
use jiff::Timestamp;
use serde_json::Value;

use crate::stream::pick;

/// `event_ts` has six digits after the point.
pub(super) const CLOCK: Clock = Clock::Microseconds;

/// The documented fields of `channels`.
pub(super) const CHANNEL: &[(&str, &str)] = &[
    ("context_team_id", "/context_team_id"),
    ("created", "/created"),
    ("creator", "/creator"),
    ("is_archived", "/is_archived"),
    ("is_ext_shared", "/is_ext_shared"),
    ("is_general", "/is_general"),
    ("is_member", "/is_member"),
    ("is_org_shared", "/is_org_shared"),
    ("is_private", "/is_private"),
    ("is_shared", "/is_shared"),
    ("name", "/name"),
    ("num_members", "/num_members"),
    ("previous_names", "/previous_names"),
    ("purpose", "/purpose/value"),
    ("topic", "/topic/value"),
];

/// The documented fields of `users`. What Slack calls deleted can be undone and still has messages, so it is a field.
const USER: &[(&str, &str)] = &[
    ("avatar", "/profile/image_192"),
    ("deactivated", "/deleted"),
    ("display_name", "/profile/display_name"),
    ("is_admin", "/is_admin"),
    ("is_app_user", "/is_app_user"),
    ("is_bot", "/is_bot"),
    ("is_owner", "/is_owner"),
    ("is_primary_owner", "/is_primary_owner"),
    ("is_restricted", "/is_restricted"),
    ("is_ultra_restricted", "/is_ultra_restricted"),
    ("name", "/name"),
    ("real_name", "/real_name"),
    ("team_id", "/team_id"),
    ("title", "/profile/title"),
    ("tz", "/tz"),
];

/// An object of `stream` in a list that was asked for at `at`. `None` if it has no usable id.
pub(super) fn listed(stream: &str, object: &Value, at: Timestamp) -> Option<Change> {
    state(stream, object, at, CLOCK.listed(at))
}

/// An object of `stream` in an event of `at`. `None` if it has no usable id.
pub(super) fn reported(stream: &str, object: &Value, at: Timestamp) -> Option<Change> {
    state(stream, object, at, CLOCK.event_version(at, Rank::Between))
}

fn state(stream: &str, object: &Value, at: Timestamp, version: Version) -> Option<Change> {
    let key = RecordKey::new(stream, object.get("id")?.as_str()?).ok()?;
    let updated = object.get("updated").and_then(Value::as_i64);
    // Channels have milliseconds, users seconds.
    let (fields, updated) = match stream {
        "users" => (USER, updated.map(Timestamp::from_second)),
        _ => (CHANNEL, updated.map(Timestamp::from_millisecond)),
    };
    let updated_at = updated.and_then(Result::ok).unwrap_or(at);
    Some(Change::new(key, version, updated_at, pick(object, fields).into()))
}

/// A channel that is gone. `None` if the id is not usable.
pub(super) fn deleted_channel(id: &str, at: Timestamp) -> Option<Change> {
    let key = RecordKey::new("channels", id).ok()?;
    Some(Change::tombstone(key, CLOCK.event_version(at, Rank::Between), at, Value::Null))
}
