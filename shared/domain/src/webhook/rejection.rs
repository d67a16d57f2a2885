//! Why a delivery is not accepted.

use crate::reason::Reason;

/// Seconds between signing and receiving beyond which a delivery is refused, in both directions.
/// Stripe's and Slack's SDKs and Standard Webhooks all use five minutes.
pub(super) const TOLERANCE_SECONDS: u64 = 300;

/// Why a delivery was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No secret is configured: nothing can be verified, so nothing is accepted.
    #[error("no webhook secret is configured for this provider; add it to its secret in Secrets Manager")]
    NoSecret,
    /// A header that the scheme needs is absent or not plain ASCII.
    #[error("a signature header is missing")]
    Missing,
    /// A header is not of the scheme's form.
    #[error("the signature header is malformed")]
    Malformed,
    /// Signed too long ago, or too far in the future.
    #[error("the delivery was signed more than {} seconds from now", TOLERANCE_SECONDS)]
    Stale,
    /// No candidate matches under any current secret.
    #[error("no signature matches; was the webhook secret changed at the provider?")]
    Mismatch,
}

impl Rejection {
    /// The same among all reasons, for operators.
    pub const fn reason(self) -> Reason {
        match self {
            Self::NoSecret => Reason::NoSecret,
            Self::Missing => Reason::Missing,
            Self::Malformed => Reason::Malformed,
            Self::Stale => Reason::Stale,
            Self::Mismatch => Reason::Mismatch,
        }
    }
}
