//! The only crate with AWS SDKs: stores, the queue loop, secrets, sessions, HTTP answers, telemetry.
//!
//! *Invariant:* SDK types never leave it; callers see domain types and [`AwsError`].

#[cfg(panic = "abort")]
compile_error!(
    "a panic must unwind: with panic = \"abort\" one message that panics ends its whole batch. \
     Set panic = \"unwind\" in [profile.release] of the workspace's Cargo.toml; cargo-lambda adds \"abort\" where it is not set."
);

pub mod aws;
pub mod base;
pub mod client;
pub mod runtime;
pub mod stores;

pub use aws::{Aws, AwsError};
