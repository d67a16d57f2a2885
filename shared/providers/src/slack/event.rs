//! Slack's deliveries: <https://docs.slack.dev/apis/events-api> and <https://docs.slack.dev/reference/events>, read 2026-11.
//! Those that arrive as forms are read in [`super::form`].

use std::borrow::Cow;

use domain::{AccountId, Change, Effect, Event, EventId, EventType, NotAnEvent, Owner, RecordKey, sync::Scope};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use super::{SPEC, form, normalise};

/// Events that carry only a part of what changed in a channel.
const PARTIAL: &[&str] = &[
    "channel_archive",
    "channel_created",
    "channel_id_changed",
    "channel_left",
    "channel_rename",
    "channel_shared",
    "channel_unarchive",
    "channel_unshared",
    "group_archive",
    "group_left",
    "group_rename",
    "group_unarchive",
];

/// The longest challenge that is echoed, in bytes; Slack's are about fifty.
const MAX_CHALLENGE: usize = 256;

#[derive(Deserialize)]
struct Delivery<'a> {
    r#type: Option<String>,
    team_id: Option<String>,
    context_team_id: Option<String>,
    enterprise_id: Option<String>,
    context_enterprise_id: Option<String>,
    authorizations: Option<Vec<Authorization>>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    event_id: Option<String>,
    event_time: Option<i64>,
    minute_rate_limited: Option<i64>,
    command: Option<String>,
    payload: Option<String>,
}

/// An installation of the app that sees the event: in a workspace, or in a whole organisation.
#[derive(Deserialize)]
struct Authorization {
    team_id: Option<String>,
    enterprise_id: Option<String>,
    /// The app's own user there, if `is_bot`.
    user_id: Option<String>,
    #[serde(default)]
    is_bot: Option<bool>,
}

#[derive(Deserialize)]
struct Inner {
    r#type: String,
    subtype: Option<String>,
    event_ts: Option<String>,
    channel: Option<Value>,
    user: Option<Value>,
    /// The users of the revoked tokens, by the kind of token.
    tokens: Option<Value>,
}

impl Delivery<'_> {
    /// The workspace that the app is installed in. In channels that are shared with other workspaces `team_id` can be one of
    /// those.
    fn team(&self) -> Option<&str> {
        let installed = self.authorizations.as_deref().unwrap_or_default();
        let teams = installed.iter().map(|it| &it.team_id).chain([&self.context_team_id, &self.team_id]);
        let organisations = installed.iter().map(|it| &it.enterprise_id);
        let organisations = organisations.chain([&self.context_enterprise_id, &self.enterprise_id]);
        form::installed(teams.chain(organisations).map(Option::as_deref))
    }

    /// The app's own user.
    fn bot(&self) -> Option<&str> {
        let installed = self.authorizations.as_deref().unwrap_or_default().first();
        installed.filter(|it| it.is_bot == Some(true))?.user_id.as_deref()
    }
}

pub(super) fn account(body: &str) -> Option<String> {
    let delivery: Delivery<'_> = serde_json::from_str(body).ok()?;
    match &delivery.payload {
        Some(payload) => form::account(payload),
        None => delivery.team().map(str::to_owned),
    }
}

/// The answer to Slack's question whether the address is ours. Only what is harmless as text is echoed.
pub(super) fn challenge(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Question {
        r#type: String,
        challenge: String,
    }
    let Question { r#type, challenge } = serde_json::from_str(body).ok()?;
    let harmless = |b: u8| b.is_ascii_alphanumeric() || b"._~+/=-".contains(&b);
    let fits = (1..=MAX_CHALLENGE).contains(&challenge.len()) && challenge.bytes().all(harmless);
    (r#type == "url_verification" && fits).then_some(challenge)
}

pub(super) fn read(body: &RawValue, received_at: Timestamp) -> Result<Event<'_>, NotAnEvent> {
    let delivery: Delivery<'_> = serde_json::from_str(body.get())?;
    let event = match (delivery.r#type.as_deref(), &delivery.payload, &delivery.command) {
        (Some("event_callback"), ..) => callback(&delivery)?,
        (Some("app_rate_limited"), ..) => missed(&delivery)?,
        (_, Some(payload), _) => form::interaction(payload, received_at)?,
        (_, None, Some(_)) => form::command(body, received_at)?,
        (_, None, None) => return Err(NotAnEvent::Missing("type")),
    };
    let team = match &delivery.payload {
        Some(payload) => form::account(payload),
        None => delivery.team().map(str::to_owned),
    };
    let team = team.map(AccountId::parse).transpose()?;
    Ok(event.with_owner(team.map_or(Owner::Unnamed, Owner::Account)))
}

fn callback<'a>(delivery: &Delivery<'a>) -> Result<Event<'a>, NotAnEvent> {
    let data = delivery.event.ok_or(NotAnEvent::Missing("event"))?;
    let inner: Inner = serde_json::from_str(data.get())?;
    let occurred_at = delivery.event_time.and_then(|time| Timestamp::from_second(time).ok()).ok_or(NotAnEvent::Time)?;
    let effect = effect(&inner, delivery.bot(), occurred_at)?;
    let id = EventId::parse(delivery.event_id.as_deref().ok_or(NotAnEvent::Missing("event_id"))?)?;
    let event_type = EventType::parse(match inner.subtype {
        Some(subtype) => format!("{}.{subtype}", inner.r#type),
        None => inner.r#type,
    })?;
    Ok(Event::new(id, event_type, occurred_at, Cow::Borrowed(data)).with_effect(effect))
}

