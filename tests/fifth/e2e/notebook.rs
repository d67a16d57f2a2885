//! The provider's server: npm's `oidc-provider` on Node.js.

use std::{path::PathBuf, process::Stdio};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use local_base::web::Web;
use local_runtime::bootstraps::{root, target_folder};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::OnceCell,
};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// A running server. It ends when this is dropped, or the test is killed.
pub(crate) struct Notebook {
    /// In place of `https://notebook.example`.
    pub(crate) url: String,
    /// The app's id and secret, once it is registered.
    app: Option<(String, String)>,
    web: Web,
    _server: Child,
    /// Kept open: the server says more, and ends when its pipe is closed.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Notebook {
    /// Starts it on a free port.
    pub(crate) async fn start() -> Self {
        let folder = installed().await;
        let log = std::fs::File::create(folder.join("server.log")).unwrap();
        let mut server = Command::new("node")
            .arg("server.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js is there: Debian's package nodejs");
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let port = lines.next_line().await.unwrap().expect("the server tells its port");
        Self { url: format!("http://127.0.0.1:{port}"), app: None, web: Web::new(), _server: server, _lines: lines }
    }

    /// Registers the app (RFC 7591), as a person does on a page of the provider. The secret's value for Secrets Manager.
    pub(crate) async fn register(&mut self, redirect_uri: &str) -> Value {
        let body = json!({
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "client_secret_basic",
        });
        let (status, app) = self.send(Method::POST, "/reg", &JSON, &body.to_string()).await;
        assert_eq!(status, 201, "{app}");
        let text = |name: &str| app[name].as_str().unwrap().to_owned();
        let (id, secret) = (text("client_id"), text("client_secret"));
        let value = json!({ "client_id": id, "client_secret": secret, "webhook_secrets": [] });
        self.app = Some((id, secret));
        value
    }

    /// What happened there; see server.mjs.
    pub(crate) async fn events(&self, event: &str) -> Vec<Value> {
        let (status, all) = self.send(Method::GET, "/_admin/events", &[], "").await;
        assert_eq!(status, 200, "{all}");
        all.as_array().unwrap().iter().filter(|it| it["event"] == event).cloned().collect()
    }

    /// How often a refresh token was taken.
    pub(crate) async fn refreshes(&self) -> usize {
        self.events("granted").await.iter().filter(|it| it["by"] == "refresh_token").count()
    }

    /// All tokens it ever issued.
    pub(crate) async fn tokens(&self) -> Vec<String> {
        let granted = self.events("granted").await;
        let tokens = granted.iter().flat_map(|it| [&it["access"], &it["refresh"]]);
        tokens.map(|token| token.as_str().unwrap().to_owned()).collect()
    }

    /// From now on the newest access token is refused.
    pub(crate) async fn expire(&self) {
        let (status, words) = self.send(Method::POST, "/_admin/expire", &[], "").await;
        assert_eq!(status, 200, "{words}");
    }

    /// Whether a token is good (RFC 7662).
    pub(crate) async fn is_active(&self, token: &str) -> bool {
        let (status, answer) = self.as_app("/token/introspection", &format!("token={token}")).await;
        assert_eq!(status, 200, "{answer}");
        answer["active"].as_bool().unwrap()
    }

    /// Takes a refresh token to the token endpoint, as a thief of the token might.
    pub(crate) async fn take(&self, refresh_token: &str) -> (u16, Value) {
        self.as_app("/token", &format!("grant_type=refresh_token&refresh_token={refresh_token}")).await
    }

    async fn as_app(&self, path: &str, form: &str) -> (u16, Value) {
        let (id, secret) = self.app.as_ref().expect("the app is registered");
        let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("authorization", basic.as_str())];
        self.send(Method::POST, path, &headers, form).await
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.url);
        let response = self.web.call(method, &url, headers, body.to_owned()).await.expect("the server answers");
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or_default())
    }
}

/// The folder with the server and its packages, installed once per run as the lock file says.
async fn installed() -> PathBuf {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    let install = async || {
        let (from, to) = (root().join("tests/fifth/server"), target_folder().unwrap().join("notebook"));
        std::fs::create_dir_all(&to).unwrap();
        for file in ["package.json", "package-lock.json", "server.mjs"] {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&to);
        assert!(
            npm.status().await.expect("npm is there: Debian's package npm").success(),
            "npm ci failed in {}",
            to.display()
        );
        to
    };
    FOLDER.get_or_init(install).await.clone()
}
