//! Gmail, version 1: <https://developers.google.com/workspace/gmail/api/reference/rest>.

mod control;
mod history;
mod labels;
mod lazy;
mod mailbox;
mod message;
mod messages;
mod push;
mod resumable;
mod send;

#[cfg(test)]
mod tests;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub(super) use self::control::CONTROLS;
pub use self::push::push_token;
use self::{
    mailbox::Mailbox,
    push::Subscription,
    resumable::{Step, Uploads},
    send::Draft,
};
use super::{WATCH_LIFE, caller::Caller, person::ACCOUNTS, refusal::Refusal, signer::Signer};
use crate::{
    app::App,
    call::{Call, Reply},
    deliver::Outbox,
};
use local_base::now;

const FULL: &str = "https://mail.google.com/";
const READ: &[&str] = &[FULL, "gmail.modify", "gmail.readonly", "gmail.metadata"];
/// Bodies are not for a token with `gmail.metadata` alone.
const READ_BODY: &[&str] = &[FULL, "gmail.modify", "gmail.readonly"];
const PROFILE: &[&str] = &[FULL, "gmail.modify", "gmail.compose", "gmail.readonly", "gmail.metadata"];
const LABELS: &[&str] = &[FULL, "gmail.modify", "gmail.readonly", "gmail.labels", "gmail.metadata"];
const SEND: &[&str] = &[FULL, "gmail.modify", "gmail.compose", "gmail.send"];

pub(super) struct Gmail {
    boxes: Vec<Mailbox>,
    uploads: Uploads,
    subscription: Subscription,
    outbox: Outbox,
    /// Seconds that a new watch lives.
    pub(super) watch_life: i64,
}

/// A standing order for notifications.
struct Watch {
    until: Timestamp,
    /// None means all.
    labels: Vec<String>,
}

impl Gmail {
    pub(super) fn new(signer: Signer, app: &App, outbox: Outbox) -> Self {
        let [ada, grace] = ACCOUNTS;
        let subscription = Subscription {
            signer,
            topic: app.setting("pubsub_topic").to_owned(),
            audience: app.setting("push_audience").to_owned(),
            service_account: app.setting("push_service_account").to_owned(),
        };
        let boxes = vec![Mailbox::seed(ada), Mailbox::empty(grace)];
        Self { boxes, uploads: Uploads::default(), subscription, outbox, watch_life: WATCH_LIFE }
    }

    /// Answers a call; `path` is what follows the user.
    pub(super) fn answer(&mut self, caller: &Caller, path: &[&str], call: &Call) -> Result<Reply, Refusal> {
        let place = self.place(&caller.account).ok_or_else(Refusal::not_found)?;
        let mailbox = &self.boxes[place];
        match (call.method.as_str(), path) {
            ("GET", ["profile"]) => {
                caller.needs(PROFILE)?;
                let lazy = mailbox.lazy.as_ref().map_or(0, lazy::Lazy::len);
                let (messages, threads) = (mailbox.messages.len() + lazy, mailbox.threads() + lazy);
                Ok(Reply::json(
                    StatusCode::OK,
                    &json!({
                        "emailAddress": mailbox.address, "historyId": mailbox.history_id.to_string(),
                        "messagesTotal": messages,
                        "threadsTotal": threads,
                    }),
                ))
            }
            ("GET", ["messages"]) => {
                caller.needs(READ)?;
                if call.query.get("q").is_some() {
                    caller.needs(READ_BODY)?;
                }
                mailbox.list(&call.query)
            }
            ("GET", ["messages", id]) => {
                caller.needs(READ)?;
                if matches!(call.query.get("format"), None | Some("full" | "raw")) {
                    caller.needs(READ_BODY)?;
                }
                mailbox.get(id, &call.query)
            }
            ("GET", ["labels"]) => {
                caller.needs(LABELS)?;
                Ok(mailbox.list_labels())
            }
            ("POST", ["messages", "send"]) => {
                caller.needs(SEND)?;
                let draft = Draft::of_json(call, &body(call)?)?;
                self.send(place, draft).map(|sent| Reply::json(StatusCode::OK, &sent))
            }
            ("GET", ["history"]) => {
                caller.needs(READ)?;
                mailbox.list_history(&call.query)
            }
            ("POST", ["watch"]) => {
                caller.needs(READ)?;
                self.watch(place, &body(call)?)
            }
            ("POST", ["stop"]) => {
                caller.needs(READ)?;
                self.boxes[place].watch = None;
                self.boxes[place].watched_elsewhere = false;
                Ok(Reply::empty(StatusCode::NO_CONTENT))
            }
            _ => Err(Refusal::not_found()),
        }
    }

