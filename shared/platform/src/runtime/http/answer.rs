//! Answers: JSON for programs, pages for people, and the headers that protect both.

use std::time::Duration;

use ::http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{self, HeaderName},
};
use askama::Template;
use domain::{Diagnosis, Problem, error::Kind, reason::Class};
use jiff::{SignedDuration, Timestamp};
use lambda_http::{Body, Response};
use serde::Serialize;

use crate::{
    aws::AwsError,
    base::{clock, metrics},
};

/// What may be loaded by our pages: only our own files.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The JSON form of a problem.
#[derive(Serialize)]
struct ProblemBody<'a> {
    error: Named<'a>,
}

#[derive(Serialize)]
struct Named<'a> {
    #[serde(flatten)]
    problem: &'a Problem,
    request_id: &'a str,
}

/// The page of a problem, for people.
#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    problem: &'a Problem,
    request_id: &'a str,
    /// The application, if its address is known.
    application: Option<&'a str>,
}

/// The answer to a problem in the contract's form. `Retry-After` says the same as `retry_at`, for clients that wait by it.
pub(super) fn refusal(problem: &Problem, page: bool, request_id: &str, application: Option<&str>) -> Response<Body> {
    let status = StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = if page {
        let page = ProblemPage { problem, request_id, application }.render();
        html(status, page.unwrap_or_else(|_| problem.message.to_string()))
    } else {
        json(status, &ProblemBody { error: Named { problem, request_id } })
    };
    if let Some(seconds) = problem.retry_at.map(|at| seconds_until(at, clock::now())) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Whole seconds, rounded up: RFC 9110 §10.2.3 knows no fractions, and less would be too early.
fn seconds_until(time: Timestamp, now: Timestamp) -> u64 {
    let left = Duration::try_from(time.duration_since(now)).unwrap_or_default();
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

/// AWS failed: the log tells how, the caller only that.
pub fn internal(error: &AwsError) -> Problem {
    failed(&error.diagnosis())
}

/// Something on our side failed: one line of the log tells why, an alarm if an operator must repair it, and the caller hears
/// only that, and when to try again.
pub fn failed(why: &Diagnosis) -> Problem {
    tracing::error!(reason = why.reason.name(), detail = why.detail(), "answered with an internal error");
    metrics::operator_failure(why.reason);
    let wait = match why.reason.class() {
        Class::Passing => Some(SignedDuration::from_secs(10)),
        Class::Operators => Some(SignedDuration::from_mins(5)),
        Class::Counted | Class::Hopeless => None,
    };
    Problem { retry_at: wait.map(|wait| clock::now() + wait), ..Problem::internal() }
}

/// An answer of JSON.
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Response<Body> {
    // Our own types serialise; the fallback keeps the promise that an answer is JSON.
    let text = serde_json::to_string(body).unwrap_or_else(|_| String::from("{}"));
    answer(status, "application/json", text)
}

/// A redirect after a form (303).
pub fn see_other(location: &str) -> Response<Body> {
    redirect(StatusCode::SEE_OTHER, location)
}

/// A redirect (302).
pub fn found(location: &str) -> Response<Body> {
    redirect(StatusCode::FOUND, location)
}

fn redirect(status: StatusCode, location: &str) -> Response<Body> {
    let mut response = text(status, "");
    match HeaderValue::from_str(location) {
        Ok(location) => {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}

pub fn html(status: StatusCode, page: String) -> Response<Body> {
    let mut response = answer(status, "text/html; charset=utf-8", page);
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// A page with forms. Under no-referrer a browser sends them with `Origin: null`
/// (<https://fetch.spec.whatwg.org/#origin-header>), and we would not know our own page; this tells the origin alone.
pub fn html_with_forms(page: String) -> Response<Body> {
    let mut response = html(StatusCode::OK, page);
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    response
}

pub fn text(status: StatusCode, body: impl Into<String>) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", body.into())
}

pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("text/html"))
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() = status;
    let fixed: [(HeaderName, &str); 4] = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    response.headers_mut().extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_in_the_body_is_in_retry_after_too_in_whole_seconds_rounded_up() {
        let now = Timestamp::UNIX_EPOCH;
        let seconds = |milliseconds| seconds_until(now + SignedDuration::from_millis(milliseconds), now);
        assert_eq!([-5, 0, 1, 999, 1000, 1001, 60_000].map(seconds), [0, 0, 1, 1, 1, 2, 60]);
        let retry_at = Some(clock::now() + SignedDuration::from_mins(1));
        let problem = Problem { retry_at, ..Problem::internal() };
        for page in [true, false] {
            let response = refusal(&problem, page, "r-1", None);
            let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((58..=60).contains(&wait), "{wait}");
        }
        assert!(!refusal(&Problem::internal(), false, "r-1", None).headers().contains_key("retry-after"));
    }
}
