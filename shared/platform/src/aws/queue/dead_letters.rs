//! Looking at a dead-letter queue without taking anything out of it.
//!
//! *Invariant:* no message is deleted or changed, and each is visible again soon, so that a redrive finds it: at the end of the
//! review, or, where more messages are there than one review looks at, when the next review has looked at others.

use std::time::Duration;

use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName};
use domain::{Diagnosis, Reason};
use jiff::Timestamp;

use super::{DETAIL, MAX_BATCH, Queue, REASON, seconds};
use crate::{aws::AwsError, base::clock};

/// How long a received message is hidden: longer than a review, so that none is looked at twice.
const HIDDEN: Duration = Duration::from_mins(1);
/// How long a review may take.
const REVIEW: Duration = Duration::from_secs(45);
/// Where more messages are there than one review looks at, its messages are hidden for so long: beyond the next review, which
/// is at most 5 minutes later.
const SKIP_NEXT: Duration = Duration::from_mins(6);
/// How long SQS looks for messages. Without a wait it asks a part of its servers only.
const WAIT_SECONDS: i32 = 1;

/// A message of a dead-letter queue.
#[derive(Debug)]
pub struct DeadLetter {
    /// As the producer sent it.
    pub body: String,
    /// SQS's id of the message.
    pub message_id: String,
    /// Why a function put it there; none if SQS moved it.
    pub why: Option<Diagnosis>,
}

/// What a review came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reviewed {
    /// Messages that were looked at.
    pub messages: usize,
    /// Whether these were all that were visible.
    pub all: bool,
}

impl Queue {
    /// Hands at most `most` messages of this dead-letter queue to `look`, in groups, each message once. Ends at `deadline`, or
    /// after 45 seconds.
    pub async fn review(
        &self,
        most: usize,
        deadline: Timestamp,
        look: impl AsyncFn(Vec<DeadLetter>) -> Result<(), AwsError>,
    ) -> Result<Reviewed, AwsError> {
        let deadline = deadline.min(clock::now() + REVIEW);
        let mut handles = Vec::new();
        let mut all = false;
        while handles.len() < most && clock::now() < deadline {
            let messages = self.receive(MAX_BATCH.min(most - handles.len())).await?;
            if messages.is_empty() {
                all = true;
                break;
            }
            let letters = messages.into_iter().map(|mut message| {
                handles.extend(message.receipt_handle.take());
                letter(message)
            });
            let letters = letters.collect();
            look(letters).await?;
        }
        let reviewed = Reviewed { messages: handles.len(), all };
        self.show_again(&handles, if all { Duration::ZERO } else { SKIP_NEXT }).await?;
        Ok(reviewed)
    }

    async fn receive(&self, most: usize) -> Result<Vec<Message>, AwsError> {
        let call = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(most).unwrap_or(1))
            .visibility_timeout(seconds(HIDDEN))
            .wait_time_seconds(WAIT_SECONDS)
            .message_system_attribute_names(MessageSystemAttributeName::DeadLetterQueueSourceArn)
            .message_attribute_names(REASON)
            .message_attribute_names(DETAIL);
        let output = call.send().await.map_err(|error| AwsError::new("sqs:ReceiveMessage", error))?;
        Ok(output.messages.unwrap_or_default())
    }

    async fn show_again(&self, handles: &[String], after: Duration) -> Result<(), AwsError> {
        const ACTION: &str = "sqs:ChangeMessageVisibility";
        for handles in handles.chunks(MAX_BATCH) {
            let entries = handles.iter().enumerate().map(|(index, handle)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
                entry.receipt_handle(handle).visibility_timeout(seconds(after)).build()
            });
            let entries = entries.collect::<Result<Vec<_>, _>>();
            let entries = entries.map_err(|error| AwsError::unwritable("a message", error))?;
            let call = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
            // An entry that SQS refuses is shown again when its time is over.
            call.send().await.map_err(|error| AwsError::new(ACTION, error))?;
        }
        Ok(())
    }
}

fn letter(message: Message) -> DeadLetter {
    const SOURCE: MessageSystemAttributeName = MessageSystemAttributeName::DeadLetterQueueSourceArn;
    let attribute = |name: &str| message.message_attributes.as_ref()?.get(name)?.string_value();
    // A name that this version does not know is a reason all the same.
    let reason = attribute(REASON).map(|name| Reason::parse(name).unwrap_or(Reason::Bug));
    // What was given up, redriven, and then moved by SQS still has the attributes.
    let reason = reason.filter(|_| message.attributes.as_ref().is_none_or(|all| !all.contains_key(&SOURCE)));
    DeadLetter {
        why: reason.map(|reason| Diagnosis::new(reason, attribute(DETAIL).unwrap_or_default())),
        body: message.body.unwrap_or_default(),
        message_id: message.message_id.unwrap_or_default(),
    }
}
