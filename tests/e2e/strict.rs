//! Every route against input that it does not know: refused by name, and nothing is done. A route without a row fails the test.

mod exempt;
mod local;
mod rows;

use std::{collections::BTreeSet, time::Duration};

use http::Method;
use local_base::web::Web;
use local_cli::bundle::Bundle;
use platform::runtime::http::route::{CSRF, Names, ROUTES, Route};
use serde_json::{Value, json};
use tests::{FAST, Guest, stack};

use self::rows::{
    Checks,
    Refused::{self, Body, Both, Query},
    Row, actions, rows,
};

/// A name that nothing has.
const SURPRISE: &str = "surprise";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_route_does_not_know_is_refused_by_name_and_nothing_is_done() {
    let rows = rows();
    let of = |it: &Row| (it.method, it.route, matches!(it.checks, Checks::Exempt(_)));
    let tested: BTreeSet<_> = rows.iter().map(of).collect();
    let declared: BTreeSet<_> =
        ROUTES.iter().map(|it| (it.method, it.path, matches!(it.query, Names::Any(_)))).collect();
    assert_eq!(tested, declared, "each route has a row");

    let stack = stack(&[FAST, &[("TokenVending", "on")]].concat()).await;
    let ada = Guest::new(&stack, "ada").await;
    for provider in ["slack", "google-calendar", "gmail"] {
        ada.connect(provider).await;
    }
    // As people paste it.
    ada.connect_stripe(json!({ "webhook_secret": format!(" {}\r\n", exempt::OWN_SECRET) })).await;
    ada.quiet().await;
    let before = everything(&stack).await;
    for row in &rows {
        let Checks::Strict { path, body, refused } = &row.checks else { continue };
        let route = ROUTES.iter().find(|it| (it.method, it.path) == (row.method, row.route)).unwrap();
        let caller = Caller { stack: &stack, web: Web::new(), route, path: (*path).to_owned() };
        caller.unknown_names(body).await;
        caller.wrong_types(body).await;
        for refused in refused {
            caller.unknown_value(body, refused).await;
        }
        caller.unknown_provider(body).await;
        assert_eq!(everything(&stack).await, before, "{} {}", row.method, row.route);
    }
    let action = ROUTES.iter().find(|it| it.body == Names::OfAction).unwrap();
    for (path, body) in actions() {
        let caller = Caller { stack: &stack, web: Web::new(), route: action, path: path.to_owned() };
        caller.unknown_names(&body).await;
        caller.wrong_types(&body).await;
        assert_eq!(everything(&stack).await, before, "{path}");
    }
    let unknown = Caller { stack: &stack, web: Web::new(), route: action, path: "/actions/slack/nope".to_owned() };
    let (status, answer) = unknown.call("", "application/json", "{}".to_owned()).await;
    assert_eq!((status, &answer["error"]["kind"]), (404, &json!("not_found")), "{answer}");
    for row in rows {
        if let Checks::Exempt(exemption) = row.checks {
            exemption.check(&ada).await;
        }
    }
    stack.shutdown().await;
}

/// Calls one route with one thing wrong at a time.
struct Caller<'s> {
    stack: &'s Bundle,
    web: Web,
    route: &'static Route,
    path: String,
}

