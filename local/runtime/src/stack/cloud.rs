//! The AWS of a stack: the services behind the gateway, every resource of the template, and given secrets.

use std::{path::Path, sync::Arc};

use local_aws::{
    ACCOUNT, AccessKeys, Clients, Embedded, Gateway, REGION, Service, clients::DEVELOPER_KEY, gateway::Policies,
    iam::Role, provision::provision, rights::Ledger,
};
use local_base::background;
use secrecy::SecretString;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{error::StackError, listen::listen_any};
use crate::template::{Context, Function, Template};

/// A running AWS with what the template declares.
pub struct Cloud {
    /// Where the gateway answers.
    pub url: String,
    pub template: Arc<Template>,
    /// The gateway to AWS, with its faults and counts.
    pub gateway: Arc<Gateway>,
    /// Clients that the gateway does not restrict.
    pub clients: Clients,
    /// The embedded services; none with an AWS that is already running.
    pub embedded: Option<Embedded>,
    /// The functions by access key.
    pub access_keys: AccessKeys,
    pub session_key: SecretString,
    /// The task that serves the gateway.
    pub served: JoinHandle<()>,
}

/// What a cloud is made from.
#[derive(Debug, Clone, Copy)]
pub struct CloudOptions<'a> {
    pub overrides: &'a [(String, String)],
    /// See [`Context::own`].
    pub own: &'a [(String, String)],
    /// See [`Options::secrets`](super::Options::secrets).
    pub secrets: &'a [(&'static str, Value)],
    /// An AWS that is already running, in place of the embedded one.
    pub aws_endpoint: Option<&'a str>,
    /// Receives what is put on the bus.
    pub events: &'a Path,
    pub api_url: &'a str,
    /// See [`Options::ledger`](super::Options::ledger).
    pub ledger: Option<&'a Path>,
}

impl Cloud {
    /// Starts the services and creates the resources of the template at this path.
    pub async fn start(template: &Path, options: CloudOptions<'_>) -> Result<Self, StackError> {
        let CloudOptions { overrides, own, secrets, aws_endpoint, events, api_url, ledger } = options;
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
        let ledger = ledger.map(|file| Ledger::open(file, &template.roles())).transpose()?;
        let gateway = Gateway::new(backends, access_keys.clone(), policies(&template), ledger);
        let served = background(Arc::clone(&gateway).serve(listener));
        let clients = Clients::new(&url, REGION, DEVELOPER_KEY);
        gateway.set_keys(provision(&clients, &template.resources).await?);
        store(&clients, &template, secrets).await?;
        let session_key = session_key(&clients, &template).await?;
        Ok(Self { url, template, gateway, clients, embedded, access_keys, session_key, served })
    }
}

/// What the gateway holds functions to.
fn policies(template: &Template) -> Policies {
    let role = |function: &Function| Role { name: function.binary.clone(), statements: function.statements.clone() };
    let roles = template.functions.iter().map(|function| (function.name.clone(), role(function))).collect();
    Policies { resources: template.resources.clone(), roles }
}

/// Stores secrets, as a person does in the console after deploying.
async fn store(clients: &Clients, template: &Template, secrets: &[(&str, Value)]) -> Result<(), StackError> {
    for (name, value) in secrets {
        let Some(stored) = template.resources.secrets.iter().find(|it| it.name.ends_with(&format!("/{name}"))) else {
            continue;
        };
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
    let name =
        template.resources.secrets.iter().map(|secret| secret.name.as_str()).find(|name| name.ends_with("/session"));
    let name = name.ok_or_else(|| StackError::Secret("template.yaml declares no secret {prefix}/session".into()))?;
    let call = clients.secrets.get_secret_value().secret_id(name);
    let output = call.send().await.map_err(|error| StackError::Secret(error.to_string()))?;
    let keys: Keys = serde_json::from_str(output.secret_string().unwrap_or_default())
        .map_err(|_| StackError::Secret(format!("{name} is not {{\"key\":\"<base64>\",\"previous\":[]}}")))?;
    Ok(keys.key)
}
