//! The way from an event of the HTTP API to a function and back.
//!
//! *Invariant:* nothing a caller sends makes the conversion panic. The crate behind it unwraps what a gateway other than ours, or a
//! caller who invokes the function directly, can make fail.

use std::{convert::Infallible, future::Future};

use ::http::{Method, StatusCode, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use lambda_http::{
    Adapter, Body, Request, Response, Service as _, aws_lambda_events::apigw::ApiGatewayV2httpRequest,
    request::LambdaRequest, service_fn,
};
use lambda_runtime::{Error, LambdaEvent};

/// Answers HTTP requests with `handle` until the environment ends.
pub async fn run<F>(handle: impl Fn(Request) -> F) -> Result<(), Error>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Send,
{
    let handle = |request: Request| {
        // A preflight asks for what API Gateway adds to every answer; it needs none of a function, and carries no session.
        let answer = (request.method() != Method::OPTIONS).then(|| handle(request));
        async move {
            match answer {
                Some(answer) => answer.await,
                None => Ok(no_content()),
            }
        }
    };
    let handle = &handle;
    lambda_runtime::run(service_fn(|event: LambdaEvent<ApiGatewayV2httpRequest>| {
        let (payload, context) = event.into_parts();
        let request = LambdaRequest::ApiGatewayV2(harmless(payload));
        Adapter::from(service_fn(handle)).call(LambdaEvent::new(request, context))
    }))
    .await
}

fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
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
mod tests {
    use lambda_http::RequestExt as _;

    use super::*;

    fn convert(event: &str) -> Request {
        let event: ApiGatewayV2httpRequest = serde_json::from_str(event).unwrap();
        LambdaRequest::ApiGatewayV2(harmless(event)).into()
    }

    fn event(query: &str, headers: &str, body: &str) -> String {
        format!(
            r#"{{"version":"2.0","routeKey":"$default","rawPath":"/a b","rawQueryString":{query},"headers":{headers},
            "requestContext":{{"http":{{"method":"POST","path":"/"}},"domainName":"api.example.com","timeEpoch":1}},
            "body":{body},"isBase64Encoded":true}}"#
        )
    }

    #[test]
    fn hostile_events_are_converted_and_not_tripped_over() {
        for (query, headers, body) in [
            (r#""a=\"<é>#""#, "{}", r#""e30=""#),
            (r#""%""#, r#"{"x-forwarded-proto":","}"#, r#""e30=""#),
            (r#""""#, r#"{"host":"evil example:99999"}"#, r#""e30=""#),
            (r#""""#, "{}", r#""not Base64""#),
            (r#""""#, "{}", "null"),
        ] {
            let request = convert(&event(query, headers, body));
            assert_eq!(request.raw_http_path(), "/a b", "{query} {headers} {body}");
            assert_eq!(request.uri().host(), Some("api.example.com"));
        }
    }

    #[test]
    fn a_name_with_a_hash_or_a_question_mark_in_it_takes_no_query_away() {
        let event = event(r#""limit=1""#, "{}", "null").replace("/a b", "/calendars/en.usa#holiday?/events");
        let request = convert(&event);
        assert_eq!(request.uri().query(), Some("limit=1"));
        assert_eq!(request.uri().path(), "/calendars/en.usa%23holiday%3F/events");
    }

    #[test]
    fn a_base64_body_arrives_as_its_bytes() {
        let request = convert(&event(r#""""#, "{}", r#""e30=""#));
        assert_eq!(request.body().as_ref(), b"{}");
    }
}
