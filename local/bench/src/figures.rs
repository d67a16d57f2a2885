//! The figures of a run, as printed and written, and whether the bars hold.

use std::{collections::BTreeMap, time::Duration};

use local_base::terminal::Failed;
use serde::Serialize;

use super::{
    against::Against,
    calls::Calls,
    measured::{Cost, Measured, Spread, ms, slices, us},
    subject::{INGEST, SENDER, Subject},
};

/// What ingest may cost, as a multiple of the bare sender.
const BARS: [(&str, f64, Figure); 3] = [
    ("init CPU", 2.5, |row| row.init_cpu_ms.median),
    ("first event CPU", 2.0, |row| row.first_cpu_ms.median),
    ("warm CPU", 1.25, |row| row.warm_cpu_us),
];

/// Picks one figure of a row.
type Figure = fn(&Row) -> f64;

#[derive(Debug, Serialize)]
pub(super) struct Table {
    rows: Vec<Row>,
    bars: Vec<Bar>,
    /// A call beside a bare one, if it was measured.
    pub(super) calls: Option<Calls>,
    /// `webhook-ingest` beside an earlier build, if it was measured.
    pub(super) against: Option<Against>,
}

/// One subject's figures. What is warm is per event, so that a batch of ten counts as ten.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    init_cpu_ms: Spread,
    first_cpu_ms: Spread,
    warm_cpu_us: f64,
    /// Averages of some events in a row.
    warm_cpu_us_slices: Spread,
    init_wall_ms: Spread,
    first_wall_ms: Spread,
    warm_wall_us: f64,
    peak_rss_kb: u64,
    binary_bytes: u64,
    init_calls: BTreeMap<String, u64>,
    calls_per_event: BTreeMap<String, f64>,
}

#[derive(Debug, Serialize)]
struct Bar {
    what: &'static str,
    ratio: f64,
    limit: f64,
    holds: bool,
}

