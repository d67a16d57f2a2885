//! Syncs: what is asked for, where a stream stands, what a run does next, and what became of it.

pub mod backoff;
mod job;
pub mod manifest;
pub mod outcome;
mod read_since;
pub mod record;
pub mod sharing;
pub mod slot;
pub mod stream;
pub mod tags;

pub use self::{
    job::{Scope, SyncJob},
    read_since::ReadSince,
};
