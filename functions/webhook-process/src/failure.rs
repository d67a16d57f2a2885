//! Why an attempt failed, and what that makes of its event and its message.

use std::time::Duration;

use domain::{ClaimState, Diagnosis, Disposition, IdempotencyRecord, Reason, Verdict, reason::Class};
use platform::{
    AwsError,
    aws::bus::PublishError,
    runtime::consumer::Attempt,
    stores::{claims::ClaimError, records::UpsertError},
};

use crate::handlers::{CallError, HandlerError};

/// Why an attempt at a claimed event failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptFailure {
    /// A later claim holds the event now; it will finish it.
    #[error("the claim was taken over by a later one")]
    Superseded,
    /// AWS failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// A record of it is too large to be stored.
    #[error(transparent)]
    TooLarge(UpsertError),
    /// The bus does not take it.
    #[error(transparent)]
    Unpublishable(PublishError),
    /// The application's handler failed.
    #[error(transparent)]
    Handler(#[from] CallError),
}

impl From<UpsertError> for AttemptFailure {
    fn from(error: UpsertError) -> Self {
        match error {
            UpsertError::TooLarge { .. } => Self::TooLarge(error),
            UpsertError::Aws(error) => Self::Aws(error),
        }
    }
}

impl From<PublishError> for AttemptFailure {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Refused(_) => Self::Unpublishable(error),
            PublishError::Aws(error) => Self::Aws(error),
        }
    }
}

impl From<ClaimError> for AttemptFailure {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Superseded => Self::Superseded,
            ClaimError::Aws(error) => Self::Aws(error),
        }
    }
}

impl AttemptFailure {
    /// The state in which the record is left; none if another claim decides it.
    pub(crate) const fn resulting_state(&self) -> Option<ClaimState> {
        match (self, self.reason().class()) {
            (Self::Superseded, _) => None,
            (_, Class::Passing | Class::Operators | Class::Counted) => Some(ClaimState::Retry),
            (_, Class::Hopeless) => Some(ClaimState::Dead),
        }
    }

    /// What the log, the metric and the record tell operators of it.
    pub(crate) const fn reason(&self) -> Reason {
        match self {
            Self::Superseded => Reason::Superseded,
            Self::Aws(error) => error.reason(),
            Self::TooLarge(_) => Reason::TooLarge,
            Self::Unpublishable(_) => Reason::Unpublishable,
            Self::Handler(CallError::Failed(HandlerError::Transient(_))) => Reason::HandlerFailed,
            Self::Handler(CallError::Failed(HandlerError::Permanent(_))) => Reason::HandlerRefused,
            Self::Handler(CallError::Panicked) => Reason::HandlerPanicked,
        }
    }

    /// Its reason and its sentence.
    pub(crate) fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Aws(error) => error.diagnosis(),
            Self::Superseded | Self::TooLarge(_) | Self::Unpublishable(_) | Self::Handler(_) => {
                Diagnosis::new(self.reason(), self.to_string())
            }
        }
    }
}

/// Why another payload under a used event id is given up.
pub(crate) fn forked() -> Diagnosis {
    Diagnosis::new(Reason::Forked, "another payload came under the same event id before; the first is kept")
}

/// Another attempt has the event, or had it and finished.
pub(crate) fn claim_lost(record: &IdempotencyRecord, attempt: &Attempt) -> Disposition {
    match record.verdict(attempt.at) {
        Verdict::Finished => {
            tracing::info!("already finished");
            Disposition::Done
        }
        Verdict::Busy(until) => {
            Disposition::wait_for_lease(Duration::try_from(until.duration_since(attempt.at)).unwrap_or_default())
        }
        // The store refused by the same rule and the same time, so this does not happen; if it did, later is right.
        Verdict::Claim => Disposition::wait_for_lease(Duration::from_secs(1)),
    }
}
