//! One standard queue: which message a receive gets, and when.
//!
//! A message is *delayed*, *visible* or *in flight*. It becomes visible by the passing of time alone, so nothing is
//! stored about it: `visible_at` decides.
//! *Invariant:* a message leaves by deletion, expiry, or to another queue; nothing else loses it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    fault::Fault,
    message::Message,
    receipt::Receipt,
    settings::{MAX_VISIBILITY, Settings},
    wire::{Deletion, PurgeQueue, Sending, VisibilityChange, ranged},
};

/// How many messages a queue holds in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Depth {
    pub(super) visible: usize,
    pub(super) in_flight: usize,
    pub(super) delayed: usize,
    /// Messages that came so far.
    pub(super) sent: u64,
    /// Deliveries to receivers so far.
    pub(super) received: u64,
    /// The age of the oldest message that is visible or in flight.
    pub(super) oldest: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) settings: Settings,
    pub(super) created: Duration,
    pub(super) modified: Duration,
    purged: Option<Duration>,
    /// By arrival.
    messages: BTreeMap<u64, Stored>,
    arrivals: u64,
    receives: u64,
}

/// What one receive took out.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Messages to deliver, each with its receipt handle.
    pub(super) delivered: Vec<(String, Message)>,
    /// Messages that were received too often: they belong in the dead-letter queue.
    pub(super) dead: Vec<Message>,
}

#[derive(Debug)]
struct Stored {
    message: Message,
    visible_at: Duration,
    /// Of the last receive from this queue.
    received_at: Option<Duration>,
}

impl Queue {
    pub(super) fn new(name: String, settings: Settings, now: Duration) -> Self {
        let messages = BTreeMap::new();
        Self { name, settings, created: now, modified: now, purged: None, messages, arrivals: 0, receives: 0 }
    }

    /// Stores a message, and returns the answer to the sender.
    pub(super) fn send(&mut self, sending: Sending, now: Duration) -> Result<Value, Fault> {
        let (message, delay) = Message::accept(sending, &self.settings, now)?;
        let receipt = message.receipt();
        self.put(message, now + delay);
        Ok(receipt)
    }

    /// Stores a message that can be received from `visible_at` on.
    pub(super) fn put(&mut self, message: Message, visible_at: Duration) {
        self.arrivals += 1;
        self.messages.insert(self.arrivals, Stored { message, visible_at, received_at: None });
    }

    /// Receives up to `limit` messages and hides them for `visibility`.
    pub(super) fn take(&mut self, now: Duration, limit: usize, visibility: Duration) -> Taken {
        self.expire(now);
        let max_receives = self.settings.redrive.as_ref().map_or(u64::MAX, |redrive| redrive.max_receives);
        let mut taken = Taken::default();
        for arrival in self.in_turn(now) {
            if taken.delivered.len() == limit {
                break;
            }
            let Some(stored) = self.messages.get_mut(&arrival) else { continue };
            if stored.message.receives >= max_receives {
                taken.dead.extend(self.messages.remove(&arrival).map(|stored| stored.message));
                continue;
            }
            stored.message.receives += 1;
            self.receives += 1;
            stored.message.first_received.get_or_insert(now);
            stored.received_at = Some(now);
            stored.visible_at = now + visibility;
            let message = stored.message.clone();
            taken.delivered.push((Receipt::of(arrival, &message).handle(&self.name), message));
        }
        taken
    }

    /// Takes out all visible messages, oldest first.
    pub(super) fn drain_visible(&mut self, now: Duration) -> Vec<Message> {
        self.expire(now);
        self.messages.extract_if(.., |_, stored| stored.visible_at <= now).map(|(_, stored)| stored.message).collect()
    }

    /// The visible messages, oldest first.
    pub(super) fn visible(&self, now: Duration) -> impl Iterator<Item = &Message> {
        self.messages.values().filter(move |stored| stored.visible_at <= now).map(|stored| &stored.message)
    }

