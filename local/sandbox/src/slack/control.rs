//! Slack's own controls: `channels`, `users` and `messages` change; any webhook can be sent. Slack sends an event where the app is
//! installed, with the scope that the event needs.
//!
//! `POST many`: `{"channels"?: N, "users"?: N}` makes so many at once, with usual fields and without events.
//!
//! `POST send`: `{"kind":"url_verification"|"ssl_check"|"signed_ssl_check"|"event"|"slash"|"interactive","event":{…}?}`; `event` replaces usual fields, and
//! its `envelope` those around an event, e.g. `{"event_id":"Ev1"}`.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    APP_ID, Slack,
    workspace::{self, merge},
};
use crate::{
    controls::Control,
    deliver::Delivery,
    emulator::{Outcome, refusal},
    form,
    opaque::random,
};

/// The calls, and the fields of their bodies: those of the objects are Slack's.
pub(super) const CONTROLS: &[Control] = &[
    Control("GET", "channels", &[TEAM]),
    Control("GET", "users", &[TEAM]),
    Control("GET", "messages", &[TEAM]),
    Control("POST", "channels", &[TEAM, SILENT, CHANNEL]),
    Control("POST", "channels/*", &[TEAM, SILENT, CHANNEL]),
    Control("DELETE", "channels/*", &[TEAM, SILENT]),
    Control("POST", "users", &[TEAM, SILENT, USER]),
    Control("POST", "users/*", &[TEAM, SILENT, USER]),
    Control("POST", "messages", &[TEAM, &["channel", "user", "text"]]),
    Control("POST", "many", &[TEAM, &["channels", "users"]]),
    Control("POST", "send", &[TEAM, &["kind", "event"]]),
    Control("POST", "grants/revoke", &[TEAM, SILENT, &["account"]]),
];

const TEAM: &[&str] = &["team"];
const SILENT: &[&str] = &["silent"];
/// <https://docs.slack.dev/reference/objects/conversation-object>
const CHANNEL: &[&str] = &[
    "id",
    "name",
    "name_normalized",
    "is_channel",
    "is_group",
    "is_im",
    "is_mpim",
    "is_private",
    "is_archived",
    "is_general",
    "is_shared",
    "is_org_shared",
    "is_ext_shared",
    "context_team_id",
    "is_member",
    "created",
    "updated",
    "creator",
    "unlinked",
    "topic",
    "purpose",
    "previous_names",
    "num_members",
];
/// <https://docs.slack.dev/reference/objects/user-object>
const USER: &[&str] = &[
    "id",
    "team_id",
    "name",
    "real_name",
    "deleted",
    "color",
    "tz",
    "tz_label",
    "tz_offset",
    "is_admin",
    "is_owner",
    "is_primary_owner",
    "is_restricted",
    "is_ultra_restricted",
    "is_bot",
    "is_app_user",
    "updated",
    "profile",
];

const FORM: &str = "application/x-www-form-urlencoded";
/// Slack's check of an address's certificate, which it sends without a signature:
/// <https://github.com/slackapi/bolt-js/issues/1397>, read 2026-11.
const SSL_CHECK: &[(&str, &str)] = &[("ssl_check", "1"), ("token", "deprecated-verification-token")];

impl Slack {
    pub(super) fn control(&mut self, method: &Method, path: &[&str], body: &Value) -> Option<Outcome> {
        let team = body["team"].as_str().unwrap_or("T0SANDBOX").to_owned();
        let Some(place) = self.workspaces.iter().position(|workspace| workspace.id == team) else {
            return Some(Outcome::Done(refusal(StatusCode::NOT_FOUND, "there is no such workspace")));
        };
        let loud = body["silent"] != true;
        let workspace = &mut self.workspaces[place];
        let done = match (method.as_str(), path) {
            ("GET", ["channels"]) => json!(workspace.channels),
            ("GET", ["users"]) => json!(workspace.users),
            ("GET", ["messages"]) => json!(workspace.messages),
            ("POST", ["channels", id @ ..]) => {
                let (channel, event) = change_channel(workspace, id.first().copied(), body);
                if let Some(event) = event.filter(|_| loud) {
                    self.tell(&team, "channels:read", &event);
                }
                channel
            }
            ("DELETE", ["channels", id]) => {
                workspace.channels.retain(|channel| channel["id"] != **id);
                if loud {
                    self.tell(&team, "channels:read", &json!({ "type": "channel_deleted", "channel": id }));
                }
                json!({ "deleted": id })
            }
            ("POST", ["users", id @ ..]) => {
                let (user, kind) = change_user(workspace, id.first().copied(), body);
                if loud {
                    self.tell(&team, "users:read", &json!({ "type": kind, "user": user }));
                }
                user
            }
            ("POST", ["messages"]) => {
                let channel = body["channel"].as_str().unwrap_or("C0GENERAL01").into();
                let user = body["user"].as_str().unwrap_or("U0GRACE0001");
                self.say(&team, &channel, user, body["text"].as_str().unwrap_or("Hello"), &Map::new())
            }
            ("POST", ["many"]) => {
                let [channels, users] = ["channels", "users"].map(|kind| body[kind].as_u64().unwrap_or_default());
                workspace.channels.extend((0..channels).map(workspace::nth_channel));
                workspace.users.extend((0..users).map(|number| workspace::nth_user(workspace.id, number)));
                json!({ "channels": channels, "users": users })
            }
            ("POST", ["send"]) => return Some(self.ordered(&team, body)),
            ("POST", ["grants", "revoke"]) => {
                let account = body["account"].as_str().unwrap_or(&team).to_owned();
                let kinds: Vec<_> = self.grants.revoke_account(&account).iter().map(|grant| grant.kind).collect();
                if loud && !kinds.is_empty() {
                    self.revoked(&account, &kinds);
                }
                json!({ "revoked": kinds.len() })
            }
            _ => return self.grants.administer(method, path, body).map(Outcome::Done),
        };
        Some(done.into())
    }

