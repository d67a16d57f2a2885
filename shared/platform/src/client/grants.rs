//! The end of a grant as calls show it: the integration says so, and the application hears of it.
//!
//! *Invariant:* the bus has the event before the integration's item changes. A repetition after a crash in between finds the
//! integration still in use, and publishes under the same id.

use std::sync::Arc;

use domain::{
    CredentialName, Failure, Integration, IntegrationKey, Problem, Reason, integration::IntegrationState,
    provider_api::ProviderApi,
};
use jiff::Timestamp;

use crate::{
    aws::{
        AwsError,
        bus::Bus,
        secrets::{App, Secrets},
    },
    base::clock,
    client::{error::CallError, provider_client::ProviderClient},
    stores::{credentials::Credentials, integrations::Integrations},
};

/// The event by which the application learns that only the user can help.
const RECONNECT_REQUIRED: &str = "integration.reconnect_required";

/// The grants behind integrations: their end, their failures and their revocation.
#[derive(Debug)]
pub struct Grants {
    pub(super) client: Arc<ProviderClient>,
    pub(super) credentials: Arc<Credentials>,
    pub(super) apps: Arc<Secrets<App>>,
    pub(super) integrations: Integrations,
    pub(super) bus: Bus,
}

impl Grants {
    /// Records what a failed call that began at `began_at` shows of the grant: that it has ended, or that its credential can't be
    /// opened.
    pub async fn record(
        &self,
        provider: &ProviderApi,
        integration: &IntegrationKey,
        error: &CallError,
        began_at: Timestamp,
    ) -> Result<(), AwsError> {
        match error {
            CallError::Failed(Failure::GrantEnded, _) => self.end(provider.name, integration, began_at).await,
            CallError::Corrupt(_) => self.set_aside(provider, integration).await,
            CallError::Failed(..) | CallError::NotConnected | CallError::Aws(_) => Ok(()),
        }
    }

    /// Takes an integration out of use because its stored credential can't be opened: only connecting again, or a repair of the table,
    /// helps. Nothing is due any more, and the user is asked to connect again.
    pub async fn set_aside(&self, provider: &ProviderApi, integration: &IntegrationKey) -> Result<(), AwsError> {
        self.credentials.set_aside(&integration.id(), provider.credential).await?;
        let found = self.integrations.get(integration).await?;
        let Some(found) = found.filter(|it| it.state == IntegrationState::Connected) else { return Ok(()) };
        let sentence = Problem::credential_unreadable(provider.name).with_next_action();
        announce(&self.bus, &found, &sentence, clock::now()).await?;
        self.integrations.set_aside(&found, &sentence).await?;
        Ok(())
    }

    /// Whether an integration can be used. One that was set aside is put back in use if its credential opens again.
    pub async fn is_usable(&self, integration: &Integration, credential: &CredentialName) -> Result<bool, AwsError> {
        if integration.state == IntegrationState::Connected {
            return Ok(true);
        }
        if !integration.unreadable {
            return Ok(false);
        }
        let now = clock::now();
        match self.credentials.get(&integration.key.id(), credential, now).await {
            Ok(Some(_)) => self.integrations.restore(integration, now).await,
            // Another process set it aside for a data key that it found damaged.
            Ok(None) | Err(AwsError::DataKey { .. }) => Ok(false),
            Err(error) if error.reason() == Reason::Corrupt => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Records that the provider has ended a grant, as a call that began at `began_at` shows. See [`end`].
    pub async fn end(&self, name: &str, integration: &IntegrationKey, began_at: Timestamp) -> Result<(), AwsError> {
        end(&self.integrations, &self.bus, name, integration, began_at).await
    }
}

/// Records that the provider `name` has ended a grant at this time: only its user can help. A later grant is another one, and
/// stays.
pub async fn end(
    integrations: &Integrations,
    bus: &Bus,
    name: &str,
    integration: &IntegrationKey,
    at: Timestamp,
) -> Result<(), AwsError> {
    let found = integrations.get(integration).await?;
    let Some(found) = found.filter(|it| it.state == IntegrationState::Connected && it.connected_at <= at) else {
        return Ok(());
    };
    let sentence = Problem::reconnect_required(name).message;
    announce(bus, &found, &sentence, at).await?;
    integrations.end(integration, &sentence, at).await?;
    Ok(())
}

/// Publishes that the user has to connect an integration again: once for each time that it was connected.
async fn announce(bus: &Bus, integration: &Integration, sentence: &str, at: Timestamp) -> Result<(), AwsError> {
    let (key, connected_at) = (&integration.key, integration.connected_at.as_millisecond());
    let id = format!("{}:{RECONNECT_REQUIRED}:{connected_at}", key.id());
    bus.announce(RECONNECT_REQUIRED, &id, key, at, &serde_json::json!({ "message": sentence })).await
}
