//! The stage of the sandboxes' tests, and what holds for all of them. Over real sockets.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode};
use http::{HeaderMap, Method, Response, Uri};
use local_base::{
    background, lock,
    web::{Web, WebError},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

use super::{
    App, Apps, Sandbox,
    form::{self, Form},
};

mod documented;

pub(super) const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
pub(super) const CALLBACK: &str = "http://localhost:3000/auth/callback";

/// Sandboxes, and an app that receives what they send.
pub(super) struct Stage {
    pub(super) sandbox: Sandbox,
    pub(super) app_url: String,
    web: Web,
    received: UnboundedReceiver<Received>,
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
}

/// A webhook as it arrived.
pub(super) struct Received {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Received {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

type Inbox = (UnboundedSender<Received>, Arc<Mutex<VecDeque<StatusCode>>>);

async fn receive(State((inbox, answers)): State<Inbox>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let answer = lock(&answers).pop_front().unwrap_or(StatusCode::OK);
    inbox.send(Received { path: uri.path().to_owned(), headers, body }).unwrap();
    answer
}

impl Stage {
    pub(super) async fn start() -> Self {
        const GOOGLE: &[(&str, &str)] = &[
            ("push_audience", "https://app.example/webhooks/gmail"),
            ("push_service_account", "push@sandbox.iam.gserviceaccount.com"),
            ("pubsub_topic", "projects/sandbox/topics/gmail"),
        ];
        let app = |name: &'static str, settings| {
            let client_id = format!("{name}-app");
            let client_secret = format!("{client_id}-secret").into();
            (name, App { client_id, client_secret, webhook_secret: SECRET.into(), settings })
        };
        let apps = Apps([app("slack", &[]), app("stripe", &[]), app("google", GOOGLE)].into());
        let sandbox = Sandbox::start(&apps).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app_url = format!("http://{}", listener.local_addr().unwrap());
        let (inbox, received) = unbounded_channel();
        let answers = Arc::<Mutex<VecDeque<_>>>::default();
        let router = Router::new().fallback(receive).with_state((inbox, Arc::clone(&answers)));
        background(async move { axum::serve(listener, router).await });
        sandbox.deliver_to(&app_url);
        Self { sandbox, app_url, web: Web::new(), received, answers }
    }

    /// The next webhook.
    pub(super) async fn received(&mut self) -> Received {
        timeout(Duration::from_secs(10), self.received.recv()).await.expect("a webhook").unwrap()
    }

    /// The app answers the next webhooks so.
    pub(super) fn answers(&self, with: &[StatusCode]) {
        lock(&self.answers).extend(with);
    }

    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Response<Bytes>, WebError> {
        timeout(Duration::from_secs(10), self.web.call(method, url, headers, body)).await.expect("an answer")
    }

    /// GET, with a bearer token unless it is empty.
    pub(super) async fn get(&self, url: &str, token: &str) -> (u16, Value) {
        read(&self.send(Method::GET, url, &[("authorization", &bearer(token))], String::new()).await.unwrap())
    }

    /// POST of a form.
    pub(super) async fn form(&self, url: &str, token: &str, pairs: &[(&str, &str)]) -> (u16, Value) {
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("authorization", &bearer(token))];
        let body = form::encode(pairs.iter().copied());
        read(&self.send(Method::POST, url, &headers, body).await.unwrap())
    }

    /// JSON by a method.
    pub(super) async fn json(&self, method: Method, url: &str, token: &str, body: &Value) -> (u16, Value) {
        let headers = [("content-type", "application/json"), ("authorization", &bearer(token))];
        read(&self.send(method, url, &headers, body.to_string()).await.unwrap())
    }

    pub(super) async fn control(&self, method: Method, provider: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.json(method, &format!("{provider}/_admin/{path}"), "", body).await;
        assert!(status < 300, "{path}: {answer}");
        answer
    }

    /// Opens the consent page and presses a button: the parameters with which the browser comes back.
    pub(super) async fn consent(
        &self,
        url: &str,
        asked: &[(&str, &str)],
        chosen: &[(&str, &str)],
    ) -> BTreeMap<String, String> {
        let page = self.send(Method::GET, &form::link(url, asked), &[], String::new()).await.unwrap();
        let html = String::from_utf8_lossy(page.body()).into_owned();
        assert!(page.status() == 200 && html.contains("id=\"allow\"") && html.contains("id=\"cancel\""), "{html}");
        self.consent_form(url, &[asked, chosen].concat()).await
    }

    /// Sends the form of a consent page.
    pub(super) async fn consent_form(&self, url: &str, pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let body = form::encode(pairs.iter().copied());
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.send(Method::POST, url, &headers, body).await.unwrap();
        assert_eq!(answer.status(), 302, "{:?}", answer.body());
        let location = answer.headers()["location"].to_str().unwrap();
        let (address, query) = location.split_once('?').unwrap();
        assert_eq!(address, CALLBACK);
        Form::parse(query.as_bytes()).pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

fn bearer(token: &str) -> String {
    if token.is_empty() { String::new() } else { format!("Bearer {token}") }
}

fn read(answer: &Response<Bytes>) -> (u16, Value) {
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default())
}

#[tokio::test]
async fn faults_strike_as_often_as_told_and_the_calls_are_listed_without_secrets() {
    let stage = Stage::start().await;
    let slack = stage.sandbox.url("slack");
    let order = |effect: Value| json!({ "match": "GET /api/auth.test", "effect": effect });
    let effects = [
        json!({ "status": 503, "headers": { "Retry-After": "2" }, "body": { "ok": false } }),
        json!({ "html": true }),
        json!({ "close": true }),
    ];
    for effect in effects {
        stage.control(Method::POST, slack, "faults", &order(effect)).await;
    }
    let url = format!("{slack}/api/auth.test?token=not-to-be-seen");
    let call = || stage.send(Method::GET, &url, &[], String::new());
    let first = call().await.unwrap();
    assert_eq!((first.status().as_u16(), first.headers()["retry-after"].to_str().unwrap()), (503, "2"));
    let second = call().await.unwrap();
    assert!(second.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    call().await.unwrap_err();
    assert_eq!(call().await.unwrap().status(), 200, "the faults are used up");

    let calls = stage.control(Method::GET, slack, "calls", &Value::Null).await;
    let statuses: Vec<_> = calls.as_array().unwrap().iter().map(|call| call["status"].clone()).collect();
    assert_eq!(json!(statuses), json!([503, 200, null, 200]));
    assert!(!calls.to_string().contains("not-to-be-seen"));
}

#[tokio::test]
async fn webhooks_that_are_lost_by_chance_are_never_sent_and_listed_as_lost() {
    let mut stage = Stage::start().await;
    let stripe = stage.sandbox.url("stripe").to_owned();
    let customer = async |stage: &Stage, name: &str| {
        stage.control(Method::POST, &stripe, "customers", &json!({ "name": name })).await;
    };
    let lose = async |stage: &Stage, order: Value| {
        stage.control(Method::POST, &stripe, "deliveries/lose", &order).await;
    };
    lose(&stage, json!({ "chance": { "of": 1.0 } })).await;
    customer(&stage, "Lost").await;
    lose(&stage, json!({})).await;
    customer(&stage, "Sent").await;
    assert_eq!(stage.received().await.json()["data"]["object"]["name"], "Sent");
    let none = async || {
        let left = stage.control(Method::GET, &stripe, "deliveries/under_way", &Value::Null).await;
        left["under_way"] == 0
    };
    while !none().await {}
    let sent = stage.control(Method::GET, &stripe, "deliveries", &Value::Null).await;
    let statuses: Vec<_> = sent.as_array().unwrap().iter().map(|sent| sent["status"].clone()).collect();
    assert_eq!(json!(statuses), json!([null, 200]));
    assert!(sent[0]["lost"].as_str().unwrap().contains("Lost"), "{sent}");
    assert!(sent[1].get("lost").is_none(), "{sent}");
}

#[tokio::test]
async fn a_lost_answer_is_lost_after_the_provider_acted() {
    let stage = Stage::start().await;
    let stripe = stage.sandbox.url("stripe");
    let fault = json!({ "match": "POST /v1/customers", "effect": { "close": true, "after": true } });
    stage.control(Method::POST, stripe, "faults", &fault).await;
    let headers = [
        ("authorization", "Bearer sk_test_sandbox"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("idempotency-key", "once"),
    ];
    let url = format!("{stripe}/v1/customers");
    let call = || stage.send(Method::POST, &url, &headers, "name=Dorothy".to_owned());
    call().await.unwrap_err();
    let again = call().await.unwrap();
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    let customers = stage.control(Method::GET, stripe, "customers", &Value::Null).await;
    assert_eq!(customers.as_array().unwrap().iter().filter(|customer| customer["name"] == "Dorothy").count(), 1);
}

#[tokio::test]
async fn beyond_a_rate_each_provider_refuses_in_its_own_way() {
    let stage = Stage::start().await;
    let [slack_url, stripe_url, google_url] = ["slack", "stripe", "google"].map(|name| stage.sandbox.url(name));
    // One call now, another in 50 seconds.
    for provider in [slack_url, stripe_url, google_url] {
        let limit = json!({ "match": "GET", "per_second": 0.02, "burst": 1 });
        stage.control(Method::POST, provider, "limit", &limit).await;
    }
    let call = async |url: String| {
        stage.send(Method::GET, &url, &[], String::new()).await.unwrap();
        stage.send(Method::GET, &url, &[], String::new()).await.unwrap()
    };
    let slack = call(format!("{slack_url}/api/auth.test")).await;
    let wait: u64 = slack.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!(slack.status(), 429);
    assert!((40..=50).contains(&wait), "{wait}");
    let stripe = call(format!("{stripe_url}/v1/account")).await;
    assert_eq!(
        (stripe.status().as_u16(), &stripe.headers()["stripe-rate-limited-reason"]),
        (429, &"global-rate".parse().unwrap())
    );
    assert!(!stripe.headers().contains_key("retry-after"));
    let calendar = call(format!("{google_url}/calendar/v3/users/me/calendarList")).await;
    assert_eq!(read(&calendar).1["error"]["errors"][0]["reason"], "rateLimitExceeded");
    assert_eq!(calendar.status(), 403);
}

#[tokio::test]
async fn a_dropped_sandbox_is_gone() {
    let stage = Stage::start().await;
    let url = format!("{}/oauth2/v3/certs", stage.sandbox.url("google"));
    assert_eq!(stage.get(&url, "").await.0, 200);
    let Stage { sandbox, web, .. } = stage;
    drop(sandbox);
    // The port closes when the runtime gets to the aborted tasks.
    let gone = async { while web.call(Method::GET, &url, &[], "").await.is_ok() {} };
    timeout(Duration::from_secs(10), gone).await.unwrap();
}
