//! HTTP in a function's words: who calls, and answers in the contract's form.

mod entry;
mod input;
mod notice;
mod payload;

use std::time::Duration;

use ::http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{self, HeaderName},
};
use askama::Template;
use domain::{
    Diagnosis, Problem,
    error::Kind,
    reason::Class,
    route::{self, CSRF, Route},
};
use jiff::{SignedDuration, Timestamp};
use lambda_http::{Body, Request, RequestExt as _, Response, request::RequestContext};
use serde::Serialize;

use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use crate::{
    aws::{Aws, AwsError},
    clock,
    config::Env,
    metrics,
    outbound::Rewrites,
    queue,
    session::{self, Accept, Caller, Sessions},
};

pub use self::{
    entry::run,
    input::{Input, clipped},
    notice::{Notice, SETTINGS},
    payload::{MAX_PAYLOAD, payload_size},
};

/// API Gateway gives up after 30 seconds.
const PATIENCE: SignedDuration = SignedDuration::from_secs(25);
/// Left of the function's time when the answer must be ready.
const MARGIN: SignedDuration = SignedDuration::from_secs(1);

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

/// What functions behind the HTTP API share: sessions, and whose pages they trust.
#[derive(Debug)]
pub struct Front {
    /// Checks who calls.
    pub sessions: Sessions,
    public_url: Option<String>,
    allowed_origins: Vec<String>,
}

/// What a [`Front`] is configured by.
#[derive(Debug)]
pub struct FrontConfig {
    sessions: session::Config,
    rewrites: Rewrites,
    public_url: Option<String>,
    allowed_origins: Vec<String>,
}

impl FrontConfig {
    /// Reads it.
    pub fn read(env: &mut Env) -> Self {
        let sessions = session::Config::read(env);
        let origins = env.optional("ALLOWED_ORIGINS").unwrap_or_default();
        let allowed_origins = origins.split([' ', ',']).filter(|it| !it.is_empty()).map(str::to_owned).collect();
        Self { sessions, rewrites: env.rewrites(), public_url: env.optional("PUBLIC_URL"), allowed_origins }
    }
}

impl Front {
    /// Makes the clients.
    pub fn new(aws: &Aws, config: &FrontConfig) -> Self {
        Self {
            sessions: Sessions::new(aws, &config.sessions, &config.rewrites),
            public_url: config.public_url.clone(),
            allowed_origins: config.allowed_origins.clone(),
        }
    }

    /// Our own address: as configured, else as API Gateway knows it. Never what a caller says.
    pub fn own_origin(&self, call: &Call<'_>) -> String {
        let scheme = if call.is_loopback() { "http" } else { "https" };
        self.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", call.domain))
    }

    /// Whether a page of this request's `Origin` may sign its user in or lead them back to itself.
    pub fn trusts(&self, origin: &str) -> bool {
        self.allowed_origins.iter().any(|allowed| allowed == origin)
    }

    /// A person or a program that is signed in, with a request that has only what its route declares. A browser sends its cookie by itself, also for others, so what changes
    /// something needs our own page as `Origin` and the token of its form.
    pub async fn caller(&self, call: &Call<'_>) -> Result<Caller, Problem> {
        let accept = if call.is_loopback() { Accept::BearerOrLoopbackCookie } else { Accept::BearerOrCookie };
        let caller = self.accept(call, accept).await?;
        let reads = call.request.method() == Method::GET || call.request.method() == Method::HEAD;
        if let (Some(expected), false) = (&caller.csrf, reads) {
            let origin = call.request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
            let input = Input::of(call).ok();
            let sent = input.as_ref().and_then(|input| input.text(CSRF).ok().flatten()).unwrap_or_default();
            let right = bool::from(sent.as_bytes().ct_eq(expected.expose_secret().as_bytes()));
            if origin != Some(self.own_origin(call).as_str()) || !right {
                let message = "This did not come from our own page.";
                return Err(Problem::new(
                    Kind::Forbidden,
                    message,
                    "Open the settings page again and repeat it there.",
                ));
            }
        }
        call.check()?;
        Ok(caller)
    }

    /// A program that is signed in, with a request that has only what its route declares.
    pub async fn program(&self, call: &Call<'_>) -> Result<Caller, Problem> {
        let caller = self.accept(call, Accept::Bearer).await?;
        call.check()?;
        Ok(caller)
    }

    /// The application's own address, where a page leads back to.
    pub fn application(&self) -> Option<&str> {
        self.allowed_origins.first().map(String::as_str)
    }

    /// The answer to a problem: JSON for a program; for a browser a page, or the settings page again if one of its forms was
    /// refused.
    pub fn refuse(&self, call: &Call<'_>, problem: &Problem) -> Response<Body> {
        let form = notice::refused(call, problem, &self.own_origin(call));
        form.unwrap_or_else(|| refusal(problem, call.by_browser(), call.request_id, self.application()))
    }

    async fn accept(&self, call: &Call<'_>, accept: Accept) -> Result<Caller, Problem> {
        let token = session::token(call.request.headers(), accept);
        let (token, by_cookie) = token.ok_or_else(Problem::unauthenticated)?;
        self.sessions.caller(token, by_cookie).await
    }
}

/// A request, and what API Gateway says of it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'r> {
    /// The request itself.
    pub request: &'r Request,
    /// Names the request in logs and errors.
    pub request_id: &'r str,
    /// The route; none if there is none.
    pub route: Option<&'static Route>,
    /// The host under which the API was called, as API Gateway knows it: never a header.
    domain: &'r str,
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

    /// A query parameter.
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

    /// Whether a browser fetches this ahead of time, and nobody has opened it
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
        context.map_or(latest, |context| (queue::deadline(context, now) - MARGIN).min(latest))
    }

    /// Whether a person reads the answer.
    pub fn by_browser(&self) -> bool {
        wants_html(self.request.headers())
    }

    /// The answer to a problem: a page for a browser, JSON for a program.
    pub fn refuse(&self, problem: &Problem) -> Response<Body> {
        refusal(problem, self.by_browser(), self.request_id, None)
    }
}

/// The answer to a problem in the contract's form. `Retry-After` says the same as `retry_at`, for clients that wait by it.
fn refusal(problem: &Problem, page: bool, request_id: &str, application: Option<&str>) -> Response<Body> {
    let status = StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = if page {
        let page = ProblemPage { problem, request_id, application }.render();
        html(status, page.unwrap_or_else(|_| problem.message.clone()))
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
    tracing::error!(reason = why.reason.name(), detail = why.detail, "answered with an internal error");
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

/// Go there next.
pub fn see_other(location: &str) -> Response<Body> {
    redirect(StatusCode::SEE_OTHER, location)
}

/// It is there.
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

/// Adds a cookie to an answer. On a public host it is for https and that host alone.
pub fn set_cookie(response: &mut Response<Body>, call: &Call<'_>, name: &str, value: &str, life: Duration) {
    let secure = if call.is_loopback() { "" } else { "; Secure" };
    let cookie = format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}", life.as_secs());
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// A page.
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

/// Plain text.
pub fn text(status: StatusCode, body: impl Into<String>) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", body.into())
}

fn wants_html(headers: &HeaderMap) -> bool {
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
