//! The whole stack beside packages of others: an identity provider that signs its sessions, and the vendors' SDKs.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]

mod issuer;
mod sdks;
mod sessions;
