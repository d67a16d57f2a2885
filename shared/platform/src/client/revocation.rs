//! The end of a grant at its provider, for disconnecting, erasing a user, the sweep that finds what either left, and a connect
//! that failed after tokens were issued.
//!
//! *Invariant:* a grant that an integration in use depends on, or may depend on, is not revoked.
//! *Invariant:* [`Grants::revoke`] answers once the provider was asked about each token, or where asking can never succeed. A
//! failure of AWS is an error instead: the caller deletes nothing then, and the next attempt revokes.

use std::time::Duration;

use domain::{
    AccountId, Failure, IntegrationKey, ProviderId, Reply, Request, UserId,
    integration::IntegrationState,
    oauth::grant::{OAuth, Revoke, RevokedBy, TokenResponse},
    provider_api::ProviderApi,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;

use crate::{
    aws::{AwsError, secrets::Freshness},
    base::{clock, random},
    client::{CallContext, CallError, Grants, Principal, StoredCredential},
    stores::credentials::{Credential, Opened},
};

/// How long the provider may take per token.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// What became of a grant at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Revoked {
    /// It is over.
    Yes,
    /// The provider could not be told; its user can end it there.
    Failed,
    /// Another integration of the account still needs it, or may.
    StillNeeded,
    /// There was nothing to revoke.
    Nothing,
}

impl Revoked {
    fn and(self, confirmed: bool) -> Self {
        match (confirmed, self) {
            (true, Self::Nothing | Self::Yes) => Self::Yes,
            (true | false, _) => Self::Failed,
        }
    }
}

/// A provider, and the other ones of the same app: at some providers their grants end together.
#[derive(Debug, Clone, Copy)]
pub struct Family<'a> {
    /// The provider of the grant that is to end.
    pub provider: &'a ProviderApi,
    /// The ids of the other providers.
    pub sharing: &'a [&'static ProviderId],
}

impl Family<'_> {
    /// How the provider revokes grants; none if it documents no way.
    fn revocation(&self) -> Option<(&'static OAuth, &'static Revoke)> {
        let oauth = self.provider.oauth?;
        Some((oauth, oauth.revoke.as_ref()?))
    }
}

