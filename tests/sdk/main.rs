//! The whole stack beside packages of others: an identity provider that signs its sessions.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod issuer;
mod sessions;
