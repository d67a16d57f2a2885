//! The only way from bytes to an event: an [`UnverifiedDelivery`] becomes a [`VerifiedDelivery`] or a [`Rejection`].
//!
//! *Invariant:* a [`VerifiedDelivery`] can be made only here, and only its body can be put into a message, so that
//! processing unverified bytes does not compile.

use std::borrow::Cow;

use http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    id::id,
    webhook::{
        Rejection,
        json::{self, NotJson},
        proof::{Proof, VerificationContext},
    },
};

id! {
    /// Names a delivery in logs, records and `GET /deliveries`.
    DeliveryId, "a delivery id", "1 to 255 visible ASCII characters", |text| {
        (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl DeliveryId {
    /// The id of a delivery that was received now: hexadecimal milliseconds since 1970, and the id of its request or message. The
    /// time is part of it so that the record of a delivery can be found by its id alone, in an index on time. Of the id of the
    /// request, which AWS makes, only what can be part of an id is taken.
    pub fn new(received_at: Timestamp, request_id: &str) -> Self {
        let request_id: String = request_id.chars().filter(char::is_ascii_graphic).take(200).collect();
        Self(format!("{:x}-{request_id}", received_at.as_millisecond()).into())
    }

    /// When the delivery was received, to the millisecond; none if it is no id that was made by [`Self::new`].
    pub fn received_at(&self) -> Option<Timestamp> {
        let (milliseconds, _) = self.as_str().split_once('-')?;
        Timestamp::from_millisecond(i64::from_str_radix(milliseconds, 16).ok()?).ok()
    }
}

/// One inbound attempt to report an event, as received.
#[derive(Debug, Clone, Copy)]
pub struct UnverifiedDelivery<'a> {
    pub headers: &'a HeaderMap,
    /// The body's bytes, exactly as sent.
    pub body: &'a [u8],
}

/// A form, signed or not, by which a provider checks that an address answers. It is answered before anything is verified, so
/// nothing else may follow from it.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// The field that makes it one.
    pub field: &'static str,
    /// What that field holds.
    pub value: &'static str,
    /// Fields of the provider's genuine deliveries: a form with one of them is none.
    pub never_with: &'static [&'static str],
}

/// The longest body that is looked at for a probe, in bytes; Slack's have about fifty.
const MAX_PROBE: usize = 512;

/// A delivery with a genuine and recent proof.
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

impl<'a> UnverifiedDelivery<'a> {
    /// Checks the proof over the raw bytes, before anything parses them.
    pub fn verify(
        self,
        proof: &Proof,
        material: &VerificationContext<'_>,
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
        Ok(VerifiedDelivery { body: Cow::Borrowed(self.body), form: self.is_form() })
    }

    fn is_form(&self) -> bool {
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"))
    }

    /// Whether it is this probe.
    pub fn is_probe(&self, probe: &Probe) -> bool {
        let fields = || form_urlencoded::parse(self.body);
        self.body.len() <= MAX_PROBE
            && self.is_form()
            && fields().any(|(name, value)| name == probe.field && value == probe.value)
            && fields().all(|(name, value)| {
                (name != probe.field || value == probe.value) && !probe.never_with.contains(&&*name)
            })
    }
}

impl<'a> VerifiedDelivery<'a> {
    /// Whether it is a form.
    pub const fn is_form(&self) -> bool {
        self.form
    }

    /// The body as JSON text, checked to be readable by every later reader. A form becomes an object of its
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
    /// One JSON value, as it was received unless it was a form.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_delivery_tells_when_it_was_received() {
        let at = Timestamp::from_millisecond(1_795_428_000_123).unwrap();
        assert_eq!(DeliveryId::new(at, "UKzV6iq2-IAMEJxw=").received_at(), Some(at));
        for none in ["19a", "x-1", "-1", "ffffffffffffffff-1", "7fffffffffffffff-1"] {
            assert_eq!(DeliveryId::parse(none).unwrap().received_at(), None, "{none}");
        }
    }

    #[test]
    fn only_a_short_form_with_the_documented_field_and_without_a_genuine_one_is_a_probe() {
        const PROBE: Probe = Probe { field: "ssl_check", value: "1", never_with: &["command", "payload"] };
        let mut headers = HeaderMap::new();
        let long = format!("ssl_check=1&token={}", "x".repeat(MAX_PROBE));
        let bodies = |headers: &HeaderMap| {
            ["ssl_check=1&token=xxx", "ssl_check=1", "token=xxx&ssl%5Fcheck=1", "ssl_check=1&new=field"]
                .map(|body| UnverifiedDelivery { headers, body: body.as_bytes() }.is_probe(&PROBE))
        };
        assert_eq!(bodies(&headers), [false; 4], "no form");
        headers.insert(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8".parse().unwrap());
        assert_eq!(bodies(&headers), [true; 4]);
        for body in [
            "",
            "ssl_check=0",
            "ssl_check=true",
            "ssl_check=1&ssl_check=0",
            "text=ssl_check%3D1",
            "ssl_check=1&payload=%7B%22type%22%3A%22event_callback%22%7D",
            "command=%2Fx&ssl_check=1",
            "{\"ssl_check\":\"1\"}",
            &long,
        ] {
            assert!(!UnverifiedDelivery { headers: &headers, body: body.as_bytes() }.is_probe(&PROBE), "{body:.60}");
        }
    }
}
