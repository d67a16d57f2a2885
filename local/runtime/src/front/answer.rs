//! A function's payload as the response API Gateway makes of it.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// A response of API Gateway's own. Only REST APIs let their owner change these:
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-vs-rest.html>, read 2026-11.
pub(super) fn platform(status: StatusCode, message: &str) -> Response {
    let mut response = Response::new(Body::from(serde_json::json!({ "message": message }).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A payload with `statusCode` says what to answer; any other is the JSON body of a 200.
pub(super) fn from_payload(payload: &[u8]) -> Response {
    let Ok(value) = serde_json::from_slice::<Value>(payload) else {
        return platform(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    };
    let Some(status) = value.get("statusCode") else {
        let mut response = Response::new(Body::from(payload.to_vec()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return response;
    };
    formed(&value, status).unwrap_or_else(|| platform(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"))
}

fn formed(value: &Value, status: &Value) -> Option<Response> {
    let status = StatusCode::from_u16(u16::try_from(status.as_u64()?).ok()?).ok()?;
    let text = value["body"].as_str().unwrap_or_default();
    let body = match value["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(text).ok()?,
        _ => text.as_bytes().to_vec(),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in value["headers"].as_object().into_iter().flatten() {
        headers.insert(HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(value.as_str()?.as_bytes()).ok()?);
    }
    for cookie in value["cookies"].as_array().into_iter().flatten() {
        headers.append(header::SET_COOKIE, HeaderValue::from_str(cookie.as_str()?).ok()?);
    }
    if !headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=utf-8"));
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn payloads_become_the_responses_api_gateway_makes() {
        for (payload, status, body) in [
            (r#"{"statusCode":201,"body":"text"}"#, 201, "text"),
            (r#"{"statusCode":200,"body":"e30=","isBase64Encoded":true}"#, 200, "{}"),
            (r#"{"statusCode":204}"#, 204, ""),
            (r#"{"any":"thing"}"#, 200, r#"{"any":"thing"}"#),
            (r#"{"statusCode":200,"body":"!","isBase64Encoded":true}"#, 500, r#"{"message":"Internal Server Error"}"#),
            (r#"{"statusCode":200,"headers":{"bad name":"x"}}"#, 500, r#"{"message":"Internal Server Error"}"#),
            (r#"{"statusCode":"200"}"#, 500, r#"{"message":"Internal Server Error"}"#),
            ("not JSON", 500, r#"{"message":"Internal Server Error"}"#),
        ] {
            let response = from_payload(payload.as_bytes());
            assert_eq!(response.status(), status, "{payload}");
            let bytes = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&bytes), body, "{payload}");
        }
    }

    #[test]
    fn headers_are_taken_over_and_each_cookie_is_a_header_of_its_own() {
        let payload = r#"{"statusCode":200,"headers":{"X-One":"1"},"cookies":["a=1","b=2"]}"#;
        let response = from_payload(payload.as_bytes());
        assert_eq!(response.headers()["x-one"], "1");
        let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
    }
}
