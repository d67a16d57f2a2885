//! What Slack sends as forms: slash commands and interactions.
//!
//! <https://docs.slack.dev/interactivity/implementing-slash-commands> and
//! <https://docs.slack.dev/reference/interaction-payloads>, read 2026-11.
//!
//! *Invariant:* the deprecated verification token, which both carry, does not leave this module.

use std::borrow::Cow;

use domain::{Event, EventId, EventType, NotAnEvent};
use jiff::Timestamp;
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

/// Where an interaction names the workspace that the app is installed in, the surest place first. `team` is null where a whole
/// organisation installed it.
const TEAMS: &[&str] = &[
    "/view/app_installed_team_id",
    "/team/id",
    "/user/team_id",
    "/view/team_id",
    "/enterprise/id",
    "/team/enterprise_id",
    "/user/enterprise_id",
];

/// The workspace that an interaction's payload names.
pub(super) fn account(payload: &str) -> Option<String> {
    let payload: Value = serde_json::from_str(payload).ok()?;
    installed(TEAMS.iter().map(|place| text(&payload, place))).map(str::to_owned)
}

/// The first of these ids that is a workspace's, or else an organisation's. A place of a workspace's id can hold that of its
/// organisation, which begins with an E: `user.team_id`, in an Enterprise organisation.
pub(super) fn installed<'a>(ids: impl Iterator<Item = Option<&'a str>> + Clone) -> Option<&'a str> {
    let mut ids = ids.flatten().filter(|id| !id.is_empty());
    let mut all = ids.clone();
    ids.find(|id| !id.starts_with('E')).or_else(|| all.next())
}

/// A slash command: `body` holds the form's fields.
pub(super) fn command(body: &RawValue, received_at: Timestamp) -> Result<Event<'static>, NotAnEvent> {
    let fields: Map<String, Value> = serde_json::from_str(body.get())?;
    let id = fields.get("trigger_id").and_then(Value::as_str).ok_or(NotAnEvent::Missing("trigger_id"))?.to_owned();
    event(id, "slash_command", fields, received_at)
}

/// An interaction: JSON in a field of the form.
pub(super) fn interaction(payload: &str, received_at: Timestamp) -> Result<Event<'static>, NotAnEvent> {
    let payload: Value = serde_json::from_str(payload)?;
    let kind = format!("interactive.{}", text(&payload, "/type").ok_or(NotAnEvent::Missing("type"))?);
    let id = id(&payload).ok_or(NotAnEvent::Missing("id"))?;
    let Value::Object(fields) = payload else { return Err(NotAnEvent::Missing("type")) };
    event(id, &kind, fields, received_at)
}

fn event(
    id: String,
    event_type: &str,
    mut fields: Map<String, Value>,
    received_at: Timestamp,
) -> Result<Event<'static>, NotAnEvent> {
    fields.remove("token");
    let data = Cow::Owned(to_raw_value(&fields)?);
    Ok(Event::new(EventId::parse(id)?, EventType::parse(event_type)?, received_at, data))
}

/// Not every kind has a trigger; a view's hash changes whenever the view does.
fn id(payload: &Value) -> Option<String> {
    let pair = |a, b| Some(format!("{}.{}", text(payload, a)?, text(payload, b)?));
    let trigger = text(payload, "/trigger_id").map(str::to_owned);
    trigger.or_else(|| pair("/view/id", "/view/hash")).or_else(|| pair("/user/id", "/action_ts"))
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}
