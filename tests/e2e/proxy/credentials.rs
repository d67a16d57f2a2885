//! No session token reaches a provider, and no provider's token a caller that did not ask for one.

use std::{collections::BTreeSet, time::Duration};

use http::Method;
use local_base::web::Web;
use serde_json::{Value, json};
use tests::{FAST, Guest, Running};

use super::recorder::Recorder;

/// A program that keeps all that it was answered.
struct Program<'s> {
    stack: &'s Running,
    session: String,
    web: Web,
    answers: Vec<Vec<u8>>,
}

impl<'s> Program<'s> {
    fn new(stack: &'s Running) -> Self {
        let session = stack.session("ada", None, Duration::from_mins(30)).unwrap();
        Self { stack, session, web: Web::new(), answers: Vec::new() }
    }

    async fn call(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
        let bearer = format!("Bearer {}", self.session);
        let cookie = format!("__Host-intertie_session={0}; intertie_session={0}", self.session);
        let own = [("authorization", bearer.as_str()), ("cookie", cookie.as_str())];
        let all: Vec<_> = own.into_iter().chain(headers.iter().copied()).collect();
        let url = format!("{}{path}", self.stack.url);
        let (parts, body) = self.web.call(method, &url, &all, body.to_vec()).await.unwrap().into_parts();
        self.answers.push(format!("{:?}", parts.headers).into_bytes());
        self.answers.push(body.to_vec());
        (parts.status.as_u16(), body.to_vec())
    }

