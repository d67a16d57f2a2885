//! Why a call did not work: one closed set, each with a sentence for the person that asked, one for operators, what to do
//! next, and when trying again makes sense.

mod sentences;

use std::time::Duration;

use crate::{
    error::Kind,
    reason::{Diagnosis, Reason},
};

/// A call did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Too many calls, the provider says; not before this long, if it says so.
    #[error("rate limited")]
    RateLimited(Option<Duration>),
    /// Too many calls, by the limits that we keep ourselves: not before this long. Nothing was sent.
    #[error("no turn under a limit in time")]
    ThrottledLocally(Duration),
    /// The provider is at the same object already. Nothing was carried out.
    #[error("the provider is busy with the same object")]
    Busy,
    /// The access token is not accepted.
    #[error("the access token is not accepted")]
    TokenRefused,
    /// The grant is over.
    #[error("the grant is over")]
    GrantEnded,
    /// The grant does not cover this.
    #[error("the grant does not cover this")]
    ScopeMissing,
    /// The provider does not have the object.
    #[error("there is no such thing")]
    NotFound,
    /// There is no such thing any more.
    #[error("it is gone")]
    Gone,
    /// The call contradicts something that exists at the provider.
    #[error("it contradicts something that exists")]
    Conflict,
    /// The provider says no. The words are ours; the code is the provider's, for operators.
    #[error("rejected ({code})")]
    Rejected {
        /// For a person.
        words: Option<&'static str>,
        /// The provider's; empty if it names none.
        code: String,
    },
    /// The answer can't be used, whatever the provider meant by it: it leads to another address. The words are for a person.
    #[error("the answer can't be used")]
    Unusable(&'static str),
    /// The answer is larger than what is read. Its size in bytes, if the provider says it.
    #[error("the answer is larger than what is read")]
    TooLarge(Option<u64>),
    /// The provider fails or does not answer; not before this long, if it says so.
    #[error("the provider is down")]
    Down(Option<Duration>),
    /// The provider can't be reached. Nothing was carried out.
    #[error("the provider can't be reached")]
    Unreached,
    /// The answer is not what the provider documents.
    #[error("the answer is not what the provider documents")]
    Unreadable,
    /// The provider does not accept the app itself: a wrong client secret, say, or an API that is switched off for it. The code is the provider's, for operators.
    #[error("the provider does not accept the app ({code})")]
    AppRefused {
        /// The provider's.
        code: String,
    },
    /// Not sent at all: the address is not the provider's.
    #[error("the address is not one of the provider's")]
    Forbidden,
}

/// What a failure says about the one thing that a call was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearing {
    /// Nothing: it is about the caller, a limit, the connection or the call itself, and other calls would fail as well.
    None,
    /// It can't be had for now.
    Passing,
    /// It can't be had, and only a change of it, or of its permissions, helps.
    Lasting,
    /// It is not there.
    Missing,
}

/// What is decided by the variant of a failure.
struct Classified {
    reason: Reason,
    /// How long it usually takes to pass; none if it does not pass.
    usual_wait: Option<Duration>,
    /// What the provider, or a limit, says about the wait.
    wait: Option<Duration>,
    outcome_unknown: bool,
    providers_fault: bool,
    is_final: bool,
    bearing: Bearing,
}

impl Failure {
    /// What kind of failure it is for callers.
    pub const fn kind(&self) -> Kind {
        self.reason().kind()
    }

    /// The reason in logs, metrics and dead letters.
    pub const fn reason(&self) -> Reason {
        self.classified().reason
    }

    /// Whether the same call may succeed later without any change.
    pub const fn is_transient(&self) -> bool {
        self.classified().usual_wait.is_some()
    }

    /// Whether the provider may have carried the call out all the same. A refusal is no execution; a failure in the middle may
    /// be one.
    pub const fn outcome_unknown(&self) -> bool {
        self.classified().outcome_unknown
    }

    /// Whether it speaks against the provider's health. Neither a wrong request nor a missing object does.
    pub const fn is_providers_fault(&self) -> bool {
        self.classified().providers_fault
    }

