//! One HTTP request as API Gateway describes it.

use std::time::Duration;

use ::http::{HeaderValue, header};
use domain::{Problem, error::Kind};
use jiff::{SignedDuration, Timestamp};
use lambda_http::{Body, Request, RequestExt as _, Response, request::RequestContext};

use super::{
    answer::{refusal, wants_html},
    route::{self, Route},
};
use crate::{
    base::clock,
    runtime::{consumer::deadline, session},
};

/// API Gateway gives up after 30 seconds.
const PATIENCE: SignedDuration = SignedDuration::from_secs(25);
/// Time reserved before the function's deadline for passing the answer on.
const RESERVE: SignedDuration = SignedDuration::from_secs(1);

/// A request, and what API Gateway says of it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'r> {
    pub request: &'r Request,
    /// Names the request in logs and errors.
    pub request_id: &'r str,
    /// The route; none if there is none.
    pub route: Option<&'static Route>,
    /// The host under which the API was called, as API Gateway knows it: never a header.
    pub(super) domain: &'r str,
}

impl<'r> Call<'r> {
    /// Reads the request's context.
    pub fn of(request: &'r Request) -> Self {
        let (request_id, domain) = match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => {
                (context.request_id.as_deref().unwrap_or_default(), context.domain_name.as_deref().unwrap_or_default())
            }
            _ => Default::default(),
        };
        // Not API Gateway's route key: the development server of cargo-lambda sends `$default` for all.
        let route = route::find(request.method().as_str(), request.raw_http_path());
        Self { request, request_id, route, domain }
    }

    /// The route's path; empty if there is none.
    pub fn path(&self) -> &'static str {
        self.route.map_or("", |route| route.path)
    }

    /// A path parameter of the route; empty if it has none of this name.
    pub fn parameter(&self, name: &str) -> &'r str {
        self.request.path_parameters_ref().and_then(|all| all.first(name)).unwrap_or_default()
    }

    pub fn query(&self, name: &str) -> Option<&'r str> {
        self.request.query_string_parameters_ref().and_then(|all| all.first(name))
    }

    /// Whether this is a local run over plain http.
    pub fn is_loopback(&self) -> bool {
        let host = self.domain.rsplit_once(':').filter(|(_, port)| port.bytes().all(|it| it.is_ascii_digit()));
        let host = host.map_or(self.domain, |(host, _)| host);
        ["localhost", "127.0.0.1", "[::1]"].contains(&host)
    }

    /// All values of a query parameter.
    pub fn queries(&self, name: &str) -> Vec<&'r str> {
        self.request.query_string_parameters_ref().and_then(|all| all.all(name)).unwrap_or_default()
    }

    /// A cookie's value.
    pub fn cookie(&self, name: &str) -> Option<&'r str> {
        session::cookies(self.request.headers()).find(|(cookie, _)| *cookie == name).map(|(_, value)| value)
    }

    /// Whether a browser fetches this ahead of time, before its user opens it
    /// (<https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Purpose>, read 2026-11; older names besides).
    pub fn is_prefetch(&self) -> bool {
        let ahead = |name| {
            let purpose = self.request.headers().get(name).and_then(|purpose| purpose.to_str().ok());
            let purpose = purpose.and_then(|purpose| purpose.split([';', ',']).next()).unwrap_or_default().trim();
            purpose.eq_ignore_ascii_case("prefetch") || purpose.eq_ignore_ascii_case("preview")
        };
        ["sec-purpose", "purpose", "x-purpose", "x-moz"].into_iter().any(ahead)
    }

    /// When the answer must be ready: shortly before the function's end or API Gateway's patience, whichever is earlier.
    pub fn deadline(&self) -> Timestamp {
        let now = clock::now();
        let latest = now + PATIENCE;
        let context = self.request.lambda_context_ref();
        context.map_or(latest, |context| (deadline(context, now) - RESERVE).min(latest))
    }

    /// Whether a person reads the answer.
    pub fn by_browser(&self) -> bool {
        wants_html(self.request.headers())
    }

    /// Adds a cookie to an answer. On a public host it is for https and that host alone.
    pub fn set_cookie(&self, response: &mut Response<Body>, name: &str, value: &str, life: Duration) {
        let secure = if self.is_loopback() { "" } else { "; Secure" };
        let cookie = format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}", life.as_secs());
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }

    /// Has the browser remove a cookie.
    pub fn remove_cookie(&self, response: &mut Response<Body>, name: &str) {
        self.set_cookie(response, name, "", Duration::ZERO);
    }

    /// Why a request has no route: the path is unknown, or the method is.
    pub fn unrouted(&self) -> Problem {
        match &route::methods(self.request.raw_http_path())[..] {
            [] => Problem::new(Kind::NotFound, "There is nothing at this address.", "Check the address."),
            methods => Problem::new(
                Kind::MethodNotAllowed,
                format!("{} is not possible at this address.", self.request.method()),
                format!("Use {}.", methods.join(" or ")),
            ),
        }
    }

    /// The answer to a problem: a page for a browser, JSON for a program.
    pub fn refuse(&self, problem: &Problem) -> Response<Body> {
        self.refusal(problem, None)
    }

    /// The same, with the application that a page leads back to. A 405 says what is allowed: RFC 9110 §15.5.6.
    pub(super) fn refusal(&self, problem: &Problem, application: Option<&str>) -> Response<Body> {
        let mut response = refusal(problem, self.by_browser(), self.request_id, application);
        if problem.kind == Kind::MethodNotAllowed
            && let Ok(methods) = route::methods(self.request.raw_http_path()).join(", ").parse()
        {
            response.headers_mut().insert(header::ALLOW, methods);
        }
        response
    }
}
