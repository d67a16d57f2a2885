//! The only crate with AWS SDKs: stores, the queue loop, secrets, sessions, HTTP answers, telemetry.
//!
//! *Invariant:* SDK types never leave it; callers see domain types and [`AwsError`].

#[cfg(panic = "abort")]
compile_error!(
    "a panic must unwind: with panic = \"abort\" one message that panics ends its whole batch. \
     Set panic = \"unwind\" in [profile.release] of the workspace's Cargo.toml; cargo-lambda adds \"abort\" where it is not set."
);

pub mod access;
pub mod aws;
pub mod bootstrap;
pub mod bus;
pub mod calls;
pub mod claims;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod deliveries;
pub mod dispatch;
pub mod due;
pub mod envelope;
pub mod erasures;
pub mod gathering;
pub mod health;
pub mod http;
pub mod integrations;
mod item;
pub mod jwks;
pub mod metrics;
pub mod outbound;
pub mod pace;
pub mod queue;
pub mod random;
pub mod records;
pub mod revocation;
pub mod secrets;
pub mod session;
pub mod settings;
pub mod spells;
pub mod states;
pub mod sync_queue;
pub mod syncs;
pub mod telemetry;
pub mod tokens;
pub mod webhook_secrets;

pub use aws::{Aws, AwsError};
