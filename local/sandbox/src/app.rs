//! The registration of an app at a provider.

use secrecy::SecretString;

#[derive(Debug, Clone)]
pub struct App {
    /// Public.
    pub client_id: String,
    /// With which the app authenticates. Of no use at a provider that is sent keys.
    pub client_secret: SecretString,
    /// With which the provider signs webhooks, if it signs with a secret.
    pub webhook_secret: SecretString,
    /// What else Secrets Manager holds of it.
    pub settings: &'static [(&'static str, &'static str)],
}

impl App {
    /// A setting's value; empty if there is none of this name.
    pub(super) fn setting(&self, name: &str) -> &'static str {
        self.settings.iter().find(|(it, _)| *it == name).map_or("", |(_, value)| value)
    }
}
