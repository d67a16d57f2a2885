//! The clients of AWS's services: one HTTP client, one region, one identity for all.
//!
//! Without `aws-config` and with ring: what the SDK loads by default costs more than everything else a cold start does.

pub mod bus;
pub mod envelope;
mod error;
pub mod event_batcher;
pub mod queue;
pub mod secrets;
pub mod sync_queue;

use std::time::Duration;

use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, IdentityCache, Region, SharedCredentialsProvider, SharedHttpClient,
    StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};

pub use self::error::{AwsError, Call, UnusableSecret};

/// The roots that AWS's endpoints are certified by (<https://www.amazontrust.com/repository/>). Parsing the whole system
/// store takes longer than a cold start may.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// How long calls may take before the caller gives up.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The longest that one attempt may take.
    pub attempt: Duration,
    /// The longest that all attempts and the waits between them may take.
    pub total: Duration,
}

impl Patience {
    /// For a function that answers a request; Slack, for example, waits three seconds.
    pub const REQUEST: Self = Self { attempt: Duration::from_millis(700), total: Duration::from_millis(1500) };
    /// For a function that works on a queue, which delivers again.
    pub const QUEUE: Self = Self { attempt: Duration::from_secs(2), total: Duration::from_secs(5) };
}

/// Makes the clients of the services.
#[derive(Debug, Clone)]
pub struct Aws {
    http: SharedHttpClient,
    region: Region,
    credentials: SharedCredentialsProvider,
    patience: Patience,
    endpoint: Option<String>,
}

impl Aws {
    /// From what Lambda's runtime puts into the environment, and the SDKs' `AWS_ENDPOINT_URL_*` and `AWS_CA_BUNDLE`.
    pub fn from_env(patience: Patience) -> Result<Self, InitError> {
        let required = |name| ambient(name).ok_or(InitError::Missing(name));
        let credentials = Credentials::new(
            required("AWS_ACCESS_KEY_ID")?,
            required("AWS_SECRET_ACCESS_KEY")?,
            ambient("AWS_SESSION_TOKEN"),
            None,
            "environment",
        );
        let roots = match ambient("AWS_CA_BUNDLE") {
            Some(path) => std::fs::read(path)?,
            None => AMAZON_ROOTS.to_vec(),
        };
        let tls = TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(roots)).build();
        let tls = tls.map_err(|error| InitError::Roots(error.into()))?;
        Ok(Self {
            http: Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls).build_https(),
            region: Region::new(required("AWS_REGION")?),
            credentials: SharedCredentialsProvider::new(credentials),
            patience,
            endpoint: None,
        })
    }

    /// All services at one address over plain HTTP: the local stack, seen from tests and tools.
    pub fn at(endpoint: &str, region: &str, access_key: &str, patience: Patience) -> Self {
        Self {
            http: Builder::new().build_http(),
            region: Region::new(region.to_owned()),
            credentials: SharedCredentialsProvider::new(Credentials::new(access_key, "local", None, None, "local")),
            patience,
            endpoint: Some(endpoint.to_owned()),
        }
    }
}

/// Builds the client of one service: `client!(aws, aws_sdk_sqs, "AWS_ENDPOINT_URL_SQS")`.
macro_rules! client {
    ($aws:expr, $sdk:ident, $endpoint:literal) => {{
        let config = $crate::aws::common!($aws, $sdk);
        let config = match $aws.endpoint($endpoint) {
            Some(url) => config.endpoint_url(url),
            None => config,
        };
        $sdk::Client::from_conf(config.build())
    }};
}
pub(crate) use client;

/// What all services share. Identical builders of different crates have no common trait.
macro_rules! common {
    ($aws:expr, $sdk:ident) => {
        $sdk::Config::builder()
            .behavior_version($crate::aws::behavior())
            .http_client($aws.http())
            .region($aws.region())
            .credentials_provider($aws.credentials())
            .identity_cache($crate::aws::no_identity_cache())
            .retry_config($crate::aws::retries())
            .timeout_config($aws.timeouts())
            .stalled_stream_protection($crate::aws::no_stream_protection())
    };
}
pub(crate) use common;

use crate::base::{InitError, environment::ambient};

pub(crate) fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// The SDK's default base of one second would make an ingest with SQS down answer after 1.6 to 2.8 s.
pub(crate) fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(40))
}

/// The credentials of a sandbox never change, so there is nothing to cache.
pub(crate) fn no_identity_cache() -> impl aws_sdk_dynamodb::config::ResolveCachedIdentity + 'static {
    IdentityCache::no_cache()
}

/// Bodies here are small; the attempt's timeout covers them.
pub(crate) fn no_stream_protection() -> StalledStreamProtectionConfig {
    StalledStreamProtectionConfig::disabled()
}

impl Aws {
    pub(crate) fn endpoint(&self, variable: &str) -> Option<String> {
        self.endpoint.clone().or_else(|| configured_endpoint(variable, ambient))
    }

    pub(crate) fn http(&self) -> SharedHttpClient {
        self.http.clone()
    }

    pub(crate) fn region(&self) -> Region {
        self.region.clone()
    }

    pub(crate) fn credentials(&self) -> SharedCredentialsProvider {
        self.credentials.clone()
    }

    pub(crate) fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.patience.attempt)
            .operation_attempt_timeout(self.patience.attempt)
            .operation_timeout(self.patience.total)
            .build()
    }
}

/// The endpoint of a service as the SDKs' variables configure it: the service's own variable counts before `AWS_ENDPOINT_URL`, and
/// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` switches both off
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>, read in November 2026).
fn configured_endpoint(service_variable: &str, lookup: impl Fn(&str) -> Option<String>) -> Option<String> {
    let ignored = lookup("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    if ignored { None } else { lookup(service_variable).or_else(|| lookup("AWS_ENDPOINT_URL")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_own_endpoint_counts_before_the_global_one_and_both_can_be_switched_off() {
        const GLOBAL: (&str, &str) = ("AWS_ENDPOINT_URL", "http://all");
        const OWN: (&str, &str) = ("AWS_ENDPOINT_URL_SQS", "http://sqs");
        const OTHER: (&str, &str) = ("AWS_ENDPOINT_URL_KMS", "http://kms");
        const IGNORED: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";
        for (variables, expected) in [
            (vec![], None),
            (vec![OTHER], None),
            (vec![GLOBAL, OTHER], Some("http://all")),
            (vec![GLOBAL, OWN], Some("http://sqs")),
            (vec![GLOBAL, OWN, (IGNORED, "True")], None),
            (vec![GLOBAL, (IGNORED, "false")], Some("http://all")),
        ] {
            let lookup =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, url)| (*url).to_owned());
            assert_eq!(configured_endpoint("AWS_ENDPOINT_URL_SQS", lookup).as_deref(), expected, "{variables:?}");
        }
    }

    #[test]
    fn the_pinned_roots_are_the_five_of_amazon_trust_services() {
        let text = std::str::from_utf8(AMAZON_ROOTS).unwrap();
        assert_eq!(text.matches("-----BEGIN CERTIFICATE-----").count(), 5);
        let store = TrustStore::empty().with_pem_certificate(AMAZON_ROOTS);
        assert!(TlsContext::builder().with_trust_store(store).build().is_ok());
    }
}
