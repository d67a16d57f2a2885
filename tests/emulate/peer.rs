//! npm's `emulate` in a process of its own, a stack with it as its providers, and a client of it that is not ours.

use http::Method;
use local_base::web::Web;
use local_cli::{
    browser::{Browser, BrowserPage, query},
    bundle::Options,
};
use local_sandbox::App;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tests::{Guest, Node, Running, options, stack_of};

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A stack, and `emulate` in place of the vendors. It ends when this is dropped, or the test is killed.
pub(crate) struct Peer {
    pub(crate) stack: Running,
    slack: String,
    google: String,
    web: Web,
    node: Node,
}

/// A form of a page.
struct Form {
    action: String,
    fields: Vec<(String, String)>,
}

impl Peer {
    /// Starts both, and makes the apps known to `emulate`.
    pub(crate) async fn start() -> Self {
        let node = Node::start("emulate", "server.mjs").await;
        let [slack, google, beside] =
            ["slack", "google", "beside"].map(|name| node.ready[name].as_str().unwrap().to_owned());
        let rewrites = [
            ("https://slack.com", slack.clone()),
            ("https://accounts.google.com", google.clone()),
            ("https://oauth2.googleapis.com/token", format!("{google}/oauth2/token")),
            ("https://oauth2.googleapis.com/revoke", format!("{google}/oauth2/revoke")),
            ("https://www.googleapis.com/calendar/v3", format!("{google}/calendar/v3")),
            ("https://gmail.googleapis.com", google.clone()),
            ("https://gmail.googleapis.com/gmail/v1/users/me/profile", format!("{beside}/profile")),
        ];
        let rewrites: Vec<_> = rewrites.iter().map(|(from, to)| format!("{from}={to}")).collect();
        let stack = stack_of(Options { rewrites: rewrites.join(" "), ..options().await }).await;
        let peer = Self { stack, slack, google, web: Web::new(), node };
        let apps = &peer.stack.apps;
        let slack = peer.app(&apps["slack"], &["slack"]);
        let google = peer.app(&apps["google"], &["google-calendar", "gmail"]);
        let (secret, events) =
            (apps["slack"].webhook_secret.expose_secret(), format!("{}/webhooks/slack", peer.stack.url));
        let order = json!({ "apps": { "slack": slack, "google": google }, "signing_secret": secret, "events": events });
        peer.node.order(order).await;
        peer
    }

    /// Stops both.
    pub(crate) async fn stop(self) {
        let Self { stack, .. } = self;
        stack.shutdown().await;
    }

    /// The events that Slack has sent: `id`, `type`, and the `status` of the answer.
    pub(crate) async fn deliveries(&self) -> Vec<Value> {
        self.node.order(json!({ "deliveries": true })).await.as_array().unwrap().clone()
    }

    /// Connects an account of `emulate` through its own page, as the person with this in the form chooses there.
    pub(crate) async fn connect(&self, guest: &Guest<'_>, provider: &str, person: &str) {
        let begun = guest.get(&format!("/connect/{provider}")).await;
        let consent = begun.location.expect("connect leads to the provider");
        let callback = self.consent(&guest.browser, &consent, person).await;
        let back = guest.get(&callback).await;
        let home = format!("{}/settings/integrations?success={provider}", self.stack.url);
        assert_eq!(back.location, Some(home), "{}", back.body);
        guest.settled("syncs").await;
    }

    /// What a grant of the same person to the same app gives: an access token that is not ours.
    pub(crate) async fn token(&self, provider: &str, app: &App, scopes: &str, person: &str) -> String {
        let (authorize, token) = match provider {
            "slack" => (format!("{}/oauth/v2/authorize", self.slack), format!("{}/api/oauth.v2.access", self.slack)),
            _ => (format!("{}/o/oauth2/v2/auth", self.google), format!("{}/oauth2/token", self.google)),
        };
        let callback = self.callback(provider);
        let asked = [
            ("client_id", app.client_id.as_str()),
            ("redirect_uri", &callback),
            ("scope", scopes),
            ("response_type", "code"),
            ("state", "x"),
        ];
        let back = self.consent(&Browser::new(), &format!("{authorize}?{}", encoded(&asked)), person).await;
        let code = query(&back).into_iter().find(|(name, _)| name == "code").expect("a code").1;
        let exchanged = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &callback),
            ("client_id", &app.client_id),
            ("client_secret", app.client_secret.expose_secret()),
        ];
        let answer = self.send(Method::POST, &token, &[FORM], encoded(&exchanged)).await;
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// A method of Slack's.
    pub(crate) async fn slack(&self, method: &str, token: &str, arguments: &[(&str, &str)]) -> Value {
        let bearer = format!("Bearer {token}");
        let url = format!("{}/api/{method}", self.slack);
        let answer = self.send(Method::POST, &url, &[FORM, ("authorization", &bearer)], encoded(arguments)).await;
        assert_eq!(answer["ok"], true, "{method}: {answer}");
        answer
    }

    /// A call of Google's APIs.
    pub(crate) async fn google(&self, method: Method, path: &str, token: &str, body: &Value) -> Value {
        let (bearer, url) = (format!("Bearer {token}"), format!("{}{path}", self.google));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, &url, &[JSON, ("authorization", &bearer)], body).await
    }

    async fn send(&self, method: Method, url: &str, headers: &[(&str, &str)], body: String) -> Value {
        let response = self.web.call(method, url, headers, body).await.expect("emulate answers");
        let words = String::from_utf8_lossy(response.body());
        assert!(response.status().is_success(), "{url}: {words}");
        serde_json::from_str(&words).unwrap_or_default()
    }

    /// An app as it is registered.
    fn app(&self, app: &App, providers: &[&str]) -> Value {
        let callbacks: Vec<_> = providers.iter().map(|provider| self.callback(provider)).collect();
        let secret = app.client_secret.expose_secret();
        json!({ "client_id": app.client_id, "client_secret": secret, "redirect_uris": callbacks })
    }

    fn callback(&self, provider: &str) -> String {
        format!("{}/auth/{provider}/callback", self.stack.url)
    }

    /// The address that a page of consent leads back to.
    async fn consent(&self, browser: &Browser, consent: &str, person: &str) -> String {
        let page = browser.get(consent).await.expect("a page");
        assert_eq!(page.status, 200, "{}", page.body);
        let form = forms(&page).into_iter().find(|form| form.fields.iter().any(|(_, value)| value == person));
        let form = form.unwrap_or_else(|| panic!("nobody is {person}: {}", page.body));
        let host: String = consent.split_inclusive('/').take(3).collect();
        let sent = browser.post(&format!("{}{}", host.trim_end_matches('/'), form.action), &form.fields).await;
        sent.expect("a page").location.expect("consent leads back")
    }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The forms of a page, with what their hidden inputs hold.
fn forms(page: &BrowserPage) -> Vec<Form> {
    let form = |html: &str| {
        let inputs = html.split("<input").skip(1);
        let field = |input: &str| Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default()));
        Some(Form { action: attribute(html, "action")?, fields: inputs.filter_map(field).collect() })
    };
    page.body.split("<form").skip(1).filter_map(|rest| form(rest.split("</form>").next()?)).collect()
}

/// An attribute of the first tag of `html`.
fn attribute(html: &str, name: &str) -> Option<String> {
    let tag = html.split('>').next()?;
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let mut text = rest.split('"').next()?.to_owned();
    for (entity, character) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")] {
        text = text.replace(entity, character);
    }
    Some(text)
}
