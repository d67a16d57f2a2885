//! The record of the rights that functions used, made while tests run: a file of lines, each a JSON object, of one state of the code.
//!
//! *Invariant:* the file has its first line, whole, from the moment that it has its name.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use local_base::lock;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::grant::Grant;
use crate::{authorise::Right, iam::Role};

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

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// The code that was tested, as [`checked_out`] names it; the first line.
    Code(String),
    Used(Grant),
}

/// Why a ledger can't be written or used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("{}: {source}; tests with TEST_RIGHTS write it", file.display())]
    File { file: PathBuf, source: io::Error },
    #[error("{}: {source}", file.display())]
    Malformed { file: PathBuf, source: serde_json::Error },
    /// Git does not tell what is checked out.
    #[error("git does not tell what is checked out: {0}")]
    Git(String),
    /// It is of other code than what is checked out.
    #[error("{} is of {}, and {checked_out} is checked out; remove it and test again", file.display(),
        found.as_deref().unwrap_or("no commit"))]
    OfOtherCode {
        file: PathBuf,
        /// The code that it is of.
        found: Option<String>,
        checked_out: String,
    },
}

impl Ledger {
    /// Goes on with the ledger of this code in `file`, or begins it.
    pub fn open(file: &Path, roles: &[Role]) -> Result<Self, LedgerError> {
        let failed = |source| LedgerError::File { file: file.to_owned(), source };
        begin(file, &Line::Code(checked_out()?)).map_err(failed)?;
        let used = Self::read(file)?;
        let unused = Grant::all(roles).into_iter().filter(|grant| !used.contains(grant)).collect();
        let file = OpenOptions::new().append(true).open(file).map_err(failed)?;
        Ok(Self { open: Mutex::new(Open { file, unused }) })
    }

    /// Records what grants the role called `holder` this right.
    pub fn record(&self, holder: &str, right: &Right) {
        let mut open = lock(&self.open);
        let Open { file, unused } = &mut *open;
        unused.retain(|grant| {
            let used = grant.holder == holder && grant.covers(right);
            // A lost line is a right that seems unused, which the comparison reports.
            !(used && write(file, &Line::Used(grant.clone())).is_ok())
        });
    }

    /// The rights in `file`, if it is of the code that is checked out.
    pub fn read(file: &Path) -> Result<BTreeSet<Grant>, LedgerError> {
        let text = fs::read_to_string(file).map_err(|source| LedgerError::File { file: file.to_owned(), source })?;
        let (mut found, mut used) = (None, BTreeSet::new());
        for line in text.lines() {
            match serde_json::from_str(line)
                .map_err(|source| LedgerError::Malformed { file: file.to_owned(), source })?
            {
                Line::Code(code) => found = Some(code),
                Line::Used(grant) => drop(used.insert(grant)),
            }
        }
        let checked_out = checked_out()?;
        if found.as_ref() == Some(&checked_out) {
            return Ok(used);
        }
        Err(LedgerError::OfOtherCode { file: file.to_owned(), found, checked_out })
    }
}

/// Makes the file with its first line unless it is there. Several stacks may do so at once: the line is written under another name,
/// and the first link wins.
fn begin(file: &Path, line: &Line) -> io::Result<()> {
    fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    let unnamed = file.with_extension(Uuid::new_v4().to_string());
    write(&mut File::create_new(&unnamed)?, line)?;
    let linked = fs::hard_link(&unnamed, file);
    fs::remove_file(&unnamed)?;
    linked.or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}

/// One call, so that lines of several processes stay whole.
fn write(file: &mut File, line: &Line) -> io::Result<()> {
    file.write_all(format!("{}\n", serde_json::to_string(line)?).as_bytes())
}

/// The commit, and after a plus sign the hash of what differs from it, if anything does.
fn checked_out() -> Result<String, LedgerError> {
    let commit = String::from_utf8_lossy(&git(&["rev-parse", "HEAD"])?).trim().to_owned();
    let changes = [git(&["status", "--porcelain"])?, git(&["diff", "HEAD"])?].concat();
    Ok(if changes.is_empty() { commit } else { format!("{commit}+{}", hex::encode(Sha256::digest(changes))) })
}

fn git(arguments: &[&str]) -> Result<Vec<u8>, LedgerError> {
    let output = Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.map_err(|error| LedgerError::Git(error.to_string()))?;
    if output.status.success() { Ok(output.stdout) } else { Err(LedgerError::Git(output.status.to_string())) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::iam::Facts;

    fn roles() -> [Role; 1] {
        let statement =
            json!({ "Effect": "Allow", "Action": ["sqs:SendMessage", "sqs:ReceiveMessage"], "Resource": "arn:q" });
        [Role { name: "sender".into(), statements: vec![serde_json::from_value(statement).unwrap()] }]
    }

    #[test]
    fn each_grant_is_recorded_once_and_a_ledger_of_other_code_or_none_is_refused() {
        let file = std::env::temp_dir().join(format!("intertie-{}/ledger", Uuid::new_v4()));
        assert!(matches!(Ledger::read(&file), Err(LedgerError::File { .. })));

        let right = Right { action: "sqs:SendMessage".into(), resource: "arn:q".into(), facts: Facts::new() };
        for _ in 0..2 {
            let ledger = Ledger::open(&file, &roles()).unwrap();
            ledger.record("sender", &right);
            ledger.record("sender", &right);
        }
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 2, "the code and the right: {text}");
        let used = Ledger::read(&file).unwrap();
        assert_eq!(used.iter().map(|grant| &*grant.action).collect::<Vec<_>>(), ["sqs:SendMessage"]);

        for wrong in [text.replace(&checked_out().unwrap(), "0000"), text.lines().skip(1).collect(), String::new()] {
            fs::write(&file, wrong).unwrap();
            let refused = Ledger::read(&file);
            assert!(matches!(refused, Err(LedgerError::OfOtherCode { .. })), "{refused:?}");
            assert!(Ledger::open(&file, &roles()).is_err());
        }
    }

    #[test]
    fn stacks_that_start_at_the_same_time_share_a_ledger() {
        let folder = std::env::temp_dir().join(format!("intertie-{}", Uuid::new_v4()));
        let file = folder.join("ledger");
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..8).map(|_| scope.spawn(|| Ledger::open(&file, &roles()).map(drop))).collect();
            for opened in opened {
                opened.join().unwrap().unwrap();
            }
        });
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no other file is left");
    }
}
