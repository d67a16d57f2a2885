//! How Lambda calls a function: its start, HTTP requests and their sessions, batches of messages.

pub mod batch;
pub mod bootstrap;
pub mod consumer;
pub mod http;
pub mod session;
