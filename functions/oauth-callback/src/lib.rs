//! `oauth-callback`: the life of a grant, from connecting to disconnecting.

mod callback;
mod connect;
mod disconnect;
mod erase;
mod key;
mod renewal;
mod store;

use std::{convert::Infallible, sync::Arc, time::Duration};

use domain::{Offered, Problem, error::Kind};
use lambda_http::{Body, Request, Response};
use platform::{
    Aws,
    aws::{
        bus::Bus,
        secrets::{App, Freshness, Secrets},
        sync_queue::SyncQueues,
    },
    base::{InitError, clock, config::Env},
    client::{ClientConfig, Grants, Parts, ProviderClient},
    runtime::http::{Call, Front, FrontConfig, Notice, SETTINGS},
    stores::{
        credentials::Credentials,
        erasures::Erasures,
        integrations::Integrations,
        pending_authorizations::PendingAuthorizations,
        syncs::Syncs,
        webhook_secrets::{WebhookSecrets, WebhookSecretsConfig},
    },
};
use providers::{Registry, Spec};
use secrecy::ExposeSecret as _;

/// The settings that template.yaml gives the function.
#[derive(Debug)]
pub struct Config {
    front: FrontConfig,
    client: ClientConfig,
    states_table: String,
    syncs_table: String,
    webhook_secrets: WebhookSecretsConfig,
    syncs_queue_url: String,
    long_syncs_queue_url: String,
    sync_lease: Duration,
    offered: Offered,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        Self {
            front: FrontConfig::read_with_browsers(env),
            client: ClientConfig::read(env),
            states_table: env.text("OAUTH_STATES_TABLE"),
            syncs_table: env.text("SYNCS_TABLE"),
            webhook_secrets: WebhookSecretsConfig::read(env),
            syncs_queue_url: env.text("SYNCS_QUEUE_URL"),
            long_syncs_queue_url: env.text("LONG_SYNCS_QUEUE_URL"),
            sync_lease: env.seconds("SYNC_LEASE_SECONDS"),
            offered: env.offered(),
        }
    }
}

#[derive(Debug)]
pub struct OauthCallback {
    /// What can be connected.
    offered: Registry,
    /// All, so that every grant can be revoked.
    registry: Registry,
    front: Front,
    client: Arc<ProviderClient>,
    grants: Grants,
    credentials: Arc<Credentials>,
    apps: Arc<Secrets<App>>,
    integrations: Integrations,
    bus: Bus,
    states: PendingAuthorizations,
    erasures: Erasures,
    syncs: Syncs,
    sync_queue: SyncQueues,
    webhook_secrets: WebhookSecrets,
}

type Answer = Result<Response<Body>, Problem>;

impl OauthCallback {
    pub fn new(aws: &Aws, config: &Config, registry: Registry) -> Result<Self, InitError> {
        let Parts { client, grants, credentials, apps, integrations, bus } =
            config.client.parts(aws, |limit| registry.has_limit(limit))?;
        Ok(Self {
            offered: registry.offering(&config.offered)?,
            registry,
            front: Front::new(aws, &config.front),
            client,
            grants,
            credentials,
            apps,
            integrations,
            bus,
            states: PendingAuthorizations::new(aws, &config.states_table),
            erasures: Erasures::new(aws, &config.states_table),
            syncs: Syncs::new(aws, &config.syncs_table, config.sync_lease),
            sync_queue: SyncQueues::new(aws, &config.syncs_queue_url, &config.long_syncs_queue_url),
            webhook_secrets: WebhookSecrets::new(aws, &config.webhook_secrets),
        })
    }

    pub async fn handle(&self, request: Request) -> Result<Response<Body>, Infallible> {
        let call = Call::of(&request);
        let answer = self.answer(&call).await.unwrap_or_else(|problem| self.front.refuse(&call, &problem));
        self.client.flush().await;
        Ok(answer)
    }

    async fn answer(&self, call: &Call<'_>) -> Answer {
        match (call.request.method().as_str(), call.path()) {
            ("DELETE", "/users/{user_id}") => return self.erase_user(call).await,
            ("GET", "/users/{user_id}") => return self.erasure(call).await,
            // Also of a provider that is not offered any more: a user can always withdraw a grant.
            ("POST", "/integrations/{provider}/disconnect") => {
                let unknown = || Problem::unknown_provider(&self.offered.ids());
                let provider = self.registry.find(call.parameter("provider")).ok_or_else(unknown)?;
                return self.disconnect(call, provider).await;
            }
            _ => {}
        }
        let unknown = || Problem::unknown_provider(&self.offered.ids());
        let provider = self.offered.find(call.parameter("provider")).ok_or_else(unknown)?;
        match (call.request.method().as_str(), call.path()) {
            ("GET", "/auth/{provider}/callback" | "/connect/{provider}") if call.is_prefetch() => {
                Err(Problem::prefetch())
            }
            ("GET", "/auth/{provider}/callback") => self.callback(call, provider).await,
            ("GET", "/connect/{provider}") => self.connect(call, provider).await,
            ("POST", "/connect/{provider}") => self.connect_by_key(call, provider).await,
            _ => Err(call.unrouted()),
        }
    }

    /// The app of a provider, if its secret has been set up.
    async fn app(&self, spec: &Spec) -> Result<Arc<App>, AppError> {
        let app = self.apps.get(spec.secret, Freshness::Cached, clock::now()).await?;
        let set_up = !app.client_id.is_empty() && !app.client_secret.expose_secret().is_empty();
        if set_up { Ok(app) } else { Err(AppError::NotSetUp) }
    }
}

/// Why there is no app to connect with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    /// The secret has no client id or no client secret.
    #[error("the secret has no client_id or no client_secret")]
    NotSetUp,
    /// The secret can't be read.
    #[error(transparent)]
    Aws(#[from] platform::AwsError),
}

impl AppError {
    /// The answer to the browser that connects.
    fn problem(&self, spec: &Spec) -> Problem {
        match self {
            Self::NotSetUp => {
                let next =
                    format!("Add client_id and client_secret to the secret of {} in Secrets Manager.", spec.name);
                Problem::new(Kind::Internal, format!("{} is not set up here yet.", spec.name), next)
            }
            Self::Aws(error) => platform::runtime::http::internal(error),
        }
    }
}

/// What the page tells once a provider is connected; `name` is the provider's.
fn connected(name: &str) -> Notice {
    Notice::good(format!("{name} is connected. The first sync is on its way."))
}

/// Where a person goes after a grant: `to` with this in its query.
fn with_query(to: &str, name: &str, value: &str) -> String {
    let (path, fragment) = to.split_once('#').map_or((to, None), |(path, fragment)| (path, Some(fragment)));
    let separator = if path.contains('?') { '&' } else { '?' };
    let fragment = fragment.map(|it| format!("#{it}")).unwrap_or_default();
    format!("{path}{separator}{name}={value}{fragment}")
}

/// 256 random bits, for URLs and cookies.
fn random_handle() -> Result<String, Problem> {
    platform::base::random::handle().ok_or_else(Problem::internal)
}
