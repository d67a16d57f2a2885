//! What a sync works on, and the time that it has.
//!
//! *Invariant:* the times by which a sync ends, waits or is due again are decided here.

use std::{
    sync::{Mutex, atomic::AtomicBool},
    time::Duration,
};

use domain::{
    Aging, Disposition, Failure, Integration, IntegrationId, IntegrationKey,
    error::Kind,
    messages::disposition::backoff,
    sync::{ReadSince, SyncJob, outcome::LogEntry, slot::full_due, stream::StreamState},
};
use jiff::{SignedDuration, Timestamp};
use platform::{
    base::{clock, lock::lock},
    runtime::consumer::Attempt,
    stores::syncs::{Lease, Overview},
};
use providers::Provider;

use crate::sharing::Sharing;

/// Time reserved before the deadline, in which a run goes on in another invocation: a quarter of the time, and no more than this.
const RESERVE: SignedDuration = SignedDuration::from_secs(15);

/// How long a sync waits at most for the reading of another integration before it looks again.
const MAX_WAIT: Duration = Duration::from_secs(15);

/// What a sync works on.
pub(crate) struct Work<'a> {
    pub(crate) provider: &'static dyn Provider,
    pub(crate) integration: &'a Integration,
    pub(crate) key: &'a IntegrationKey,
    pub(crate) id: IntegrationId,
    pub(crate) lease: Lease,
    pub(crate) attempt: &'a Attempt,
    /// See [`SyncMessage::asked_at`](domain::messages::message::SyncMessage::asked_at).
    pub(crate) asked_at: Timestamp,
    /// Whether this attempt wrote a page.
    pub(crate) progress: &'a AtomicBool,
    /// Whether the place in the line for a limit, at which this attempt came, is not used yet.
    pub(crate) has_place: AtomicBool,
    /// Since when the streams have been read whole.
    pub(crate) read_since: Mutex<ReadSince>,
    /// What the syncs table holds: read when a round begins, and kept current with each write, since only this worker writes now.
    pub(crate) stored: Mutex<Overview>,
    /// The slot in which the integration is synced next, whatever becomes of this attempt.
    pub(crate) due_at: Timestamp,
    pub(crate) sharing: Sharing,
}

impl Work<'_> {
    /// How a wait for the provider counts.
    pub(crate) fn aging(failure: &Failure) -> Aging {
        if failure.kind() == Kind::RateLimited { Aging::Pauses } else { Aging::Grows }
    }

    /// Since when this sync is to read a stream in full: since it was asked for, if everything was, or since the stream's hour of the
    /// week.
    pub(crate) fn full_since(&self, kind: SyncJob, stream: &str, state: &StreamState) -> Option<Timestamp> {
        if kind == SyncJob::Full { Some(self.asked_at) } else { full_due(&self.id, stream, state, clock::now()) }
    }

    /// Whether this sync is to read in full the stream that says what can be watched.
    pub(crate) fn reads_watched_stream_in_full(&self, kind: SyncJob) -> bool {
        let stored = lock(&self.stored);
        let watched = self.provider.spec().watching.as_ref().and_then(|it| stored.streams.get_key_value(it.stream));
        watched.is_some_and(|(stream, state)| self.full_since(kind, stream, state).is_some())
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
        is_over(self.attempt)
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
