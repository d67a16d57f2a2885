//! A running stack, read from its environment file, for `sign`, `token` and `fire`.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use domain::{ProviderId, UserId, integration::IntegrationState, webhook::proof::ChannelOwner};
use local_aws::{Clients, REGION, clients::DEVELOPER_KEY};
use local_runtime::stack::Folder;
use platform::{
    Aws,
    aws::{
        Patience,
        secrets::{self, App},
    },
    stores::integrations::Integrations,
};
use secrecy::SecretString;
use serde::Deserialize;

use crate::story::USER;

pub struct Joined {
    variables: BTreeMap<String, String>,
    clients: Clients,
}

#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("no stack runs in {}; start one with `cargo local` in another terminal, or name the folder of one that runs with --directory FOLDER", .0.display())]
    NotRunning(PathBuf),
    #[error("the stack in {} has not started yet: wait until it prints its link", .0.display())]
    Starting(PathBuf),
    #[error("{}: {source}", file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
    /// The file lacks a variable.
    #[error("the environment file lacks {0}; restart `cargo local`")]
    Lacks(&'static str),
    #[error("{0}; is the stack still running?")]
    Integrations(String),
    #[error("{name}: {reason}; is the stack still running?")]
    Secret { name: String, reason: String },
}

impl Joined {
    /// The stack that runs in `folder`. A killed one may have left its variables there.
    pub fn of(folder: &Path) -> Result<Self, JoinError> {
        if !Folder::is_locked(folder) {
            return Err(JoinError::NotRunning(folder.to_owned()));
        }
        let file = folder.join("env");
        let text = match std::fs::read_to_string(&file) {
            Err(source) if source.kind() == ErrorKind::NotFound => return Err(JoinError::Starting(folder.to_owned())),
            read => read.map_err(|source| JoinError::Unreadable { file, source })?,
        };
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let variables: BTreeMap<_, _> =
            pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect();
        let endpoint = variables.get("AWS_ENDPOINT_URL_SQS").ok_or(JoinError::Lacks("AWS_ENDPOINT_URL_SQS"))?;
        let clients = Clients::new(endpoint, REGION, DEVELOPER_KEY);
        Ok(Self { variables, clients })
    }

    pub fn variable(&self, name: &'static str) -> Result<&str, JoinError> {
        self.variables.get(name).map(String::as_str).ok_or(JoinError::Lacks(name))
    }

    pub async fn session_key(&self) -> Result<SecretString, JoinError> {
        #[derive(Deserialize)]
        struct Keys {
            key: SecretString,
        }
        let text = self.secret("session").await?;
        let keys = serde_json::from_str::<Keys>(&text);
        keys.map(|keys| keys.key).map_err(|_| Self::unusable("session", "it is not of the documented form"))
    }

    /// The configuration of an app.
    pub async fn app(&self, name: &str) -> Result<App, JoinError> {
        secrets::read(&self.secret(name).await?).map_err(|error| Self::unusable(name, &error.to_string()))
    }

    /// The first integration of the stack's own user at a provider that is in use.
    pub async fn integration(&self, provider: &ProviderId) -> Result<Option<ChannelOwner>, JoinError> {
        let aws = Aws::at(self.variable("AWS_ENDPOINT_URL_DYNAMODB")?, REGION, DEVELOPER_KEY, Patience::REQUEST);
        let table = format!("{}-integrations", self.variable("INTERTIE_PREFIX")?);
        let user = UserId::parse(USER).map_err(|error| JoinError::Integrations(error.to_string()))?;
        let found = Integrations::new(&aws, table).of_user(&user, Some(provider)).await;
        let found = found.map_err(|error| JoinError::Integrations(error.to_string()))?;
        let used = found.into_iter().find(|integration| integration.state == IntegrationState::Connected);
        Ok(used.map(|it| ChannelOwner { integration_id: it.key.id(), account: it.key.account_id }))
    }

    async fn secret(&self, name: &str) -> Result<String, JoinError> {
        let name = format!("{}/{name}", self.variable("INTERTIE_PREFIX")?);
        let call = self.clients.secrets.get_secret_value().secret_id(&name);
        let output = call.send().await.map_err(|error| Self::unusable(&name, &error.to_string()))?;
        Ok(output.secret_string().unwrap_or_default().to_owned())
    }

    fn unusable(name: &str, reason: &str) -> JoinError {
        JoinError::Secret { name: name.to_owned(), reason: reason.to_owned() }
    }
}
