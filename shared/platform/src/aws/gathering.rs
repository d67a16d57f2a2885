//! What the messages of a batch put on the bus, in one call for all that are ready.
//!
//! Each message has a seat. Whoever publishes waits for all who have a seat and have not published yet; when there is nobody to
//! wait for any more, one of those who wait sends for all. Nobody waits for a clock.
//!
//! *Invariant:* a publication is done only when the bus has it, and a message that leaves, however it does, holds nobody up.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::{
    AwsError,
    aws::bus::{Bus, Detail, Entry, MAX_ENTRIES, PublishError},
};

/// The bus, and who is at the table.
#[derive(Debug)]
pub struct Gathering {
    bus: Bus,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Seats that are waited for.
    expected: usize,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    entries: Vec<Entry>,
    told: oneshot::Sender<Told>,
}

/// What somebody who waits is told.
#[derive(Debug)]
enum Told {
    /// To send their own entries and those of these, and to tell them.
    Send(Vec<Entry>, Vec<Waiting>),
    /// What became of theirs.
    Sent(Result<(), PublishError>),
}

/// A message's seat.
#[derive(Debug)]
pub struct Seat<'a> {
    gathering: &'a Gathering,
    expected: bool,
}

impl Gathering {
    /// Nobody has a seat yet.
    pub fn new(bus: Bus) -> Self {
        Self { bus, table: Mutex::default() }
    }

    /// Takes a seat.
    pub fn seat(&self) -> Seat<'_> {
        let mut seat = Seat { gathering: self, expected: false };
        seat.come_back();
        seat
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// If there is nobody to wait for, has the one who came first send for all.
    fn settle(&mut self) {
        while self.expected == 0 && !self.waiting.is_empty() {
            let first = self.waiting.remove(0);
            let told = Told::Send(first.entries, std::mem::take(&mut self.waiting));
            match first.told.send(told) {
                Ok(()) | Err(Told::Sent(_)) => return,
                // They have gone, and what they had comes again.
                Err(Told::Send(_, others)) => self.waiting = others,
            }
        }
    }
}

impl Seat<'_> {
    /// Nobody waits for this message until it comes back: what it does now may take its time.
    pub fn leave(&mut self) {
        if std::mem::take(&mut self.expected) {
            let mut table = self.gathering.table();
            table.expected -= 1;
            table.settle();
        }
    }

    /// See [`leave`](Self::leave).
    pub fn come_back(&mut self) {
        if !std::mem::replace(&mut self.expected, true) {
            self.gathering.table().expected += 1;
        }
    }

    /// Publishes an event for each of its integrations, together with what others publish; alone, if it fills a call by
    /// itself. See [`Bus::publish`].
    pub async fn publish(mut self, details: &[Detail<'_>], record: Option<&str>) -> Result<(), PublishError> {
        let bus = &self.gathering.bus;
        if details.len() >= MAX_ENTRIES {
            self.leave();
            return bus.publish(details, record).await;
        }
        let entries = bus.entries(details, record)?;
        let (told, hear) = oneshot::channel();
        // Whoever waits must still be waited for, so that leaving settles the table.
        self.come_back();
        self.gathering.table().waiting.push(Waiting { entries, told });
        self.leave();
        let (mut entries, others) = match hear.await {
            Ok(Told::Send(entries, others)) => (entries, others),
            Ok(Told::Sent(outcome)) => return outcome,
            Err(_) => {
                return Err(AwsError::Answer {
                    action: "events:PutEvents",
                    lack: "the member that was to send for all was cancelled",
                }
                .into());
            }
        };
        let ours = entries.len();
        let mut told = Vec::new();
        for other in others {
            told.push((other.told, other.entries.len()));
            entries.extend(other.entries);
        }
        let mut outcomes = bus.send(entries).await.into_iter();
        let outcome = outcomes.by_ref().take(ours).collect();
        for (told, theirs) in told {
            // They may have gone meanwhile; then what they had comes again.
            let _ = told.send(Told::Sent(outcomes.by_ref().take(theirs).collect()));
        }
        outcome
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
