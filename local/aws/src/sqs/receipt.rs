//! Receipt handles: what a receiver shows to delete a message or to change its visibility.
//!
//! *Invariant:* a handle speaks for one receive of one message from one queue; a later receive makes it stale.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{fault::Fault, message::Message};

/// The content of a receipt handle.
#[derive(Debug)]
pub(super) struct Receipt {
    /// The message's place in its queue.
    pub(super) arrival: u64,
    receives: u64,
    id: String,
}

impl Receipt {
    /// The receipt of the message's latest receive.
    pub(super) fn of(arrival: u64, message: &Message) -> Self {
        Self { arrival, receives: message.receives, id: message.id.clone() }
    }

    /// The receipt as receivers of `queue` see it.
    pub(super) fn handle(&self, queue: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{queue}:{}:{}:{}", self.arrival, self.receives, self.id))
    }

    pub(super) fn parse(handle: &str, queue: &str) -> Result<Self, Fault> {
        Self::read(handle, queue).ok_or_else(|| Fault::ReceiptHandleIsInvalid(handle.to_owned()))
    }

    /// Whether this was the latest receive of `message`.
    pub(super) fn is_for(&self, message: &Message) -> bool {
        self.id == message.id && self.receives == message.receives
    }

    fn read(handle: &str, queue: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(handle).ok()?).ok()?;
        let mut parts = text.strip_prefix(queue)?.strip_prefix(':')?.splitn(3, ':');
        Some(Self {
            arrival: parts.next()?.parse().ok()?,
            receives: parts.next()?.parse().ok()?,
            id: parts.next()?.into(),
        })
    }
}
