//! Stripe.

mod event;
mod normalise;

use std::borrow::Cow;

use domain::{
    Event, NotAnEvent,
    signature::{Encoding, Key, Part, Scheme, Time},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Provider, Spec};

/// See the module.
#[derive(Debug)]
pub(crate) struct Stripe;

const SPEC: Spec = Spec {
    id: "stripe",
    name: "Stripe",
    secret: "stripe",
    webhook: Some(
        // https://docs.stripe.com/webhooks#verify-manually, read 2026-11: entries of other schemes (v0) are ignored,
        // several v1 stand side by side while a secret is rolled, the key is the whole `whsec_…` text.
        Scheme {
            header: "stripe-signature",
            separator: Some(','),
            prefix: "v1=",
            encoding: Encoding::Hex,
            key: Key::Text,
            content: &[Part::Time, Part::Text("."), Part::Body],
            time: Some(Time::Entry("t=")),
        },
    ),
};

impl Provider for Stripe {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn account<'a>(&self, body: &'a str) -> Option<Cow<'a, str>> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow)]
            account: Option<Cow<'a, str>>,
        }
        serde_json::from_str::<Head<'_>>(body).ok()?.account
    }

    fn event<'a>(&self, body: &'a RawValue) -> Result<Event<'a>, NotAnEvent> {
        event::read(body)
    }
}
