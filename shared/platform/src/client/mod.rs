//! The way to a provider: tokens, pacing, sending, and what an answer changes.
//!
//! *Invariant:* every call goes through [`ProviderClient::call`].

mod attempts;
mod call;
mod config;
mod context;
mod error;
mod flights;
pub mod grants;
pub mod http;
pub mod jwks;
pub mod pace;
mod provider_client;
mod refresh;
pub mod revocation;
pub mod spells;
mod tokens;
pub mod transport;

pub use self::{
    config::{ClientConfig, Parts},
    context::{CallContext, Principal, StoredCredential},
    error::CallError,
    grants::Grants,
    provider_client::ProviderClient,
    refresh::{Refresh, token_request},
};
