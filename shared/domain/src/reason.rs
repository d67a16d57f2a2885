//! Why work failed or was given up: the closed set of reasons for operators, and what follows from each.
//!
//! The log field `reason`, the metric dimension `reason`, the attribute `Reason` of dead letters and the stored `reason` of a
//! delivery all hold [`Reason::name`]. Callers see the smaller set [`Kind`]; [`Reason::kind`] is the only mapping between them.
//! *Invariant:* a new reason does not compile until its name, its kind and its class are given.

use crate::{error::Kind, sentence::cut};

/// Why something failed, for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// An AWS service did not answer, or answered with an error of its own.
    Unavailable,
    /// An AWS service throttles.
    Throttled,
    /// Another transaction holds the same item.
    Conflict,
    /// The role or a key policy does not allow the call.
    Denied,
    /// A resource is missing, disabled or not of the documented form: a table, a queue, a key, a secret.
    Misconfigured,
    /// What is stored can't be read: it was altered or it is malformed.
    Corrupt,
    /// An AWS service refuses the call as wrong, or a value of ours can't be written: a fault of this program.
    Bug,
    /// The provider asks for fewer calls.
    RateLimited,
    /// A limit of the provider, as this stack keeps it, leaves no call for now; nothing was sent.
    ThrottledLocally,
    /// The provider works on the same object already.
    ProviderBusy,
    /// The provider does not accept the access token.
    TokenRefused,
    /// The provider ended the grant.
    GrantEnded,
    /// The grant does not cover the call.
    ScopeMissing,
    /// The provider does not have the object.
    NotFound,
    /// The provider does not have the object any more.
    Gone,
    /// The call contradicts something that exists at the provider.
    ProviderConflict,
    /// The provider rejects the call.
    Rejected,
    /// The provider fails or does not answer; the outcome of the call is unknown.
    ProviderDown,
    /// No connection to the provider; nothing was sent.
    Unreachable,
    /// The provider does not accept the app itself: client id, client secret or the app's settings are wrong.
    AppRefused,
    /// The provider's answer is not what it documents.
    Unreadable,
    /// The address is not one of the provider's; nothing was sent.
    AddressForbidden,
    /// There is no credential: the integration is disconnected.
    NotConnected,
    /// No webhook secret is configured, so a delivery can't be verified.
    NoSecret,
    /// A delivery lacks its proof: a signature, a token.
    Missing,
    /// The proof of a delivery has not the documented form.
    Malformed,
    /// A delivery was signed too long ago.
    Stale,
    /// The proof of a delivery fits no secret in force.
    Mismatch,
    /// This version reads no webhooks of the provider.
    NotTaken,
    /// The body of a delivery can't be read as JSON.
    NotJson,
    /// The message is not of a version or shape that this version reads.
    MessageUnreadable,
    /// The message names a provider that this version does not have.
    UnknownProvider,
    /// A genuine delivery that is no event of the provider.
    NotAnEvent,
    /// Another payload came under the same event id before; the first is kept.
    Forked,
    /// A record is larger than an item of the table may be, or a delivery larger than a message of a queue.
    TooLarge,
    /// The event bus does not take the event.
    Unpublishable,
    /// The application's handler failed for now.
    HandlerFailed,
    /// The application's handler refused the event for good.
    HandlerRefused,
    /// The application's handler panicked.
    HandlerPanicked,
    /// A later claim took the event over.
    Superseded,
    /// Another worker holds the lease.
    LeaseHeld,
    /// The work panicked: a fault of this program, isolated to one message.
    Panicked,
    /// The invocation's time ended before the work.
    TimedOut,
    /// SQS moved the message itself, after the receives that the queue allows.
    ReceivesExhausted,
}

/// What follows from a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It passes by itself: the work is deferred, and no attempt counts.
    Passing,
    /// An operator must repair something: the work is deferred and resumes by itself after the repair; an alarm goes off.
    Operators,
    /// The work itself failed: it is tried again, and each attempt counts.
    Counted,
    /// It can't succeed: it is given up at the first attempt.
    Hopeless,
}

/// The longest sentence of a [`Diagnosis`], in characters: it is stored in items and attributes of messages.
const MAX_DETAIL: usize = 1000;

/// A reason, and the sentence that explains this case of it to an operator. It holds no secret and no personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Diagnosis {
    /// Decides what follows.
    pub reason: Reason,
    detail: String,
}

impl Diagnosis {
    /// The sentence is cut after 1000 characters: it may quote what an application's handler or a service says.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: cut(detail.into(), MAX_DETAIL) }
    }

    /// What happened in this case.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Both, for a line of the log.
    pub fn into_parts(self) -> (Reason, String) {
        (self.reason, self.detail)
    }
}

impl Reason {
    /// In the order of the variants.
    pub const ALL: [Self; 44] = [
        Self::Unavailable,
        Self::Throttled,
        Self::Conflict,
        Self::Denied,
        Self::Misconfigured,
        Self::Corrupt,
        Self::Bug,
        Self::RateLimited,
        Self::ThrottledLocally,
        Self::ProviderBusy,
        Self::TokenRefused,
        Self::GrantEnded,
        Self::ScopeMissing,
        Self::NotFound,
        Self::Gone,
        Self::ProviderConflict,
        Self::Rejected,
        Self::ProviderDown,
        Self::Unreachable,
        Self::AppRefused,
        Self::Unreadable,
        Self::AddressForbidden,
        Self::NotConnected,
        Self::NoSecret,
        Self::Missing,
        Self::Malformed,
        Self::Stale,
        Self::Mismatch,
        Self::NotTaken,
        Self::NotJson,
        Self::MessageUnreadable,
        Self::UnknownProvider,
        Self::NotAnEvent,
        Self::Forked,
        Self::TooLarge,
        Self::Unpublishable,
        Self::HandlerFailed,
        Self::HandlerRefused,
        Self::HandlerPanicked,
        Self::Superseded,
        Self::LeaseHeld,
        Self::Panicked,
        Self::TimedOut,
        Self::ReceivesExhausted,
    ];

