//! Slack, as an app sees it.

mod files;

use std::collections::BTreeMap;

use domain::webhook::signature::{Encoding, Scheme, SecretEncoding, SignedPart, TimeSource};
use http::{Method, StatusCode};
use local_base::now;
use serde_json::{Value, json};

use crate::{
    deliver::hmac,
    opaque::challenge,
    tests::{CALLBACK, Received, SECRET, Stage},
};

const SCOPES: &str = "channels:read,channels:history,chat:write,users:read";

impl Stage {
    fn slack(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.url("slack"))
    }

    async fn ask(&self, scope: &str, more: &[(&str, &str)], decision: &str) -> BTreeMap<String, String> {
        let asked = [("client_id", "slack-app"), ("scope", scope), ("redirect_uri", CALLBACK), ("state", "s1")];
        let asked = [&asked, more].concat();
        let chosen = [("decision", decision), ("account", "T0SANDBOX")];
        self.consent(&self.slack("/oauth/v2/authorize"), &asked, &chosen).await
    }

    async fn exchange(&self, pairs: &[(&str, &str)]) -> Value {
        let client = [("client_id", "slack-app"), ("client_secret", "slack-app-secret")];
        let (status, answer) = self.form(&self.slack("/api/oauth.v2.access"), "", &[&client, pairs].concat()).await;
        assert_eq!(status, 200);
        answer
    }

    async fn installed(&self, scope: &str) -> Value {
        let back = self.ask(scope, &[], "allow").await;
        let answer = self.exchange(&[("code", &back["code"]), ("redirect_uri", CALLBACK)]).await;
        assert_eq!(answer["ok"], true, "{answer}");
        answer
    }

    async fn call(&self, method: &str, token: &str) -> Value {
        self.get(&self.slack(&format!("/api/{method}")), token).await.1
    }
}

/// Verifies as an app does.
fn verify(received: &Received) {
    let scheme = Scheme {
        header: "x-slack-signature",
        separator: None,
        prefix: "v0=",
        encoding: Encoding::Hex,
        key: SecretEncoding::Text,
        content: &[SignedPart::Text("v0:"), SignedPart::Time, SignedPart::Text(":"), SignedPart::Body],
        time: Some(TimeSource::Header("x-slack-request-timestamp")),
    };
    scheme.verify(&received.headers, &received.body, &[SECRET.into()], now()).unwrap();
}

#[tokio::test]
async fn installing_gives_expiring_tokens_of_the_bot_and_of_the_user() {
    let stage = Stage::start().await;
    let back = stage.ask(SCOPES, &[("user_scope", "search:read")], "allow").await;
    assert_eq!(back["state"], "s1");
    let answer = stage.exchange(&[("code", &back["code"]), ("redirect_uri", CALLBACK)]).await;
    let shape = json!([answer["ok"], answer["token_type"], answer["scope"], answer["expires_in"], answer["team"]]);
    assert_eq!(shape, json!([true, "bot", SCOPES, 43200, { "id": "T0SANDBOX", "name": "Acme" }]));
    assert!(answer["access_token"].as_str().unwrap().starts_with("xoxe.xoxb-"));
    assert!(answer["authed_user"]["access_token"].as_str().unwrap().starts_with("xoxe.xoxp-"));
    assert!(answer["authed_user"]["refresh_token"].as_str().unwrap().starts_with("xoxe-1-"));
    let who = stage.call("auth.test", answer["access_token"].as_str().unwrap()).await;
    assert_eq!(json!([who["team_id"], who["user_id"]]), json!(["T0SANDBOX", answer["bot_user_id"]]));
}

#[tokio::test]
async fn a_user_who_cancels_is_sent_back_with_an_error() {
    let back = Stage::start().await.ask(SCOPES, &[], "cancel").await;
    assert_eq!(json!(back), json!({ "error": "access_denied", "state": "s1" }));
}

