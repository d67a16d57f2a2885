//! What each provider is: one folder each, data first.
//!
//! *Invariant:* sans-IO. A provider never touches the network, secrets, clocks or retries, and nothing outside its folder
//! knows its name but the one line in [`REGISTRY`].

mod gmail;
mod google_calendar;
mod slack;
mod stripe;

use std::borrow::Cow;

use domain::{Event, NotAnEvent, Scheme};
use serde_json::value::RawValue;

/// All providers, in the order people see them.
pub const REGISTRY: &[&dyn Provider] =
    &[&slack::Slack, &stripe::Stripe, &google_calendar::GoogleCalendar, &gmail::Gmail];

/// What data says of a provider.
#[derive(Debug)]
pub struct Spec {
    /// Its id in URLs, keys and configuration.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// The secret in Secrets Manager that holds its app's credentials, after the prefix. Providers may share one.
    pub secret: &'static str,
    /// How it signs its deliveries. `None`: no delivery of it is accepted yet.
    pub webhook: Option<Scheme>,
}

/// A provider: its data, and what data can't say.
pub trait Provider: Sync {
    /// The data.
    fn spec(&self) -> &'static Spec;

    /// The account that a verified body names, if it names one.
    fn account<'a>(&self, _body: &'a str) -> Option<Cow<'a, str>> {
        None
    }

    /// Reads a verified body. The default is for providers without webhooks.
    fn event<'a>(&self, _body: &'a RawValue) -> Result<Event<'a>, NotAnEvent> {
        Err(NotAnEvent::Unread(self.spec().name))
    }
}

/// The provider of this id.
pub fn find(id: &str) -> Option<&'static dyn Provider> {
    REGISTRY.iter().copied().find(|provider| provider.spec().id == id)
}

/// The ids of all providers.
pub fn ids() -> Vec<&'static str> {
    REGISTRY.iter().map(|provider| provider.spec().id).collect()
}

#[cfg(test)]
mod conformance;
