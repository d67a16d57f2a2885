//! What one sync consumed: what AWS bills, what it wrote, and what it asked of the provider.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use local_aws::{
    Service,
    consumption::{Consumed, Consumption},
    gateway::CallCounts,
};
use local_base::terminal::Failed;
use local_runtime::lambda::Usage;
use serde::Serialize;

use super::{feed::Feed, workspace::Workspace};
use crate::meter::Meter;

/// The functions that sync. What others do meanwhile is no part of a sync.
const FUNCTIONS: [&str; 2] = ["sync-scheduler", "sync-worker"];

/// What a sync consumed.
#[derive(Debug, Default, Serialize)]
pub(super) struct Phase {
    /// From its request until nothing of it was queued or ran.
    pub(super) seconds: f64,
    pub(super) provider_calls: u64,
    /// Records that were put, updated or deleted.
    pub(super) record_writes: u64,
    /// What a reader of the records table's stream gets of it.
    pub(super) stream_records: u64,
    /// By table without prefix and operation.
    pub(super) dynamodb: BTreeMap<String, Units>,
    /// By service and operation: calls of what is not `DynamoDB`.
    pub(super) calls: BTreeMap<String, u64>,
    pub(super) functions: BTreeMap<&'static str, Work>,
}

/// What calls of one operation on one table consumed.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(super) struct Units {
    pub(super) calls: u64,
    pub(super) read: f64,
    pub(super) write: f64,
}

/// What a function did, from the start of its process.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(super) struct Work {
    pub(super) invocations: u64,
    pub(super) wall_seconds: f64,
    pub(super) cpu_seconds: f64,
    pub(super) peak_rss_kb: u64,
    pub(super) memory_mb: u32,
}

/// The counters when a sync began.
struct Before {
    consumption: Consumption,
    counts: CallCounts,
    usage: BTreeMap<&'static str, Usage>,
}

impl Phase {
    /// Measures one sync, which `begin` asks for. It begins in new processes: 15 minutes after the last one AWS has mostly ended them.
    pub(super) async fn measure(
        workspace: &Workspace,
        begin: impl Future<Output = Result<(), Failed>>,
    ) -> Result<Self, Failed> {
        for name in FUNCTIONS {
            while workspace.stack.function(name).is_some_and(|function| function.kill_one()) {}
        }
        workspace.provider_calls().await?;
        let feed = Feed::of(workspace).await?;
        let (gateway, start) = (&workspace.stack.gateway, Instant::now());
        let before = Before { consumption: gateway.consumption(), counts: gateway.counts(), usage: usage(workspace) };
        Box::pin(begin).await?;
        workspace.rest().await?;
        let seconds = start.elapsed().as_secs_f64();
        let mut phase = Self { seconds, stream_records: feed.read(workspace).await?, ..Self::default() };
        phase.provider_calls = workspace.provider_calls().await?;
        phase.count(workspace, &before);
        for name in FUNCTIONS {
            phase.functions.insert(name, work(workspace, name, &before).await?);
        }
        Ok(phase)
    }

    fn count(&mut self, workspace: &Workspace, before: &Before) {
        let prefix = format!("{}-", workspace.stack.prefix());
        let short = |name: &str| name.trim_start_matches(&prefix).to_owned();
        let counted = |function: &str| FUNCTIONS.contains(&&*short(function));
        for (key, after) in workspace.stack.gateway.consumption() {
            let consumed = after - before.consumption.get(&key).copied().unwrap_or_default();
            let (function, table, operation) = key;
            if consumed == Consumed::default() || !counted(&function) {
                continue;
            }
            if short(&table) == "records" {
                self.record_writes += consumed.items;
            }
            let units = self.dynamodb.entry(format!("{} {operation}", short(&table))).or_default();
            units.calls += consumed.calls;
            units.read += consumed.read;
            units.write += consumed.write;
        }
        for (key, after) in workspace.stack.gateway.counts() {
            let more = after - before.counts.get(&key).copied().unwrap_or_default();
            let (function, service, operation) = key;
            if more > 0 && counted(&function) && service != Service::Dynamodb {
                *self.calls.entry(format!("{} {operation}", service.name())).or_default() += more;
            }
        }
    }

    /// All units of `DynamoDB`.
    pub(super) fn units(&self) -> Units {
        let add = |all: Units, it: &Units| Units {
            calls: all.calls + it.calls,
            read: all.read + it.read,
            write: all.write + it.write,
        };
        self.dynamodb.values().fold(Units::default(), add)
    }

    /// Calls of a service that is not `DynamoDB`.
    pub(super) fn calls_of(&self, service: Service) -> u64 {
        let of = |call: &str| call.split(' ').next() == Some(service.name());
        self.calls.iter().filter(|(call, _)| of(call)).map(|(_, count)| count).sum()
    }

    pub(super) fn worker(&self) -> Work {
        self.functions.get("sync-worker").copied().unwrap_or_default()
    }
}

fn usage(workspace: &Workspace) -> BTreeMap<&'static str, Usage> {
    let of = |name| workspace.stack.function(name).map(|function| (name, function.usage()));
    FUNCTIONS.into_iter().filter_map(of).collect()
}

async fn work(workspace: &Workspace, name: &'static str, before: &Before) -> Result<Work, Failed> {
    let function = workspace.stack.function(name);
    let function = function.ok_or_else(|| Failed(format!("template.yaml has no function {name}")))?;
    let (after, before) = (function.usage(), before.usage.get(name).copied().unwrap_or_default());
    let mut work = Work {
        invocations: after.invocations - before.invocations,
        wall_seconds: after.busy.saturating_sub(before.busy).as_secs_f64(),
        memory_mb: function.spec().memory_mb,
        ..Work::default()
    };
    let mut cpu = Duration::ZERO;
    for pid in function.pids() {
        let meter = Meter::new(pid)?;
        cpu += meter.cpu_at_rest().await?;
        work.peak_rss_kb = work.peak_rss_kb.max(meter.peak_rss_kb()?);
    }
    work.cpu_seconds = cpu.as_secs_f64();
    Ok(work)
}
