//! Push channels: <https://developers.google.com/workspace/calendar/api/guides/push>.
//!
//! A notification has no body and no signature; its headers say that something changed, not what.

use std::time::Duration;

use http::StatusCode;
use hyper::body::Bytes;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use local_base::now;
use serde_json::{Value, json};

use super::Calendar;
use crate::{
    call::Reply,
    deliver::{Delivery, To},
    google::{caller::Caller, refusal::Refusal},
    opaque::fingerprint,
};

#[derive(Clone)]
pub(super) struct Channel {
    id: String,
    account: String,
    calendar: String,
    address: String,
    token: Option<String>,
    until: Timestamp,
    /// Of the latest message.
    number: u64,
}

impl Calendar {
    /// `events.watch`.
    pub(super) fn watch(&mut self, caller: &Caller, calendar: usize, wanted: &Value) -> Result<Reply, Refusal> {
        let text = |name: &str| wanted[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let id = text("id").filter(|id| id.len() <= 64);
        let id = id
            .ok_or_else(|| Refusal::bad("required", "entity.id: a channel id of at most 64 characters is required."))?;
        let now = now();
        if text("type").as_deref() != Some("web_hook") {
            return Err(Refusal::bad("channelUnknownDeliveryType", "Unknown channel type."));
        }
        if self.channels.iter().any(|channel| channel.id == id && channel.until > now) {
            return Err(Refusal::bad("channelIdNotUnique", &format!("Channel id {id} not unique")));
        }
        let address = text("address").ok_or_else(|| Refusal::bad("required", "Required: address"))?;
        // Google wants HTTPS; on this machine there is none.
        let local = ["http://localhost", "http://127.0.0.1"].iter().any(|start| address.starts_with(start));
        if !local && !address.starts_with("https://") {
            return Err(Refusal::bad("push.webhookUrlNotHttps", &format!("WebHook callback must be HTTPS: {address}")));
        }
        let longest = now + SignedDuration::from_secs(self.watch_life);
        let asked = wanted["expiration"].as_i64().or_else(|| wanted["expiration"].as_str()?.parse().ok());
        let until =
            asked.and_then(|time| Timestamp::from_millisecond(time).ok()).map_or(longest, |time| time.min(longest));
        let (account, calendar) = (caller.account.clone(), self.calendars[calendar].id.clone());
        let channel = Channel { id, account, calendar, address, token: text("token"), until, number: 1 };
        self.outbox.send(channel.notification("sync"));
        let mut answer = json!({
            "kind": "api#channel", "id": channel.id, "resourceId": channel.resource(), "resourceUri": channel.uri(),
            "expiration": channel.until.as_millisecond().to_string(),
        });
        if let Some(token) = &channel.token {
            answer["token"] = token.as_str().into();
        }
        self.channels.push(channel);
        Ok(Reply::json(StatusCode::OK, &answer))
    }

    /// `channels.stop`.
    pub(super) fn stop(&mut self, caller: &Caller, wanted: &Value) -> Result<Reply, Refusal> {
        let meant = |channel: &Channel| {
            wanted["id"] == *channel.id
                && wanted["resourceId"] == *channel.resource()
                && channel.account == caller.account
        };
        let place = self.channels.iter().position(meant).ok_or_else(|| Refusal {
            message: format!("Channel '{}' not found for project 'sandbox'", wanted["id"].as_str().unwrap_or_default()),
            ..Refusal::not_found()
        })?;
        self.channels.remove(place);
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    /// Tells the channels of a calendar that it changed.
    pub(super) fn push(&mut self, calendar: usize) {
        let (calendar, now) = (self.calendars[calendar].id.clone(), now());
        self.channels.retain(|channel| channel.until > now);
        for channel in self.channels.iter_mut().filter(|channel| channel.calendar == calendar) {
            // Numbers grow, and have gaps.
            channel.number += 3;
            self.outbox.send(channel.notification("exists"));
        }
    }

    /// The channels, for the controls.
    pub(super) fn open_channels(&self) -> Value {
        let open = self.channels.iter();
        open.map(|channel| {
            json!({
                "id": channel.id, "calendar": channel.calendar, "address": channel.address, "expiration": channel.until,
            })
        })
        .collect()
    }
}

impl Channel {
    /// The resource id, which all channels of a calendar share.
    fn resource(&self) -> String {
        format!("{}{}", fingerprint(&self.account), fingerprint(&self.calendar))
    }

    fn uri(&self) -> String {
        format!("https://www.googleapis.com/calendar/v3/calendars/{}/events?alt=json", self.calendar)
    }

    fn notification(&self, state: &'static str) -> Delivery {
        let channel = self.clone();
        Delivery {
            to: To::Address(self.address.clone()),
            headers: Box::new(move |_, _| {
                let mut headers = vec![
                    ("content-type", "application/json; utf-8".to_owned()),
                    ("x-goog-channel-id", channel.id.clone()),
                    ("x-goog-message-number", channel.number.to_string()),
                    ("x-goog-resource-id", channel.resource()),
                    ("x-goog-resource-state", state.to_owned()),
                    ("x-goog-resource-uri", channel.uri()),
                ];
                let expiration = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&channel.until);
                headers.extend(expiration.ok().map(|date| ("x-goog-channel-expiration", date)));
                headers.extend(channel.token.clone().map(|token| ("x-goog-channel-token", token)));
                headers
            }),
            body: Bytes::new(),
            patience: Duration::from_secs(10),
            again: |answer| matches!(answer.status().as_u16(), 500 | 502 | 503 | 504),
        }
    }
}
