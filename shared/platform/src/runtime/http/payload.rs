//! A response as the payload that API Gateway turns back into it: payload format 2.0,
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>, read 2026-11.
//!
//! *Invariant:* the caller gets the body's bytes as they are. What is not UTF-8, or is compressed, travels as Base64 whatever
//! its content type says; a conversion by content type would alter it.

use std::{borrow::Cow, collections::BTreeMap};

use ::http::{HeaderMap, Response, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use lambda_http::Body;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// The largest payload that Lambda passes on, in bytes as encoded: 6 MB of
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>, read 2026-11. Lambda's own message names 100 bytes
/// more, which nothing documents.
pub const MAX_PAYLOAD: usize = 6 * 1024 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    status_code: u16,
    headers: BTreeMap<&'a str, String>,
    cookies: Vec<Cow<'a, str>>,
    body: Cow<'a, str>,
    is_base64_encoded: bool,
}

/// The payload of a response. Texts serialise, so there always is one.
pub(super) fn payload(response: Response<Body>) -> Option<Box<RawValue>> {
    let (parts, body) = response.into_parts();
    let (body, is_base64_encoded) = encoded(&parts.headers, &body);
    let payload = Payload {
        status_code: parts.status.as_u16(),
        headers: headers(&parts.headers),
        cookies: parts.headers.get_all(header::SET_COOKIE).iter().map(|it| readable(it.as_bytes())).collect(),
        body,
        is_base64_encoded,
    };
    to_raw_value(&payload).ok()
}

/// The size of a response as Lambda counts it, in bytes.
pub fn payload_size(response: &Response<Body>) -> usize {
    /// Names, brackets and numbers around headers and body.
    const AROUND: usize = 200;
    let header = |(name, value): (&header::HeaderName, &header::HeaderValue)| name.as_str().len() + 2 * value.len() + 6;
    let (body, _) = encoded(response.headers(), response.body());
    AROUND + response.headers().iter().map(header).sum::<usize>() + domain::webhook::json::escaped_len(&body)
}

fn encoded<'b>(headers: &HeaderMap, body: &'b Body) -> (Cow<'b, str>, bool) {
    let bytes: &[u8] = body.as_ref();
    match std::str::from_utf8(bytes) {
        Ok(text) if !headers.contains_key(header::CONTENT_ENCODING) => (Cow::Borrowed(text), false),
        _ => (Cow::Owned(STANDARD.encode(bytes)), true),
    }
}

/// Each name once, its values joined as RFC 9110 §5.3 allows for all but `Set-Cookie`.
fn headers(headers: &HeaderMap) -> BTreeMap<&str, String> {
    let names = headers.keys().filter(|name| **name != header::SET_COOKIE);
    let values = |name| headers.get_all(name).iter().map(|it| readable(it.as_bytes())).collect::<Vec<_>>().join(", ");
    names.map(|name| (name.as_str(), values(name))).collect()
}

/// A header's value as JSON can carry it: UTF-8, or Latin-1, which was the encoding of older texts (RFC 9110 §5.5).
fn readable(value: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(value).map_or_else(|_| value.iter().map(|byte| char::from(*byte)).collect(), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(content: &[(&str, &[u8])], body: &[u8]) -> Value {
        let mut response = Response::new(Body::Binary(body.to_vec()));
        for (name, value) in content {
            let name = header::HeaderName::try_from(*name).unwrap();
            response.headers_mut().append(name, header::HeaderValue::from_bytes(value).unwrap());
        }
        let size = payload_size(&response);
        let payload = payload(response).unwrap();
        assert!((payload.get().len()..payload.get().len() + 400).contains(&size), "{size} for {}", payload.get().len());
        serde_json::from_str(payload.get()).unwrap()
    }

    #[test]
    fn bytes_stay_what_they_are_whatever_the_content_type_says() {
        for (content_type, body) in [
            ("text/html", b"\x89PNG\r\n\0\xff".as_slice()),
            ("text/plain; charset=iso-8859-1", b"Gr\xfc\xdfe"),
            ("application/json", b"\xff\xfe{\0}\0"),
            ("application/octet-stream", b""),
            ("image/png", b"text all the same \0 \\ \""),
            ("text/plain; charset=utf-16", "Grüße\u{feff}".as_bytes()),
        ] {
            let payload = of(&[("content-type", content_type.as_bytes())], body);
            let text = payload["body"].as_str().unwrap();
            let bytes = if payload["isBase64Encoded"] == true {
                STANDARD.decode(text).unwrap()
            } else {
                text.as_bytes().to_vec()
            };
            assert_eq!(bytes, body, "{content_type}");
        }
    }

    #[test]
    fn compressed_bodies_are_never_text() {
        let payload = of(&[("content-encoding", b"br")], b"ascii by chance");
        assert_eq!(payload["isBase64Encoded"], true);
    }

    #[test]
    fn repeated_headers_are_joined_cookies_stand_apart_and_older_texts_are_readable() {
        let headers: [(&str, &[u8]); 5] =
            [("link", b"<a>"), ("link", b"<b>"), ("set-cookie", b"a=1"), ("set-cookie", b"b=2"), ("x-name", b"\xfc")];
        let payload = of(&headers, b"");
        assert_eq!(payload["headers"], json!({ "link": "<a>, <b>", "x-name": "ü" }));
        assert_eq!(payload["cookies"], json!(["a=1", "b=2"]));
    }
}
