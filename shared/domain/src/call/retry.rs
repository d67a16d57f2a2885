//! Whether and when a call is sent again.
//!
//! *Invariant:* what may have been carried out is sent again only where that is safe, and no wait is longer than an invocation
//! can spare: what takes longer is the caller's to send again later.

use std::time::Duration;

use http::header;
use jiff::Timestamp;

use super::{Failure, Idempotent, Reply};

/// How often a call is sent at most.
pub const MAX_ATTEMPTS: u32 = 4;
/// The longest wait inside an invocation.
pub const MAX_PAUSE: Duration = Duration::from_secs(5);
/// The first pause is up to this long; the bound doubles.
const BASE: Duration = Duration::from_millis(250);
/// The longest wait that is believed.
const MAX_WAIT: Duration = Duration::from_hours(24);

/// What is known of an attempt that failed.
#[derive(Debug, Clone, Copy)]
pub struct FailedCall<'a> {
    /// Which it was, from 1.
    pub number: u32,
    /// Decides whether it may have been carried out, and whether it can succeed later.
    pub failure: &'a Failure,
    /// What the provider says about sending it again: see [`Api::should_retry`](super::Api::should_retry).
    pub retry_hint: Option<bool>,
    /// Whether the call may be repeated.
    pub idempotent: Idempotent,
}

impl FailedCall<'_> {
    /// How long to wait before the next attempt; `None` if there is none. `jitter` is a random number from 0 to 1.
    pub fn next(&self, jitter: f64) -> Option<Duration> {
        let allowed = self.idempotent == Idempotent::Yes || !self.failure.outcome_unknown();
        let useful = self.retry_hint.unwrap_or_else(|| self.failure.is_transient());
        if !allowed || !useful || self.failure.is_final() || self.number >= MAX_ATTEMPTS {
            return None;
        }
        let bound = BASE.saturating_mul(1 << self.number.min(6));
        let wait = self.failure.wait().unwrap_or_default().max(bound.mul_f64(jitter.clamp(0.0, 1.0)));
        (wait <= MAX_PAUSE).then_some(wait)
    }
}

/// The wait of a `Retry-After` header, in seconds or as a date in any of the three forms that RFC 9110 §5.6.7 has a recipient
/// accept, within a day. Nonsense is no wait.
pub fn retry_after(reply: &Reply, now: Timestamp) -> Option<Duration> {
    let text = reply.header(header::RETRY_AFTER.as_str())?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(text.parse().map_or(MAX_WAIT, Duration::from_secs).min(MAX_WAIT));
    }
    Some(until(Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?, now))
}

/// The wait from `now` until a time that the provider named, within a day.
pub fn until(time: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now)).unwrap_or_default().min(MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn retry_after_as_seconds_date_nonsense_negative_and_ten_years() {
        let wait = |value: &str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
            let reply = Reply { status: 429, headers, body: Vec::new() };
            retry_after(&reply, Timestamp::from_second(784_111_777).unwrap())
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(wait("Sunday, 06-Nov-94 08:49:47 GMT"), Some(Duration::from_secs(10)), "RFC 850");
        assert_eq!(wait("Sun Nov  6 08:49:47 1994"), Some(Duration::from_secs(10)), "asctime");
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:27 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("315360000"), Some(MAX_WAIT));
        assert_eq!(wait("99999999999999999999999"), Some(MAX_WAIT));
        for nonsense in ["-5", "soon", "", "1.5", "NaN"] {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
    }

    fn next(number: u32, failure: &Failure, repeat: Idempotent, retry_hint: Option<bool>) -> Option<Duration> {
        FailedCall { number, failure, retry_hint, idempotent: repeat }.next(1.0)
    }

    #[test]
    fn what_may_have_been_done_is_repeated_only_where_that_is_safe() {
        let down = Failure::Down(None);
        assert!(next(1, &down, Idempotent::Yes, None).is_some());
        assert_eq!(next(1, &down, Idempotent::No, None), None);
        assert_eq!(next(1, &down, Idempotent::No, Some(true)), None, "whatever the provider says");
        assert!(next(1, &Failure::RateLimited(None), Idempotent::No, None).is_some(), "a refusal is no execution");
    }

    #[test]
    fn the_providers_word_on_retrying_outranks_the_status() {
        assert_eq!(next(1, &Failure::Down(None), Idempotent::Yes, Some(false)), None);
        assert!(next(1, &Failure::Conflict, Idempotent::Yes, Some(true)).is_some());
        assert_eq!(next(1, &Failure::Conflict, Idempotent::Yes, None), None);
        assert_eq!(next(1, &Failure::TokenRefused, Idempotent::Yes, Some(true)), None, "that is for a refresh");
    }

    #[test]
    fn a_long_wait_is_left_to_the_caller_and_a_short_one_is_kept() {
        let limited = |seconds| Failure::RateLimited(Some(Duration::from_secs(seconds)));
        assert_eq!(next(1, &limited(3), Idempotent::No, None), Some(Duration::from_secs(3)));
        assert_eq!(next(1, &limited(6), Idempotent::Yes, None), None);
    }

    proptest! {
        #[test]
        fn pauses_grow_stay_bounded_and_end(number in 1u32..10, jitter in 0.0f64..=1.0) {
            let failure = Failure::Down(None);
            let attempt = FailedCall { number, failure: &failure, retry_hint: None, idempotent: Idempotent::Yes };
            match attempt.next(jitter) {
                Some(pause) => prop_assert!(number < MAX_ATTEMPTS && pause <= BASE * (1 << number)),
                None => prop_assert!(number >= MAX_ATTEMPTS),
            }
        }
    }
}
