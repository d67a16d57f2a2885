//! The SQS envelopes, versioned on the wire.
//!
//! *Invariant:* a reader accepts only the versions it knows; an unknown one is an error with the message kept, never a guess.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::value::RawValue;

use crate::{
    integration::{
        IntegrationKey,
        ids::{AccountId, IntegrationId, ProviderId},
    },
    sync::SyncJob,
    webhook::{delivery::VerifiedJson, json, recipient::DeliveryEndpoint},
};

/// The version of an envelope: (de)serialises as the number `V` and as nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EnvelopeVersion<const V: u32>;

impl<const V: u32> Serialize for EnvelopeVersion<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(V)
    }
}

impl<'de, const V: u32> Deserialize<'de> for EnvelopeVersion<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            version if version == V => Ok(Self),
            version => Err(D::Error::custom(format_args!("message version {version} is not {V}, the one this reads"))),
        }
    }
}

/// A verified delivery on its way to `webhook-process`.
#[derive(Debug, Serialize, Deserialize)]
pub struct WebhookMessage<'a> {
    /// The envelope's version.
    pub v: EnvelopeVersion<1>,
    /// The provider that sent it; this version may not have it.
    pub provider: ProviderId,
    /// The integration whose own endpoint was called, if it was not the app's.
    pub integration_id: Option<IntegrationId>,
    /// The account that events of this endpoint belong to when they don't name one.
    #[serde(default, deserialize_with = "unless_empty")]
    pub account: Option<AccountId>,
    /// Names this delivery wherever it is told of: see [`delivery_id`].
    #[serde(borrow)]
    pub delivery_id: Cow<'a, str>,
    /// When it was received.
    pub received_at: Timestamp,
    /// The body.
    #[serde(borrow)]
    pub body: Body<'a>,
}

impl WebhookMessage<'_> {
    /// Where the delivery was received.
    pub fn endpoint(&self) -> DeliveryEndpoint<'_> {
        let account = self.account.as_ref();
        match &self.integration_id {
            Some(id) => DeliveryEndpoint::Integration { id, account },
            None => DeliveryEndpoint::App { account },
        }
    }
}

/// An earlier version wrote an empty text for an account that is not configured, and its messages can still be in the queue.
fn unless_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AccountId>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    text.map(AccountId::parse).transpose().map_err(D::Error::custom)
}

/// The id of a delivery: when it was received, in hexadecimal milliseconds since 1970, and the id of its request. The time is
/// part of it so that the record of a delivery can be found by its id alone, in an index on time.
pub fn delivery_id(received_at: Timestamp, request_id: &str) -> String {
    format!("{:x}-{request_id}", received_at.as_millisecond())
}

/// A delivery's body, unparsed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body<'a> {
    /// A JSON body, embedded as it is.
    Json(#[serde(borrow)] &'a RawValue),
}

/// Where a delivery came in: all of a [`WebhookMessage`] but the body.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Envelope<'a> {
    /// See [`WebhookMessage::v`].
    pub v: EnvelopeVersion<1>,
    /// See [`WebhookMessage::provider`].
    pub provider: &'a str,
    /// See [`WebhookMessage::integration_id`].
    pub integration_id: Option<&'a IntegrationId>,
    /// See [`WebhookMessage::account`].
    pub account: Option<&'a AccountId>,
    /// See [`WebhookMessage::delivery_id`].
    pub delivery_id: &'a str,
    /// See [`WebhookMessage::received_at`].
    pub received_at: Timestamp,
}

impl Envelope<'_> {
    /// The message's text: ASCII only, so that SQS takes it whatever the body holds.
    pub fn seal(self, body: &VerifiedJson<'_>) -> Result<String, serde_json::Error> {
        let body = json::ascii(body.text());
        let mut message = serde_json::to_string(&self)?;
        // The body was checked when it was verified; the serialiser would read all of it once more.
        message.reserve(body.len() + 32);
        message.pop();
        message.push_str(",\"body\":{\"json\":");
        message.push_str(&body);
        message.push_str("}}");
        Ok(message)
    }
}

/// One sync of one integration, on its way to `sync-worker`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SyncMessage {
    /// The envelope's version.
    pub v: EnvelopeVersion<1>,
    /// The integration to sync; in the message, `user_id` and `integration`.
    #[serde(flatten)]
    pub key: IntegrationKey,
    /// How much of it.
    pub r#type: SyncJob,
    /// Why.
    #[serde(default)]
    pub cause: Cause,
    /// When it was asked for: what was read in full since then is not read again.
    pub asked_at: Timestamp,
    /// The webhook delivery that reported the change, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
}

