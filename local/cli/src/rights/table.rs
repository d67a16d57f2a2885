//! The table of granted rights beside used ones.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
};

use local_aws::rights::Grant;

use super::exceptions::{Exception, is_about};

/// Every right with its state.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
    /// Exceptions for what is used, or not granted.
    idle: Vec<String>,
}

#[derive(Debug)]
struct Row {
    grant: Grant,
    state: RightState,
}

#[derive(Debug, PartialEq)]
enum RightState {
    Used,
    Excepted(String),
    Unused,
}

impl Table {
    pub(super) fn new(granted: BTreeSet<Grant>, used: &BTreeSet<Grant>, exceptions: &[Exception]) -> Self {
        let unused: Vec<_> = granted.difference(used).cloned().collect();
        let idle = |exception: &Exception| {
            let idle = exception.pairs().filter(|pair| !unused.iter().any(|grant| is_about(*pair, grant)));
            idle.map(|(rule, resource)| format!("{rule} on {resource}")).collect::<Vec<_>>()
        };
        let reason = |grant: &Grant| {
            let exception = exceptions.iter().find(|exception| exception.pairs().any(|pair| is_about(pair, grant)));
            exception.map_or(RightState::Unused, |exception| RightState::Excepted(exception.reason.clone()))
        };
        let row = |grant: Grant| {
            let state = if used.contains(&grant) { RightState::Used } else { reason(&grant) };
            Row { grant, state }
        };
        let idle = exceptions.iter().flat_map(idle).collect();
        Self { rows: granted.into_iter().map(row).collect(), idle }
    }

    /// Whether every right is used or excepted, and every exception is for a right that is not used.
    pub fn is_whole(&self) -> bool {
        self.idle.is_empty() && self.count(|state| *state == RightState::Unused) == 0
    }

    fn count(&self, is_it: impl Fn(&RightState) -> bool) -> usize {
        self.rows.iter().filter(|row| is_it(&row.state)).count()
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut holder = "";
        for Row { grant, state } in &self.rows {
            if grant.holder != holder {
                holder = &grant.holder;
                writeln!(f, "{holder}")?;
            }
            let facts =
                grant.facts.iter().map(|(key, value)| format!(" {}={value}", key.rsplit(':').next().unwrap_or(key)));
            // Region and account are the same everywhere.
            let resource = grant.resource.splitn(6, ':').last().unwrap_or_default();
            let what = format!("{resource}{}", facts.collect::<String>());
            writeln!(f, "  {:32} {what:54} {state}", grant.action)?;
        }
        for idle in &self.idle {
            writeln!(f, "An exception is for nothing: {idle}. Remove it.")?;
        }
        let [used, excepted, unused] = [
            self.count(|state| *state == RightState::Used),
            self.count(|state| matches!(state, RightState::Excepted(_))),
            self.count(|state| *state == RightState::Unused),
        ];
        write!(f, "{} rights granted: {used} used, {excepted} for a reason, {unused} unused", self.rows.len())
    }
}

impl Display for RightState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Used => f.write_str("used"),
            Self::Excepted(reason) => write!(f, "not by our code: {reason}"),
            Self::Unused => f.write_str("UNUSED: use it in a test of tests/e2e, or take it from the role"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use local_aws::iam::Facts;

    use super::*;
    use crate::rights::exceptions;

    fn grant(action: &str, resource: &str) -> Grant {
        Grant { holder: "f".into(), action: action.into(), resource: resource.into(), facts: Facts::new() }
    }

    fn table(used: &[Grant], exceptions: serde_json::Value) -> (bool, String) {
        let granted = [("sqs:SendMessage", "arn:q"), ("sqs:SendMessage", "arn:r"), ("logs:PutLogEvents", "arn:l")];
        let exceptions: Vec<Exception> = serde_json::from_value(exceptions).unwrap();
        let used = used.iter().cloned().collect();
        let table = Table::new(granted.map(|(action, resource)| grant(action, resource)).into(), &used, &exceptions);
        (table.is_whole(), table.to_string())
    }

    #[test]
    fn a_right_is_used_or_excepted_and_an_exception_is_for_a_right_that_is_not_used() {
        let [q, r] = ["arn:q", "arn:r"].map(|queue| grant("sqs:SendMessage", queue));
        let by_lambda = |rule: serde_json::Value| json!([{ "tool": "rights", "rule": rule, "resource": "f arn:l", "reason": "it is Lambda" }]);
        let (whole, text) = table(&[q.clone(), r.clone()], by_lambda(json!("logs:*")));
        assert!(whole, "{text}");
        assert!(text.ends_with("3 rights granted: 2 used, 1 for a reason, 0 unused"), "{text}");
        assert!(text.contains("it is Lambda"), "{text}");
        for (used, exceptions, complaint) in [
            // Each resource of a statement is a right of its own.
            (vec![q.clone()], by_lambda(json!("logs:*")), "1 unused"),
            (vec![q.clone(), r.clone()], json!([]), "1 unused"),
            (
                vec![q, r],
                by_lambda(json!(["logs:*", "sqs:*"])),
                "An exception is for nothing: sqs:* on f arn:l. Remove it.",
            ),
        ] {
            let (whole, text) = table(&used, exceptions);
            assert!(!whole && text.contains(complaint), "{complaint}: {text}");
        }
    }

    #[test]
    fn the_exceptions_of_the_repository_are_read() {
        assert!(!exceptions::read(&crate::rights::exceptions_file()).unwrap().is_empty());
    }
}
