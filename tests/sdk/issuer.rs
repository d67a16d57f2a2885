//! npm's `oidc-provider` in a process of its own, and a stack whose sessions it signs.

use http::Method;
use local_base::web::Web;
use local_cli::bundle::Options;
use serde_json::{Value, json};
use tests::{FAST, Node, Running, options, stack_of};

/// The application's origin.
pub(crate) const APP: &str = "https://app.example.com";

/// A stack, and the identity provider that it believes. It ends when this is dropped, or the test is killed.
pub(crate) struct Issuer {
    pub(crate) stack: Running,
    node: Node,
    web: Web,
}

impl Issuer {
    /// Starts both, with these parameters besides.
    pub(crate) async fn start(more: &[(&str, &str)]) -> Self {
        let node = Node::start("sdk", "issuer.mjs").await;
        let [issuer, jwks, audience] = ["issuer", "jwks", "audience"].map(|name| node.ready[name].as_str().unwrap());
        // Keys are read over https only, but for what is rewritten.
        let rewrites = format!("https://issuer.example/jwks={jwks}");
        let own = [
            ("JwksUrl", "https://issuer.example/jwks"),
            ("JwtIssuer", issuer),
            ("JwtAudience", audience),
            ("JwtAdminClaim", "groups"),
            ("JwtAdminValue", "operators"),
            ("AllowedOrigins", APP),
        ];
        let all = [FAST, &own, more].concat();
        let overrides = all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let stack = stack_of(Options { rewrites, overrides, ..options().await }).await;
        Self { stack, node, web: Web::new() }
    }

    /// The access token of a user that signs in at the identity provider's own pages.
    pub(crate) async fn sign_in(&self, user: &str) -> String {
        self.tokens(json!({ "user": user })).await["access_token"].as_str().unwrap().to_owned()
    }

    /// What the identity provider gives after a sign-in.
    pub(crate) async fn tokens(&self, mut input: Value) -> Value {
        input["order"] = "sign_in".into();
        self.order(input).await
    }

    /// A token with these claims beside issuer and end, signed by the identity provider's key.
    pub(crate) async fn sign(&self, mut claims: Value) -> String {
        claims["iss"] = self.node.ready["issuer"].clone();
        claims["exp"] = (platform::base::clock::now().as_second() + 300).into();
        self.order(json!({ "order": "sign", "claims": claims })).await["token"].as_str().unwrap().to_owned()
    }

    /// Has the identity provider sign with a new key of this kind, and publish so many of the earlier ones besides.
    pub(crate) async fn rotate(&self, alg: &str, keep: usize) {
        self.order(json!({ "order": "rotate", "alg": alg, "keep": keep })).await;
    }

    /// A call of a program: status and body.
    pub(crate) async fn call(&self, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
        let (bearer, url) = (format!("Bearer {token}"), format!("{}{path}", self.stack.url));
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.web.call(method, &url, &headers, text).await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default())
    }

    /// Whether a program with this token may read its user's status.
    pub(crate) async fn status(&self, token: &str) -> u16 {
        self.call(Method::GET, "/integrations", token, Value::Null).await.0
    }

    async fn order(&self, order: Value) -> Value {
        let answer = self.node.order(order).await;
        assert!(answer.get("error").is_none(), "{answer}");
        answer
    }
}
