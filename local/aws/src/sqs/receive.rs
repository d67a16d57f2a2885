//! Receiving: the long poll, and what happens to messages that were received too often.

use std::{pin::pin, time::Duration};

use serde_json::Value;

use super::{
    Sqs,
    actions::at,
    fault::Fault,
    queue::Taken,
    settings::{MAX_VISIBILITY, MAX_WAIT_SECONDS},
    wire::{self, ReceiveMessage, ranged},
};

/// One look into a queue.
struct Look {
    messages: Vec<Value>,
    /// When the next message becomes visible by itself.
    next: Option<Duration>,
    /// How long the queue lets receivers wait by default.
    wait: Duration,
}

impl Sqs {
    /// Answers as soon as there is a message, with none at the end of the wait. Timers are exact: it sleeps until
    /// something is sent or changed, time is skipped, or the next message becomes visible.
    pub(super) async fn receive_message(&self, body: &[u8]) -> Result<Value, Fault> {
        let (url, request) = wire::addressed::<ReceiveMessage>(body)?;
        let limit = ranged("MaxNumberOfMessages", request.max_number_of_messages.unwrap_or(1), 1..=10)?;
        let visibility = seconds("VisibilityTimeout", request.visibility_timeout, MAX_VISIBILITY.as_secs())?;
        let wait = seconds("WaitTimeSeconds", request.wait_time_seconds, MAX_WAIT_SECONDS)?;
        let started = self.shared.clock.now();
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            changed.as_mut().enable(); // from here on, no change is missed
            let now = self.shared.clock.now();
            let look = self.look(&url, &request, usize::try_from(limit).unwrap_or(1), visibility, now)?;
            let end = started + wait.unwrap_or(look.wait);
            if !look.messages.is_empty() || now >= end {
                return Ok(wire::listed([("Messages", look.messages)]));
            }
            let until = look.next.map_or(end, |next| next.min(end));
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(until.saturating_sub(now)) => {}
            }
        }
    }

    fn look(
        &self,
        url: &str,
        request: &ReceiveMessage,
        limit: usize,
        visibility: Option<Duration>,
        now: Duration,
    ) -> Result<Look, Fault> {
        let mut queues = self.queues();
        let queue = at(&mut queues, url)?;
        let Taken { delivered, dead } = queue.take(now, limit, visibility.unwrap_or(queue.settings.visibility));
        let account = &self.shared.account;
        let look = Look {
            messages: delivered.iter().map(|(handle, message)| message.delivery(handle, request, account)).collect(),
            next: queue.next_visible(now),
            wait: queue.settings.wait,
        };
        let source = queue.name.clone();
        if !dead.is_empty() {
            self.dead_letter(&mut queues, &source, dead, now);
        }
        Ok(look)
    }
}

fn seconds(name: &str, value: Option<i64>, most: u64) -> Result<Option<Duration>, Fault> {
    value.map(|value| ranged(name, value, 0..=most).map(Duration::from_secs)).transpose()
}
