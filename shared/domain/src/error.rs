//! The closed set of problems a caller can meet, each with a sentence for a person.
//!
//! *Invariant:* no sentence holds a status code, a provider's jargon or a secret.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::{id::ProviderId, sentence::Sentence};

/// What kind of problem it is. The set is closed: callers may match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request has no valid session.
    Unauthenticated,
    /// The session is valid, and its role does not allow this.
    Forbidden,
    /// No such thing for this caller.
    NotFound,
    /// It was there, and is not any more.
    Gone,
    /// The thing exists, not this way of using it.
    MethodNotAllowed,
    /// The request itself is wrong.
    InvalidRequest,
    /// The body is not JSON.
    MalformedRequest,
    /// The body is larger than what is taken.
    TooLarge,
    /// The provider is not connected.
    NotConnected,
    /// The user must grant access again.
    ReconnectRequired,
    /// The grant does not cover this.
    ScopeMissing,
    /// The provider asked us to slow down.
    RateLimited,
    /// The provider said no.
    ProviderRejected,
    /// The provider does not answer.
    ProviderDown,
    /// It contradicts something that exists.
    Conflict,
    /// A fault of this stack; the details are in the log.
    Internal,
}

/// A problem as the caller reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Decides the HTTP status.
    pub kind: Kind,
    /// What is wrong.
    pub message: Sentence,
    /// What the person or program can do.
    pub next_action: Sentence,
    /// When trying again makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// What is wrong with single parts of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// What is wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name: ours, or as the caller wrote it if it is unknown.
    pub field: Cow<'static, str>,
    /// What is wrong with it.
    pub message: Sentence,
}

impl Kind {
    /// The name callers see. Kinds that differ only in their HTTP status share one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::NotFound | Self::Gone => "not_found",
            Self::MethodNotAllowed | Self::InvalidRequest | Self::MalformedRequest | Self::TooLarge => {
                "invalid_request"
            }
            Self::NotConnected => "not_connected",
            Self::ReconnectRequired => "reconnect_required",
            Self::Forbidden | Self::ScopeMissing => "scope_missing",
            Self::RateLimited => "rate_limited",
            Self::ProviderRejected => "provider_rejected",
            Self::ProviderDown => "provider_down",
            Self::Conflict => "conflict",
            Self::Internal => "internal",
        }
    }

    /// The status of the answer: RFC 9110 §15.
    pub const fn status(self) -> u16 {
        match self {
            Self::MalformedRequest => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::ScopeMissing => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotConnected | Self::ReconnectRequired | Self::Conflict => 409,
            Self::Gone => 410,
            Self::TooLarge => 413,
            Self::InvalidRequest | Self::ProviderRejected => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::ProviderDown => 502,
        }
    }
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: Kind, message: impl Into<Sentence>, next_action: impl Into<Sentence>) -> Self {
        Self { kind, message: message.into(), next_action: next_action.into(), retry_at: None, fields: Vec::new() }
    }

    /// One field of the request is wrong.
    pub fn field(field: impl Into<Cow<'static, str>>, message: impl Into<Sentence>) -> Self {
        Self::fields(vec![Field { field: field.into(), message: message.into() }])
    }

    /// These fields of the request are wrong.
    pub fn fields(fields: Vec<Field>) -> Self {
        let names: Vec<_> = fields.iter().map(|it| format!("\"{}\"", it.field)).collect();
        let next_action = format!("Correct {}.", names.join(", "));
        Self { fields, ..Self::new(Kind::InvalidRequest, "The request has a mistake.", next_action) }
    }

    /// What is wrong and what can be done, where both are told in one.
    pub fn with_next_action(&self) -> Sentence {
        format!("{} {}", self.message, self.next_action).into()
    }

    /// A browser fetches ahead what its user may open later, and that would have an effect. A refusal makes it fetch again when
    /// the user does. Not 503, with which servers often say this: it would look like an outage.
    pub fn prefetch() -> Self {
        Self::new(Kind::Conflict, "This link can't be loaded in advance.", "Open it yourself.")
    }

    /// The request has no valid session.
    pub fn unauthenticated() -> Self {
        Self::new(Kind::Unauthenticated, "You are not signed in, or your session has ended.", "Sign in again.")
    }

    /// The caller's role does not allow this.
    pub fn forbidden() -> Self {
        Self::new(Kind::Forbidden, "Only an administrator can see this.", "Sign in with the role \"admin\".")
    }

    /// No provider of this id; `known` are those there are.
    pub fn unknown_provider(known: &[&ProviderId]) -> Self {
        let known: Vec<_> = known.iter().map(|id| id.as_str()).collect();
        let message = format!("There is no such provider. Known providers: {}.", known.join(", "));
        Self::new(Kind::NotFound, message, "Use one of the known providers.")
    }

    /// The caller has no integration of this provider; `name` is the provider's name.
    pub fn not_connected(name: &str) -> Self {
        Self::new(Kind::NotConnected, format!("{name} is not connected."), format!("Connect {name} first."))
    }

    /// Only the user can help: the grant is over.
    pub fn reconnect_required(name: &str) -> Self {
        let message = format!("{name} has ended our access.");
        Self::new(Kind::ReconnectRequired, message, format!("Connect {name} again."))
    }

    /// The stored credential can't be opened: only connecting again helps, or a repair by the operator.
    pub fn credential_unreadable(name: &str) -> Self {
        let message = format!("What we stored to reach {name} can't be read any more.");
        Self::new(Kind::ReconnectRequired, message, format!("Connect {name} again."))
    }

    /// The provider's access ends at `at` for good, because it gave nothing to renew it with.
    pub fn access_ends(name: &str, at: Timestamp, now: Timestamp) -> Self {
        let message = format!("{name} gave us access that can't be renewed: it ends {}.", point_in_time(at, now));
        Self::new(Kind::ReconnectRequired, message, format!("Connect {name} again."))
    }

    /// Our fault; the details are in the log under the request's id.
    pub fn internal() -> Self {
        Self::new(Kind::Internal, "Something went wrong on our side.", "Try again; if it stays, report the request id.")
    }
}

/// When something is, for a person: `at 14:05 UTC`, with the day unless it is today.
pub(crate) fn point_in_time(at: Timestamp, now: Timestamp) -> String {
    let today = at.strftime("%F").to_string() == now.strftime("%F").to_string();
    at.strftime(if today { "at %H:%M UTC" } else { "on %-d %B at %H:%M UTC" }).to_string()
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sentence_shows_a_status_code_or_leaves_the_next_step_open() {
        let all = [
            Problem::prefetch(),
            Problem::unauthenticated(),
            Problem::forbidden(),
            Problem::unknown_provider(&[&ProviderId::of_data("stripe")]),
            Problem::not_connected("Stripe"),
            Problem::reconnect_required("Slack"),
            Problem::internal(),
        ];
        for problem in all {
            assert!(!problem.message.bytes().any(|b| b.is_ascii_digit()), "{}", problem.message);
            assert!(problem.message.ends_with('.') && problem.next_action.ends_with('.'));
        }
    }
}
