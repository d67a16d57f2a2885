//! The sentences of a failure: for the person that made the request, and for operators.
//!
//! *Invariant:* no sentence holds a status code or a secret; `name` is the provider's name for people.

use jiff::Timestamp;

use super::Failure;
use crate::{
    error::{Problem, point_in_time},
    reason::Reason,
};

impl Failure {
    /// For the caller: a sentence and the next step for a person.
    pub fn problem(&self, name: &str, now: Timestamp) -> Problem {
        let retry_at = self.retry_after().and_then(|wait| now.checked_add(wait).ok());
        let (message, next_action) = match self {
            Self::RateLimited(_) | Self::ThrottledLocally(_) => {
                let at = point_in_time(retry_at.unwrap_or(now), now);
                let why = if self.reason() == Reason::ThrottledLocally {
                    format!("We keep to the limits of {name}.")
                } else {
                    format!("{name} asked us to slow down.")
                };
                (format!("{why} We continue {at}."), "Wait until then.".to_owned())
            }
            Self::Busy => {
                (format!("{name} is still at work on the same thing."), "Wait a moment and try again.".to_owned())
            }
            Self::TokenRefused | Self::GrantEnded => {
                (format!("{name} has ended our access."), format!("Connect {name} again."))
            }
            Self::ScopeMissing => (
                format!("The permission for this was not given to us at {name}."),
                format!("Connect {name} again and allow everything that is asked for."),
            ),
            Self::NotFound => (
                format!("{name} does not find what was asked for."),
                "Check the names and ids in the request.".to_owned(),
            ),
            Self::Gone => {
                (format!("What was asked for is gone at {name}."), "Check the names and ids in the request.".to_owned())
            }
            Self::Conflict => {
                (format!("{name} says that this contradicts something that exists."), "Check what is there.".to_owned())
            }
            Self::Rejected { words: Some(words), .. } => ((*words).to_owned(), "Change that and try again.".to_owned()),
            Self::Rejected { words: None, code } if code.is_empty() => {
                (format!("{name} did not accept this."), "Check the request.".to_owned())
            }
            Self::Rejected { words: None, code } => {
                (format!("{name} did not accept this."), format!("Check the request; {name} names the reason {code}."))
            }
            Self::Unusable(words) => ((*words).to_owned(), "Change the request.".to_owned()),
            Self::TooLarge(size) => (
                format!("{name} answered, and its answer{} is larger than what can be passed on.", bytes(*size)),
                "Ask for less at a time.".to_owned(),
            ),
            Self::Down(_) | Self::Unreached | Self::Unreadable => {
                (format!("{name} has trouble answering."), "Try again in a few minutes.".to_owned())
            }
            Self::AppRefused { .. } => (
                format!("{name} does not accept this application at the moment."),
                "Tell the people who run it; nothing is wrong with your account.".to_owned(),
            ),
            Self::Forbidden => {
                (format!("This address is not one of {name}."), "Check the path of the request.".to_owned())
            }
        };
        Problem { retry_at, ..Problem::new(self.kind(), message, next_action) }
    }

    /// For operators: in the log of calls, and with what is dead-lettered.
    pub fn operator(&self, name: &str) -> String {
        match self {
            Self::RateLimited(_) => {
                format!("{name} takes no more calls for now, though we keep to its limits as we know them.")
            }
            Self::ThrottledLocally(_) => format!(
                "We call {name} no more for now, to keep to its limits; if this stays, ask it for higher ones and set them in \
                 RateLimits."
            ),
            Self::Busy => {
                format!("{name} is at work on the same object for another call; calls for it come too close.")
            }
            Self::TokenRefused => format!("{name} does not accept an access token; a refresh follows."),
            Self::GrantEnded => format!("{name} has ended a grant; only its user can give another one."),
            Self::ScopeMissing => {
                format!("A grant at {name} lacks a scope; its user left it out, or the app asks for too few.")
            }
            Self::NotFound | Self::Gone => format!("{name} does not have what was asked for."),
            Self::Conflict => {
                format!("{name} has something that contradicts a call, such as the same key for another one.")
            }
            Self::Rejected { code, .. } if code.is_empty() => format!("{name} rejected a call and names no reason."),
            Self::Rejected { code, .. } => format!("{name} rejected a call; its reason is {code}."),
            Self::Unusable(words) => format!("{name} gave an answer that can't be used. {words}"),
            Self::TooLarge(size) => format!("{name} gave an answer{} that is larger than what is read.", bytes(*size)),
            Self::Down(_) => format!("{name} fails or does not answer; look at its status page if this stays."),
            Self::Unreached => {
                format!("There is no connection to {name}; look at its status page, then at our network.")
            }
            Self::Unreadable => format!("{name} answers something else than it documents; its API may have changed."),
            Self::AppRefused { code } => format!(
                "{name} does not accept the app ({code}); check its credentials in the secret of {name}, and the app \
                 there: its APIs, its billing and its domains."
            ),
            Self::Forbidden => format!("A call was to leave {name}'s own addresses, and was not sent."),
        }
    }
}

/// A size, where it is known.
fn bytes(size: Option<u64>) -> String {
    size.map(|size| format!(" of {size} bytes")).unwrap_or_default()
}
