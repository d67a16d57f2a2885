//! A new grant becomes an integration: its account is found, its tokens are encrypted, its first sync is sent.

use std::{borrow::Cow, time::Duration};

use domain::{
    AccountId, ConnectError, Diagnosis, Failure, Integration, IntegrationKey, Reason, Request, UserId,
    integration::account,
    messages::message::{Cause, SyncMessage},
    oauth::{grant::TokenResponse, id_token},
    sync::SyncJob,
};
use jiff::{SignedDuration, Timestamp};
use platform::{
    AwsError,
    base::clock,
    client::{CallContext, CallError, Principal},
};
use providers::{AccountSource, Provider, Service, Spec};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::{OauthCallback, renewal};

/// When the schedule takes over from the first sync.
const FIRST_DUE: SignedDuration = SignedDuration::from_mins(15);
/// How long the provider may take to name the account.
const TIMEOUT: Duration = Duration::from_secs(8);

/// What a user granted.
pub(crate) struct Grant<'a> {
    pub(crate) provider: &'a dyn Provider,
    pub(crate) user_id: &'a UserId,
    pub(crate) issued: Vec<TokenResponse>,
    /// What the tokens came with; null for keys.
    pub(crate) answer: Value,
    /// The app that they were issued to; empty for keys.
    pub(crate) client_id: &'a str,
    pub(crate) requested: Vec<String>,
}

/// Why a grant was not stored, and its account, if it is known.
pub(crate) struct NotStored {
    pub(crate) why: StoreError,
    pub(crate) account_id: Option<AccountId>,
}

/// Why a grant was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The provider does not name the account.
    #[error("the provider does not name the account")]
    NoAccount,
    /// The app was installed for a whole organisation.
    #[error("the grant is of a whole organisation")]
    Organisation,
    /// The user allowed nothing that the app can use.
    #[error("none of the permissions was given that the service needs")]
    NoScope,
    /// The account has no such service: no mailbox, no calendar. The text is the provider's code.
    #[error("the account does not have this service ({0})")]
    NoService(String),
    /// The call that reads the account failed.
    #[error("the provider did not name the account")]
    Call(#[from] CallError),
    /// AWS failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl StoreError {
    /// What the callback and the form with a key tell of it.
    pub(crate) fn connect_error(&self) -> ConnectError {
        match self {
            Self::Organisation => ConnectError::OrganisationInstall,
            Self::NoScope => ConnectError::ScopeMissing,
            Self::NoService(_) => ConnectError::NoServiceForAccount,
            Self::Call(CallError::Failed(failure, _)) => failure.into(),
            Self::NoAccount | Self::Call(_) | Self::Aws(_) => ConnectError::ConnectFailed,
        }
    }

    /// Why, for the log; `name` is the provider's.
    pub(crate) fn diagnosis(&self, name: &str) -> Diagnosis {
        match self {
            Self::NoAccount => Diagnosis::new(Reason::Unreadable, self.to_string()),
            Self::Organisation | Self::NoService(_) => Diagnosis::new(Reason::Rejected, self.to_string()),
            Self::NoScope => Diagnosis::new(Reason::ScopeMissing, self.to_string()),
            Self::Call(error) => error.diagnosis(name),
            Self::Aws(error) => error.diagnosis(),
        }
    }
}

impl OauthCallback {
    /// Stores it. An account that was connected before keeps its integration.
    pub(crate) async fn store(&self, grant: Grant<'_>) -> Result<Integration, NotStored> {
        let (identity, now) = (&grant.provider.spec().identity, clock::now());
        let of_nobody = |why| NotStored { why, account_id: None };
        if let Some(organisation) = &identity.organisation
            && grant.answer.pointer(organisation.flag) == Some(&Value::Bool(true))
        {
            let account_id = text(&grant.answer, organisation.id).and_then(|id| AccountId::parse(id).ok());
            return Err(NotStored { why: StoreError::Organisation, account_id });
        }
        let answer = self.identity(&grant, now).await.map_err(of_nobody)?;
        let id = text(&answer, identity.id).and_then(|id| AccountId::parse(id).ok());
        let id = id.ok_or_else(|| of_nobody(StoreError::NoAccount))?;
        let name = identity.name.iter().find_map(|pointer| text(&answer, pointer)).unwrap_or(id.as_str()).to_owned();
        let stored = self.store_as(&id, name, grant, now).await;
        stored.map_err(|why| NotStored { why, account_id: Some(id) })
    }

