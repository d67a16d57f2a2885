//! The apps of a local run, one at each emulator.

use std::{collections::BTreeMap, ops::Index};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{app::App, opaque::random, registry::REGISTRY};

/// The provider-side account of the local apps: theirs are the events that name none.
pub const LOCAL_ACCOUNT: &str = "acct_local";

/// By the secret that holds each.
#[derive(Debug, Clone)]
pub struct Apps(pub(super) BTreeMap<&'static str, App>);

impl Apps {
    /// The apps of a local run, as a person registers them at the providers.
    pub fn local() -> Self {
        let apps = REGISTRY.iter().map(|spec| {
            let app = App {
                client_id: format!("local-{}", spec.secret),
                client_secret: random(40).into(),
                webhook_secret: format!("whsec_{}", random(32)).into(),
                settings: spec.settings,
            };
            (spec.secret, app)
        });
        Self(apps.collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &App)> {
        self.0.iter().map(|(secret, app)| (*secret, app))
    }

    /// What `{prefix}/{name}` holds in Secrets Manager.
    pub fn secrets(&self) -> Vec<(&'static str, Value)> {
        let secret = |(name, app): (_, &App)| {
            let mut secret = json!({
                "client_id": app.client_id,
                "client_secret": app.client_secret.expose_secret(),
                "webhook_secrets": [app.webhook_secret.expose_secret()],
                "account_id": LOCAL_ACCOUNT,
            });
            for (setting, value) in app.settings {
                secret[setting] = (*value).into();
            }
            (name, secret)
        };
        self.iter().map(secret).collect()
    }
}

impl Index<&str> for Apps {
    type Output = App;

    /// The app at a provider, or that of a secret. Panics if the sandbox has none of this name.
    fn index(&self, name: &str) -> &App {
        &self.0[REGISTRY.find(name).map_or(name, |spec| spec.secret)]
    }
}
