//! The apps that a stack has at the providers, as they are registered there and as Secrets Manager holds them.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::opaque::random;

/// The provider-side account of the local apps: theirs are the events that name none.
pub const LOCAL_ACCOUNT: &str = "acct_local";

/// An app as it is registered at each vendor.
#[derive(Debug, Clone)]
pub struct Apps {
    /// At Slack.
    pub slack: App,
    /// At Stripe, which is sent keys, not client credentials: only the webhook secret counts.
    pub stripe: App,
    /// At Google, for Calendar and Gmail.
    pub google: App,
    /// Where Gmail's notifications go.
    pub google_push: Push,
}

/// A registration.
#[derive(Debug, Clone)]
pub struct App {
    /// Public.
    pub client_id: String,
    /// With which the app authenticates.
    pub client_secret: SecretString,
    /// With which the vendor signs webhooks. Google has none.
    pub webhook_secret: SecretString,
}

/// A Pub/Sub push subscription.
#[derive(Debug, Clone)]
pub struct Push {
    /// The `aud` of its tokens.
    pub audience: String,
    /// The account they are issued to, an e-mail address.
    pub service_account: String,
    /// `projects/P/topics/T`, the one topic a watch may name.
    pub topic: String,
}

impl Apps {
    /// The apps of a local run, as a person registers them at the providers.
    pub fn local() -> Self {
        let app = |name: &str| App {
            client_id: format!("local-{name}"),
            client_secret: random(40).into(),
            webhook_secret: format!("whsec_{}", random(32)).into(),
        };
        let google_push = Push {
            audience: "https://intertie.local/webhooks/gmail".to_owned(),
            service_account: "push@local.iam.gserviceaccount.com".to_owned(),
            topic: "projects/local/topics/gmail".to_owned(),
        };
        Self { slack: app("slack"), stripe: app("stripe"), google: app("google"), google_push }
    }

    /// By the secret that holds each.
    pub fn by_secret(&self) -> [(&'static str, &App); 3] {
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