impl Table {
    pub(super) fn new(measured: Vec<(&'static Subject, u64, Measured)>) -> Self {
        let rows: Vec<_> =
            measured.into_iter().map(|(subject, size, raw)| Row::new(subject.name, size, &raw)).collect();
        let row = |name| rows.iter().find(|row| row.name == name);
        let bars = row(SENDER).zip(row(INGEST)).map(|(floor, ingest)| {
            let bar = |(what, limit, figure): (_, f64, fn(&Row) -> f64)| {
                let ratio = figure(ingest) / figure(floor);
                Bar { what, ratio, limit, holds: ratio <= limit }
            };
            BARS.map(bar).into()
        });
        Self { bars: bars.unwrap_or_default(), rows, calls: None, against: None }
    }

    /// As printed.
    pub(super) fn lines(&self) -> Vec<String> {
        let row = |cells: [&dyn ToString; 7]| cells.map(ToString::to_string);
        let mut cpu = vec![row([&"", &"init CPU ms", &"", &"first event CPU ms", &"", &"warm CPU µs", &""])];
        let mut rest = vec![row([
            &"",
            &"init wall ms",
            &"first wall ms",
            &"warm wall µs",
            &"peak RSS MB",
            &"binary kB",
            &"calls per event",
        ])];
        for it in &self.rows {
            let (init, first, warm) = (it.init_cpu_ms, it.first_cpu_ms, it.warm_cpu_us_slices);
            cpu.push(row([
                &it.name,
                &format!("{:.2}", init.median),
                &format!("({:.2}..{:.2})", init.min, init.max),
                &format!("{:.2}", first.median),
                &format!("({:.2}..{:.2})", first.min, first.max),
                &format!("{:.1}", it.warm_cpu_us),
                &format!("({:.0}..{:.0})", warm.min, warm.max),
            ]));
            rest.push(row([
                &it.name,
                &format!("{:.1}", it.init_wall_ms.median),
                &format!("{:.1}", it.first_wall_ms.median),
                &format!("{:.0}", it.warm_wall_us),
                &format!("{}.{}", it.peak_rss_kb / 1024, it.peak_rss_kb % 1024 * 10 / 1024),
                &(it.binary_bytes / 1024),
                &format!("{:.1}", it.calls_per_event.values().fold(0.0, |all, count| all + count)), // the sum of none is -0.0
            ]));
        }
        let mut lines = aligned(&cpu);
        lines.push(String::new());
        lines.extend(aligned(&rest));
        lines.push(String::new());
        lines.extend(self.rows.iter().map(Row::calls));
        lines.push("Cold: median (least..most) of the starts. Warm: per event, (…) averages of 25 in a row.".into());
        if !self.bars.is_empty() {
            lines.push(format!("\n{INGEST} against {SENDER}, same event, same run:"));
            lines.extend(self.bars.iter().map(Bar::line));
        }
        lines.extend(self.calls.iter().map(Calls::line));
        lines.extend(self.against.iter().map(Against::line));
        lines
    }

    /// Fails if a bar is missed.
    pub(super) fn verdict(&self) -> Result<(), Failed> {
        let missed = self.bars.iter().filter(|bar| !bar.holds).map(|bar| bar.what);
        let missed = missed.chain(self.calls.filter(|calls| !calls.holds()).map(|_| "a call"));
        let slower = self.against.as_ref().filter(|against| !against.holds());
        let missed: Vec<_> = missed.chain(slower.map(|_| "warm CPU against the earlier build")).collect();
        match missed[..] {
            [] => Ok(()),
            _ => Err(Failed(format!("more than the bar allows: {}", missed.join(", ")))),
        }
    }
}

impl Row {
    fn new(name: &'static str, binary_bytes: u64, raw: &Measured) -> Self {
        let spread = |costs: &[Cost], part: fn(&Cost) -> Duration| Spread::of(costs.iter().map(part).map(ms));
        let events = f64::from(raw.warm.iter().map(|slice| slice.events).sum::<u32>());
        let total = |part: fn(&Cost) -> Duration| raw.warm.iter().map(|slice| part(&slice.cost)).map(us).sum::<f64>();
        let mut calls_per_event = BTreeMap::new();
        for (call, count) in raw.warm.iter().flat_map(|slice| &slice.calls) {
            let count = u32::try_from(*count).map_or(f64::MAX, f64::from);
            *calls_per_event.entry(call.clone()).or_default() += count / events;
        }
        Self {
            name,
            init_cpu_ms: spread(&raw.init, |cost| cost.cpu),
            first_cpu_ms: spread(&raw.first, |cost| cost.cpu),
            warm_cpu_us: total(|cost| cost.cpu) / events,
            warm_cpu_us_slices: slices(raw),
            init_wall_ms: spread(&raw.init, |cost| cost.wall),
            first_wall_ms: spread(&raw.first, |cost| cost.wall),
            warm_wall_us: total(|cost| cost.wall) / events,
            peak_rss_kb: raw.peak_rss_kb,
            binary_bytes,
            init_calls: raw.init_calls.clone(),
            calls_per_event,
        }
    }

    fn calls(&self) -> String {
        let list = |calls: Vec<String>| if calls.is_empty() { "none".to_owned() } else { calls.join(", ") };
        let init = list(self.init_calls.iter().map(|(call, count)| format!("{count} {call}")).collect());
        let event = list(self.calls_per_event.iter().map(|(call, count)| format!("{count:.1} {call}")).collect());
        format!("{} calls AWS: at init {init}; per event {event}", self.name)
    }
}

impl Bar {
    fn line(&self) -> String {
        let mark = if self.holds { "✓ holds" } else { "✗ MISSED" };
        format!("  {:<16} {:.2} ×   bar ≤ {} ×   {mark}", self.what, self.ratio, self.limit)
    }
}

/// Columns as wide as their widest cell: the first to the left, the others to the right.
pub(super) fn aligned<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let cell = |(column, text): (usize, &String)| match column {
        0 => format!("{text:<0$}", width(0)),
        _ => format!("  {text:>0$}", width(column)),
    };
    rows.iter().map(|row| row.iter().enumerate().map(cell).collect::<String>().trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0].into_iter());
        assert!((spread.median - 2.5).abs() < 1e-9);
        assert!((spread.min - 1.0).abs() < 1e-9 && (spread.max - 4.0).abs() < 1e-9);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [[String::new(), "µs".to_owned()], ["name".to_owned(), "1.25".to_owned()]];
        assert_eq!(aligned(&rows), ["        µs", "name  1.25"]);
    }
}
