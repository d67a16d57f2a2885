//! The whole stack: real bootstraps, wired by template.yaml, driven from outside.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod actions;
mod alarms;
mod callback;
mod changes;
mod chaos;
mod command;
mod crashes;
mod damage;
mod dead_letters;
mod degraded;
mod deliveries;
mod doctor;
mod errors;
mod events_to;
mod failed_schedules;
mod folders;
mod followed;
mod front;
mod handlers;
mod handshakes;
mod identity;
mod keys;
mod offered;
mod own_endpoint;
mod pace;
mod pages;
mod proxy;
mod queues;
mod refresh;
mod refresh_crashes;
mod replay;
mod revocation;
mod sharing;
mod siblings;
mod slots;
mod strict;
mod syncs;
mod ties;
mod tokens;
mod traps;
mod users;
mod webhooks;
