//! What functions that call providers share: calls, the integrations they are made for, and the bus that hears when one ends.

use std::{sync::Arc, time::Duration};

use domain::{
    Integration, IntegrationKey, Problem, Reason, Reply, Request,
    call::{Failure, limit::Rates},
    integration::IntegrationState,
    provider_api::ProviderApi,
};
use jiff::Timestamp;

use crate::{
    aws::{Aws, AwsError, bus::Bus, envelope::Vault, secrets::Secrets},
    base::{InitError, clock, config::Env, rewrites::Rewrites},
    client::{
        calls::{CallError, Calls},
        http::HttpClient,
        pace::Pace,
        tokens::Tokens,
        transport::Transport,
    },
    stores::{credentials::Credentials, health::CallHealth, integrations::Integrations},
};

/// What an [`Access`] is configured by.
#[derive(Debug)]
pub struct AccessConfig {
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

impl AccessConfig {
    /// Reads it.
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
}

/// Calls to providers in the name of integrations.
#[derive(Debug)]
pub struct Access {
    /// Makes the calls.
    pub calls: Calls,
    /// In whose name.
    pub integrations: Integrations,
    /// Hears when a grant ends.
    pub bus: Bus,
    stack: String,
}

impl Access {
    /// Makes the clients. `known` tells whether there is a limit of a name that the configuration sets.
    pub fn new(aws: &Aws, config: &AccessConfig, known: impl Fn(&str) -> bool) -> Result<Self, InitError> {
        let unknown = config.rates.unknown(known);
        if !unknown.is_empty() {
            return Err(InitError::UnknownLimit(unknown.join(", ")));
        }
        let vault = Vault::new(aws, &config.token_key, &config.resource_prefix);
        let credentials = Credentials::new(aws, &config.credentials_table, vault, config.refresh_lease);
        let transport = Transport {
            http: HttpClient::new(config.rewrites.clone())?,
            health: CallHealth::new(aws, &config.health_table),
            pace: Pace::new(aws, &config.rate_limits_table),
            rates: config.rates.clone(),
        };
        let apps = Arc::new(Secrets::new(aws, &config.resource_prefix, config.secret_cache));
        Ok(Self {
            calls: Calls::new(Tokens::new(credentials, transport, apps)),
            integrations: Integrations::new(aws, &config.integrations_table),
            bus: Bus::new(aws, &config.event_bus),
            stack: config.resource_prefix.clone(),
        })
    }

    /// The one path of all calls, for what is not made in the name of a stored integration.
    pub fn transport(&self) -> &Transport {
        self.calls.transport()
    }

    /// Writes what was counted of calls. Once per invocation, at its end.
    pub async fn flush(&self) {
        self.transport().health.flush(&self.stack, clock::now()).await;
    }

    /// Makes a call; if it shows that the grant is over, the integration says so from now on.
    pub async fn call(
        &self,
        provider: &ProviderApi,
        owner: &IntegrationKey,
        request: &Request,
        holder: &str,
        deadline: Timestamp,
    ) -> Result<Reply, CallError> {
        let began_at = clock::now();
        let outcome = self.calls.call(provider, owner, request, holder, deadline).await;
        match &outcome {
            Err(CallError::Failed(Failure::GrantEnded, _)) => self.ended(provider.name, owner, began_at).await?,
            Err(CallError::Corrupt(_)) => self.set_aside(provider, owner).await?,
            Ok(_) | Err(CallError::Failed(..) | CallError::NotConnected | CallError::Aws(_)) => {}
        }
        outcome
    }

    /// The stored credential of an integration can't be opened: only connecting again, or a repair of the table, helps, so
    /// nothing is due any more and the user is asked to connect again.
    pub async fn set_aside(&self, provider: &ProviderApi, owner: &IntegrationKey) -> Result<(), AwsError> {
        self.calls.tokens.credentials.set_aside(&owner.id(), provider.credential).await?;
        let found = self.integrations.get(&owner.user_id, &owner.account()).await?;
        let Some(integration) = found.filter(|it| it.state == IntegrationState::Connected) else { return Ok(()) };
        let Problem { message, next_action, .. } = Problem::credential_unreadable(provider.name);
        let sentence = format!("{message} {next_action}");
        let kind = "integration.reconnect_required";
        let id = format!("{}:{kind}:{}", owner.id(), integration.connected_at.as_millisecond());
        let data = serde_json::json!({ "message": sentence });
        self.bus.announce(kind, &id, owner, clock::now(), &data).await?;
        self.integrations.set_aside(&integration, &sentence).await?;
        Ok(())
    }

    /// Whether an integration can be used: one that was set aside is put back in use if its credential opens again.
    pub async fn is_usable(&self, integration: &Integration, credential: &str) -> Result<bool, AwsError> {
        if integration.state == IntegrationState::Connected {
            return Ok(true);
        }
        if !integration.unreadable {
            return Ok(false);
        }
        let now = clock::now();
        match self.calls.tokens.credentials.get(&integration.key.id(), credential, now).await {
            Ok(Some(_)) => self.integrations.restore(integration, now).await,
            // Set aside for a data key that others than this process found damaged.
            Ok(None) | Err(AwsError::DataKey { .. }) => Ok(false),
            Err(error) if error.reason() == Reason::Corrupt => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The provider ended a grant, as a call that began at this time shows: a later grant is another one.
    pub async fn ended(&self, name: &str, owner: &IntegrationKey, began_at: Timestamp) -> Result<(), AwsError> {
        ended(&self.integrations, &self.bus, name, owner, began_at).await
    }
}

/// The provider ended a grant at this time: only its user can help. One that was granted later stays.
///
/// The bus hears of it first: whoever repeats this after a crash in between finds the integration still in use, and tells it
/// under the same id.
pub async fn ended(
    integrations: &Integrations,
    bus: &Bus,
    name: &str,
    owner: &IntegrationKey,
    at: Timestamp,
) -> Result<(), AwsError> {
    let found = integrations.get(&owner.user_id, &owner.account()).await?;
    let Some(integration) = found.filter(|it| it.state == IntegrationState::Connected && it.connected_at <= at) else {
        return Ok(());
    };
    let kind = "integration.reconnect_required";
    let sentence = Problem::reconnect_required(name).message;
    let id = format!("{}:{kind}:{}", owner.id(), integration.connected_at.as_millisecond());
    bus.announce(kind, &id, owner, at, &serde_json::json!({ "message": sentence })).await?;
    integrations.end(owner, &sentence, at).await?;
    Ok(())
}
