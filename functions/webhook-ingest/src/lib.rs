//! `webhook-ingest`: verify, enqueue, acknowledge; nothing else.
//!
//! *Invariant:* a 200 means that SQS has the delivery, and SQS has only verified deliveries.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};

use domain::{
    AccountId, DeliveryId, Diagnosis, IntegrationId, Problem, Proof, Reason, Rejection, UnverifiedDelivery,
    VerifiedDelivery,
    messages::message::{Envelope, EnvelopeVersion},
    oauth::jwt::Jwks,
    webhook::proof::VerificationContext,
};
use jiff::Timestamp;
use lambda_http::{
    Body, Request, Response,
    http::{StatusCode, header},
};
use platform::{
    Aws,
    aws::{
        queue::{MAX_MESSAGE, Queue, group},
        secrets::{App, Freshness, Secrets},
    },
    base::{
        clock,
        config::Env,
        metrics::{self, Dimension, Metric},
        rewrites::Rewrites,
    },
    client::jwks::JwksCache,
    runtime::http::{Call, text},
    stores::webhook_secrets::{Own, WebhookSecrets, WebhookSecretsConfig},
};
use providers::{Provider, Registry};

/// What the specification answers to whoever can't prove who they are.
const REFUSED: &str = "Webhook signature verification failed";

/// Whatever is slow, providers are answered within this; Slack waits for three seconds, a cold start included. What the queue
/// has all the same comes again, as the same event.
const ANSWER: Duration = Duration::from_millis(1_500);

/// What template.yaml sets.
#[derive(Debug)]
pub struct Config {
    queue_url: String,
    resource_prefix: String,
    secret_cache: Duration,
    webhook_secrets: WebhookSecretsConfig,
    rewrites: Rewrites,
}

impl Config {
    /// Reads it.
    pub fn read(env: &mut Env) -> Self {
        Self {
            queue_url: env.text("WEBHOOKS_QUEUE_URL"),
            resource_prefix: env.text("RESOURCE_PREFIX"),
            secret_cache: env.seconds("SECRET_CACHE_SECONDS"),
            webhook_secrets: WebhookSecretsConfig::read(env),
            rewrites: env.rewrites(),
        }
    }
}

/// The function.
#[derive(Debug)]
pub struct Ingest {
    registry: Registry,
    stack: String,
    queue: Queue,
    apps: Secrets<App>,
    jwks: JwksCache,
    /// The clients are made when the first delivery to an integration comes: most cold starts never see one.
    own: OnceLock<WebhookSecrets>,
    own_config: WebhookSecretsConfig,
    aws: Aws,
}

/// What became of a delivery that was taken.
enum Taken {
    /// The queue has it.
    Queued,
    /// The queue has it, and the provider shows the answer to a person, so there is none.
    Shown,
    /// The provider documents it as no event, such as a question whether the address is ours; this is the answer.
    Handshake(String),
    /// It only checks that the address answers, and proves nothing.
    Probe,
}

/// Whose secret a delivery was verified with.
enum Source {
    /// The app's.
    App(Arc<App>),
    /// An integration's own.
    Integration(Arc<Own>),
}

impl Source {
    /// The account that events belong to which name none.
    fn account(&self) -> Option<&AccountId> {
        match self {
            Self::App(app) => app.account_id.as_ref(),
            Self::Integration(own) => Some(&own.key.account_id),
        }
    }
}

/// Why a delivery was not taken.
enum Refusal {
    /// It can't be verified, or is forged.
    Rejected(Rejection),
    /// Nothing of this provider is taken yet.
    NotTaken,
    /// Genuine, but nothing that can be read.
    NotJson,
    /// Larger than a message.
    TooLarge,
    /// Our side fails; the provider is to send it again.
    Unavailable(Diagnosis),
}

