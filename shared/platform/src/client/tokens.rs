//! A valid access token for whoever needs one, refreshed by one caller at a time.
//!
//! Single flight in the process, a lease in the table, a re-read after winning, a write on the version.
//! *Invariant:* a grant is called over only after a consistent re-read shows that nobody refreshed it meanwhile.
//! Between the provider's rotation and our write lies a window that can't be closed: the mark `refreshing_since` names it, and
//! if the old token turns out dead, it ends in `reconnect_required`.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use domain::{
    Diagnosis, Failure, IntegrationKey, Reason, Reply, Request,
    messages::disposition::backoff,
    oauth::{
        grant::{ClientAuth, OAuth, Token, TokenResponse},
        refresh::is_due,
    },
    provider_api::ProviderApi,
};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use tokio::sync::Mutex;

use crate::{
    AwsError,
    aws::secrets::{App, Freshness, Secrets},
    base::{clock, metrics, settings::TOKEN_CALL},
    client::{
        http::Authorization,
        transport::{Endpoint, Failed, MARGIN, ProviderRequest, Transport},
    },
    stores::credentials::{Credential, Credentials, Leasing},
};

/// A token that ends this soon is refreshed before a call.
const SOON: Duration = Duration::from_mins(1);
/// Left of the time after the token endpoint's answer, so that what it brought is stored: a third of it, and no more than this.
const STORE: Duration = Duration::from_secs(4);
/// With less time for the token endpoint a refresh is not begun: broken off, it would lose a token.
const LEAST: Duration = Duration::from_secs(3);
/// How often storing what a refresh brought is tried again, with a longer pause each time.
const MAX_STORES: u32 = 5;
/// How often somebody else's refresh is looked after.
const LOOK: Duration = Duration::from_millis(100);

/// Gives out access tokens.
#[derive(Debug)]
pub struct Tokens {
    /// The table.
    pub credentials: Credentials,
    /// The way to the token endpoints.
    pub transport: Transport,
    /// The apps' secrets.
    pub apps: Arc<Secrets<App>>,
    flights: std::sync::Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

/// Which token.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Whose.
    pub integration: &'a IntegrationKey,
    /// The credential.
    pub credential: &'a str,
    /// Where.
    pub provider: &'a ProviderApi,
}

/// When a token is refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// When it ends within a minute.
    Soon,
    /// When it is due: the definition by which a sweep finds it.
    Due,
    /// When it still has this version, which was refused.
    Refused(i64),
}

/// Why there is no token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenError {
    /// There is no credential: the integration is disconnected.
    #[error("there is no credential")]
    Absent,
    /// The token endpoint, or the grant; what is stored is kept. A refresh by another process that does not end in time counts
    /// as one too: nothing was sent.
    #[error(transparent)]
    Failed(Failure),
    /// The stored credential can never be opened again: its ciphertext or its item was altered.
    #[error("the stored credential can't be opened")]
    Corrupt(#[source] AwsError),
    /// AWS failed.
    #[error(transparent)]
    Aws(AwsError),
}

impl From<AwsError> for TokenError {
    fn from(error: AwsError) -> Self {
        if error.reason() == Reason::Corrupt { Self::Corrupt(error) } else { Self::Aws(error) }
    }
}

impl Tokens {
    /// Tokens from this table.
    pub fn new(credentials: Credentials, transport: Transport, apps: Arc<Secrets<App>>) -> Self {
        Self { credentials, transport, apps, flights: std::sync::Mutex::default() }
    }

