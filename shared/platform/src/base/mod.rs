//! What every other room needs: configuration, the clock, randomness, metrics, logs, locks and caches.

pub mod clock;
pub mod config;
pub(crate) mod environment;
mod init;
pub mod lock;
pub mod metrics;
pub mod random;
pub mod rewrites;
pub mod settings;
pub mod telemetry;
pub(crate) mod ttl_cache;

pub use self::init::InitError;
