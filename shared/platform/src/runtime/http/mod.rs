//! HTTP in a function's words: the caller, the input, and answers in the contract's form.

mod answer;
mod call;
mod entry;
mod front;
mod input;
mod notice;
mod payload;
pub mod route;

pub use self::{
    answer::{failed, found, html, html_with_forms, internal, json, see_other, text},
    call::Call,
    entry::run,
    front::{Front, FrontConfig},
    input::{Input, clipped},
    notice::{Notice, SETTINGS},
    payload::{MAX_PAYLOAD, payload_size},
};
