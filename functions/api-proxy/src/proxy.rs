//! The provider's own API with the user's token added.
//!
//! *Invariant:* only what is listed here passes, in either direction, and a path can't climb out of the API's base.

use domain::{
    Failure, Problem, Reply, Request,
    call::{Repeat, segment},
    error::Kind,
};
use lambda_http::{
    Body, Response,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
};
use platform::{
    calls::CallError,
    http::{Call, text},
};
use providers::{Provider, Spec};

use crate::{
    Answer, ApiProxy,
    action::{idempotency_key, provider_key},
    problem,
};

/// Headers of the request that pass.
const PASSED: &[&str] = &["accept", "if-match", "if-none-match", "prefer"];
/// Headers of the answer that pass.
const RETURNED: &[&str] = &[
    "content-type",
    "etag",
    "last-modified",
    "link",
    "request-id",
    "retry-after",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

impl ApiProxy {
    /// Passes a call on.
    pub(crate) async fn pass(&self, call: &Call<'_>, provider: &dyn Provider) -> Answer {
        let spec = provider.spec();
        let caller = self.front.program(call).await?;
        let mut request = rewrite(call, spec)?;
        let account = call.request.headers().get("intertie-account").and_then(|value| value.to_str().ok());
        let integration = self.integration(&caller.user_id, spec, account).await?;
        for (_, key) in request.headers.iter_mut().filter(|(name, _)| name == "idempotency-key") {
            *key = provider_key(&integration.key, "proxy", key);
        }
        let sent = self.access.call(&spec.callee(), &integration.key, &request, call.request_id, call.deadline()).await;
        match sent {
            Ok(reply) => Ok(answer(reply, spec)),
            // The provider's own words are for the program; that the grant is over is for us to say.
            Err(CallError::Failed(failure, Some(reply))) if failure != Failure::GrantEnded => Ok(answer(*reply, spec)),
            Err(error) => Err(problem(&error, spec.name)),
        }
    }
}

/// The call to the provider.
fn rewrite(call: &Call<'_>, spec: &'static Spec) -> Result<Request, Problem> {
    let wrong = |message: &str| Problem::new(Kind::InvalidRequest, message, "Correct the path.");
    let path = call.parameter("path");
    let mut url = spec.api.base.to_owned();
    for part in path.split('/') {
        if part.is_empty() || part == "." || part == ".." || part.chars().any(char::is_control) {
            return Err(wrong("The path must be made of names, without empty ones, \".\" and \"..\"."));
        }
        url.push('/');
        url.push_str(&segment(part));
    }
    if let Some(query) = call.request.uri().query().filter(|query| !query.is_empty()) {
        url.push('?');
        url.push_str(query);
    }
    let headers = call.request.headers();
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let method = call.request.method();
    // Paths hold ids, so only the method names it.
    let mut request = Request::get(format!("proxy {method}"), url);
    request.method = method.clone();
    request.headers = PASSED.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?))).collect();
    let key = idempotency_key(call)?.filter(|_| spec.api.idempotent);
    let reads = request.method == Method::GET || request.method == Method::HEAD;
    let keyed = request.method == Method::POST && key.is_some();
    request.repeat = if reads || keyed { Repeat::Safe } else { Repeat::Never };
    request.headers.extend(key.map(|key| ("idempotency-key".to_owned(), key.to_owned())));
    let body = call.request.body();
    if !body.is_empty() {
        let content_type =
            value(header::CONTENT_TYPE.as_str()).unwrap_or_else(|| "application/octet-stream".to_owned());
        request.body = Some((content_type, body.to_vec()));
    }
    Ok(request)
}

fn answer(reply: Reply, spec: &Spec) -> Response<Body> {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = text(status, "");
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for name in RETURNED.iter().chain(&spec.api.limited_by).chain(&spec.api.should_retry) {
        if let Some(value) =
            reply.headers.get(*name).map(HeaderValue::as_bytes).and_then(|it| HeaderValue::from_bytes(it).ok())
        {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    *response.body_mut() = match String::from_utf8(reply.body) {
        Ok(text) => Body::Text(text),
        Err(bytes) => Body::Binary(bytes.into_bytes()),
    };
    response
}
