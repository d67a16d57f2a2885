//! Schedules: EventBridge's `rate(…)` and `cron(…)`, in UTC.

use std::{str::FromStr, sync::Arc, time::Duration};

use croner::Cron;
use jiff::{SignedDuration, Timestamp};
use local_base::now;
use tokio::time::sleep;

use crate::{lambda::Asynchronous, template::Schedule};

/// A year: longer rates are taken for mistakes.
const MAX_RATE: i64 = 366 * 86_400;

/// When a schedule fires.
#[derive(Debug, Clone)]
pub enum Expression {
    /// At this interval.
    Rate(SignedDuration),
    /// At these times.
    Cron(Box<Cron>),
}

/// An expression that is not EventBridge's.
#[derive(Debug, thiserror::Error)]
#[error(
    "template.yaml: schedule {name:?}: {expression:?} is not rate(N minutes|hours|days) or a six-field cron(…): {reason}"
)]
pub struct ScheduleError {
    name: String,
    expression: String,
    reason: String,
}

#[derive(Clone)]
pub struct Timer {
    pub schedule: Schedule,
    expression: Expression,
    function: Arc<Asynchronous>,
}

impl Timer {
    pub fn new(schedule: &Schedule, function: &Arc<Asynchronous>) -> Result<Self, ScheduleError> {
        let expression = schedule.expression.parse().map_err(|reason| ScheduleError {
            name: schedule.name.clone(),
            expression: schedule.expression.clone(),
            reason,
        })?;
        Ok(Self { schedule: schedule.clone(), expression, function: Arc::clone(function) })
    }

    /// Fires on schedule until it is dropped.
    pub async fn run(self) {
        loop {
            let wait = self.expression.next(now()).duration_since(now());
            sleep(Duration::try_from(wait).unwrap_or_default()).await;
            // The function's log and its failure destination have the failure; the schedule goes on.
            let _ = self.fire().await;
        }
    }

    /// Fires now and returns the function's answer, that of the first attempt if there are more.
    pub async fn fire(&self) -> Result<String, crate::lambda::InvokeError> {
        let answer = self.function.invoke(self.schedule.input.to_string().into()).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Expression {
    fn next(&self, after: Timestamp) -> Timestamp {
        match self {
            Self::Rate(every) => after + *every,
            Self::Cron(cron) => next_match(cron, after).unwrap_or(Timestamp::MAX),
        }
    }
}

fn next_match(cron: &Cron, after: Timestamp) -> Option<Timestamp> {
    let after = chrono::DateTime::from_timestamp(after.as_second(), 0)?;
    Timestamp::from_second(cron.find_next_occurrence(&after, false).ok()?.timestamp()).ok()
}

impl FromStr for Expression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = |kind: &str| text.strip_prefix(kind)?.strip_prefix('(')?.strip_suffix(')');
        if let Some(rate) = inner("rate") {
            let (count, unit) = rate.split_once(' ').ok_or("a rate is a number and a unit")?;
            let count: i64 = count.parse().map_err(|_| "the number is not a number")?;
            let seconds = match unit.trim_end_matches('s') {
                "minute" => 60,
                "hour" => 3600,
                "day" => 86400,
                _ => return Err("the unit is not minutes, hours or days".into()),
            };
            let every = count.checked_mul(seconds).filter(|every| (1..=MAX_RATE).contains(every));
            return every.map(|every| Self::Rate(SignedDuration::from_secs(every))).ok_or("out of range".to_owned());
        }
        let fields: Vec<_> = inner("cron").ok_or("neither rate nor cron")?.split_whitespace().collect();
        let [minute, hour, day, month, weekday, year] = fields[..] else { return Err("cron has six fields".into()) };
        if year != "*" {
            return Err("a year other than * is not understood here".into());
        }
        // EventBridge counts weekdays from 1 for Sunday; only their names mean the same everywhere.
        if weekday.bytes().any(|byte| byte.is_ascii_digit()) {
            return Err("write weekdays as names".into());
        }
        let pattern = [minute, hour, day, month, weekday].map(|field| if field == "?" { "*" } else { field }).join(" ");
        Cron::from_str(&pattern).map(|cron| Self::Cron(Box::new(cron))).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_fire_when_eventbridge_would() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        // A Monday.
        let monday = at("2026-11-23T10:07:00Z");
        for (expression, next) in [
            ("rate(15 minutes)", "2026-11-23T10:22:00Z"),
            ("rate(1 hour)", "2026-11-23T11:07:00Z"),
            ("cron(0 0 ? * SUN *)", "2026-11-29T00:00:00Z"),
            ("cron(30 10 * * ? *)", "2026-11-23T10:30:00Z"),
        ] {
            assert_eq!(expression.parse::<Expression>().unwrap().next(monday), at(next), "{expression}");
        }
    }

    #[test]
    fn what_is_not_an_expression_is_refused() {
        for text in [
            "",
            "rate(0 minutes)",
            "rate(9223372036854775807 days)",
            "rate(5)",
            "rate(5 weeks)",
            "cron(0 0 * * *)",
            "cron(0 0 ? * 1 *)",
            "at(now)",
        ] {
            assert!(text.parse::<Expression>().is_err(), "{text}");
        }
    }
}