impl SyncMessage {
    /// The message that asks for a sync of an integration.
    pub fn new(key: &IntegrationKey, r#type: SyncJob, cause: Cause, asked_at: Timestamp) -> Self {
        Self { v: EnvelopeVersion, key: key.clone(), r#type, cause, asked_at, delivery_id: None }
    }

    /// The message that asks for a sync of what a webhook delivery reported.
    pub fn reported(key: &IntegrationKey, delivery_id: &str, asked_at: Timestamp) -> Self {
        let delivery_id = Some(delivery_id.to_owned());
        Self { delivery_id, ..Self::new(key, SyncJob::Incremental, Cause::Changed, asked_at) }
    }
}

/// Why a sync is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A caller asked: a sync that runs already will do.
    #[default]
    Asked,
    /// The schedule's time came: likewise, and a stream that is refused is not asked for before its pause is over.
    Due,
    /// Something changed at the provider: a sync that runs already may have passed it.
    Changed,
}

/// One credential to refresh, on its way to `token-refresh`.
#[derive(Debug, Serialize, Deserialize)]
pub struct RefreshMessage {
    /// The envelope's version.
    pub v: EnvelopeVersion<1>,
    /// The integration it belongs to.
    pub integration_id: IntegrationId,
    /// Which of its credentials.
    pub credential: String,
}

/// What a schedule starts, as the template writes it into the trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Incremental syncs that are due.
    Incremental,
    /// Full syncs.
    Full,
    /// Watches to renew.
    Watches,
    /// Credentials that expire soon.
    Refresh,
    /// What SQS itself moved to the dead-letter queue of webhooks.
    DeadLetters,
}

/// The rest of a sweep that did not fit into one invocation, on its way back to `sync-scheduler`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ScheduleMessage {
    /// The envelope's version.
    pub v: EnvelopeVersion<1>,
    /// The sweep to continue.
    pub schedule: Schedule,
    /// The shard of the index to continue with.
    pub shard: u32,
    /// How many continuations led here.
    pub hop: u32,
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use secrecy::SecretString;

    use super::*;
    use crate::{
        UnverifiedDelivery,
        webhook::{
            json::NotJson,
            proof::{Proof, VerificationContext},
            signature::{Encoding, Scheme, SecretEncoding, SignedPart},
        },
    };

    const SCHEME: Scheme = Scheme {
        header: "x-signature",
        separator: None,
        prefix: "",
        encoding: Encoding::Hex,
        key: SecretEncoding::Text,
        content: &[SignedPart::Body],
        time: None,
    };

    fn seal(body: &[u8]) -> Result<String, NotJson> {
        let secret = SecretString::from("s");
        let mut headers = HeaderMap::new();
        for (name, value) in SCHEME.sign(&headers, body, &secret, Timestamp::UNIX_EPOCH).unwrap() {
            headers.insert(name, value.parse().unwrap());
        }
        let unverified = UnverifiedDelivery { headers: &headers, body };
        let material = VerificationContext { secrets: &[secret], ..VerificationContext::default() };
        let verified = unverified.verify(&Proof::Signature(SCHEME), &material, Timestamp::UNIX_EPOCH).unwrap();
        let envelope = Envelope {
            v: EnvelopeVersion,
            provider: "stripe",
            integration_id: None,
            account: Some(&AccountId::parse("acct_1").unwrap()),
            delivery_id: "d1",
            received_at: Timestamp::UNIX_EPOCH,
        };
        Ok(envelope.seal(&verified.json()?).unwrap())
    }

    #[test]
    fn the_wire_shape_of_a_webhook_message() {
        assert_eq!(
            seal("{\n\"naïve\": 1e3, \"naïve\": 2}".as_bytes()).unwrap(),
            "{\"v\":1,\"provider\":\"stripe\",\"integration_id\":null,\"account\":\"acct_1\",\"delivery_id\":\"d1\",\
             \"received_at\":\"1970-01-01T00:00:00Z\",\"body\":{\"json\":{\n\"na\\u00efve\": 1e3, \"na\\u00efve\": 2}}}",
        );
    }

    #[test]
    fn what_was_sealed_opens_with_the_body_as_it_was() {
        let sealed = seal(br#"{"id": "evt_1", "id": "evt_2"}"#).unwrap();
        let message: WebhookMessage<'_> = serde_json::from_str(&sealed).unwrap();
        let Body::Json(body) = message.body;
        assert_eq!(body.get(), r#"{"id": "evt_1", "id": "evt_2"}"#);
    }

    #[test]
    fn a_body_that_is_not_json_is_not_sealed() {
        assert!(seal(b"token=1&team=2").is_err());
        assert!(seal(b"").is_err());
    }

    #[test]
    fn an_unknown_version_is_named_in_the_error() {
        let text = r#"{"v":2,"integration_id":"int_1","credential":"bot"}"#;
        let error = serde_json::from_str::<RefreshMessage>(text).unwrap_err().to_string();
        assert!(error.contains("message version 2 is not 1"), "{error}");
    }
}