#[tokio::test]
async fn an_exchange_that_is_not_right_is_refused() {
    let stage = Stage::start().await;
    let asked = [("code_challenge", challenge("right").as_str()), ("code_challenge_method", "S256")]
        .map(|pair| (pair.0, pair.1.to_owned()));
    let asked: Vec<_> = asked.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let code = stage.ask(SCOPES, &asked, "allow").await.remove("code").unwrap();
    let good = [("code", code.as_str()), ("redirect_uri", CALLBACK), ("code_verifier", "right")];
    let changed =
        |name: &str, value: &'static str| good.map(|pair| if pair.0 == name { (pair.0, value) } else { pair });
    for (pairs, error) in [
        (changed("code", "1.2.3"), "invalid_code"),
        (changed("redirect_uri", "http://localhost:3000/other"), "bad_redirect_uri"),
        (changed("code_verifier", "wrong"), "invalid_code_verifier"),
    ] {
        assert_eq!(stage.exchange(&pairs).await, json!({ "ok": false, "error": error }));
    }
    let url = stage.slack("/api/oauth.v2.access");
    let wrong = [("client_id", "slack-app"), ("client_secret", "guess")];
    assert_eq!(stage.form(&url, "", &[&wrong, good.as_slice()].concat()).await.1["error"], "bad_client_secret");
    let body = json!({ "client_id": "slack-app", "client_secret": "slack-app-secret", "code": code });
    assert_eq!(
        stage.json(Method::POST, &url, "", &body).await,
        (200, json!({ "ok": false, "error": "invalid_arguments" }))
    );

    assert_eq!(stage.exchange(&good).await["ok"], true);
    assert_eq!(stage.exchange(&good).await["error"], "code_already_used");
}

