//! The properties of a function and of its events, by their names in AWS SAM, with SAM's and Lambda's defaults.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use super::super::parameters::text;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Properties {
    #[serde(default)]
    pub(super) code_uri: String,
    pub(super) role: Option<String>,
    #[serde(default = "default_memory")]
    pub(super) memory_size: u32,
    #[serde(default = "default_timeout")]
    pub(super) timeout: u64,
    #[serde(default)]
    pub(super) environment: Environment,
    #[serde(default)]
    pub(super) logging_config: LoggingConfig,
    pub(super) reserved_concurrent_executions: Option<u32>,
    #[serde(default)]
    pub(super) event_invoke_config: EventInvokeConfig,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct EventInvokeConfig {
    pub(super) maximum_retry_attempts: usize,
    pub(super) destination_config: DestinationConfig,
}

impl Default for EventInvokeConfig {
    fn default() -> Self {
        Self { maximum_retry_attempts: 2, destination_config: DestinationConfig::default() }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct DestinationConfig {
    pub(super) on_failure: Option<OnFailure>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct OnFailure {
    pub(super) r#type: DestinationType,
    pub(super) destination: String,
}

#[derive(Deserialize)]
pub(super) enum DestinationType {
    #[serde(rename = "SQS")]
    Sqs,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Environment {
    #[serde(deserialize_with = "scalars")]
    pub(super) variables: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LoggingConfig {
    pub(super) log_format: Option<String>,
    pub(super) application_log_level: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct HttpApiEvent {
    pub(super) method: Option<String>,
    pub(super) path: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct SqsEvent {
    pub(super) queue: String,
    #[serde(default = "default_batch")]
    pub(super) batch_size: u32,
    #[serde(default)]
    pub(super) maximum_batching_window_in_seconds: u64,
    #[serde(default)]
    pub(super) function_response_types: Vec<String>,
    #[serde(default)]
    pub(super) scaling_config: ScalingConfig,
    #[serde(default = "enabled")]
    pub(super) enabled: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct ScalingConfig {
    pub(super) maximum_concurrency: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct ScheduleEvent {
    pub(super) name: Option<String>,
    pub(super) schedule: String,
    pub(super) input: String,
    #[serde(default = "enabled")]
    pub(super) enabled: bool,
}

/// Lambda's environment takes numbers and booleans as text.
fn scalars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
    let plain = |(name, value)| match text(&value) {
        Some(value) => Ok((name, value)),
        None => Err(D::Error::custom(format!("variable {name} is neither text, number nor boolean"))),
    };
    values.into_iter().map(plain).collect()
}

fn default_memory() -> u32 {
    128
}

fn default_timeout() -> u64 {
    3
}

fn default_batch() -> u32 {
    10
}

fn enabled() -> bool {
    true
}
