//! A valid access token of an integration, refreshed by one process at a time.
//!
//! Single flight in the process, a lease in the table, a re-read after winning, a write conditional on the version.
//! *Invariant:* a grant is called over only after a consistent re-read shows that no process has refreshed it meanwhile.
//! Between the provider's rotation and our write lies a window that can't be closed: the mark `refreshing_since` names it, and
//! if the old token turns out to be invalid, it ends in `reconnect_required`.

use std::time::Duration;

use domain::{
    Failure,
    oauth::grant::{OAuth, Token},
    provider_api::ProviderApi,
};
use jiff::Timestamp;

use crate::{
    base::{clock, settings::TOKEN_CALL},
    client::{
        context::StoredCredential,
        error::CallError,
        provider_client::ProviderClient,
        refresh::{Held, LOOK, Refresh},
    },
    stores::credentials::{Credential, Leasing},
};

/// Time reserved before the deadline for storing what a token endpoint answered: a third of the time, and no more than this.
const STORE_RESERVE: Duration = Duration::from_secs(4);
/// With less time for the token endpoint no refresh begins: a call that breaks off could lose a rotated token.
const MIN_TIME: Duration = Duration::from_secs(3);

impl ProviderClient {
    /// The credential, refreshed if need be. The wait for a refresh by another process ends with `deadline`.
    pub async fn credential(
        &self,
        provider: &ProviderApi,
        stored: StoredCredential<'_>,
        refresh: Refresh,
        deadline: Timestamp,
    ) -> Result<Credential, CallError> {
        let mut found = self.read(stored).await?;
        let Some((oauth, token)) = refreshable(provider, &found) else {
            return match refresh {
                Refresh::Refused(version) if version == found.version => Err(Failure::GrantEnded.into()),
                Refresh::Soon | Refresh::Lasting(_) | Refresh::Due | Refresh::Refused(_) => Ok(found),
            };
        };
        if !refresh.is_needed(&found) {
            return Ok(found);
        }
        let _flight = self.flights.board(stored).await;
        let id = stored.integration.id();
        loop {
            let now = clock::now();
            let Some(time) = time_for_call(deadline, now) else {
                return refresh.without(found).ok_or_else(|| Failure::Unreached.into());
            };
            match self.credentials.lease(&id, stored.name, found.version, stored.holder, now).await? {
                Leasing::Won(credential) => {
                    let held = Held { provider, oauth, token, stored, credential: *credential };
                    // On the heap: it holds a whole call.
                    return Box::pin(self.refresh(held, refresh, time)).await;
                }
                Leasing::Lost => {}
            }
            // Another process refreshes, or has refreshed. Its token is as good; while it refreshes, an unexpired token is good
            // enough for a call. A scheduled refresh waits instead: the process that holds the lease may have crashed.
            found = self.read(stored).await?;
            if !refresh.is_needed(&found) || (refresh == Refresh::Soon && !found.has_expired()) {
                return Ok(found);
            }
            if clock::now() + LOOK >= deadline {
                return Err(Failure::Unreached.into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// How long the token endpoint may take; none if that is too short to begin.
fn time_for_call(deadline: Timestamp, now: Timestamp) -> Option<Duration> {
    let left = Duration::try_from(deadline.duration_since(now)).unwrap_or_default();
    let time = left.saturating_sub(STORE_RESERVE.min(left / 3)).min(TOKEN_CALL);
    (time >= MIN_TIME).then_some(time)
}

/// How a credential is refreshed; none if it can't be.
fn refreshable(provider: &ProviderApi, found: &Credential) -> Option<(&'static OAuth, &'static Token)> {
    let oauth = provider.oauth.filter(|_| found.refresh.is_some())?;
    let token = oauth.tokens().find(|token| token.name == found.name)?;
    Some((oauth, token))
}
