//! The measuring: cold starts and warm events of every subject, in turns.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use local_aws::Gateway;
use local_base::terminal::Failed;
use local_runtime::lambda::{Environment, FunctionSpec, Host};

use super::{
    events::Events,
    measured::{Cost, Measured, Slice},
    meter::Meter,
    subject::Subject,
};

/// How long anything may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(30);
/// Events before the warm ones count: caches and branch predictors, the allocator's arenas.
const WARM_UP: u32 = 20;
/// Events until it is the next one's turn.
const TURN: u32 = 25;

/// The subjects under measurement.
pub(super) struct Bench<'b> {
    events: &'b Events,
    gateway: &'b Gateway,
    host: &'b Host,
    rows: Vec<Row<'b>>,
}

struct Row<'b> {
    subject: &'static Subject,
    spec: &'b FunctionSpec,
    measured: Measured,
}

/// A bootstrap that waits for an event.
struct Waiting {
    environment: Environment,
    meter: Meter,
    init: Cost,
}

impl<'b> Bench<'b> {
    /// Nothing measured yet.
    pub(super) fn new(
        events: &'b Events,
        gateway: &'b Gateway,
        host: &'b Host,
        subjects: impl Iterator<Item = (&'static Subject, &'b FunctionSpec)>,
    ) -> Self {
        let row = |(subject, spec)| Row { subject, spec, measured: Measured::default() };
        Self { events, gateway, host, rows: subjects.map(row).collect() }
    }

    /// Starts each bootstrap `starts` times, for one event.
    pub(super) async fn cold(&mut self, starts: u32) -> Result<(), Failed> {
        // Once unmeasured, so that every start finds its binary in memory.
        for round in 0..=starts {
            for index in 0..self.rows.len() {
                let Row { subject, spec, .. } = self.rows[index];
                let before = self.calls(&spec.name);
                let started = self.start(spec).await?;
                let init_calls = difference(&self.calls(&spec.name), &before);
                let first = self.handle(subject, &started, 1).await?;
                started.environment.end().await;
                if round > 0 {
                    let measured = &mut self.rows[index].measured;
                    measured.init.push(started.init);
                    measured.first.push(first);
                    measured.init_calls = init_calls;
                }
            }
        }
        Ok(())
    }

    /// Sends each bootstrap `events` events after some to warm up.
    pub(super) async fn warm(&mut self, events: u32) -> Result<(), Failed> {
        let mut all = Vec::new();
        for row in &self.rows {
            let started = self.start(row.spec).await?;
            self.handle(row.subject, &started, WARM_UP).await?;
            all.push(started);
        }
        let mut left = events;
        while left > 0 {
            let turn = left.min(TURN);
            left -= turn;
            for (index, started) in all.iter().enumerate() {
                let Row { subject, spec, .. } = self.rows[index];
                let before = self.calls(&spec.name);
                let cost = self.handle(subject, started, turn).await?;
                let calls = difference(&self.calls(&spec.name), &before);
                self.rows[index].measured.warm.push(Slice { events: turn * subject.batch(), cost, calls });
            }
        }
        for (row, started) in self.rows.iter_mut().zip(all) {
            row.measured.peak_rss_kb = started.meter.peak_rss_kb()?;
            started.environment.end().await;
        }
        Ok(())
    }

    /// What was measured, by subject.
    pub(super) fn figures(self) -> Result<Vec<(&'static Subject, u64, Measured)>, Failed> {
        let row = |row: Row<'_>| {
            let path = &row.spec.binary;
            let file = std::fs::metadata(path).map_err(|error| Failed(format!("{}: {error}", path.display())))?;
            Ok((row.subject, file.len(), row.measured))
        };
        self.rows.into_iter().map(row).collect()
    }

    async fn start(&self, spec: &FunctionSpec) -> Result<Waiting, Failed> {
        let failed = |error| Failed(format!("{}: {error}; see target/local/bench/logs", spec.name));
        let start = Instant::now();
        let environment = Environment::start(spec, self.host).await.map_err(failed)?;
        environment.ready(PATIENCE).await.map_err(failed)?;
        let wall = start.elapsed();
        let meter = Meter::new(environment.pid())?;
        let cpu = meter.cpu_at_rest().await?;
        Ok(Waiting { environment, meter, init: Cost { cpu, wall } })
    }

    /// Has it handle `count` invocations one after the other. The wall time is that until the answers.
    async fn handle(&self, subject: &Subject, started: &Waiting, count: u32) -> Result<Cost, Failed> {
        let failed = |error| Failed(format!("{}: {error}; see target/local/bench/logs", subject.name));
        let before = started.meter.cpu_at_rest().await?;
        let mut wall = Duration::ZERO;
        for _ in 0..count {
            let event = self.events.make(subject.event)?;
            let start = Instant::now();
            let answer = started.environment.invoke(event).await.map_err(failed)?;
            wall += start.elapsed();
            subject.check(&answer)?;
            started.environment.ready(PATIENCE).await.map_err(failed)?;
        }
        Ok(Cost { cpu: started.meter.cpu_at_rest().await?.saturating_sub(before), wall })
    }

    /// What `function` has called so far.
    fn calls(&self, function: &str) -> BTreeMap<String, u64> {
        let counts = self.gateway.counts().into_iter().filter(|((caller, ..), _)| caller == function);
        counts.map(|((_, service, operation), count)| (format!("{}:{operation}", service.name()), count)).collect()
    }
}

fn difference(after: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let grown = |(name, count): (&String, &u64)| {
        let count = count - before.get(name).copied().unwrap_or_default();
        (count > 0).then(|| (name.clone(), count))
    };
    after.iter().filter_map(grown).collect()
}
