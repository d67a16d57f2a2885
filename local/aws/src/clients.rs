//! SDK clients for the local stack itself: provisioning, pollers, story, tests.

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_http_client::Builder;

#[derive(Debug, Clone)]
pub struct Clients {
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub kms: aws_sdk_kms::Client,
    pub secrets: aws_sdk_secretsmanager::Client,
    pub events: aws_sdk_eventbridge::Client,
}

/// The access key of a person, the story or a test. It belongs to no function, so that the gateway does not restrict it.
pub const DEVELOPER_KEY: &str = "AKIALOCALDEVELOPER00";
/// The access key of Lambda's own pollers.
pub const POLLER_KEY: &str = "AKIALOCALPOLLER00000";

impl Clients {
    /// Clients of the AWS at `endpoint` that sign with `access_key`.
    pub fn new(endpoint: &str, region: &str, access_key: &str) -> Self {
        let http = Builder::new().build_http();
        macro_rules! client {
            ($sdk:ident) => {
                $sdk::Client::from_conf(
                    $sdk::Config::builder()
                        .behavior_version(BehaviorVersion::v2026_01_12())
                        .http_client(http.clone())
                        .region(Region::new(region.to_owned()))
                        .credentials_provider(Credentials::new(access_key, "local", None, None, "local"))
                        .endpoint_url(endpoint)
                        .build(),
                )
            };
        }
        Self {
            dynamodb: client!(aws_sdk_dynamodb),
            sqs: client!(aws_sdk_sqs),
            kms: client!(aws_sdk_kms),
            secrets: client!(aws_sdk_secretsmanager),
            events: client!(aws_sdk_eventbridge),
        }
    }
}
