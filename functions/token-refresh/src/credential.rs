//! One credential that is due: refreshed, set aside, or deleted with an integration that is not in use.
//!
//! *Invariant:* what a refresh may do is decided under its lease, and a grant that may be about to be stored is not touched.

use domain::{
    Disposition, Failure, Integration, IntegrationKey,
    integration::{IntegrationState, spell::Task},
    messages::message::RefreshMessage,
    provider_api::ProviderApi,
    sync::outcome::SyncFailure,
};
use jiff::Timestamp;
use platform::{
    AwsError,
    base::clock,
    client::{
        CallError, Refresh, StoredCredential,
        revocation::{Family, Revoked},
    },
    runtime::consumer::Attempt,
    stores::credentials::{Credential, GRACE},
};

use crate::TokenRefresh;

impl TokenRefresh {
    /// A credential that can't be refreshed for good is never due again. If it is `unreadable`, and the one that calls are made
    /// with, its user is asked to connect again.
    pub(crate) async fn set_aside(
        &self,
        message: &RefreshMessage,
        attempt: &Attempt,
        error: &AwsError,
        unreadable: bool,
    ) -> Disposition {
        let set_aside = async {
            let owner = self.credentials.set_aside(&message.integration_id, &message.credential).await?;
            let Some(owner) = owner.filter(|_| unreadable) else { return Ok(()) };
            let api = self.registry.find(&owner.provider).map(|provider| provider.spec().provider_api());
            match api.filter(|api| message.credential == *api.credential) {
                Some(api) => self.grants.set_aside(&api, &owner).await,
                None => Ok(()),
            }
        };
        // What keeps it from being set aside decides whether the message comes back.
        let failed = set_aside.await.err();
        attempt.failed(failed.as_ref().unwrap_or(error).diagnosis())
    }

    /// Refreshes the credential if it is still due.
    pub(crate) async fn refresh(&self, message: &RefreshMessage, attempt: &Attempt) -> Result<(), CallError> {
        let found = self.credentials.get(&message.integration_id, &message.credential, attempt.at).await?;
        let Credential { integration: owner, version, .. } = found.ok_or(CallError::NotConnected)?;
        let integration = self.integrations.get(&owner).await?;
        let Some(integration) = integration.filter(|it| it.state != IntegrationState::Disconnected) else {
            self.abandoned(&owner, attempt.at).await?;
            return Err(CallError::NotConnected);
        };
        let Some(provider) = self.registry.find(&owner.provider) else {
            return self.never_due(message, "the provider is not there any more").await;
        };
        let api = provider.spec().provider_api();
        let stored = StoredCredential { integration: &owner, name: &message.credential, holder: &attempt.id };
        let refreshed = self.client.credential(&api, stored, Refresh::Due, attempt.deadline).await;
        // Without tokens of users, say, the rest still works.
        if message.credential == *api.credential {
            match &refreshed {
                Err(CallError::Failed(Failure::GrantEnded, _)) => {
                    self.grants.end(api.name, &owner, attempt.at).await?;
                }
                Err(CallError::Failed(failure, _)) => self.failing(&api, &integration, failure).await?,
                Ok(_) => self.grants.report(&api, &integration, Task::Refreshes, &Ok(())).await?,
                Err(CallError::NotConnected | CallError::Corrupt(_) | CallError::Aws(_)) => {}
            }
        }
        let left = refreshed?;
        let known = api.oauth.is_some_and(|oauth| oauth.tokens().any(|it| message.credential == it.name));
        if left.refresh.is_none() || !known {
            return self.never_due(message, "nothing refreshes it").await;
        }
        // Another message, or a call, may have been faster.
        let line = if left.version == version { "no refresh: the token is not due any more" } else { "refreshed" };
        tracing::info!(service = %api.id, "{line}");
        Ok(())
    }

    /// Records that a refresh failed, and when it is tried again. That another process holds the lease is no failure.
    async fn failing(&self, api: &ProviderApi, integration: &Integration, failure: &Failure) -> Result<(), CallError> {
        let (now, id) = (clock::now(), integration.key.id());
        let found = self.credentials.get(&id, api.credential, now).await?;
        let Some(found) = found.filter(|it| it.failures > 0) else { return Ok(()) };
        let message = failure.problem(api.name, now).message;
        let outcome = Err(SyncFailure { message, next_try: found.due_at });
        Ok(self.grants.report(api, integration, Task::Refreshes, &outcome).await?)
    }

    /// Revokes and deletes the credentials of an integration that is not in use: what a process left that died between storing them
    /// and the integration, or between ending the one and the others, or that AWS failed there. A newer grant stays, as another
    /// process may be in the middle of storing it.
    async fn abandoned(&self, owner: &IntegrationKey, now: Timestamp) -> Result<(), AwsError> {
        let (id, before) = (owner.id(), now - GRACE);
        let mut opened = self.credentials.all(&id, now).await?;
        opened.credentials.retain(|it| it.granted_at <= before);
        if opened.credentials.is_empty() && !opened.unreadable {
            return Ok(());
        }
        // The user may have connected it again meanwhile, and the provider may have given the same token again.
        let integration = self.integrations.get(owner).await?;
        if integration.is_some_and(|it| it.state != IntegrationState::Disconnected) {
            return Ok(());
        }
        let revoked = match self.registry.find(&owner.provider) {
            Some(provider) => {
                let sharing: Vec<_> = self.registry.sharing(provider.spec()).map(|other| &other.id).collect();
                let family = Family { provider: &provider.spec().provider_api(), sharing: &sharing };
                self.grants.revoke(family, owner, &opened).await?
            }
            None => Revoked::Nothing,
        };
        self.credentials.delete(&id, before).await?;
        tracing::info!(integration.id = %id, ?revoked, "deleted: no integration in use has it");
        Ok(())
    }

    /// Takes a credential that nothing can refresh out of the index, where each sweep would find it again. One without a refresh
    /// token comes here once, after it was stored.
    async fn never_due(&self, message: &RefreshMessage, why: &str) -> Result<(), CallError> {
        self.credentials.set_aside(&message.integration_id, &message.credential).await?;
        tracing::info!(credential = %message.credential, why, "never refreshed");
        Ok(())
    }
}
