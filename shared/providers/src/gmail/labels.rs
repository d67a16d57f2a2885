//! Which messages carry which label: a list of the labels, and then one list of messages for each.
//!
//! <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.labels/list> and …/users.messages/list, read 2026-11. The
//! list of messages gives ids alone, and asking for a message in any format costs 20 units, so that no call tells more for less.

use domain::{Reply, Request, call::Unreadable};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    SPEC, normalise,
    pages::{LIMIT, List},
};
use crate::{
    TagsPage,
    stream::{following, place},
};

/// Null before the labels are known.
#[derive(Serialize, Deserialize)]
struct Position {
    /// The labels whose messages are still to be listed, the next one first.
    left: Vec<String>,
    page: Option<String>,
}

#[derive(Deserialize)]
struct Labels {
    labels: Vec<Label>,
}

#[derive(Deserialize)]
struct Label {
    id: String,
}

pub(super) fn request(position: &Value) -> Result<Request, Unreadable> {
    let Some(Position { left, page }) = read(position)? else { return Ok(SPEC.get("/users/me/labels", "")) };
    let label = left.first().ok_or(NONE)?;
    let request = SPEC.get("/users/me/messages", "").query([("labelIds", label.as_str())]).query([LIMIT]);
    Ok(request.query(page.as_deref().map(|page| ("pageToken", page))))
}

pub(super) fn page(position: &Value, reply: &Reply) -> Result<TagsPage, Unreadable> {
    let Some(Position { mut left, page }) = read(position)? else {
        let Labels { labels } = reply.json()?;
        // What is in spam or trash is not listed here, and no record has these labels.
        let left = labels.into_iter().map(|label| label.id).filter(|id| !normalise::GONE.contains(&id.as_str()));
        return Ok(TagsPage { tag: String::new(), ids: Vec::new(), next: next(left.collect(), None) });
    };
    let (ids, token) = reply.json::<List>()?.ids()?;
    let tag = left.first().ok_or(NONE)?.clone();
    let page = following(token, page.as_deref())?;
    if page.is_none() {
        left.remove(0);
    }
    Ok(TagsPage { tag, ids, next: next(left, page) })
}

/// The labels in the data of a record.
pub(super) fn of(data: &Value) -> Vec<&str> {
    data.get("label_ids").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

const NONE: Unreadable = Unreadable("no position of the lists of labels");

fn next(left: Vec<String>, page: Option<String>) -> Option<Value> {
    (!left.is_empty()).then(|| json!(Position { left, page }))
}

fn read(position: &Value) -> Result<Option<Position>, Unreadable> {
    place(position).ok_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(position: &Value, body: &Value) -> Result<TagsPage, Unreadable> {
        page(position, &Reply { status: 200, body: body.to_string().into(), ..Reply::default() })
    }

    fn path(position: &Value) -> String {
        request(position).unwrap().url.rsplit_once("/me/").unwrap().1.to_owned()
    }

    #[test]
    fn the_messages_of_each_label_are_listed_but_for_spam_and_trash() {
        assert_eq!(path(&Value::Null), "labels");
        let labels = json!({"labels": [{"id": "INBOX"}, {"id": "TRASH"}, {"id": "SPAM"}, {"id": "Label_1"}]});
        let inbox = turn(&Value::Null, &labels).unwrap().next.unwrap();
        assert_eq!(path(&inbox), "messages?labelIds=INBOX&maxResults=500");
        let body = json!({"messages": [{"id": "a"}, {"id": "b"}], "nextPageToken": "p2", "resultSizeEstimate": 3});
        let first = turn(&inbox, &body).unwrap();
        assert_eq!((first.tag.as_str(), first.ids), ("INBOX", vec!["a".to_owned(), "b".to_owned()]));
        let second = first.next.unwrap();
        assert_eq!(path(&second), "messages?labelIds=INBOX&maxResults=500&pageToken=p2");
        assert!(turn(&second, &body).is_err(), "a page that follows itself");
        let own = turn(&second, &json!({"messages": [{"id": "c"}], "resultSizeEstimate": 1})).unwrap().next.unwrap();
        assert_eq!(path(&own), "messages?labelIds=Label_1&maxResults=500");
        let last = turn(&own, &json!({"resultSizeEstimate": 0})).unwrap();
        assert_eq!((last.tag.as_str(), last.ids.len(), last.next), ("Label_1", 0, None));
        assert!(turn(&own, &json!({})).is_err() && turn(&Value::Null, &json!({})).is_err());
        assert!(turn(&Value::Null, &json!({"labels": []})).unwrap().next.is_none());
    }

    #[test]
    fn a_record_tells_its_labels() {
        assert_eq!(of(&json!({"label_ids": ["INBOX", "Label_1"]})), ["INBOX", "Label_1"]);
        assert_eq!(of(&json!({})), [""; 0], "a message without labels has none");
    }
}
