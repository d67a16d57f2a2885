//! What a sync that breaks off tells its user: a sentence, the object that it is about, and when it is tried again.

use std::time::Duration;

use domain::{Failure, Problem, disposition::backoff, reason::Class, sync::SyncFailure};
use jiff::Timestamp;
use platform::{clock, queue::Attempt, records::UpsertError};
use providers::Stream;

use crate::{Stop, Work};

/// Why a stream was not read to its end, and the object that it is about.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) stop: Stop,
    pub(crate) object: Option<String>,
}

impl<E: Into<Stop>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self { stop: error.into(), object: None }
    }
}

impl Broken {
    /// A record that can't be written is the object.
    pub(crate) fn of_record(error: UpsertError) -> Self {
        let named = match &error {
            UpsertError::TooLarge { key, .. } => key.split_once('#').map(|(stream, id)| object(stream, id)),
            UpsertError::Aws(_) => None,
        };
        Self::from(error).about(named)
    }

    /// The same, about this object, unless a smaller one is known.
    pub(crate) fn about(self, object: Option<String>) -> Self {
        Self { object: self.object.or(object), ..self }
    }
}

/// What to call one object of a stream: "the payment intent", and its id.
pub(crate) fn object(stream: &str, id: &str) -> String {
    let kind = stream.replace('_', " ");
    format!("the {} {id}", kind.strip_suffix('s').unwrap_or(&kind))
}

impl Work<'_> {
    /// What to tell of a stop; none if nothing failed: the sync goes on, or belongs to another worker.
    pub(crate) fn failure(&self, stop: &Stop) -> Option<SyncFailure> {
        self.told(stop, None)
    }

    /// The same of a stream that was not read to its end.
    pub(crate) fn stream_failure(&self, stream: &Stream, broken: &Broken) -> Option<SyncFailure> {
        let whole = || stream.name.replace('_', " ");
        let object = match &broken.stop {
            // Not the object's doing.
            Stop::Aws(_) | Stop::Corrupt(_) | Stop::NotConnected => None,
            Stop::Failed(_) | Stop::TooLarge(_) | Stop::Time | Stop::Lost => {
                Some(broken.object.clone().unwrap_or_else(whole))
            }
        };
        self.told(&broken.stop, object.as_deref())
    }

    fn told(&self, stop: &Stop, object: Option<&str>) -> Option<SyncFailure> {
        let (name, now) = (self.provider.spec().name, clock::now());
        let message = match stop {
            // That a limit is kept is no failure.
            Stop::Time | Stop::Lost | Stop::Failed(Failure::Paced(_)) => return None,
            Stop::Failed(failure) => failure.problem(name, now).message,
            Stop::NotConnected => format!("The access to {name} that was kept here is gone. Connect {name} again."),
            Stop::Corrupt(_) => {
                let Problem { message, next_action, .. } = Problem::credential_unreadable(name);
                format!("{message} {next_action}")
            }
            Stop::TooLarge(_) => "Something is too large to be kept here.".to_owned(),
            Stop::Aws(_) => "Something went wrong on our side, and the sync did not come to its end.".to_owned(),
        };
        let about = object.map(|object| format!(" It concerns {object}.")).unwrap_or_default();
        Some(SyncFailure { message: message + &about, next_try: self.next_try(stop, now) })
    }

    /// When a sync that stopped so is tried again: when its message comes back, or else by the schedule.
    fn next_try(&self, stop: &Stop, now: Timestamp) -> Option<Timestamp> {
        match stop {
            Stop::Time | Stop::Lost | Stop::Corrupt(_) | Stop::Failed(Failure::GrantEnded) => None,
            Stop::Failed(failure) if failure.is_transient() || failure.reason().class() == Class::Operators => {
                now.checked_add(wait(failure, self.attempt)).ok()
            }
            Stop::Aws(error) if error.reason().class() != Class::Hopeless => {
                now.checked_add(backoff(self.attempt.hops + 1, &self.attempt.message_id)).ok()
            }
            Stop::Aws(_) | Stop::Failed(_) | Stop::TooLarge(_) | Stop::NotConnected => Some(self.due_at),
        }
    }
}

/// How long a sync waits after a failure that passes.
pub(crate) fn wait(failure: &Failure, attempt: &Attempt) -> Duration {
    failure.wait().unwrap_or_default().max(backoff(attempt.hops + 1, &attempt.message_id))
}
