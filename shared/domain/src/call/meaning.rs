//! What an answer means, from data per provider: errors inside successes, codes, statuses, waits.

use std::time::Duration;

use http::header;
use jiff::{Timestamp, fmt::rfc2822};
use serde_json::Value;

use super::Reply;
use crate::error::{Kind, Problem};

/// A provider's API: where it is, and what its answers mean.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    /// What paths are relative to, without a slash at the end.
    pub base: &'static str,
    /// Whether it carries a call with the header `Idempotency-Key` out once, however often it is sent.
    pub idempotent: bool,
    /// Sent with every call.
    pub headers: &'static [(&'static str, &'static str)],
    /// How a failure inside a successful answer shows.
    pub failed: Option<Flag>,
    /// JSON pointers to where a code may stand, the most telling first.
    pub codes: &'static [&'static str],
    /// What codes mean, where the status does not say it.
    pub classes: &'static [(&'static str, Class)],
}

/// A flag in a body that says whether the call worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// The JSON pointer; `false` there means that it failed.
    pub pointer: &'static str,
}

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Too many calls.
    RateLimited,
    /// The access token is not accepted; a new one may be.
    TokenRefused,
    /// The grant is over.
    GrantEnded,
    /// The grant does not cover this.
    ScopeMissing,
    /// No such thing.
    NotFound,
    /// It contradicts something.
    Conflict,
    /// The provider fails.
    Down,
    /// It says no, in these words for a person.
    Rejected(&'static str),
}

/// A call did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Too many calls; not before this long, if the provider says so.
    #[error("rate limited")]
    RateLimited(Option<Duration>),
    /// The access token is not accepted.
    #[error("the access token is not accepted")]
    TokenRefused,
    /// The grant is over.
    #[error("the grant is over")]
    GrantEnded,
    /// The grant does not cover this.
    #[error("the grant does not cover this")]
    ScopeMissing,
    /// No such thing.
    #[error("there is no such thing")]
    NotFound,
    /// There is no such thing any more.
    #[error("it is gone")]
    Gone,
    /// It contradicts something.
    #[error("it contradicts something that exists")]
    Conflict,
    /// The provider says no. The words are ours; the code is the provider's, for operators.
    #[error("rejected ({code})")]
    Rejected {
        /// For a person.
        words: Option<&'static str>,
        /// The provider's.
        code: String,
    },
    /// The provider fails or does not answer; not before this long, if it says so.
    #[error("the provider is down")]
    Down(Option<Duration>),
    /// The answer is not what the provider documents.
    #[error("the answer is not what the provider documents")]
    Unreadable,
    /// Not sent at all: the address is not the provider's.
    #[error("the address is not one of the provider's")]
    Forbidden,
}

/// The longest wait that is believed.
const MAX_WAIT: Duration = Duration::from_hours(24);
/// The longest code that is kept.
const MAX_CODE: usize = 64;

impl Api {
    /// What an answer means.
    pub fn meaning(&self, reply: &Reply, now: Timestamp) -> Result<(), Failure> {
        let body: Option<Value> =
            (self.failed.is_some() || !reply.is_success()).then(|| serde_json::from_slice(&reply.body).ok()).flatten();
        if reply.is_success() {
            let Some(flag) = self.failed else { return Ok(()) };
            match body.as_ref().and_then(|body| body.pointer(flag.pointer)) {
                Some(Value::Bool(true)) => return Ok(()),
                Some(Value::Bool(false)) => {}
                // A page of some proxy, or half an answer.
                _ => return Err(Failure::Unreadable),
            }
        }
        let codes = || self.codes.iter().filter_map(|pointer| body.as_ref()?.pointer(pointer)?.as_str());
        let wait = retry_after(reply, now);
        let class =
            codes().find_map(|code| self.classes.iter().find(|(known, _)| *known == code)).map(|(_, class)| *class);
        Err(match (class, reply.status) {
            (Some(class), _) => class.failure(wait, codes().next()),
            (None, 429) => Failure::RateLimited(wait),
            (None, 401) => Failure::TokenRefused,
            (None, 403) => Failure::ScopeMissing,
            (None, 404) => Failure::NotFound,
            (None, 410) => Failure::Gone,
            (None, 409) => Failure::Conflict,
            (None, 408 | 425 | 500..) => Failure::Down(wait),
            (None, _) => Class::Rejected("").failure(wait, codes().next()),
        })
    }
}

impl Class {
    fn failure(self, wait: Option<Duration>, code: Option<&str>) -> Failure {
        match self {
            Self::RateLimited => Failure::RateLimited(wait),
            Self::TokenRefused => Failure::TokenRefused,
            Self::GrantEnded => Failure::GrantEnded,
            Self::ScopeMissing => Failure::ScopeMissing,
            Self::NotFound => Failure::NotFound,
            Self::Conflict => Failure::Conflict,
            Self::Down => Failure::Down(wait),
            Self::Rejected(words) => {
                // Only what looks like a code: the rest of an answer may be anybody's words.
                let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
                let code = code.unwrap_or("no code").chars().filter(|c| legal(*c)).take(MAX_CODE).collect();
                Failure::Rejected { words: (!words.is_empty()).then_some(words), code }
            }
        }
    }
}

