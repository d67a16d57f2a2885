//! Google's consent and tokens, and Calendar, as an app sees them.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    form,
    opaque::challenge,
    tests::{CALLBACK, Stage},
};

const CALENDAR: &str = "https://www.googleapis.com/auth/calendar";
const READ_ONLY: &str = "https://www.googleapis.com/auth/calendar.readonly";

impl Stage {
    pub(crate) fn google(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.url("google"))
    }

    pub(crate) async fn choose(&self, more: &[(&str, &str)], granted: &[&str]) -> BTreeMap<String, String> {
        let asked =
            [("client_id", "google-app"), ("redirect_uri", CALLBACK), ("response_type", "code"), ("state", "s1")];
        let asked = [&asked, more].concat();
        let scopes: Vec<_> = granted.iter().map(|scope| ("scope", *scope)).collect();
        let chosen = [&[("decision", "allow"), ("account", "ada@example.com")], scopes.as_slice()].concat();
        // As in a browser: the page is asked with all scopes, the form has those that stayed checked.
        let url = self.google("/o/oauth2/v2/auth");
        let page = form::link(&url, &[&asked, [("scope", granted.join(" ").as_str())].as_slice()].concat());
        assert_eq!(self.send(Method::GET, &page, &[], String::new()).await.unwrap().status(), 200);
        self.consent_form(&url, &[&asked, chosen.as_slice()].concat()).await
    }

    pub(crate) async fn token(&self, pairs: &[(&str, &str)]) -> (u16, Value) {
        let client = [("client_id", "google-app"), ("client_secret", "google-app-secret")];
        self.form(&self.google("/token"), "", &[&client, pairs].concat()).await
    }

    pub(crate) async fn connected(&self, scopes: &[&str]) -> Value {
        let code =
            self.choose(&[("access_type", "offline"), ("prompt", "consent")], scopes).await.remove("code").unwrap();
        let pairs = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
        let (status, answer) = self.token(&pairs).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn access(&self, scope: &str) -> String {
        self.connected(&[scope]).await["access_token"].as_str().unwrap().to_owned()
    }

    async fn events(&self, token: &str, query: &[(&str, &str)]) -> (u16, Value) {
        self.get(&form::link(&self.google("/calendar/v3/calendars/primary/events"), query), token).await
    }

    /// All pages: the events' summaries and states, and the sync token.
    async fn sync(&self, token: &str, query: &[(&str, &str)]) -> (Vec<String>, String) {
        let (mut events, mut page_token) = (Vec::new(), None::<String>);
        loop {
            let mut query = query.to_vec();
            query.extend(page_token.as_deref().map(|token| ("pageToken", token)));
            let (status, page) = self.events(token, &query).await;
            assert_eq!(status, 200, "{page}");
            let items = page["items"].as_array().unwrap();
            events.extend(items.iter().map(|event| event["summary"].as_str().unwrap_or("cancelled").to_owned()));
            assert!(
                page["nextPageToken"].is_null() || page["nextSyncToken"].is_null(),
                "the last page has the sync token"
            );
            page_token = page["nextPageToken"].as_str().map(str::to_owned);
            if page_token.is_none() {
                return (events, page["nextSyncToken"].as_str().unwrap_or_default().to_owned());
            }
        }
    }
}

#[tokio::test]
async fn a_verifier_must_fit_and_a_code_works_once() {
    let stage = Stage::start().await;
    let fit = challenge("right");
    let more = [("access_type", "offline"), ("code_challenge", fit.as_str()), ("code_challenge_method", "S256")];
    let back = stage.choose(&more, &[CALENDAR]).await;
    assert_eq!((back["iss"].as_str(), back["state"].as_str()), ("https://accounts.google.com", "s1"));
    let with = |verifier| {
        [
            ("grant_type", "authorization_code"),
            ("code", back["code"].as_str()),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier),
        ]
    };
    let (status, refused) = stage.token(&with("wrong")).await;
    assert_eq!(
        (status, refused),
        (400, json!({ "error": "invalid_grant", "error_description": "Invalid code verifier." }))
    );
    assert_eq!(stage.token(&with("")).await.1["error_description"], "Missing code verifier.");
    let (_, granted) = stage.token(&with("right")).await;
    assert_eq!(json!([granted["expires_in"], granted["token_type"]]), json!([3599, "Bearer"]));
    assert_eq!(
        stage.token(&with("right")).await,
        (400, json!({ "error": "invalid_grant", "error_description": "Bad Request" }))
    );
}

