//! The rights that roles grant beside those that functions use: what is granted and not used is a defect, unless an exception says
//! why.
//!
//! The gateway refuses what is not granted, and a [`Ledger`] records what is used, so that one direction remains to be compared.

mod exceptions;
mod table;

use std::{collections::BTreeSet, path::PathBuf};

use local_aws::{
    iam::Role,
    rights::{Grant, Ledger, LedgerError},
};
use local_base::terminal::say;
use local_runtime::{
    bootstraps::root,
    template::{Context, Template, TemplateError},
};
use serde_json::json;

pub use self::{exceptions::ExceptionsError, table::Table};
use crate::arguments;

/// Parameters under which the role's KMS keys are three, and not thrice the stack's own.
pub const OTHER_KEYS: [(&str, &str); 2] = [
    ("TokenKeyArn", "arn:aws:kms:us-east-1:000000000000:key/given"),
    ("FormerTokenKeyArn", "arn:aws:kms:us-east-1:000000000000:key/former"),
];

/// Parameters under which the template has `DeploymentRole`.
const GRADUAL: [(&str, &str); 1] = [("GradualDeployment", "on")];

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

/// Prints the comparison or the policies. Whether every right is used or excepted.
pub fn run(options: &arguments::Rights) -> Result<bool, RightsError> {
    let Some(ledger) = &options.ledger else {
        let policy = |role: Role| (role.name, json!({ "Version": "2012-10-17", "Statement": role.statements }));
        let policies: serde_json::Map<_, _> = load(&GRADUAL)?.roles().into_iter().map(policy).collect();
        say(&serde_json::Value::from(policies).to_string());
        return Ok(true);
    };
    let mut granted = BTreeSet::new();
    for overrides in [&OTHER_KEYS[..], &GRADUAL[..]] {
        granted.extend(Grant::all(&load(overrides)?.roles()));
    }
    let exceptions = exceptions::read(&exceptions_file())?;
    let table = Table::new(granted, &Ledger::read(ledger)?, &exceptions);
    say(&table.to_string());
    Ok(table.is_whole())
}

fn load(overrides: &[(&str, &str)]) -> Result<Template, TemplateError> {
    let overrides: Vec<_> = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Template::load(&root().join("template.yaml"), &overrides, &Context::nowhere())
}

fn exceptions_file() -> PathBuf {
    root().join("tests/static/exceptions.yaml")
}