/// Slack left out events because there were too many: a sync finds out what they said.
fn missed(delivery: &Delivery<'_>) -> Result<Event<'static>, NotAnEvent> {
    let minute = delivery.minute_rate_limited.ok_or(NotAnEvent::Time)?;
    let (id, event_type) = (format!("app_rate_limited.{minute}"), EventType::parse("app_rate_limited")?);
    let occurred_at = Timestamp::from_second(minute).map_err(|_| NotAnEvent::Time)?;
    let data = Cow::Owned(to_raw_value(&serde_json::json!({ "minute_rate_limited": minute }))?);
    Ok(Event::new(EventId::parse(id)?, event_type, occurred_at, data).with_effect(Effect::Sync(Scope::All)))
}

/// The channel that an event names, by its id or with its name beside it.
fn channel(inner: &Inner) -> Scope {
    let id = inner.channel.as_ref().and_then(|channel| channel.as_str().or_else(|| channel.get("id")?.as_str()));
    id.and_then(|id| RecordKey::new("channels", id).ok()).map_or(Scope::All, Scope::Object)
}

fn effect(inner: &Inner, bot: Option<&str>, occurred_at: Timestamp) -> Result<Effect, NotAnEvent> {
    let at = inner.event_ts.as_deref().and_then(time).unwrap_or(occurred_at);
    let records = |change: Option<Change>| {
        change.map(|change| Effect::Records(vec![change])).ok_or(NotAnEvent::Missing("object's id"))
    };
    let ends = |stream: &str| SPEC.stream(stream).is_some_and(|it| it.ends.contains(&inner.r#type.as_str()));
    match inner.r#type.as_str() {
        _ if ends("channels") => {
            records(inner.channel.as_ref().and_then(Value::as_str).and_then(|id| normalise::deleted_channel(id, at)))
        }
        // These two carry the whole user.
        "team_join" | "user_change" => {
            records(inner.user.as_ref().and_then(|user| normalise::reported("users", user, at)))
        }
        kind if PARTIAL.contains(&kind) => Ok(Effect::Sync(channel(inner))),
        // A private channel is listed while the app is in it. The comings and goings of others change a number only.
        "member_joined_channel" | "member_left_channel" => {
            let user = inner.user.as_ref().and_then(Value::as_str);
            Ok(if user.is_some() && user == bot { Effect::Sync(channel(inner)) } else { Effect::Records(Vec::new()) })
        }
        "app_uninstalled" => Ok(Effect::GrantEnded),
        // Without tokens of users the rest still works, without the bot's nothing does.
        "tokens_revoked" => {
            let bot = inner.tokens.as_ref().and_then(|tokens| tokens.get("bot")?.as_array());
            Ok(if bot.is_some_and(|bot| !bot.is_empty()) { Effect::GrantEnded } else { Effect::Records(Vec::new()) })
        }
        _ => Ok(Effect::Records(Vec::new())),
    }
}

/// The time of a Slack timestamp, which is seconds and six more digits.
fn time(ts: &str) -> Option<Timestamp> {
    let (seconds, rest) = ts.split_once('.')?;
    let (seconds, micros): (i64, i64) = (seconds.parse().ok()?, rest.get(..6)?.parse().ok()?);
    Timestamp::from_microsecond(seconds.checked_mul(1_000_000)?.checked_add(micros)?).ok()
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
