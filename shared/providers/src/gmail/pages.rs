//! A mailbox, page by page: <https://developers.google.com/workspace/gmail/api/guides/sync>, read 2026-11.
//!
//! A full run takes the mailbox's place in its history first and lists all messages then, so that what happens meanwhile is
//! found by the next run. An incremental one reads the history since that place. Both name messages only; each is then asked for.

use std::collections::BTreeMap;

use domain::{Change, Reply, Request, call::Unreadable};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{SPEC, normalise};
use crate::{
    About, Next, StreamPage,
    stream::{following, place},
};

/// Messages or history entries on a page, the most that Gmail documents for both:
/// <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/list> and …/users.history/list, read 2026-11. Each
/// message on it that is asked for costs a call; the worker asks for them in portions.
pub(super) const LIMIT: (&str, &str) = ("maxResults", "500");
/// What in a history brings a message up to date.
const HISTORY: &[&str] = &["messageAdded", "messageDeleted", "labelAdded", "labelRemoved"];

#[derive(Deserialize)]
struct Cursor {
    history_id: String,
}

/// Null at the start of a full run.
#[derive(Default, Serialize, Deserialize)]
struct Position {
    /// Where the next run begins.
    history_id: Option<String>,
    /// Where this one began, if it reads the history.
    since: Option<String>,
    page: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    history_id: String,
}

/// A page of a list of messages.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List {
    messages: Option<Vec<Named>>,
    next_page_token: Option<String>,
    /// There even if no message is.
    result_size_estimate: Option<u64>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    #[serde(default, rename = "history")]
    entries: Vec<Entry>,
    next_page_token: Option<String>,
    history_id: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Entry {
    messages_added: Vec<Mentioned>,
    labels_added: Vec<Mentioned>,
    labels_removed: Vec<Mentioned>,
    messages_deleted: Vec<Mentioned>,
}

#[derive(Deserialize)]
struct Mentioned {
    message: Named,
}

pub(super) fn begin(cursor: Option<&Value>) -> Option<Value> {
    let Some(cursor) = cursor else { return Some(Value::Null) };
    let since = place::<Cursor>(cursor)?.history_id;
    number(&since).ok()?;
    Some(json!(Position { since: Some(since), ..Position::default() }))
}

pub(super) fn request(position: &Value) -> Result<Request, Unreadable> {
    let Position { history_id, since, page } = read(position)?;
    let request = match (&since, &history_id) {
        (Some(since), _) => SPEC
            .get("/users/me/history", "")
            .query([("startHistoryId", since.as_str())])
            .query(HISTORY.iter().map(|kind| ("historyTypes", *kind))),
        (None, Some(_)) => SPEC.get("/users/me/messages", ""),
        (None, None) => return Ok(SPEC.get("/users/me/profile", "")),
    };
    Ok(request.query([LIMIT]).query(page.as_deref().map(|page| ("pageToken", page))))
}

pub(super) fn page(position: &Value, reply: &Reply, asked_at: Timestamp) -> Result<StreamPage, Unreadable> {
    let position = read(position)?;
    match (&position.since, &position.history_id) {
        (Some(_), _) => changed(position, reply.json()?, asked_at),
        (None, Some(_)) => listed(position, reply.json()?, asked_at),
        (None, None) => {
            let Profile { history_id } = reply.json()?;
            number(&history_id)?;
            let next = Position { history_id: Some(history_id), ..position };
            Ok(StreamPage::new(Vec::new(), Next::Page(json!(next))))
        }
    }
}

/// A full run knows the mailbox's place before it lists anything.
pub(super) fn meanwhile(position: &Value) -> Option<Value> {
    let Position { history_id, since, .. } = read(position).ok()?;
    history_id.filter(|_| since.is_none()).map(|history_id| json!({ "history_id": history_id }))
}

/// Histories are kept for about a week, sometimes for hours. What is older is not found.
pub(super) fn about(position: &Value) -> About {
    About::list(read(position).is_ok_and(|position| position.since.is_some() || position.page.is_some()))
}

/// The call for a message that could not be read.
pub(super) fn again(id: &str, asked_at: Timestamp) -> Option<(Request, Change)> {
    Some(normalise::detail(normalise::key(id).ok()?, asked_at))
}

impl List {
    /// The ids on it, and the mark of the next page.
    pub(super) fn ids(self) -> Result<(Vec<String>, Option<String>), Unreadable> {
        if self.messages.is_none() && self.result_size_estimate.is_none() {
            return Err(Unreadable("a list without its items"));
        }
        Ok((self.messages.unwrap_or_default().into_iter().map(|named| named.id).collect(), self.next_page_token))
    }
}

fn listed(position: Position, list: List, asked_at: Timestamp) -> Result<StreamPage, Unreadable> {
    let (ids, next) = list.ids()?;
    let mut details = Vec::new();
    for id in ids {
        details.push(normalise::detail(normalise::key(&id)?, asked_at));
    }
    Ok(StreamPage { changes: Vec::new(), details, next: position.next(next)?, whole: None })
}

fn changed(mut position: Position, history: Changes, asked_at: Timestamp) -> Result<StreamPage, Unreadable> {
    number(&history.history_id)?;
    // The mailbox goes on while pages are read; what came after the first one is read again.
    position.history_id.get_or_insert(history.history_id);
    // Entries are in order: the last one of a message counts.
    let mut last = BTreeMap::new();
    for entry in history.entries {
        let there = [entry.messages_added, entry.labels_added, entry.labels_removed].into_iter().flatten();
        let gone = entry.messages_deleted.into_iter();
        for (about, is_gone) in there.map(|about| (about, false)).chain(gone.map(|about| (about, true))) {
            last.insert(normalise::key(&about.message.id)?, is_gone);
        }
    }
    let (mut changes, mut details) = (Vec::new(), Vec::new());
    for (key, is_gone) in last {
        if is_gone {
            changes.push(normalise::tombstone(key, asked_at));
        } else {
            details.push(normalise::detail(key, asked_at));
        }
    }
    Ok(StreamPage { changes, details, next: position.next(history.next_page_token)?, whole: None })
}

impl Position {
    fn next(self, page: Option<String>) -> Result<Next, Unreadable> {
        Ok(match following(page, self.page.as_deref())? {
            Some(page) => Next::Page(json!(Self { page: Some(page), ..self })),
            None => Next::Done(json!({ "history_id": self.history_id })),
        })
    }
}

fn read(position: &Value) -> Result<Position, Unreadable> {
    let position: Option<Option<Position>> = place(position);
    Ok(position.ok_or(Unreadable("no position of a run"))?.unwrap_or_default())
}

/// A place in the history is an unsigned 64-bit integer, as decimal text; longer ones are taken as they are.
fn number(history_id: &str) -> Result<(), Unreadable> {
    let is_number = (1..=64).contains(&history_id.len()) && history_id.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(()).ok_or(Unreadable("a place in the history that is no number"))
}

#[cfg(test)]
mod tests;