#[tokio::test]
async fn a_client_must_authenticate_with_a_form() {
    let stage = Stage::start().await;
    let url = stage.google("/token");
    let pairs = [("client_id", "google-app"), ("client_secret", "guess"), ("grant_type", "refresh_token")];
    let (status, refused) = stage.form(&url, "", &pairs).await;
    assert_eq!((status, &refused["error"]), (401, &json!("invalid_client")));
    let (status, refused) = stage.json(Method::POST, &url, "", &json!({ "grant_type": "refresh_token" })).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_request")));
}

#[tokio::test]
async fn a_refresh_keeps_the_refresh_token_until_the_account_is_revoked() {
    let stage = Stage::start().await;
    let first = stage.connected(&[CALENDAR]).await;
    let second = stage.connected(&["https://www.googleapis.com/auth/gmail.readonly"]).await;
    let refresh = async |of: &Value| {
        stage.token(&[("grant_type", "refresh_token"), ("refresh_token", of["refresh_token"].as_str().unwrap())]).await
    };
    for _ in 0..2 {
        let (status, answer) = refresh(&first).await;
        assert_eq!((status, &answer["refresh_token"]), (200, &Value::Null));
    }
    let token = first["access_token"].as_str().unwrap();
    assert_eq!(stage.form(&stage.google("/revoke"), "", &[("token", token)]).await, (200, json!({})));
    let (status, refused) = refresh(&second).await;
    assert_eq!(
        (status, &refused["error"]),
        (400, &json!("invalid_grant")),
        "the account's other grant is revoked, too"
    );
    assert_eq!(stage.form(&stage.google("/revoke"), "", &[("token", token)]).await.1["error"], "invalid_token");
    assert_eq!(stage.events(token, &[]).await.0, 401);
}

#[tokio::test]
async fn a_user_may_grant_less_and_the_api_says_what_is_lacking() {
    let stage = Stage::start().await;
    let granted = stage.connected(&[READ_ONLY]).await;
    assert_eq!(granted["scope"], READ_ONLY);
    let token = granted["access_token"].as_str().unwrap();
    let url = stage.google("/calendar/v3/calendars/primary/events");
    let (status, refused) = stage.json(Method::POST, &url, token, &json!({})).await;
    assert_eq!((status, &refused["error"]["errors"][0]["reason"]), (403, &json!("insufficientPermissions")));
    stage
        .control(Method::POST, stage.sandbox.url("google"), "tokens/expire", &json!({ "account": "ada@example.com" }))
        .await;
    let (status, expired) = stage.events(token, &[]).await;
    assert_eq!((status, &expired["error"]["status"]), (401, &json!("UNAUTHENTICATED")));
}

#[tokio::test]
async fn without_consent_asked_again_only_the_first_grant_has_a_refresh_token() {
    let stage = Stage::start().await;
    let mut refresh_tokens = Vec::new();
    for _ in 0..2 {
        let code = stage.choose(&[("access_type", "offline")], &[CALENDAR]).await.remove("code").unwrap();
        let pairs = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
        refresh_tokens.push(stage.token(&pairs).await.1["refresh_token"].is_string());
    }
    assert_eq!(refresh_tokens, [true, false]);
}