    async fn store_as(
        &self,
        account_id: &AccountId,
        name: String,
        grant: Grant<'_>,
        now: Timestamp,
    ) -> Result<Integration, StoreError> {
        let (spec, oauth) = (grant.provider.spec(), grant.provider.spec().auth.oauth());
        let granted = grant.issued.first().and_then(|issued| issued.scopes.clone());
        let granted = granted.unwrap_or_else(|| grant.requested.clone());
        if oauth.is_some_and(|oauth| !oauth.is_useful(&granted)) {
            return Err(StoreError::NoScope);
        }
        let served = match &spec.identity.service {
            Some(service) => self.service(service, &grant).await?,
            None => None,
        };
        let name = served.unwrap_or(name);
        let missing = grant.requested.into_iter().filter(|scope| !granted.contains(scope)).collect();
        let address = spec.identity.address(&name);
        let (user_id, provider) = (grant.user_id.clone(), spec.id.clone());
        let mode = grant.issued.first().and_then(|issued| spec.api.mode(issued.access.expose_secret()));
        let key = IntegrationKey { user_id, provider, account_id: account_id.clone(), mode };
        let earlier = self.integrations.get(&key).await?;
        let issued = self.renewable(grant.issued, earlier.as_ref(), now).await?;
        let problem = renewal::problem(spec, &issued, now);
        let sync_summary = earlier.and_then(|it| it.sync_summary);
        let connected = Integration::connected(key, name, now);
        let integration = Integration { granted, missing, problem, address, sync_summary, ..connected };
        let refresh_ahead = oauth.map(|oauth| oauth.refresh_ahead).unwrap_or_default();
        self.integrations.reserve(&integration).await?;
        self.credentials.put(&integration.key, &issued, refresh_ahead, now).await?;
        self.integrations.put(&integration, now + FIRST_DUE).await?;
        // It is connected now, whatever the rest comes to: a sync that is not sent is made by the schedule.
        if let Err(error) = self.tell(&integration).await {
            let (reason, detail) = error.diagnosis().into_parts();
            let id = integration.key.id();
            tracing::error!(
                reason = reason.name(),
                detail,
                integration.id = %id,
                "connected, but not published"
            );
        }
        tracing::info!(service = %spec.id, integration.id = %integration.key.id(), "connected");
        Ok(integration)
    }

    async fn tell(&self, integration: &Integration) -> Result<(), AwsError> {
        let first = SyncMessage::new(&integration.key, SyncJob::Full, Cause::Asked, integration.connected_at);
        self.sync_queue.send(&first, Duration::ZERO).await?;
        let (kind, at) = ("integration.connected", integration.connected_at);
        let id = format!("{}:{kind}:{}", integration.key.id(), at.as_millisecond());
        let data = json!({ "account": account::Account::of(integration) });
        self.bus.announce(kind, &id, &integration.key, at, &data).await
    }

    /// The answer that names the account.
    async fn identity<'g>(&self, grant: &'g Grant<'_>, now: Timestamp) -> Result<Cow<'g, Value>, StoreError> {
        let spec = grant.provider.spec();
        match spec.identity.place {
            AccountSource::Grant => Ok(Cow::Borrowed(&grant.answer)),
            AccountSource::IdToken => self.id_token(spec, grant, now).map(Cow::Owned).ok_or(StoreError::NoAccount),
            AccountSource::Get(path) => Ok(Cow::Owned(self.ask(path, grant).await?)),
        }
    }

    /// The claims of the ID token. One that came from a server that stands in for the provider's has an issuer of its own.
    fn id_token(&self, spec: &Spec, grant: &Grant<'_>, now: Timestamp) -> Option<Value> {
        let oauth = spec.auth.oauth()?;
        let stands_in = self.client.rewritten(oauth.token.to_owned()) != oauth.token;
        id_token::claims(&grant.answer, grant.client_id, oauth.issuer.filter(|_| !stands_in), now)
    }

    /// The name of the account at the service, if the service tells it.
    async fn service(&self, service: &'static Service, grant: &Grant<'_>) -> Result<Option<String>, StoreError> {
        let spec = grant.provider.spec();
        match self.ask(service.path, grant).await {
            Ok(answer) => Ok(text(&answer, service.name).map(str::to_owned)),
            Err(CallError::Failed(Failure::Rejected { code, .. }, _)) if service.absent.contains(&&*code) => {
                Err(StoreError::NoService(code))
            }
            Err(error @ CallError::Failed(Failure::TokenRefused | Failure::GrantEnded, _)) => Err(error.into()),
            Err(error) => {
                let (reason, detail) = error.diagnosis(spec.name).into_parts();
                tracing::warn!(
                    service = %spec.id,
                    reason = reason.name(),
                    detail,
                    "the account is known by its identity only"
                );
                Ok(None)
            }
        }
    }

    async fn ask(&self, path: &'static str, grant: &Grant<'_>) -> Result<Value, CallError> {
        let spec = grant.provider.spec();
        let token = &grant.issued.first().ok_or(Failure::Unreadable)?.access;
        let request = Request::get(path, format!("{}{path}", spec.api.base));
        let api = spec.provider_api();
        let principal = Principal::Token { token, account: None };
        let context = CallContext::new(&api, principal, clock::now() + TIMEOUT);
        let reply = self.client.call(&context, &request).await?;
        Ok(reply.json().map_err(|_| Failure::Unreadable)?)
    }
}

fn text<'v>(answer: &'v Value, pointer: &str) -> Option<&'v str> {
    answer.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}
