//! The findings that are no defects, with their reasons: `tests/static/exceptions.yaml`, for all the tools that find something.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use local_aws::{
    iam::{matches, one_or_many},
    rights::Grant,
};
use serde::Deserialize;

/// The value of `tool` in exceptions for this command.
const TOOL: &str = "rights";

/// A right that no function of ours uses itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exception {
    tool: String,
    /// Actions.
    #[serde(deserialize_with = "one_or_many")]
    rule: Vec<String>,
    /// `HOLDER ARN`; see [`Grant::holder`].
    #[serde(deserialize_with = "one_or_many")]
    resource: Vec<String>,
    pub(super) reason: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ExceptionsError {
    #[error("{}: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    /// It is no list of exceptions.
    #[error("{}: {source}", file.display())]
    Malformed { file: PathBuf, source: serde_yaml_ng::Error },
}

/// Those about rights.
pub(super) fn read(file: &Path) -> Result<Vec<Exception>, ExceptionsError> {
    let text = fs::read_to_string(file);
    let text = text.map_err(|source| ExceptionsError::Unreadable { file: file.to_owned(), source })?;
    let all: Vec<Exception> = serde_yaml_ng::from_str(&text)
        .map_err(|source| ExceptionsError::Malformed { file: file.to_owned(), source })?;
    Ok(all.into_iter().filter(|exception| exception.tool == TOOL).collect())
}

impl Exception {
    /// Every pattern of an action with every pattern of a resource: each must be of use.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&String, &String)> {
        self.rule.iter().flat_map(|rule| self.resource.iter().map(move |resource| (rule, resource)))
    }
}

/// Whether a pair of patterns is about this right.
pub(super) fn is_about((rule, resource): (&String, &String), grant: &Grant) -> bool {
    matches(rule, &grant.action) && matches(resource, &format!("{} {}", grant.holder, grant.resource))
}