impl Ingest {
    /// Opens the connections and reads the secrets while init has the full CPU. What fails now is tried again on demand.
    pub async fn new(aws: &Aws, config: &Config, registry: Registry) -> Self {
        let queue = Queue::new(aws, &config.queue_url);
        let apps = Secrets::new(aws, &config.resource_prefix, config.secret_cache);
        if let Err(error) = queue.warm().await {
            let Diagnosis { reason, detail } = error.diagnosis();
            tracing::warn!(reason = reason.name(), detail, "init: the queue was not reached");
        }
        let jwks = JwksCache::new(config.rewrites.clone());
        let (own, own_config, aws) = (OnceLock::new(), config.webhook_secrets.clone(), aws.clone());
        let stack = config.resource_prefix.clone();
        let ingest = Self { registry, stack, queue, apps, jwks, own, own_config, aws };
        for provider in registry.iter().filter(|provider| provider.spec().webhook.is_some()) {
            if let Err(refusal) = ingest.app(provider, Freshness::Cached, clock::now()).await {
                let Diagnosis { reason, detail } = refusal.why();
                tracing::warn!(provider.name = provider.spec().id, reason = reason.name(), detail, "init: no secret");
            }
        }
        ingest
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request) -> Result<Response<Body>, Infallible> {
        let call = Call::of(&request);
        let Some(provider) = self.registry.find(call.parameter("provider")) else {
            return Ok(call.refuse(&Problem::unknown_provider(&self.registry.ids())));
        };
        let now = clock::now();
        let id = DeliveryId::new(now, call.request_id);
        let late = |_| {
            let detail = format!("the delivery was not accepted within {} ms", ANSWER.as_millis());
            Err(Refusal::Unavailable(Diagnosis::new(Reason::TimedOut, detail)))
        };
        let outcome = tokio::time::timeout(ANSWER, self.take(&call, provider, &id, now)).await.unwrap_or_else(late);
        let name = provider.spec().id;
        Ok(match outcome {
            Ok(taken) => {
                match taken {
                    // Strangers can send it: one count is all that they cause.
                    Taken::Probe => self.count(Metric::DeliveriesProbed, Dimension { name: "service", value: name }),
                    Taken::Queued | Taken::Shown | Taken::Handshake(_) => {
                        tracing::info!(provider.name = name, delivery.id = id.as_str(), "{}", taken.name());
                    }
                }
                match taken {
                    Taken::Queued => text(StatusCode::OK, "Received"),
                    Taken::Shown | Taken::Probe => text(StatusCode::OK, ""),
                    Taken::Handshake(answer) => text(StatusCode::OK, answer),
                }
            }
            Err(refusal) => {
                let (status, words) = refusal.answer();
                let Diagnosis { reason, detail } = refusal.why();
                tracing::warn!(
                    provider.name = name,
                    delivery.id = id.as_str(),
                    reason = reason.name(),
                    detail,
                    "refused"
                );
                self.count(Metric::DeliveriesRefused, Dimension { name: "reason", value: reason.name() });
                metrics::operator_failure(reason);
                text(status, words)
            }
        })
    }

    /// What is accepted needs no count: the queue has one.
    fn count(&self, metric: Metric, dimension: Dimension<'_>) {
        metrics::write(&self.stack, dimension, &[(metric, vec![1])], clock::now());
    }

    async fn take(
        &self,
        call: &Call<'_>,
        provider: &dyn Provider,
        delivery_id: &DeliveryId,
        now: Timestamp,
    ) -> Result<Taken, Refusal> {
        let proof = provider.spec().webhook.as_ref().ok_or(Refusal::NotTaken)?;
        let unverified = UnverifiedDelivery { headers: call.request.headers(), body: call.request.body() };
        if provider.spec().probe.is_some_and(|probe| unverified.is_probe(&probe)) {
            return Ok(Taken::Probe);
        }
        let own = Some(call.parameter("integration_id")).filter(|id| !id.is_empty()).map(IntegrationId::parse);
        let own = own.transpose().map_err(|_| Refusal::Rejected(Rejection::NoSecret))?;
        let (delivery, source) = match &own {
            None => self.verify(unverified, proof, provider, now).await?,
            Some(id) => self.verify_own(unverified, proof, (provider, id), now).await?,
        };
        let retry = provider.spec().retry_header.and_then(|name| call.request.headers().get(name));
        if retry.is_some() {
            self.count(Metric::DeliveriesRetried, Dimension { name: "service", value: provider.spec().id });
        }
        if delivery.is_form() && !provider.spec().forms {
            return Err(Refusal::NotJson);
        }
        // Forms are what a person did in the provider's own windows.
        let done = if delivery.is_form() { Taken::Shown } else { Taken::Queued };
        let body = delivery.json().map_err(|_| Refusal::NotJson)?;
        if let Some(answer) = provider.handshake(body.text()) {
            return Ok(Taken::Handshake(answer));
        }
        let account = provider.account(body.text());
        let envelope = Envelope {
            v: EnvelopeVersion,
            provider: provider.spec().id,
            integration_id: own.as_ref(),
            account: source.account(),
            delivery_id,
            received_at: now,
        };
        let message = envelope.seal(&body).map_err(|_| Refusal::NotJson)?;
        if message.len() > MAX_MESSAGE {
            return Err(Refusal::TooLarge);
        }
        // Who signs with their own secret fills their own group, whatever account they name.
        let named = account.as_deref().filter(|_| matches!(source, Source::App(_)));
        let tenant = tenant(provider, named.or(source.account().map(AccountId::as_str)));
        let sent = self.queue.send(message, Some(&tenant)).await;
        sent.map_err(|error| Refusal::Unavailable(error.diagnosis()))?;
        Ok(done)
    }