    /// Answers a call of the address for uploads, likewise.
    pub(super) fn upload(&mut self, caller: &Caller, path: &[&str], call: &Call) -> Result<Reply, Refusal> {
        let place = self.place(&caller.account).ok_or_else(Refusal::not_found)?;
        match (call.method.as_str(), path) {
            ("POST", ["messages", "send"]) => {
                caller.needs(SEND)?;
                if call.query.get("uploadType") == Some("resumable") {
                    return self.uploads.begin(&caller.account, call);
                }
                self.send(place, Draft::of_upload(call)?).map(|sent| Reply::json(StatusCode::OK, &sent))
            }
            ("PUT", ["messages", "send"]) => {
                caller.needs(SEND)?;
                match self.uploads.take(&caller.account, call)? {
                    Step::Answer(answer) => Ok(answer),
                    Step::Whole(id, draft) => {
                        let sent = self.send(place, draft)?;
                        self.uploads.sent(&id, &sent);
                        Ok(Reply::json(StatusCode::OK, &sent))
                    }
                }
            }
            _ => Err(Refusal::not_found()),
        }
    }

    fn send(&mut self, place: usize, draft: Draft) -> Result<Value, Refusal> {
        let sent = self.boxes[place].send(draft)?;
        self.notify(place, &["SENT".to_owned()]);
        Ok(sent)
    }

    /// An account has another address now: notifications name it.
    pub(super) fn rename(&mut self, account: &str, address: &str) {
        if let Some(place) = self.place(account) {
            address.clone_into(&mut self.boxes[place].address);
        }
    }

    /// An account has a mailbox with this many messages, which are made on demand, and no others.
    pub(super) fn fill(&mut self, account: &str, seed: u32, messages: u32) {
        let place = self.place(account).unwrap_or_else(|| {
            self.boxes.push(Mailbox::empty(account));
            self.boxes.len() - 1
        });
        self.boxes[place].fill(seed, messages);
    }

    fn place(&self, account: &str) -> Option<usize> {
        self.boxes.iter().position(|mailbox| mailbox.account == account)
    }

    /// `users.watch`: <https://developers.google.com/workspace/gmail/api/guides/push>.
    fn watch(&mut self, place: usize, wanted: &Value) -> Result<Reply, Refusal> {
        let topic = wanted["topicName"].as_str().unwrap_or_default();
        let shape = topic.strip_prefix("projects/").and_then(|rest| rest.split_once("/topics/"));
        if shape.is_none_or(|(project, name)| project.is_empty() || name.is_empty()) {
            return Err(Refusal::bad("invalidArgument", "Invalid topicName does not match projects/sandbox/topics/*"));
        }
        if topic != self.subscription.topic {
            let message = format!("Error sending test message to Cloud PubSub {topic} : Resource not found.");
            return Err(Refusal { message, ..Refusal::not_found() });
        }
        if self.boxes[place].watched_elsewhere {
            let message = "Only one user push notification client allowed per developer (call /stop then try again)";
            return Err(Refusal::bad("failedPrecondition", message));
        }
        let labels = wanted["labelIds"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        let watch = Watch { until: now() + SignedDuration::from_secs(self.watch_life), labels: labels.collect() };
        let mailbox = &mut self.boxes[place];
        let expiration = watch.until.as_millisecond().to_string();
        let answer = json!({ "historyId": mailbox.history_id.to_string(), "expiration": expiration });
        mailbox.watch = Some(watch);
        // A watch begins with a notification.
        self.outbox.send(self.subscription.notification(&self.boxes[place], &json!({})));
        Ok(Reply::json(StatusCode::OK, &answer))
    }

    /// Notifies of a change to messages with these labels, if a watch covers them.
    fn notify(&self, place: usize, labels: &[String]) {
        let mailbox = &self.boxes[place];
        let watched = mailbox.watch.as_ref().is_some_and(|watch| {
            watch.until > now() && (watch.labels.is_empty() || labels.iter().any(|label| watch.labels.contains(label)))
        });
        if watched {
            self.outbox.send(self.subscription.notification(mailbox, &json!({})));
        }
    }
}

fn body(call: &Call) -> Result<Value, Refusal> {
    let body = if call.body.is_empty() { Some(json!({})) } else { call.json() };
    body.filter(Value::is_object).ok_or_else(|| Refusal::bad("parseError", "Parse Error"))
}

/// `maxResults`, and where a page begins.
fn limit(text: Option<&str>, default: usize) -> Result<usize, Refusal> {
    match text.map(str::parse) {
        None => Ok(default),
        Some(Ok(limit @ 1..)) => Ok(limit.min(500)),
        Some(Ok(_) | Err(_)) => Err(Refusal::bad("invalidArgument", "Invalid maxResults")),
    }
}
