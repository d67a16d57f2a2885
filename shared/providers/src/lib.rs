//! What each provider is: one folder each, data first.
//!
//! *Invariant:* sans-IO. A provider never touches the network, secrets, clocks or retries, and nothing outside its folder
//! knows its name but the one line in [`REGISTRY`].

mod action;
mod gmail;
mod google;
mod google_calendar;
mod path;
mod provider;
mod registry;
mod slack;
mod spec;
mod stream;
mod stripe;
mod watch;

pub use self::{
    action::{Fields, Step, so_far},
    provider::Provider,
    registry::Registry,
    spec::{AccountSource, ApiKey, Auth, Identity, Organisation, Service, Shared, Spec, StreamSpec, Watching},
    stream::{About, Next, StreamPage, TagsPage, Whole},
    watch::{Watch, WatchPlan, Watched},
};

/// All providers, in the order people see them.
pub const REGISTRY: Registry =
    Registry(&[&slack::Slack, &stripe::Stripe, &google_calendar::GoogleCalendar, &gmail::Gmail]);

#[cfg(test)]
mod conformance;
