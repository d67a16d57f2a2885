//! The way from an event of the HTTP API to a function and back.
//!
//! *Invariant:* nothing a caller sends makes the conversion panic, and every answer is one that Lambda passes on: a panic, an
//! answer beyond Lambda's limit and a deadline about to pass are the contract's error. The crate behind the conversion unwraps
//! what a gateway other than ours, or a caller that invokes the function directly, can make fail.

use std::{convert::Infallible, future::Future, panic::AssertUnwindSafe, time::Duration};

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{Problem, error::Kind};
use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use lambda_http::{
    Body, Request, RequestExt as _, Response, aws_lambda_events::apigw::ApiGatewayV2httpRequest, request::LambdaRequest,
};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, value::RawValue};
use tracing::{Instrument as _, Span};

use super::{
    answer::{refusal, text, wants_html},
    payload::{MAX_PAYLOAD, payload},
};
use crate::{
    base::clock,
    runtime::{
        bootstrap::{FromEvent, StartError, serve},
        consumer::deadline,
    },
};

/// API Gateway waits 30 seconds: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>, read
/// 2026-11. Time is left for the way back.
const GATEWAY: SignedDuration = SignedDuration::from_millis(29_500);
/// Time reserved before the function's deadline for an answer that says that it passed.
const RESERVE: SignedDuration = SignedDuration::from_millis(300);

/// Answers HTTP requests with `handle` until the environment ends.
pub async fn run<F>(handle: impl Fn(Request) -> F) -> Result<(), StartError>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Send,
{
    let handle = &handle;
    serve(|event: LambdaEvent<Event>| async move {
        let (Event(event), context) = event.into_parts();
        Ok::<_, Infallible>(answer(handle, event, context).await)
    })
    .await
}

/// Answers one request, in time and within Lambda's limit.
async fn answer<F>(
    handle: impl Fn(Request) -> F,
    event: Option<ApiGatewayV2httpRequest>,
    context: Context,
) -> Option<Box<RawValue>>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    let (request_id, now) = (context.request_id.clone(), clock::now());
    let Some(event) = event else {
        let problem = Problem::new(Kind::MalformedRequest, "The request can't be read.", "Send an HTTP request.");
        return payload(refusal(&problem, false, &request_id, None));
    };
    let request_id = event.request_context.request_id.clone().unwrap_or(request_id);
    let left = left(&context, now);
    let request = Request::from(LambdaRequest::ApiGatewayV2(harmless(event))).with_lambda_context(context);
    // A preflight asks for what API Gateway adds to every answer; it needs none of a function, and carries no session.
    if request.method() == Method::OPTIONS {
        return payload(no_content());
    }
    let caller = Caller {
        webhook: request.raw_http_path().starts_with("/webhooks/"),
        html: wants_html(request.headers()),
        request_id,
    };
    // Every line of the log that is about the request carries the id that its caller may report. Lines about a delivery have the
    // delivery's id, of which it is a part; a span would cost more there than the line.
    let span =
        if caller.webhook { Span::none() } else { tracing::info_span!("request", request.id = caller.request_id) };
    let handled = AssertUnwindSafe(async { handle(request).await }.instrument(span)).catch_unwind();
    let encoded = match tokio::time::timeout(left, handled).await {
        Ok(Ok(Ok(response))) => payload(response),
        Ok(Err(_)) => {
            // The hook has written the panic's words and place.
            tracing::error!(request.id = caller.request_id, "the handler panicked");
            return payload(caller.refuse(&Problem::internal()));
        }
        Err(_) => {
            tracing::error!(request.id = caller.request_id, "no answer before the deadline");
            return payload(caller.refuse(&late()));
        }
    };
    match encoded {
        Some(encoded) if encoded.get().len() > MAX_PAYLOAD => {
            tracing::error!(request.id = caller.request_id, bytes = encoded.get().len(), "the answer is too large");
            payload(caller.refuse(&too_large()))
        }
        encoded => encoded,
    }
}

/// How a request is answered that its handler did not answer.
struct Caller {
    /// Providers are answered in plain text.
    webhook: bool,
    html: bool,
    request_id: String,
}

impl Caller {
    fn refuse(&self, problem: &Problem) -> Response<Body> {
        if self.webhook {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "Please send this again later");
        }
        refusal(problem, self.html, &self.request_id, None)
    }
}

const LATE: &str = "This took longer than an answer may take.";

fn late() -> Problem {
    Problem::new(Kind::Internal, LATE, "Look whether it was carried out before you try again.")
}

/// The answer of a handler that did not keep to the limit by itself.
fn too_large() -> Problem {
    let message = "The answer is larger than what can be sent.";
    Problem::new(Kind::Internal, message, "Ask for less at a time.")
}

/// The time for the handler.
fn left(context: &Context, now: Timestamp) -> Duration {
    let end = (deadline(context, now) - RESERVE).min(now + GATEWAY);
    Duration::try_from(end.duration_since(now)).unwrap_or_default()
}

fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// An event of the HTTP API; none if it can't be read as one.
struct Event(Option<ApiGatewayV2httpRequest>);

impl FromEvent for Event {
    fn from_event(text: &str) -> Result<Self, String> {
        Ok(Self(serde_json::from_str(text).ok().or_else(|| with_any_headers(text))))
    }
}

/// Reads an event whose headers the crate's own reader refuses: those outside ASCII, which RFC 9110 §5.5 allows.
fn with_any_headers(text: &str) -> Option<ApiGatewayV2httpRequest> {
    let mut event: Value = serde_json::from_str(text).ok()?;
    let headers = event.as_object_mut()?.remove("headers");
    let mut event: ApiGatewayV2httpRequest = serde_json::from_value(event).ok()?;
    let pair = |(name, value): (&String, &Value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(value.as_str()?.as_bytes()).ok()?))
    };
    event.headers = headers?.as_object()?.iter().map(pair).collect::<Option<HeaderMap>>()?;
    Some(event)
}

/// Takes out what the conversion would trip over.
fn harmless(mut event: ApiGatewayV2httpRequest) -> ApiGatewayV2httpRequest {
    // The address is what API Gateway says, never what the caller does.
    event.headers.remove(header::HOST);
    event.headers.remove("x-forwarded-proto");
    let path = event.raw_path.get_or_insert_default();
    if !path.starts_with('/') {
        path.insert(0, '/');
    }
    // API Gateway has decoded it: what was a character of a name must not begin a query or a fragment now.
    *path = path.replace('?', "%3F").replace('#', "%23");
    // Not Base64 after all: taken as text, its signature fails.
    if event.is_base64_encoded {
        event.is_base64_encoded = STANDARD.decode(event.body.as_deref().unwrap_or_default()).is_ok();
    }
    if let Some(query) = event.raw_query_string.take() {
        event.raw_query_string = Some(encoded(&query));
    }
    event
}

/// Percent-encodes what may not stand in a query: <https://url.spec.whatwg.org/#query-percent-encode-set>.
fn encoded(query: &str) -> String {
    let legal = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>');
    if query.bytes().all(legal) {
        return query.to_owned();
    }
    query.bytes().map(|byte| if legal(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests;
