//! CORS as the HTTP API is configured for it: headers added to every answer of a function.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::template::Cors;

/// Marks a response as readable for an allowed origin; a preflight also learns what may be sent.
pub(super) fn allow(cors: &Cors, origin: &HeaderValue, preflight: bool, headers: &mut HeaderMap) {
    // Here the parameter holds the stack's own address beside the given one.
    let mut allowed = cors.allow_origins.iter().flat_map(|origins| origins.split(' '));
    if !allowed.any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes()) {
        return;
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    if cors.allow_credentials {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    let mut set = |name, value: String| {
        if let Some(value) = HeaderValue::from_str(&value).ok().filter(|value| !value.is_empty()) {
            headers.insert(name, value);
        }
    };
    if preflight {
        set(header::ACCESS_CONTROL_ALLOW_METHODS, cors.allow_methods.join(","));
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, cors.allow_headers.join(","));
        set(header::ACCESS_CONTROL_MAX_AGE, cors.max_age.map(|seconds| seconds.to_string()).unwrap_or_default());
    } else {
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, cors.expose_headers.join(","));
    }
}
