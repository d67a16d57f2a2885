//! Counters of calls to providers, by provider and hour: what `GET /health` adds up; and the same as metrics.
//!
//! Writes are bounded: calls are counted in memory and written once per invocation and provider.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_dynamodb::Client;
use domain::integration::status::ServiceHealth as Summary;
use jiff::{SignedDuration, Timestamp};

use crate::{
    aws::{Aws, AwsError, client},
    base::{
        clock::milliseconds,
        metrics::{self, Metric},
    },
    stores::item::{n, number, s, time},
};

/// What is added up.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// How long counters are kept.
const RETENTION: SignedDuration = SignedDuration::from_hours(48);

/// The table.
#[derive(Debug)]
pub struct CallHealth {
    client: Client,
    table: String,
    pending: Mutex<HashMap<&'static str, CallCounts>>,
}

/// A call that was made.
#[derive(Debug, Clone, Copy)]
pub struct Observed {
    /// The provider's id.
    pub service: &'static str,
    /// Whether the provider did its part. Neither a wrong request nor a missing thing is its fault.
    pub healthy: bool,
    /// Whether it was one too many.
    pub limited: bool,
    /// How long it took.
    pub took: Duration,
    /// How long it waited for its turn before.
    pub paced: Duration,
    /// When it ended.
    pub at: Timestamp,
}

#[derive(Debug, Default, Clone)]
struct CallCounts {
    calls: u64,
    failures: u64,
    limited: u64,
    throttled_locally: u64,
    took: Vec<u64>,
    paced: Vec<u64>,
    last_success: Option<Timestamp>,
    last_failure: Option<Timestamp>,
}

impl CallHealth {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        let client = client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB");
        Self { client, table: table.into(), pending: Mutex::default() }
    }

    /// Counts a call in memory.
    pub fn count(&self, call: Observed) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = pending.entry(call.service).or_default();
        counts.calls += 1;
        counts.limited += u64::from(call.limited);
        counts.took.push(milliseconds(call.took));
        counts.paced.extend((!call.paced.is_zero()).then(|| milliseconds(call.paced)));
        if call.healthy {
            counts.last_success = Some(call.at);
        } else {
            counts.failures += 1;
            counts.last_failure = Some(call.at);
        }
    }

    /// Counts a call that was not made, because a limit left it no turn.
    pub fn throttled_locally(&self, service: &'static str) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).entry(service).or_default().throttled_locally += 1;
    }

    /// Writes what was counted; `stack` tells its metrics from those of others. Counting is not worth failing for: what can't be
    /// written is dropped and logged.
    pub async fn flush(&self, stack: &str, now: Timestamp) {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        for (service, counts) in pending {
            let measured = [
                (Metric::Calls, vec![counts.calls]),
                (Metric::CallFailures, vec![counts.failures]),
                (Metric::CallsLimited, vec![counts.limited]),
                (Metric::CallsThrottledLocally, vec![counts.throttled_locally]),
                (Metric::CallDuration, counts.took.clone()),
                (Metric::CallPaced, counts.paced.clone()),
            ];
            metrics::write(stack, ("service", service), &measured, now);
            if counts.calls == 0 {
                continue;
            }
            let calls = counts.calls;
            if let Err(error) = self.add(service, counts, now).await {
                tracing::warn!(
                    reason = error.reason().name(),
                    detail = error.diagnosis().detail,
                    service,
                    calls,
                    "calls not counted"
                );
            }
        }
    }

    async fn add(&self, service: &str, counts: CallCounts, now: Timestamp) -> Result<(), AwsError> {
        let mut set = String::from("SET expires_at = :expires_at");
        let mut call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("service", s(service))
            .key("hour", n(hour(now)))
            .expression_attribute_values(":calls", n(counts.calls))
            .expression_attribute_values(":failures", n(counts.failures))
            .expression_attribute_values(":expires_at", n((now + RETENTION).as_second()));
        for (name, at) in [("last_success", counts.last_success), ("last_failure", counts.last_failure)] {
            if let Some(at) = at {
                set = format!("{set}, {name} = :{name}");
                call = call.expression_attribute_values(format!(":{name}"), s(at.to_string()));
            }
        }
        let call = call.update_expression(format!("{set} ADD calls :calls, failures :failures"));
        call.send().await.map_err(|error| AwsError::new("dynamodb:UpdateItem", error))?;
        Ok(())
    }

    /// The last 24 hours of a provider. The hour in which they begin counts whole.
    pub async fn of(&self, service: &'static str, now: Timestamp) -> Result<Summary, AwsError> {
        let call = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("service = :service AND #hour >= :from")
            .expression_attribute_names("#hour", "hour")
            .expression_attribute_values(":service", s(service))
            .expression_attribute_values(":from", n(hour(now - WINDOW)));
        let items = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let mut summary = Summary { service, calls: 0, failures: 0, last_success: None, last_failure: None };
        for item in items.map_err(|error| AwsError::new("dynamodb:Query", error))? {
            summary.calls += number::<u64>(&item, "calls")?;
            summary.failures += number::<u64>(&item, "failures")?;
            summary.last_success = summary.last_success.max(time(&item, "last_success").ok());
            summary.last_failure = summary.last_failure.max(time(&item, "last_failure").ok());
        }
        Ok(summary)
    }
}

fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3600)
}