    /// Whether the call is not sent again as it is, even if the provider says that it may be.
    pub const fn is_final(&self) -> bool {
        self.classified().is_final
    }

    /// What it says about the one thing that the call was for.
    pub const fn bearing(&self) -> Bearing {
        self.classified().bearing
    }

    /// Whether the same call is refused until a person changes something at the provider: a permission, or the object itself.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::ScopeMissing) || matches!(self.bearing(), Bearing::Lasting | Bearing::Missing)
    }

    /// Whether only the user, or an administrator of the account, can change that.
    pub const fn is_users_to_change(&self) -> bool {
        matches!(self, Self::ScopeMissing | Self::Rejected { words: Some(_), .. })
    }

    /// How long to wait at least, if the provider or a limit said so.
    pub const fn wait(&self) -> Option<Duration> {
        self.classified().wait
    }

    /// How long to wait before trying again makes sense; none if only a change helps.
    pub fn retry_after(&self) -> Option<Duration> {
        let Classified { wait, usual_wait, .. } = self.classified();
        usual_wait.map(|usual| wait.unwrap_or(usual))
    }

    /// The one place where a failure is classified.
    const fn classified(&self) -> Classified {
        /// Only a change helps.
        const LASTING: Classified = Classified {
            reason: Reason::Rejected,
            usual_wait: None,
            wait: None,
            outcome_unknown: false,
            providers_fault: false,
            is_final: false,
            bearing: Bearing::None,
        };
        /// The wait is the provider's to end.
        const PASSING: Classified =
            Classified { usual_wait: Some(Duration::from_mins(1)), providers_fault: true, ..LASTING };
        match self {
            Self::RateLimited(wait) => Classified { reason: Reason::RateLimited, wait: *wait, ..PASSING },
            Self::ThrottledLocally(wait) => {
                Classified { reason: Reason::ThrottledLocally, wait: Some(*wait), ..PASSING }
            }
            Self::Busy => Classified {
                reason: Reason::ProviderBusy,
                usual_wait: Some(Duration::from_secs(5)),
                providers_fault: false,
                ..PASSING
            },
            Self::Down(wait) => Classified {
                reason: Reason::ProviderDown,
                wait: *wait,
                outcome_unknown: true,
                // A named wait is about the service.
                bearing: if wait.is_some() { Bearing::None } else { Bearing::Passing },
                ..PASSING
            },
            Self::Unreached => Classified { reason: Reason::Unreachable, ..PASSING },
            Self::Unreadable => Classified {
                reason: Reason::Unreadable,
                usual_wait: Some(Duration::from_mins(5)),
                outcome_unknown: true,
                bearing: Bearing::Passing,
                ..PASSING
            },
            Self::TokenRefused => Classified { reason: Reason::TokenRefused, is_final: true, ..LASTING },
            Self::GrantEnded => {
                Classified { reason: Reason::GrantEnded, is_final: true, providers_fault: true, ..LASTING }
            }
            Self::Forbidden => Classified { reason: Reason::AddressForbidden, is_final: true, ..LASTING },
            Self::ScopeMissing => Classified { reason: Reason::ScopeMissing, ..LASTING },
            Self::NotFound => Classified { reason: Reason::NotFound, bearing: Bearing::Missing, ..LASTING },
            Self::Gone => Classified { reason: Reason::Gone, bearing: Bearing::Missing, ..LASTING },
            Self::Conflict => Classified { reason: Reason::ProviderConflict, bearing: Bearing::Lasting, ..LASTING },
            Self::Rejected { .. } | Self::Unusable(_) | Self::TooLarge(_) => {
                Classified { reason: Reason::Rejected, bearing: Bearing::Lasting, ..LASTING }
            }
            Self::AppRefused { .. } => Classified { reason: Reason::AppRefused, is_final: true, ..LASTING },
        }
    }

    /// Its reason and its sentence for operators, for a dead letter or a log.
    pub fn diagnosis(&self, name: &str) -> Diagnosis {
        Diagnosis::new(self.reason(), self.operator(name))
    }
}

#[cfg(test)]
mod tests;
