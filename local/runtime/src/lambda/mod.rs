//! AWS Lambda on this machine: runs a function's own bootstrap binary behind a Lambda Runtime API.
//!
//! A [`Function`] owns up to `concurrency` execution environments and picks one per invocation, the
//! most recently used first. An [`Environment`] is one bootstrap process with a Runtime API of its
//! own on loopback, given exactly the variables that Lambda and the template would give it.
//!
//! *Invariants:* an environment works on one event at a time; an environment that timed out, exited
//! or was killed never sees another event; no bootstrap outlives [`Function::shutdown`].
//!
//! Two things differ from AWS: an idle environment is not frozen (a process stopped by us would stay
//! behind if we were killed), and memory is not limited.

mod asynchronous;
mod environment;
mod error;
mod function;
mod logs;
mod runtime_api;
mod spec;
mod variables;

#[cfg(test)]
mod tests;

pub use asynchronous::{Asynchronous, Destination};
pub use environment::Environment;
pub use error::InvokeError;
pub use function::{Function, Usage};
pub use spec::{FunctionSpec, Host};
