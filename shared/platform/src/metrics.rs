//! Metrics, as lines of CloudWatch's embedded metric format: no call, no agent, and a log backend that is down fails nothing.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>, read
//! 2026-11. *Invariant:* names are a closed set, which template.yaml's alarms are tested against.

use std::io::Write as _;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The namespace of all.
pub const NAMESPACE: &str = "Intertie";
/// The most values that one line may hold of a metric.
const MAX_VALUES: usize = 100;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Calls to a provider.
    Calls,
    /// Those that failed through the provider: its trouble, its limits, a grant that is over.
    CallFailures,
    /// Those that were too many, as the provider said.
    CallsLimited,
    /// Those that were not made, because a limit left them no turn.
    CallsHeldBack,
    /// How long they took.
    CallDuration,
    /// How long they waited for their turn under a limit.
    CallPaced,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Calls, Self::CallFailures, Self::CallsLimited, Self::CallsHeldBack, Self::CallDuration, Self::CallPaced];

    /// Its name in CloudWatch.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls => "Calls",
            Self::CallFailures => "CallFailures",
            Self::CallsLimited => "CallsLimited",
            Self::CallsHeldBack => "CallsHeldBack",
            Self::CallDuration => "CallDuration",
            Self::CallPaced => "CallPaced",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Calls | Self::CallFailures | Self::CallsLimited | Self::CallsHeldBack => "Count",
            Self::CallDuration | Self::CallPaced => "Milliseconds",
        }
    }
}

/// Writes what was measured of one provider, by stack and by stack and service: as many lines as the values need.
pub fn write(stack: &str, service: &str, measured: &[(Metric, Vec<u64>)], now: Timestamp) {
    let mut out = std::io::stdout().lock();
    for line in lines(stack, service, measured, now) {
        // There is nobody to tell if it can't be written.
        let _ = writeln!(out, "{line}");
    }
}

fn lines(stack: &str, service: &str, measured: &[(Metric, Vec<u64>)], now: Timestamp) -> Vec<Value> {
    let longest = measured.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
    let part = |from: usize| {
        let part = measured.iter().map(|(metric, values)| {
            let values: Vec<_> = values.iter().copied().skip(from).take(MAX_VALUES).collect();
            (*metric, values)
        });
        part.filter(|(_, values)| !values.is_empty()).collect::<Vec<_>>()
    };
    (0..longest).step_by(MAX_VALUES).map(|from| line(stack, service, part(from), now)).collect()
}

fn line(stack: &str, service: &str, measured: Vec<(Metric, Vec<u64>)>, now: Timestamp) -> Value {
    let metrics: Vec<_> =
        measured.iter().map(|(metric, _)| json!({ "Name": metric.name(), "Unit": metric.unit() })).collect();
    let values = measured.into_iter().map(|(metric, values)| (metric.name().to_owned(), values.into()));
    let mut line = Map::from_iter([
        ("stack".to_owned(), stack.into()),
        ("service".to_owned(), service.into()),
        (
            "_aws".to_owned(),
            json!({
                "Timestamp": now.as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE, "Dimensions": [["stack"], ["stack", "service"]], "Metrics": metrics,
                }],
            }),
        ),
    ]);
    line.extend(values);
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_the_format_asks_for() {
        let measured = [(Metric::Calls, vec![2]), (Metric::CallDuration, vec![7; 150])];
        let lines = lines("intertie", "slack", &measured, Timestamp::from_second(5).unwrap());
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