    async fn json(&mut self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let kind = [("content-type", "application/json")];
        let (status, body) = self.call(method, path, &kind, body.to_string().as_bytes()).await;
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

/// The tokens that the functions sent to providers as Bearer tokens, and those that token endpoints answered.
fn tokens(recorder: &Recorder) -> BTreeSet<String> {
    let mut tokens = BTreeSet::new();
    for (to_provider, marks) in [
        (true, ["authorization: Bearer ", "Authorization: Bearer "]),
        (false, ["\"access_token\":\"", "\"refresh_token\":\""]),
    ] {
        for bytes in recorder.bytes(to_provider) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            for mark in marks {
                let all = text.split(mark).skip(1);
                tokens.extend(all.map(|rest| rest.split(['\r', '"']).next().unwrap_or_default().to_owned()));
            }
        }
    }
    tokens
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_token_reaches_a_provider_and_no_providers_token_a_caller_unless_it_asks_for_one() {
    let (stack, recorder) = Recorder::stack(&[FAST, &[("TokenVending", "on")]].concat()).await;
    let ada = Guest::new(&stack, "ada").await;
    let key = ada.connect_stripe(json!({})).await;
    let mut ids = vec![key, ada.connect("slack?scopes=files:write").await];
    for provider in ["google-calendar", "gmail"] {
        ids.push(ada.connect_and_sync(provider).await);
    }
    let mut program = Program::new(&stack);
    let session = program.session.clone();
    let form = ("content-type", "application/x-www-form-urlencoded");
    let raw = "From: a@example.com\r\nTo: b@example.com\r\n\r\nHello\r\n";
    // What works, in all forms that there are.
    for (method, path, headers, body, expected) in [
        (Method::GET, "/proxy/slack/auth.test", vec![], "", 200),
        (Method::POST, "/proxy/slack/chat.postMessage", vec![form], "channel=C0GENERAL01&text=Hi", 200),
        (Method::GET, "/proxy/slack/conversations.list?limit=1&cursor=", vec![], "", 200),
        (Method::GET, "/proxy/stripe/v1/customers?limit=1", vec![("stripe-version", "2022-11-15")], "", 200),
        (Method::POST, "/proxy/stripe/v1/customers", vec![form, ("idempotency-key", "k")], "name=Gr%C3%BC%C3%9Fe", 200),
        (Method::GET, "/proxy/stripe/v1/customers/none", vec![], "", 404),
        (Method::GET, "/proxy/google-calendar/calendar/v3/users/me/calendarList", vec![("user-agent", "x")], "", 200),
        (
            Method::POST,
            "/proxy/google-calendar/users/me/calendarList",
            vec![form, ("x-http-method-override", "GET")],
            "",
            200,
        ),
        (Method::GET, "/proxy/gmail/users/me/messages?maxResults=1", vec![("if-none-match", "x")], "", 200),
        (
            Method::POST,
            "/proxy/gmail/upload/gmail/v1/users/me/messages/send?uploadType=media",
            vec![("content-type", "message/rfc822")],
            raw,
            200,
        ),
        (Method::POST, "/proxy/gmail/upload/gmail/v1/users/me/messages/send?uploadType=resumable", vec![], "", 200),
    ] {
        let (status, answer) = program.call(method, path, &headers, body.as_bytes()).await;
        assert_eq!(status, expected, "{path}: {}", String::from_utf8_lossy(&answer));
    }
    let message = json!({ "channel": "C0GENERAL01", "text": "Hello" });
    assert_eq!(program.json(Method::POST, "/actions/slack/post_message", &message).await.0, 200);
    let begin = "/proxy/slack/files.getUploadURLExternal?filename=a.txt&length=5";
    let begun: Value = serde_json::from_slice(&program.call(Method::GET, begin, &[], b"").await.1).unwrap();
    let upload = begun["upload_url"].as_str().unwrap().replace("https://files.slack.com", "/proxy/slack");
    assert_eq!(program.call(Method::POST, &upload, &[], b"canary").await.0, 400, "the file host's own refusal");
    assert_eq!(program.call(Method::POST, &upload, &[], b"Hello").await, (200, b"OK - 5".to_vec()));
    assert!(recorder.bytes(true).iter().any(|bytes| holds(bytes, "canary")), "the file host is recorded");
    // Slack's SDKs put a token that they are given for one call into the form, besides the header: it is spent as there.
    ada.quiet().await;
    let mut known = tokens(&recorder);
    recorder.forget();
    let named = format!("channel=C0GENERAL01&token={session}&text=H%69");
    let (status, _) = program.call(Method::POST, "/proxy/slack/chat.postMessage", &[form], named.as_bytes()).await;
    let sent = recorder.bytes(true).concat();
    assert!(
        status == 200 && sent.ends_with(b"\r\n\r\nchannel=C0GENERAL01&text=H%69"),
        "{}",
        String::from_utf8_lossy(&sent)
    );

    // A token that ends, one that is refused, and a provider that fails and repeats what it was sent.
    ada.look.age(&ids[2], 3_600).await.unwrap();
    assert_eq!(program.call(Method::GET, "/proxy/google-calendar/users/me/calendarList", &[], b"").await.0, 200);
    ada.admin("gmail", Method::POST, "tokens/expire", &Value::Null).await;
    assert_eq!(program.call(Method::GET, "/proxy/gmail/users/me/profile", &[], b"").await.0, 200);
    known.extend(tokens(&recorder));
    let echo = json!({ "authorization": format!("Bearer {}", known.first().unwrap()), "set-cookie": "a=b" });
    ada.fault("stripe", "GET /v1/account", 1, json!({ "status": 400, "headers": echo, "body": "no" })).await;
    assert_eq!(program.call(Method::GET, "/proxy/stripe/v1/account", &[], b"").await.0, 400);

    assert!(known.len() >= 6, "each provider's token, and its refresh tokens: {}", known.len());
    for answer in &program.answers {
        let leaked = known.iter().find(|token| holds(answer, token));
        assert!(leaked.is_none(), "{}", String::from_utf8_lossy(answer));
    }
    let (status, given) = program.json(Method::POST, "/tokens/gmail", &json!({})).await;
    let given_token = given["access_token"].as_str().unwrap_or_default();
    assert!(status == 200 && tokens(&recorder).union(&known).any(|token| token == given_token), "{status}");
    assert!(!given.to_string().contains("1//0"), "no refresh token: {given}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_carry_the_session_token_on_or_another_credential_is_refused() {
    let (stack, recorder) = Recorder::stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    for provider in ["slack", "gmail"] {
        ada.connect_and_sync(provider).await;
    }
    let mut program = Program::new(&stack);
    let session = program.session.clone();
    let form = ("content-type", "application/x-www-form-urlencoded");
    let query = format!("/proxy/slack/auth.test?a={session}");
    let escaped = format!("/proxy/slack/auth.test?a={}", session.replace('.', "%2E"));
    let inside = format!("/proxy/slack/{session}");
    let json_body = json!({ "channel": "C0GENERAL01", "text": "Hi", "token": session }).to_string();
    let form_body = format!("channel=C0GENERAL01&text=Hi&also={session}");
    let escaped_body = format!("text={}", session.replace('.', "%2E"));
    let part = |head: &str, value: &str| format!("--x\r\n{head}\r\n\r\n{value}\r\n--x--");
    let multipart = part("Content-Disposition: form-data; name=\"text\"", &session);
    // A token of the same user that is another one than this call's `Authorization`.
    let fresh = stack.session("ada", None, Duration::from_mins(29)).unwrap();
    let named = ["Content-Disposition: form-data; name=\"token\"", "content-disposition:form-data;\r\n NAME=token"]
        .map(|head| part(head, &fresh));
    let access_token = part("Content-Type: text/plain\r\nContent-Disposition: form-data; name=\"access_token\"", "x");
    let parts = ("content-type", "multipart/form-data; boundary=x");
    let json_type = ("content-type", "application/json");
    for (path, headers, body, field) in [
        (&*query, vec![], "", "query"),
        (&*escaped, vec![], "", "query"),
        (&*inside, vec![], "", "path"),
        ("/proxy/slack/auth.test", vec![("x-my-header", &*session)], "", "headers"),
        ("/proxy/slack/chat.postMessage", vec![json_type], &*json_body, "body"),
        ("/proxy/slack/chat.postMessage", vec![form], &*form_body, "body"),
        ("/proxy/slack/chat.postMessage", vec![form], &*escaped_body, "body"),
        ("/proxy/slack/files.upload", vec![parts], &*multipart, "body"),
        ("/proxy/slack/files.upload", vec![parts], &*named[0], "token"),
        ("/proxy/slack/files.upload", vec![parts], &*named[1], "token"),
        ("/proxy/stripe/v1/files", vec![parts], &*access_token, "access_token"),
        (
            "/proxy/slack/chat.postMessage",
            vec![("content-type", "application/x-www-form-urlencoded,x")],
            "text=Hi&token=xoxb-1",
            "token",
        ),
        ("/proxy/slack/chat.postMessage", vec![form], "text=Hi&token=xoxb-1", "token"),
        ("/proxy/slack/auth.test?token=xoxb-1", vec![], "", "token"),
        ("/proxy/slack/auth.test?%74oken=xoxb-1", vec![], "", "token"),
        ("/proxy/stripe/v1/account?access_token=x", vec![], "", "access_token"),
        ("/proxy/gmail/users/me/profile?key=AIza", vec![], "", "key"),
        ("/proxy/gmail/users/me/profile?oauth_token=x", vec![], "", "oauth_token"),
    ] {
        recorder.forget();
        let (status, answer) = program.call(Method::POST, path, &headers, body.as_bytes()).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((status, &answer["error"]["fields"][0]["field"]), (422, &field.into()), "{path}: {answer}");
        assert!(!answer.to_string().contains(&session), "{path}");
        assert!(recorder.bytes(true).is_empty(), "{path} left");
    }
    // At Stripe the names mean something else: they pass, and Stripe refuses what it does not know.
    let (status, answer) = program.call(Method::GET, "/proxy/stripe/v1/customers?token=x&key=y", &[], b"").await;
    assert!(status == 400 && holds(&answer, "parameter_unknown"), "{status} {}", String::from_utf8_lossy(&answer));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_providers_received_over_a_whole_session_holds_no_session_token() {
    let (stack, recorder) = Recorder::stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    for provider in ["slack", "google-calendar", "gmail"] {
        ada.connect_and_sync(provider).await;
    }
    let mut program = Program::new(&stack);
    for path in [
        "/proxy/slack/auth.test",
        "/proxy/stripe/v1/account",
        "/proxy/google-calendar/users/me/calendarList",
        "/proxy/gmail/users/me/profile",
    ] {
        let session = program.session.clone();
        let (status, _) = program.call(Method::GET, path, &[("intertie-debug", &session)], b"").await;
        assert_eq!(status, 422, "also in a header that does not pass");
        assert_eq!(program.call(Method::GET, path, &[], b"").await.0, 200, "{path}");
    }
    let message = json!({ "channel": "C0GENERAL01", "text": "Hello" });
    assert_eq!(program.json(Method::POST, "/actions/slack/post_message", &message).await.0, 200);
    let received = recorder.bytes(true);
    assert!(received.iter().map(Vec::len).sum::<usize>() > 5_000, "it did record");
    // Header, payload and signature of a token, each alone, and the key of the cookie.
    let parts: Vec<_> = program.session.split('.').skip(1).chain(["intertie_session"]).collect();
    for bytes in &received {
        for part in &parts {
            assert!(!holds(bytes, part), "{}", String::from_utf8_lossy(bytes));
        }
    }
    stack.shutdown().await;
}
