//! Group commit for the event bus: one `PutEvents` call publishes the events of all messages of an SQS batch that are ready.
//!
//! Each message joins as a member. A member that publishes waits until every other member has published or left; the first that
//! waited then leads, and sends for all. No member waits for a timer.
//!
//! *Invariant:* a publication is done only when the bus has it, and a member that leaves, or is dropped, delays no other.

use std::sync::{Mutex, MutexGuard};

use domain::RecordKey;
use tokio::sync::oneshot;

use crate::{
    AwsError,
    aws::bus::{Bus, Detail, Entry, MAX_ENTRIES, PublishError},
    base::lock::lock,
};

/// The bus, and the members of the current group.
#[derive(Debug)]
pub struct EventBatcher {
    bus: Bus,
    group: Mutex<Group>,
}

#[derive(Debug, Default)]
struct Group {
    /// Members that have neither published nor left.
    expected: usize,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    entries: Vec<Entry>,
    outcome: oneshot::Sender<Outcome>,
}

/// What a waiting member receives.
#[derive(Debug)]
enum Outcome {
    /// It leads: it sends its own entries and those of the others, and reports to them.
    Send(Vec<Entry>, Vec<Waiting>),
    /// The leader sent its entries.
    Sent(Result<(), PublishError>),
}

/// One message's membership. Dropping it leaves the group.
#[derive(Debug)]
pub struct Member<'a> {
    batcher: &'a EventBatcher,
    expected: bool,
}

impl EventBatcher {
    /// A batcher without members.
    pub fn new(bus: Bus) -> Self {
        Self { bus, group: Mutex::default() }
    }

    /// Adds a member, which the others wait for from now on.
    pub fn join(&self) -> Member<'_> {
        let mut member = Member { batcher: self, expected: false };
        member.rejoin();
        member
    }

    fn group(&self) -> MutexGuard<'_, Group> {
        lock(&self.group)
    }
}

impl Group {
    /// Once no member is expected any more, makes the first that waits the leader.
    fn elect_leader(&mut self) {
        while self.expected == 0 && !self.waiting.is_empty() {
            let first = self.waiting.remove(0);
            let outcome = Outcome::Send(first.entries, std::mem::take(&mut self.waiting));
            match first.outcome.send(outcome) {
                Ok(()) | Err(Outcome::Sent(_)) => return,
                // Its message was cancelled, and SQS delivers it again.
                Err(Outcome::Send(_, others)) => self.waiting = others,
            }
        }
    }
}

impl Member<'_> {
    /// The other members no longer wait for this one, so that slow work does not delay the flush.
    pub fn leave(&mut self) {
        if std::mem::take(&mut self.expected) {
            let mut group = self.batcher.group();
            group.expected -= 1;
            group.elect_leader();
        }
    }

    /// Undoes [`leave`](Self::leave).
    pub fn rejoin(&mut self) {
        if !std::mem::replace(&mut self.expected, true) {
            self.batcher.group().expected += 1;
        }
    }

    /// Publishes an event for each of its integrations together with the other members' events. A member with events that fill a
    /// call sends alone. Errors as [`Bus::publish`].
    pub async fn publish(mut self, details: &[Detail<'_>], record: Option<&RecordKey>) -> Result<(), PublishError> {
        let bus = &self.batcher.bus;
        if details.len() >= MAX_ENTRIES {
            self.leave();
            return bus.publish(details, record).await;
        }
        let entries = bus.entries(details, record)?;
        let (outcome, hear) = oneshot::channel();
        // It must be expected when it leaves: leaving is what elects a leader.
        self.rejoin();
        self.batcher.group().waiting.push(Waiting { entries, outcome });
        self.leave();
        let (mut entries, others) = match hear.await {
            Ok(Outcome::Send(entries, others)) => (entries, others),
            Ok(Outcome::Sent(outcome)) => return outcome,
            Err(_) => {
                return Err(AwsError::Answer {
                    action: "events:PutEvents",
                    lack: "the member that was to send for all was cancelled",
                }
                .into());
            }
        };
        let ours = entries.len();
        let mut waiting = Vec::new();
        for other in others {
            waiting.push((other.outcome, other.entries.len()));
            entries.extend(other.entries);
        }
        let mut outcomes = bus.send(entries).await.into_iter();
        let outcome = outcomes.by_ref().take(ours).collect();
        for (member, theirs) in waiting {
            // A member that was cancelled meanwhile has its message delivered again.
            let _ = member.send(Outcome::Sent(outcomes.by_ref().take(theirs).collect()));
        }
        outcome
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
