//! A user of the application: a browser that connects accounts, calls of the API, and the stores read directly.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use http::{HeaderMap, Method};
use jiff::SignedDuration;
use local_base::web::Web;
use local_cli::{
    browser::{Browser, BrowserPage, query},
    bundle::Bundle,
    stores::{Item, Stores},
};
use platform::base::clock;
use serde_json::{Value, json};

use crate::PATIENCE;

pub struct Guest<'s> {
    pub user: String,
    /// The user's browser.
    pub browser: Browser,

    pub look: Stores<'s>,
    pub stack: &'s Bundle,
    session: String,
    web: Web,
}

impl<'s> Guest<'s> {
    pub async fn new(stack: &'s Bundle, user: &str) -> Self {
        let session = stack.session(user, Some("admin"), Duration::from_mins(30)).expect("a session");
        let guest = Self {
            user: user.to_owned(),
            browser: Browser::new(),
            look: Stores::new(stack),
            stack,
            session,
            web: Web::new(),
        };
        let page = guest.get(&format!("/settings/integrations?session={}", guest.session)).await;
        assert_eq!(page.status, 303, "signing in: {}", page.body);
        guest
    }

    /// A page of ours, or of an address that begins with `http`.
    pub async fn get(&self, url: &str) -> BrowserPage {
        let url = if url.starts_with("http") { url.to_owned() } else { format!("{}{url}", self.stack.url) };
        self.browser.get(&url).await.expect("a page")
    }

