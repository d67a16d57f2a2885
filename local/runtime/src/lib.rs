//! Runs what a SAM template declares on this machine: functions behind a Lambda Runtime API, invoked by an HTTP API, queues and
//! schedules, on the embedded AWS.
//!
//! Nothing here knows Intertie: a function is its bootstrap, its variables and its role.

pub mod bootstraps;
pub mod control;
pub mod front;
pub mod lambda;
pub mod mapping;
pub mod metrics;
pub mod schedule;
pub mod stack;
pub mod template;
