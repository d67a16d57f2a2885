//! Where the sync of one stream stands.
//!
//! *Invariant:* the cursor is replaced only when a run has ended, by what the provider said in that run. Until then the run keeps
//! its own position, so a crash repeats one page at most.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::SyncType;

/// Where the sync of one stream stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamState {
    /// What the next incremental run begins after: the provider's own.
    pub cursor: Option<Value>,
    /// The run that is under way.
    pub run: Option<Run>,
    /// When the last full run that ended began: it saw everything that was there then.
    #[serde(default)]
    pub full_since: Option<Timestamp>,
    /// When a full run last ended.
    pub last_full_sync: Option<Timestamp>,
    /// When an incremental run last ended.
    pub last_incremental_sync: Option<Timestamp>,
}

/// A run over a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What was asked for.
    pub r#type: SyncType,
    /// Whether it sees everything, so that what it did not see is gone.
    pub full: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// The next page: the provider's own.
    pub position: Value,
    /// How many states were written.
    pub changes: u64,
    /// How many pages were read.
    #[serde(default)]
    pub pages: u32,
}

impl StreamState {
    /// Ends the run: its cursor counts from now on.
    pub fn finish(&mut self, cursor: Value, now: Timestamp) -> Option<Run> {
        let run = self.run.take()?;
        self.cursor = Some(cursor);
        if run.full {
            self.last_full_sync = Some(now);
            self.full_since = Some(run.started_at);
        }
        if run.r#type == SyncType::Incremental {
            self.last_incremental_sync = Some(now);
        }
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_cursor_moves_only_when_a_run_ends() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut state = StreamState { cursor: Some(json!("old")), ..StreamState::default() };
        assert!(state.finish(json!("new"), at(1)).is_none());
        assert_eq!(state.cursor, Some(json!("old")), "no run has ended");
        let run =
            Run { r#type: SyncType::Full, full: true, started_at: at(1), position: Value::Null, changes: 3, pages: 1 };
        state.run = Some(run.clone());
        assert_eq!(state.finish(json!("new"), at(2)), Some(run));
        assert_eq!((state.cursor, state.last_full_sync), (Some(json!("new")), Some(at(2))));
        assert_eq!(state.last_incremental_sync, None);
    }
}