impl Grants {
    /// Revokes the grant of an integration by all of its tokens. One token that can't be revoked stops no other.
    pub async fn revoke(&self, family: Family<'_>, key: &IntegrationKey, opened: &Opened) -> Result<Revoked, AwsError> {
        let Some((oauth, revoke)) = family.revocation() else { return Ok(Revoked::Nothing) };
        if revoke.whole_account && self.is_needed(family, &key.user_id, &key.account_id, Some(key)).await? {
            return Ok(Revoked::StillNeeded);
        }
        let (mut revoked, mut failed) = (Revoked::Nothing, None);
        for credential in &opened.credentials {
            let confirmed = match revoke.token {
                RevokedBy::Bearer => self.revoke_as_bearer(family.provider, oauth, revoke.url, credential).await,
                RevokedBy::Form => {
                    let token = credential.refresh.as_ref().unwrap_or(&credential.access);
                    self.revoke_by_form(family.provider, oauth, revoke.url, token).await
                }
            };
            match confirmed {
                Ok(confirmed) => revoked = revoked.and(confirmed),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(if opened.unreadable { revoked.and(false) } else { revoked })
    }

    /// Revokes tokens that a provider has just issued and that no integration in use has. Where the account is not known, an
    /// integration of any user may be of it: its grant stays, as it does after a failure of AWS.
    pub async fn revoke_issued(
        &self,
        family: Family<'_>,
        user_id: &UserId,
        account_id: Option<&AccountId>,
        issued: &[TokenResponse],
    ) -> Revoked {
        let Some((oauth, revoke)) = family.revocation() else { return Revoked::Nothing };
        if revoke.whole_account {
            let needed = match account_id {
                Some(account_id) => self.is_needed(family, user_id, account_id, None).await,
                None => Ok(true),
            };
            match needed {
                Ok(false) => {}
                Ok(true) => return Revoked::StillNeeded,
                Err(error) => {
                    let (reason, detail) = error.diagnosis().into_parts();
                    let (service, reason) = (family.provider.id, reason.name());
                    tracing::warn!(%service, reason, detail, "the issued tokens are not revoked");
                    return Revoked::Failed;
                }
            }
        }
        let mut revoked = Revoked::Nothing;
        for issued in issued {
            let confirmed = match revoke.token {
                RevokedBy::Bearer => self.revoke_issued_as_bearer(family.provider, revoke.url, issued).await,
                RevokedBy::Form => {
                    let token = issued.refresh.as_ref().unwrap_or(&issued.access);
                    self.revoke_by_form(family.provider, oauth, revoke.url, token).await.unwrap_or(false)
                }
            };
            revoked = revoked.and(confirmed);
        }
        revoked
    }

    /// Whether an account has an integration, of any user, that the same grant carries and that is in use or was set aside for a
    /// credential that can't be opened: that one may come back. Beside the one that `ended`.
    ///
    /// The index leads to integrations in use only, so one that was set aside counts for its own user alone.
    async fn is_needed(
        &self,
        family: Family<'_>,
        user_id: &UserId,
        account_id: &AccountId,
        ended: Option<&IntegrationKey>,
    ) -> Result<bool, AwsError> {
        for provider in std::iter::once(family.provider.id).chain(family.sharing.iter().copied()) {
            let own = IntegrationKey {
                user_id: user_id.clone(),
                provider: provider.clone(),
                account_id: account_id.clone(),
                mode: None,
            };
            let all = self.integrations.of_account(provider, account_id).await?;
            // The index may be behind the table, which knows: what the user has just connected is not in it yet.
            for key in std::iter::once(own).chain(all).filter(|key| Some(key) != ended) {
                let found = self.integrations.get(&key).await?;
                if found.is_some_and(|it| it.state == IntegrationState::Connected || it.unreadable) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether an issued token that is not stored is over.
    async fn revoke_issued_as_bearer(&self, provider: &ProviderApi, url: &'static str, issued: &TokenResponse) -> bool {
        let principal = Principal::Token { token: &issued.access, account: None };
        let context = CallContext::new(provider, principal, clock::now() + TIMEOUT);
        match self.client.call(&context, &bearer(url)).await {
            Ok(_) | Err(CallError::Failed(Failure::TokenRefused | Failure::GrantEnded, _)) => true,
            Err(_) => false,
        }
    }

    /// Whether the token is over. One that has expired is refreshed first: its grant lives.
    async fn revoke_as_bearer(
        &self,
        provider: &ProviderApi,
        oauth: &'static OAuth,
        url: &'static str,
        credential: &Credential,
    ) -> Result<bool, AwsError> {
        let Some(token) = oauth.tokens().find(|token| token.name == credential.name) else { return Ok(false) };
        let Some(holder) = random::handle() else { return Ok(false) };
        let stored = StoredCredential { integration: &credential.integration, name: &token.name, holder: &holder };
        let principal = Principal::Integration(stored);
        let context = CallContext::new(provider, principal, clock::now() + TIMEOUT);
        match self.client.call(&context, &bearer(url)).await {
            Ok(_) | Err(CallError::NotConnected | CallError::Failed(Failure::GrantEnded, _)) => Ok(true),
            Err(CallError::Failed(..) | CallError::Corrupt(_)) => Ok(false),
            Err(CallError::Aws(error)) => Err(error),
        }
    }

    /// Whether the token is over, as an endpoint of RFC 7009 says.
    async fn revoke_by_form(
        &self,
        provider: &ProviderApi,
        oauth: &'static OAuth,
        url: &'static str,
        token: &SecretString,
    ) -> Result<bool, AwsError> {
        let app = self.apps.get(provider.app, Freshness::Cached, clock::now()).await?;
        let principal = Principal::App { app: &app, oauth };
        let context = CallContext::new(provider, principal, clock::now() + TIMEOUT);
        let sent = self.client.call(&context, &request(url).form([("token", token.expose_secret())])).await;
        Ok(sent.is_ok_and(|reply| reply.is_success() || is_over(&reply)))
    }
}

/// A token that is revoked twice is revoked.
fn request(url: &'static str) -> Request {
    Request::post("oauth revoke", url).idempotent()
}

/// A revocation by the token that authorises it: the call has no arguments, and a form without fields is what SDKs send then.
fn bearer(url: &'static str) -> Request {
    request(url).form([])
}

/// RFC 7009 §2.2 answers a token that is invalid already with success; Google answers `invalid_token`
/// (<https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke>, read 2026-11).
fn is_over(reply: &Reply) -> bool {
    reply.json::<Value>().is_ok_and(|answer| answer["error"] == "invalid_token")
}
