//! The AWS of a stack: the services behind the gateway, every resource of template.yaml, the secrets of a local app.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{ACCOUNT, LOCAL_ACCOUNT, REGION, StackError, listen_any};
use crate::{
    aws::{
        Clients, Embedded, Gateway, Service,
        clients::DEVELOPER_KEY,
        provision::{provision, random_text},
    },
    lambda::{AccessKeys, background},
    rights::Ledger,
    sandbox::{App, Apps, Push},
    template::{Context, Template},
};

/// A running AWS with what the template declares.
pub struct Cloud {
    /// Where the gateway answers.
    pub url: String,
    /// The template in force.
    pub template: Arc<Template>,
    /// The way to AWS, with its faults and counts.
    pub gateway: Arc<Gateway>,
    /// Clients that look from outside.
    pub clients: Clients,
    /// The embedded services, unless AWS is the user's own.
    pub embedded: Option<Embedded>,
    /// Who signs with which access key.
    pub access_keys: AccessKeys,
    /// What signs sessions.
    pub session_key: SecretString,
    /// What signs webhooks, by app.
    pub webhook_secrets: BTreeMap<&'static str, SecretString>,
    /// The gateway at work.
    pub served: JoinHandle<()>,
}

/// Where a cloud stands.
#[derive(Debug, Clone, Copy)]
pub struct CloudOptions<'a> {
    /// Parameters of the template.
    pub overrides: &'a [(String, String)],
    /// See [`Context::own`].
    pub own: &'a [(String, String)],
    /// An AWS that is already running, in place of the embedded one.
    pub aws_endpoint: Option<&'a str>,
    /// Receives what is put on the bus.
    pub events: &'a Path,
    /// The address of the HTTP API.
    pub api_url: &'a str,
    /// See [`Options::ledger`](super::Options::ledger).
    pub ledger: Option<&'a Path>,
}

impl Cloud {
    /// Starts it, with the secrets of `apps`.
    pub async fn start(template: &Path, place: CloudOptions<'_>, apps: &Apps) -> Result<Self, StackError> {
        let CloudOptions { overrides, own, aws_endpoint, events, api_url, ledger } = place;
        let aws_endpoint = aws_endpoint.map(str::to_owned);
        let (url, listener) = listen_any().await?;
        let sqs_base = aws_endpoint.clone().unwrap_or_else(|| url.clone());
        let (region, account) = (REGION.into(), ACCOUNT.into());
        let context = Context { region, account, sqs_base, api_url: api_url.to_owned(), own: own.to_vec() };
        let template = Arc::new(Template::load(template, overrides, &context)?);
        let embedded = match aws_endpoint {
            Some(_) => None,
            None => Some(Embedded::start(&url, REGION, ACCOUNT, events).await?),
        };
        let backend = |service| {
            let own = embedded.as_ref().and_then(|embedded| embedded.url(service));
            own.or_else(|| aws_endpoint.clone()).map(|url| (service, url))
        };
        let access_keys = AccessKeys::default();
        let backends = Service::ALL.into_iter().filter_map(backend).collect();
        let ledger = ledger.map(|file| Ledger::open(file, &template)).transpose()?;
        let gateway = Gateway::new(backends, access_keys.clone(), Arc::clone(&template), ledger);
        let served = background(Arc::clone(&gateway).serve(listener));
        let clients = Clients::new(&url, REGION, DEVELOPER_KEY);
        gateway.know_keys(provision(&clients, &template).await?);
        configure_apps(&clients, &template, apps).await?;
        let webhook_secrets = apps.by_secret().map(|(name, app)| (name, app.webhook_secret.clone())).into();
        let session_key = session_key(&clients, &template).await?;
        Ok(Self { url, template, gateway, clients, embedded, access_keys, session_key, webhook_secrets, served })
    }
}

impl Apps {
    /// The apps of a local run, as a person registers them at the providers.
    pub fn local() -> Self {
        let app = |name: &str| App {
            client_id: format!("local-{name}"),
            client_secret: random_text(40, ALPHANUMERIC).into(),
            webhook_secret: format!("whsec_{}", random_text(32, ALPHANUMERIC)).into(),
        };
        let google_push = Push {
            audience: "https://intertie.local/webhooks/gmail".to_owned(),
            service_account: "push@local.iam.gserviceaccount.com".to_owned(),
            topic: "projects/local/topics/gmail".to_owned(),
        };
        Self { slack: app("slack"), stripe: app("stripe"), google: app("google"), google_push }
    }

    /// By the secret that holds each.
    fn by_secret(&self) -> [(&'static str, &App); 3] {
        [("slack", &self.slack), ("stripe", &self.stripe), ("google", &self.google)]
    }

    /// What `{prefix}/{name}` holds in Secrets Manager.
    pub fn secrets(&self) -> [(&'static str, Value); 3] {
        let push = &self.google_push;
        self.by_secret().map(|(name, app)| {
            let value = json!({
                "client_id": app.client_id,
                "client_secret": app.client_secret.expose_secret(),
                "webhook_secrets": [app.webhook_secret.expose_secret()],
                "account_id": LOCAL_ACCOUNT,
                "pubsub_topic": push.topic,
                "push_service_account": push.service_account,
                "push_audience": push.audience,
            });
            (name, value)
        })
    }
}

const ALPHANUMERIC: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Stores what is known of the apps: what a person does in the console after deploying.
async fn configure_apps(clients: &Clients, template: &Template, apps: &Apps) -> Result<(), StackError> {
    for (name, value) in apps.secrets() {
        let Some(stored) = template.secrets.iter().find(|it| it.name.ends_with(&format!("/{name}"))) else { continue };
        let call = clients.secrets.put_secret_value().secret_id(&stored.name).secret_string(value.to_string());
        call.send().await.map_err(|error| StackError::Secret(format!("{}: {error}", stored.name)))?;
    }
    Ok(())
}

async fn session_key(clients: &Clients, template: &Template) -> Result<SecretString, StackError> {
    #[derive(serde::Deserialize)]
    struct Keys {
        key: SecretString,
    }
    let name = template.secrets.iter().map(|secret| secret.name.as_str()).find(|name| name.ends_with("/session"));
    let name = name.ok_or_else(|| StackError::Secret("template.yaml declares no secret {prefix}/session".into()))?;
    let call = clients.secrets.get_secret_value().secret_id(name);
    let output = call.send().await.map_err(|error| StackError::Secret(error.to_string()))?;
    let keys: Keys = serde_json::from_str(output.secret_string().unwrap_or_default())
        .map_err(|_| StackError::Secret(format!("{name} is not {{\"key\":\"<base64>\",\"previous\":[]}}")))?;
    Ok(keys.key)
}
