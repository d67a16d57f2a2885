//! A request as the event of payload format 2.0:
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header, request::Parts};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use local_base::now;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use uuid::Uuid;

/// The API as its events name it.
#[derive(Debug)]
pub(super) struct Api {
    /// The host under which clients call.
    pub(super) domain: String,
    pub(super) account: String,
}

pub(super) fn payload(
    parts: &Parts,
    path: &str,
    body: &[u8],
    route: &str,
    parameters: Vec<(String, String)>,
    api: &Api,
) -> String {
    let Api { domain, account } = api;
    let time = now();
    let headers = headers(&parts.headers);
    let query = parts.uri.query().unwrap_or_default();
    let mut event = json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": account,
            "apiId": "local",
            "domainName": domain,
            "domainPrefix": domain.split('.').next(),
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent").cloned().unwrap_or_default(),
            },
            "requestId": Uuid::new_v4().to_string(),
            "routeKey": route,
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": time.as_millisecond(),
        },
        "isBase64Encoded": false,
    });
    let cookies = cookies(&parts.headers);
    if !cookies.is_empty() {
        event["cookies"] = cookies.into();
    }
    if !query.is_empty() {
        event["queryStringParameters"] = json!(query_parameters(query));
    }
    if !parameters.is_empty() {
        event["pathParameters"] = parameters.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
    }
    if !body.is_empty() {
        let text = is_text(&parts.headers);
        // A text body that is not UTF-8 arrives damaged, as on AWS; its signature then fails.
        event["body"] = if text { String::from_utf8_lossy(body).into() } else { STANDARD.encode(body).into() };
        event["isBase64Encoded"] = (!text).into();
    }
    event.to_string()
}

/// Percent-decoding as API Gateway does it to paths.
pub(super) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Only these arrive as text; everything else, a missing type included, as Base64.
fn is_text(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || ["application/json", "application/xml", "application/javascript"].contains(&kind.as_str())
}

/// Names in lower case, duplicates joined by commas, cookies apart.
fn headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| **name != header::COOKIE) {
        let value = String::from_utf8_lossy(value.as_bytes());
        joined
            .entry(name.as_str().to_owned())
            .and_modify(|all| *all = format!("{all},{value}"))
            .or_insert_with(|| value.into_owned());
    }
    joined
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(';'))
        .map(|pair| pair.trim().to_owned())
        .filter(|pair| !pair.is_empty())
        .collect()
}

/// Decoded; the values of a repeated name joined by commas.
fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(&value.replace('+', " "));
        parameters
            .entry(decode(&name.replace('+', " ")))
            .and_modify(|all| *all = format!("{all},{value}"))
            .or_insert(value);
    }
    parameters
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn event(request: Request<()>, body: &[u8]) -> Value {
        let (parts, ()) = request.into_parts();
        let path = decode(parts.uri.path());
        let api = Api { domain: "localhost:3000".to_owned(), account: "0".to_owned() };
        serde_json::from_str(&payload(&parts, &path, body, "GET /x", Vec::new(), &api)).unwrap()
    }

    #[test]
    fn only_the_documented_content_types_arrive_as_text() {
        for (kind, text) in [
            (Some("application/json"), true),
            (Some("Application/JSON; charset=utf-8"), true),
            (Some("text/plain"), true),
            (Some("application/xml"), true),
            (Some("application/x-www-form-urlencoded"), false),
            (Some("application/vnd.api+json"), false),
            (None, false),
        ] {
            let builder = Request::post("/x");
            let builder = kind.iter().fold(builder, |builder, kind| builder.header("content-type", *kind));
            let event = event(builder.body(()).unwrap(), b"{}");
            let expected = if text { json!("{}") } else { json!("e30=") };
            assert_eq!((&event["body"], &event["isBase64Encoded"]), (&expected, &json!(!text)), "{kind:?}");
        }
    }

    #[test]
    fn headers_are_joined_cookies_stand_apart_and_the_path_is_decoded() {
        let request = Request::get("/a%20b/c%2Fd?x=1&x=2&y=a%2Bb+c&z")
            .header("X-Many", "1")
            .header("x-many", "2")
            .header("cookie", "a=1; b=2")
            .header("cookie", "c=3");
        let event = event(request.body(()).unwrap(), b"");
        assert_eq!(event["rawPath"], "/a b/c/d");
        assert_eq!(event["headers"], json!({ "x-many": "1,2" }));
        assert_eq!(event["cookies"], json!(["a=1", "b=2", "c=3"]));
        assert_eq!(event["queryStringParameters"], json!({ "x": "1,2", "y": "a+b c", "z": "" }));
        assert!(event.get("body").is_none());
    }
}
