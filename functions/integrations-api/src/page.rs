//! The pages for people, from compiled templates that escape what they show.

use std::collections::BTreeSet;

use askama::Template;
use domain::{
    Diagnosis, Problem, Proof, Reason,
    call::form,
    error::Kind,
    integration::status::{Connection, Status, StreamStatus},
    oauth::grant::OAuth,
};
use jiff::Timestamp;
use lambda_http::{
    Body, Response,
    http::{HeaderValue, header},
};
use platform::{
    base::clock,
    runtime::http::{Call, Notice, SETTINGS, failed, html_with_forms, see_other},
};
use providers::{Auth, Provider};
use secrecy::ExposeSecret as _;

use crate::{Answer, IntegrationsApi};

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage<'a> {
    cards: Vec<Card<'a>>,
    /// Left by the answer before; shown once, then its cookie is removed.
    notice: Option<&'a Notice>,
    /// Where the application is.
    application: Option<&'a str>,
    csrf: &'a str,
    now: Timestamp,
}

/// One integration, or a provider without one.
struct Card<'a> {
    status: &'a Status,
    /// Whether it is connected with a key.
    by_key: bool,
    /// What a person with a key must know.
    hint: &'static str,
    /// What was not allowed, in words.
    missing: Vec<&'a str>,
    /// What is wrong with the integration, unless a stream tells it.
    error: Option<&'a str>,
    /// What is wrong with single streams.
    failing: Vec<Failing<'a>>,
    /// Where webhooks of this integration alone go, if it can have a secret of its own.
    endpoint: Option<String>,
    /// Where the same account is connected again: with what was not allowed, or after the access ended.
    reconnect: String,
    /// Whether the way to connect another account stands here.
    another: bool,
    /// The field of the form with the key that has to be corrected, and why.
    wrong: Option<(&'a str, &'a str)>,
}

impl Card<'_> {
    /// The account's name for people; empty without an account.
    fn account(&self) -> &str {
        self.status.account.as_ref().map_or("", |account| &account.name)
    }

    /// Whether one of its forms has this field.
    fn has(&self, field: &str) -> bool {
        field == "api_key" || (field == "webhook_secret" && self.endpoint.is_some())
    }

    /// Why this field was refused.
    fn wrong(&self, field: &str) -> Option<&str> {
        self.wrong.filter(|(name, _)| *name == field).map(|(_, words)| words)
    }
}

/// A stream that was not read to its end.
struct Failing<'a> {
    stream: String,
    error: &'a str,
    next_try: Option<String>,
}

const ASSETS: &[(&str, &str, &str)] = &[
    ("icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
    ("style.css", "text/css; charset=utf-8", include_str!("../assets/style.css")),
];

impl IntegrationsApi {
    /// The status page.
    pub(crate) async fn page(&self, call: &Call<'_>) -> Answer {
        // The shortcut of local runs: the token moves from the address into a cookie. Never on a public host.
        if let Some(token) = call.query("session").filter(|_| call.is_loopback()) {
            let claims = self.front.sessions.claims(token).await?;
            return self.begin_session(call, &claims, see_other(SETTINGS)).await;
        }
        let caller = self.front.caller(call).await?;
        let providers: Vec<_> = self.registry.iter().collect();
        let statuses = self.of_caller(&caller, &providers).await?;
        let now = clock::now();
        let left = Notice::left(call);
        let mut notice = left.as_ref();
        let mut cards = Vec::with_capacity(statuses.len());
        for (place, status) in statuses.iter().enumerate() {
            let mut card = self.card(call, status, now);
            let next = statuses.get(place + 1);
            card.another = status.account.is_some() && next.is_none_or(|next| next.provider != status.provider);
            let of_card = notice.filter(|it| card.by_key && it.provider.as_deref() == Some(status.provider.as_str()));
            // At the first card that has the field; it is not told twice.
            if let Some(it) = of_card
                && let Some(field) = it.field.as_deref().filter(|field| card.has(field))
            {
                card.wrong = Some((field, &it.words));
                notice = None;
            }
            cards.push(card);
        }
        let csrf = caller.session.as_ref().map_or("", |session| session.csrf.expose_secret());
        let page = StatusPage { cards, notice, application: self.front.application(), csrf, now };
        let page = page.render().map_err(|error| {
            failed(&Diagnosis::new(Reason::Bug, format!("the status page can't be rendered: {error}")))
        })?;
        let mut response = html_with_forms(page);
        if left.is_some() {
            Notice::clear(&mut response, call);
        }
        Ok(response)
    }

    fn card<'a>(&self, call: &Call<'_>, status: &'a Status, now: Timestamp) -> Card<'a> {
        let spec = self.registry.find(status.provider).map(Provider::spec);
        let (by_key, hint) = match spec.map(|spec| &spec.auth) {
            Some(Auth::ApiKey(key)) => (true, key.hint),
            Some(Auth::OAuth(_)) | None => (false, ""),
        };
        let words = |scope: &'a String| {
            let oauth = spec.and_then(|spec| spec.auth.oauth());
            oauth.map_or(scope.as_str(), |oauth| oauth.allowed_by(scope))
        };
        let signs = spec.is_some_and(|spec| matches!(spec.webhook, Some(Proof::Signature(_))));
        let id = status.integration_id.as_ref().filter(|_| by_key && signs && status.connected);
        let endpoint = id.map(|id| format!("{}/webhooks/{}/{id}", self.front.own_origin(call), status.provider));
        let failing: Vec<_> = status.streams.iter().filter_map(|stream| failing(stream, now)).collect();
        let error = status.error.as_deref().filter(|error| failing.iter().all(|it| it.error != *error));
        let missing = status.scopes.missing.iter().map(words).collect();
        let reconnect = reconnect(status, spec.and_then(|spec| spec.auth.oauth()));
        Card { status, by_key, hint, missing, error, failing, endpoint, reconnect, another: false, wrong: None }
    }
}

