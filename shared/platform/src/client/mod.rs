//! The way to a provider: tokens, pacing, sending, and what an answer changes.

pub mod access;
pub mod calls;
pub mod http;
pub mod jwks;
pub mod pace;
pub mod revocation;
pub mod spells;
pub mod tokens;
pub mod transport;
