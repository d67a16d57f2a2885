//! What a sync is asked to do.

use serde::{Deserialize, Serialize};

/// How much a sync reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncType {
    /// Everything, and what is gone at the provider is deleted here.
    Full,
    /// What changed since the cursor.
    Incremental,
    /// Nothing: only the watches are created and renewed.
    Watches,
    /// Nothing: what was synced is deleted, after the integration was disconnected.
    Erase,
    /// Nothing: likewise, and then the integration itself.
    Forget,
}
