//! Delivery of webhooks: each is sent, sent again if refused, and listed.
//!
//! Providers retry for hours or days; here the pauses between attempts are short enough to be watched.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Method, Response, Uri};
use hyper::body::Bytes;
use jiff::Timestamp;
use local_base::{lock, now, web::Web};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::chance::Chance;

/// Before the second, third and fourth attempt.
const PAUSES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(500), Duration::from_secs(2)];

/// The headers of an attempt, counted from 1: each has signatures of its own.
pub(super) type Headers = Box<dyn Fn(usize, Timestamp) -> Vec<(&'static str, String)> + Send + Sync>;

pub(super) struct Delivery {
    pub(super) to: To,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
    /// How long the provider waits for an answer.
    pub(super) patience: Duration,
    /// Whether the provider sends again after this answer. It always does without one.
    pub(super) again: fn(&Response<Bytes>) -> bool,
}

pub(super) enum To {
    /// A path of the app that receives webhooks.
    App(&'static str),
    /// An address the app asked for. An https one stands for the app's base URL: the sandbox speaks plain HTTP.
    Address(String),
}

impl To {
    /// The path that it is sent to.
    fn path(&self) -> String {
        match self {
            Self::App(path) => (*path).to_owned(),
            Self::Address(url) => url.parse::<Uri>().map(|uri| uri.path().to_owned()).unwrap_or_default(),
        }
    }
}

/// The base URL of the app, once it is known.
pub(super) type Base = Arc<Mutex<Option<String>>>;

/// Accepts deliveries.
#[derive(Clone)]
pub(super) struct Outbox {
    queue: UnboundedSender<Delivery>,
    sender: Sender,
}

/// Sends what the outbox accepted.
pub(super) struct Courier {
    queue: UnboundedReceiver<Delivery>,
    sender: Sender,
}

#[derive(Clone)]
struct Sender {
    base: Base,
    web: Web,
    sent: Arc<Mutex<Vec<Sent>>>,
    /// Deliveries accepted and neither answered nor given up.
    under_way: Arc<AtomicUsize>,
    /// Deliveries that are held back.
    held: Arc<Mutex<Option<Vec<Delivery>>>>,
    /// Deliveries that are never sent.
    lost: Arc<Mutex<Option<Chance>>>,
}

#[derive(Clone, Serialize)]
struct Sent {
    at: Timestamp,
    path: String,
    /// None without an answer.
    status: Option<u16>,
    attempt: usize,
    /// The body of one that was lost, so never sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<String>,
}

/// The HMAC-SHA256 of a text, in hex.
pub(super) fn hmac(secret: &SecretString, text: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return String::new() };
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

impl Outbox {
    /// An outbox and what empties it.
    pub(super) fn new(base: Base) -> (Self, Courier) {
        let sender = Sender {
            base,
            web: Web::new(),
            sent: Arc::default(),
            under_way: Arc::default(),
            held: Arc::default(),
            lost: Arc::default(),
        };
        let (queue, waiting) = unbounded_channel();
        (Self { queue, sender: sender.clone() }, Courier { queue: waiting, sender })
    }

    /// Sends in the background, and again if refused.
    pub(super) fn send(&self, delivery: Delivery) {
        if let Some(held) = &mut *lock(&self.sender.held) {
            return held.push(delivery);
        }
        if lock(&self.sender.lost).as_mut().is_some_and(Chance::happens) {
            let lost = Some(String::from_utf8_lossy(&delivery.body).into_owned());
            let sent = Sent { at: now(), path: delivery.to.path(), status: None, attempt: 0, lost };
            return lock(&self.sender.sent).push(sent);
        }
        self.sender.under_way.fetch_add(1, Ordering::SeqCst);
        // Refused only while the sandbox stops.
        let _ = self.queue.send(delivery);
    }

    /// Sends once and returns the answer.
    pub(super) async fn send_now(&self, delivery: &Delivery) -> Value {
        match self.sender.attempt(delivery, 1).await {
            Some(answer) => {
                json!({ "status": answer.status().as_u16(), "body": String::from_utf8_lossy(answer.body()) })
            }
            None => json!({ "status": null, "body": null }),
        }
    }

    /// From now on deliveries wait to be taken, or are sent again.
    pub(super) fn hold(&self, hold: bool) {
        *lock(&self.sender.held) = hold.then(Vec::new);
    }

    /// From now on deliveries are lost by this chance; none without it.
    pub(super) fn lose(&self, chance: Option<Chance>) {
        *lock(&self.sender.lost) = chance;
    }

    /// Takes the deliveries that wait, in their order, as they would be sent now.
    pub(super) fn take(&self) -> Value {
        let held = lock(&self.sender.held).as_mut().map(std::mem::take).unwrap_or_default();
        let shown = held.iter().map(|delivery| {
            let headers = (delivery.headers)(1, now());
            let headers: Value =
                headers.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
            let path = match &delivery.to {
                To::App(path) => (*path).to_owned(),
                To::Address(url) => url.clone(),
            };
            json!({ "to": path, "headers": headers, "body": String::from_utf8_lossy(&delivery.body) })
        });
        shown.collect()
    }

    /// How many deliveries are accepted and neither answered nor given up, held ones not among them.
    pub(super) fn under_way(&self) -> usize {
        self.sender.under_way.load(Ordering::SeqCst)
    }

    pub(super) fn sent(&self) -> Value {
        json!(*lock(&self.sender.sent))
    }

    /// Forgets them.
    pub(super) fn forget(&self) {
        lock(&self.sender.sent).clear();
    }
}

impl Courier {
    /// Sends until dropped; deliveries do not wait for each other.
    pub(super) async fn work(mut self) {
        let mut under_way = JoinSet::new();
        while let Some(delivery) = self.queue.recv().await {
            let sender = self.sender.clone();
            under_way.spawn(async move {
                sender.deliver(&delivery).await;
                sender.under_way.fetch_sub(1, Ordering::SeqCst);
            });
            while under_way.try_join_next().is_some() {}
        }
    }
}

impl Sender {
    async fn deliver(&self, delivery: &Delivery) {
        for attempt in 1..=PAUSES.len() + 1 {
            let answer = self.attempt(delivery, attempt).await;
            if answer.is_some_and(|answer| !(delivery.again)(&answer)) {
                return;
            }
            if let Some(pause) = PAUSES.get(attempt - 1) {
                sleep(*pause).await;
            }
        }
    }

    async fn attempt(&self, delivery: &Delivery, attempt: usize) -> Option<Response<Bytes>> {
        let path = delivery.to.path();
        let url = match &delivery.to {
            To::Address(url) if !url.starts_with("https:") => Some(url.clone()),
            To::Address(_) | To::App(_) => lock(&self.base).as_ref().map(|base| format!("{base}{path}")),
        };
        let headers = (delivery.headers)(attempt, now());
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = match &url {
            Some(url) => {
                let call = self.web.call(Method::POST, url, &headers, delivery.body.clone());
                timeout(delivery.patience, call).await.ok().and_then(Result::ok)
            }
            None => None,
        };
        let status = answer.as_ref().map(|answer| answer.status().as_u16());
        lock(&self.sent).push(Sent { at: now(), path, status, attempt, lost: None });
        answer
    }
}
