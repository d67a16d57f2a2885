//! Standard Webhooks' symmetric signature: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>,
//! read 2026-11.

use super::{Encoding, Scheme, SecretEncoding, SignedPart, TimeSource};

/// The header with the id of a message: the same in each attempt, and signed.
pub const ID: &str = "webhook-id";

/// What a secret begins with; its key follows in Base64, 24 to 64 bytes.
pub const SECRET_PREFIX: &str = "whsec_";

/// How a message is signed and verified. [`ID`] is among the headers that are given to [`Scheme::sign`].
pub const SCHEME: Scheme = Scheme {
    header: "webhook-signature",
    separator: Some(' '),
    prefix: "v1,",
    encoding: Encoding::Base64,
    key: SecretEncoding::Base64After(SECRET_PREFIX),
    content: &[
        SignedPart::Header(ID),
        SignedPart::Text("."),
        SignedPart::Time,
        SignedPart::Text("."),
        SignedPart::Body,
    ],
    time: Some(TimeSource::Header("webhook-timestamp")),
};