    /// Verifies against the cached secrets, and once more against fresh ones if none matches, so that a secret can be
    /// replaced without a deployment.
    async fn verify<'a>(
        &self,
        unverified: UnverifiedDelivery<'a>,
        proof: &Proof,
        provider: &dyn Provider,
        now: Timestamp,
    ) -> Result<(VerifiedDelivery<'a>, Source), Refusal> {
        let app = self.app(provider, Freshness::Cached, now).await?;
        let jwks = self.jwks(proof, unverified, now).await?;
        let rejection = match unverified.verify(proof, &material(&app, jwks.as_deref()), now) {
            Ok(delivery) => return Ok((delivery, Source::App(app))),
            Err(rejection) => rejection,
        };
        if !matches!(rejection, Rejection::Mismatch | Rejection::NoSecret) {
            return Err(Refusal::Rejected(rejection));
        }
        let fresh = self.app(provider, Freshness::Reread, now).await?;
        if Arc::ptr_eq(&app, &fresh) {
            return Err(Refusal::Rejected(rejection));
        }
        match unverified.verify(proof, &material(&fresh, jwks.as_deref()), now) {
            Ok(delivery) => Ok((delivery, Source::App(fresh))),
            Err(rejection) => Err(Refusal::Rejected(rejection)),
        }
    }

    /// The same against the secrets of one integration, at its own address.
    async fn verify_own<'a>(
        &self,
        unverified: UnverifiedDelivery<'a>,
        proof: &Proof,
        (provider, id): (&dyn Provider, &IntegrationId),
        now: Timestamp,
    ) -> Result<(VerifiedDelivery<'a>, Source), Refusal> {
        if !matches!(proof, Proof::Signature(_)) {
            return Err(Refusal::Rejected(Rejection::NoSecret));
        }
        let table = self.own.get_or_init(|| WebhookSecrets::new(&self.aws, &self.own_config));
        let mut rejection = Rejection::NoSecret;
        for freshness in [Freshness::Cached, Freshness::Reread] {
            let own = table.get(id, freshness, now).await;
            let own = own.map_err(|error| Refusal::Unavailable(error.diagnosis()))?;
            // Another provider's integration has no secret here.
            let Some(own) = own.filter(|own| own.key.provider == provider.spec().id) else { continue };
            let material = VerificationContext { secrets: &own.secrets, jwks: None, audience: None, email: None };
            match unverified.verify(proof, &material, now) {
                Ok(delivery) => return Ok((delivery, Source::Integration(own))),
                Err(refused) => rejection = refused,
            }
            if rejection != Rejection::Mismatch {
                break;
            }
        }
        Err(Refusal::Rejected(rejection))
    }

    /// The issuer's keys, if the proof is a token of its own.
    async fn jwks(
        &self,
        proof: &Proof,
        unverified: UnverifiedDelivery<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Jwks>>, Refusal> {
        let Proof::IdToken(token) = proof else { return Ok(None) };
        let sent = unverified.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let sent = sent.and_then(|value| value.split_once(' ')).map_or("", |(_, token)| token);
        let keys = self.jwks.for_token(token.jwks, sent, now).await;
        keys.map(Some).map_err(|error| Refusal::Unavailable(error.diagnosis()))
    }

    async fn app(&self, provider: &dyn Provider, freshness: Freshness, now: Timestamp) -> Result<Arc<App>, Refusal> {
        let app = self.apps.get(provider.spec().secret, freshness, now).await;
        app.map_err(|error| Refusal::Unavailable(error.diagnosis()))
    }
}

impl Taken {
    const fn name(&self) -> &'static str {
        match self {
            Self::Queued | Self::Shown => "accepted",
            Self::Handshake(_) => "answered a handshake",
            Self::Probe => "answered a probe",
        }
    }
}

impl Refusal {
    /// The status and words for the sender.
    const fn answer(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Rejected(Rejection::NoSecret) => {
                (StatusCode::SERVICE_UNAVAILABLE, "No webhook secret is configured here yet")
            }
            Self::Rejected(Rejection::Missing | Rejection::Malformed | Rejection::Stale | Rejection::Mismatch) => {
                (StatusCode::BAD_REQUEST, REFUSED)
            }
            Self::NotTaken => (StatusCode::SERVICE_UNAVAILABLE, "This provider's webhooks are not taken here yet"),
            Self::NotJson => (StatusCode::BAD_REQUEST, "The body is not JSON that can be read"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "Please send this again later"),
        }
    }

    /// Why, for operators.
    fn why(self) -> Diagnosis {
        match self {
            Self::Rejected(rejection) => Diagnosis::new(rejection.reason(), rejection.to_string()),
            Self::NotTaken => Diagnosis::new(Reason::NotTaken, "this version reads no webhooks of the provider"),
            Self::NotJson => Diagnosis::new(Reason::NotJson, "the body is not JSON that every later reader can read"),
            Self::TooLarge => Diagnosis::new(
                Reason::TooLarge,
                format!("the delivery is larger than {MAX_MESSAGE} bytes as a message"),
            ),
            Self::Unavailable(why) => why,
        }
    }
}

fn material<'a>(app: &'a App, jwks: Option<&'a Jwks>) -> VerificationContext<'a> {
    VerificationContext {
        secrets: &app.webhook_secrets,
        jwks,
        audience: app.push_audience.as_deref(),
        email: app.push_service_account.as_deref(),
    }
}

/// The tenant of a delivery, for fair queues: the account, or the provider's events without one.
fn tenant(provider: &dyn Provider, account: Option<&str>) -> String {
    group(&format!("{}.{}", provider.spec().id, account.unwrap_or_default()))
}
