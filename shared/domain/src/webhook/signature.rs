//! Signature schemes as data: how a provider proves that it sent a delivery.
//!
//! One small language covers the HMAC schemes of Stripe, Slack, GitHub and Standard Webhooks.
//! *Invariant:* bytes are compared in constant time, every candidate and every current secret is tried,
//! and anything unexpected is a refusal.

pub mod standard_webhooks;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use crate::webhook::rejection::{Rejection, TOLERANCE_SECONDS};

/// More candidate signatures than any provider sends while rolling a secret; beyond it the header is hostile.
const MAX_CANDIDATES: usize = 16;
/// Longer than any genuine signature header, in bytes.
const MAX_HEADER: usize = 4096;

/// How a provider signs: HMAC-SHA256 over [`content`](Self::content), carried in a header.
#[derive(Debug, Clone, Copy)]
pub struct Scheme {
    /// The header with the signatures, in lower case.
    pub header: &'static str,
    /// What separates several entries in that header, if there can be several.
    pub separator: Option<char>,
    /// What an entry that is a signature of the accepted version starts with. Others are ignored.
    pub prefix: &'static str,
    /// How the signature is written.
    pub encoding: Encoding,
    /// How the configured secret becomes the key.
    pub key: SecretEncoding,
    /// The signed bytes, part by part.
    pub content: &'static [SignedPart],
    /// Where the time of signing stands, if the scheme has one.
    pub time: Option<TimeSource>,
}

/// How the bytes of a signature are written in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal, either case.
    Hex,
    /// Standard Base64 with padding.
    Base64,
}

/// How the configured secret becomes the HMAC key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretEncoding {
    /// The secret's text is the key.
    Text,
    /// What follows the optional prefix is the key in Base64.
    Base64After(&'static str),
}

/// One part of the signed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedPart {
    /// The body as received.
    Body,
    /// The time of signing, as written.
    Time,
    /// A header's value.
    Header(&'static str),
    /// Fixed text.
    Text(&'static str),
}

/// Where the time of signing (Unix seconds) stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeSource {
    /// In a header of its own.
    Header(&'static str),
    /// As the entry of the signature header with this prefix.
    Entry(&'static str),
}

impl Scheme {
    /// Checks `body` against the signatures in `headers`.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        secrets: &[SecretString],
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let keys: Vec<_> = secrets.iter().filter_map(|secret| self.key.bytes(secret)).collect();
        if keys.is_empty() {
            return Err(Rejection::NoSecret);
        }
        let header = joined(headers, self.header).ok_or(Rejection::Missing)?;
        if header.len() > MAX_HEADER {
            return Err(Rejection::Malformed);
        }
        let time = match self.time {
            None => None,
            Some(TimeSource::Header(name)) => Some(joined(headers, name).ok_or(Rejection::Missing)?),
            Some(TimeSource::Entry(prefix)) => {
                let mut times = self.entries(&header).filter_map(|entry| entry.strip_prefix(prefix));
                let time = times.next().ok_or(Rejection::Malformed)?;
                if times.next().is_some() {
                    return Err(Rejection::Malformed);
                }
                Some(time.to_owned())
            }
        };
        if let Some(time) = &time {
            let signed_at = unix_seconds(time).ok_or(Rejection::Malformed)?;
            if now.as_second().abs_diff(signed_at) > TOLERANCE_SECONDS {
                return Err(Rejection::Stale);
            }
        }
        let candidates: Vec<_> = self
            .entries(&header)
            .filter_map(|entry| entry.strip_prefix(self.prefix))
            .take(MAX_CANDIDATES + 1)
            .collect();
        if candidates.is_empty() || candidates.len() > MAX_CANDIDATES {
            return Err(Rejection::Malformed);
        }
        let candidates: Vec<_> = candidates.into_iter().filter_map(|text| self.encoding.decode(text)).collect();
        for key in &keys {
            let mac = self.mac(key, headers, body, time.as_deref()).ok_or(Rejection::Missing)?;
            if candidates.iter().any(|candidate| mac.clone().verify_slice(candidate).is_ok()) {
                return Ok(());
            }
        }
        Err(Rejection::Mismatch)
    }

    /// The headers that make `body` a validly signed delivery at `now`: what a provider would send.
    ///
    /// `None` if the secret can't be a key. `headers` are those that the scheme signs besides the body.
    pub fn sign(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        secret: &SecretString,
        now: Timestamp,
    ) -> Option<Vec<(&'static str, String)>> {
        let key = self.key.bytes(secret)?;
        let time = now.as_second().to_string();
        let mac = self.mac(&key, headers, body, Some(&time))?.finalize().into_bytes();
        let signature = format!("{}{}", self.prefix, self.encoding.encode(&mac));
        Some(match self.time {
            None => vec![(self.header, signature)],
            Some(TimeSource::Header(name)) => vec![(name, time), (self.header, signature)],
            Some(TimeSource::Entry(prefix)) => {
                let separator = self.separator.unwrap_or(',');
                vec![(self.header, format!("{prefix}{time}{separator}{signature}"))]
            }
        })
    }

    fn entries<'h>(&self, header: &'h str) -> impl Iterator<Item = &'h str> {
        let separator = self.separator;
        header.split(move |c| Some(c) == separator).map(str::trim)
    }

    fn mac(&self, key: &[u8], headers: &HeaderMap, body: &[u8], time: Option<&str>) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        for part in self.content {
            match *part {
                SignedPart::Body => mac.update(body),
                SignedPart::Time => mac.update(time?.as_bytes()),
                SignedPart::Header(name) => mac.update(joined(headers, name)?.as_bytes()),
                SignedPart::Text(text) => mac.update(text.as_bytes()),
            }
        }
        Some(mac)
    }
}

impl Encoding {
    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => STANDARD.decode(text).ok(),
        }
    }

    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => STANDARD.encode(bytes),
        }
    }
}

impl SecretEncoding {
    /// `None` for an empty secret: an empty key would accept what anyone can sign.
    fn bytes(self, secret: &SecretString) -> Option<Vec<u8>> {
        let text = secret.expose_secret();
        let key = match self {
            Self::Text => text.as_bytes().to_vec(),
            Self::Base64After(prefix) => STANDARD.decode(text.strip_prefix(prefix).unwrap_or(text)).ok()?,
        };
        (!key.is_empty()).then_some(key)
    }
}

/// A header's values joined by commas, as API Gateway's payload format 2.0 joins duplicates.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Option<Vec<_>> = headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
    values.filter(|values| !values.is_empty()).map(|values| values.join(","))
}

/// Plain ASCII digits without sign, leading zero or fraction; at most 12 of them.
fn unix_seconds(text: &str) -> Option<i64> {
    let plain = (1..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
