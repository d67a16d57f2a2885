//! The rights that roles grant beside those that functions use: what is granted and not used is a defect, unless an exception says
//! why.
//!
//! The gateway refuses what is not granted, and a [`Ledger`] records what is used, so that one direction remains to be compared.

mod exceptions;
mod ledger;
mod table;

use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

pub use self::{
    exceptions::ExceptionsError,
    ledger::{Ledger, LedgerError},
    table::Table,
};
use crate::{
    aws::authorise::Right,
    bootstraps::root,
    cli,
    report::say,
    settings::nowhere,
    template::{Effect, Facts, Statement, Template, TemplateError, iam::matches},
};

/// Parameters under which the role's KMS keys are three, and not thrice the stack's own.
pub const OTHER_KEYS: [(&str, &str); 2] = [
    ("TokenKeyArn", "arn:aws:kms:us-east-1:000000000000:key/given"),
    ("FormerTokenKeyArn", "arn:aws:kms:us-east-1:000000000000:key/former"),
];

/// Parameters under which the template has `DeploymentRole`.
const GRADUAL: [(&str, &str); 1] = [("GradualDeployment", "on")];

/// One action on one resource that a role allows, and under which facts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The function's name without prefix, or the logical id of a role that no function has.
    pub holder: String,
    /// As IAM names it, such as `sqs:SendMessage`.
    pub action: String,
    /// An ARN, or a pattern of ARNs as the role has it.
    pub resource: String,
    /// One value of each condition key.
    pub facts: Facts,
}

impl Grant {
    /// What the template's roles grant, one by one.
    fn all(template: &Template) -> BTreeSet<Self> {
        holders(template).flat_map(|(holder, statements)| Self::of(holder, statements)).collect()
    }

    fn of(holder: &str, statements: &[Statement]) -> BTreeSet<Self> {
        let allowing = statements.iter().filter(|statement| statement.effect == Effect::Allow);
        let mut all = BTreeSet::new();
        for statement in allowing {
            for facts in possible(statement) {
                for (action, resource) in pairs(&statement.actions, &statement.resources) {
                    let (action, resource, facts) = (action.clone(), resource.clone(), facts.clone());
                    all.insert(Self { holder: holder.to_owned(), action, resource, facts });
                }
            }
        }
        all
    }

    /// Whether it is what grants `right`.
    fn covers(&self, right: &Right) -> bool {
        matches(&self.action, &right.action)
            && matches(&self.resource, &right.resource)
            && self.facts.iter().all(|(key, value)| right.facts.get(key) == Some(value))
    }
}

/// Every role's [`Grant::holder`] and statements.
fn holders(template: &Template) -> impl Iterator<Item = (&str, &[Statement])> {
    let functions = template.functions.iter().map(|function| (&*function.binary, &*function.statements));
    functions.chain(template.other_roles.iter().map(|role| (&*role.logical_id, &*role.statements)))
}

/// Each choice of one value for each condition key.
fn possible(statement: &Statement) -> Vec<Facts> {
    let mut all = vec![Facts::new()];
    for (key, values) in &statement.condition {
        let with = |(facts, value): (&Facts, &String)| {
            let mut facts = facts.clone();
            facts.insert(key.clone(), value.clone());
            facts
        };
        all = pairs(&all, values).map(with).collect();
    }
    all
}

fn pairs<'a, A, B>(all: &'a [A], with: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    all.iter().flat_map(move |a| with.iter().map(move |b| (a, b)))
}

/// Why the rights can't be compared.
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    /// template.yaml can't be read or has what the reader does not know.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The ledger is missing, damaged or of other code.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The file of exceptions can't be read.
    #[error(transparent)]
    Exceptions(#[from] ExceptionsError),
}

/// Does what `options` ask. Whether every right is used or excepted.
pub fn run(options: &cli::Rights) -> Result<bool, RightsError> {
    let Some(ledger) = &options.ledger else {
        let policy = |(holder, statements): (&str, &[Statement])| {
            (holder.to_owned(), json!({ "Version": "2012-10-17", "Statement": statements }))
        };
        let policies: serde_json::Map<_, _> = holders(&load(&GRADUAL)?).map(policy).collect();
        say(&serde_json::Value::from(policies).to_string());
        return Ok(true);
    };
    let mut granted = BTreeSet::new();
    for overrides in [&OTHER_KEYS[..], &GRADUAL[..]] {
        granted.extend(Grant::all(&load(overrides)?));
    }
    let exceptions = exceptions::read(&exceptions_file())?;
    let table = Table::new(granted, &Ledger::read(ledger)?, &exceptions);
    say(&table.to_string());
    Ok(table.is_whole())
}

fn load(overrides: &[(&str, &str)]) -> Result<Template, TemplateError> {
    let overrides: Vec<_> = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Template::load(&root().join("template.yaml"), &overrides, &nowhere())
}

fn exceptions_file() -> PathBuf {
    root().join("tests/static/exceptions.yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_as_many_grants_as_it_has_actions_resources_and_facts_and_each_covers_its_own_calls() {
        let statement = json!({
            "Effect": "Allow", "Action": ["kms:Decrypt", "kms:ReEncryptFrom"], "Resource": ["arn:a", "arn:b"],
            "Condition": { "StringEquals": { "purpose": ["credential", "webhook_secret"], "app": "intertie" } },
        });
        let all = Grant::of("a", &[serde_json::from_value(statement).unwrap()]);
        assert_eq!(all.len(), 8, "{all:?}");
        let right = |purpose: &str| {
            let facts = [("purpose", purpose), ("app", "intertie"), ("user", "ada")];
            let facts = facts.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            Right { action: "kms:Decrypt".into(), resource: "arn:b".into(), facts }
        };
        let covering: Vec<_> = all.iter().filter(|grant| grant.covers(&right("credential"))).collect();
        assert_eq!(covering.len(), 1, "{covering:?}");
        assert_eq!((covering[0].resource.as_str(), &*covering[0].facts["purpose"]), ("arn:b", "credential"));
        assert!(!all.iter().any(|grant| grant.covers(&right("other"))));
    }
}
