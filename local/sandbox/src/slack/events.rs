//! What Slack sends: events, slash commands, interactions; all signed.
//!
//! <https://docs.slack.dev/authentication/verifying-requests-from-slack>, <https://docs.slack.dev/apis/events-api>

use std::time::Duration;

use local_base::now;
use serde_json::{Map, Value, json};

use super::{APP_ID, Slack};
use crate::{
    deliver::{Delivery, To, hmac},
    opaque::capitals,
};

impl Slack {
    /// Sends an event, if the app is installed there and has the scope the event wants.
    pub(super) fn tell(&self, team: &str, scope: &str, event: &Value) {
        let may = self.grants.live(team).any(|grant| grant.scopes.iter().any(|granted| granted == scope));
        if may {
            self.outbox.send(self.json(&self.envelope(team, event)));
        }
    }

    /// Tells the app that it lost these kinds of tokens, and that it is gone if they were the last.
    pub(super) fn revoked(&self, team: &str, kinds: &[&str]) {
        let Some(workspace) = self.workspace(team) else { return };
        let bot: Vec<_> = kinds.iter().filter(|kind| **kind == "bot").map(|_| workspace.bot()).collect();
        let user: Vec<_> = kinds.iter().filter(|kind| **kind == "user").map(|_| workspace.installer()).collect();
        let lost = json!({ "type": "tokens_revoked", "tokens": { "oauth": user, "bot": bot } });
        self.outbox.send(self.json(&self.envelope(team, &lost)));
        if self.grants.live(team).next().is_none() {
            self.outbox.send(self.json(&self.envelope(team, &json!({ "type": "app_uninstalled" }))));
        }
    }

    /// An event as it is sent. Fields of the envelope in `event` under `envelope` replace the usual ones.
    pub(super) fn envelope(&self, team: &str, event: &Value) -> Value {
        let now = now();
        let mut event = event.clone();
        let special = event.as_object_mut().and_then(|event| event.remove("envelope"));
        if event["event_ts"].is_null() {
            event["event_ts"] = timestamp().into();
        }
        let bot = self.workspace(team).map(super::Workspace::bot);
        let authorization = json!({
            "enterprise_id": null, "team_id": team, "user_id": bot, "is_bot": true, "is_enterprise_install": false,
        });
        let mut envelope = json!({
            "token": "deprecated-verification-token", "team_id": team, "api_app_id": APP_ID, "event": event,
            "type": "event_callback", "event_id": format!("Ev{}", capitals(9)), "event_time": now.as_second(),
            "authorizations": [authorization], "is_ext_shared_channel": false, "event_context": capitals(24),
        });
        super::workspace::merge(&mut envelope, &special.unwrap_or_default());
        envelope
    }

    /// A message appears in a channel; `more` are its fields besides the usual ones.
    pub(super) fn say(
        &mut self,
        team: &str,
        channel: &Value,
        user: &str,
        text: &str,
        more: &Map<String, Value>,
    ) -> Value {
        let mut message = json!({ "type": "message", "user": user, "text": text, "ts": timestamp(), "team": team });
        for (name, value) in more {
            message[name] = value.clone();
        }
        if user.starts_with("U0BOT") {
            message["bot_id"] = "B0SANDBOX01".into();
            message["app_id"] = APP_ID.into();
        }
        let mut event = message.clone();
        event["channel"] = channel.clone();
        event["channel_type"] = "channel".into();
        event["event_ts"] = message["ts"].clone();
        self.tell(team, "channels:history", &event);
        if let Some(workspace) = self.workspaces.iter_mut().find(|workspace| workspace.id == team) {
            workspace.messages.push(event);
        }
        message
    }

    pub(super) fn json(&self, body: &Value) -> Delivery {
        self.signed("application/json", body.to_string())
    }

    /// A signed delivery: `v0=` and the hex HMAC-SHA256 of `v0:{timestamp}:{body}`.
    pub(super) fn signed(&self, content_type: &'static str, body: String) -> Delivery {
        let secret = self.app.webhook_secret.clone();
        let signed = body.clone();
        Delivery {
            to: To::App("/webhooks/slack"),
            headers: Box::new(move |attempt, now| {
                let time = now.as_second().to_string();
                let signature = format!("v0={}", hmac(&secret, &format!("v0:{time}:{signed}")));
                let mut headers = vec![
                    ("content-type", content_type.to_owned()),
                    ("x-slack-request-timestamp", time),
                    ("x-slack-signature", signature),
                ];
                if attempt > 1 {
                    headers.push(("x-slack-retry-num", (attempt - 1).to_string()));
                    headers.push(("x-slack-retry-reason", "http_error".to_owned()));
                }
                headers
            }),
            body: body.into(),
            patience: Duration::from_secs(3),
            again: |answer| !answer.status().is_success() && !answer.headers().contains_key("x-slack-no-retry"),
        }
    }
}

/// Slack's time with microseconds, which is also a message's id.
fn timestamp() -> String {
    let now = now();
    format!("{}.{:06}", now.as_second(), now.subsec_nanosecond() / 1000)
}
