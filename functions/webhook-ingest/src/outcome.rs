//! What a delivery came to, and the answer to its sender.
//!
//! *Invariant:* an answer tells the sender nothing that helps to forge a delivery.

use domain::{Diagnosis, Reason, Rejection};
use lambda_http::http::StatusCode;
use platform::aws::queue::MAX_MESSAGE;

/// The specification's answer to a sender that proves nothing.
const REFUSED: &str = "Webhook signature verification failed";

/// What became of a delivery that was taken.
pub(crate) enum Taken {
    /// The queue has it.
    Queued,
    /// The queue has it, and the provider shows the answer to a person, so there is none.
    Shown,
    /// The provider documents it as no event, such as a question whether the address is ours; this is the answer.
    Handshake(String),
    /// It only checks that the address answers, and proves nothing.
    Probe,
}

/// Why a delivery was not taken.
pub(crate) enum Refusal {
    /// It can't be verified, or is forged.
    Rejected(Rejection),
    /// Nothing of this provider is taken yet.
    NotTaken,
    /// Genuine, but nothing that can be read.
    NotJson,
    /// Larger than a message.
    TooLarge,
    /// Our side fails; the provider is to send it again.
    Unavailable(Diagnosis),
}

impl Taken {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Queued | Self::Shown => "accepted",
            Self::Handshake(_) => "answered a handshake",
            Self::Probe => "answered a probe",
        }
    }
}

impl Refusal {
    /// The status and words for the sender.
    pub(crate) const fn answer(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Rejected(Rejection::NoSecret) => {
                (StatusCode::SERVICE_UNAVAILABLE, "No webhook secret is configured here yet")
            }
            Self::Rejected(Rejection::Missing | Rejection::Malformed | Rejection::Stale | Rejection::Mismatch) => {
                (StatusCode::BAD_REQUEST, REFUSED)
            }
            Self::NotTaken => (StatusCode::SERVICE_UNAVAILABLE, "This provider's webhooks are not taken here yet"),
            Self::NotJson => (StatusCode::BAD_REQUEST, "The body is not JSON that can be read"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "Please send this again later"),
        }
    }

    /// What the log, the metric and the record tell operators of it.
    pub(crate) fn why(self) -> Diagnosis {
        match self {
            Self::Rejected(rejection) => Diagnosis::new(rejection.reason(), rejection.to_string()),
            Self::NotTaken => Diagnosis::new(Reason::NotTaken, "this version reads no webhooks of the provider"),
            Self::NotJson => Diagnosis::new(Reason::NotJson, "the body is not JSON that every later reader can read"),
            Self::TooLarge => Diagnosis::new(
                Reason::TooLarge,
                format!("the delivery is larger than {MAX_MESSAGE} bytes as a message"),
            ),
            Self::Unavailable(why) => why,
        }
    }
}
