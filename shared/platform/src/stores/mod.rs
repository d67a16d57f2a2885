//! The DynamoDB tables: one file for each, what they share (`table`, `expression`, `item`, `lease`), and
//! what is read from several (`changes`).
//!
//! *Invariant:* types of the SDK don't leave this room: a store returns types of the domain or its own.

pub mod bodies;
pub mod changes;
pub mod claims;
pub mod credentials;
pub mod deliveries;
mod delivery_index;
pub mod due;
pub mod erasures;
mod expression;
pub mod health;
pub mod integrations;
pub(crate) mod item;
mod lease;
pub mod pending_authorizations;
pub mod records;
pub mod session_ends;
pub mod syncs;
pub(crate) mod table;
pub mod webhook_secrets;
