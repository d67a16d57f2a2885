//! Dead-letter queues: how messages get there, and how they get back.
//!
//! *Invariant:* the target of a redrive policy exists. It is checked where a policy is set, and no action deletes a
//! queue.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Queues, Sqs, fault::Fault, message::Message, queue::Queue, settings::Settings, wire::StartMessageMoveTask,
};

impl Sqs {
    /// Refuses a redrive policy with a dead-letter queue that doesn't exist.
    pub(super) fn check_redrive(&self, queues: &Queues, settings: &Settings) -> Result<(), Fault> {
        match &settings.redrive {
            Some(redrive) if self.named(queues, &redrive.target).is_none() => {
                let reason = "Dead letter target does not exist. Create it first.";
                Err(Fault::parameter("RedrivePolicy", &redrive.target, reason))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Puts messages that were received too often from `source` into its dead-letter queue.
    pub(super) fn dead_letter(&self, queues: &mut Queues, source: &str, dead: Vec<Message>, now: Duration) {
        let redrive = queues.get(source).and_then(|queue| queue.settings.redrive.as_ref());
        let Some(name) = redrive.and_then(|redrive| self.named(queues, &redrive.target)) else { return };
        let Some(queue) = queues.get_mut(&name) else { return };
        for mut message in dead {
            message.source = Some(self.queue_arn(source));
            queue.put(message, now);
        }
        self.shared.changed.notify_waiters();
    }

    /// Moves all visible messages out of a dead-letter queue, before answering.
    ///
    /// Without a destination each goes back to the queue it came from. On AWS the task fails half way at a message
    /// that was sent to the dead-letter queue directly; here such a task is refused and nothing moves.
    pub(super) fn start_message_move_task(&self, request: &StartMessageMoveTask) -> Result<Value, Fault> {
        let StartMessageMoveTask { source_arn, destination_arn } = request;
        let now = self.shared.clock.now();
        let mut queues = self.queues();
        let source = self.named(&queues, source_arn).ok_or(Fault::ResourceNotFound("SourceArn"))?;
        let destination = match destination_arn {
            Some(arn) => Some(self.named(&queues, arn).ok_or(Fault::ResourceNotFound("DestinationArn"))?),
            None => None,
        };
        let feeds = |queue: &Queue| queue.settings.redrive.as_ref().is_some_and(|policy| policy.target == *source_arn);
        if !queues.values().any(feeds) {
            return refuse("Source queue must be configured as a Dead Letter Queue. Give the ARN of one.");
        }
        let home = |message: &Message, queues: &Queues| {
            destination.clone().or_else(|| self.named(queues, message.source.as_deref()?))
        };
        if queues.get(&source).is_some_and(|queue| queue.visible(now).any(|message| home(message, &queues).is_none())) {
            return refuse(
                "CouldNotDetermineMessageSource: a message was sent to this queue directly. Give a DestinationArn.",
            );
        }
        let moved = queues.get_mut(&source).map(|queue| queue.drain_visible(now)).unwrap_or_default();
        for message in moved {
            if let Some(queue) = home(&message, &queues).and_then(|name| queues.get_mut(&name)) {
                queue.put(message.renewed(now), now);
            }
        }
        self.shared.changed.notify_waiters();
        let task = json!({"taskId": Uuid::new_v4().to_string(), "sourceArn": source_arn});
        Ok(json!({"TaskHandle": STANDARD.encode(task.to_string())}))
    }

    /// The name of the queue with this ARN, if it exists.
    fn named(&self, queues: &Queues, arn: &str) -> Option<String> {
        let name = arn.strip_prefix(&self.shared.arn_prefix)?;
        queues.contains_key(name).then(|| name.to_owned())
    }
}

fn refuse<T>(reason: &str) -> Result<T, Fault> {
    Err(Fault::InvalidParameterValue(reason.to_owned()))
}