    /// Deletes the message of the handle. With a stale handle it stays, and that is no error, as on AWS.
    pub(super) fn delete(&mut self, Deletion { receipt_handle }: Deletion, _: Duration) -> Result<Value, Fault> {
        let receipt = Receipt::parse(&receipt_handle, &self.name)?;
        if self.messages.get(&receipt.arrival).is_some_and(|stored| receipt.is_for(&stored.message)) {
            self.messages.remove(&receipt.arrival);
        }
        Ok(json!({}))
    }

    /// Hides an in-flight message for a time from now; zero makes it visible.
    pub(super) fn change_visibility(&mut self, change: VisibilityChange, now: Duration) -> Result<Value, Fault> {
        let VisibilityChange { receipt_handle: handle, visibility_timeout: seconds } = change;
        let timeout = Duration::from_secs(ranged("VisibilityTimeout", seconds, 0..=MAX_VISIBILITY.as_secs())?);
        let receipt = Receipt::parse(&handle, &self.name)?;
        self.expire(now);
        let stored = self.messages.get_mut(&receipt.arrival).filter(|stored| receipt.is_for(&stored.message));
        let Some(Stored { visible_at, received_at: Some(received_at), .. }) = stored else {
            let reason = "Message does not exist or is not available for visibility timeout change.";
            return Err(Fault::parameter("ReceiptHandle", handle, reason));
        };
        if *visible_at <= now {
            return Err(Fault::MessageNotInflight);
        }
        if now + timeout > *received_at + MAX_VISIBILITY {
            let reason = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds].";
            return Err(Fault::parameter("VisibilityTimeout", seconds, reason));
        }
        *visible_at = now + timeout;
        Ok(json!({}))
    }

    /// Deletes everything; once a minute at most.
    pub(super) fn purge(&mut self, PurgeQueue {}: PurgeQueue, now: Duration) -> Result<Value, Fault> {
        if self.purged.is_some_and(|last| now < last + Duration::from_mins(1)) {
            return Err(Fault::PurgeQueueInProgress(self.name.clone()));
        }
        self.purged = Some(now);
        self.messages.clear();
        Ok(json!({}))
    }

    pub(super) fn depth(&mut self, now: Duration) -> Depth {
        self.expire(now);
        let mut depth = Depth { sent: self.arrivals, received: self.receives, ..Depth::default() };
        for stored in self.messages.values() {
            if stored.visible_at <= now {
                depth.visible += 1;
            } else if stored.received_at.is_some() {
                depth.in_flight += 1;
            } else {
                depth.delayed += 1;
                continue;
            }
            depth.oldest = depth.oldest.max(Some(now.saturating_sub(stored.message.sent)));
        }
        depth
    }

    /// When the next hidden message becomes visible.
    pub(super) fn next_visible(&self, now: Duration) -> Option<Duration> {
        self.messages.values().map(|stored| stored.visible_at).filter(|at| *at > now).min()
    }

    /// The visible messages in order of delivery: first those of the group with the fewest in flight, then the one visible longest.
    ///
    /// A message without a group is a tenant of its own.
    fn in_turn(&self, now: Duration) -> Vec<u64> {
        let mut load: HashMap<&str, usize> = HashMap::new();
        let mut waiting = Vec::new();
        for (arrival, Stored { message, visible_at, received_at }) in &self.messages {
            let group = message.group.as_deref();
            if *visible_at <= now {
                waiting.push((*visible_at, *arrival, group));
            } else if let (Some(group), Some(_)) = (group, received_at) {
                *load.entry(group).or_default() += 1;
            }
        }
        waiting.sort_unstable();
        let mut turns: Vec<_> = waiting
            .into_iter()
            .map(|(visible_at, arrival, group)| {
                let ahead = group.map_or(0, |group| {
                    let load = load.entry(group).or_default();
                    *load += 1;
                    *load - 1
                });
                (ahead, visible_at, arrival)
            })
            .collect();
        turns.sort_unstable();
        turns.into_iter().map(|(_, _, arrival)| arrival).collect()
    }

    fn expire(&mut self, now: Duration) {
        let retention = self.settings.retention;
        self.messages.retain(|_, stored| stored.message.sent + retention > now);
    }
}
