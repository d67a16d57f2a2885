//! The actions of the protocol: what runs for each, on which queue.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    Queues, Sqs,
    fault::Fault,
    queue::{Depth, Queue},
    settings::{self, MAX_BYTES, Settings},
    wire::{self, CreateQueue, GetQueueAttributes, GetQueueUrl, ListQueues, Sending, SetQueueAttributes},
};

impl Sqs {
    /// Runs the action that `X-Amz-Target` names.
    pub(super) async fn call(&self, target: &str, body: &[u8]) -> Result<Value, Fault> {
        match target.strip_prefix("AmazonSQS.").unwrap_or_default() {
            "CreateQueue" => self.create_queue(serde_json::from_slice(body)?),
            "GetQueueUrl" => self.get_queue_url(serde_json::from_slice(body)?),
            "ListQueues" => Ok(self.list_queues(&serde_json::from_slice(body)?)),
            "GetQueueAttributes" => self.one(body, |queue, request, now| self.attributes(queue, &request, now)),
            "SetQueueAttributes" => self.set_queue_attributes(body),
            "PurgeQueue" => self.one(body, Queue::purge),
            "SendMessage" => self.one(body, Queue::send),
            "SendMessageBatch" => self.send_message_batch(body),
            "ReceiveMessage" => self.receive_message(body).await,
            "DeleteMessage" => self.one(body, Queue::delete),
            "DeleteMessageBatch" => self.many(wire::batch(body)?, Queue::delete),
            "ChangeMessageVisibility" => self.one(body, Queue::change_visibility),
            "ChangeMessageVisibilityBatch" => self.many(wire::batch(body)?, Queue::change_visibility),
            "StartMessageMoveTask" => self.start_message_move_task(&serde_json::from_slice(body)?),
            _ => Err(Fault::UnknownOperation(target.to_owned())),
        }
    }

    fn create_queue(&self, CreateQueue { queue_name: name, attributes }: CreateQueue) -> Result<Value, Fault> {
        let valid = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if name.strip_suffix(".fifo").is_some_and(|name| name.bytes().all(valid)) {
            return Err(Fault::UnsupportedOperation("FIFO queues"));
        }
        if !(1..=80).contains(&name.len()) || !name.bytes().all(valid) {
            let reason = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.";
            return Err(Fault::parameter("QueueName", name, reason));
        }
        let wanted = Settings::default().with(&attributes)?;
        let mut queues = self.queues();
        self.check_redrive(&queues, &wanted)?;
        let answer = json!({"QueueUrl": self.queue_url(&name)});
        if let Some(queue) = queues.get(&name) {
            let (wanted, present) = (wanted.attributes(), queue.settings.attributes());
            if let Some(name) = attributes.keys().find(|name| wanted.get(name.as_str()) != present.get(name.as_str())) {
                return Err(Fault::QueueNameExists(name.clone()));
            }
        } else {
            queues.insert(name.clone(), Queue::new(name, wanted, self.shared.clock.now()));
        }
        Ok(answer)
    }

    fn get_queue_url(&self, GetQueueUrl { queue_name: name }: GetQueueUrl) -> Result<Value, Fault> {
        let url = self.queue_url(&name);
        if self.queues().contains_key(&name) {
            Ok(json!({"QueueUrl": url}))
        } else {
            Err(Fault::QueueDoesNotExist(name))
        }
    }

    fn list_queues(&self, ListQueues { queue_name_prefix: prefix }: &ListQueues) -> Value {
        let queues = self.queues();
        let names = queues.keys().filter(|name| name.starts_with(prefix));
        wire::listed([("QueueUrls", names.map(|name| self.queue_url(name).into()).collect())])
    }

    fn attributes(&self, queue: &mut Queue, request: &GetQueueAttributes, now: Duration) -> Result<Value, Fault> {
        let Depth { visible, in_flight, delayed, .. } = queue.depth(now);
        let mut present = queue.settings.attributes();
        present.extend([
            ("ApproximateNumberOfMessages", visible.to_string()),
            ("ApproximateNumberOfMessagesDelayed", delayed.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", in_flight.to_string()),
            ("CreatedTimestamp", queue.created.as_secs().to_string()),
            ("LastModifiedTimestamp", queue.modified.as_secs().to_string()),
            ("QueueArn", self.queue_arn(&queue.name)),
        ]);
        let wanted: Vec<_> = request.attribute_names.iter().map(String::as_str).collect();
        let known = |name: &str| name == "All" || present.contains_key(name) || settings::known(name);
        if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
            return Err(Fault::InvalidAttributeName((*unknown).to_owned()));
        }
        present.retain(|name, _| wanted.contains(name) || wanted.contains(&"All"));
        Ok(json!({"Attributes": present}))
    }

    fn set_queue_attributes(&self, body: &[u8]) -> Result<Value, Fault> {
        let (url, SetQueueAttributes { attributes }) = wire::addressed(body)?;
        let mut queues = self.queues();
        let settings = at(&mut queues, &url)?.settings.with(&attributes)?;
        self.check_redrive(&queues, &settings)?;
        let queue = at(&mut queues, &url)?;
        queue.settings = settings;
        queue.modified = self.shared.clock.now();
        Ok(json!({}))
    }

    fn send_message_batch(&self, body: &[u8]) -> Result<Value, Fault> {
        let (url, entries) = wire::batch::<Sending>(body)?;
        let sent = entries.iter().map(|(_, sending)| sending.bytes()).sum();
        if sent > MAX_BYTES {
            return Err(Fault::BatchRequestTooLong { limit: MAX_BYTES, sent });
        }
        self.many((url, entries), Queue::send)
    }

    fn one<E: DeserializeOwned>(
        &self,
        body: &[u8],
        action: impl FnOnce(&mut Queue, E, Duration) -> Result<Value, Fault>,
    ) -> Result<Value, Fault> {
        let (url, request) = wire::addressed(body)?;
        let answer = action(at(&mut self.queues(), &url)?, request, self.shared.clock.now())?;
        self.shared.changed.notify_waiters();
        Ok(answer)
    }

    /// Runs an action on one queue, once for each entry of a batch.
    fn many<E>(
        &self,
        (url, entries): (String, Vec<(String, E)>),
        mut action: impl FnMut(&mut Queue, E, Duration) -> Result<Value, Fault>,
    ) -> Result<Value, Fault> {
        let mut queues = self.queues();
        let queue = at(&mut queues, &url)?;
        let now = self.shared.clock.now();
        let answer = wire::each(entries, |entry| action(queue, entry, now));
        self.shared.changed.notify_waiters();
        Ok(answer)
    }
}

/// The queue with this URL: its last path segment decides.
pub(super) fn at<'q>(queues: &'q mut Queues, url: &str) -> Result<&'q mut Queue, Fault> {
    let name = url.rsplit('/').next().unwrap_or_default();
    queues.get_mut(name).ok_or_else(|| Fault::QueueDoesNotExist(url.to_owned()))
}