#[tokio::test]
async fn the_list_names_all_calendars_and_primary_is_the_account() {
    let stage = Stage::start().await;
    let token = stage.access(CALENDAR).await;
    let url = stage.google("/calendar/v3/users/me/calendarList?maxResults=1");
    let (_, first) = stage.get(&url, &token).await;
    let next = form::link(&url, &[("pageToken", first["nextPageToken"].as_str().unwrap())]);
    let (_, second) = stage.get(&next, &token).await;
    assert_eq!(json!([first["items"][0]["id"], first["items"][0]["primary"]]), json!(["ada@example.com", true]));
    assert_eq!(second["items"][0]["id"], "team@group.calendar.google.com");
    let next = form::link(&url, &[("pageToken", second["nextPageToken"].as_str().unwrap())]);
    let (_, third) = stage.get(&next, &token).await;
    assert_eq!(third["items"][0]["id"], "en.uk#holiday@group.v.calendar.google.com");
    assert!(third["nextPageToken"].is_null());
    for (path, kind) in
        [("calendars/primary", "calendar#calendar"), ("users/me/calendarList/primary", "calendar#calendarListEntry")]
    {
        let calendar = stage.get(&stage.google(&format!("/calendar/v3/{path}")), &token).await.1;
        assert_eq!(json!([calendar["kind"], calendar["id"]]), json!([kind, "ada@example.com"]));
    }
    assert_eq!(stage.get(&stage.google("/calendar/v3/calendars/grace@example.com"), &token).await.0, 404);
}

#[tokio::test]
async fn a_sync_token_brings_what_changed_since_the_list_was_begun() {
    let stage = Stage::start().await;
    let token = stage.access(CALENDAR).await;
    let between =
        json!({ "method": "POST", "path": "events/primary", "body": { "summary": "Between", "id": "between0" } });
    let order = json!({ "match": "GET /calendar/v3/calendars/primary/events", "then": between });
    stage.control(Method::POST, stage.sandbox.url("google"), "between_pages", &order).await;
    let (all, sync) = stage.sync(&token, &[("maxResults", "3")]).await;
    assert_eq!(all, ["Breakfast", "Dentist", "Call with Grace", "Lunch", "Between"]);
    let (changed, sync) = stage.sync(&token, &[("syncToken", &sync)]).await;
    assert_eq!(changed, ["Between"], "it changed while the list was read, so it is told again");

    let url = stage.google("/calendar/v3/calendars/primary/events/between0");
    let (_, event) = stage.json(Method::PATCH, &url, &token, &json!({ "summary": "Later" })).await;
    assert_eq!(event["sequence"], 1);
    let (changed, sync) = stage.sync(&token, &[("syncToken", &sync)]).await;
    assert_eq!(changed, ["Later"]);
    assert_eq!(stage.json(Method::DELETE, &url, &token, &json!({})).await.0, 204);
    assert_eq!(stage.json(Method::DELETE, &url, &token, &json!({})).await.0, 410);
    let (changed, sync) = stage.sync(&token, &[("syncToken", &sync)]).await;
    assert_eq!(changed, ["cancelled"]);
    assert_eq!(stage.sync(&token, &[("syncToken", &sync)]).await.0, Vec::<String>::new());
    assert_eq!(stage.events(&token, &[("syncToken", &sync), ("timeMin", "2026-01-01T00:00:00Z")]).await.0, 400);

    stage.control(Method::POST, stage.sandbox.url("google"), "expire_sync_tokens", &json!({})).await;
    let (status, gone) = stage.events(&token, &[("syncToken", &sync)]).await;
    assert_eq!((status, &gone["error"]["errors"][0]["reason"]), (410, &json!("fullSyncRequired")));
    assert_eq!(stage.sync(&token, &[]).await.0.len(), 4);
}

#[tokio::test]
async fn lists_can_be_restricted_and_sorted() {
    let stage = Stage::start().await;
    let token = stage.access(CALENDAR).await;
    let tomorrow = (local_base::now() + jiff::SignedDuration::from_hours(36)).to_string();
    let (later, _) = stage
        .sync(
            &token,
            &[("timeMin", &tomorrow), ("singleEvents", "true"), ("orderBy", "startTime"), ("maxResults", "1")],
        )
        .await;
    assert!(later.ends_with(&["Lunch".to_owned()]) && later.len() < 4, "{later:?}");
    assert_eq!(stage.events(&token, &[("orderBy", "startTime")]).await.0, 400);
    assert_eq!(stage.sync(&token, &[("q", "dent")]).await.0, ["Dentist"]);
}

