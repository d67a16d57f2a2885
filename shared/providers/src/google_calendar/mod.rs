//! Google Calendar.

mod actions;
mod event;
mod limits;
mod normalise;
mod pages;
mod watch;

use std::{borrow::Cow, time::Duration};

use domain::{
    Event, NotAnEvent, Problem, ProviderId, Reply, Request, UserId,
    call::Unreadable,
    webhook::proof::{ChannelToken, Proof},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    About, Auth, Identity, Provider, Service, Spec, Step, StreamPage, StreamSpec, Watch, WatchPlan, Watching, google,
};

#[derive(Debug)]
pub(crate) struct GoogleCalendar;

/// Scopes that may be asked for besides the usual one.
const FURTHER_SCOPES: &[&str] = &[
    "https://www.googleapis.com/auth/userinfo.profile",
    "https://www.googleapis.com/auth/calendar",
    "https://www.googleapis.com/auth/calendar.acls",
    "https://www.googleapis.com/auth/calendar.acls.readonly",
    "https://www.googleapis.com/auth/calendar.addons.current.event.read",
    "https://www.googleapis.com/auth/calendar.addons.current.event.write",
    "https://www.googleapis.com/auth/calendar.addons.execute",
    "https://www.googleapis.com/auth/calendar.app.created",
    "https://www.googleapis.com/auth/calendar.calendarlist",
    "https://www.googleapis.com/auth/calendar.calendarlist.readonly",
    "https://www.googleapis.com/auth/calendar.calendars",
    "https://www.googleapis.com/auth/calendar.calendars.readonly",
    "https://www.googleapis.com/auth/calendar.events",
    "https://www.googleapis.com/auth/calendar.events.freebusy",
    "https://www.googleapis.com/auth/calendar.events.owned",
    "https://www.googleapis.com/auth/calendar.events.owned.readonly",
    "https://www.googleapis.com/auth/calendar.events.public.readonly",
    "https://www.googleapis.com/auth/calendar.events.readonly",
    "https://www.googleapis.com/auth/calendar.freebusy",
    "https://www.googleapis.com/auth/calendar.settings.readonly",
];

static SPEC: Spec = Spec {
    id: ProviderId::of_data("google-calendar"),
    name: "Google Calendar",
    secret: "google",
    auth: Auth::OAuth(google::oauth(
        &[google::OPENID, google::EMAIL, "https://www.googleapis.com/auth/calendar.readonly"],
        FURTHER_SCOPES,
    )),
    identity: Identity {
        // The primary calendar's id is the account's address.
        service: Some(Service { path: "/users/me/calendarList/primary", name: "/id", absent: &["notACalendarUser"] }),
        ..google::IDENTITY
    },
    api: google::api("https://www.googleapis.com/calendar/v3", limits::LIMITS),
    // https://developers.google.com/workspace/calendar/api/guides/push, read 2026-11: no signature, an empty body.
    webhook: Some(Proof::ChannelToken(ChannelToken {
        token: "x-goog-channel-token",
        channel: "x-goog-channel-id",
        forwarded_headers: &[
            ("x-goog-resource-id", "resource_id"),
            ("x-goog-resource-state", "state"),
            ("x-goog-message-number", "message_number"),
        ],
    })),
    forms: false,
    probe: None,
    retry_header: None,
    streams: &[StreamSpec {
        name: "events",
        incremental: true,
        clock: normalise::CLOCK,
        ends: &[],
        skips_known: false,
        shared_by: None,
    }],
    watching: Some(Watching { stream: "events", life: Duration::from_hours(7 * 24), most: 50, channels: true }),
    actions: &["list_events"],
};

impl Provider for GoogleCalendar {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn account<'a>(&self, body: &'a str) -> Option<Cow<'a, str>> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow)]
            account: Option<Cow<'a, str>>,
        }
        serde_json::from_str::<Head<'_>>(body).ok()?.account
    }

    fn handshake(&self, body: &str) -> Option<String> {
        event::is_first(body).then(String::new)
    }

    fn event<'a>(&self, body: &'a RawValue, received_at: Timestamp) -> Result<Event<'a>, NotAnEvent> {
        event::read(body, received_at)
    }

    fn begin(&self, _stream: &str, cursor: Option<&Value>, _now: Timestamp) -> Option<Value> {
        pages::begin(cursor)
    }

    fn begin_part(&self, _stream: &str, cursor: &Value, part: &str) -> Option<Value> {
        pages::begin_part(cursor, part)
    }

    fn page_request(&self, _stream: &str, position: &Value) -> Result<Request, Unreadable> {
        pages::request(position)
    }

    fn page(
        &self,
        _stream: &str,
        position: &Value,
        reply: &Reply,
        asked_at: Timestamp,
    ) -> Result<StreamPage, Unreadable> {
        pages::page(position, reply, asked_at)
    }

    fn restart(&self, _stream: &str, before: Option<&Value>, _now: Timestamp) -> Value {
        pages::restart(before)
    }

    fn without_gone(&self, _stream: &str, cursor: &Value, found: &Value) -> Value {
        pages::without_gone(cursor, found)
    }

    fn about(&self, _stream: &str, position: &Value) -> About {
        pages::about(position)
    }

    fn watched(&self, cursor: &Value) -> Vec<String> {
        pages::watched(cursor)
    }

    fn watch(&self, plan: &WatchPlan<'_>) -> Option<Request> {
        Some(watch::start(plan))
    }

    fn watch_started(&self, plan: &WatchPlan<'_>, reply: &Reply) -> Result<Watch, Unreadable> {
        watch::started(plan, reply)
    }

    fn unwatch(&self, watch: &Watch) -> Option<Request> {
        Some(watch::stop(watch))
    }

    fn action(&self, _name: &str, input: &Value, _user_id: &UserId) -> Result<Request, Problem> {
        actions::list_events(input, None)
    }

    fn action_step(&self, _name: &str, input: &Value, gathered: &mut Value, reply: &Reply) -> Result<Step, Unreadable> {
        actions::listed(input, gathered, reply)
    }
}
