//! `users.history.list`: what changed since a history id.
//!
//! <https://developers.google.com/workspace/gmail/api/guides/sync>: ids have gaps; one that is too old is 404.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    limit,
    mailbox::{Change, Mailbox},
};
use crate::{
    call::Reply,
    form::Form,
    google::refusal::Refusal,
    opaque::{open, seal},
};

/// `historyTypes`, and the field of a record each stands for.
const TYPES: [(&str, &str); 4] = [
    ("messageAdded", "messagesAdded"),
    ("messageDeleted", "messagesDeleted"),
    ("labelAdded", "labelsAdded"),
    ("labelRemoved", "labelsRemoved"),
];

impl Mailbox {
    pub(super) fn list_history(&self, query: &Form) -> Result<Reply, Refusal> {
        let invalid = |words| Refusal::bad("invalidArgument", words);
        let start = query.get("startHistoryId").ok_or_else(|| invalid("Missing required parameter: startHistoryId"))?;
        let start: u64 = start.parse().map_err(|_| invalid("Invalid startHistoryId"))?;
        if start < self.floor || start > self.history_id {
            let message = "Requested entity was not found.".to_owned();
            return Err(Refusal { message, ..Refusal::not_found() });
        }
        let after = match query.get("pageToken") {
            None => start,
            Some(token) => open(token).and_then(|value| value.as_u64()).ok_or_else(|| invalid("Invalid pageToken"))?,
        };
        let types: Vec<_> = query.all("historyTypes").collect();
        if types.iter().any(|wanted| !TYPES.iter().any(|(name, _)| name == wanted)) {
            return Err(invalid("Invalid value at 'history_types'"));
        }
        let meant = |change: &&Change| {
            let name = TYPES.iter().find(|(_, field)| *field == change.kind).map(|(name, _)| *name);
            let label = query.get("labelId").is_none_or(|label| change.message.labels.iter().any(|own| own == label));
            change.id > after && label && (types.is_empty() || types.iter().any(|wanted| Some(*wanted) == name))
        };
        let limit = limit(query.get("maxResults"), 100)?;
        let mut found: Vec<_> = self.history.iter().filter(meant).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let mut answer = json!({ "historyId": self.history_id.to_string() });
        // An empty history is left out.
        if !found.is_empty() {
            answer["history"] = found.iter().map(|change| change.record()).collect();
        }
        if let Some(last) = found.last().filter(|_| more) {
            answer["nextPageToken"] = seal(&json!(last.id)).into();
        }
        Ok(Reply::json(StatusCode::OK, &answer).more(more))
    }
}

impl Change {
    fn record(&self) -> Value {
        let mut entry = json!({ "message": self.message.labelled() });
        if !self.labels.is_empty() {
            entry["labelIds"] = json!(self.labels);
        }
        json!({ "id": self.id.to_string(), "messages": [self.message.short()], self.kind: [entry] })
    }
}
