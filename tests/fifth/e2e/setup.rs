//! A stack with the fifth provider: template.yaml with its secret, the functions that call providers with its folder.

use std::time::Duration;

use http::Method;
use local_base::web::Web;
use local_cli::{
    browser::{Browser, BrowserPage},
    bundle::Options,
    stores::Stores,
};
use local_runtime::bootstraps::{Bootstraps, root};
use memchr::memmem;
use serde_json::Value;
use tests::{Running, options, stack_of};

use crate::notebook::Notebook;

/// The user that connects; the account there has the same name.
pub(crate) const USER: &str = "ada";
/// The functions that call providers.
const FUNCTIONS: [&str; 5] = ["api-proxy", "integrations-api", "oauth-callback", "sync-worker", "token-refresh"];
/// What template.yaml says of a provider: its secret …
const SECRET: &str = "
  NotebookSecret:
    Type: AWS::SecretsManager::Secret
    Properties:
      Name: !Sub '${Prefix}/notebook'
      SecretString: '{\"client_id\":\"\",\"client_secret\":\"\",\"webhook_secrets\":[]}'
";
/// … and, in the roles that read apps' secrets, the right to read it.
const RIGHT: [&str; 2] = ["!Ref GoogleSecret]", "!Ref GoogleSecret, !Ref NotebookSecret]"];

/// The stack, the provider, and a user with a browser.
pub(crate) struct Setup {
    pub(crate) stack: Running,
    pub(crate) notebook: Notebook,
    browser: Browser,
    web: Web,
    session: String,
}

impl Setup {
    /// Starts both, and makes the app known to each other's side.
    pub(crate) async fn start() -> Self {
        let mut notebook = Notebook::start().await;
        let options = options().await;
        let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
        let template =
            template.replace(RIGHT[0], RIGHT[1]).replacen("\nResources:\n", &format!("\nResources:{SECRET}"), 1);
        let file = options.folder.path().join("template.yaml");
        std::fs::write(&file, template).unwrap();
        let fifth = |all: Bootstraps, name| all.with(name, env!("CARGO_BIN_EXE_fifth").into());
        let stack = stack_of(Options {
            template: file,
            rewrites: format!("https://notebook.example={}", notebook.url),
            bootstraps: FUNCTIONS.into_iter().fold(options.bootstraps, fifth),
            ..options
        })
        .await;
        let app = notebook.register(&format!("{}/auth/notebook/callback", stack.url)).await;
        let secret = stack.clients.secrets.put_secret_value().secret_id(format!("{}/notebook", stack.prefix()));
        secret.secret_string(app.to_string()).send().await.unwrap();
        let session = stack.session(USER, None, Duration::from_mins(10)).unwrap();
        Self { stack, notebook, browser: Browser::new(), web: Web::new(), session }
    }

    /// Stops both.
    pub(crate) async fn stop(self) {
        self.stack.shutdown().await;
    }

    /// The stores.
    pub(crate) fn look(&self) -> Stores<'_> {
        Stores::new(&self.stack)
    }

    /// A call of the HTTP API.
    pub(crate) async fn api(&self, method: Method, path: &str) -> (u16, Value) {
        let (bearer, url) = (format!("Bearer {}", self.session), format!("{}{path}", self.stack.url));
        let response = self.web.call(method, &url, &[("authorization", &bearer)], "").await.unwrap();
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or_default())
    }

    /// A call of the provider's userinfo endpoint through the proxy.
    pub(crate) async fn me(&self) -> (u16, Value) {
        self.api(Method::GET, "/proxy/notebook/me").await
    }

    /// The status of the user.
    pub(crate) async fn status(&self) -> Value {
        let (status, body) = self.api(Method::GET, "/integrations/notebook").await;
        assert_eq!(status, 200, "{body}");
        body["integrations"][0].clone()
    }

    /// The id of the integration.
    pub(crate) async fn id(&self) -> String {
        self.status().await["integration_id"].as_str().expect("it was connected").to_owned()
    }

    /// Goes from the status page through the provider's pages and back, as a browser does. The page at the end.
    pub(crate) async fn connect(&self, decision: &str) -> String {
        let settings = format!("{}/settings/integrations", self.stack.url);
        self.browser.get(&format!("{settings}?session={}", self.session)).await.unwrap();
        let page = self.browser.get(&settings).await.unwrap();
        assert!(page.body.contains("href=\"/connect/notebook\""), "{}", page.body);
        let mut page = self.browser.get(&format!("{}/connect/notebook", self.stack.url)).await.unwrap();
        // More than any grant takes.
        for _ in 0..20 {
            page = match &page.location {
                Some(to) => {
                    let back = to.starts_with(&settings);
                    let page = self.browser.get(to).await.unwrap();
                    if back {
                        return page.body;
                    }
                    page
                }
                None => self.decide(&page, decision).await,
            };
        }
        panic!("it never came back: {} {}", page.status, page.body)
    }

    /// Signs in, allows or refuses on a page of the provider.
    async fn decide(&self, page: &BrowserPage, decision: &str) -> BrowserPage {
        let between = |start: &str, end: &str| {
            let (_, rest) = page.body.split_once(start)?;
            Some(rest.split_once(end)?.0.to_owned())
        };
        let prompt =
            between("name=\"prompt\" value=\"", "\"").unwrap_or_else(|| panic!("{} {}", page.status, page.body));
        if prompt == "consent" && decision == "Cancel" {
            return self.browser.get(&between("<a href=\"", "\"").unwrap()).await.unwrap();
        }
        let fields = [("prompt", prompt.as_str()), ("login", USER), ("password", "any")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.browser.post(&between("action=\"", "\"").unwrap(), &fields).await.unwrap()
    }

    /// No token that was ever issued is readable in a store or a log.
    pub(crate) async fn nothing_lies_open(&self) {
        let tokens = self.notebook.tokens().await;
        assert!(!tokens.is_empty());
        let mut places = Vec::new();
        for table in ["credentials", "integrations", "oauth-states", "syncs"] {
            places.push((table.to_owned(), self.look().bytes(table).await.unwrap()));
        }
        let logs = std::fs::read_dir(self.stack.folder.logs()).unwrap();
        let files = logs.map(|entry| entry.unwrap().path()).chain([self.stack.folder.events()]);
        places.extend(files.map(|file| (file.display().to_string(), std::fs::read(file).unwrap())));
        for (place, bytes) in places {
            assert!(tokens.iter().all(|token| memmem::find(&bytes, token.as_bytes()).is_none()), "a token in {place}");
        }
    }
}
