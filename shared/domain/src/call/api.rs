//! A provider's API as data, and what its answers mean by it: errors inside successes, codes, statuses, waits.

mod addresses;

use std::time::Duration;

use http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    Failure, Reply, Request,
    retry::{retry_after, until},
};
use crate::{
    call::{
        Mode,
        limit::{self, Bucket, Limit, Rates},
    },
    id::{AccountId, ProviderId},
};

/// A provider's API: where it is, what its answers mean, and how many calls it takes.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    /// What paths are relative to, without a slash at the end.
    pub base: &'static str,
    /// Where it takes whole files. On the host of the base, paths relative to it are those relative to the base, and count as they do;
    /// a host of its own has one-time addresses, which no limit counts.
    pub uploads: Option<&'static str>,
    /// Whether it carries a call with the header `Idempotency-Key` out once, however often it is sent.
    pub idempotent: bool,
    /// Sent with every call.
    pub headers: &'static [(&'static str, &'static str)],
    /// How a failure inside a successful answer shows.
    pub success_flag: Option<SuccessFlag>,
    /// JSON pointers to where a code may stand, the most telling first.
    pub codes: &'static [&'static str],
    /// What codes mean, where the status does not say it.
    pub classes: &'static [(&'static str, Class)],
    /// What it means that a call is forbidden (403) and no code says more.
    pub forbidden: Class,
    /// A header that says whether to send a call again: `true` or `false`.
    pub should_retry: Option<&'static str>,
    /// Where a text in the body names the time to wait for: a JSON pointer, and what stands before the time.
    pub wait_in_text: Option<(&'static str, &'static str)>,
    /// A header that names which limit was reached; without it, the code does.
    pub limited_by: Option<&'static str>,
    /// Headers with what is left of a limit.
    pub quota_headers: Option<QuotaHeaders>,
    /// How many calls it takes, the narrowest limits first.
    pub limits: &'static [Limit],
    /// What credentials for testing begin with.
    pub test_credentials: &'static [&'static str],
    /// Headers of its own that change what a call means, in lower case: pages of other origins may send them.
    pub request_headers: &'static [&'static str],
    /// Headers that carry a credential or name another principal, in lower case, besides those of all providers: the proxy refuses
    /// them.
    pub credential_headers: &'static [&'static str],
    /// Parameters of queries and forms that carry a credential: the proxy refuses them.
    pub credential_parameters: &'static [&'static str],
    /// Headers by which a POST below the base of calls names the method that counts in place of its own, in lower case.
    pub method_overrides: &'static [&'static str],
    /// Headers of answers that are one address each, in lower case, besides those of RFC 9110: the proxy leads them through itself.
    pub address_headers: &'static [&'static str],
    /// The first segment of the paths that take many calls in one request, which no limit could count.
    pub batch: Option<&'static str>,
}

/// A flag in a body that says whether the call worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuccessFlag {
    /// The JSON pointer; `false` there means that it failed.
    pub pointer: &'static str,
}

/// Headers with what is left of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaHeaders {
    /// How many calls are left.
    pub remaining: &'static str,
    /// When there are more again, in seconds: from 1970, or from now where that is less.
    pub reset: &'static str,
}

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The provider asks for fewer calls.
    RateLimited,
    /// Too many calls, and more come not before this long.
    Exhausted(Duration),
    /// The provider is at the same object already, and did not begin.
    Busy,
    /// The access token is not accepted; a new one may be.
    TokenRefused,
    /// The grant is over.
    GrantEnded,
    /// The grant does not cover this.
    ScopeMissing,
    /// The provider does not have the object.
    NotFound,
    /// The call contradicts something that exists.
    Conflict,
    /// The app itself is not accepted; only its operators can change that.
    AppRefused,
    /// A fault of the provider; the outcome of the call is unknown.
    Down,
    /// It says no, in these words for a person; none if they are empty.
    Rejected(&'static str),
}

/// The longest code that is kept.
const MAX_CODE: usize = 64;
/// Seconds below this count from now: as a date they would be in 1970.
const EPOCH: i64 = 100_000_000;

impl Api {
    /// An API by the book: statuses say what answers mean, and no limit is known.
    pub const fn new(base: &'static str) -> Self {
        Self {
            base,
            uploads: None,
            idempotent: false,
            headers: &[],
            success_flag: None,
            codes: &[],
            classes: &[],
            forbidden: Class::ScopeMissing,
            should_retry: None,
            wait_in_text: None,
            limited_by: None,
            quota_headers: None,
            limits: &[],
            test_credentials: &[],
            request_headers: &[],
            credential_headers: &[],
            credential_parameters: &[],
            method_overrides: &[],
            address_headers: &[],
            batch: None,
        }
    }

    /// What an answer means.
    pub fn meaning(&self, reply: &Reply, now: Timestamp) -> Result<(), Failure> {
        // Nothing changed since what the caller has; or a part of an upload has arrived, and the next one is awaited.
        if reply.status == 304 || self.awaits_more(reply) {
            return Ok(());
        }
        let body: Option<Value> = (self.success_flag.is_some() || !reply.is_success())
            .then(|| serde_json::from_slice(&reply.body).ok())
            .flatten();
        if reply.is_success() {
            let Some(flag) = self.success_flag else { return Ok(()) };
            match body.as_ref().and_then(|body| body.pointer(flag.pointer)) {
                Some(Value::Bool(true)) => return Ok(()),
                Some(Value::Bool(false)) => {}
                // A page of some proxy, or half an answer.
                _ => return Err(Failure::Unreadable),
            }
        }
        let wait = retry_after(reply, now).or_else(|| self.wait_in_text(body.as_ref()?, now));
        let codes = || self.all_codes(body.as_ref());
        let class =
            codes().find_map(|code| self.classes.iter().find(|(known, _)| *known == code)).map(|(_, class)| *class);
        let code = codes().next();
        Err(match (class, reply.status) {
            (Some(class), _) => class.failure(wait, code),
            (None, 429) => Failure::RateLimited(wait),
            (None, 401) => Failure::TokenRefused,
            (None, 403) => self.forbidden.failure(wait, code),
            (None, 404) => Failure::NotFound,
            (None, 410) => Failure::Gone,
            (None, 409 | 412) => Failure::Conflict,
            // 424: what the provider itself depends on fails. 425: it is too early, as it says.
            (None, 408 | 424 | 425 | 500..) => Failure::Down(wait),
            (None, 300..=399) => Failure::Unusable("The answer leads to another address, which is not followed."),
            (None, _) => Class::Rejected("").failure(wait, code),
        })
    }

