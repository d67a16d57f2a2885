//! A new grant becomes an integration: whose account it is, its tokens encrypted, its first sync sent.

use std::time::Duration;

use domain::{
    Diagnosis, Failure, Integration, IntegrationKey, Request, account, event::is_id, grant::Issued, id_token,
    message::SyncType,
};
use jiff::{SignedDuration, Timestamp};
use platform::{
    AwsError, clock,
    dispatch::{At, Failed, Outgoing},
    outbound::Authorization,
};
use providers::{Place, Provider, Service, Spec};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::{OauthCallback, renewal};

/// When the schedule takes over from the first sync.
const FIRST_DUE: SignedDuration = SignedDuration::from_mins(15);
/// How long the provider may take to tell whose account it is.
const TIMEOUT: Duration = Duration::from_secs(8);

/// What a user granted.
pub(crate) struct Grant<'a> {
    pub(crate) provider: &'a dyn Provider,
    pub(crate) user_id: &'a str,
    pub(crate) issued: Vec<Issued>,
    /// What the tokens came with; null for keys.
    pub(crate) answer: Value,
    /// The app that they were issued to; empty for keys.
    pub(crate) client_id: &'a str,
    pub(crate) requested: Vec<String>,
}

/// The account that a grant is of.
struct Account {
    id: String,
    name: String,
}

/// Why a grant was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The provider does not say whose account it is.
    #[error("the provider does not say whose account it is")]
    NoAccount,
    /// The account has no such service: no mailbox, no calendar. The text is the provider's code.
    #[error("the account does not have this service ({0})")]
    NoService(String),
    /// The provider refuses or does not answer.
    #[error("the provider did not tell whose account it is")]
    Provider(#[source] Failure),
    /// AWS failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl OauthCallback {
    /// Stores it. An account that was connected before keeps its integration.
    pub(crate) async fn store(&self, grant: Grant<'_>) -> Result<Integration, StoreError> {
        let spec = grant.provider.spec();
        let now = clock::now();
        let Account { id: account_id, name: account_name } = self.account(spec, &grant, now).await?;
        let (user_id, provider) = (grant.user_id.to_owned(), spec.id.to_owned());
        let mode = grant.issued.first().and_then(|issued| spec.api.mode(issued.access.expose_secret()));
        let key = IntegrationKey { user_id, provider, account_id, mode };
        let margin = spec.auth.oauth().map(|oauth| oauth.margin).unwrap_or_default();
        let told = grant.issued.first().and_then(|issued| issued.scopes.clone());
        let granted = told.unwrap_or_else(|| grant.requested.clone());
        let missing = grant.requested.into_iter().filter(|scope| !granted.contains(scope)).collect();
        let earlier = self.access.integrations.get(&key.user_id, &key.account()).await?;
        let issued = self.renewable(grant.issued, earlier.as_ref(), now).await?;
        let problem = renewal::problem(spec, &issued, now);
        let address = spec.identity.addressed.then(|| account_name.to_lowercase());
        let connected = Integration::connected(key, account_name, now);
        let integration = Integration { granted, missing, problem, address, ..connected };
        self.access.integrations.reserve(&integration).await?;
        self.access.calls.tokens.credentials.put(&integration.key, &issued, margin, now).await?;
        self.access.integrations.put(&integration, now + FIRST_DUE).await?;
        // It is connected now, whatever the rest comes to: a sync that is not sent is made by the schedule.
        if let Err(error) = self.tell(&integration).await {
            let Diagnosis { reason, detail } = error.diagnosis();
            let id = integration.key.id();
            tracing::error!(reason = reason.name(), detail, integration.id = id, "connected, but not published");
        }
        tracing::info!(service = spec.id, integration.id = integration.key.id(), "connected");
        Ok(integration)
    }

    async fn tell(&self, integration: &Integration) -> Result<(), AwsError> {
        self.sync_queue.ask(&integration.key, SyncType::Full, integration.connected_at, Duration::ZERO).await?;
        let (kind, at) = ("integration.connected", integration.connected_at);
        let id = format!("{}:{kind}:{}", integration.key.id(), at.as_millisecond());
        let data = json!({ "account": account::Account::of(integration) });
        self.access.bus.announce(kind, &id, &integration.key, at, &data).await
    }

    /// Whose the grant is: its identity, and what the service says about it.
    async fn account(&self, spec: &'static Spec, grant: &Grant<'_>, now: Timestamp) -> Result<Account, StoreError> {
        let identity = &spec.identity;
        let asked;
        let answer = match identity.place {
            Place::Grant => &grant.answer,
            Place::IdToken => {
                asked = self.id_token(spec, grant, now).ok_or(StoreError::NoAccount)?;
                &asked
            }
            Place::Get(path) => {
                asked = self.ask(spec, path, grant).await.map_err(StoreError::Provider)?;
                &asked
            }
        };
        let id = text(answer, identity.id).filter(|id| is_id(id)).ok_or(StoreError::NoAccount)?;
        let served = match &identity.service {
            Some(service) => self.service(spec, service, grant).await?,
            None => None,
        };
        let named = || identity.name.iter().find_map(|pointer| text(answer, pointer)).unwrap_or(id).to_owned();
        Ok(Account { id: id.to_owned(), name: served.unwrap_or_else(named) })
    }

    /// The claims of the ID token. One that came from a server that stands in for the provider's has an issuer of its own.
    fn id_token(&self, spec: &Spec, grant: &Grant<'_>, now: Timestamp) -> Option<Value> {
        let oauth = spec.auth.oauth()?;
        let stands_in = self.access.dispatch().outbound.rewritten(oauth.token.to_owned()) != oauth.token;
        id_token::claims(&grant.answer, grant.client_id, oauth.issuer.filter(|_| !stands_in), now)
    }

    /// The name of the account at the service, if the service tells it.
    async fn service(
        &self,
        spec: &'static Spec,
        service: &'static Service,
        grant: &Grant<'_>,
    ) -> Result<Option<String>, StoreError> {
        match self.ask(spec, service.path, grant).await {
            Ok(answer) => Ok(text(&answer, service.name).map(str::to_owned)),
            Err(Failure::Rejected { code, .. }) if service.absent.contains(&&*code) => Err(StoreError::NoService(code)),
            Err(failure @ (Failure::TokenRefused | Failure::GrantEnded)) => Err(StoreError::Provider(failure)),
            Err(failure) => {
                let Diagnosis { reason, detail } = failure.diagnosis(spec.name);
                tracing::warn!(
                    service = spec.id,
                    reason = reason.name(),
                    detail,
                    "the account is known by its identity only"
                );
                Ok(None)
            }
        }
    }

    async fn ask(&self, spec: &'static Spec, path: &'static str, grant: &Grant<'_>) -> Result<Value, Failure> {
        let token = &grant.issued.first().ok_or(Failure::Unreadable)?.access;
        let request = Request::get(path, format!("{}{path}", spec.api.base));
        let callee = spec.callee();
        let call = Outgoing {
            callee: &callee,
            request: &request,
            authorization: Authorization::Bearer(token),
            account: None,
            at: At::Api,
            deadline: clock::now() + TIMEOUT,
        };
        let reply = self.access.dispatch().send(call).await.map_err(|Failed(failure, _)| failure)?;
        reply.json().map_err(|_| Failure::Unreadable)
    }
}

fn text<'v>(answer: &'v Value, pointer: &str) -> Option<&'v str> {
    answer.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}
