//! What Slack sends as forms: slash commands and interactions.
//!
//! <https://docs.slack.dev/interactivity/implementing-slash-commands> and
//! <https://docs.slack.dev/reference/interaction-payloads>, read 2026-11.
//!
//! *Invariant:* the deprecated verification token, which both carry, does not leave this module.

use std::borrow::Cow;

use domain::{Effect, Event, NotAnEvent};
use jiff::Timestamp;
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

pub(super) fn account(payload: &str) -> Option<String> {
    team(&serde_json::from_str(payload).ok()?)
}

/// A slash command: `body` holds the form's fields.
pub(super) fn command(body: &RawValue, received_at: Timestamp) -> Result<Event<'static>, NotAnEvent> {
    let fields: Map<String, Value> = serde_json::from_str(body.get())?;
    let id = fields.get("trigger_id").and_then(Value::as_str).ok_or(NotAnEvent::Id)?.to_owned();
    event(id, "slash_command".to_owned(), fields, received_at)
}

/// An interaction: JSON in a field of the form.
pub(super) fn interaction(payload: &str, received_at: Timestamp) -> Result<Event<'static>, NotAnEvent> {
    let payload: Value = serde_json::from_str(payload)?;
    let kind = format!("interactive.{}", text(&payload, "/type").ok_or(NotAnEvent::Type)?);
    let account = team(&payload);
    let id = id(&payload).ok_or(NotAnEvent::Id)?;
    let Value::Object(fields) = payload else { return Err(NotAnEvent::Type) };
    Ok(Event { account, ..event(id, kind, fields, received_at)? })
}

fn event(
    id: String,
    r#type: String,
    mut fields: Map<String, Value>,
    received_at: Timestamp,
) -> Result<Event<'static>, NotAnEvent> {
    fields.remove("token");
    Ok(Event {
        id,
        r#type,
        occurred_at: received_at,
        account: None,
        integration_id: None,
        data: Cow::Owned(to_raw_value(&fields)?),
        effect: Effect::Records(Vec::new()),
    })
}

/// Not every kind has a trigger; a view's hash changes whenever the view does.
fn id(payload: &Value) -> Option<String> {
    let pair = |a, b| Some(format!("{}.{}", text(payload, a)?, text(payload, b)?));
    let trigger = text(payload, "/trigger_id").map(str::to_owned);
    trigger.or_else(|| pair("/view/id", "/view/hash")).or_else(|| pair("/user/id", "/action_ts"))
}

/// The workspace that the app is installed in. Where a whole organisation installed it, `team` can be null.
fn team(payload: &Value) -> Option<String> {
    let places = ["/view/app_installed_team_id", "/team/id", "/user/team_id"];
    places.iter().find_map(|place| text(payload, place)).map(str::to_owned)
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}