    /// Its name on the wire, in logs, metrics and tables.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// What a caller sees of it.
    pub const fn kind(self) -> Kind {
        self.row().1
    }

    /// What follows from it for the work that met it.
    pub const fn class(self) -> Class {
        self.row().2
    }

    /// Whether an operator must hear of it at once: the stack itself is misconfigured, damaged or wrong.
    pub const fn alarms(self) -> bool {
        matches!(self.class(), Class::Operators) || matches!(self, Self::Corrupt | Self::Bug)
    }

    const fn row(self) -> (&'static str, Kind, Class) {
        match self {
            Self::Unavailable => ("unavailable", Kind::Internal, Class::Passing),
            Self::Throttled => ("throttled", Kind::Internal, Class::Passing),
            Self::Conflict => ("conflict", Kind::Internal, Class::Passing),
            Self::Denied => ("denied", Kind::Internal, Class::Operators),
            Self::Misconfigured => ("misconfigured", Kind::Internal, Class::Operators),
            Self::Corrupt => ("corrupt", Kind::Internal, Class::Hopeless),
            Self::Bug => ("bug", Kind::Internal, Class::Hopeless),
            Self::RateLimited => ("rate_limited", Kind::RateLimited, Class::Passing),
            Self::ThrottledLocally => ("throttled_locally", Kind::RateLimited, Class::Passing),
            Self::ProviderBusy => ("provider_busy", Kind::Conflict, Class::Passing),
            Self::TokenRefused => ("token_refused", Kind::ReconnectRequired, Class::Hopeless),
            Self::GrantEnded => ("grant_ended", Kind::ReconnectRequired, Class::Hopeless),
            Self::ScopeMissing => ("scope_missing", Kind::ScopeMissing, Class::Hopeless),
            Self::NotFound => ("not_found", Kind::ProviderRejected, Class::Hopeless),
            Self::Gone => ("gone", Kind::ProviderRejected, Class::Hopeless),
            Self::ProviderConflict => ("provider_conflict", Kind::Conflict, Class::Hopeless),
            Self::Rejected => ("rejected", Kind::ProviderRejected, Class::Hopeless),
            Self::ProviderDown => ("provider_down", Kind::ProviderDown, Class::Passing),
            Self::Unreachable => ("unreachable", Kind::ProviderDown, Class::Passing),
            Self::AppRefused => ("app_refused", Kind::Internal, Class::Operators),
            Self::Unreadable => ("unreadable", Kind::ProviderDown, Class::Passing),
            Self::AddressForbidden => ("address_forbidden", Kind::InvalidRequest, Class::Hopeless),
            Self::NotConnected => ("not_connected", Kind::NotConnected, Class::Hopeless),
            Self::NoSecret => ("no_secret", Kind::Internal, Class::Hopeless),
            Self::Missing => ("missing", Kind::InvalidRequest, Class::Hopeless),
            Self::Malformed => ("malformed", Kind::InvalidRequest, Class::Hopeless),
            Self::Stale => ("stale", Kind::InvalidRequest, Class::Hopeless),
            Self::Mismatch => ("mismatch", Kind::InvalidRequest, Class::Hopeless),
            Self::NotTaken => ("not_taken", Kind::NotFound, Class::Hopeless),
            Self::NotJson => ("not_json", Kind::InvalidRequest, Class::Hopeless),
            Self::MessageUnreadable => ("message_unreadable", Kind::InvalidRequest, Class::Hopeless),
            Self::UnknownProvider => ("unknown_provider", Kind::NotFound, Class::Hopeless),
            Self::NotAnEvent => ("not_an_event", Kind::InvalidRequest, Class::Hopeless),
            Self::Forked => ("forked", Kind::Conflict, Class::Hopeless),
            Self::TooLarge => ("too_large", Kind::Internal, Class::Hopeless),
            Self::Unpublishable => ("unpublishable", Kind::Internal, Class::Hopeless),
            Self::HandlerFailed => ("handler_failed", Kind::Internal, Class::Counted),
            Self::HandlerRefused => ("handler_refused", Kind::Internal, Class::Hopeless),
            Self::HandlerPanicked => ("handler_panicked", Kind::Internal, Class::Hopeless),
            Self::Superseded => ("superseded", Kind::Internal, Class::Counted),
            Self::LeaseHeld => ("lease_held", Kind::Conflict, Class::Passing),
            Self::Panicked => ("panicked", Kind::Internal, Class::Counted),
            Self::TimedOut => ("timed_out", Kind::Internal, Class::Counted),
            Self::ReceivesExhausted => ("receives_exhausted", Kind::Internal, Class::Hopeless),
        }
    }

    /// The reason of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_is_listed_once_under_a_name_of_its_own() {
        let names: BTreeSet<_> = Reason::ALL.map(Reason::name).into();
        assert_eq!(names.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.name()), Some(reason));
            assert!(reason.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{reason:?}");
        }
        assert_eq!(Reason::ALL.len(), Reason::ReceivesExhausted as usize + 1, "a reason is missing in the list");
    }
}
