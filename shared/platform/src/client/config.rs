//! What a function that calls providers is configured by, and the parts that this makes.

use std::{sync::Arc, time::Duration};

use domain::call::limit::Rates;

use crate::{
    aws::{
        Aws,
        bus::Bus,
        envelope::Vault,
        secrets::{App, Secrets},
    },
    base::{InitError, config::Env, rewrites::Rewrites},
    client::{grants::Grants, http::HttpClient, pace::Pace, provider_client::ProviderClient, transport::Transport},
    stores::{credentials::Credentials, health::CallHealth, integrations::Integrations},
};

/// The settings of a function that calls providers.
#[derive(Debug)]
pub struct ClientConfig {
    integrations_table: String,
    credentials_table: String,
    health_table: String,
    rate_limits_table: String,
    rates: Rates,
    token_key: String,
    event_bus: String,
    resource_prefix: String,
    secret_cache: Duration,
    refresh_lease: Duration,
    rewrites: Rewrites,
}

/// The parts of a function that calls providers. Each function takes those that it uses.
#[derive(Debug)]
pub struct Parts {
    /// Calls providers.
    pub client: Arc<ProviderClient>,
    /// Ends, sets aside and revokes grants.
    pub grants: Grants,
    /// The stored credentials, which the client refreshes.
    pub credentials: Arc<Credentials>,
    /// The apps' ids and secrets.
    pub apps: Arc<Secrets<App>>,
    /// The integrations that calls are made for.
    pub integrations: Integrations,
    /// The application's event bus.
    pub bus: Bus,
}

impl ClientConfig {
    /// Reads the settings from the environment.
    pub fn read(env: &mut Env) -> Self {
        Self {
            integrations_table: env.text("INTEGRATIONS_TABLE"),
            credentials_table: env.text("CREDENTIALS_TABLE"),
            health_table: env.text("HEALTH_TABLE"),
            rate_limits_table: env.text("RATE_LIMITS_TABLE"),
            rates: env.rates(),
            token_key: env.text("TOKEN_KEY"),
            event_bus: env.text("EVENT_BUS"),
            resource_prefix: env.text("RESOURCE_PREFIX"),
            secret_cache: env.seconds("SECRET_CACHE_SECONDS"),
            refresh_lease: env.seconds("REFRESH_LEASE_SECONDS"),
            rewrites: env.rewrites(),
        }
    }

    /// Makes the parts. `known` tells whether there is a limit of a name that the configuration sets.
    pub fn parts(&self, aws: &Aws, known: impl Fn(&str) -> bool) -> Result<Parts, InitError> {
        let unknown = self.rates.unknown(known);
        if !unknown.is_empty() {
            return Err(InitError::UnknownLimit(unknown.join(", ")));
        }
        let prefix = &self.resource_prefix;
        let vault = Vault::new(aws, &self.token_key, prefix);
        let credentials = Arc::new(Credentials::new(aws, &self.credentials_table, vault, self.refresh_lease));
        let apps = Arc::new(Secrets::new(aws, prefix, self.secret_cache));
        let transport = Transport::new(
            HttpClient::new(self.rewrites.clone())?,
            CallHealth::new(aws, &self.health_table),
            Pace::new(aws, &self.rate_limits_table),
            self.rates.clone(),
        );
        let client = ProviderClient::new(transport, Arc::clone(&credentials), Arc::clone(&apps), prefix);
        let client = Arc::new(client);
        let integrations = Integrations::new(aws, &self.integrations_table);
        let bus = Bus::new(aws, &self.event_bus);
        let grants = Grants {
            client: Arc::clone(&client),
            credentials: Arc::clone(&credentials),
            apps: Arc::clone(&apps),
            integrations: integrations.clone(),
            bus: bus.clone(),
        };
        Ok(Parts { client, grants, credentials, apps, integrations, bus })
    }
}
