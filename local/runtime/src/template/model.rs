//! What a template declares, in the terms of the local run: every reference resolved, every default filled in.

use std::{collections::BTreeMap, time::Duration};

use local_aws::iam::Statement;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A Lambda function with its triggers and the rights of its role.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    pub logical_id: String,
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
    /// What its role may do; see [`local_aws::iam::allows`].
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
    /// ARN of the queue that gets a record of each asynchronous invocation that failed for good.
    pub on_failure: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// In capitals; `ANY` stands for all.
    pub method: String,
    /// With `{name}` and `{name+}` as API Gateway writes them; `$default` stands for every path without a route.
    pub path: String,
}

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

#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub name: String,
    /// `rate(…)` or `cron(…)`, in UTC.
    pub expression: String,
    pub input: Value,
}

/// What shows how a deployed stack is, such as an alarm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Monitoring {
    pub logical_id: String,
    /// Such as `AWS::CloudWatch::Alarm`.
    pub kind: String,
    pub properties: Map<String, Value>,
}

/// CORS as the HTTP API answers it, before any function is invoked.
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
