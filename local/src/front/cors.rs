//! CORS as the HTTP API is configured for it: answered before any function is asked.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header},
    response::Response,
};

use crate::template::Cors;

/// The answer to a preflight request.
pub(super) fn preflight(cors: &Cors, request: &Request<Body>) -> Option<Response> {
    let asks = request.method() == Method::OPTIONS && request.headers().contains_key("access-control-request-method");
    asks.then(|| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        set(response.headers_mut(), header::ACCESS_CONTROL_ALLOW_METHODS, &cors.allow_methods.join(","));
        set(response.headers_mut(), header::ACCESS_CONTROL_ALLOW_HEADERS, &cors.allow_headers.join(","));
        response
    })
}

/// Marks a response as readable for an allowed origin.
pub(super) fn allow(cors: &Cors, origin: &HeaderValue, headers: &mut HeaderMap) {
    let allowed = cors.allow_origins.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes());
    if allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if cors.allow_credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
