//! GitHub and Standard Webhooks as far as signing goes: nothing but data, of the same shape as the shipped providers'.

use std::borrow::Cow;

use domain::{
    CredentialName, Event, EventId, EventType, NotAnEvent, ProviderId,
    call::Api,
    webhook::{
        proof::Proof,
        signature::{Encoding, Scheme, SecretEncoding, SignedPart, standard_webhooks},
    },
};
use jiff::Timestamp;
use providers::{AccountSource, ApiKey, Auth, Identity, Provider, Spec};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// Both.
pub(crate) const VENDORS: [&dyn Provider; 2] = [&Vendor(&GITHUB), &Vendor(&STANDARD_WEBHOOKS)];

/// A provider that only sends webhooks.
#[derive(Debug)]
struct Vendor(&'static Spec);

/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>, read 2026-11.
static GITHUB: Spec = sender(
    "github",
    "GitHub",
    Scheme {
        header: "x-hub-signature-256",
        separator: None,
        prefix: "sha256=",
        encoding: Encoding::Hex,
        key: SecretEncoding::Text,
        content: &[SignedPart::Body],
        time: None,
    },
);

static STANDARD_WEBHOOKS: Spec = sender("standard-webhooks", "Standard Webhooks", standard_webhooks::SCHEME);

const fn sender(id: &'static str, name: &'static str, scheme: Scheme) -> Spec {
    Spec {
        id: ProviderId::of_data(id),
        name,
        secret: id,
        auth: Auth::ApiKey(ApiKey { name: CredentialName::of_data("key"), hint: "", prefixes: &[] }),
        identity: Identity {
            place: AccountSource::Grant,
            id: "",
            name: &[],
            service: None,
            organisation: None,
            addressed: false,
        },
        api: Api::new("https://vendor.example"),
        webhook: Some(Proof::Signature(scheme)),
        forms: false,
        probe: None,
        retry_header: None,
        streams: &[],
        watching: None,
        actions: &[],
    }
}

impl Provider for Vendor {
    fn spec(&self) -> &'static Spec {
        self.0
    }

    fn event<'a>(&self, body: &'a RawValue, received_at: Timestamp) -> Result<Event<'a>, NotAnEvent> {
        // The vendors' own id stands in a header; for this test the body will do.
        let id = EventId::parse(hex::encode(Sha256::digest(body.get())))?;
        Ok(Event::new(id, EventType::parse("delivered")?, received_at, Cow::Borrowed(body)))
    }
}
