//! The only door from the outside: an [`UnverifiedDelivery`] becomes a [`VerifiedDelivery`] or a [`Rejection`].
//!
//! *Invariant:* a [`VerifiedDelivery`] can be made only here, and only its body can be put into a message, so that
//! processing unverified bytes does not compile.

use std::borrow::Cow;

use http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    json::{self, NotJson},
    proof::{Material, Proof},
    reason::Reason,
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

/// A delivery whose proof is genuine and recent.
#[derive(Debug, Clone)]
pub struct VerifiedDelivery<'a> {
    body: Cow<'a, [u8]>,
    form: bool,
}

/// The body of a [`VerifiedDelivery`] as one JSON value.
#[derive(Debug, Clone)]
pub struct VerifiedJson<'a> {
    text: Cow<'a, str>,
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
    /// Checks the proof over the raw bytes, before anything parses them.
    pub fn verify(
        self,
        proof: &Proof,
        material: &Material<'_>,
        now: Timestamp,
    ) -> Result<VerifiedDelivery<'a>, Rejection> {
        match proof {
            Proof::Signature(scheme) => scheme.verify(self.headers, self.body, material.secrets, now)?,
            Proof::IdToken(token) => token.verify(self.headers, material, now)?,
            Proof::ChannelToken(token) => {
                let body = token.verify(self.headers, material)?.to_string().into_bytes();
                return Ok(VerifiedDelivery { body: Cow::Owned(body), form: false });
            }
        }
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let form = content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        Ok(VerifiedDelivery { body: Cow::Borrowed(self.body), form })
    }
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

impl<'a> VerifiedDelivery<'a> {
    /// Whether it is a form.
    pub const fn is_form(&self) -> bool {
        self.form
    }

    /// The body as JSON text, checked to be readable by whatever comes after the queue. A form becomes an object of its
    /// fields, of which the first of a name counts.
    pub fn json(self) -> Result<VerifiedJson<'a>, NotJson> {
        if self.form {
            let mut fields = Map::new();
            for (name, value) in form_urlencoded::parse(&self.body) {
                fields.entry(name).or_insert_with(|| Value::from(value));
            }
            return Ok(VerifiedJson { text: Cow::Owned(Value::Object(fields).to_string()) });
        }
        let text = match self.body {
            Cow::Borrowed(body) => Cow::Borrowed(json::check(body)?),
            Cow::Owned(body) => Cow::Owned(json::check(&body)?.to_owned()),
        };
        Ok(VerifiedJson { text })
    }
}

impl VerifiedJson<'_> {
    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}
