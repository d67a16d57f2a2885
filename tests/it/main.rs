//! The stores, the queue loop and the wiring, against the embedded AWS over real sockets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod alarms;
mod bodies;
mod bus;
mod changes;
mod claims;
mod clients;
mod cost;
mod credentials;
mod dead_letters;
mod dependencies;
mod event_batcher;
mod health;
mod integrations;
mod lost_replies;
mod modules;
mod openapi;
mod pace;
mod queue;
mod records;
mod rights;
mod samples;
mod settings;
mod states;
mod sweep;
mod syncs;
mod transport;
mod webhook_secrets;
mod wiring;
