//! A new grant becomes an integration: whose account it is, its tokens encrypted, its first sync sent.

use std::time::Duration;

use domain::{
    Diagnosis, Failure, Integration, IntegrationKey, Reply, Request, event::is_id, grant::Issued, message::SyncType,
};
use jiff::SignedDuration;
use platform::{
    AwsError, clock,
    dispatch::{At, Failed, Outgoing},
    outbound::Authorization,
};
use providers::{Place, Provider, Spec};
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
    pub(crate) requested: Vec<String>,
}

/// Why a grant was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The provider does not say whose account it is.
    #[error("the provider does not say whose account it is")]
    NoAccount,
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
        let (account_id, account_name) = self.account(spec, &grant).await?;
        let key = IntegrationKey { user_id: grant.user_id.to_owned(), provider: spec.id.to_owned(), account_id };
        let now = clock::now();
        let margin = spec.auth.oauth().map(|oauth| oauth.margin).unwrap_or_default();
        let told = grant.issued.first().and_then(|issued| issued.scopes.clone());
        let granted = told.unwrap_or_else(|| grant.requested.clone());
        let missing = grant.requested.into_iter().filter(|scope| !granted.contains(scope)).collect();
        let earlier = self.access.integrations.get(&key.user_id, &key.account()).await?;
        let issued = self.renewable(grant.issued, earlier.as_ref(), now).await?;
        let problem = renewal::problem(spec, &issued, now);
        let integration = Integration { granted, missing, problem, ..Integration::connected(key, account_name, now) };
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
        let data = json!({ "account": { "id": integration.key.account_id, "name": integration.account_name } });
        self.access.bus.announce(kind, &id, &integration.key, at, &data).await
    }

    async fn account(&self, spec: &'static Spec, grant: &Grant<'_>) -> Result<(String, String), StoreError> {
        let asked;
        let answer = match spec.identity.place {
            Place::Grant => &grant.answer,
            Place::Get(path) => {
                asked = self.ask(spec, path, grant).await?.json::<Value>().map_err(|_| StoreError::NoAccount)?;
                &asked
            }
        };
        let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let id = text(spec.identity.id).ok_or(StoreError::NoAccount)?;
        // Mail addresses name one account however they are written.
        let id = if id.contains('@') { id.to_ascii_lowercase() } else { id.to_owned() };
        if !is_id(&id) {
            return Err(StoreError::NoAccount);
        }
        let name = spec.identity.name.iter().find_map(|pointer| text(pointer)).unwrap_or(&id).to_owned();
        Ok((id, name))
    }

    async fn ask(&self, spec: &'static Spec, path: &'static str, grant: &Grant<'_>) -> Result<Reply, StoreError> {
        let token = &grant.issued.first().ok_or(StoreError::NoAccount)?.access;
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
        self.access.dispatch().send(call).await.map_err(|Failed(failure, _)| StoreError::Provider(failure))
    }
}
