//! What a sync works on, and the time that it has.
//!
//! *Invariant:* the times by which a sync ends, waits or is due again are decided here.

use std::{
    collections::BTreeSet,
    sync::{Mutex, atomic::AtomicBool},
    time::Duration,
};

use domain::{
    Aging, Disposition, Failure, Integration, IntegrationId, IntegrationKey, UserId,
    error::Kind,
    messages::{
        disposition::backoff,
        message::{Cause, Stage, SyncMessage},
    },
    sync::{
        ReadSince, SyncJob,
        outcome::LogEntry,
        stream::{Lane, Lanes, StreamState, Sync},
    },
};
use jiff::{SignedDuration, Timestamp};
use platform::{
    base::{clock, lock::lock},
    runtime::consumer::Attempt,
    stores::syncs::{Lease, Overview},
};
use providers::{Provider, StreamSpec};

use crate::sharing::Sharing;

/// Time reserved before the deadline, in which a run goes on in another invocation: a quarter of the time, and no more than this.
const RESERVE: SignedDuration = SignedDuration::from_secs(15);

/// How long a sync waits at most for the reading of another integration before it looks again.
const MAX_WAIT: Duration = Duration::from_secs(15);

/// What a message asks for, and the time that it has.
pub(crate) struct Task<'a> {
    pub(crate) provider: &'static dyn Provider,
    pub(crate) integration: &'a Integration,
    pub(crate) id: IntegrationId,
    pub(crate) message: &'a SyncMessage,
    pub(crate) attempt: &'a Attempt,
    /// When its slice of the time is over.
    pub(crate) until: Timestamp,
    /// The slot in which the integration is synced next, whatever becomes of this attempt.
    pub(crate) due_at: Timestamp,
    /// Whether this attempt wrote a page.
    pub(crate) progress: &'a AtomicBool,
    /// Whether the place in the line for a limit, at which this attempt came, is not used yet.
    pub(crate) has_place: &'a AtomicBool,
}

/// What a sync works on in one lane.
pub(crate) struct Work<'a> {
    pub(crate) task: &'a Task<'a>,
    pub(crate) provider: &'static dyn Provider,
    pub(crate) integration: &'a Integration,
    pub(crate) key: &'a IntegrationKey,
    pub(crate) id: IntegrationId,
    pub(crate) lane: Lane,
    pub(crate) lease: Lease,
    pub(crate) attempt: &'a Attempt,
    /// Whether the place in the line for a limit, at which this attempt came, is not used yet.
    pub(crate) has_place: &'a AtomicBool,
    /// Since when the streams have been read whole.
    pub(crate) read_since: Mutex<ReadSince>,
    /// What the syncs table holds: read when a round begins, and kept current with each write in this lane.
    pub(crate) stored: Mutex<Overview>,
    /// Before that was read.
    pub(crate) looked_at: Mutex<Timestamp>,
    /// The streams that this round read to their end.
    pub(crate) read: Mutex<BTreeSet<&'static str>>,
    pub(crate) due_at: Timestamp,
    pub(crate) sharing: Sharing,
}

impl Task<'_> {
    /// Whether there is something to read or to watch in the main lane.
    pub(crate) fn has_main_part(&self) -> bool {
        let message = self.message;
        let is_full = message.r#type == SyncJob::Full || message.stage == Stage::Full;
        self.provider.spec().streams.is_empty() || !message.scope.is_all() || !is_full && self.has_main_lane()
    }

    /// Whether syncs of everything work in the main lane, too.
    pub(crate) fn has_main_lane(&self) -> bool {
        let spec = self.provider.spec();
        spec.watching.is_some() || spec.streams.iter().any(|stream| stream.incremental)
    }
}

impl<'a> Work<'a> {
    pub(crate) fn new(task: &'a Task<'a>, lane: Lane, lease: Lease) -> Self {
        Self {
            task,
            provider: task.provider,
            integration: task.integration,
            key: &task.integration.key,
            id: task.id.clone(),
            lane,
            lease,
            attempt: task.attempt,
            has_place: task.has_place,
            read_since: Mutex::new(task.integration.read_since.clone()),
            stored: Mutex::default(),
            looked_at: Mutex::default(),
            read: Mutex::default(),
            due_at: task.due_at,
            sharing: Sharing::of(task.message, task.integration),
        }
    }
}

