//! What idle syncs cost a month on AWS, computed from what one consumed.
//!
//! Not in it: what a stack costs without any workspace (the hourly schedule of watches, empty polls of queues), storage, logs, and the
//! two refreshes a day of the workspace's token.

use local_aws::Service;
use serde::Serialize;

use super::phase::{Phase, Work};

/// List prices in US dollars: US East (N. Virginia), on demand, first tier, no free tier. Read 2026-11-30 at
/// <https://aws.amazon.com/dynamodb/pricing/on-demand/>, a million units: $0.125 of reads, $0.625 of writes.
const READ_UNIT: f64 = 0.125e-6;
const WRITE_UNIT: f64 = 0.625e-6;
/// <https://aws.amazon.com/lambda/pricing/>, by architecture.
const GB_SECOND: [(&str, f64); 2] = [("arm64", 0.000_013_333_4), ("x86_64", 0.000_016_666_7)];
const INVOCATION: f64 = 0.20e-6;
/// <https://aws.amazon.com/sqs/pricing/>: standard queues.
const QUEUE_REQUEST: f64 = 0.40e-6;
/// <https://aws.amazon.com/eventbridge/pricing/>: custom events.
const EVENT: f64 = 1.00e-6;
/// <https://aws.amazon.com/kms/pricing/>: symmetric keys.
const KEY_REQUEST: f64 = 0.03 / 10_000.0;
/// <https://aws.amazon.com/secrets-manager/pricing/>.
const SECRET_REQUEST: f64 = 0.05 / 10_000.0;

/// A function has a share of a processor that is in proportion to its memory: one at this many MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>, read 2026-11.
const MB_OF_PROCESSOR: f64 = 1769.0;
/// Lambda's own requests for a message: its receipt and its deletion.
const OF_MESSAGE: u64 = 2;
/// Syncs a month (730 hours): every 15 minutes, and each Sunday.
const SYNCS: f64 = 730.0 * 4.0 + 52.0 / 12.0;

/// US dollars a month.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Cost {
    pub(super) dynamodb: f64,
    pub(super) lambda: f64,
    /// SQS, EventBridge, KMS and Secrets Manager.
    pub(super) rest: f64,
    pub(super) total: f64,
    /// What a second more in each of the provider's answers would add: the sandbox's are as fast as this machine.
    pub(super) provider_second: f64,
}

impl Cost {
    /// A month of such syncs. `architecture` is the template's.
    pub(super) fn of(idle: &Phase, architecture: &str) -> Self {
        let units = idle.units();
        let dynamodb = units.read * READ_UNIT + units.write * WRITE_UNIT;
        let gb_second = GB_SECOND.iter().find(|(name, _)| *name == architecture).map_or(f64::NAN, |(_, price)| *price);
        let second = |work: &Work| f64::from(work.memory_mb) / 1024.0 * gb_second;
        let function = |work| billed_seconds(work) * second(work) + number(work.invocations) * INVOCATION;
        let lambda = idle.functions.values().map(function).sum::<f64>();
        let provider_second = number(idle.provider_calls) * second(&idle.worker());
        let queue = idle.calls_of(Service::Sqs) + OF_MESSAGE * idle.worker().invocations;
        let rest = number(queue) * QUEUE_REQUEST
            + number(idle.calls_of(Service::Events)) * EVENT
            + number(idle.calls_of(Service::Kms)) * KEY_REQUEST
            + number(idle.calls_of(Service::Secretsmanager)) * SECRET_REQUEST;
        let [dynamodb, lambda, rest, provider_second] =
            [dynamodb, lambda, rest, provider_second].map(|of_sync| of_sync * SYNCS);
        Self { dynamodb, lambda, rest, total: dynamodb + lambda + rest, provider_second }
    }
}

/// How long it would take there: what it waited here, and the processor's time at the function's share of one.
fn billed_seconds(work: &Work) -> f64 {
    let waited = (work.wall_seconds - work.cpu_seconds).max(0.0);
    waited + work.cpu_seconds * (MB_OF_PROCESSOR / f64::from(work.memory_mb)).max(1.0)
}

fn number(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sync::phase::Units;

    #[test]
    fn a_month_has_the_price_of_its_parts() {
        let work = Work { invocations: 1, wall_seconds: 1.1, cpu_seconds: 0.1, memory_mb: 256, ..Work::default() };
        let idle = Phase {
            provider_calls: 2,
            dynamodb: BTreeMap::from([("records Query".to_owned(), Units { calls: 1, read: 8.0, write: 16.0 })]),
            calls: BTreeMap::from([("sqs SendMessage".to_owned(), 1), ("kms Decrypt".to_owned(), 1)]),
            functions: BTreeMap::from([("sync-worker", work)]),
            ..Phase::default()
        };
        let cost = Cost::of(&idle, "arm64");
        let of_sync = |cost: f64| cost / SYNCS;
        assert!((of_sync(cost.dynamodb) - 11e-6).abs() < 1e-9, "{cost:?}");
        // A second of waiting, and 0.691 of computing.
        assert!((of_sync(cost.lambda) - (1.691 / 4.0 * 13.3334e-6 + 0.2e-6)).abs() < 1e-9, "{cost:?}");
        assert!((of_sync(cost.provider_second) - 2.0 / 4.0 * 13.3334e-6).abs() < 1e-9, "{cost:?}");
        assert!((of_sync(cost.rest) - (3.0 * 0.4e-6 + 3e-6)).abs() < 1e-9, "{cost:?}");
        assert!((cost.total - cost.dynamodb - cost.lambda - cost.rest).abs() < 1e-9);
    }
}
