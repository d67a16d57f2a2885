//! Whether a sync makes its integration degraded, or ends that.

use domain::{
    error::Kind,
    integration::spell::Task,
    sync::outcome::{LogEntry, SyncFailure},
};
use platform::{aws::queue::MAX_DELAY, client::CallError};

use crate::{SyncWorker, stop::Stop, work::Work};

impl SyncWorker {
    /// Records how a round ended. If that fails, the next round's outcome tells what this one should have told.
    pub(crate) async fn report<T>(&self, work: &Work<'_>, outcome: &Result<T, Stop>, entry: &LogEntry) {
        let Some(ended) = ended(outcome.as_ref().err(), entry) else { return };
        let api = work.provider.spec().provider_api();
        if let Err(error) = self.grants.report(&api, work.integration, Task::Syncs, &ended).await {
            let why = error.diagnosis();
            tracing::warn!(
                reason = why.reason.name(),
                detail = why.detail(),
                "that syncs fail, or work, is told later"
            );
        }
    }
}

/// How a round ended; none if it goes on, or is over for a reason of which another event tells.
fn ended(stop: Option<&Stop>, entry: &LogEntry) -> Option<Result<(), SyncFailure>> {
    // A stream that will be read soon, though others are read, is no recovery.
    let waits = matches!(stop, Some(Stop::Call(CallError::Failed(failure, _))) if failure.is_transient());
    if !waits && entry.last_sync.is_some_and(|at| at >= entry.started_at) {
        return Some(Ok(()));
    }
    // A wait for a limit that the message itself outlasts is none.
    let paused = match stop {
        Some(Stop::Call(CallError::Failed(failure, _))) => {
            let soon = failure.wait().is_none_or(|wait| wait <= MAX_DELAY);
            failure.kind() == Kind::RateLimited && soon
        }
        Some(Stop::Time | Stop::Lost | Stop::Turn) => true,
        Some(Stop::Call(CallError::NotConnected | CallError::Corrupt(_) | CallError::Aws(_))) | None => false,
    };
    // Of what is not tried again by itself, `integration.reconnect_required` tells.
    let failure = entry.outcome.as_ref().err().filter(|failure| !paused && failure.next_try.is_some());
    failure.cloned().map(Err)
}

#[cfg(test)]
mod tests {
    use domain::{Failure, sync::SyncJob};
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_stream_that_waits_while_another_one_is_read_is_no_recovery() {
        let now = Timestamp::UNIX_EPOCH;
        let mut entry = LogEntry::begin(SyncJob::Incremental, now, None);
        let failure = SyncFailure { message: "Slack has trouble answering.".into(), next_try: Some(now) };
        entry.fail(Some("channels"), failure.clone());
        entry.last_sync = Some(now);
        for waits in [Failure::Unreadable, Failure::Down(None)] {
            assert_eq!(ended(Some(&waits.into()), &entry), Some(Err(failure.clone())));
        }
        assert_eq!(ended(None, &entry), Some(Ok(())), "a stream that is refused is left alone");
    }
}
