//! What a sync that breaks off tells its user: a sentence, the object that it is about, and when it is tried again.

use domain::{
    Failure, Problem, Sentence,
    messages::disposition::backoff,
    reason::Class,
    sync::{backoff::Backoff, outcome::SyncFailure, stream::StreamState},
};
use jiff::Timestamp;
use platform::{base::clock, client::CallError};
use providers::StreamSpec;

use crate::{
    stop::Stop,
    work::{Work, wait},
};

/// What to call one object of a stream: "payment intent".
pub(crate) fn object(stream: &str) -> String {
    let kind = stream.replace('_', " ");
    kind.strip_suffix('s').unwrap_or(&kind).to_owned()
}

impl Work<'_> {
    /// What to tell of a stop; none if nothing failed: the sync goes on, or belongs to another worker.
    pub(crate) fn failure(&self, stop: &Stop) -> Option<SyncFailure> {
        self.failure_for_status(stop, None, None)
    }

    /// The same of a stream that was not read to its end, and is refused until `backoff` is over.
    pub(crate) fn stream_failure(
        &self,
        stream: &StreamSpec,
        stop: &Stop,
        backoff: Option<&Backoff>,
    ) -> Option<SyncFailure> {
        let whole = match stop {
            // Not the stream's doing.
            Stop::Call(CallError::Aws(_) | CallError::Corrupt(_) | CallError::NotConnected) => None,
            Stop::Call(CallError::Failed(..)) | Stop::Time | Stop::Lost | Stop::Turn => {
                Some(stream.name.replace('_', " "))
            }
        };
        self.failure_for_status(stop, whole.as_deref(), backoff)
    }

    /// What to tell of a stream of which nothing can be read.
    pub(crate) fn nothing_read(&self, state: &StreamState) -> SyncFailure {
        let message = state.passed.sentence().unwrap_or_else(|| "Nothing of this can be read.".into());
        SyncFailure { message, next_try: state.backoff.as_ref().and_then(|it| self.tried(it)) }
    }

    /// When a stream that is refused is tried again: a pause that is over ends with the next sync.
    fn tried(&self, backoff: &Backoff) -> Option<Timestamp> {
        backoff.next_try.map(|at| at.max(self.due_at))
    }

    fn failure_for_status(&self, stop: &Stop, object: Option<&str>, backoff: Option<&Backoff>) -> Option<SyncFailure> {
        let (name, now) = (self.provider.spec().name, clock::now());
        let message: Sentence = match stop {
            // That a limit is kept is no failure.
            Stop::Time | Stop::Lost | Stop::Turn | Stop::Call(CallError::Failed(Failure::ThrottledLocally(_), _)) => {
                return None;
            }
            Stop::Call(CallError::Failed(failure, _)) => failure.problem(name, now).message,
            Stop::Call(CallError::NotConnected) => {
                format!("The access to {name} that was kept here is gone. Connect {name} again.").into()
            }
            Stop::Call(CallError::Corrupt(_)) => Problem::credential_unreadable(name).with_next_action(),
            Stop::Call(CallError::Aws(_)) => {
                "Something went wrong on our side, and the sync did not come to its end.".into()
            }
        };
        let about = object.map(|object| format!(" It concerns {object}.")).unwrap_or_default();
        Some(SyncFailure {
            message: format!("{message}{about}").into(),
            next_try: backoff.map_or_else(|| self.next_try(stop, now), |it| self.tried(it)),
        })
    }

    /// When a sync that stopped so is tried again: when its message comes back, or else by the schedule.
    fn next_try(&self, stop: &Stop, now: Timestamp) -> Option<Timestamp> {
        match stop {
            Stop::Time
            | Stop::Lost
            | Stop::Turn
            | Stop::Call(CallError::Corrupt(_) | CallError::Failed(Failure::GrantEnded, _)) => None,
            Stop::Call(CallError::Failed(failure, _))
                if failure.is_transient() || failure.reason().class() == Class::Operators =>
            {
                now.checked_add(wait(failure, self.attempt)).ok()
            }
            Stop::Call(CallError::Aws(error)) if error.reason().class() != Class::Hopeless => {
                now.checked_add(backoff(self.attempt.hops + 1, &self.attempt.message_id)).ok()
            }
            Stop::Call(CallError::Aws(_) | CallError::Failed(..) | CallError::NotConnected) => Some(self.due_at),
        }
    }
}
