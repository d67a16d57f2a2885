//! A message: checked once when it is sent, then carried unchanged through receives, dead-letter queue and redrive.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    attributes::{self, Attributes, allowed},
    fault::Fault,
    settings::{MAX_DELAY_SECONDS, Settings},
    wire::{ReceiveMessage, Sending, ranged},
};

/// What was sent, and what happened to it so far.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// `MessageId`: kept on the way to the dead-letter queue, new after a redrive.
    pub(super) id: String,
    /// The tenant, on fair queues.
    pub(super) group: Option<String>,
    /// When it was sent; the retention period counts from here, in the dead-letter queue too.
    pub(super) sent: Duration,
    /// How often it was received; the dead-letter queue counts on.
    pub(super) receives: u64,
    pub(super) first_received: Option<Duration>,
    /// The ARN of the queue from which it came into this dead-letter queue.
    pub(super) source: Option<String>,
    body: String,
    attributes: Attributes,
}

impl Message {
    /// Checks what a sender gave, and answers the message and its delay.
    pub(super) fn accept(entry: Sending, settings: &Settings, now: Duration) -> Result<(Self, Duration), Fault> {
        let bytes = entry.bytes();
        let Sending { message_body: body, message_attributes: attributes, message_group_id: group, .. } = entry;
        if body.is_empty() {
            return Err(Fault::MissingParameter("MessageBody"));
        }
        if !body.chars().all(allowed) {
            return Err(Fault::InvalidMessageContents);
        }
        attributes::check(&attributes)?;
        if bytes > settings.max_bytes {
            return Err(Fault::InvalidParameterValue(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {} bytes, not {bytes}.",
                settings.max_bytes
            )));
        }
        if let Some(group) = group.as_deref().filter(|group| !group_allowed(group)) {
            let reason = "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.";
            return Err(Fault::parameter("MessageGroupId", group, reason));
        }
        let delay = match entry.delay_seconds {
            None => settings.delay,
            Some(seconds) => Duration::from_secs(ranged("DelaySeconds", seconds, 0..=MAX_DELAY_SECONDS)?),
        };
        let id = Uuid::new_v4().to_string();
        let message = Self { id, group, sent: now, receives: 0, first_received: None, source: None, body, attributes };
        Ok((message, delay))
    }

    /// The answer to the sender.
    pub(super) fn receipt(&self) -> Value {
        let mut receipt = json!({"MessageId": self.id, "MD5OfMessageBody": attributes::md5_hex(self.body.as_bytes())});
        if let Some(digest) = attributes::digest(&self.attributes) {
            receipt["MD5OfMessageAttributes"] = digest.into();
        }
        receipt
    }

    /// The message as the receiver asked for it.
    pub(super) fn delivery(&self, handle: &str, wanted: &ReceiveMessage, sender: &str) -> Value {
        let mut delivery = json!({
            "MessageId": self.id,
            "ReceiptHandle": handle,
            "Body": self.body,
            "MD5OfBody": attributes::md5_hex(self.body.as_bytes()),
        });
        let system: BTreeMap<_, _> =
            self.system_attributes(sender).into_iter().filter(|(name, _)| wanted.wants_system(name)).collect();
        if !system.is_empty() {
            delivery["Attributes"] = json!(system);
        }
        let own: BTreeMap<_, _> = self.attributes.iter().filter(|(name, _)| wanted.wants(name)).collect();
        if let Some(digest) = attributes::digest(own.clone()) {
            delivery["MD5OfMessageAttributes"] = digest.into();
            delivery["MessageAttributes"] = json!(own);
        }
        delivery
    }

    /// The message as redrive sends it again: as if new.
    pub(super) fn renewed(self, now: Duration) -> Self {
        let id = Uuid::new_v4().to_string();
        Self { id, sent: now, receives: 0, first_received: None, source: None, ..self }
    }

    fn system_attributes(&self, sender: &str) -> Vec<(&'static str, String)> {
        let optional = [
            ("ApproximateFirstReceiveTimestamp", self.first_received.map(|at| at.as_millis().to_string())),
            ("DeadLetterQueueSourceArn", self.source.clone()),
            ("MessageGroupId", self.group.clone()),
        ];
        let mut all: Vec<_> = optional.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        all.push(("ApproximateReceiveCount", self.receives.to_string()));
        all.push(("SenderId", sender.to_owned()));
        all.push(("SentTimestamp", self.sent.as_millis().to_string()));
        all
    }
}

fn group_allowed(group: &str) -> bool {
    (1..=128).contains(&group.len()) && group.bytes().all(|b| b.is_ascii_graphic())
}
