//! A message of a mailbox, as the parts of the emulator share it.

use jiff::Timestamp;
use serde_json::{Value, json};

#[derive(Clone)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) thread: String,
    pub(super) labels: Vec<String>,
    /// In one line each.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    /// As it was sent, where an app sent it.
    pub(super) raw: Option<Vec<u8>>,
    pub(super) at: Timestamp,
    /// Of its latest change.
    pub(super) history_id: u64,
}

impl Message {
    /// `{"id","threadId"}`.
    pub(super) fn short(&self) -> Value {
        json!({ "id": self.id, "threadId": self.thread })
    }

    /// Likewise, with the labels.
    pub(super) fn labelled(&self) -> Value {
        json!({ "id": self.id, "threadId": self.thread, "labelIds": self.labels })
    }
}
