//! One request to a provider: the call, its limits, what an answer means, and whether the call is sent again.
//!
//! *Invariant:* what an answer means is decided here, from data; nothing here is sent.

pub mod address;
mod api;
mod failure;
pub mod limit;
mod micros;
mod mode;
pub mod rate;
mod reply;
mod request;
pub mod retry;

pub use self::{
    api::{Api, Class, QuotaHeaders, SuccessFlag},
    failure::{Bearing, Failure},
    micros::Micros,
    mode::Mode,
    reply::{Reply, Unreadable},
    request::{Idempotent, Request, form, segment},
    retry::retry_after,
};
