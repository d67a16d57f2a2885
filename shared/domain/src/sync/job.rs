//! What a sync is asked to do.

use serde::{Deserialize, Serialize};

use crate::sync::record::RecordKey;

/// What a report of a change is about, so that no more than that is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything that changed.
    #[default]
    All,
    /// This object.
    Object(RecordKey),
    /// What the watch with this channel reports changes of.
    Channel(String),
}

impl Scope {
    /// Whether it is everything that changed.
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// What a sync is asked to do. The names in messages are older than the variants and stay, for messages that wait in a queue
/// during an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncJob {
    /// Reads everything, and deletes the records of what is gone at the provider.
    Full,
    /// Reads what changed since the cursor.
    Incremental,
    /// Creates and renews watches, and reads nothing.
    #[serde(rename = "watches")]
    RenewWatches,
    /// Deletes what was synced, after the integration was disconnected.
    #[serde(rename = "erase")]
    PurgeRecords,
    /// Deletes what was synced, and then the integration itself.
    #[serde(rename = "forget")]
    DeleteIntegration,
}
