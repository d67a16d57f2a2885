//! What a template declares, in the terms of the local run: every reference resolved, every default filled in.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::iam::Statement;

/// A Lambda function with its triggers and the rights of its role.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    pub logical_id: String,
    /// `FunctionName`.
    pub name: String,
    pub arn: String,
    /// The bootstrap's binary target.
    pub binary: String,
    pub memory_mb: u32,
    pub timeout: Duration,
    /// What the template sets; the runtime's own variables are not in it.
    pub environment: BTreeMap<String, String>,
    /// ARN of its role.
    pub role: String,
    /// What its role may do; see [`super::allows`].
    pub statements: Vec<Statement>,
    pub routes: Vec<Route>,
    pub mappings: Vec<Mapping>,
    pub schedules: Vec<Schedule>,
    /// `AWS_LAMBDA_LOG_FORMAT`: `JSON` or `Text`.
    pub log_format: String,
    /// `AWS_LAMBDA_LOG_LEVEL`.
    pub log_level: String,
    pub reserved_concurrency: Option<u32>,
    /// `MaximumRetryAttempts` of asynchronous invocations.
    pub retries: usize,
    /// ARN of the queue that is told of asynchronous invocations that failed to the end.
    pub on_failure: Option<String>,
}

/// An IAM role with inline policies.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    pub logical_id: String,
    pub statements: Vec<Statement>,
}

/// A route of the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// In capitals; `ANY` stands for all.
    pub method: String,
    /// With `{name}` and `{name+}` as API Gateway writes them; `$default` stands for whatever has no route.
    pub path: String,
}

/// An SQS event source mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Of a queue of this template.
    pub queue_arn: String,
    pub batch_size: u32,
    /// How long to wait for a batch to fill.
    pub window: Duration,
    pub max_concurrency: Option<u32>,
    /// `ReportBatchItemFailures`: the function names the messages that failed.
    pub partial: bool,
}

/// A schedule that invokes a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub name: String,
    /// `rate(…)` or `cron(…)`, in UTC.
    pub expression: String,
    /// The event.
    pub input: Value,
}

/// CORS as the HTTP API answers it, before any function is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub struct Cors {
    pub allow_origins: Vec<String>,
    pub allow_methods: Vec<String>,
    pub allow_headers: Vec<String>,
    pub expose_headers: Vec<String>,
    /// Seconds.
    pub max_age: Option<u32>,
    pub allow_credentials: bool,
}

/// An SQS queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    pub logical_id: String,
    pub name: String,
    pub arn: String,
    /// What functions are given.
    pub url: String,
    /// As `CreateQueue` takes them: numbers as text, policies as JSON.
    pub attributes: BTreeMap<String, String>,
}

/// A DynamoDB table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub logical_id: String,
    pub name: String,
    pub arn: String,
    /// Types of the attributes that are keys, here or in an index.
    pub attributes: BTreeMap<String, AttributeType>,
    pub key_schema: KeySchema,
    pub indexes: Vec<Index>,
    /// The attribute with the time to live.
    pub ttl: Option<String>,
    /// `StreamViewType`.
    pub stream_view: Option<String>,
    /// Point-in-time recovery.
    pub pitr: bool,
    /// Encryption with a key in KMS instead of DynamoDB's own.
    pub sse: bool,
}

/// The type of a key attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum AttributeType {
    S,
    N,
    B,
}

/// The key of a table or an index.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<KeyElement>")]
pub struct KeySchema {
    pub hash: String,
    pub range: Option<String>,
}

/// A global secondary index.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Index {
    #[serde(rename = "IndexName")]
    pub name: String,
    pub key_schema: KeySchema,
    pub projection: Projection,
}

/// What an index holds beside the keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "ProjectionType", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "PascalCase")]
pub enum Projection {
    KeysOnly,
    All,
    Include { non_key_attributes: Vec<String> },
}

/// A secret as it is first created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    pub logical_id: String,
    pub name: String,
    /// As roles name it. The six characters that Secrets Manager would append are zeros.
    pub arn: String,
    pub value: SecretValue,
}

/// A secret's first value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretValue {
    /// Written in the template.
    Literal(String),
    /// The JSON object `template`, with a random text of `length` characters of `alphabet` added under `key`.
    Generated { template: Map<String, Value>, key: String, length: usize, alphabet: String },
}

/// A KMS key. Its id is made by KMS, so the logical id stands in its place here, in `arn` and in what refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub logical_id: String,
    pub arn: String,
    /// Each begins with `alias/`.
    pub aliases: Vec<String>,
}

/// One element of a key schema, as CloudFormation writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct KeyElement {
    attribute_name: String,
    key_type: KeyType,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum KeyType {
    Hash,
    Range,
}

impl TryFrom<Vec<KeyElement>> for KeySchema {
    type Error = &'static str;

    fn try_from(elements: Vec<KeyElement>) -> Result<Self, Self::Error> {
        let mut elements = elements.into_iter();
        match (elements.next(), elements.next(), elements.next()) {
            (Some(KeyElement { attribute_name: hash, key_type: KeyType::Hash }), None, None) => {
                Ok(Self { hash, range: None })
            }
            (
                Some(KeyElement { attribute_name: hash, key_type: KeyType::Hash }),
                Some(KeyElement { attribute_name: range, key_type: KeyType::Range }),
                None,
            ) => Ok(Self { hash, range: Some(range) }),
            _ => Err("a KeySchema is one HASH, which may be followed by one RANGE"),
        }
    }
}
