//! `webhook-ingest` compared with an earlier build of itself.
//!
//! *Invariant:* both of a pair run at the same time and take turns, and the next pair begins with the other one.

use local_aws::Gateway;
use local_base::terminal::Failed;
use local_runtime::lambda::{FunctionSpec, Host};
use serde::Serialize;

use super::{
    events::Events,
    measured::warm_cpu_us,
    run::Bench,
    subject::{INGEST, Subject},
};

/// Pairs of processes; the median of their ratios counts.
const PAIRS: usize = 5;
/// What a warm event may cost, as a multiple of the earlier build's.
const BAR: f64 = 1.03;

#[derive(Debug, Serialize)]
pub(super) struct Against {
    pairs: Vec<Pair>,
    /// The median of the pairs' ratios.
    ratio: f64,
    limit: f64,
}

/// CPU of a warm event in microseconds: medians of averages of 25 events in a row.
#[derive(Debug, Serialize)]
struct Pair {
    now_us: f64,
    before_us: f64,
    ratio: f64,
}

/// Measures `events` warm events of each, in every pair.
pub(super) async fn measure(
    [now, before]: [&FunctionSpec; 2],
    events: &Events,
    gateway: &Gateway,
    host: &Host,
    count: u32,
) -> Result<Against, Failed> {
    let mut pairs = Vec::new();
    for number in 0..PAIRS {
        let swapped = number % 2 == 1;
        let order = if swapped { [before, now] } else { [now, before] };
        let mut bench = Bench::new(events, gateway, host, order.into_iter().map(|spec| (Subject::ingest(), spec)));
        bench.warm(count).await?;
        let figures: Vec<_> = bench.figures()?.iter().map(|(_, _, measured)| warm_cpu_us(measured)).collect();
        let [mut now_us, mut before_us] = figures[..] else { return Err(Failed("a pair has two figures".into())) };
        if swapped {
            std::mem::swap(&mut now_us, &mut before_us);
        }
        pairs.push(Pair { now_us, before_us, ratio: now_us / before_us });
    }
    let mut ratios: Vec<_> = pairs.iter().map(|pair| pair.ratio).collect();
    ratios.sort_by(f64::total_cmp);
    Ok(Against { pairs, ratio: ratios[PAIRS / 2], limit: BAR })
}

impl Against {
    /// As printed.
    pub(super) fn line(&self) -> String {
        let pair = |pair: &Pair| format!("{:.1}/{:.1} = {:.3}", pair.now_us, pair.before_us, pair.ratio);
        let pairs: Vec<_> = self.pairs.iter().map(pair).collect();
        let verdict = if self.holds() { "holds" } else { "MISSED" };
        format!(
            "Warm CPU of {INGEST} against the earlier build, median of {PAIRS} interleaved pairs:\n  \
             {:.3} × (bar {:.2}): {verdict}; µs now/before: {}",
            self.ratio,
            self.limit,
            pairs.join(", ")
        )
    }

    /// Whether the bar holds.
    pub(super) fn holds(&self) -> bool {
        self.ratio <= self.limit
    }
}
