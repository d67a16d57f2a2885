//! Gmail's own controls: `messages` arrive, are labelled and deleted; any notification can be sent.
//!
//! `GET watches` tells which mailboxes are watched.
//!
//! `POST history_floor` `{"account"?,"floor"?}` forgets the history before an id. `POST history_id` `{"account"?,"history_id"}` lets
//! it go on at an id, unless that is smaller: an unsigned 64-bit integer in decimal text, as in Gmail's own JSON. The messages of
//! `POST unreadable` `{"account"?,"ids"}` can't be read; after `POST watched_elsewhere` `{"account"?}` a watch is refused.
//!
//! `POST messages`: `raw` is the message as it was sent, for its parts; the headers are those of the other fields.
//!
//! `POST send`: `{"account"?,"claims"?,"data"?,"message_id"?}`: fields in place of the usual ones; null leaves one out.

use http::{Method, StatusCode};
use local_base::now;
use serde_json::{Value, json};

use super::Gmail;
use crate::{
    controls::Control,
    emulator::{Outcome, refusal},
    google::person::ACCOUNTS,
};

/// The calls, and the fields of their bodies.
pub(in crate::google) const CONTROLS: &[Control] = &[
    Control("GET", "messages", &[&["account"]]),
    Control(
        "POST",
        "messages",
        &[
            &["account", "silent", "id", "threadId", "from", "to", "subject", "body", "labelIds"],
            &["cc", "bcc", "replyTo", "inReplyTo", "references", "raw"],
        ],
    ),
    Control("POST", "messages/*", &[&["account", "silent", "labelIds"]]),
    Control("DELETE", "messages/*", &[&["account", "silent"]]),
    Control("POST", "history_floor", &[&["account", "floor"]]),
    Control("POST", "history_id", &[&["account", "history_id"]]),
    Control("GET", "watches", &[]),
    Control("POST", "watched_elsewhere", &[&["account"]]),
    Control("POST", "unreadable", &[&["account", "ids"]]),
    Control("POST", "send", &[&["account", "claims", "data", "message_id"]]),
];

impl Gmail {
    pub(in crate::google) fn control(&mut self, method: &Method, path: &[&str], body: &Value) -> Option<Outcome> {
        let account = body["account"].as_str().unwrap_or(ACCOUNTS[0]);
        if (method, path) == (&Method::GET, &["watches"][..]) {
            let watched =
                self.boxes.iter().filter_map(|mailbox| Some((mailbox.account.as_str(), mailbox.watch.as_ref()?)));
            let watches = watched.map(|(account, watch)| json!({ "account": account, "expiration": watch.until }));
            return Some(Outcome::from(watches.collect::<Value>()));
        }
        let unknown = || Some(Outcome::Done(refusal(StatusCode::NOT_FOUND, "there is no such account or message")));
        let Some(place) = self.place(account) else { return unknown() };
        let mailbox = &mut self.boxes[place];
        let (labels, done) = match (method.as_str(), path) {
            ("GET", ["messages"]) => (None, mailbox.all().map(|message| message.labelled()).collect()),
            ("POST", ["messages"]) => {
                let message = mailbox.compose(body, now());
                let message = mailbox.add(message);
                (Some(message.labels.clone()), message.labelled())
            }
            ("POST", ["messages", id]) => {
                let labels = body["labelIds"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let labels: Vec<_> = labels.map(str::to_owned).collect();
                let Some(message) = mailbox.label(id, &labels) else { return unknown() };
                (Some(message.labels.clone()), message.labelled())
            }
            ("DELETE", ["messages", id]) => {
                let Some(message) = mailbox.remove(id) else { return unknown() };
                (Some(message.labels), json!({ "deleted": id }))
            }
            ("POST", ["history_floor"]) => {
                mailbox.floor = body["floor"].as_u64().unwrap_or(mailbox.history_id);
                (None, json!({ "floor": mailbox.floor }))
            }
            ("POST", ["history_id"]) => {
                let id = body["history_id"].as_str().and_then(|id| id.parse::<u64>().ok());
                mailbox.history_id = id.unwrap_or_default().max(mailbox.history_id);
                (None, json!({ "history_id": mailbox.history_id.to_string() }))
            }
            ("POST", ["watched_elsewhere"]) => {
                mailbox.watched_elsewhere = true;
                (None, json!({ "watched_elsewhere": true }))
            }
            ("POST", ["unreadable"]) => {
                let ids = body["ids"].as_array().into_iter().flatten().filter_map(Value::as_str);
                mailbox.unreadable = ids.map(str::to_owned).collect();
                (None, json!({ "unreadable": mailbox.unreadable }))
            }
            ("POST", ["send"]) => return Some(Outcome::Send(self.subscription.notification(&self.boxes[place], body))),
            _ => return None,
        };
        if let Some(labels) = labels.filter(|_| body["silent"] != true) {
            self.notify(place, &labels);
        }
        Some(done.into())
    }
}
