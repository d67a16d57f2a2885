//! One refresh, by the process that holds its lease: ask the token endpoint, store the answer, or release the lease.
//!
//! *Invariant:* what the token endpoint issued is stored before anything else uses it, and a failure to store it is retried:
//! the old refresh token may be invalid by now.

use std::time::Duration;

use domain::{
    Failure, Request,
    messages::disposition::backoff,
    oauth::{
        grant::{OAuth, Token, TokenResponse},
        refresh::is_due,
    },
    provider_api::ProviderApi,
};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;

use crate::{
    AwsError,
    aws::secrets::Freshness,
    base::{
        clock,
        metrics::{self, Dimension, Metric},
    },
    client::{context::StoredCredential, error::CallError, provider_client::ProviderClient, transport::RESERVE},
    stores::credentials::Credential,
};

/// How often storing what a refresh brought is tried, with a longer pause each time.
const MAX_STORES: u32 = 5;
/// The shortest pause after a failed refresh.
const MIN_PAUSE: Duration = Duration::from_mins(1);
/// A token that expires this soon is refreshed before a call.
const SOON: Duration = Duration::from_mins(1);
/// The pause between two looks at a refresh by another process.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// When a token is refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// When it expires within a minute. It is good for a call until then.
    Soon,
    /// When it expires within this time. No other will do.
    Lasting(Duration),
    /// When it is due, by the rule by which a scheduled refresh finds it.
    Due,
    /// When it still has this version, which the provider refused.
    Refused(i64),
}

/// A credential whose refresh this process holds the lease for.
pub(super) struct Held<'a> {
    pub(super) provider: &'a ProviderApi,
    pub(super) oauth: &'static OAuth,
    pub(super) token: &'static Token,
    pub(super) stored: StoredCredential<'a>,
    pub(super) credential: Credential,
}

/// A request to a token endpoint (RFC 6749 §3.2).
pub fn token_request(oauth: &OAuth, pairs: &[(&str, &str)]) -> Request {
    Request::post("oauth token", oauth.token).header("accept", "application/json").form(pairs.iter().copied())
}

impl ProviderClient {
    pub(super) async fn read(&self, stored: StoredCredential<'_>) -> Result<Credential, CallError> {
        let found = self.credentials.get(&stored.integration.id(), stored.name, clock::now()).await?;
        found.ok_or(CallError::NotConnected)
    }

    pub(super) async fn refresh(
        &self,
        held: Held<'_>,
        refresh: Refresh,
        time: Duration,
    ) -> Result<Credential, CallError> {
        let counted = |metric| metrics::count(metric, Dimension { name: "service", value: held.provider.id.as_str() });
        // The lease was won on the version that was read, so this is the re-read: no process was faster.
        let failure = match self.ask(&held, time).await? {
            Ok(issued) => {
                counted(Metric::Refreshes);
                return match self.store(&held, &issued, clock::now()).await? {
                    Some(fresh) => Ok(fresh),
                    // Disconnected or connected again meanwhile: what is there now counts.
                    None => self.read(held.stored).await,
                };
            }
            Err(failure) => failure,
        };
        counted(Metric::RefreshFailures);
        let (now, credential) = (clock::now(), held.credential);
        if failure == Failure::GrantEnded {
            let found = self.read(held.stored).await?;
            if found.version != credential.version {
                return Ok(found);
            }
            self.credentials.release(&credential, None, false).await?;
            return Err(failure.into());
        }
        let id = credential.integration.id();
        let asked = failure.wait().unwrap_or_default();
        let wait = backoff(credential.failures + 1, id.as_str()).max(asked).max(MIN_PAUSE);
        self.credentials.release(&credential, Some(now + wait), failure.outcome_unknown()).await?;
        // The call goes ahead with the token as it is, so nothing else reports this.
        match refresh.without(credential) {
            Some(credential) => {
                let (reason, detail) = failure.diagnosis(held.provider.name).into_parts();
                let (service, reason_name) = (held.provider.id, reason.name());
                tracing::warn!(%service, integration.id = %id, reason = reason_name, detail, "not refreshed");
                metrics::operator_failure(reason);
                Ok(credential)
            }
            None => Err(failure.into()),
        }
    }

    /// Calls the token endpoint. The inner error is the provider's, or of the way there; the outer one is ours.
    async fn ask(&self, held: &Held<'_>, time: Duration) -> Result<Result<TokenResponse, Failure>, CallError> {
        let Held { provider, oauth, token, .. } = *held;
        let Some(old) = &held.credential.refresh else { return Ok(Err(Failure::GrantEnded)) };
        let app = self.apps.get(provider.app, Freshness::Cached, clock::now()).await?;
        let request = token_request(oauth, &[("grant_type", "refresh_token"), ("refresh_token", old.expose_secret())]);
        let deadline = clock::now() + time + RESERVE;
        match self.as_app(provider, &app, oauth, &request, deadline).await {
            Ok(reply) => Ok(oauth.read_refreshed(&token.name, &reply)),
            Err(CallError::Failed(failure, _)) => Ok(Err(failure)),
            Err(error) => Err(error),
        }
    }

    /// Stores what a refresh brought. The write is conditional on the version, so it can be repeated. `None` if the version has
    /// moved.
    async fn store(
        &self,
        held: &Held<'_>,
        issued: &TokenResponse,
        now: Timestamp,
    ) -> Result<Option<Credential>, AwsError> {
        let mut tried = 1;
        loop {
            match self.credentials.rotate(&held.credential, issued, held.oauth.refresh_ahead, now).await {
                Err(error) if tried < MAX_STORES => {
                    let (reason, detail) = error.diagnosis().into_parts();
                    let (id, reason) = (held.stored.integration.id(), reason.name());
                    tracing::warn!(
                        integration.id = %id,
                        reason,
                        detail,
                        tried,
                        "a new token is not stored yet"
                    );
                    tokio::time::sleep(LOOK * tried * 2).await;
                    tried += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

impl Refresh {
    pub(super) fn is_needed(self, found: &Credential) -> bool {
        match self {
            Self::Soon => found.ends_soon(),
            Self::Lasting(time) => found.ends_within(time),
            Self::Due => is_due(found.due_at, clock::now()),
            Self::Refused(version) => found.version == version,
        }
    }

    /// The credential as it is, where no refresh is possible: good for a call until it expires, unless it was refused. A
    /// scheduled refresh has no use for it, and reports why it was not refreshed.
    pub(super) fn without(self, found: Credential) -> Option<Credential> {
        let usable = match self {
            Self::Soon => true,
            Self::Lasting(time) => !found.ends_within(time),
            Self::Due => false,
            Self::Refused(version) => version != found.version,
        };
        (usable && !found.has_expired()).then_some(found)
    }
}

impl Credential {
    /// Whether it expires so soon that it is refreshed before a call.
    pub(super) fn ends_soon(&self) -> bool {
        self.ends_within(SOON)
    }

    pub(super) fn has_expired(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    fn ends_within(&self, time: Duration) -> bool {
        self.expires_at.is_some_and(|at| at <= clock::now() + time)
    }
}