impl Failure {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::RateLimited(_) => Kind::RateLimited,
            Self::TokenRefused | Self::GrantEnded => Kind::ReconnectRequired,
            Self::ScopeMissing => Kind::ScopeMissing,
            Self::NotFound | Self::Gone | Self::Rejected { .. } => Kind::ProviderRejected,
            Self::Conflict => Kind::Conflict,
            Self::Down(_) | Self::Unreadable => Kind::ProviderDown,
            Self::Forbidden => Kind::InvalidRequest,
        }
    }

    /// Whether the same call may work later without anybody doing anything.
    pub const fn passes(&self) -> bool {
        matches!(self, Self::RateLimited(_) | Self::Down(_) | Self::Unreadable)
    }

    /// How long to wait at least, if the provider said so.
    pub const fn wait(&self) -> Option<Duration> {
        if let Self::RateLimited(wait) | Self::Down(wait) = self { *wait } else { None }
    }

    /// For the person who asked; `name` is the provider's.
    pub fn problem(&self, name: &str, now: Timestamp) -> Problem {
        let retry_at = self.wait().and_then(|wait| now.checked_add(wait).ok());
        let (message, next_action) = match self {
            Self::RateLimited(_) => match retry_at {
                Some(at) => (
                    format!("{name} asked us to slow down. We continue at {} UTC.", at.strftime("%H:%M")),
                    "Wait until then.".to_owned(),
                ),
                None => (format!("{name} asked us to slow down."), "Wait a moment and try again.".to_owned()),
            },
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
            Self::Rejected { words: None, code } => {
                (format!("{name} did not accept this."), format!("Check the request; {name} names the reason {code}."))
            }
            Self::Down(_) | Self::Unreadable => {
                (format!("{name} has trouble answering."), "Try again in a few minutes.".to_owned())
            }
            Self::Forbidden => {
                (format!("This address is not one of {name}."), "Check the path of the request.".to_owned())
            }
        };
        Problem { retry_at, ..Problem::new(self.kind(), message, next_action) }
    }
}

/// The wait of a `Retry-After` header, in seconds or as a date (RFC 9110 §10.2.3), within a day. Nonsense is no wait.
pub fn retry_after(reply: &Reply, now: Timestamp) -> Option<Duration> {
    let text = reply.header(header::RETRY_AFTER.as_str())?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().map_or(MAX_WAIT, Duration::from_secs)
    } else {
        let date = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Duration::try_from(date.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    const API: Api = Api {
        base: "https://slack.com/api",
        idempotent: false,
        headers: &[],
        failed: Some(Flag { pointer: "/ok" }),
        codes: &["/error"],
        classes: &[
            ("ratelimited", Class::RateLimited),
            ("channel_not_found", Class::Rejected("There is no such channel.")),
        ],
    };

    fn reply(status: u16, body: &str, retry_after: Option<&str>) -> Reply {
        let mut headers = HeaderMap::new();
        headers.extend(retry_after.map(|value| (header::RETRY_AFTER, value.parse().unwrap())));
        Reply { status, headers, body: body.into() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn an_error_inside_a_success_is_an_error() {
        let meaning = |status, body| API.meaning(&reply(status, body, None), at(0));
        assert_eq!(meaning(200, r#"{"ok":true}"#), Ok(()));
        assert_eq!(meaning(200, r#"{"ok":false,"error":"ratelimited"}"#), Err(Failure::RateLimited(None)));
        let rejected = Failure::Rejected { words: Some("There is no such channel."), code: "channel_not_found".into() };
        assert_eq!(meaning(200, r#"{"ok":false,"error":"channel_not_found"}"#), Err(rejected));
        assert_eq!(meaning(200, "<html>"), Err(Failure::Unreadable));
        assert_eq!(meaning(503, "<html>"), Err(Failure::Down(None)));
        assert_eq!(meaning(401, ""), Err(Failure::TokenRefused));
    }

    #[test]
    fn retry_after_as_seconds_date_nonsense_negative_and_ten_years() {
        let wait = |value: &str| retry_after(&reply(429, "", Some(value)), at(784_111_777));
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:27 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("315360000"), Some(MAX_WAIT));
        assert_eq!(wait("99999999999999999999999"), Some(MAX_WAIT));
        for nonsense in ["-5", "soon", "", "1.5", "NaN"] {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn every_failure_has_a_sentence_without_a_status_code_and_a_next_step() {
        let all = [
            Failure::RateLimited(None),
            Failure::RateLimited(Some(Duration::from_mins(1))),
            Failure::TokenRefused,
            Failure::GrantEnded,
            Failure::ScopeMissing,
            Failure::NotFound,
            Failure::Gone,
            Failure::Conflict,
            Failure::Rejected { words: None, code: "x_y".into() },
            Failure::Rejected { words: Some("The card was declined."), code: "card_declined".into() },
            Failure::Down(None),
            Failure::Unreadable,
            Failure::Forbidden,
        ];
        for failure in all {
            let problem = failure.problem("Slack", at(50_700));
            assert!(problem.message.ends_with('.') && problem.next_action.ends_with('.'), "{problem:?}");
            for code in ["400", "401", "403", "404", "409", "410", "422", "429", "500", "502", "503"] {
                assert!(!problem.message.contains(code), "{problem:?}");
            }
        }
        let slow = Failure::RateLimited(Some(Duration::from_mins(1))).problem("Slack", at(50_640));
        assert_eq!(slow.message, "Slack asked us to slow down. We continue at 14:05 UTC.");
    }
}
