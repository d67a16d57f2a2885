//! What everything needs: configuration, the clock, randomness, metrics, logs.

pub mod clock;
pub mod config;
pub(crate) mod environment;
mod init;
pub mod metrics;
pub mod random;
pub mod rewrites;
pub mod settings;
pub mod telemetry;

pub use self::init::InitError;
