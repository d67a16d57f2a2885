//! The standard library's mutexes without poisoning: every holder leaves what it guards complete, so a panic elsewhere in the same
//! invocation is no reason to fail the next one.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex even if a holder panicked.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
