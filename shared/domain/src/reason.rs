//! Why work failed or was given up: the closed set of reasons for operators, and what follows from each.
//!
//! The log field `reason`, the metric dimension `reason`, the attribute `Reason` of dead letters and the stored `reason` of a
//! delivery all hold [`Reason::name`]. Callers see the smaller set [`Kind`]; [`Reason::kind`] is the only mapping between them.
//! *Invariant:* a new reason does not compile until its name, its kind and its class are given.

use crate::error::Kind;

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
    /// The work panicked.
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
pub const MAX_DETAIL: usize = 1000;

/// A reason, and the sentence that explains this case of it to an operator. It holds no secret and no personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Diagnosis {
    /// Why.
    pub reason: Reason,
    /// This case of it.
    pub detail: String,
}

impl Diagnosis {
    /// The sentence is cut after [`MAX_DETAIL`] characters: it may quote what an application's handler or a service says.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(MAX_DETAIL) {
            detail.truncate(end);
        }
        Self { reason, detail }
    }
}

impl Reason {
    /// All of them.
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
        match self {
            Self::Unavailable => "unavailable",
            Self::Throttled => "throttled",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Misconfigured => "misconfigured",
            Self::Corrupt => "corrupt",
            Self::Bug => "bug",
            Self::RateLimited => "rate_limited",
            Self::ThrottledLocally => "throttled_locally",
            Self::ProviderBusy => "provider_busy",
            Self::TokenRefused => "token_refused",
            Self::GrantEnded => "grant_ended",
            Self::ScopeMissing => "scope_missing",
            Self::NotFound => "not_found",
            Self::Gone => "gone",
            Self::ProviderConflict => "provider_conflict",
            Self::Rejected => "rejected",
            Self::ProviderDown => "provider_down",
            Self::Unreachable => "unreachable",
            Self::AppRefused => "app_refused",
            Self::Unreadable => "unreadable",
            Self::AddressForbidden => "address_forbidden",
            Self::NotConnected => "not_connected",
            Self::NoSecret => "no_secret",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Stale => "stale",
            Self::Mismatch => "mismatch",
            Self::NotTaken => "not_taken",
            Self::NotJson => "not_json",
            Self::MessageUnreadable => "message_unreadable",
            Self::UnknownProvider => "unknown_provider",
            Self::NotAnEvent => "not_an_event",
            Self::Forked => "forked",
            Self::TooLarge => "too_large",
            Self::Unpublishable => "unpublishable",
            Self::HandlerFailed => "handler_failed",
            Self::HandlerRefused => "handler_refused",
            Self::HandlerPanicked => "handler_panicked",
            Self::Superseded => "superseded",
            Self::LeaseHeld => "lease_held",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed_out",
            Self::ReceivesExhausted => "receives_exhausted",
        }
    }

    /// The reason of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// What a caller sees of it.
    pub const fn kind(self) -> Kind {
        match self {
            Self::RateLimited | Self::ThrottledLocally => Kind::RateLimited,
            Self::TokenRefused | Self::GrantEnded => Kind::ReconnectRequired,
            Self::ScopeMissing => Kind::ScopeMissing,
            Self::NotFound | Self::Gone | Self::Rejected => Kind::ProviderRejected,
            Self::ProviderBusy | Self::ProviderConflict | Self::LeaseHeld | Self::Forked => Kind::Conflict,
            Self::ProviderDown | Self::Unreachable | Self::Unreadable => Kind::ProviderDown,
            Self::AddressForbidden
            | Self::Missing
            | Self::Malformed
            | Self::Stale
            | Self::Mismatch
            | Self::NotJson
            | Self::NotAnEvent
            | Self::MessageUnreadable => Kind::InvalidRequest,
            Self::UnknownProvider | Self::NotTaken => Kind::NotFound,
            Self::NotConnected => Kind::NotConnected,
            Self::Unavailable
            | Self::Throttled
            | Self::Conflict
            | Self::Denied
            | Self::Misconfigured
            | Self::AppRefused
            | Self::Corrupt
            | Self::Bug
            | Self::TooLarge
            | Self::Unpublishable
            | Self::HandlerFailed
            | Self::HandlerRefused
            | Self::HandlerPanicked
            | Self::Superseded
            | Self::Panicked
            | Self::TimedOut
            | Self::NoSecret
            | Self::ReceivesExhausted => Kind::Internal,
        }
    }

    /// What follows from it for the work that met it.
    pub const fn class(self) -> Class {
        match self {
            Self::Unavailable
            | Self::Throttled
            | Self::Conflict
            | Self::RateLimited
            | Self::ThrottledLocally
            | Self::ProviderBusy
            | Self::ProviderDown
            | Self::Unreachable
            | Self::Unreadable
            | Self::LeaseHeld => Class::Passing,
            Self::Denied | Self::Misconfigured | Self::AppRefused => Class::Operators,
            Self::HandlerFailed | Self::Superseded | Self::Panicked | Self::TimedOut => Class::Counted,
            Self::Corrupt
            | Self::Bug
            | Self::TokenRefused
            | Self::GrantEnded
            | Self::ScopeMissing
            | Self::NotFound
            | Self::Gone
            | Self::ProviderConflict
            | Self::Rejected
            | Self::AddressForbidden
            | Self::NotConnected
            | Self::NoSecret
            | Self::Missing
            | Self::Malformed
            | Self::Stale
            | Self::Mismatch
            | Self::NotTaken
            | Self::NotJson
            | Self::MessageUnreadable
            | Self::UnknownProvider
            | Self::NotAnEvent
            | Self::Forked
            | Self::TooLarge
            | Self::Unpublishable
            | Self::HandlerRefused
            | Self::HandlerPanicked
            | Self::ReceivesExhausted => Class::Hopeless,
        }
    }

    /// Whether an operator must hear of it at once: the stack itself is misconfigured, damaged or wrong.
    pub const fn alarms(self) -> bool {
        match self {
            Self::Denied | Self::Misconfigured | Self::AppRefused | Self::Corrupt | Self::Bug => true,
            Self::Unavailable
            | Self::Throttled
            | Self::Conflict
            | Self::RateLimited
            | Self::ThrottledLocally
            | Self::ProviderBusy
            | Self::TokenRefused
            | Self::GrantEnded
            | Self::ScopeMissing
            | Self::NotFound
            | Self::Gone
            | Self::ProviderConflict
            | Self::Rejected
            | Self::ProviderDown
            | Self::Unreachable
            | Self::Unreadable
            | Self::AddressForbidden
            | Self::NotConnected
            | Self::NoSecret
            | Self::Missing
            | Self::Malformed
            | Self::Stale
            | Self::Mismatch
            | Self::NotTaken
            | Self::NotJson
            | Self::MessageUnreadable
            | Self::UnknownProvider
            | Self::NotAnEvent
            | Self::Forked
            | Self::TooLarge
            | Self::Unpublishable
            | Self::HandlerFailed
            | Self::HandlerRefused
            | Self::HandlerPanicked
            | Self::Superseded
            | Self::LeaseHeld
            | Self::Panicked
            | Self::TimedOut
            | Self::ReceivesExhausted => false,
        }
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
