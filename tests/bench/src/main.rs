//! The floor of the bench: a Lambda that sends the request's body to a queue and answers 200, and nothing else.
//!
//! It has the SDK features, TLS and client settings of the bundle's functions (shared/platform/src/aws/mod.rs), but depends on
//! none of their code: no log, no configuration, no verification, no call at init.

use std::{env::VarError, time::Duration};

use aws_sdk_sqs::{
    Client, Config,
    config::{
        BehaviorVersion, Credentials, IdentityCache, Region, StalledStreamProtectionConfig, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};

/// All it reads of an HTTP API event.
#[derive(Deserialize)]
struct Request {
    body: String,
}

#[derive(Serialize)]
struct Response {
    #[serde(rename = "statusCode")]
    status_code: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (client, queue_url) = (&client()?, &variable("WEBHOOKS_QUEUE_URL")?);
    let send = |event: LambdaEvent<Request>| async move {
        client.send_message().queue_url(queue_url).message_body(event.payload.body).send().await?;
        Ok::<_, Error>(Response { status_code: 200 })
    };
    lambda_runtime::run(service_fn(send)).await
}

fn client() -> Result<Client, Error> {
    let roots = TrustStore::empty().with_pem_certificate(std::fs::read(variable("AWS_CA_BUNDLE")?)?);
    let tls = TlsContext::builder().with_trust_store(roots).build()?;
    let (id, secret) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
    let attempt = Duration::from_millis(700);
    let timeouts = TimeoutConfig::builder().connect_timeout(attempt).operation_attempt_timeout(attempt);
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls).build_https())
        .region(Region::new(variable("AWS_REGION")?))
        .credentials_provider(Credentials::new(id, secret, Some(variable("AWS_SESSION_TOKEN")?), None, "environment"))
        .identity_cache(IdentityCache::no_cache())
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(40)))
        .timeout_config(timeouts.operation_timeout(Duration::from_millis(1500)).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .endpoint_url(variable("AWS_ENDPOINT_URL_SQS")?);
    Ok(Client::from_conf(config.build()))
}

#[expect(clippy::disallowed_methods, reason = "the floor does not depend on platform::base::config")]
fn variable(name: &str) -> Result<String, VarError> {
    std::env::var(name)
}
