//! What travels through the queues, and what becomes of a message after an attempt.

pub mod disposition;
pub mod message;