#[tokio::test]
async fn scopes_that_are_not_separated_by_commas_are_unknown() {
    let stage = Stage::start().await;
    let url =
        stage.slack("/oauth/v2/authorize?client_id=slack-app&redirect_uri=http://x/&scope=channels:read+chat:write");
    assert_eq!(stage.send(Method::GET, &url, &[], String::new()).await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_use_and_a_second_revokes_what_came_of_it() {
    let stage = Stage::start().await;
    let installed = stage.installed(SCOPES).await;
    let old = installed["refresh_token"].as_str().unwrap();
    let refresh =
        async |token: &str| stage.exchange(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await;
    let new = refresh(old).await;
    let new_token = new["access_token"].as_str().unwrap();
    assert_ne!(new["refresh_token"], installed["refresh_token"]);
    assert_eq!(stage.call("auth.test", new_token).await["ok"], true);

    assert_eq!(refresh(old).await, json!({ "ok": false, "error": "invalid_refresh_token" }));
    assert_eq!(stage.call("auth.test", new_token).await["error"], "token_revoked");
    assert_eq!(refresh(new["refresh_token"].as_str().unwrap()).await["error"], "invalid_refresh_token");
    let grants = stage.control(Method::GET, stage.sandbox.url("slack"), "grants", &Value::Null).await;
    assert_eq!(json!([grants[0]["state"], grants[0]["refreshes"], grants[0]["reused"]]), json!(["revoked", 1, true]));
    let secrets = stage.control(Method::GET, stage.sandbox.url("slack"), "secrets", &Value::Null).await;
    assert_eq!(secrets.as_array().unwrap().len(), 5, "a code, two access tokens and two refresh tokens");
    assert!(secrets.to_string().contains(new_token));
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused_with_the_reason() {
    let stage = Stage::start().await;
    let token = stage.installed("users:read").await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(stage.call("users.list", "").await["error"], "not_authed");
    assert_eq!(stage.call("users.list", "xoxb-guess").await["error"], "invalid_auth");
    let refused = stage.call("conversations.list", &token).await;
    assert_eq!(
        refused,
        json!({ "ok": false, "error": "missing_scope", "needed": "channels:read", "provided": "users:read" })
    );
    stage.control(Method::POST, stage.sandbox.url("slack"), "tokens/expire", &json!({})).await;
    assert_eq!(stage.call("users.list", &token).await["error"], "token_expired");
}

#[tokio::test]
async fn pages_join_to_the_whole_also_if_a_channel_appears_between_them() {
    let stage = Stage::start().await;
    let token = stage.installed(SCOPES).await["access_token"].as_str().unwrap().to_owned();
    let then = json!({
        "method": "POST", "path": "channels", "body": { "id": "C0ZULU00001", "name": "zulu", "silent": true },
    });
    let order = json!({ "match": "conversations.list", "then": then });
    stage.control(Method::POST, stage.sandbox.url("slack"), "between_pages", &order).await;
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = stage.call(&format!("conversations.list?limit=2&cursor={cursor}"), &token).await;
        let channels = page["channels"].as_array().unwrap();
        assert!(channels.len() <= 2);
        names.extend(channels.iter().map(|channel| channel["name"].as_str().unwrap().to_owned()));
        cursor = page["response_metadata"]["next_cursor"].as_str().unwrap().replace('=', "%3D");
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["general", "random", "sales", "zulu"]);
    assert_eq!(stage.call("conversations.list?cursor=bm9uc2Vuc2U", &token).await["error"], "invalid_cursor");
}

#[tokio::test]
async fn a_posted_message_is_there_and_comes_back_as_an_event() {
    let mut stage = Stage::start().await;
    let token = stage.installed(SCOPES).await["access_token"].as_str().unwrap().to_owned();
    let url = stage.slack("/api/chat.postMessage");
    let body = json!({ "channel": "C0GENERAL01", "text": "Hello" });
    let (_, posted) = stage.json(Method::POST, &url, &token, &body).await;
    assert_eq!(posted["ok"], true, "{posted}");
    let event = stage.received().await;
    verify(&event);
    assert_eq!(event.json()["event"]["ts"], posted["ts"]);
    let (_, unknown) = stage.form(&url, &token, &[("channel", "C0NOWHERE"), ("text", "Hello")]).await;
    assert_eq!(unknown["error"], "channel_not_found");

    let rich = [("channel", "C0GENERAL01"), ("text", "Hello"), ("blocks", r#"[{"type":"divider"}]"#)];
    assert_eq!(stage.form(&url, &token, &rich).await.1["message"]["blocks"], json!([{ "type": "divider" }]));
    let broken = [rich[0], rich[1], ("blocks", "[{")];
    assert_eq!(stage.form(&url, &token, &broken).await.1["error"], "invalid_blocks_format");

    let reply =
        |thread: Value| json!({ "channel": "C0GENERAL01", "text": "Hi", "thread_ts": thread, "reply_broadcast": true });
    let (_, replied) = stage.json(Method::POST, &url, &token, &reply(posted["ts"].clone())).await;
    assert_eq!(replied["message"]["thread_ts"], posted["ts"], "{replied}");
    assert_eq!(replied["message"]["subtype"], "thread_broadcast");
    for (thread, code) in [(json!("1.000002"), "thread_not_found"), (json!(1.5), "invalid_thread_ts")] {
        let (_, refused) = stage.json(Method::POST, &url, &token, &reply(thread)).await;
        assert_eq!(refused["error"], code);
    }
    let odd = json!({ "channel": "C0GENERAL01", "text": "Hi", "unfurl_links": "perhaps" });
    assert_eq!(stage.json(Method::POST, &url, &token, &odd).await.1["error"], "invalid_arguments");
}

#[tokio::test]
async fn changes_are_sent_signed_and_again_if_refused() {
    let mut stage = Stage::start().await;
    stage.installed(SCOPES).await;
    stage.answers(&[StatusCode::SERVICE_UNAVAILABLE]);
    stage.control(Method::POST, stage.sandbox.url("slack"), "channels", &json!({ "name": "new" })).await;
    let (first, second) = (stage.received().await, stage.received().await);
    verify(&first);
    verify(&second);
    assert_eq!(first.path, "/webhooks/slack");
    assert_eq!(first.json()["event"]["channel"]["name"], "new");
    assert_eq!(first.json()["event_id"], second.json()["event_id"]);
    assert_eq!((first.header("x-slack-retry-num"), second.header("x-slack-retry-num")), ("", "1"));
}

#[tokio::test]
async fn every_kind_of_request_can_be_ordered_and_its_answer_seen() {
    let mut stage = Stage::start().await;
    stage.answers(&[StatusCode::OK, StatusCode::OK, StatusCode::IM_A_TEAPOT]);
    let mut types = Vec::new();
    for (kind, status) in [("url_verification", 200), ("slash", 200), ("interactive", 418)] {
        let answer = stage.control(Method::POST, stage.sandbox.url("slack"), "send", &json!({ "kind": kind })).await;
        assert_eq!(answer["status"], status);
        let received = stage.received().await;
        verify(&received);
        types.push(received.header("content-type").to_owned());
    }
    let form = "application/x-www-form-urlencoded";
    assert_eq!(types, ["application/json", form, form]);
}

#[tokio::test]
async fn the_last_token_revoked_uninstalls_the_app() {
    let mut stage = Stage::start().await;
    let token = stage.installed(SCOPES).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(stage.call("auth.revoke", &token).await, json!({ "ok": true, "revoked": true }));
    assert_eq!(stage.call("auth.test", &token).await["error"], "token_revoked");
    let mut kinds = [stage.received().await, stage.received().await].map(|one| one.json()["event"]["type"].to_string());
    kinds.sort();
    assert_eq!(kinds, ["\"app_uninstalled\"", "\"tokens_revoked\""]);
}

#[test]
fn the_signature_of_slacks_own_example_is_slacks() {
    // https://docs.slack.dev/authentication/verifying-requests-from-slack
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
                &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
                &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
                &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signature = hmac(&"8f742231b10e8888abcd99yyyzzz85a5".into(), &format!("v0:1531420618:{body}"));
    assert_eq!(signature, "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503");
}