    /// Whether an answer asks for the next part of an upload. It has the status of a redirect, and leads nowhere:
    /// <https://developers.google.com/workspace/gmail/api/guides/uploads#resumable>, read 2026-11.
    fn awaits_more(&self, reply: &Reply) -> bool {
        reply.status == 308 && self.uploads.is_some() && !reply.headers.contains_key(header::LOCATION)
    }

    fn all_codes<'b>(&self, body: Option<&'b Value>) -> impl Iterator<Item = &'b str> {
        self.codes.iter().filter_map(move |pointer| body?.pointer(pointer)?.as_str())
    }

    fn wait_in_text(&self, body: &Value, now: Timestamp) -> Option<Duration> {
        let (pointer, before) = self.wait_in_text?;
        let (_, time) = body.pointer(pointer)?.as_str()?.split_once(before)?;
        Some(until(time.split_whitespace().next()?.parse().ok()?, now))
    }

    /// What the provider says about sending the call again.
    pub fn retry_hint(&self, reply: &Reply) -> Option<bool> {
        reply.header(self.should_retry?)?.parse().ok()
    }

    /// The mode of an account that this credential is of; none where the provider has no credentials for tests.
    pub fn mode(&self, credential: &str) -> Option<Mode> {
        let mode = if self.is_test(credential) { Mode::Test } else { Mode::Live };
        (!self.test_credentials.is_empty()).then_some(mode)
    }

    /// Whether a credential is one for testing.
    pub fn is_test(&self, credential: &str) -> bool {
        self.test_credentials.iter().any(|prefix| credential.starts_with(prefix))
    }

    /// The buckets that a call takes from; none if it does not go to this API.
    pub fn buckets(
        &self,
        owner: (&ProviderId, &AccountId),
        request: &Request,
        test: bool,
        rates: &Rates,
    ) -> Vec<Bucket> {
        let path = self.path(&request.url).filter(|_| !self.limits.is_empty());
        path.map(|path| limit::buckets(self.limits, owner, (request, path), test, rates)).unwrap_or_default()
    }

    /// How long an answer closes a bucket for, and which of `buckets` it is. A limit of another kind, such as one on calls at the
    /// same time, closes none, and neither does a wait that is longer than a limit can ask for.
    pub fn closes<'b>(
        &self,
        reply: &Reply,
        failure: Option<&Failure>,
        buckets: &'b [Bucket],
        now: Timestamp,
    ) -> Option<(&'b Bucket, Duration)> {
        if let Some(Failure::RateLimited(wait)) = failure {
            let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
            let header = self.limited_by.and_then(|name| reply.header(name));
            let reason = header.or_else(|| self.all_codes(body.as_ref()).next());
            let wait = wait.unwrap_or(Duration::from_secs(1));
            let named = buckets.iter().find(|bucket| reason.is_some_and(|reason| bucket.reasons.contains(&reason)));
            if let Some(bucket) = named {
                return Some((bucket, wait.min(bucket.closes)));
            }
            return buckets.first().filter(|bucket| header.is_none() && wait <= bucket.closes).map(|it| (it, wait));
        }
        let bucket = buckets.first()?;
        Some((bucket, self.quota_headers?.reset(&reply.headers, now)?.min(bucket.closes)))
    }
}

impl QuotaHeaders {
    /// How long nothing is left for.
    fn reset(&self, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
        let number = |name| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
        let seconds = number(self.reset).filter(|_| number(self.remaining) == Some(0))?;
        let from = if seconds < EPOCH { now.as_second() } else { 0 };
        Some(until(Timestamp::from_second(from.saturating_add(seconds)).ok()?, now))
    }
}

impl Class {
    fn failure(self, wait: Option<Duration>, code: Option<&str>) -> Failure {
        match self {
            Self::RateLimited => Failure::RateLimited(wait),
            Self::Exhausted(least) => Failure::RateLimited(Some(wait.unwrap_or_default().max(least))),
            Self::Busy => Failure::Busy,
            Self::TokenRefused => Failure::TokenRefused,
            Self::GrantEnded => Failure::GrantEnded,
            Self::ScopeMissing => Failure::ScopeMissing,
            Self::NotFound => Failure::NotFound,
            Self::Conflict => Failure::Conflict,
            Self::Down => Failure::Down(wait),
            Self::AppRefused => Failure::AppRefused { code: kept(code) },
            Self::Rejected(words) => {
                Failure::Rejected { words: (!words.is_empty()).then_some(words), code: kept(code) }
            }
        }
    }
}

/// Only what looks like a code: the rest of an answer may be a person's words.
fn kept(code: Option<&str>) -> String {
    let legal = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    code.unwrap_or_default().chars().filter(legal).take(MAX_CODE).collect()
}
