//! `webhook-ingest`: verify, enqueue, acknowledge; nothing else.
//!
//! *Invariant:* a 200 means that SQS has the delivery, and SQS has only verified deliveries.

mod outcome;
mod verify;

use std::{convert::Infallible, sync::OnceLock, time::Duration};

use domain::{
    DeliveryId, Diagnosis, IntegrationId, Offered, Problem, Reason, Rejection, UnverifiedDelivery,
    messages::message::{Envelope, EnvelopeVersion},
};
use jiff::Timestamp;
use lambda_http::{Body, Request, Response, http::StatusCode};
use platform::{
    Aws,
    aws::{
        queue::{MAX_MESSAGE, Queue, group},
        secrets::{App, Freshness, Secrets},
    },
    base::{
        InitError, clock,
        config::Env,
        metrics::{self, Dimension, Metric},
        rewrites::Rewrites,
    },
    client::jwks::JwksCache,
    runtime::http::{Call, text},
    stores::webhook_secrets::{WebhookSecrets, WebhookSecretsConfig},
};
use providers::{Provider, Registry};

use crate::outcome::{Refusal, Taken};

/// Providers are answered within this time; Slack waits for three seconds, a cold start included. A delivery that the queue has
/// all the same comes again, as the same event.
const ANSWER: Duration = Duration::from_millis(1_500);

/// The settings that template.yaml gives the function.
#[derive(Debug)]
pub struct Config {
    queue_url: String,
    resource_prefix: String,
    secret_cache: Duration,
    webhook_secrets: WebhookSecretsConfig,
    rewrites: Rewrites,
    offered: Offered,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        Self {
            queue_url: env.text("WEBHOOKS_QUEUE_URL"),
            resource_prefix: env.text("RESOURCE_PREFIX"),
            secret_cache: env.seconds("SECRET_CACHE_SECONDS"),
            webhook_secrets: WebhookSecretsConfig::read(env),
            rewrites: env.rewrites(),
            offered: env.offered(),
        }
    }
}

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

impl Ingest {
    /// Opens the connections and reads the secrets while init has the full CPU. What fails now is tried again on demand.
    pub async fn new(aws: &Aws, config: &Config, registry: Registry) -> Result<Self, InitError> {
        let registry = registry.offering(&config.offered)?;
        let queue = Queue::new(aws, &config.queue_url);
        let apps = Secrets::new(aws, &config.resource_prefix, config.secret_cache);
        if let Err(error) = queue.warm().await {
            let (reason, detail) = error.diagnosis().into_parts();
            tracing::warn!(reason = reason.name(), detail, "init: the queue was not reached");
        }
        let jwks = JwksCache::new(config.rewrites.clone());
        let (own, own_config, aws) = (OnceLock::new(), config.webhook_secrets.clone(), aws.clone());
        let stack = config.resource_prefix.clone();
        let ingest = Self { registry, stack, queue, apps, jwks, own, own_config, aws };
        for provider in registry.iter().filter(|provider| provider.spec().webhook.is_some()) {
            if let Err(refusal) = ingest.app(provider, Freshness::Cached, clock::now()).await {
                let (reason, detail) = refusal.why().into_parts();
                tracing::warn!(provider.name = %provider.spec().id, reason = reason.name(), detail, "init: no secret");
            }
        }
        Ok(ingest)
    }

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
        let name = &provider.spec().id;
        Ok(match outcome {
            Ok(taken) => {
                match taken {
                    // Any sender can cause it: so it costs one count and no line of the log.
                    Taken::Probe => {
                        self.count(Metric::DeliveriesProbed, Dimension { name: "service", value: name.as_str() });
                    }
                    Taken::Queued | Taken::Shown | Taken::Handshake(_) => {
                        tracing::info!(provider.name = %name, delivery.id = %id, "{}", taken.name());
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
                let (reason, detail) = refusal.why().into_parts();
                tracing::warn!(
                    provider.name = %name,
                    delivery.id = %id,
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
            Some(id) => self.verify_own(unverified, proof, provider, id, now).await?,
        };
        let retry = provider.spec().retry_header.and_then(|name| call.request.headers().get(name));
        if retry.is_some() {
            self.count(Metric::DeliveriesRetried, Dimension { name: "service", value: provider.spec().id.as_str() });
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
            provider: &provider.spec().id,
            integration_id: own.as_ref(),
            account: source.account(),
            delivery_id,
            received_at: now,
        };
        let message = envelope.seal(&body).map_err(|_| Refusal::NotJson)?;
        if message.len() > MAX_MESSAGE {
            return Err(Refusal::TooLarge);
        }
        let tenant = tenant(provider, source.tenant(account.as_deref()));
        let sent = self.queue.send(message, Some(&tenant)).await;
        sent.map_err(|error| Refusal::Unavailable(error.diagnosis()))?;
        Ok(done)
    }
}

/// The tenant of a delivery, for fair queues: the account, or the provider's events without one.
fn tenant(provider: &dyn Provider, account: Option<&str>) -> String {
    group(&format!("{}.{}", provider.spec().id, account.unwrap_or_default()))
}
