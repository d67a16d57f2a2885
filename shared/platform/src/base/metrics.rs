//! Metrics, as lines of CloudWatch's embedded metric format: no call, no agent, and a log backend that is down fails nothing.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>, read
//! 2026-11. *Invariant:* names are a closed set, which template.yaml's alarms are tested against.

use std::{
    collections::HashMap,
    io::Write as _,
    sync::{Mutex, OnceLock},
};

use domain::Reason;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::base::{clock, environment, lock::lock};

/// The CloudWatch namespace of every metric.
pub const NAMESPACE: &str = "Intertie";
/// The most values that one line may hold of a metric.
const MAX_VALUES: usize = 100;

/// A metric; its name in CloudWatch is [`name`](Self::name).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Calls that were made to a provider.
    Calls,
    /// Those that failed through the provider: its trouble, its limits, a grant that is over.
    CallFailures,
    /// Those that were too many, as the provider said.
    CallsLimited,
    /// Those that were not made, because a limit left them no turn.
    CallsThrottledLocally,
    /// How long calls took, in milliseconds.
    CallDuration,
    /// How long calls waited for their turn under a rate limit, in milliseconds.
    CallPaced,
    /// Events that were applied.
    EventsApplied,
    /// Genuine events of accounts that no integration has.
    EventsUnmatched,
    /// Deliveries of events that were applied already.
    EventsRepeated,
    /// Messages that were given up, by reason.
    EventsDeadLettered,
    /// Failures that an operator must repair, or that show damage, by reason.
    OperatorFailures,
    /// Deliveries that were refused, by reason.
    DeliveriesRefused,
    /// Checks of an address by which a provider tells of no event, and which prove nothing.
    DeliveriesProbed,
    /// Deliveries that the provider sent again because an answer was late, or a failure.
    DeliveriesRetried,
}

impl Metric {
    /// Every metric, for the test of the template.
    pub const ALL: [Self; 14] = [
        Self::OperatorFailures,
        Self::Calls,
        Self::CallFailures,
        Self::CallsLimited,
        Self::CallsThrottledLocally,
        Self::EventsApplied,
        Self::EventsUnmatched,
        Self::EventsRepeated,
        Self::EventsDeadLettered,
        Self::DeliveriesRefused,
        Self::DeliveriesProbed,
        Self::DeliveriesRetried,
        Self::CallDuration,
        Self::CallPaced,
    ];

    /// The name in CloudWatch.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls => "Calls",
            Self::CallFailures => "CallFailures",
            Self::CallsLimited => "CallsLimited",
            Self::CallsThrottledLocally => "CallsThrottledLocally",
            Self::EventsApplied => "EventsApplied",
            Self::EventsUnmatched => "EventsUnmatched",
            Self::EventsRepeated => "EventsRepeated",
            Self::EventsDeadLettered => "EventsDeadLettered",
            Self::OperatorFailures => "OperatorFailures",
            Self::DeliveriesRefused => "DeliveriesRefused",
            Self::DeliveriesProbed => "DeliveriesProbed",
            Self::DeliveriesRetried => "DeliveriesRetried",
            Self::CallDuration => "CallDuration",
            Self::CallPaced => "CallPaced",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::CallDuration | Self::CallPaced => "Milliseconds",
            Self::Calls
            | Self::CallFailures
            | Self::CallsLimited
            | Self::CallsThrottledLocally
            | Self::EventsApplied
            | Self::EventsUnmatched
            | Self::EventsRepeated
            | Self::EventsDeadLettered
            | Self::OperatorFailures
            | Self::DeliveriesRefused
            | Self::DeliveriesProbed
            | Self::DeliveriesRetried => "Count",
        }
    }
}

/// Tells values of one metric apart, besides the stack.
#[derive(Debug, Clone, Copy)]
pub struct Dimension<'a> {
    /// Such as `service` or `reason`.
    pub name: &'static str,
    /// If empty, the metric has no such dimension.
    pub value: &'a str,
}

/// Counts while a batch is worked on, and writes the sums at its end.
#[derive(Debug, Default)]
pub struct Tally(Mutex<HashMap<(Metric, &'static str), u64>>);

impl Tally {
    /// Adds one to a metric without a dimension of its own.
    pub fn count(&self, metric: Metric) {
        self.add(metric, "");
    }

    /// Counts a message that is given up for this reason.
    pub fn dead_letter(&self, reason: Reason) {
        self.add(Metric::EventsDeadLettered, reason.name());
    }

    fn add(&self, metric: Metric, reason: &'static str) {
        *lock(&self.0).entry((metric, reason)).or_default() += 1;
    }

    /// Writes the sums and resets them.
    pub fn write(&self, stack: &str, now: Timestamp) {
        let counted = std::mem::take(&mut *lock(&self.0));
        for ((metric, reason), count) in counted {
            write(stack, Dimension { name: "reason", value: reason }, &[(metric, vec![count])], now);
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

/// Counts a failure at once, if it is one that rings an alarm.
pub fn operator_failure(reason: Reason) {
    if reason.alarms() {
        let stack = STACK.get().map_or("", String::as_str);
        let dimension = Dimension { name: "reason", value: reason.name() };
        write(stack, dimension, &[(Metric::OperatorFailures, vec![1])], clock::now());
    }
}

/// Writes what was measured, by stack and by stack and this dimension: as many lines as the values need.
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
    let metrics: Vec<_> =
        measured.iter().map(|(metric, _)| json!({ "Name": metric.name(), "Unit": metric.unit() })).collect();
    let values = measured.into_iter().map(|(metric, values)| (metric.name().to_owned(), values.into()));
    // A dimension must have a value.
    let named = !dimension.value.is_empty();
    let dimensions = if named { json!([["stack"], ["stack", dimension.name]]) } else { json!([["stack"]]) };
    let mut line = Map::from_iter([
        ("version".to_owned(), environment::release().into()),
        ("stack".to_owned(), stack.into()),
        (
            "_aws".to_owned(),
            json!({
                "Timestamp": now.as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics,
                }],
            }),
        ),
    ]);
    line.extend(named.then(|| (dimension.name.to_owned(), dimension.value.into())));
    line.extend(values);
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_the_format_asks_for() {
        let measured = [(Metric::Calls, vec![2]), (Metric::CallDuration, vec![7; 150])];
        let lines = lines(
            "intertie",
            Dimension { name: "service", value: "slack" },
            &measured,
            Timestamp::from_second(5).unwrap(),
        );
        let [first, second] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(first["_aws"]["Timestamp"], 5_000);
        let directive = &first["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(
            directive["Metrics"],
            json!([{ "Name": "Calls", "Unit": "Count" }, { "Name": "CallDuration", "Unit": "Milliseconds" }])
        );
        for name in directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap()) {
            assert!(first[name.as_str().unwrap()].is_string(), "{name} has no value");
        }
        let count = |line: &Value| line["CallDuration"].as_array().unwrap().len();
        assert_eq!((&first["Calls"], count(first), count(second)), (&json!([2]), MAX_VALUES, 50));
        assert!(second.get("Calls").is_none(), "counted once");
    }
}
