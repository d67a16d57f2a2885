//! Stripe.

mod actions;
mod errors;
mod event;
mod limits;
mod normalise;
mod pages;

use std::borrow::Cow;

use domain::{
    CredentialName, Event, NotAnEvent, Problem, ProviderId, Reply, Request, UserId,
    call::{Api, Unreadable},
    webhook::{
        proof::Proof,
        signature::{Encoding, Scheme, SecretEncoding, SignedPart, TimeSource},
    },
};
use jiff::Timestamp;
use serde_json::{Value, value::RawValue};

use crate::{About, AccountSource, ApiKey, Auth, Identity, Provider, Spec, Step, StreamPage, StreamSpec};

#[derive(Debug)]
pub(crate) struct Stripe;

static SPEC: Spec = Spec {
    id: ProviderId::of_data("stripe"),
    name: "Stripe",
    secret: "stripe",
    auth: Auth::ApiKey(ApiKey {
        name: CredentialName::of_data("key"),
        hint: "A Stripe key starts with rk_ or sk_; copy it from Stripe's page \"API keys\".",
        prefixes: &["rk_", "sk_"],
    }),
    identity: Identity {
        place: AccountSource::Get("/v1/account"),
        id: "/id",
        name: &["/settings/dashboard/display_name", "/business_profile/name", "/email"],
        service: None,
        organisation: None,
        addressed: false,
    },
    api: Api {
        idempotent: true,
        headers: &[("stripe-version", "2025-03-31.basil")],
        codes: errors::CODES,
        classes: errors::CLASSES,
        should_retry: Some("stripe-should-retry"),
        limited_by: Some("stripe-rate-limited-reason"),
        limits: limits::LIMITS,
        test_credentials: &["rk_test_", "sk_test_"],
        // https://docs.stripe.com/api/versioning, …/connected-accounts, …/idempotent_requests, read 2026-11. Which account a
        // call is for is Stripe's to decide: without its header it would run on the key's own.
        request_headers: &["stripe-account", "stripe-context", "stripe-version"],
        ..Api::new("https://api.stripe.com")
    },
    // https://docs.stripe.com/webhooks#verify-manually, read 2026-11: entries of other schemes (v0) are ignored,
    // several v1 stand side by side while a secret is rolled, the key is the whole `whsec_…` text.
    webhook: Some(Proof::Signature(Scheme {
        header: "stripe-signature",
        separator: Some(','),
        prefix: "v1=",
        encoding: Encoding::Hex,
        key: SecretEncoding::Text,
        content: &[SignedPart::Time, SignedPart::Text("."), SignedPart::Body],
        time: Some(TimeSource::Entry("t=")),
    })),
    forms: false,
    probe: None,
    retry_header: None,
    // https://docs.stripe.com/api/events/types, read 2026-11. `customer.subscription.deleted` says that a subscription is
    // canceled: it is still there, and listed. Payments have no event of an end.
    streams: &[
        StreamSpec {
            name: "customers",
            incremental: true,
            clock: normalise::CLOCK,
            ends: &["customer.deleted"],
            skips_known: false,
            shared_by: None,
        },
        StreamSpec {
            name: "subscriptions",
            incremental: true,
            clock: normalise::CLOCK,
            ends: &[],
            skips_known: false,
            shared_by: None,
        },
        StreamSpec {
            name: "payment_intents",
            incremental: true,
            clock: normalise::CLOCK,
            ends: &[],
            skips_known: false,
            shared_by: None,
        },
    ],
    watching: None,
    actions: &["create_subscription", "cancel_subscription"],
};

impl Provider for Stripe {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn account<'a>(&self, body: &'a str) -> Option<Cow<'a, str>> {
        event::account(body)
    }

    fn event<'a>(&self, body: &'a RawValue, _received_at: Timestamp) -> Result<Event<'a>, NotAnEvent> {
        event::read(body)
    }
    fn begin(&self, _stream: &str, cursor: Option<&Value>, now: Timestamp) -> Option<Value> {
        pages::begin(cursor, now)
    }

    fn page_request(&self, stream: &str, position: &Value) -> Result<Request, Unreadable> {
        pages::request(stream, position)
    }

    fn page(
        &self,
        stream: &str,
        position: &Value,
        reply: &Reply,
        asked_at: Timestamp,
    ) -> Result<StreamPage, Unreadable> {
        pages::page(stream, position, reply, asked_at)
    }

    fn meanwhile(&self, _stream: &str, position: &Value) -> Option<Value> {
        pages::meanwhile(position)
    }

    fn about(&self, _stream: &str, position: &Value) -> About {
        pages::about(position)
    }

    fn action(&self, name: &str, input: &Value, user_id: &UserId) -> Result<Request, Problem> {
        actions::first(name, input, user_id)
    }

    fn action_step(
        &self,
        name: &str,
        _input: &Value,
        _gathered: &mut Value,
        reply: &Reply,
    ) -> Result<Step, Unreadable> {
        actions::step(name, reply)
    }
}
