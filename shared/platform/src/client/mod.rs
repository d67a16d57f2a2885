//! The way to a provider: tokens, pacing, sending, and what an answer changes.

pub mod access;
pub mod calls;
pub mod dispatch;
pub mod jwks;
pub mod outbound;
pub mod pace;
pub mod revocation;
pub mod spells;
pub mod tokens;
