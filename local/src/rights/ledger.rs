//! The record of the rights that functions used, made while tests run: a file of lines, each a JSON object, of one commit.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Grant;
use crate::{
    aws::authorise::Right,
    bootstraps::root,
    lambda::lock,
    template::{Function, Template},
};

/// Records each grant once, when it is first used.
#[derive(Debug)]
pub struct Ledger {
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// What is not in the file yet.
    unused: BTreeSet<Grant>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// The commit that was tested; the first line.
    Commit(String),
    /// A right that was used.
    Used(Grant),
}

/// Why a ledger can't be written or used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file.
    #[error("{}: {source}; tests with TEST_RIGHTS write it", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line that no ledger has.
    #[error("{}: {source}", file.display())]
    Malformed {
        /// Which.
        file: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// What is checked out is no commit.
    #[error("git does not tell the commit: {0}")]
    Commit(String),
    /// It tells of other code than what is checked out.
    #[error("{} is of {}, and {checked_out} is checked out; remove it and test again", file.display(),
        found.as_deref().unwrap_or("no commit"))]
    OfAnotherCommit {
        /// Which.
        file: PathBuf,
        /// Its commit.
        found: Option<String>,
        /// The present one.
        checked_out: String,
    },
}

impl Ledger {
    /// Goes on with the ledger of this commit in `file`, or begins it.
    pub fn open(file: &Path, template: &Template) -> Result<Self, LedgerError> {
        let failed = |source| LedgerError::File { file: file.to_owned(), source };
        fs::create_dir_all(file.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        // Linked when it is whole: several stacks may begin at the same time, and the first one's stays.
        let begun = file.with_extension(Uuid::new_v4().to_string());
        fs::write(&begun, line(&Line::Commit(commit()?)).map_err(failed)?).map_err(failed)?;
        let linked = fs::hard_link(&begun, file);
        fs::remove_file(&begun).map_err(failed)?;
        if let Err(error) = linked
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(failed(error));
        }
        let used = Self::read(file)?;
        let unused = Grant::all(template).into_iter().filter(|grant| !used.contains(grant)).collect();
        let file = OpenOptions::new().append(true).open(file).map_err(failed)?;
        Ok(Self { open: Mutex::new(Open { file, unused }) })
    }

    /// Records what grants `function` this right.
    pub fn record(&self, function: &Function, right: &Right) {
        let mut open = lock(&self.open);
        let Open { file, unused } = &mut *open;
        unused.retain(|grant| {
            let used = grant.holder == function.binary && grant.covers(right);
            // In one call, so that lines of several processes stay whole. One that is lost is a right that seems not used: the
            // comparison tells of it.
            !(used && line(&Line::Used(grant.clone())).and_then(|line| file.write_all(line.as_bytes())).is_ok())
        });
    }

    /// The rights in `file`, if it is of the commit that is checked out.
    pub fn read(file: &Path) -> Result<BTreeSet<Grant>, LedgerError> {
        let text = fs::read_to_string(file).map_err(|source| LedgerError::File { file: file.to_owned(), source })?;
        let (mut found, mut used) = (None, BTreeSet::new());
        for line in text.lines() {
            match serde_json::from_str(line)
                .map_err(|source| LedgerError::Malformed { file: file.to_owned(), source })?
            {
                Line::Commit(commit) => found = Some(commit),
                Line::Used(grant) => drop(used.insert(grant)),
            }
        }
        let checked_out = commit()?;
        if found.as_ref() == Some(&checked_out) {
            return Ok(used);
        }
        Err(LedgerError::OfAnotherCommit { file: file.to_owned(), found, checked_out })
    }
}

fn line(line: &Line) -> io::Result<String> {
    Ok(format!("{}\n", serde_json::to_string(line)?))
}

fn commit() -> Result<String, LedgerError> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(root()).output();
    let output = output.map_err(|error| LedgerError::Commit(error.to_string()))?;
    let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { Ok(commit) } else { Err(LedgerError::Commit(output.status.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{settings::nowhere, template::Facts};

    #[test]
    fn each_grant_is_recorded_once_and_a_ledger_of_another_commit_or_none_is_refused() {
        let template = Template::load(&root().join("template.yaml"), &[], &nowhere()).unwrap();
        let file = std::env::temp_dir().join(format!("intertie-{}/ledger", Uuid::new_v4()));
        assert!(matches!(Ledger::read(&file), Err(LedgerError::File { .. })));

        let function = template.functions.iter().find(|function| function.binary == "webhook-ingest").unwrap();
        let resource = template.queues.iter().find(|queue| queue.name == "intertie-webhooks").unwrap().arn.clone();
        let right = Right { action: "sqs:SendMessage".into(), resource, facts: Facts::new() };
        for _ in 0..2 {
            let ledger = Ledger::open(&file, &template).unwrap();
            ledger.record(function, &right);
            ledger.record(function, &right);
        }
        // Begun by several at the same time, it has one beginning.
        let together = file.with_extension("together");
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..8).map(|_| scope.spawn(|| Ledger::open(&together, &template))).collect();
            assert!(opened.into_iter().all(|opened| opened.join().unwrap().is_ok()));
        });
        assert_eq!(fs::read_to_string(&together).unwrap().lines().count(), 1);
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 2, "the commit and the right: {text}");
        let used = Ledger::read(&file).unwrap();
        assert_eq!(used.iter().map(|grant| &*grant.action).collect::<Vec<_>>(), ["sqs:SendMessage"]);

        for wrong in [text.replace(&commit().unwrap(), "0000"), text.lines().skip(1).collect(), String::new()] {
            fs::write(&file, wrong).unwrap();
            let refused = Ledger::read(&file);
            assert!(matches!(refused, Err(LedgerError::OfAnotherCommit { .. })), "{refused:?}");
            assert!(Ledger::open(&file, &template).is_err());
        }
    }
}
