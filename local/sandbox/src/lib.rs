//! Provider emulators: HTTP servers on this machine that behave as the providers document it, so that real clients connect, sync, act
//! and receive webhooks without an account anywhere.
//!
//! *Invariant:* an emulator refuses what the provider refuses, in the provider's words. It knows of its caller what the provider
//! would know: the app's credentials, and where webhooks go.
//!
//! Each emulator has a folder and its line in `registry`; what several share is beside the folders. Under `/_admin` a test tells an
//! emulator what goes wrong or happens, in JSON:
//!
//! | call | does |
//! |---|---|
//! | `POST faults`, `limit`, `between_pages`; `DELETE` | see `admin`: calls fail, are too many; a change between two pages |
//! | `GET faults` | how often each has struck |
//! | `GET calls`, `deliveries`; `DELETE` | the calls so far; the webhooks sent, by attempt |
//! | `POST deliveries/lose`; `GET deliveries/under_way` | `{"chance"?}`: webhooks that are never sent; how many are not answered yet |
//! | `POST deliveries/hold`, `deliveries/take` | `{"hold"}`: webhooks wait in place of being sent; takes those that wait |
//! | `GET grants`, `secrets` | what users allowed; every code, token and key ever issued |
//! | `POST grants/revoke`, `tokens/expire`, `tokens/life` | `{"account"?}`, `{"account"?}`, `{"seconds"}` |
//! | `POST tokens/renewable` | `{"renewable"}`: whether codes bring refresh tokens from now on |
//! | `GET`, `POST`, `DELETE` of `KIND`, `KIND/ID` | a user's changes; webhooks follow, unless `"silent": true` |
//! | `POST send` | sends a webhook now and answers with its answer |
//!
//! Each emulator's `control` has the kinds, the fields of `send` and its own calls. Calls, parameters and fields that the controls do
//! not have are refused by name.

mod admin;
mod app;
mod apps;
mod call;
mod chance;
mod consent;
mod controls;
mod deliver;
mod emulator;
mod form;
pub mod google;
mod oauth;
mod opaque;
mod registry;
mod sandbox;
mod server;
mod slack;
mod stripe;

#[cfg(test)]
mod tests;

pub use self::{
    app::App,
    apps::{Apps, LOCAL_ACCOUNT},
    sandbox::Sandbox,
};
