//! A run over a stream: how far it has come, and what it is made of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Next;
use crate::{id::UserId, sync::SyncJob};

/// A run over a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that do not follow from each other, each stored under its name"
)]
pub struct Run {
    /// What was asked for.
    pub r#type: SyncJob,
    /// Whether it sees everything, so that what it did not see is gone.
    pub full: bool,
    /// Before its first call.
    pub started_at: Timestamp,
    /// The next page: the provider's own.
    pub position: Value,
    /// How many states were written.
    pub changes: u64,
    /// How many pages were read.
    #[serde(default)]
    pub pages: u32,
    /// Whether it began because the provider refused a cursor: that is done once.
    #[serde(default, rename = "anew")]
    pub restarted: bool,
    /// Whether the cursor stood when it began: incremental runs go on from there.
    #[serde(default)]
    pub beside: bool,
    /// Members and single objects that were read.
    #[serde(default)]
    pub read: u64,
    /// Members that were passed over.
    #[serde(default)]
    pub passed: u64,
    /// Those of them that are not remembered.
    #[serde(default)]
    pub beyond: u64,
    /// Single objects to ask for with the first page: earlier runs passed over them.
    #[serde(default)]
    pub again: Vec<String>,
    /// How many parts of its log are stored, which has the objects that it saw.
    #[serde(default)]
    pub parts: u32,
    /// How often it began a member from its beginning: what it saw before says nothing of that.
    #[serde(default)]
    pub restarts: u32,
    /// Whether it takes the stored manifest for wrong: a full run that a caller asks for repairs what went wrong before.
    #[serde(default)]
    pub rebuilds: bool,
    /// The only part of the stream that it reads. It says nothing of the others.
    #[serde(default)]
    pub part: Option<String>,
    /// What it does with the objects that it finds named and whose records are known.
    #[serde(default)]
    pub known: Known,
    /// How often a call failed that a comparison of tags needs.
    #[serde(default)]
    pub failed_comparisons: u8,
    /// What is left of the page at its position.
    #[serde(default)]
    pub rest: Option<PageRest>,
    /// Whose records it copies instead of asking the provider; its position is then a record's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// Another integration of the same account and scopes, that read the stream: a run that copies its records sees the provider as it was at
/// the beginning of that reading, or later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Whose integration it is.
    pub user_id: UserId,
    /// The grant under which it read.
    pub connected_at: Timestamp,
    /// When that reading began.
    pub since: Timestamp,
}

/// What a run does with objects that it finds named and whose records are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// It asks for them.
    #[default]
    AskedFor,
    /// It takes their records for current. Incremental runs from the cursor bring what changed in them, so the cursor stays where it
    /// was before the run.
    Skipped,
    /// It asks for those whose tags are not the same as in their records, because the cursor was lost.
    Compared,
}

/// What is left of a page that names more objects than are asked for at a time. The page itself is not asked for again: it might
/// be another one by then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageRest {
    /// The ids of the objects that are still to be asked for.
    pub ids: Vec<String>,
    /// What follows the page.
    pub next: Next,
}

impl Run {
    /// A run that begins now, at `position`.
    pub const fn new(r#type: SyncJob, full: bool, started_at: Timestamp, position: Value) -> Self {
        Self {
            r#type,
            full,
            started_at,
            position,
            changes: 0,
            pages: 0,
            restarted: false,
            beside: false,
            read: 0,
            passed: 0,
            beyond: 0,
            again: Vec::new(),
            parts: 0,
            restarts: 0,
            rebuilds: false,
            part: None,
            known: Known::AskedFor,
            failed_comparisons: 0,
            rest: None,
            source: None,
        }
    }

    /// A full run over the records of another integration. It counts as one that began when that integration began to read.
    pub fn copy(r#type: SyncJob, source: &Source) -> Self {
        Self { source: Some(source.clone()), ..Self::new(r#type, true, source.since, Value::Null) }
    }
}
