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
        provider: &ProviderId::of_data("stripe"),
        integration_id: None,
        account: Some(&AccountId::parse("acct_1").unwrap()),
        delivery_id: &DeliveryId::parse("d1").unwrap(),
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

#[test]
fn what_a_message_asks_for_decides_how_old_a_reading_may_be() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let key = IntegrationKey::parse("ada", "p#a").unwrap();
    let message = |kind, cause, second| SyncMessage::new(&key, kind, cause, at(second));
    let since = |message: &SyncMessage| message.fresh_since(at(10_000));
    assert_eq!(since(&message(SyncJob::Full, Cause::Asked, 10_000)), Some(at(10_000 - 18 * 60)), "connected");
    assert_eq!(since(&message(SyncJob::Full, Cause::Asked, 20_000)), None, "a repair");
    assert_eq!(since(&message(SyncJob::Incremental, Cause::Asked, 20_000)), Some(at(20_000)));
    assert_eq!(since(&message(SyncJob::Full, Cause::Changed, 20_000)), None, "the rest of a repair");
    assert_eq!(since(&message(SyncJob::Incremental, Cause::Changed, 20_000)), Some(at(20_000)));
    let slot = |slot, asked| SyncMessage::for_slot(&key, at(slot), at(asked));
    assert_eq!(since(&slot(20_000, 19_800)), Some(at(20_000 - 180)));
    assert_eq!(since(&slot(16_000, 19_800)), Some(at(19_800 - 180)), "no sweep came for long");
}

#[test]
fn what_is_left_of_a_sync_and_what_the_schedule_brings_is_long_and_goes_on_for_what_was_asked() {
    let key = IntegrationKey::parse("ada", "slack#T1").unwrap();
    let at = |second| Timestamp::from_second(second).unwrap();
    let push = SyncMessage::new(&key, SyncJob::Incremental, Cause::Changed, at(500));
    let slot = SyncMessage::for_slot(&key, at(900), at(600));
    assert!(!push.is_long() && slot.is_long());
    for (message, asked_at) in [(&push, 500), (&slot, 900)] {
        let rest = message.rest(Stage::Full);
        assert_eq!((rest.asked_at, rest.slot, rest.stage), (at(asked_at), None, Stage::Full));
        assert!(rest.is_long());
        assert_eq!(rest.fresh_since(at(0)), Some(at(asked_at)), "an earlier reading may have passed what is left");
    }
    let renewal = SyncMessage::new(&key, SyncJob::RenewWatches, Cause::Due, at(500));
    assert_eq!(renewal.rest(Stage::Full).r#type, SyncJob::Incremental, "what another message asked for meanwhile");
}
