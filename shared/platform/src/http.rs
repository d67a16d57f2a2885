//! HTTP in a function's words: who calls, and answers in the contract's form.

mod entry;

use ::http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{self, HeaderName},
};
use askama::Template;
use domain::{
    Problem,
    error::Kind,
    route::{self, Route},
};
use lambda_http::{Body, Request, RequestExt as _, Response, request::RequestContext};
use serde::Serialize;

use crate::{
    aws::AwsError,
    clock,
    secrets::{Freshness, Secrets},
    session::{self, Accept, Caller, Keys},
};

pub use self::entry::run;

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

    /// A person or a program that is signed in. A browser sends its cookie by itself, also for others, so a cookie only reads.
    pub async fn caller(&self, keys: &Secrets<Keys>) -> Result<Caller, Problem> {
        let accept = match (self.request.method() == Method::GET, self.is_loopback()) {
            (false, _) => Accept::Bearer,
            (true, false) => Accept::BearerOrCookie,
            (true, true) => Accept::BearerOrLoopbackCookie,
        };
        self.accept(keys, accept).await
    }

    /// A program that is signed in.
    pub async fn program(&self, keys: &Secrets<Keys>) -> Result<Caller, Problem> {
        self.accept(keys, Accept::Bearer).await
    }

    async fn accept(&self, keys: &Secrets<Keys>, accept: Accept) -> Result<Caller, Problem> {
        let token = session::token(self.request.headers(), accept);
        let (token, by_cookie) = token.ok_or_else(Problem::unauthenticated)?;
        verify(token, by_cookie, keys).await
    }

    /// The answer to a problem: a page for a browser, JSON for a program.
    pub fn refuse(&self, problem: &Problem) -> Response<Body> {
        if problem.kind == Kind::Internal {
            tracing::error!(request.id = self.request_id, "answered with an internal error");
        }
        let status = StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if wants_html(self.request.headers()) {
            let page = ProblemPage { problem }.render();
            return html(status, page.unwrap_or_else(|_| problem.message.clone()));
        }
        json(status, &ProblemBody { error: Named { problem, request_id: self.request_id } })
    }
}

/// Whom a token speaks for. An unknown key makes the cache read the keys again once, so that they can be replaced.
pub async fn verify(token: &str, by_cookie: bool, keys: &Secrets<Keys>) -> Result<Caller, Problem> {
    let now = clock::now();
    for freshness in [Freshness::Cached, Freshness::Reread] {
        let keys = keys.get("session", freshness, now).await.map_err(|error| internal(&error))?;
        if let Some(caller) = keys.verify(token, by_cookie, now) {
            return Ok(caller);
        }
    }
    Err(Problem::unauthenticated())
}

/// AWS failed: the log tells how, the caller only that.
pub fn internal(error: &AwsError) -> Problem {
    tracing::error!(%error, "AWS failed");
    Problem::internal()
}

/// An answer of JSON.
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Response<Body> {
    // Our own types serialise; the fallback keeps the promise that an answer is JSON.
    let text = serde_json::to_string(body).unwrap_or_else(|_| String::from("{}"));
    answer(status, "application/json", text)
}

/// A page.
pub fn html(status: StatusCode, page: String) -> Response<Body> {
    let mut response = answer(status, "text/html; charset=utf-8", page);
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
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
