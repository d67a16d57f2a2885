//! What an event's processing leaves in its record for operators, written together with its outcome.
//!
//! *Invariant:* a trace is small enough to keep a usual record within 1 KB, so that it costs no write unit.

use domain::{Effect, IntegrationId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many failed attempts a record keeps. A later one takes the place of the earliest.
pub(in crate::stores) const FAILURES_KEPT: u64 = 8;
/// What the names in a trace take together at most, in bytes: a usual record has some 500 beside them.
const MAX_BYTES: usize = 300;

/// What the processing of an event came to.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// What the event does here: `records`, `sync` or `grant_ended`.
    pub effect: String,
    /// The integrations that it is for, as many as have room.
    pub integrations: Vec<String>,
    /// How many integrations it is for.
    pub integrations_count: u64,
    /// The keys of the records that it is about (`stream#id`), as many as have room. A record of which a newer state is stored stays.
    pub records: Vec<String>,
    /// How many records it is about.
    pub records_count: u64,
    /// How many entries were put on the bus.
    pub published: u64,
}

/// An attempt that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// Counts the claims of the event.
    pub attempt: u64,
    /// When it ended.
    pub at: Timestamp,
    /// Why: the name of a [`domain::Reason`].
    pub reason: String,
}

impl Trace {
    /// The trace of an event that was processed for these integrations.
    pub fn new<'a>(effect: &Effect, integrations: impl ExactSizeIterator<Item = &'a IntegrationId>) -> Self {
        let mut room = MAX_BYTES;
        let mut fits = |name: &&str| {
            let left = room.checked_sub(name.len());
            room = left.unwrap_or(0);
            left.is_some()
        };
        let (name, changes): (_, &[_]) = match effect {
            Effect::Records(changes) => ("records", changes),
            Effect::Sync(_) => ("sync", &[]),
            Effect::GrantEnded => ("grant_ended", &[]),
        };
        let integrations_count = integrations.len() as u64;
        Self {
            effect: name.to_owned(),
            integrations: integrations.map(IntegrationId::as_str).take_while(&mut fits).map(str::to_owned).collect(),
            integrations_count,
            records: changes.iter().map(|it| it.key().as_str()).take_while(&mut fits).map(str::to_owned).collect(),
            records_count: changes.len() as u64,
            published: integrations_count.max(1),
        }
    }
}

/// The attribute of a failed attempt.
pub(in crate::stores) fn failure(number: u64) -> String {
    format!("failure_{number}")
}