/// Where an account is connected again: with every scope that it was asked for, so that none is lost.
fn reconnect(status: &Status, oauth: Option<&OAuth>) -> String {
    let asked = status.scopes.granted.iter().chain(&status.scopes.missing);
    let further = |oauth: &OAuth| {
        let known: BTreeSet<_> = asked.clone().filter_map(|scope| oauth.scope(scope)).collect();
        known.into_iter().filter(|scope| !oauth.scopes.contains(scope)).collect::<Vec<_>>().join(" ")
    };
    let scopes = oauth.map(further).unwrap_or_default();
    let account = status.account.as_ref().map(|account| ("account", account.id.as_str()));
    let scopes = Some(("scopes", scopes.as_str())).filter(|(_, scopes)| !scopes.is_empty());
    let query = form(account.into_iter().chain(scopes));
    let separator = if query.is_empty() { "" } else { "?" };
    format!("/connect/{}{separator}{query}", status.provider)
}

pub(crate) fn asset(file: &str) -> Answer {
    let found = ASSETS.iter().find(|(name, ..)| *name == file);
    let (_, content_type, content) =
        found.ok_or_else(|| Problem::new(Kind::NotFound, "There is no such file.", "Check the address."))?;
    let mut response = Response::new(Body::from(*content));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

fn failing(stream: &StreamStatus, now: Timestamp) -> Option<Failing<'_>> {
    let name = stream.name.replace('_', " ");
    let error = stream.error.as_deref()?;
    Some(Failing { stream: name, error, next_try: stream.next_try.map(|at| soon(at, now)) })
}

/// When something is tried again, as a span: a time of the clock would be of another time zone than the reader's.
fn soon(at: Timestamp, now: Timestamp) -> String {
    match at.duration_since(now).as_mins() {
        ..1 => "in a moment".to_owned(),
        1 => "in 1 minute".to_owned(),
        minutes @ 2..60 => format!("in {minutes} minutes"),
        60..120 => "in 1 hour".to_owned(),
        minutes => format!("in {} hours", minutes / 60),
    }
}

/// The colour of the badge.
fn tone(state: Connection) -> &'static str {
    match state {
        Connection::Connected => "good",
        Connection::ReconnectRequired => "bad",
        Connection::Disconnected | Connection::NeverConnected => "quiet",
    }
}

/// How long ago, in the words of people.
fn ago(at: Timestamp, now: Timestamp) -> String {
    let minutes = now.duration_since(at).as_mins();
    let some = |count: i64, unit: &str| format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" });
    match minutes {
        ..1 => "just now".to_owned(),
        1..60 => some(minutes, "minute"),
        60..1440 => some(minutes / 60, "hour"),
        _ => some(minutes / 1440, "day"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_say_them() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let words = |seconds: i64| ago(Timestamp::from_second(1_000_000 - seconds).unwrap(), now);
        assert_eq!(
            [words(-5), words(59), words(60), words(3599), words(7200), words(86_400)],
            ["just now", "just now", "1 minute ago", "59 minutes ago", "2 hours ago", "1 day ago"]
        );
        let words = |seconds: i64| soon(Timestamp::from_second(1_000_000 + seconds).unwrap(), now);
        assert_eq!(
            [words(-90), words(59), words(60), words(780), words(3600), words(7200)],
            ["in a moment", "in a moment", "in 1 minute", "in 13 minutes", "in 1 hour", "in 2 hours"]
        );
    }
}
