//! Why connecting failed: the closed set of reasons that a person, an application and a program read.
//!
//! *Invariant:* the code of a reason, its sentence and its kind of problem follow from the same variant.

use crate::{
    call::Failure,
    error::{Kind, Problem},
};

/// Why nothing was connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectError {
    /// The user did not allow access.
    AccessDenied,
    /// Anything that has no reason of its own here; the log says what.
    ConnectFailed,
    /// The user allowed none of the permissions that the service needs.
    ScopeMissing,
    /// The account does not have the service, such as a mailbox.
    NoServiceForAccount,
    /// The app was installed for a whole organisation, and not into one workspace.
    OrganisationInstall,
    /// The provider does not answer.
    ProviderDown,
    /// The provider asks for fewer calls.
    RateLimited,
}

/// The provider that a sentence is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its name for people.
    pub name: &'a str,
    /// What its permissions allow, as it follows "the app may".
    pub allows: &'a [&'a str],
}

impl ConnectError {
    /// The code in `?error=`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::ConnectFailed => "connect_failed",
            Self::ScopeMissing => "scope_missing",
            Self::NoServiceForAccount => "no_service_for_account",
            Self::OrganisationInstall => "organisation_install",
            Self::ProviderDown => "provider_down",
            Self::RateLimited => "rate_limited",
        }
    }

    /// What happened, and what to do, for the connecting person.
    pub fn problem(self, subject: Subject<'_>) -> Problem {
        let name = subject.name;
        let (kind, message, next_action) = match self {
            Self::AccessDenied => (
                Kind::ProviderRejected,
                "Nothing was connected: access was not allowed.".to_owned(),
                format!("Connect {name} again and allow it."),
            ),
            Self::ConnectFailed => (
                Kind::ProviderRejected,
                format!("Connecting {name} did not work. Nothing was stored."),
                "Please try again.".to_owned(),
            ),
            Self::ScopeMissing => (
                Kind::ScopeMissing,
                format!("{name} was not connected: it needs a permission that was not given."),
                format!("Connect {name} again, and leave the box ticked that lets the app {}.", either(subject.allows)),
            ),
            Self::NoServiceForAccount => (
                Kind::ProviderRejected,
                format!("The account that was chosen does not have {name}."),
                format!("Connect {name} again with another account."),
            ),
            Self::OrganisationInstall => (
                Kind::ProviderRejected,
                format!("{name} was installed for a whole organisation, and that can't be connected."),
                format!("Connect {name} again, and choose one workspace in place of the organisation."),
            ),
            Self::ProviderDown => (
                Kind::ProviderDown,
                format!("{name} did not answer. Nothing was stored."),
                "Please try again in a few minutes.".to_owned(),
            ),
            Self::RateLimited => (
                Kind::RateLimited,
                format!("{name} asked us to slow down. Nothing was stored."),
                "Please try again in a few minutes.".to_owned(),
            ),
        };
        Problem::new(kind, message, next_action)
    }
}

impl From<&Failure> for ConnectError {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::RateLimited(_) | Failure::ThrottledLocally(_) => Self::RateLimited,
            Failure::Down(_) | Failure::Unreached | Failure::Busy => Self::ProviderDown,
            Failure::ScopeMissing => Self::ScopeMissing,
            Failure::TokenRefused
            | Failure::GrantEnded
            | Failure::NotFound
            | Failure::Gone
            | Failure::Conflict
            | Failure::Rejected { .. }
            | Failure::Unusable(_)
            | Failure::TooLarge(_)
            | Failure::Unreadable
            | Failure::AppRefused { .. }
            | Failure::Forbidden => Self::ConnectFailed,
        }
    }
}

/// `a`, `a or b`, `a, b or c`.
fn either(all: &[&str]) -> String {
    match all {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_code_and_a_sentence_of_its_own_and_a_missing_permission_is_named() {
        let all = [
            ConnectError::AccessDenied,
            ConnectError::ConnectFailed,
            ConnectError::ScopeMissing,
            ConnectError::NoServiceForAccount,
            ConnectError::OrganisationInstall,
            ConnectError::ProviderDown,
            ConnectError::RateLimited,
        ];
        let subject = Subject { name: "Gmail", allows: &["read the mail", "send mail"] };
        let mut sentences: Vec<_> = all.iter().map(|error| (error.code(), error.problem(subject).message)).collect();
        sentences.sort_unstable();
        sentences.dedup_by(|a, b| a.0 == b.0 || a.1 == b.1);
        assert_eq!(sentences.len(), all.len());
        let next = ConnectError::ScopeMissing.problem(subject).next_action;
        assert!(next.ends_with("leave the box ticked that lets the app read the mail or send mail."), "{next}");
    }
}
