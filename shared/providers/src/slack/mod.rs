//! Slack.

mod actions;
mod errors;
mod event;
mod form;
mod limits;
mod method;
mod normalise;
mod pages;
mod scopes;

use std::{borrow::Cow, time::Duration};

use domain::{
    CredentialName, Event, NotAnEvent, Probe, Problem, ProviderId, Reply, Request, UserId,
    call::{Api, SuccessFlag, Unreadable},
    oauth::grant::{ClientAuth, OAuth, Revoke, RevokedBy, Token},
    webhook::{
        proof::Proof,
        signature::{Encoding, Scheme, SecretEncoding, SignedPart, TimeSource},
    },
};
use jiff::Timestamp;
use serde_json::{Value, value::RawValue};

use crate::{About, AccountSource, Auth, Identity, Organisation, Provider, Shared, Spec, Step, StreamPage, StreamSpec};

#[derive(Debug)]
pub(crate) struct Slack;

const FAILED: SuccessFlag = SuccessFlag { pointer: "/ok" };

static SPEC: Spec = Spec {
    id: ProviderId::of_data("slack"),
    name: "Slack",
    secret: "slack",
    // https://docs.slack.dev/authentication/installing-with-oauth and …/using-token-rotation, read 2026-11.
    auth: Auth::OAuth(OAuth {
        authorize: "https://slack.com/oauth/v2/authorize",
        token: "https://slack.com/api/oauth.v2.access",
        client_auth: ClientAuth::Form,
        // A list that asks for private channels too is refused without groups:read.
        scopes: &["channels:read", "groups:read", "chat:write", "users:read"],
        further_scopes: scopes::FURTHER,
        aliases: &[],
        identity_scopes: &[],
        // The workspace's id: https://docs.slack.dev/tools/node-slack-sdk/reference/oauth/interfaces/InstallURLOptions, read 2026-11.
        account_hint: Some("team"),
        account_choice: None,
        scope_labels: &[
            ("channels:read", "see the channels"),
            ("groups:read", "see the private channels that it is in"),
            ("chat:write", "post messages"),
            ("users:read", "see the people of the workspace"),
        ],
        scope_separator: ",",
        pkce: false,
        authorize_params: &[],
        issuer: None,
        access: Token { name: CredentialName::of_data("bot"), at: "", required: true },
        further_tokens: &[Token { name: CredentialName::of_data("user"), at: "/authed_user", required: false }],
        failed: Some(FAILED),
        terminal_errors: &["invalid_refresh_token", "token_revoked", "invalid_auth", "account_inactive"],
        // Tokens live for twelve hours.
        refresh_ahead: Duration::from_hours(2),
        revoke: Some(Revoke {
            url: "https://slack.com/api/auth.revoke",
            token: RevokedBy::Bearer,
            // A workspace has one bot of an app, whichever user installed it.
            whole_account: true,
        }),
    }),
    identity: Identity {
        place: AccountSource::Grant,
        id: "/team/id",
        name: &["/team/name"],
        service: None,
        // One token for all workspaces of the organisation, and `team` is null:
        // https://api.slack.com/enterprise/apps/reference, read 2026-11.
        organisation: Some(Organisation { flag: "/is_enterprise_install", id: "/enterprise/id" }),
        addressed: false,
    },
    api: Api {
        success_flag: Some(FAILED),
        codes: &["/error"],
        classes: errors::CLASSES,
        limits: limits::LIMITS,
        // https://docs.slack.dev/apis/web-api/#basics, read 2026-11: a token may stand in a form instead of the header.
        credential_parameters: &["token"],
        // https://docs.slack.dev/reference/methods/files.getUploadURLExternal, read 2026-11.
        uploads: Some("https://files.slack.com/upload/v1"),
        ..Api::new("https://slack.com/api")
    },
    // https://docs.slack.dev/authentication/verifying-requests-from-slack, read 2026-11.
    webhook: Some(Proof::Signature(Scheme {
        header: "x-slack-signature",
        separator: None,
        prefix: "v0=",
        encoding: Encoding::Hex,
        key: SecretEncoding::Text,
        content: &[SignedPart::Text("v0:"), SignedPart::Time, SignedPart::Text(":"), SignedPart::Body],
        time: Some(TimeSource::Header("x-slack-request-timestamp")),
    })),
    // Slash commands and interactivity.
    forms: true,
    // https://docs.slack.dev/interactivity/implementing-slash-commands, read 2026-11. The check of an address's certificate has no
    // signature (https://github.com/slackapi/bolt-js/issues/1397); every other form has a command or a payload.
    probe: Some(Probe { field: "ssl_check", value: "1", never_with: &["command", "payload"] }),
    retry_header: Some("x-slack-retry-num"),
    // Lists are of the bot, and a workspace has one bot of an app, whichever user installed it.
    // https://docs.slack.dev/reference/events/channel_deleted and …/group_deleted, read 2026-11. Users are never deleted.
    streams: &[
        StreamSpec {
            name: "channels",
            incremental: false,
            clock: normalise::CLOCK,
            ends: &["channel_deleted", "group_deleted"],
            skips_known: false,
            shared_by: Some(Shared::Installation),
        },
        StreamSpec {
            name: "users",
            incremental: false,
            clock: normalise::CLOCK,
            ends: &[],
            skips_known: false,
            shared_by: Some(Shared::Installation),
        },
    ],
    watching: None,
    actions: &["post_message", "list_channels"],
};

impl Provider for Slack {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn account<'a>(&self, body: &'a str) -> Option<Cow<'a, str>> {
        event::account(body).map(Cow::Owned)
    }

    fn handshake(&self, body: &str) -> Option<String> {
        event::challenge(body)
    }

    fn event<'a>(&self, body: &'a RawValue, received_at: Timestamp) -> Result<Event<'a>, NotAnEvent> {
        event::read(body, received_at)
    }

    fn page_request(&self, stream: &str, position: &Value) -> Result<Request, Unreadable> {
        pages::request(stream, pages::cursor(position).as_deref())
    }

    fn page(
        &self,
        stream: &str,
        position: &Value,
        reply: &Reply,
        asked_at: Timestamp,
    ) -> Result<StreamPage, Unreadable> {
        pages::page(stream, position, reply, asked_at)
    }

    fn again(&self, stream: &str, id: &str, asked_at: Timestamp) -> Option<(Request, domain::Change)> {
        pages::one(stream, id, asked_at)
    }

    fn detail(&self, stream: &str, reply: &Reply, asked_at: Timestamp) -> Result<domain::Change, Unreadable> {
        pages::read_one(stream, reply, asked_at)
    }

    /// Slack does not keep cursors for ever.
    fn about(&self, _stream: &str, position: &Value) -> About {
        About::list(pages::cursor(position).is_some())
    }

    fn action(&self, name: &str, input: &Value, _user_id: &UserId) -> Result<Request, Problem> {
        actions::first(name, input)
    }

    fn action_step(&self, name: &str, _input: &Value, gathered: &mut Value, reply: &Reply) -> Result<Step, Unreadable> {
        actions::step(name, gathered, reply)
    }
}
