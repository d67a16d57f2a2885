//! The only crate with AWS SDKs: stores, the queue loop, secrets, sessions, HTTP answers, telemetry.
//!
//! *Invariant:* SDK types never leave it; callers see domain types and [`AwsError`].

pub mod aws;
pub mod bus;
pub mod claims;
pub mod clock;
pub mod config;
pub mod due;
pub mod http;
pub mod integrations;
mod item;
pub mod queue;
pub mod records;
pub mod secrets;
pub mod session;
pub mod telemetry;

pub use aws::{Aws, AwsError};
