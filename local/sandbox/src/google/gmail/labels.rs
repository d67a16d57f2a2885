//! `users.labels.list`: <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.labels/list>, read 2026-11.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::{Value, json};

use super::{lazy::USER_LABELS, mailbox::Mailbox};
use crate::call::Reply;

/// <https://developers.google.com/workspace/gmail/api/guides/labels>, read 2026-11.
const SYSTEM: [&str; 14] = [
    "CHAT",
    "SENT",
    "INBOX",
    "IMPORTANT",
    "TRASH",
    "DRAFT",
    "SPAM",
    "CATEGORY_FORUMS",
    "CATEGORY_UPDATES",
    "CATEGORY_PERSONAL",
    "CATEGORY_PROMOTIONS",
    "CATEGORY_SOCIAL",
    "STARRED",
    "UNREAD",
];

impl Mailbox {
    /// Every label that there is: those of the system, and whatever else a message has.
    pub(super) fn list_labels(&self) -> Reply {
        let own = self.messages.iter().flat_map(|message| &message.labels).map(String::as_str);
        let lazy = self.lazy.iter().flat_map(|_| USER_LABELS);
        let own: BTreeSet<&str> = own.chain(lazy).filter(|label| !SYSTEM.contains(label)).collect();
        let system = SYSTEM.iter().map(|id| json!({ "id": id, "name": id, "type": "system" }));
        let own = own.iter().map(|id| json!({ "id": id, "name": id.replace('_', " "), "type": "user" }));
        let labels: Vec<Value> = system.chain(own).collect();
        Reply::json(StatusCode::OK, &json!({ "labels": labels }))
    }
}
