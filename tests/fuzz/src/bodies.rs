//! Verified bodies: read as JSON, sealed into a message, opened again, and read by every provider at both ends.

#![no_main]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{AccountId, DeliveryId, Effect, Event, EventId, EventType, NotAnEvent, Owner, Proof, ProviderId, UnverifiedDelivery, id::is_segment, webhook::{json::NotJson, proof::VerificationContext, signature::{Encoding, Scheme, SecretEncoding, SignedPart}}, messages::message::{Body, Envelope, EnvelopeVersion, WebhookMessage}};
use fuzz::NOW;
use http::{HeaderMap, header};
use libfuzzer_sys::fuzz_target;
use providers::Provider;
use secrecy::SecretString;
use serde::{Deserialize as _, de::IgnoredAny};
use serde_json::{Value, json, value::RawValue};

/// The simplest there is: what a body is must not depend on its signer.
const SCHEME: Scheme = Scheme {
    header: "x-signature",
    separator: None,
    prefix: "",
    encoding: Encoding::Hex,
    key: SecretEncoding::Text,
    content: &[SignedPart::Body],
    time: None,
};

/// What `domain::webhook::json` promises.
const MAX_DEPTH: usize = 128;

/// The body on its way through ingest and the queue: as text, and as the message.
fn seal(body: &[u8], form: bool) -> Result<(String, String), NotJson> {
    let secrets = [SecretString::from("secret")];
    let mut headers = HeaderMap::new();
    for (name, value) in SCHEME.sign(&headers, body, &secrets[0], NOW).unwrap() {
        headers.insert(name, value.parse().unwrap());
    }
    if form {
        headers.insert(header::CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap());
    }
    let material = VerificationContext { secrets: &secrets, ..VerificationContext::default() };
    let delivery = UnverifiedDelivery { headers: &headers, body };
    let delivery = delivery.verify(&Proof::Signature(SCHEME), &material, NOW).unwrap();
    assert_eq!(delivery.is_form(), form);
    let body = delivery.json()?;
    let envelope = Envelope {
        v: EnvelopeVersion,
        provider: &ProviderId::of_data("any"),
        integration_id: None,
        account: Some(&AccountId::parse("a").unwrap()),
        delivery_id: &DeliveryId::parse("d").unwrap(),
        received_at: NOW,
    };
    let message = envelope.seal(&body).unwrap();
    Ok((body.text().to_owned(), message))
}

fn value(text: &str) -> Value {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    Value::deserialize(&mut deserializer).unwrap()
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// What a provider makes of a body, in a form to compare.
type Said = (EventId, EventType, Owner, Effect);

fn said(event: &Event<'_>) -> Said {
    (event.id().clone(), event.event_type().clone(), event.owner().clone(), event.effect().clone())
}

fn read(provider: &dyn Provider, body: &RawValue) -> Option<Said> {
    let event = match provider.event(body, NOW) {
        Ok(event) => event,
        Err(error) => {
            assert!(!matches!(error, NotAnEvent::Unread(_)) || provider.spec().webhook.is_none());
            return None;
        }
    };
    assert!(event.changes().iter().all(|change| is_segment(change.key().id())), "{:?}", event.changes());
    serde_json::from_str::<&RawValue>(event.data().get()).unwrap();
    Some(said(&event))
}

/// Both ends of the queue must read the same out of a body.
fn compare(text: &str, raw: &RawValue) {
    let whole: &RawValue = serde_json::from_str(text).unwrap();
    for provider in providers::REGISTRY.iter() {
        assert_eq!(provider.account(text), provider.account(raw.get()));
        let challenge = provider.handshake(text);
        assert_eq!(challenge, provider.handshake(raw.get()));
        let harmless = |text: &String| text.len() <= 256 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'<');
        assert!(challenge.as_ref().is_none_or(harmless), "{challenge:?} is returned");
        assert_eq!(read(provider, whole), read(provider, raw));
    }
}

fuzz_target!(|input: &[u8]| {
    for form in [false, true] {
        let Ok((text, message)) = seal(input, form) else {
            assert!(!form, "a form is always fields");
            continue;
        };
        assert!(
            message.bytes().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=b'~')),
            "SQS may refuse {message:?}"
        );
        let opened: WebhookMessage<'_> = serde_json::from_str(&message).unwrap();
        let Body::Json(raw) = opened.body;
        let value = value(&text);
        assert!(depth(&value) <= MAX_DEPTH);
        assert_eq!(value, self::value(raw.get()), "the body changed on its way");
        compare(&text, raw);
    }
    // Two providers send JSON inside JSON, which no byte-wise change gets through to.
    let Ok(text) = std::str::from_utf8(input) else { return };
    let wrapped = [json!({"payload": text}), json!({"message": {"data": STANDARD.encode(text), "messageId": "m1"}})];
    if serde_json::from_str::<IgnoredAny>(text).is_ok() {
        for body in wrapped.map(|body| body.to_string()) {
            compare(&body, serde_json::from_str(&body).unwrap());
        }
    }
});