impl Work<'_> {
    /// How a wait for the provider counts.
    pub(crate) fn aging(failure: &Failure) -> Aging {
        if failure.kind() == Kind::RateLimited { Aging::Pauses } else { Aging::Grows }
    }

    /// The integration of another user with the same account.
    pub(crate) fn key_of(&self, user_id: &UserId) -> IntegrationKey {
        IntegrationKey { user_id: user_id.clone(), ..self.key.clone() }
    }

    /// Where a stream stands in both lanes.
    pub(crate) fn lanes(&self, stream: &str) -> Lanes {
        lock(&self.stored).streams.get(stream).cloned().unwrap_or_default()
    }

    /// Where a stream stands in the lane.
    pub(crate) fn state(&self, stream: &str) -> StreamState {
        let lanes = self.lanes(stream);
        match self.lane {
            Lane::Main => lanes.main(),
            Lane::Full => lanes.full(),
        }
    }

    /// Since when this sync is to read a stream in full; none if it is not.
    pub(crate) fn full_wanted(&self, stream: &StreamSpec) -> Option<Timestamp> {
        let SyncMessage { r#type: kind, cause, asked_at, slot, .. } = *self.task.message;
        let asked = Sync {
            kind,
            at: slot.map_or(asked_at, |slot| slot.max(asked_at)),
            is_report: cause == Cause::Changed,
            forced: cause == Cause::Asked,
        };
        self.lanes(stream.name).full_wanted((&self.id, stream.name, stream.incremental), asked, clock::now())
    }

    /// Whether a stream is read in full at the moment, by some message.
    pub(crate) fn is_read_in_full(&self) -> bool {
        self.provider.spec().streams.iter().any(|stream| self.lanes(stream.name).full.run.is_some())
    }

    /// Adds to the entry what failed in streams that this round did not get to.
    pub(crate) fn merge(&self, entry: &mut LogEntry) {
        let stored = lock(&self.stored);
        let Some(last) = &stored.last else { return };
        let mut streams = last.streams.clone();
        // What failed under an earlier grant says nothing of this one.
        streams.retain(|name, _| {
            last.finished_at >= self.integration.connected_at && !lock(&self.read).contains(name.as_str())
        });
        streams.append(&mut entry.streams);
        entry.streams = streams;
        entry.last_sync = entry.last_sync.max(last.last_sync);
    }

    /// Whether this sync is to read in full the stream that says what can be watched.
    pub(crate) fn reads_watched_stream_in_full(&self) -> bool {
        let spec = self.provider.spec();
        let stream = spec.watching.as_ref().and_then(|it| spec.stream(it.stream));
        stream.is_some_and(|stream| self.full_wanted(stream).is_some())
    }

    pub(crate) fn log_synced(&self, entry: &LogEntry) {
        tracing::info!(
            service = %self.provider.spec().id,
            integration.id = %self.id,
            sync.r#type = ?entry.r#type,
            entry.changes,
            entry.swept,
            "synced"
        );
    }

    pub(crate) fn out_of_time(&self) -> bool {
        clock::now() >= self.task.until || is_over(self.attempt)
    }
}

/// Later again, when the lease that another message holds is free: at its end if the holder died, and mostly long before.
pub(crate) fn in_turn(until: Timestamp, attempt: &Attempt) -> Disposition {
    let left = Duration::try_from(until.duration_since(attempt.at)).unwrap_or_default();
    Disposition::wait_for_lease(left.min(backoff(attempt.hops + 1, &attempt.message_id)))
}

/// Later again, when the reading of another integration of the account may have ended.
pub(crate) fn after_reading(attempt: &Attempt) -> Disposition {
    Disposition::wait_for_lease(backoff(attempt.hops + 1, &attempt.message_id).min(MAX_WAIT))
}

/// Whether what is left goes to another invocation.
pub(crate) fn is_over(attempt: &Attempt) -> bool {
    let reserve = RESERVE.min(attempt.deadline.duration_since(attempt.at) / 4);
    clock::now() + reserve >= attempt.deadline
}

/// How long a sync waits after a failure that passes. A place in the line for a limit is kept, however often the sync has waited.
pub(crate) fn wait(failure: &Failure, attempt: &Attempt) -> Duration {
    if let Failure::ThrottledLocally(wait) = failure {
        return *wait;
    }
    failure.wait().unwrap_or_default().max(backoff(attempt.hops + 1, &attempt.message_id))
}