#[tokio::test]
async fn an_event_with_a_chosen_id_is_made_once() {
    let stage = Stage::start().await;
    let token = stage.access(CALENDAR).await;
    let url = stage.google("/calendar/v3/calendars/primary/events");
    let at = |hour| json!({ "dateTime": format!("2026-12-01T{hour}:00:00Z") });
    let event = json!({ "id": "chosen01", "summary": "Party", "start": at(18), "end": at(22) });
    assert_eq!(stage.json(Method::POST, &url, &token, &event).await.1["id"], "chosen01");
    assert_eq!(stage.json(Method::POST, &url, &token, &event).await.0, 409);
    let (status, refused) = stage.json(Method::POST, &url, &token, &json!({ "start": at(18) })).await;
    assert_eq!((status, &refused["error"]["errors"][0]["message"]), (400, &json!("Missing end time.")));
}

#[tokio::test]
async fn a_channel_is_notified_of_its_start_and_of_changes_until_it_is_stopped() {
    let mut stage = Stage::start().await;
    let token = stage.access(CALENDAR).await;
    let url = stage.google("/calendar/v3/calendars/primary/events/watch");
    let address = format!("{}/webhooks/google-calendar", stage.app_url);
    let order = json!({ "id": "channel-1", "type": "web_hook", "address": address, "token": "t1" });
    let (_, channel) = stage.json(Method::POST, &url, &token, &order).await;
    assert_eq!(json!([channel["kind"], channel["id"], channel["token"]]), json!(["api#channel", "channel-1", "t1"]));
    assert_eq!(stage.json(Method::POST, &url, &token, &order).await.0, 400, "an id is used once");
    let start = stage.received().await;
    assert_eq!((start.header("x-goog-resource-state"), start.header("x-goog-message-number")), ("sync", "1"));

    stage.answers(&[StatusCode::SERVICE_UNAVAILABLE]);
    stage.control(Method::POST, stage.sandbox.url("google"), "events/primary", &json!({ "summary": "New" })).await;
    let (first, again) = (stage.received().await, stage.received().await);
    assert_eq!(first.path, "/webhooks/google-calendar");
    assert!(first.body.is_empty());
    let headers = ["x-goog-channel-id", "x-goog-channel-token", "x-goog-resource-state", "x-goog-resource-id"];
    let expected = ["channel-1", "t1", "exists", channel["resourceId"].as_str().unwrap()];
    assert_eq!(headers.map(|name| first.header(name)), expected);
    assert_eq!(first.header("x-goog-message-number"), again.header("x-goog-message-number"));
    assert!(first.header("x-goog-channel-expiration").ends_with(" GMT"));

    let stop = json!({ "id": "channel-1", "resourceId": channel["resourceId"] });
    let url = stage.google("/calendar/v3/channels/stop");
    assert_eq!(stage.json(Method::POST, &url, &token, &stop).await.0, 204);
    assert_eq!(stage.json(Method::POST, &url, &token, &stop).await.0, 404);
    let open = stage.control(Method::GET, stage.sandbox.url("google"), "channels", &Value::Null).await;
    assert_eq!(open, json!([]));
}

#[tokio::test]
async fn an_account_can_be_given_one_more_calendar() {
    let stage = Stage::start().await;
    let token = stage.access(CALENDAR).await;
    let order = json!({ "calendar_id": "plans@group.calendar.google.com", "summary": "Plans" });
    stage.control(Method::POST, stage.sandbox.url("google"), "calendars", &order).await;
    let again = format!("{}/_admin/calendars", stage.sandbox.url("google"));
    assert_eq!(stage.json(Method::POST, &again, "", &order).await.0, 409);
    let (_, list) = stage.get(&stage.google("/calendar/v3/users/me/calendarList"), &token).await;
    let last = list["items"].as_array().unwrap().last().unwrap();
    assert_eq!(json!([last["id"], last["summary"]]), json!([order["calendar_id"], "Plans"]));
    let path = "events/plans@group.calendar.google.com";
    stage.control(Method::POST, stage.sandbox.url("google"), path, &json!({ "summary": "Move" })).await;
    let url = stage.google("/calendar/v3/calendars/plans@group.calendar.google.com/events");
    assert_eq!(stage.get(&url, &token).await.1["items"][0]["summary"], "Move");
}