    /// Any webhook, with its answer.
    fn ordered(&self, team: &str, body: &Value) -> Outcome {
        let extra = &body["event"];
        let delivery = match body["kind"].as_str() {
            Some("url_verification") => {
                let mut order = json!({
                    "token": "deprecated-verification-token", "challenge": random(52), "type": "url_verification",
                });
                merge(&mut order, extra);
                self.json(&order)
            }
            Some("event") => self.json(&self.envelope(team, extra)),
            Some("ssl_check") => {
                Delivery { headers: Box::new(|_, _| vec![("content-type", FORM.to_owned())]), ..self.form(SSL_CHECK) }
            }
            Some("signed_ssl_check") => self.form(SSL_CHECK),
            Some("slash") => self.slash(team, extra),
            Some("interactive") => {
                let mut payload = json!({
                    "type": "block_actions", "api_app_id": APP_ID, "trigger_id": trigger(),
                    "team": { "id": team, "domain": "acme" },
                    "user": { "id": "U0GRACE0001", "username": "grace", "team_id": team },
                    "container": { "type": "message", "channel_id": "C0GENERAL01" },
                    "channel": { "id": "C0GENERAL01", "name": "general" },
                    "response_url": "https://hooks.slack.com/actions/T0SANDBOX/1/sandbox",
                    "actions": [{ "type": "button", "action_id": "approve", "block_id": "b1", "value": "yes" }],
                });
                merge(&mut payload, extra);
                self.form(&[("payload", &payload.to_string())])
            }
            _ => {
                let words = "kind is one of url_verification, ssl_check, signed_ssl_check, event, slash, interactive";
                return Outcome::Done(refusal(StatusCode::BAD_REQUEST, words));
            }
        };
        Outcome::Send(delivery)
    }

    fn slash(&self, team: &str, extra: &Value) -> Delivery {
        let mut command = json!({
            "token": "deprecated-verification-token", "team_id": team, "team_domain": "acme",
            "channel_id": "C0GENERAL01", "channel_name": "general", "user_id": "U0GRACE0001", "user_name": "grace",
            "command": "/sandbox", "text": "",
            "api_app_id": APP_ID, "is_enterprise_install": "false",
            "response_url": "https://hooks.slack.com/commands/T0SANDBOX/1/sandbox", "trigger_id": trigger(),
        });
        merge(&mut command, extra);
        let pairs: Vec<_> = command.as_object().into_iter().flatten().collect();
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default())).collect();
        self.form(&pairs)
    }

    fn form(&self, pairs: &[(&str, &str)]) -> Delivery {
        self.signed(FORM, form::encode(pairs.iter().copied()))
    }
}

/// Creates a channel or changes one; with the event that tells of it.
fn change_channel(workspace: &mut workspace::Workspace, id: Option<&str>, body: &Value) -> (Value, Option<Value>) {
    let id = id.or_else(|| body["id"].as_str());
    let bot = workspace.bot();
    let Some(channel) = workspace.channels.iter_mut().find(|channel| id.is_some_and(|id| channel["id"] == id)) else {
        let mut channel = workspace::channel(body);
        if let Some(id) = id {
            channel["id"] = id.into();
        }
        workspace.channels.push(channel.clone());
        let short = json!({
            "id": channel["id"], "name": channel["name"], "created": channel["created"], "creator": channel["creator"],
        });
        return (channel, Some(json!({ "type": "channel_created", "channel": short })));
    };
    let before = channel.clone();
    merge(channel, body);
    channel["updated"] = local_base::now().as_millisecond().into();
    let short = json!({ "id": channel["id"], "name": channel["name"], "created": channel["created"] });
    let event = if channel["name"] != before["name"] {
        channel["name_normalized"] = channel["name"].clone();
        let mut names = channel["previous_names"].as_array().cloned().unwrap_or_default();
        names.insert(0, before["name"].clone());
        channel["previous_names"] = names.into();
        Some(json!({ "type": "channel_rename", "channel": short }))
    } else if channel["is_archived"] != before["is_archived"] {
        let kind = if channel["is_archived"] == true { "channel_archive" } else { "channel_unarchive" };
        Some(json!({ "type": kind, "channel": channel["id"], "user": "U0ADA000001" }))
    } else if channel["is_member"] != before["is_member"] {
        let (joined, left) =
            ("member_joined_channel", if channel["is_private"] == true { "group_left" } else { "channel_left" });
        let kind = if channel["is_member"] == true { joined } else { left };
        let user = if kind == joined { bot.into() } else { Value::Null };
        Some(json!({ "type": kind, "channel": channel["id"], "user": user }))
    } else {
        None
    };
    (channel.clone(), event)
}

/// Creates a user or changes one; with the type of the event that tells of it.
fn change_user(workspace: &mut workspace::Workspace, id: Option<&str>, body: &Value) -> (Value, &'static str) {
    let id = id.or_else(|| body["id"].as_str());
    match workspace.users.iter_mut().find(|user| id.is_some_and(|id| user["id"] == id)) {
        Some(user) => {
            merge(user, body);
            user["updated"] = local_base::now().as_second().into();
            (user.clone(), "user_change")
        }
        None => {
            let mut user = workspace::user(workspace.id, body);
            if let Some(id) = id {
                user["id"] = id.into();
            }
            workspace.users.push(user.clone());
            (user, "team_join")
        }
    }
}

fn trigger() -> String {
    format!("398738663015.47445629121.{}", random(16))
}