    /// A call of the HTTP API, as a program makes it.
    pub async fn api(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let (bearer, url) = (format!("Bearer {}", self.session), format!("{}{path}", self.stack.url));
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.web.call(method, &url, &headers, text).await.expect("an answer");
        let text = String::from_utf8_lossy(response.body());
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text)))
    }

    /// A call of the HTTP API with these headers and this body, as bytes: status, headers and body of the answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, HeaderMap, Vec<u8>) {
        let (bearer, url) = (format!("Bearer {}", self.session), format!("{}{path}", self.stack.url));
        let all: Vec<_> = [("authorization", bearer.as_str())].into_iter().chain(headers.iter().copied()).collect();
        let (parts, body) = self.web.call(method, &url, &all, body.to_vec()).await.expect("an answer").into_parts();
        (parts.status.as_u16(), parts.headers, body.to_vec())
    }

    /// Begins to connect, and allows it on the provider's page: the address of the callback.
    pub async fn allow(&self, connect: &str) -> String {
        self.allow_for(connect, if connect.contains("/slack") { "T0SANDBOX" } else { "ada@example.com" }).await
    }

    /// [`allow`](Self::allow) for this account.
    pub async fn allow_for(&self, connect: &str, account: &str) -> String {
        self.decide(connect, account, None).await
    }

    async fn decide(&self, connect: &str, account: &str, scopes: Option<&[&str]>) -> String {
        let begun = self.get(connect).await;
        let consent = begun.location.filter(|_| begun.status == 302).expect("connect leads to the provider");
        let mut fields = query(&consent);
        fields.extend([("decision", "allow"), ("account", account)].map(|(name, value)| (name.into(), value.into())));
        if let Some(scopes) = scopes {
            fields.retain(|(name, _)| name != "scope");
            fields.extend(scopes.iter().map(|scope| ("scope".to_owned(), (*scope).to_owned())));
        }
        let page = consent.split('?').next().unwrap_or_default();
        let allowed = self.browser.post(page, &fields).await.expect("a page");
        allowed.location.expect("consent leads back")
    }

    /// [`allow_for`](Self::allow_for) with these scopes alone, as if the user had unticked the others.
    pub async fn allow_only(&self, connect: &str, account: &str, scopes: &[&str]) -> String {
        self.decide(connect, account, Some(scopes)).await
    }

    /// Connects an account, at a provider or at one with a query, as `slack?scopes=files:write`: the id of the integration.
    pub async fn connect(&self, provider: &str) -> String {
        self.finish(provider, &self.allow(&format!("/connect/{provider}")).await).await
    }

    /// [`connect`](Self::connect) for this account.
    pub async fn connect_account(&self, provider: &str, account: &str) -> String {
        self.finish(provider, &self.allow_for(&format!("/connect/{provider}"), account).await).await
    }

    async fn finish(&self, connect: &str, callback: &str) -> String {
        let provider = connect.split('?').next().unwrap_or(connect);
        let back = self.get(callback).await;
        let home = format!("{}/settings/integrations?success={provider}", self.stack.url);
        assert_eq!(back.location, Some(home), "{}", back.body);
        self.status(provider).await["integration_id"].as_str().expect("an id").to_owned()
    }

    /// Connects Stripe by a key of the sandbox: the id of the integration.
    pub async fn connect_stripe(&self, more: Value) -> String {
        let mut input = json!({ "api_key": "rk_test_sandbox" });
        input.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        let (status, body) = self.api(Method::POST, "/connect/stripe", &input).await;
        assert_eq!(status, 201, "{body}");
        body["integration_id"].as_str().expect("an id").to_owned()
    }

    /// Connects an account and waits until the first sync has ended, and what follows from it.
    pub async fn connect_and_sync(&self, provider: &str) -> String {
        let id = self.connect(provider).await;
        self.quiet().await;
        id
    }

    /// Waits until nothing is under way. Google tells of each new watch by itself: a delivery, and so a sync, follow from a sync.
    pub async fn quiet(&self) {
        self.settled("syncs").await;
        let delivered = async || (self.stack.sandbox.under_way() == 0).then_some(());
        self.stack.until(PATIENCE, delivered).await.expect("the sandbox's deliveries end");
        for queue in ["webhooks", "syncs"] {
            self.settled(queue).await;
        }
    }

    /// The status of the user's integration of a provider.
    pub async fn status(&self, provider: &str) -> Value {
        let (status, body) = self.api(Method::GET, &format!("/integrations/{provider}"), &Value::Null).await;
        assert_eq!(status, 200, "{body}");
        body["integrations"][0].clone()
    }

    /// How many integrations and credentials are stored of the user.
    pub async fn holdings(&self) -> (usize, usize) {
        let count = async |table: &str| {
            let items = self.look.items(table).await.expect("the table is read");
            items.iter().filter(|item| item["user_id"].as_s().is_ok_and(|user| *user == self.user)).count()
        };
        (count("integrations").await, count("credentials").await)
    }

    /// Waits until a queue is empty; for `syncs`, that of long ones, too.
    pub async fn settled(&self, queue: &str) {
        let sqs = &self.stack.embedded.as_ref().expect("tests use the embedded AWS").sqs;
        let name = |queue: &str| format!("{}-{queue}", self.stack.prefix());
        let names = [Some(name(queue)), (queue == "syncs").then(|| name("long-syncs"))];
        let empty = async || {
            // Now, and later.
            let depth = || {
                let all = sqs.depths();
                let all = all.iter().filter(|depth| names.iter().flatten().any(|name| *name == depth.name));
                all.fold((0, 0), |(now, later), it| (now + it.visible + it.in_flight, later + it.delayed))
            };
            let (mut now, mut later) = depth();
            // What is for later only is for now: until a poller can have it, nothing would wake this up again.
            while now == 0 && later > 0 {
                sqs.advance(Duration::from_mins(2));
                (now, later) = depth();
            }
            (now + later == 0).then_some(())
        };
        self.stack.until(PATIENCE, empty).await.unwrap_or_else(|waited| panic!("{queue} is not empty: {waited}"));
    }

    /// Has a stream's last full run, and the cursor that it yielded, be more than a week old, so that the next sync begins one.
    pub async fn full_run_is_due(&self, integration_id: &str, stream: &str) {
        let before = json!(clock::now() - SignedDuration::from_hours(8 * 24));
        let items = self.look.items("syncs").await.expect("the table is read");
        for (lane, changed) in [("stream-full", &["full_since", "cursor_of"][..]), ("stream", &["cursor_of"])] {
            let of = |name: &str| AttributeValue::S(name.to_owned());
            let key = [("integration_id", of(integration_id)), ("item", of(&format!("{lane}#{stream}")))];
            let Some(item) = items.iter().find(|item| key.iter().all(|(name, value)| item[*name] == *value)) else {
                continue;
            };
            let mut state: Value = serde_json::from_str(item["state"].as_s().expect("a text")).expect("JSON");
            for name in changed {
                if !state[name].is_null() {
                    state[name] = before.clone();
                }
            }
            self.set("syncs", key, ("state", of(&state.to_string()))).await;
        }
    }

    /// Has the only watch of an integration end in so many hours, and its renewal be due.
    pub async fn watch_is_due(&self, integration_id: &str, ends_in: i64) {
        let (now, s) = (clock::now(), |text: &str| AttributeValue::S(text.to_owned()));
        let items = self.look.items("syncs").await.expect("the table is read");
        let watch = |item: &&Item| {
            item["integration_id"] == s(integration_id) && item["item"].as_s().is_ok_and(|it| it.starts_with("watch#"))
        };
        let item = items.iter().find(watch).expect("a watch");
        let mut state: Value = serde_json::from_str(item["state"].as_s().expect("a text")).expect("JSON");
        state["watch"]["expires_at"] = json!(now + SignedDuration::from_hours(ends_in));
        state["renew_at"] = json!(now);
        state["refused"] = Value::Null;
        self.set(
            "syncs",
            [("integration_id", item["integration_id"].clone()), ("item", item["item"].clone())],
            ("state", s(&state.to_string())),
        )
        .await;
        let items = self.look.items("integrations").await.expect("the table is read");
        let item = items
            .iter()
            .find(|item| item["user_id"] == s(&self.user) && item.contains_key("watch_due_at"))
            .expect("an integration");
        let key = ["user_id", "integration"].map(|name| (name, item[name].clone()));
        self.set("integrations", key, ("watch_due_at", AttributeValue::N(now.as_second().to_string()))).await;
    }

    /// Writes one attribute of an item.
    async fn set(&self, table: &str, key: [(&str, AttributeValue); 2], (name, value): (&str, AttributeValue)) {
        let key = key.map(|(name, value)| (name.to_owned(), value)).into();
        let call = self.stack.clients.dynamodb.update_item().table_name(self.stack.table(table)).set_key(Some(key));
        let call = call.update_expression("SET #name = :value").expression_attribute_names("#name", name);
        call.expression_attribute_values(":value", value).send().await.expect("the item is written");
    }

    /// A call of an emulator's controls: `path` is under `/_admin`.
    pub async fn admin(&self, provider: &str, method: Method, path: &str, body: &Value) -> Value {
        let sandbox = self.stack.sandbox.url(provider);
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let url = format!("{sandbox}/_admin/{path}");
        let response = self.web.call(method, &url, &[("content-type", "application/json")], text).await;
        let response = response.expect("the sandbox answers");
        let words = String::from_utf8_lossy(response.body());
        assert!(response.status().is_success(), "{path}: {words}");
        serde_json::from_str(&words).unwrap_or_default()
    }

    /// Injects a fault into the next `times` calls of this name at a provider.
    pub async fn fault(&self, provider: &str, name: &str, times: u32, effect: Value) {
        self.admin(provider, Method::POST, "faults", &json!({ "match": name, "times": times, "effect": effect })).await;
    }

    /// How often a provider was called by this method and path, without the query. A call that met a fault counts.
    pub async fn calls(&self, provider: &str, name: &str) -> usize {
        let calls = self.admin(provider, Method::GET, "calls", &Value::Null).await;
        let named = |call: &&Value| {
            let path = call["path"].as_str().unwrap_or_default().split('?').next().unwrap_or_default();
            format!("{} {path}", call["method"].as_str().unwrap_or_default()).ends_with(name)
        };
        calls.as_array().into_iter().flatten().filter(named).count()
    }

    /// How often a provider refreshed tokens, over all grants; and whether any refresh token came a second time.
    pub async fn refreshes(&self, provider: &str) -> (u64, bool) {
        let grants = self.admin(provider, Method::GET, "grants", &Value::Null).await;
        let grants = grants.as_array().cloned().unwrap_or_default();
        let count = grants.iter().filter_map(|grant| grant["refreshes"].as_u64()).sum();
        (count, grants.iter().any(|grant| grant["reused"] == true))
    }
}
