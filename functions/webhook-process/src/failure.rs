//! Why an attempt failed, and what that makes of its event and its message.

use std::time::Duration;

use domain::{ClaimState, Disposition, IdempotencyRecord, Verdict};
use platform::{AwsError, bus::PublishError, claims::ClaimError, queue::Attempt, records::UpsertError};

use crate::handlers::{CallError, HandlerError};

/// Why an attempt at a claimed event failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A later claim holds the event now; it will finish it.
    #[error("the claim was taken over by a later one")]
    Superseded,
    /// AWS failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// A record of it is too large to be stored.
    #[error("{0}")]
    TooLarge(UpsertError),
    /// The bus does not take it.
    #[error("{0}")]
    Unpublishable(PublishError),
    /// The application's handler failed.
    #[error(transparent)]
    Handler(#[from] CallError),
    /// The same event id came with another payload before. The first is kept.
    #[error("another payload came under the same event id before; the first is kept")]
    Forked,
}

impl From<UpsertError> for Failure {
    fn from(error: UpsertError) -> Self {
        match error {
            UpsertError::TooLarge { .. } => Self::TooLarge(error),
            UpsertError::Aws(error) => Self::Aws(error),
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Refused(_) => Self::Unpublishable(error),
            PublishError::Aws(error) => Self::Aws(error),
        }
    }
}

impl From<ClaimError> for Failure {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Superseded => Self::Superseded,
            ClaimError::Aws(error) => Self::Aws(error),
        }
    }
}

impl Failure {
    /// The state in which the record is left; none if it is somebody else's by now.
    pub(crate) fn leaves(&self) -> Option<ClaimState> {
        match self {
            Self::Superseded => None,
            // When forked, the first payload's own message decides the event.
            Self::Aws(_) | Self::Handler(CallError::Failed(HandlerError::Transient(_))) | Self::Forked => {
                Some(ClaimState::Retry)
            }
            Self::Handler(CallError::Failed(HandlerError::Permanent(_)) | CallError::Panicked)
            | Self::TooLarge(_)
            | Self::Unpublishable(_) => Some(ClaimState::Dead),
        }
    }

    /// Its kind, for the metric.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Aws(_) => "aws",
            Self::TooLarge(_) => "too_large",
            Self::Unpublishable(_) => "unpublishable",
            Self::Handler(CallError::Failed(_)) => "handler",
            Self::Handler(CallError::Panicked) => "handler_panicked",
            Self::Forked => "forked",
        }
    }

    pub(crate) fn disposition(&self, attempt: &Attempt) -> Disposition {
        match self {
            // Whoever has the claim now finishes; if they die, this message must still be there.
            Self::Superseded | Self::Handler(CallError::Failed(HandlerError::Transient(_))) => attempt.retry(),
            Self::Aws(_) => attempt.defer(),
            Self::Handler(CallError::Failed(HandlerError::Permanent(_)) | CallError::Panicked)
            | Self::TooLarge(_)
            | Self::Unpublishable(_)
            | Self::Forked => Disposition::DeadLetter(self.to_string()),
        }
    }
}

/// Somebody else has the event, or had.
pub(crate) fn lost(record: &IdempotencyRecord, hash: &str, attempt: &Attempt) -> Disposition {
    if record.body_hash != hash {
        return Disposition::DeadLetter(Failure::Forked.to_string());
    }
    match record.verdict(attempt.at) {
        Verdict::Finished => {
            tracing::info!("already applied");
            Disposition::Done
        }
        Verdict::Busy(until) => {
            Disposition::Defer(Duration::try_from(until.duration_since(attempt.at)).unwrap_or_default())
        }
        // The store refused by the same rule and the same time, so this does not happen; if it did, later is right.
        Verdict::Claim => attempt.defer(),
    }
}

pub(crate) fn failed(error: &AwsError, attempt: &Attempt) -> Disposition {
    tracing::warn!(%error, attempt = attempt.number, "will be tried again");
    attempt.defer()
}
