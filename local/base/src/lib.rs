//! What the crates of `cargo local` share and no service, provider or runtime owns: an HTTP client, the terminal, tasks, locks, the clock.

pub mod terminal;
pub mod web;

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::task::JoinHandle;

/// Runs `future` on its own, also if the handle is dropped.
#[expect(
    clippy::disallowed_methods,
    reason = "the rule guards functions, whose sandbox freezes; the local stack is never frozen"
)]
pub fn background<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(future)
}

/// The clock of the local AWS and of the provider emulators.
#[expect(
    clippy::disallowed_methods,
    reason = "plays AWS, which tells functions the time: deadlines, names of log streams"
)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Locks, also after a panic elsewhere: what these mutexes guard is whole between any two statements.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