impl Caller<'_> {
    async fn unknown_names(&self, body: &Value) {
        self.refused(&format!("{SURPRISE}=1"), body, SURPRISE).await;
        self.refused(SURPRISE, body, SURPRISE).await;
        if let Names::Only(known) = self.route.query {
            for name in known {
                self.refused(&format!("{name}=1&{name}=1"), body, name).await;
            }
        }
        self.refused("", &with(body, SURPRISE, json!(1)), SURPRISE).await;
        self.refused("", &with(body, SURPRISE, Value::Null), SURPRISE).await;
        self.refused_text("", "application/x-www-form-urlencoded", format!("{SURPRISE}=1"), SURPRISE).await;
        for name in self.fields(body) {
            let twice = format!(r#"{{"{name}":"x","{name}":"x"}}"#);
            self.refused_text("", "application/json", twice, &name).await;
        }
        for (text, status) in [("{", 400), ("[]", 400), ("7", 400)] {
            let (answered, body) = self.call("", "application/json", text.to_owned()).await;
            assert_eq!(answered, status, "{} {} {text}: {body}", self.route.method, self.path);
        }
    }

    async fn wrong_types(&self, body: &Value) {
        for name in self.fields(body) {
            for value in [json!([7]), json!({ "a": 1 })] {
                self.refused("", &with(body, &name, value), &name).await;
            }
        }
    }

    async fn unknown_value(&self, body: &Value, refused: &Refused) {
        match refused {
            Query(name, value) => {
                let mut body = body.clone();
                body.as_object_mut().map(|body| body.remove(*name));
                self.refused(&query(name, value), &body, name).await;
            }
            Body(name, value) => self.refused("", &with(body, name, value.clone()), name).await,
            Both(name, text, value) => self.refused(&query(name, text), &with(body, name, value.clone()), name).await,
        }
    }

    /// In the path it stays 404.
    async fn unknown_provider(&self, body: &Value) {
        if self.route.path.contains("{provider}") {
            let place = self.route.path.split('/').position(|part| part == "{provider}").unwrap();
            let parts = self.path.split('/').enumerate();
            let parts: Vec<_> = parts.map(|(at, part)| if at == place { "nope" } else { part }).collect();
            let other = Caller { path: parts.join("/"), web: Web::new(), ..*self };
            let (status, answer) = other.call("", "application/json", text(body)).await;
            assert_eq!((status, &answer["error"]["kind"]), (404, &json!("not_found")), "{}: {answer}", other.path);
        }
    }

    /// The fields that the body can have.
    fn fields(&self, body: &Value) -> Vec<String> {
        match self.route.body {
            Names::Only(known) => known.iter().filter(|name| **name != CSRF).map(|name| (*name).to_owned()).collect(),
            Names::OfAction => body.as_object().unwrap().keys().cloned().collect(),
            Names::Any(_) => Vec::new(),
        }
    }

    async fn refused(&self, query: &str, body: &Value, name: &str) {
        self.refused_text(query, "application/json", text(body), name).await;
    }

    async fn refused_text(&self, query: &str, content_type: &str, body: String, name: &str) {
        let what = format!("{} {}?{query} {body}", self.route.method, self.path);
        let (status, answer) = self.call(query, content_type, body).await;
        assert_eq!((status, &answer["error"]["kind"]), (422, &json!("invalid_request")), "{what}: {answer}");
        let fields = answer["error"]["fields"].as_array().unwrap();
        let field = fields.iter().find(|field| field["field"] == name);
        let sentence = field.unwrap_or_else(|| panic!("{what}: {answer}"))["message"].as_str().unwrap();
        assert!(sentence.ends_with('.') && sentence.len() > 10, "{what}: {sentence}");
    }

    async fn call(&self, query: &str, content_type: &str, body: String) -> (u16, Value) {
        let session = self.stack.session("ada", Some("admin"), Duration::from_mins(5)).unwrap();
        let bearer = format!("Bearer {session}");
        // `/session` takes a token from a page.
        let headers = [("authorization", &*bearer), ("content-type", content_type), ("origin", &*self.stack.url)];
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let url = format!("{}{}{query}", self.stack.url, self.path);
        let response = self.web.call(self.route.method.parse::<Method>().unwrap(), &url, &headers, body).await.unwrap();
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or_default())
    }
}

fn with(body: &Value, name: &str, value: Value) -> Value {
    let mut body = if body.is_null() { json!({}) } else { body.clone() };
    body[name] = value;
    body
}

fn text(body: &Value) -> String {
    if body.is_null() { String::new() } else { body.to_string() }
}

fn query(name: &str, value: &str) -> String {
    let escaped = |b: u8| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") };
    format!("{name}={}", value.bytes().map(escaped).collect::<String>())
}

/// All that a request can change: the tables, the queues, the bus, and what providers were asked.
async fn everything(stack: &Bundle) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for table in &stack.template.resources.tables {
        let scan = stack.clients.dynamodb.scan().table_name(&table.name).consistent_read(true);
        let items = scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.unwrap();
        let sorted = |item| format!("{} {:?}", table.name, std::collections::BTreeMap::from_iter(item));
        all.extend(items.into_iter().map(sorted));
    }
    let depths = stack.embedded.as_ref().unwrap().sqs.depths();
    all.extend(depths.iter().map(|it| format!("{} {}", it.name, it.visible + it.in_flight + it.delayed)));
    all.insert(format!("{} events", tests::published(stack).len()));
    let web = Web::new();
    for sandbox in [stack.sandbox.url("slack"), stack.sandbox.url("stripe"), stack.sandbox.url("google")] {
        for what in ["calls", "grants"] {
            let answer = web.call(Method::GET, &format!("{sandbox}/_admin/{what}"), &[], "").await.unwrap();
            all.insert(format!("{sandbox} {}", String::from_utf8_lossy(answer.body())));
        }
    }
    all
}
