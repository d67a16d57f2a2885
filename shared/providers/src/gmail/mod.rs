//! Gmail.

mod actions;
mod event;
mod labels;
mod limits;
mod mail;
mod normalise;
mod pages;
mod watch;

use std::{borrow::Cow, time::Duration};

use domain::{
    Change, Event, NotAnEvent, Problem, ProviderId, Reply, Request, UserId,
    call::{Api, Unreadable},
    webhook::proof::{IdToken, Proof},
};
use jiff::Timestamp;
use serde_json::{Value, value::RawValue};

use crate::{
    About, Auth, Identity, Provider, Service, Spec, Step, StreamPage, StreamSpec, TagsPage, Watch, WatchPlan, Watching,
    google,
};

#[derive(Debug)]
pub(crate) struct Gmail;

/// Scopes that may be asked for besides the usual ones.
const FURTHER_SCOPES: &[&str] = &[
    "https://www.googleapis.com/auth/userinfo.profile",
    "https://mail.google.com/",
    "https://www.googleapis.com/auth/gmail.addons.current.action.compose",
    "https://www.googleapis.com/auth/gmail.addons.current.message.action",
    "https://www.googleapis.com/auth/gmail.addons.current.message.metadata",
    "https://www.googleapis.com/auth/gmail.addons.current.message.readonly",
    "https://www.googleapis.com/auth/gmail.compose",
    "https://www.googleapis.com/auth/gmail.insert",
    "https://www.googleapis.com/auth/gmail.labels",
    "https://www.googleapis.com/auth/gmail.metadata",
    "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/gmail.settings.basic",
    "https://www.googleapis.com/auth/gmail.settings.sharing",
];

static SPEC: Spec = Spec {
    id: ProviderId::of_data("gmail"),
    name: "Gmail",
    secret: "google",
    auth: Auth::OAuth(google::oauth(
        &[
            google::OPENID,
            google::EMAIL,
            "https://www.googleapis.com/auth/gmail.readonly",
            "https://www.googleapis.com/auth/gmail.send",
        ],
        FURTHER_SCOPES,
    )),
    identity: Identity {
        // "Mail service not enabled": https://developers.google.com/workspace/gmail/api/guides/handle-errors, read 2026-11.
        service: Some(Service {
            path: "/users/me/profile",
            name: "/emailAddress",
            absent: &["failedPrecondition", "FAILED_PRECONDITION"],
        }),
        // https://developers.google.com/workspace/gmail/api/guides/push, read 2026-11.
        addressed: true,
        ..google::IDENTITY
    },
    api: Api {
        uploads: Some("https://gmail.googleapis.com/upload/gmail/v1"),
        ..google::api("https://gmail.googleapis.com/gmail/v1", limits::LIMITS)
    },
    // https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions, read 2026-11.
    webhook: Some(Proof::IdToken(IdToken {
        issuers: &["https://accounts.google.com", "accounts.google.com"],
        jwks: "https://www.googleapis.com/oauth2/v3/certs",
    })),
    forms: false,
    probe: None,
    retry_header: None,
    // A message changes in its labels only, and the history tells of each change of these.
    streams: &[StreamSpec {
        name: "messages",
        incremental: true,
        clock: normalise::CLOCK,
        ends: &[],
        skips_known: true,
        shared_by: None,
    }],
    // Google asks to renew daily; a watch lives for at most seven days.
    watching: Some(Watching { stream: "messages", life: Duration::from_hours(24), most: 1, channels: false }),
    actions: &["send_email"],
};

impl Provider for Gmail {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn account<'a>(&self, body: &'a str) -> Option<Cow<'a, str>> {
        event::account(body).map(Cow::Owned)
    }

    fn event<'a>(&self, body: &'a RawValue, received_at: Timestamp) -> Result<Event<'a>, NotAnEvent> {
        event::read(body, received_at)
    }

    fn begin(&self, _stream: &str, cursor: Option<&Value>, _now: Timestamp) -> Option<Value> {
        pages::begin(cursor)
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

    fn detail(&self, _stream: &str, reply: &Reply, asked_at: Timestamp) -> Result<Change, Unreadable> {
        normalise::message(&reply.json()?, asked_at).ok_or(Unreadable("a message without id or place"))
    }

    fn meanwhile(&self, _stream: &str, position: &Value) -> Option<Value> {
        pages::meanwhile(position)
    }

    fn about(&self, _stream: &str, position: &Value) -> About {
        pages::about(position)
    }

    fn again(&self, _stream: &str, id: &str, asked_at: Timestamp) -> Option<(Request, Change)> {
        pages::again(id, asked_at)
    }

    fn tags_request(&self, _stream: &str, position: &Value) -> Result<Request, Unreadable> {
        labels::request(position)
    }

    fn tags_page(&self, _stream: &str, position: &Value, reply: &Reply) -> Result<TagsPage, Unreadable> {
        labels::page(position, reply)
    }

    fn tags<'d>(&self, _stream: &str, data: &'d Value) -> Vec<&'d str> {
        labels::of(data)
    }

    fn watched(&self, _cursor: &Value) -> Vec<String> {
        vec!["mailbox".to_owned()]
    }

    fn watch(&self, plan: &WatchPlan<'_>) -> Option<Request> {
        watch::start(plan)
    }

    fn watch_started(&self, plan: &WatchPlan<'_>, reply: &Reply) -> Result<Watch, Unreadable> {
        watch::started(plan, reply)
    }

    fn watch_remedy(&self, refusal: &Reply) -> Option<Request> {
        watch::remedy(refusal)
    }

    fn unwatch(&self, _watch: &Watch) -> Option<Request> {
        Some(watch::stop())
    }

    fn action(&self, _name: &str, input: &Value, _user_id: &UserId) -> Result<Request, Problem> {
        actions::send_email(input)
    }

    fn action_step(
        &self,
        _name: &str,
        _input: &Value,
        _gathered: &mut Value,
        reply: &Reply,
    ) -> Result<Step, Unreadable> {
        actions::sent(reply)
    }
}
