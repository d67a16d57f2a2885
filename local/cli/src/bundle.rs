//! The stack joined to the provider emulators: its calls to providers lead to them, and their webhooks to it.

use std::{
    collections::BTreeMap,
    ops::Deref,
    path::{Path, PathBuf},
    time::Duration,
};

use local_runtime::{
    bootstraps::Bootstraps,
    stack::{self, Folder, Stack, StackError},
};
use local_sandbox::{Apps, Sandbox};
use secrecy::{ExposeSecret as _, SecretString};

use tokio::task::JoinSet;

use crate::{
    forward::Subscriber,
    settings::{self, WrongSettings},
};

#[derive(Debug)]
pub struct Options {
    pub template: PathBuf,
    /// Where logs, events and the environment file go.
    pub folder: Folder,
    /// The HTTP API's port; 0 for any.
    pub port: u16,
    pub overrides: Vec<(String, String)>,
    /// An AWS that is already running, in place of the embedded one.
    pub aws_endpoint: Option<String>,
    /// Where each event of the embedded bus is posted.
    pub events_to: Option<Subscriber>,
    /// Rewrites that win over the sandbox's, in the form of `INTERTIE_URL_REWRITES`.
    pub rewrites: String,
    pub bootstraps: Bootstraps,
    /// See [`stack::Options::ledger`].
    pub ledger: Option<PathBuf>,
}

/// A running stack and the provider emulators. It is used as its stack is.
pub struct Bundle {
    stack: Stack,
    pub sandbox: Sandbox,
    /// The apps, as the providers know them.
    pub apps: Apps,
    /// The secrets that sign webhooks, by app.
    pub webhook_secrets: BTreeMap<&'static str, SecretString>,
    pub events_to: Option<Subscriber>,
    /// Ends with the bundle.
    _forwarding: JoinSet<()>,
}

#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error(transparent)]
    Settings(#[from] WrongSettings),
    #[error(transparent)]
    Stack(#[from] StackError),
    /// No loopback port for an emulator.
    #[error("the sandbox: {0}")]
    Sandbox(#[from] std::io::Error),
}

impl Bundle {
    /// Finds what would keep the bundle from starting, before anything is built: wrong settings, and what [`Stack::check`] finds.
    pub async fn check(
        template: &Path,
        overrides: &[(String, String)],
        rewrites: &str,
        port: u16,
        aws_endpoint: Option<&str>,
    ) -> Result<(), BundleError> {
        settings::check(template, overrides, rewrites)?;
        Ok(Stack::check(template, overrides, port, aws_endpoint).await?)
    }

    pub async fn start(options: Options) -> Result<Self, BundleError> {
        settings::check(&options.template, &options.overrides, &options.rewrites)?;
        let apps = Apps::local();
        let sandbox = Sandbox::start(&apps).await?;
        let given = options.overrides.iter().any(|(name, _)| name == "UrlRewrites");
        let own = (!given).then(|| ("UrlRewrites".to_owned(), rewrites(&options.rewrites, &sandbox)));
        let stack = Stack::start(stack::Options {
            template: options.template,
            folder: options.folder,
            port: options.port,
            overrides: options.overrides,
            own: own.into_iter().collect(),
            secrets: apps.secrets(),
            aws_endpoint: options.aws_endpoint,
            bootstraps: options.bootstraps,
            ledger: options.ledger,
        });
        let stack = stack.await?;
        sandbox.deliver_to(&stack.url);
        let webhook_secrets = apps.iter().map(|(name, app)| (name, app.webhook_secret.clone())).collect();
        let mut forwarding = JoinSet::new();
        for (subscriber, embedded) in options.events_to.iter().zip(&stack.embedded) {
            forwarding.spawn(subscriber.clone().follow(embedded.bus.follow()));
        }
        Ok(Self { stack, sandbox, apps, webhook_secrets, events_to: options.events_to, _forwarding: forwarding })
    }

    /// Stops everything and waits until no process is left.
    pub async fn shutdown(self) {
        // It may never have been written.
        let _ = std::fs::remove_file(self.folder.env_file());
        self.stack.shutdown().await;
    }

    /// Every secret of the stack, to search for where none may be.
    pub fn secrets(&self) -> Vec<String> {
        let of_apps = self.apps.iter().flat_map(|(_, app)| [&app.client_secret, &app.webhook_secret]);
        of_apps
            .chain([&self.session_key])
            .chain(self.events_to.iter().map(|subscriber| &subscriber.secret))
            .map(|secret| secret.expose_secret().to_owned())
            .collect()
    }

    pub fn session(&self, user_id: &str, role: Option<&str>, life: Duration) -> Option<String> {
        platform::runtime::session::mint(&self.stack.session_key, user_id, role, local_base::now() + life)
    }
}

impl Deref for Bundle {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        &self.stack
    }
}

/// The given rewrites, and the sandbox's for all that they do not cover.
fn rewrites(given: &str, sandbox: &Sandbox) -> String {
    let covered =
        |from: &str| given.split_whitespace().any(|pair| from.starts_with(pair.split('=').next().unwrap_or(pair)));
    let own =
        sandbox.rewrites().into_iter().filter(|(from, _)| !covered(from)).map(|(from, to)| format!("{from}={to}"));
    std::iter::once(given.to_owned()).filter(|given| !given.is_empty()).chain(own).collect::<Vec<_>>().join(" ")
}
