//! An alarm as template.yaml has it, and the state in which CloudWatch would see it.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html> and
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html>, read 2026-11.

use local_runtime::template::Monitoring;
use serde::Deserialize;

use super::{Metric, Minutes};

/// If data are missing, CloudWatch looks for older ones, over a range that it does not document. In its example of three periods it
/// looks at five.
const FURTHER: u64 = 2;

/// An alarm. What is not read here is refused, so that no rule of it is passed over.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Alarm {
    pub alarm_name: String,
    pub alarm_description: String,
    #[serde(default, rename = "AlarmActions")]
    _actions: Vec<String>,
    namespace: String,
    metric_name: String,
    dimensions: Vec<Dimension>,
    statistic: Statistic,
    /// In seconds.
    period: u64,
    evaluation_periods: u64,
    #[serde(rename = "DatapointsToAlarm")]
    datapoints: Option<u64>,
    threshold: f64,
    comparison_operator: Comparison,
    treat_missing_data: Missing,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Dimension {
    name: String,
    value: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Statistic {
    Sum,
    Maximum,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Comparison {
    GreaterThanThreshold,
    LessThanThreshold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Missing {
    NotBreaching,
    Breaching,
}

impl Alarm {
    /// Every alarm of a template.
    pub fn all(monitoring: &[Monitoring]) -> Vec<Self> {
        let alarms = monitoring.iter().filter(|it| it.kind == "AWS::CloudWatch::Alarm");
        let read = |it: &Monitoring| {
            let alarm = serde_json::from_value::<Self>(it.properties.clone().into());
            alarm.unwrap_or_else(|error| panic!("{}: {error}", it.logical_id))
        };
        alarms.map(read).collect()
    }

    /// What it watches.
    pub fn metric(&self) -> Metric {
        let dimensions = self.dimensions.iter().map(|it| (it.name.clone(), it.value.clone())).collect();
        Metric { namespace: self.namespace.clone(), name: self.metric_name.clone(), dimensions }
    }

    /// Minutes of a period.
    pub fn period(&self) -> u64 {
        self.period / 60
    }

    /// How many periods must breach.
    pub fn periods(&self) -> u64 {
        self.datapoints.unwrap_or(self.evaluation_periods)
    }

    /// The minutes after which nothing from before counts any more.
    pub fn memory(&self) -> u64 {
        (self.evaluation_periods + FURTHER) * self.period()
    }

    /// Whether the values of these minutes, as those of one period, breach.
    pub fn breaches(&self, values: &[f64]) -> bool {
        !values.is_empty() && self.breaching(self.total(values))
    }

    /// Whether it is in alarm when `now` minutes have ended.
    pub fn rings(&self, minutes: &Minutes, now: u64) -> bool {
        let window = |back: u64| {
            let end = now.checked_sub(back * self.period())?;
            let values: Vec<_> =
                minutes.range(end.saturating_sub(self.period())..end).flat_map(|(_, it)| it).copied().collect();
            (!values.is_empty()).then(|| self.breaching(self.total(&values)))
        };
        let wanted = usize::try_from(self.evaluation_periods).unwrap_or(usize::MAX);
        // The newest first: those of the evaluation periods, and as many older ones as are missing among them.
        let real: Vec<_> = (0..self.evaluation_periods + FURTHER).filter_map(window).take(wanted).collect();
        let missing = wanted - real.len();
        let filled = if self.treat_missing_data == Missing::Breaching { missing } else { 0 };
        let breaching = real.iter().filter(|breaches| **breaches).count() + filled;
        u64::try_from(breaching).is_ok_and(|breaching| breaching >= self.periods())
    }

    fn total(&self, values: &[f64]) -> f64 {
        match self.statistic {
            Statistic::Sum => values.iter().sum(),
            Statistic::Maximum => values.iter().copied().fold(f64::MIN, f64::max),
        }
    }

    fn breaching(&self, value: f64) -> bool {
        match self.comparison_operator {
            Comparison::GreaterThanThreshold => value > self.threshold,
            Comparison::LessThanThreshold => value < self.threshold,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn alarm(periods: u64, most: Option<u64>, missing: &str, comparison: &str) -> Alarm {
        let text = json!({
            "AlarmName": "a", "AlarmDescription": "", "Namespace": "N", "MetricName": "M", "Dimensions": [],
            "Statistic": "Sum", "Period": 120, "EvaluationPeriods": periods, "DatapointsToAlarm": most,
            "Threshold": 2, "ComparisonOperator": comparison, "TreatMissingData": missing,
        });
        serde_json::from_value(text).unwrap()
    }

    /// One value a minute, `-` for none, the newest last.
    fn rings(alarm: &Alarm, values: &str) -> bool {
        let read = |(minute, text): (u64, &str)| Some((minute, vec![text.parse().ok()?]));
        let minutes: BTreeMap<_, _> = (0..).zip(values.split(' ')).filter_map(read).collect();
        alarm.rings(&minutes, (0..).zip(values.split(' ')).count() as u64)
    }

    #[test]
    fn an_alarm_rings_when_enough_periods_breach() {
        let all = alarm(2, None, "notBreaching", "GreaterThanThreshold");
        let one = alarm(2, Some(1), "notBreaching", "GreaterThanThreshold");
        for (values, rings_all, rings_one) in [
            ("0 0 0 0 1 1 1 1", false, false),
            ("0 0 0 0 0 0 3 0", false, true),
            ("0 0 0 0 3 0 2 1", true, true),
            // A period is over the sum of its minutes.
            ("0 0 0 0 2 1 1 2", true, true),
            ("0 0 9 9 0 0 0 0", false, false),
        ] {
            assert_eq!((rings(&all, values), rings(&one, values)), (rings_all, rings_one), "{values}");
        }
    }

    #[test]
    fn missing_data_count_only_where_older_ones_are_missing_too() {
        let silent = alarm(2, None, "notBreaching", "GreaterThanThreshold");
        let alive = alarm(2, None, "breaching", "LessThanThreshold");
        for (values, rings_silent, rings_alive) in [
            ("- - - - - - - -", false, true),
            ("3 - 3 - - - - -", true, false),
            ("3 - - - - - - -", false, false),
            ("- - - - - - 3 -", false, false),
            ("- - - - - - 1 -", false, true),
        ] {
            assert_eq!((rings(&silent, values), rings(&alive, values)), (rings_silent, rings_alive), "{values}");
        }
    }
}