    /// The credential, refreshed if need be. `holder` names this attempt; `deadline` ends the waiting for others.
    pub async fn valid(
        &self,
        wanted: Wanted<'_>,
        refresh: Refresh,
        holder: &str,
        deadline: Timestamp,
    ) -> Result<Credential, TokenError> {
        let found = self.read(wanted).await?;
        let Some((oauth, token)) = refreshable(wanted, &found) else {
            return match refresh {
                Refresh::Refused(version) if version == found.version => Err(TokenError::Failed(Failure::GrantEnded)),
                Refresh::Soon | Refresh::Due | Refresh::Refused(_) => Ok(found),
            };
        };
        if !needed(&found, refresh) {
            return Ok(found);
        }
        let flight = self.flight(wanted);
        let _flight = flight.lock().await;
        let mut version = found.version;
        loop {
            let now = clock::now();
            let Some(patience) = time_for_call(deadline, now) else {
                return usable(found, refresh).ok_or_else(|| TokenError::Failed(Failure::Unreached));
            };
            match self.credentials.lease(&wanted.integration.id(), wanted.credential, version, holder, now).await? {
                Leasing::Won(held) => return self.refresh(wanted, oauth, token, *held, refresh, patience).await,
                Leasing::Lost => {}
            }
            // Somebody else is at it, or was: their token is as good.
            let found = self.read(wanted).await?;
            if !needed(&found, refresh) {
                return Ok(found);
            }
            version = found.version;
            // While they are at it, a token that still lives will do for a call. A sweep waits: they may have died of it.
            if let Some(found) = usable(found, refresh).filter(|_| refresh == Refresh::Soon) {
                return Ok(found);
            }
            if clock::now() + LOOK >= deadline {
                return Err(TokenError::Failed(Failure::Unreached));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// One refresh of a credential at a time in this process.
    fn flight(&self, wanted: Wanted<'_>) -> Arc<Mutex<()>> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, flight| Arc::strong_count(flight) > 1);
        Arc::clone(flights.entry(format!("{}#{}", wanted.integration.id(), wanted.credential)).or_default())
    }

    /// Stores what a refresh brought. The old refresh token may be dead by now, so a failure of the store is not the end: the
    /// write is conditional on the version, and so can be repeated.
    async fn store(
        &self,
        held: &Credential,
        issued: &TokenResponse,
        refresh_ahead: Duration,
        now: Timestamp,
    ) -> Result<Option<Credential>, AwsError> {
        let mut tried = 1;
        loop {
            match self.credentials.rotate(held, issued, refresh_ahead, now).await {
                Err(error) if tried < MAX_STORES => {
                    tracing::warn!(
                        integration.id = held.integration.id().as_str(),
                        reason = error.reason().name(),
                        detail = error.diagnosis().detail,
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

    async fn read(&self, wanted: Wanted<'_>) -> Result<Credential, TokenError> {
        let found = self.credentials.get(&wanted.integration.id(), wanted.credential, clock::now()).await?;
        found.ok_or(TokenError::Absent)
    }

    async fn refresh(
        &self,
        wanted: Wanted<'_>,
        oauth: &'static OAuth,
        token: &'static Token,
        held: Credential,
        refresh: Refresh,
        patience: Duration,
    ) -> Result<Credential, TokenError> {
        // Won on the version that was read, so this is the re-read: nobody was faster.
        let asked = self.ask(wanted, oauth, token, &held, patience).await?;
        let now = clock::now();
        let failure = match asked {
            Ok(issued) => {
                return match self.store(&held, &issued, oauth.refresh_ahead, now).await? {
                    Some(fresh) => Ok(fresh),
                    // Disconnected or connected anew meanwhile: what is there now counts.
                    None => self.read(wanted).await,
                };
            }
            Err(failure) => failure,
        };
        if failure == Failure::GrantEnded {
            let found = self.read(wanted).await?;
            if found.version != held.version {
                return Ok(found);
            }
            self.credentials.release(&held, None, false).await?;
            return Err(TokenError::Failed(failure));
        }
        let told = failure.wait().unwrap_or_default();
        let wait = backoff(held.failures + 1, &held.integration.id()).max(told).max(Duration::from_mins(1));
        self.credentials.release(&held, Some(now + wait), failure.outcome_unknown()).await?;
        // The call goes ahead with the token that is left, so nobody else tells of this.
        match usable(held, refresh) {
            Some(held) => {
                let Diagnosis { reason, detail } = failure.diagnosis(wanted.provider.name);
                tracing::warn!(
                    service = wanted.provider.id,
                    integration.id = wanted.integration.id().as_str(),
                    reason = reason.name(),
                    detail,
                    "not refreshed"
                );
                metrics::operator_failure(reason);
                Ok(held)
            }
            None => Err(TokenError::Failed(failure)),
        }
    }

    /// Calls the token endpoint. The inner error is the provider's.
    async fn ask(
        &self,
        wanted: Wanted<'_>,
        oauth: &'static OAuth,
        token: &'static Token,
        held: &Credential,
        patience: Duration,
    ) -> Result<Result<TokenResponse, Failure>, TokenError> {
        let Some(old) = &held.refresh else { return Ok(Err(Failure::GrantEnded)) };
        let app = self.apps.get(wanted.provider.app, Freshness::Cached, clock::now()).await?;
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", old.expose_secret())];
        let reply = self.token_call(wanted.provider, oauth, &app, &pairs, clock::now() + patience + MARGIN).await;
        Ok(match reply {
            Ok(reply) => oauth.read_refreshed(token.name, &reply),
            Err(Failed(failure, _)) => Err(failure),
        })
    }

    /// A call to the token endpoint: a form, the app proving itself as the provider wants it.
    pub async fn token_call(
        &self,
        provider: &ProviderApi,
        oauth: &'static OAuth,
        app: &App,
        pairs: &[(&str, &str)],
        deadline: Timestamp,
    ) -> Result<Reply, Failed> {
        let request = Request::post("oauth token", oauth.token).header("accept", "application/json");
        self.app_call(provider, oauth, app, request, pairs, deadline).await
    }

    /// A call of the app itself. It is not retried if it may have been carried out, unless the request says that this is safe: a
    /// code or a refresh token may be good for one use only.
    pub async fn app_call(
        &self,
        provider: &ProviderApi,
        oauth: &'static OAuth,
        app: &App,
        request: Request,
        pairs: &[(&str, &str)],
        deadline: Timestamp,
    ) -> Result<Reply, Failed> {
        let own = [("client_id", app.client_id.as_str()), ("client_secret", app.client_secret.expose_secret())];
        let (own, authorization) = match oauth.client_auth {
            ClientAuth::Basic => (&own[..0], Authorization::Basic(&app.client_id, &app.client_secret)),
            ClientAuth::Form => (&own[..], Authorization::None),
        };
        let request = &request.form(pairs.iter().chain(own).copied());
        let at = Endpoint::Token(oauth);
        self.transport
            .send(ProviderRequest { provider, request, authorization, account: None, endpoint: at, deadline })
            .await
    }
}

/// How long the token endpoint may take.
fn time_for_call(deadline: Timestamp, now: Timestamp) -> Option<Duration> {
    let left = Duration::try_from(deadline.duration_since(now)).unwrap_or_default();
    let patience = left.saturating_sub(STORE.min(left / 3)).min(TOKEN_CALL);
    (patience >= LEAST).then_some(patience)
}

/// How to refresh it, if it can be.
fn refreshable(wanted: Wanted<'_>, found: &Credential) -> Option<(&'static OAuth, &'static Token)> {
    let oauth = wanted.provider.oauth.filter(|_| found.refresh.is_some())?;
    let token = oauth.tokens.iter().find(|token| token.name == wanted.credential)?;
    Some((oauth, token))
}

impl Credential {
    /// Whether it ends so soon that it is refreshed before a call.
    pub(crate) fn ends_soon(&self) -> bool {
        self.ends_within(SOON)
    }

    fn ends_within(&self, time: Duration) -> bool {
        self.expires_at.is_some_and(|at| at <= clock::now() + time)
    }
}

fn needed(found: &Credential, refresh: Refresh) -> bool {
    match refresh {
        Refresh::Soon => found.ends_soon(),
        Refresh::Due => is_due(found.due_at, clock::now()),
        Refresh::Refused(version) => found.version == version,
    }
}

/// For a call, a token that could not be refreshed is good until its end, unless it was refused. A sweep has no use for it, and
/// tells why it was not refreshed.
fn usable(found: Credential, refresh: Refresh) -> Option<Credential> {
    let usable = match refresh {
        Refresh::Soon => true,
        Refresh::Due => false,
        Refresh::Refused(version) => version != found.version,
    };
    (usable && !found.ends_within(Duration::ZERO)).then_some(found)
}
