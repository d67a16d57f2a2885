//! HTTP in a function's words: who calls, and answers in the contract's form.

use ::http::{HeaderMap, StatusCode, header};
use domain::{Problem, error::Kind};
use lambda_http::{Body, Request, RequestExt as _, Response, request::RequestContext};
use serde::Serialize;

use crate::{
    clock,
    secrets::{Freshness, Secrets},
    session::{self, Accept, Caller, Keys},
};

/// The JSON form of an error.
#[derive(Serialize)]
struct Envelope<'a> {
    error: Named<'a>,
}

#[derive(Serialize)]
struct Named<'a> {
    #[serde(flatten)]
    problem: &'a Problem,
    request_id: &'a str,
}

/// What API Gateway says of a request.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// Names the request in logs and errors.
    pub request_id: String,
    /// The route that matched, e.g. `GET /integrations`.
    pub route: String,
    /// The host under which the API was called, as API Gateway knows it: never a header.
    pub domain: String,
}

impl Call {
    /// Reads the request's context.
    pub fn of(request: &Request) -> Self {
        match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => Self {
                request_id: context.request_id.clone().unwrap_or_default(),
                route: context.route_key.clone().unwrap_or_default(),
                domain: context.domain_name.clone().unwrap_or_default(),
            },
            _ => Self::default(),
        }
    }

    /// Whether this is a local run over plain http.
    pub fn is_loopback(&self) -> bool {
        let host = self.domain.rsplit_once(':').map_or(self.domain.as_str(), |(host, _)| host);
        ["localhost", "127.0.0.1", "[::1]"].contains(&host)
    }
}

/// A path parameter of the route.
pub fn parameter(request: &Request, name: &str) -> String {
    request.path_parameters_ref().and_then(|all| all.first(name)).unwrap_or_default().to_owned()
}

/// Who is calling.
pub async fn caller(headers: &HeaderMap, keys: &Secrets<Keys>, accept: Accept) -> Result<Caller, Problem> {
    let (token, by_cookie) = session::token(headers, accept).ok_or_else(Problem::unauthenticated)?;
    verify(token, by_cookie, keys).await
}

/// Whom a token speaks for. An unknown key makes the cache read the keys again once, so that they can be replaced.
pub async fn verify(token: &str, by_cookie: bool, keys: &Secrets<Keys>) -> Result<Caller, Problem> {
    let now = clock::now();
    for freshness in [Freshness::Cached, Freshness::Reread] {
        let keys = keys.get("session", freshness, now).await.map_err(|error| {
            tracing::error!(%error, "session keys");
            Problem::internal()
        })?;
        if let Some(caller) = keys.verify(token, by_cookie, now) {
            return Ok(caller);
        }
    }
    Err(Problem::unauthenticated())
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
    let policy = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; form-action 'self'; \
                  frame-ancestors 'none'; base-uri 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(policy));
    response
}

/// Plain text.
pub fn text(status: StatusCode, body: impl Into<String>) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", body.into())
}

/// A problem, in the contract's JSON.
pub fn problem(problem: &Problem, request_id: &str) -> Response<Body> {
    let status = StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if problem.kind == Kind::Internal {
        tracing::error!(request.id = request_id, "answered with an internal error");
    }
    json(status, &Envelope { error: Named { problem, request_id } })
}

/// Whether the caller is a browser.
pub fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("text/html"))
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, header::HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}
