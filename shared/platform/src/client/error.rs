//! Why a call did not work: one type from the transport to the function.
//!
//! *Invariant:* nothing on the way rewrites a failure. The HTTP client tells what happened to the bytes
//! ([`SendError`](super::http::SendError)), the transport what it means, and every layer above passes that on as it is.

use domain::{Diagnosis, Failure, Reason, Reply};

use crate::AwsError;

/// Why a call did not work.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The call failed at the provider, or on the way there; with the answer, if there was one. A refresh by another process
    /// that does not end in time is [`Failure::Unreached`]: nothing was sent.
    #[error("the call failed")]
    Failed(#[source] Failure, Option<Box<Reply>>),
    /// There is no credential: the integration is disconnected.
    #[error("there is no credential")]
    NotConnected,
    /// The stored credential can never be opened again: its ciphertext or its item was altered.
    #[error("the stored credential can't be opened")]
    Corrupt(#[source] AwsError),
    /// A call to AWS failed.
    #[error(transparent)]
    Aws(AwsError),
}

impl CallError {
    /// The reason and the operator's sentence; `name` is the provider's.
    pub fn diagnosis(&self, name: &str) -> Diagnosis {
        match self {
            Self::Failed(failure, _) => failure.diagnosis(name),
            Self::NotConnected => Diagnosis::new(Reason::NotConnected, self.to_string()),
            Self::Corrupt(error) | Self::Aws(error) => error.diagnosis(),
        }
    }

    /// What the provider's failure was; none if the call never came to the provider.
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure, _) => Some(failure),
            Self::NotConnected | Self::Corrupt(_) | Self::Aws(_) => None,
        }
    }
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure, None)
    }
}

/// An error of the credential's store.
impl From<AwsError> for CallError {
    fn from(error: AwsError) -> Self {
        if error.reason() == Reason::Corrupt { Self::Corrupt(error) } else { Self::Aws(error) }
    }
}
