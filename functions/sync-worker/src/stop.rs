//! Why a sync stopped before its end: each reason has its own consequence for the message, and its own sentence for the user.

use std::time::Duration;

use domain::{
    Aging, Deferral, Diagnosis, Disposition, Failure,
    call::Bearing,
    messages::message::Stage,
    sync::{SyncJob, stream::Lane},
};
use platform::{AwsError, aws::queue::MAX_DELAY, base::clock, client::CallError, stores::syncs::LeaseError};

use crate::{
    SyncWorker,
    work::{Work, after_reading, wait},
};

/// Why a sync stopped before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// The time is up; the rest goes to another invocation.
    #[error("the time is up")]
    Time,
    /// Another message holds the lease, or the integration was disconnected: nothing more may be written.
    #[error("the lease was taken over")]
    Lost,
    /// Another integration of the account reads what this one copies then.
    #[error("another integration of the account is read")]
    Turn,
    /// A call to the provider, or to AWS, failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Stop {
    /// Whether it says nothing of streams but those that it is about.
    pub(crate) fn is_of_one_stream(&self) -> bool {
        match self {
            Self::Call(CallError::Failed(failure, _)) => failure.is_refusal() || failure.bearing() == Bearing::Passing,
            Self::Call(CallError::NotConnected | CallError::Corrupt(_) | CallError::Aws(_))
            | Self::Time
            | Self::Lost
            | Self::Turn => false,
        }
    }
}

/// An error of a store that holds no credential: nothing in it is to be set aside.
impl From<AwsError> for Stop {
    fn from(error: AwsError) -> Self {
        Self::Call(CallError::Aws(error))
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Call(failure.into())
    }
}

impl From<LeaseError> for Stop {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Lost => Self::Lost,
            LeaseError::Aws(error) => error.into(),
        }
    }
}

impl SyncWorker {
    /// A sync did not come to its end: what has to happen so that it does, or that it is known why not.
    pub(crate) async fn stopped(&self, work: &Work<'_>, stop: Stop) -> Result<Disposition, AwsError> {
        let attempt = work.attempt;
        match (&stop, work.lane) {
            // A worker that lost the lease has none to release; after a failure of AWS the caller releases it.
            (Stop::Lost | Stop::Call(CallError::Aws(_)), _) => {}
            // No other message may come into the lane for a week, so that the mark would stay.
            (Stop::Call(_), Lane::Full) => match self.release_full(work).await {
                Ok(()) | Err(Stop::Lost) => {}
                Err(Stop::Call(CallError::Aws(error))) => return Err(error),
                Err(stop) => tracing::warn!(%stop, "the lease is not given back"),
            },
            (Stop::Time | Stop::Turn, _) | (Stop::Call(_), Lane::Main) => self.syncs.abandon(&work.lease).await?,
        }
        Ok(match stop {
            Stop::Lost | Stop::Call(CallError::NotConnected) => Disposition::Done,
            Stop::Call(CallError::Aws(error)) => return Err(error),
            Stop::Turn => after_reading(attempt),
            Stop::Time => {
                // The next invocation goes on where the streams stand.
                let stage = match work.lane {
                    Lane::Main => Stage::Rest,
                    Lane::Full => Stage::Full,
                };
                self.queue.send(&work.task.message.rest(stage), Duration::ZERO).await?;
                Disposition::Done
            }
            Stop::Call(CallError::Corrupt(error)) => {
                // A message that is not settled comes back, and finds the integration set aside: first this, then the dead letter.
                self.grants.set_aside(&work.provider.spec().provider_api(), work.key).await?;
                Disposition::DeadLetter(error.diagnosis())
            }
            Stop::Call(CallError::Failed(Failure::GrantEnded, _)) => {
                self.grants.end(work.provider.spec().name, work.key, attempt.at).await?;
                Disposition::Done
            }
            Stop::Call(CallError::Failed(failure, _)) if failure.is_transient() => {
                let wait = wait(&failure, attempt);
                if wait > MAX_DELAY {
                    // No message can wait so long, but the schedule can: the run goes on then, where it stands.
                    self.integrations.sync_due(work.key, clock::now() + wait).await?;
                    return Ok(Disposition::Done);
                }
                Disposition::Defer(Deferral {
                    after: wait,
                    aging: Work::aging(&failure),
                    has_place: matches!(failure, Failure::ThrottledLocally(_)),
                    // What has to wait once has to wait often.
                    is_long: work.task.message.r#type == SyncJob::Full,
                    why: failure.diagnosis(work.provider.spec().name),
                })
            }
            Stop::Call(CallError::Failed(failure, _)) => attempt.failed(failure.diagnosis(work.provider.spec().name)),
        })
    }

    /// When this message's own lease, which could not be released, has ended.
    pub(crate) fn after_the_lease(&self, why: Diagnosis) -> Disposition {
        Disposition::Defer(Deferral {
            after: self.syncs.lease_time(),
            why,
            aging: Aging::Grows,
            has_place: false,
            is_long: false,
        })
    }
}
