//! The figures of syncs, as printed and written, and whether the bars hold.

use local_base::terminal::Failed;
use serde::Serialize;

use super::{phase::Phase, price::Cost};
use crate::figures::aligned;

/// What a workspace in which nothing happens may cost, in US dollars a month; it has at most so many objects.
const IDLE_MONTH: f64 = 0.15;
const IDLE_OBJECTS: u32 = 6_000;

#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) cases: Vec<Case>,
    /// Whether release builds were measured. Debug builds compute ten times as long, so that their costs say nothing.
    pub(super) as_deployed: bool,
}

/// What syncs of a workspace of one size cost.
#[derive(Debug, Serialize)]
pub(super) struct Case {
    pub(super) objects: u32,
    /// How many of them changed between the idle sync and the last one.
    pub(super) changes: u32,
    pub(super) first: Phase,
    pub(super) idle: Phase,
    pub(super) changed: Phase,
    /// Idle.
    pub(super) month: Cost,
}

impl Figures {
    /// As printed.
    pub(super) fn lines(&self) -> Vec<String> {
        let head =
            ["", "seconds", "records/s", "calls", "writes", "stream", "RCU", "WCU", "DynamoDB", "CPU ms", "RSS MB"];
        let mut rows = vec![head.map(str::to_owned)];
        for case in &self.cases {
            let phases = [("first", &case.first), ("idle", &case.idle), ("1 % changed", &case.changed)];
            rows.extend(phases.map(|(name, phase)| row(&format!("{} {name}", case.objects), phase)));
        }
        let mut lines = aligned(&rows);
        lines.push(
            "Calls: to the provider. Writes: of records. Stream: records of the table's stream. RCU, WCU: units of DynamoDB, and its \
             calls. CPU, RSS: of sync-worker."
                .to_owned(),
        );
        for case in &self.cases {
            for (name, phase) in [("first", &case.first), ("idle", &case.idle)] {
                let of = |(name, it): (&String, &super::phase::Units)| {
                    format!("{} {name} ({:.1} + {:.1})", it.calls, it.read, it.write)
                };
                let tables: Vec<_> = phase.dynamodb.iter().map(of).collect();
                let calls: Vec<_> = phase.calls.iter().map(|(name, count)| format!("{count} {name}")).collect();
                lines.push(format!("{} {name}: {}; {}", case.objects, tables.join(", "), calls.join(", ")));
            }
            let Cost { dynamodb, lambda, rest, total, provider_second } = case.month;
            lines.push(format!(
                "{} idle, a month: ${total:.3} = DynamoDB ${dynamodb:.3} + Lambda ${lambda:.3} + rest ${rest:.3}; a second more in each \
                 answer of the provider: ${provider_second:.3}",
                case.objects
            ));
        }
        if !self.as_deployed {
            lines.push("The costs are those of debug builds, and no bar: give --bootstraps.".to_owned());
        }
        lines
    }

    /// Fails if a bar is missed.
    pub(super) fn verdict(&self) -> Result<(), Failed> {
        let missed: Vec<_> = self.cases.iter().flat_map(|case| case.missed(self.as_deployed)).collect();
        if missed.is_empty() { Ok(()) } else { Err(Failed(missed.join("; "))) }
    }
}

impl Case {
    /// The bars that do not hold.
    fn missed(&self, as_deployed: bool) -> Vec<String> {
        let Self { objects, changes, first, idle, changed, month } = self;
        let mut missed = Vec::new();
        for (name, phase, bar) in [("first", first, objects), ("idle", idle, &0), ("changed", changed, changes)] {
            let (writes, stream, bar) = (phase.record_writes, phase.stream_records, u64::from(*bar));
            if writes != bar || stream != bar {
                missed.push(format!(
                    "the {name} sync of {objects} objects wrote {writes} records, and the stream has {stream}, not {bar}"
                ));
            }
        }
        if as_deployed && *objects <= IDLE_OBJECTS && month.total > IDLE_MONTH {
            missed.push(format!("{objects} idle objects cost ${:.3} a month, not at most ${IDLE_MONTH}", month.total));
        }
        missed
    }
}

fn row(name: &str, phase: &Phase) -> [String; 11] {
    let (units, worker) = (phase.units(), phase.worker());
    let writes = u32::try_from(phase.record_writes).map_or(f64::MAX, f64::from);
    [
        name.to_owned(),
        format!("{:.1}", phase.seconds),
        format!("{:.0}", writes / phase.seconds),
        phase.provider_calls.to_string(),
        phase.record_writes.to_string(),
        phase.stream_records.to_string(),
        format!("{:.1}", units.read),
        format!("{:.1}", units.write),
        units.calls.to_string(),
        format!("{:.0}", worker.cpu_seconds * 1e3),
        format!("{:.1}", f64::from(u32::try_from(worker.peak_rss_kb).unwrap_or(u32::MAX)) / 1024.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(record_writes: u64) -> Phase {
        Phase { record_writes, stream_records: record_writes, ..Phase::default() }
    }

    fn case(total: f64) -> Case {
        let month = Cost { dynamodb: 0.0, lambda: total, rest: 0.0, total, provider_second: 0.0 };
        Case { objects: 1_200, changes: 12, first: phase(1_200), idle: phase(0), changed: phase(12), month }
    }

    #[test]
    fn each_bar_that_is_missed_is_named() {
        let missed =
            |case: Case, as_deployed| Figures { cases: vec![case], as_deployed }.verdict().err().map(|it| it.0);
        assert_eq!(missed(case(0.15), true), None);
        assert_eq!(missed(case(0.16), false), None);
        assert!(missed(case(0.16), true).unwrap().contains("$0.160"));
        assert!(missed(Case { idle: phase(1), ..case(0.0) }, true).unwrap().contains("idle sync of 1200"));
        assert!(missed(Case { changed: phase(11), ..case(0.0) }, true).unwrap().contains("wrote 11 records"));
        let only_streamed = Phase { stream_records: 1, ..phase(0) };
        assert!(missed(Case { idle: only_streamed, ..case(0.0) }, true).unwrap().contains("stream has 1"));
    }
}
