//! Why a sync stopped before its end: each reason has its own consequence for the message, and its own sentence for the user.

use domain::Failure;
use platform::{AwsError, calls::CallError, syncs::LeaseError};

/// Why a sync stopped before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// The time is up; the rest goes to another invocation.
    #[error("the time is up")]
    Time,
    /// Another message holds the lease, or the integration was disconnected: nothing more may be written.
    #[error("the lease was taken over")]
    Lost,
    /// A call to the provider failed, or its answer can't be read.
    #[error("the provider failed")]
    Failed(#[source] Failure),
    /// The integration has no credential.
    #[error("there is no credential")]
    NotConnected,
    /// The stored credential can never be opened again.
    #[error("the stored credential can't be opened")]
    Corrupt(#[source] AwsError),
    /// AWS.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Failed(failure, _) => Self::Failed(failure),
            CallError::NotConnected => Self::NotConnected,
            CallError::Corrupt(error) => Self::Corrupt(error),
            CallError::Aws(error) => Self::Aws(error),
        }
    }
}

impl From<LeaseError> for Stop {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Lost => Self::Lost,
            LeaseError::Aws(error) => Self::Aws(error),
        }
    }
}
