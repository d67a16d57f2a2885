//! Metrics, as lines of CloudWatch's embedded metric format: no call, no agent, and a log backend that is down fails nothing.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>, read
//! 2026-11. *Invariant:* names are a closed set, which template.yaml's alarms are tested against.

mod metric;

use std::{
    collections::HashMap,
    io::Write as _,
    sync::{Mutex, OnceLock},
};

use domain::{Reason, messages::message::Schedule};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub use self::metric::Metric;
use crate::base::{clock, environment, lock::lock};

/// The CloudWatch namespace of every metric.
pub const NAMESPACE: &str = "Intertie";
/// The most values that one line may hold of a metric.
const MAX_VALUES: usize = 100;

/// Tells values of one metric apart, besides the stack.
#[derive(Debug, Clone, Copy)]
pub struct Dimension<'a> {
    /// Such as `service` or `reason`.
    pub name: &'static str,
    /// If empty, the metric has no such dimension.
    pub value: &'a str,
}

impl Dimension<'_> {
    /// No dimension but the stack.
    pub const NONE: Self = Self { name: "", value: "" };
}

/// Counts while a batch is worked on, and writes the sums at its end.
#[derive(Debug, Default)]
pub struct Tally(Mutex<HashMap<Metric, u64>>);

impl Tally {
    /// Adds one.
    pub fn count(&self, metric: Metric) {
        *lock(&self.0).entry(metric).or_default() += 1;
    }

    /// Writes the sums and resets them.
    pub fn write(&self, stack: &str, now: Timestamp) {
        let counted = std::mem::take(&mut *lock(&self.0));
        for (metric, count) in counted {
            write(stack, Dimension::NONE, &[(metric, vec![count])], now);
        }
    }
}

/// The stack of these metrics: known once the configuration is read.
static STACK: OnceLock<String> = OnceLock::new();

/// Names the stack of this process.
pub(crate) fn belong_to(stack: String) {
    // The first name stays; a process belongs to one stack.
    let _ = STACK.set(stack);
}

/// Counts one at once.
pub fn count(metric: Metric, dimension: Dimension<'_>) {
    let stack = STACK.get().map_or("", String::as_str);
    write(stack, dimension, &[(metric, vec![1])], clock::now());
}

/// Counts a failure, if it is one that rings an alarm.
pub fn operator_failure(reason: Reason) {
    if reason.alarms() {
        count(Metric::OperatorFailures, Dimension { name: "reason", value: reason.name() });
    }
}

/// Counts a message that is given up for this reason.
pub fn dead_letter(reason: Reason) {
    count(Metric::EventsDeadLettered, Dimension { name: "reason", value: reason.name() });
}

/// Counts an invocation by a schedule that succeeded. An alarm goes off if there is none for some time.
pub fn schedule_done(schedule: Schedule) {
    count(Metric::SchedulesDone, Dimension { name: "schedule", value: schedule.name() });
}

/// Writes what was measured, by stack and this dimension, and what is summed also by stack alone: as many lines as the values need.
pub fn write(stack: &str, dimension: Dimension<'_>, measured: &[(Metric, Vec<u64>)], now: Timestamp) {
    let mut out = std::io::stdout().lock();
    for line in lines(stack, dimension, measured, now) {
        // Where standard output fails, a log line could not be written either.
        let _ = writeln!(out, "{line}");
    }
}

fn lines(stack: &str, dimension: Dimension<'_>, measured: &[(Metric, Vec<u64>)], now: Timestamp) -> Vec<Value> {
    let longest = measured.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
    let slice = |from: usize| {
        let slice = measured.iter().map(|(metric, values)| {
            let values: Vec<_> = values.iter().copied().skip(from).take(MAX_VALUES).collect();
            (*metric, values)
        });
        slice.filter(|(_, values)| !values.is_empty()).collect::<Vec<_>>()
    };
    (0..longest).step_by(MAX_VALUES).map(|from| line(stack, dimension, slice(from), now)).collect()
}

fn line(stack: &str, dimension: Dimension<'_>, measured: Vec<(Metric, Vec<u64>)>, now: Timestamp) -> Value {
    let directive = |dimensions: &[&str], metrics: Vec<Metric>| {
        let metrics: Vec<_> =
            metrics.iter().map(|metric| json!({ "Name": metric.name(), "Unit": metric.unit() })).collect();
        json!({ "Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics })
    };
    // A dimension must have a value.
    let named = !dimension.value.is_empty();
    let all = || measured.iter().map(|(metric, _)| *metric);
    let sums: Vec<_> = all().filter(|metric| !named || metric.is_summed()).collect();
    let mut directives = Vec::new();
    directives.extend((!sums.is_empty()).then(|| directive(&["stack"], sums)));
    directives.extend(named.then(|| directive(&["stack", dimension.name], all().collect())));
    let mut line = Map::from_iter([
        ("version".to_owned(), environment::release().into()),
        ("stack".to_owned(), stack.into()),
        ("_aws".to_owned(), json!({ "Timestamp": now.as_millisecond(), "CloudWatchMetrics": directives })),
    ]);
    line.extend(named.then(|| (dimension.name.to_owned(), dimension.value.into())));
    line.extend(measured.into_iter().map(|(metric, values)| (metric.name().to_owned(), values.into())));
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_the_format_asks_for() {
        let measured = [(Metric::CallFailures, vec![2]), (Metric::CallDuration, vec![7; 150])];
        let lines = lines(
            "intertie",
            Dimension { name: "service", value: "slack" },
            &measured,
            Timestamp::from_second(5).unwrap(),
        );
        let [first, second] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(first["_aws"]["Timestamp"], 5_000);
        let [failures, duration] = [("CallFailures", "Count"), ("CallDuration", "Milliseconds")]
            .map(|(name, unit)| json!({ "Name": name, "Unit": unit }));
        // An alarm is on the sum of the failures.
        let directives = json!([
            { "Namespace": NAMESPACE, "Dimensions": [["stack"]], "Metrics": [failures] },
            { "Namespace": NAMESPACE, "Dimensions": [["stack", "service"]], "Metrics": [failures, duration] },
        ]);
        assert_eq!(first["_aws"]["CloudWatchMetrics"], directives);
        assert_eq!((&first["stack"], &first["service"]), (&json!("intertie"), &json!("slack")));
        let count = |line: &Value| line["CallDuration"].as_array().unwrap().len();
        assert_eq!((&first["CallFailures"], count(first), count(second)), (&json!([2]), MAX_VALUES, 50));
        assert!(second.get("CallFailures").is_none(), "counted once");
    }

    #[test]
    fn a_metric_without_a_dimension_of_its_own_is_written_by_stack() {
        let [line] =
            &lines("intertie", Dimension::NONE, &[(Metric::EventsApplied, vec![1])], Timestamp::UNIX_EPOCH)[..]
        else {
            panic!("one line")
        };
        let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        assert_eq!((directives.len(), &directives[0]["Dimensions"]), (1, &json!([["stack"]])));
    }
}
