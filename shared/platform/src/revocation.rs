//! The end of a grant at its provider, for disconnecting, erasing a user, and the sweep that finds what either left.
//!
//! *Invariant:* [`Access::revoke`] answers once the provider was asked about each token, or where asking can never succeed. A
//! failure of AWS is an error instead: the caller deletes nothing then, and the next attempt revokes.

use std::time::Duration;

use domain::{
    Failure, IntegrationKey, Reply, Request,
    call::Callee,
    grant::{OAuth, RevokedBy},
    integration::State,
};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::Value;

use crate::{
    access::Access,
    aws::AwsError,
    calls::CallError,
    clock,
    credentials::{Credential, Opened},
    random,
    secrets::Freshness,
};

/// How long a credential may be without an integration in use before the sweep revokes and deletes it: longer than a process takes to
/// store a grant, or to end one.
pub const GRACE: Duration = Duration::from_mins(15);
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
    /// Another integration of the account still needs it.
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
        callee: &Callee,
        sharing: &[&str],
        key: &IntegrationKey,
        opened: &Opened,
    ) -> Result<Revoked, AwsError> {
        let Some((oauth, revoke)) = callee.oauth.and_then(|oauth| Some((oauth, oauth.revoke?))) else {
            return Ok(Revoked::Nothing);
        };
        if revoke.whole_account && self.is_needed(callee.id, sharing, key).await? {
            return Ok(Revoked::StillNeeded);
        }
        let (mut revoked, mut failed) = (Revoked::Nothing, None);
        for credential in &opened.credentials {
            let told = match revoke.token {
                RevokedBy::Bearer => self.revoke_as_bearer(callee, oauth, revoke.url, credential).await,
                RevokedBy::Form => self.revoke_by_form(callee, oauth, revoke.url, credential).await,
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

    /// Whether the account has another integration in use, of any user, that the same grant carries.
    async fn is_needed(&self, provider: &str, sharing: &[&str], key: &IntegrationKey) -> Result<bool, AwsError> {
        for provider in std::iter::once(&provider).chain(sharing) {
            for other in self.integrations.of_account(provider, &key.account_id).await? {
                // The index may be behind the table, which knows.
                let found = self.integrations.get(&other.user_id, &other.account()).await?;
                if other != *key && found.is_some_and(|it| it.state == State::Connected) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether the token is over. One that has expired is refreshed first: its grant lives.
    async fn revoke_as_bearer(
        &self,
        callee: &Callee,
        oauth: &'static OAuth,
        url: &'static str,
        credential: &Credential,
    ) -> Result<bool, AwsError> {
        let Some(token) = oauth.tokens.iter().find(|token| token.name == credential.name) else { return Ok(false) };
        let Some(holder) = random::handle() else { return Ok(false) };
        let (callee, deadline) = (Callee { credential: token.name, ..*callee }, clock::now() + TIMEOUT);
        // The call has no arguments; a form without fields is what SDKs send then.
        let request = request(url).form([]);
        match self.calls.call(&callee, &credential.owner, &request, &holder, deadline).await {
            Ok(_) | Err(CallError::NotConnected | CallError::Failed(Failure::GrantEnded, _)) => Ok(true),
            Err(CallError::Failed(..) | CallError::Corrupt(_)) => Ok(false),
            Err(CallError::Aws(error)) => Err(error),
        }
    }

    /// The same by RFC 7009.
    async fn revoke_by_form(
        &self,
        callee: &Callee,
        oauth: &'static OAuth,
        url: &'static str,
        credential: &Credential,
    ) -> Result<bool, AwsError> {
        let tokens = &self.calls.tokens;
        let app = tokens.apps.get(callee.app, Freshness::Cached, clock::now()).await?;
        let token = credential.refresh.as_ref().unwrap_or(&credential.access).expose_secret();
        let (pairs, deadline) = ([("token", token)], clock::now() + TIMEOUT);
        let sent = tokens.app_call(callee, oauth, &app, request(url), &pairs, deadline).await;
        Ok(sent.is_ok_and(|reply| reply.is_success() || is_over(&reply)))
    }
}

/// A token that is revoked twice is revoked.
fn request(url: &'static str) -> Request {
    Request::post("oauth revoke", url).safe()
}

/// RFC 7009 §2.2 answers a token that is invalid already with success; Google answers `invalid_token`
/// (<https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke>, read 2026-11).
fn is_over(reply: &Reply) -> bool {
    reply.json::<Value>().is_ok_and(|answer| answer["error"] == "invalid_token")
}
