//! The only door from the outside: an [`UnverifiedDelivery`] becomes a [`VerifiedDelivery`] or a [`Rejection`].
//!
//! *Invariant:* a [`VerifiedDelivery`] can be made only here, and only its body can be put into a message, so that
//! processing unverified bytes does not compile.

use http::HeaderMap;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::{
    json::{self, NotJson},
    signature::Scheme,
};

/// One inbound attempt to tell us of an event, as received.
#[derive(Debug, Clone, Copy)]
pub struct UnverifiedDelivery<'a> {
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The body's bytes, exactly as sent.
    pub body: &'a [u8],
}

/// A delivery whose signature is genuine and recent.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedDelivery<'a> {
    body: &'a [u8],
}

/// The body of a [`VerifiedDelivery`] that is one JSON value.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedJson<'a> {
    text: &'a str,
}

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
    #[error("the delivery was signed more than {} seconds from now", Scheme::TOLERANCE_SECONDS)]
    Stale,
    /// No candidate matches under any current secret.
    #[error("no signature matches; was the webhook secret changed at the provider?")]
    Mismatch,
}

impl<'a> UnverifiedDelivery<'a> {
    /// Checks the signature over the raw bytes, before anything parses them.
    pub fn verify(
        self,
        scheme: &Scheme,
        secrets: &[SecretString],
        now: Timestamp,
    ) -> Result<VerifiedDelivery<'a>, Rejection> {
        scheme.verify(self.headers, self.body, secrets, now)?;
        Ok(VerifiedDelivery { body: self.body })
    }
}

impl Rejection {
    /// A stable name for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoSecret => "no_secret",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Stale => "stale",
            Self::Mismatch => "mismatch",
        }
    }
}

impl<'a> VerifiedDelivery<'a> {
    /// The body as JSON text, checked to be readable by whatever comes after the queue.
    pub fn json(self) -> Result<VerifiedJson<'a>, NotJson> {
        Ok(VerifiedJson { text: json::check(self.body)? })
    }
}

impl<'a> VerifiedJson<'a> {
    /// The text.
    pub fn text(self) -> &'a str {
        self.text
    }
}
