//! Counters of calls to providers, by provider and hour: what `GET /health` adds up; and the same as metrics.
//!
//! Writes are bounded: calls are counted in memory and written once per invocation and provider.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use domain::{ProviderId, integration::status::ServiceHealth as Summary};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::{
    aws::{Aws, AwsError},
    base::{
        clock::milliseconds,
        lock::lock,
        metrics::{self, Dimension, Metric},
    },
    stores::{
        item::{key, n, read, s, seconds, time},
        table::{self, Table},
    },
};

/// The span that `GET /health` adds up.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// How long counters are kept.
const RETENTION: SignedDuration = SignedDuration::from_hours(48);

/// The counters in the table, and those that are not written yet.
#[derive(Debug)]
pub struct CallHealth {
    table: Table,
    pending: Mutex<HashMap<&'static ProviderId, CallCounts>>,
}

/// A call that was made.
#[derive(Debug, Clone, Copy)]
pub struct Observed {
    /// The provider's id.
    pub service: &'static ProviderId,
    /// Whether the provider works. Neither a wrong request nor a missing object is its failure.
    pub healthy: bool,
    /// Whether the provider refused it for a rate limit.
    pub limited: bool,
    /// From the request to the end of the answer.
    pub took: Duration,
    /// How long it waited for its turn under a rate limit before.
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

/// The item of an hour.
#[derive(Debug, Deserialize)]
struct Hour {
    calls: u64,
    failures: u64,
    last_success: Option<Timestamp>,
    last_failure: Option<Timestamp>,
}

impl CallHealth {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { table: Table::new(aws, table), pending: Mutex::default() }
    }

    /// Counts a call in memory.
    pub fn count(&self, call: Observed) {
        let mut pending = lock(&self.pending);
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
    pub fn throttled_locally(&self, service: &'static ProviderId) {
        lock(&self.pending).entry(service).or_default().throttled_locally += 1;
    }

    /// Writes what was counted; `stack` tells its metrics from those of others. Counting is not worth failing for: what can't be
    /// written is dropped and logged.
    pub async fn flush(&self, stack: &str, now: Timestamp) {
        let pending = std::mem::take(&mut *lock(&self.pending));
        for (service, counts) in pending {
            let measured = [
                (Metric::Calls, vec![counts.calls]),
                (Metric::CallFailures, vec![counts.failures]),
                (Metric::CallsLimited, vec![counts.limited]),
                (Metric::CallsThrottledLocally, vec![counts.throttled_locally]),
                (Metric::CallDuration, counts.took.clone()),
                (Metric::CallPaced, counts.paced.clone()),
            ];
            metrics::write(stack, Dimension { name: "service", value: service.as_str() }, &measured, now);
            if counts.calls == 0 {
                continue;
            }
            let calls = counts.calls;
            if let Err(error) = self.add(service, counts, now).await {
                tracing::warn!(
                    reason = error.reason().name(),
                    detail = error.diagnosis().detail(),
                    %service,
                    calls,
                    "calls not counted"
                );
            }
        }
    }

    async fn add(&self, service: &ProviderId, counts: CallCounts, now: Timestamp) -> Result<(), AwsError> {
        let mut update = self
            .table
            .update(key([("service", s(service)), ("hour", n(hour(now)))]))
            .set("expires_at = :expires_at")
            .add("calls :calls, failures :failures")
            .with([
                (":calls", n(counts.calls)),
                (":failures", n(counts.failures)),
                (":expires_at", seconds(now + RETENTION)),
            ]);
        if let Some(at) = counts.last_success {
            update = update.set("last_success = :last_success").with([(":last_success", time(at))]);
        }
        if let Some(at) = counts.last_failure {
            update = update.set("last_failure = :last_failure").with([(":last_failure", time(at))]);
        }
        update.send().await.map(|_| ())
    }

    /// The last 24 hours of a provider. The hour in which they begin counts whole.
    pub async fn of(&self, service: &'static ProviderId, now: Timestamp) -> Result<Summary, AwsError> {
        let values = [(":service", s(service)), (":from", n(hour(now - WINDOW)))];
        let query = self.table.query("service = :service AND hour >= :from", values);
        let mut summary = Summary { service, calls: 0, failures: 0, last_success: None, last_failure: None };
        for item in table::items(query.call()).await? {
            let hour: Hour = read(item)?;
            summary.calls += hour.calls;
            summary.failures += hour.failures;
            summary.last_success = summary.last_success.max(hour.last_success);
            summary.last_failure = summary.last_failure.max(hour.last_failure);
        }
        Ok(summary)
    }
}

fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3600)
}
