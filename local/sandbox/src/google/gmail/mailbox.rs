//! A mailbox: messages, and the history of their changes.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use local_base::now;
use serde_json::{Value, json};

use super::{Watch, lazy::Lazy, message::Message};
use crate::opaque::random;

/// The history id of a new mailbox.
const FIRST: u64 = 7000;

pub(super) struct Mailbox {
    /// The address that it had first.
    pub(super) account: String,
    pub(super) address: String,
    /// In the order of arrival.
    pub(super) messages: Vec<Message>,
    /// Older ones, which are made on demand.
    pub(super) lazy: Option<Lazy>,
    pub(super) history: Vec<Change>,
    pub(super) history_id: u64,
    /// History before this one is forgotten.
    pub(super) floor: u64,
    pub(super) watch: Option<Watch>,
    /// Whether another app of the same developer watches it.
    pub(super) watched_elsewhere: bool,
    /// The ids of messages that are listed and can't be read.
    pub(super) unreadable: Vec<String>,
}

pub(super) struct Change {
    pub(super) id: u64,
    /// `messagesAdded`, `messagesDeleted`, `labelsAdded`, `labelsRemoved`.
    pub(super) kind: &'static str,
    pub(super) message: Message,
    /// Those that were added or removed.
    pub(super) labels: Vec<String>,
}

impl Mailbox {
    pub(super) fn empty(account: &str) -> Self {
        Self {
            account: account.to_owned(),
            address: account.to_owned(),
            messages: Vec::new(),
            lazy: None,
            history: Vec::new(),
            history_id: FIRST,
            floor: FIRST,
            watch: None,
            watched_elsewhere: false,
            unreadable: Vec::new(),
        }
    }

    /// Six messages, an hour apart.
    pub(super) fn seed(account: &str) -> Self {
        let mut mailbox = Self::empty(account);
        let subjects =
            ["Welcome", "Your invoice", "Lunch?", "Minutes of the meeting", "Release on Friday", "Re: Lunch?"];
        let mut hours = 6;
        for subject in subjects {
            let mail = json!({
                "subject": subject, "from": "Grace Hopper <grace@example.com>", "body": format!("About {subject}."),
            });
            let message = mailbox.compose(&mail, now() - SignedDuration::from_hours(hours));
            mailbox.add(message);
            hours -= 1;
        }
        mailbox
    }

    /// A message of these fields, not yet in the mailbox.
    pub(super) fn compose(&self, mail: &Value, at: Timestamp) -> Message {
        let text = |name: &str, default: &str| mail[name].as_str().unwrap_or(default).to_owned();
        let id = text("id", &random(16));
        let mut headers = vec![
            ("From".to_owned(), text("from", "Grace Hopper <grace@example.com>")),
            ("To".to_owned(), text("to", &self.address)),
            ("Subject".to_owned(), text("subject", "Hello")),
            ("Date".to_owned(), at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()),
            ("Message-ID".to_owned(), format!("<{id}@mail.gmail.com>")),
        ];
        let further = [
            ("Cc", "cc"),
            ("Bcc", "bcc"),
            ("Reply-To", "replyTo"),
            ("In-Reply-To", "inReplyTo"),
            ("References", "references"),
        ];
        for (name, field) in further {
            headers.extend(mail[field].as_str().map(|value| (name.to_owned(), value.to_owned())));
        }
        let labels = mail["labelIds"]
            .as_array()
            .map(|labels| labels.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        Message {
            thread: text("threadId", &id),
            id,
            labels: labels.unwrap_or_else(|| vec!["INBOX".to_owned(), "UNREAD".to_owned()]),
            headers,
            body: text("body", "Hello."),
            raw: mail["raw"].as_str().map(|raw| raw.as_bytes().to_vec()),
            at,
            history_id: 0,
        }
    }

    /// A message arrives, or is sent.
    pub(super) fn add(&mut self, mut message: Message) -> &Message {
        message.history_id = self.note("messagesAdded", &message, Vec::new());
        self.messages.push(message);
        &self.messages[self.messages.len() - 1]
    }

    /// The mailbox has this many messages and no others. The history before is forgotten.
    pub(super) fn fill(&mut self, seed: u32, messages: u32) {
        self.history_id += 13;
        self.floor = self.history_id;
        self.messages.clear();
        self.lazy = Some(Lazy::new(seed, messages, now(), self.history_id));
    }

    /// All messages, the oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = Cow<'_, Message>> {
        let lazy = self.lazy.iter().flat_map(|lazy| lazy.from(0).filter_map(|number| lazy.message(number)));
        let lazy: Vec<_> = lazy.collect();
        lazy.into_iter().rev().map(Cow::Owned).chain(self.messages.iter().map(Cow::Borrowed))
    }

    /// The message of this id.
    pub(super) fn find(&self, id: &str) -> Option<Cow<'_, Message>> {
        if let Some(message) = self.messages.iter().find(|message| message.id == id) {
            return Some(Cow::Borrowed(message));
        }
        let lazy = self.lazy.as_ref()?;
        lazy.message(lazy.number(id)?).map(Cow::Owned)
    }

    /// A message is deleted for good.
    pub(super) fn remove(&mut self, id: &str) -> Option<Message> {
        let message = self.find(id)?.into_owned();
        match self.lazy.as_mut().and_then(|lazy| Some((lazy.number(id)?, lazy))) {
            Some((number, lazy)) => lazy.remove(number),
            None => self.messages.retain(|message| message.id != id),
        }
        self.note("messagesDeleted", &message, Vec::new());
        Some(message)
    }

    /// A message has these labels now.
    pub(super) fn label(&mut self, id: &str, labels: &[String]) -> Option<Message> {
        let mut message = self.find(id)?.into_owned();
        let before = std::mem::replace(&mut message.labels, labels.to_vec());
        let added: Vec<_> = labels.iter().filter(|label| !before.contains(label)).cloned().collect();
        let removed: Vec<_> = before.into_iter().filter(|label| !labels.contains(label)).collect();
        for (kind, labels) in [("labelsAdded", added), ("labelsRemoved", removed)] {
            if !labels.is_empty() {
                message.history_id = self.note(kind, &message, labels);
            }
        }
        match self.lazy.as_mut().and_then(|lazy| Some((lazy.number(id)?, lazy))) {
            Some((number, lazy)) => lazy.label(number, labels, message.history_id),
            None => {
                let place = self.messages.iter().position(|message| message.id == id)?;
                self.messages[place] = message.clone();
            }
        }
        Some(message)
    }

    pub(super) fn threads(&self) -> usize {
        let mut threads: Vec<_> = self.messages.iter().map(|message| &message.thread).collect();
        threads.sort();
        threads.dedup();
        threads.len()
    }

    /// History ids have gaps.
    fn note(&mut self, kind: &'static str, message: &Message, labels: Vec<String>) -> u64 {
        self.history_id += 13;
        self.history.push(Change { id: self.history_id, kind, message: message.clone(), labels });
        self.history_id
    }
}
