//! The end of a grant at its provider, for disconnecting, erasing a user, the sweep that finds what either left, and a connect
//! that failed after tokens were issued.
//!
//! *Invariant:* a grant that an integration in use depends on, or may depend on, is not revoked.
//! *Invariant:* [`Access::revoke`] answers once the provider was asked about each token, or where asking can never succeed. A
//! failure of AWS is an error instead: the caller deletes nothing then, and the next attempt revokes.

use std::time::Duration;

use domain::{
    AccountId, Diagnosis, Failure, IntegrationKey, ProviderId, Reply, Request, UserId,
    integration::IntegrationState,
    oauth::grant::{OAuth, RevokedBy, TokenResponse},
    provider_api::ProviderApi,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;

use crate::{
    aws::{AwsError, secrets::Freshness},
    base::{clock, random},
    client::{
        access::Access,
        calls::CallError,
        http::Authorization,
        transport::{Endpoint, Failed, ProviderRequest},
    },
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
    fn and(self, told: bool) -> Self {
        match (told, self) {
            (true, Self::Nothing | Self::Yes) => Self::Yes,
            (true | false, _) => Self::Failed,
        }
    }
}

impl Access {
    /// Revokes the grant of an integration by all of its tokens. `sharing` are the other providers of the same app, whose grants end
    /// with it. One token that can't be revoked stops no other.
    pub async fn revoke(
        &self,
        provider: &ProviderApi,
        sharing: &[&'static str],
        key: &IntegrationKey,
        opened: &Opened,
    ) -> Result<Revoked, AwsError> {
        let Some((oauth, revoke)) = provider.oauth.and_then(|oauth| Some((oauth, oauth.revoke?))) else {
            return Ok(Revoked::Nothing);
        };
        let family = Family { provider: provider.id, sharing };
        if revoke.whole_account && self.is_needed(family, &key.user_id, &key.account_id, Some(key)).await? {
            return Ok(Revoked::StillNeeded);
        }
        let (mut revoked, mut failed) = (Revoked::Nothing, None);
        for credential in &opened.credentials {
            let told = match revoke.token {
                RevokedBy::Bearer => self.revoke_as_bearer(provider, oauth, revoke.url, credential).await,
                RevokedBy::Form => {
                    let token = credential.refresh.as_ref().unwrap_or(&credential.access);
                    self.revoke_by_form(provider, oauth, revoke.url, token).await
                }
            };
            match told {
                Ok(told) => revoked = revoked.and(told),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(if opened.unreadable { revoked.and(false) } else { revoked })
    }

    /// Revokes tokens that a provider has just issued and that no integration in use has. Of an account that is not known, an
    /// integration of any user may be: its grant is left.
    ///
    /// A failure of AWS leaves it as well.
    pub async fn revoke_issued(
        &self,
        provider: &ProviderApi,
        sharing: &[&'static str],
        user_id: &UserId,
        account_id: Option<&AccountId>,
        issued: &[TokenResponse],
    ) -> Revoked {
        let Some((oauth, revoke)) = provider.oauth.and_then(|oauth| Some((oauth, oauth.revoke?))) else {
            return Revoked::Nothing;
        };
        if revoke.whole_account {
            let family = Family { provider: provider.id, sharing };
            let needed = match account_id {
                Some(account_id) => self.is_needed(family, user_id, account_id, None).await,
                None => Ok(true),
            };
            match needed {
                Ok(false) => {}
                Ok(true) => return Revoked::StillNeeded,
                Err(error) => {
                    let Diagnosis { reason, detail } = error.diagnosis();
                    tracing::warn!(
                        service = provider.id,
                        reason = reason.name(),
                        detail,
                        "what was issued is not revoked"
                    );
                    return Revoked::Failed;
                }
            }
        }
        let mut revoked = Revoked::Nothing;
        for issued in issued {
            let told = match revoke.token {
                RevokedBy::Bearer => self.revoke_issued_as_bearer(provider, revoke.url, issued).await,
                RevokedBy::Form => {
                    let token = issued.refresh.as_ref().unwrap_or(&issued.access);
                    self.revoke_by_form(provider, oauth, revoke.url, token).await.unwrap_or(false)
                }
            };
            revoked = revoked.and(told);
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
        for provider in std::iter::once(&family.provider).chain(family.sharing) {
            let own = IntegrationKey {
                user_id: user_id.clone(),
                provider: ProviderId::of_data(provider),
                account_id: account_id.clone(),
                mode: None,
            };
            let all = self.integrations.of_account(provider, account_id).await?;
            // The index may be behind the table, which knows: what the user has just connected is not in it yet.
            for key in std::iter::once(own).chain(all).filter(|key| Some(key) != ended) {
                let found = self.integrations.get(&key.user_id, &key.account()).await?;
                if found.is_some_and(|it| it.state == IntegrationState::Connected || it.unreadable) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether a token that nothing is stored of is over.
    async fn revoke_issued_as_bearer(&self, provider: &ProviderApi, url: &'static str, issued: &TokenResponse) -> bool {
        let (request, deadline) = (bearer(url), clock::now() + TIMEOUT);
        let authorization = Authorization::Bearer(&issued.access);
        let call = ProviderRequest {
            provider,
            request: &request,
            authorization,
            account: None,
            endpoint: Endpoint::Api,
            deadline,
        };
        match self.transport().send(call).await {
            Ok(_) | Err(Failed(Failure::TokenRefused | Failure::GrantEnded, _)) => true,
            Err(Failed(..)) => false,
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
        let Some(token) = oauth.tokens.iter().find(|token| token.name == credential.name) else { return Ok(false) };
        let Some(holder) = random::handle() else { return Ok(false) };
        let (provider, deadline) = (ProviderApi { credential: token.name, ..*provider }, clock::now() + TIMEOUT);
        match self.calls.call(&provider, &credential.integration, &bearer(url), &holder, deadline).await {
            Ok(_) | Err(CallError::NotConnected | CallError::Failed(Failure::GrantEnded, _)) => Ok(true),
            Err(CallError::Failed(..) | CallError::Corrupt(_)) => Ok(false),
            Err(CallError::Aws(error)) => Err(error),
        }
    }

    /// The same by RFC 7009.
    async fn revoke_by_form(
        &self,
        provider: &ProviderApi,
        oauth: &'static OAuth,
        url: &'static str,
        token: &SecretString,
    ) -> Result<bool, AwsError> {
        let tokens = &self.calls.tokens;
        let app = tokens.apps.get(provider.app, Freshness::Cached, clock::now()).await?;
        let (pairs, deadline) = ([("token", token.expose_secret())], clock::now() + TIMEOUT);
        let sent = tokens.app_call(provider, oauth, &app, request(url), &pairs, deadline).await;
        Ok(sent.is_ok_and(|reply| reply.is_success() || is_over(&reply)))
    }
}

/// The providers whose grants end together.
#[derive(Clone, Copy)]
struct Family<'a> {
    provider: &'static str,
    /// The other ones of the same app.
    sharing: &'a [&'static str],
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
