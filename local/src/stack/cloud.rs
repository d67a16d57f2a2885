//! The AWS of a stack: the services behind the gateway, every resource of template.yaml, the secrets of a local app.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use secrecy::SecretString;
use serde_json::json;
use tokio::task::JoinHandle;

use super::{ACCOUNT, LOCAL_ACCOUNT, REGION, StackError, listen_any};
use crate::{
    aws::{
        Clients, Embedded, Gateway, Service,
        clients::DEVELOPER_KEY,
        provision::{provision, random_text},
    },
    lambda::{AccessKeys, background},
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

impl Cloud {
    /// Starts it. `events` receives what is put on the bus.
    pub async fn start(
        template: &Path,
        overrides: &[(String, String)],
        aws_endpoint: Option<String>,
        events: &Path,
    ) -> Result<Self, StackError> {
        let (url, listener) = listen_any().await?;
        let sqs_base = aws_endpoint.clone().unwrap_or_else(|| url.clone());
        let context = Context { region: REGION.into(), account: ACCOUNT.into(), sqs_base };
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
        let gateway = Gateway::new(backends, access_keys.clone(), Arc::clone(&template));
        let served = background(Arc::clone(&gateway).serve(listener));
        let clients = Clients::new(&url, REGION, DEVELOPER_KEY);
        provision(&clients, &template).await?;
        let webhook_secrets = configure_apps(&clients, &template).await?;
        let session_key = session_key(&clients, &template).await?;
        Ok(Self { url, template, gateway, clients, embedded, access_keys, session_key, webhook_secrets, served })
    }
}

/// Gives the local app its secrets: what a person does in the console after deploying.
async fn configure_apps(
    clients: &Clients,
    template: &Template,
) -> Result<BTreeMap<&'static str, SecretString>, StackError> {
    let mut secrets = BTreeMap::new();
    for app in providers::REGISTRY.iter().map(|provider| provider.spec().secret).collect::<BTreeSet<_>>() {
        let Some(stored) = template.secrets.iter().find(|it| it.name.ends_with(&format!("/{app}"))) else {
            continue;
        };
        let webhook_secret = format!("whsec_{}", random_text(32, ALPHANUMERIC));
        let value = json!({
            "client_id": "local",
            "client_secret": "local",
            "webhook_secrets": [&webhook_secret],
            "account_id": LOCAL_ACCOUNT,
        });
        let call = clients.secrets.put_secret_value().secret_id(&stored.name).secret_string(value.to_string());
        call.send().await.map_err(|error| StackError::Secret(format!("{}: {error}", stored.name)))?;
        secrets.insert(app, webhook_secret.into());
    }
    Ok(secrets)
}

const ALPHANUMERIC: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

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
