//! Bytes through the proxy stay what they are, and what does not fit is told.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::{FAST, Guest, stack};

use super::last_call;

const PATH: &str = "/proxy/stripe/v1/balance";

/// `Hello` by gzip: RFC 1952.
pub(super) const GZIP: &[u8] =
    &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 7, 0, 0x82, 0x89, 0xd1, 0xf7, 5, 0, 0, 0];

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_sends_comes_back_byte_for_byte_whatever_its_type_says() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    let all: Vec<u8> = (0..=255).collect();
    for (content_type, encoding, body) in [
        ("text/plain; charset=iso-8859-1", None, b"Gr\xfc\xdfe".as_slice()),
        ("text/plain; charset=utf-16", None, "Grüße".as_bytes()),
        ("text/html", None, &all),
        ("text/html", None, &[0; 9]),
        ("application/json", None, b"{\"a\":\"\xff\"}"),
        ("application/json", Some("gzip"), GZIP),
        ("application/json", None, b"{\"a\":\"\\u0000\"}"),
        ("image/png", None, b"\x89PNG\r\n\x1a\n"),
        ("application/octet-stream", None, b""),
        ("text/csv", None, b""),
    ] {
        let mut headers = json!({ "content-type": content_type });
        if let Some(encoding) = encoding {
            headers["content-encoding"] = encoding.into();
        }
        let effect = json!({ "status": 200, "headers": headers, "body_base64": STANDARD.encode(body) });
        ada.fault("stripe", "GET /v1/balance", 1, effect).await;
        let (status, answered, came) = ada.call(Method::GET, PATH, &[], b"").await;
        assert_eq!((status, came.as_slice()), (200, body), "{content_type} {encoding:?}");
        assert_eq!(answered["content-type"], content_type);
        assert_eq!(answered.get("content-encoding").and_then(|it| it.to_str().ok()), encoding);
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_sends_arrives_byte_for_byte_or_is_refused() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    let all: Vec<u8> = (0..=255).collect();
    for (content_type, encoding, body, refused) in [
        ("application/octet-stream", None, all.as_slice(), false),
        ("application/x-www-form-urlencoded", None, b"name=Gr%FC%DFe", false),
        ("multipart/form-data; boundary=x", None, b"--x\r\n\r\n\xff\r\n--x--", false),
        ("text/plain", None, "Grüße\u{feff}\0".as_bytes(), false),
        ("application/octet-stream", Some("gzip"), GZIP, false),
        // API Gateway reads these as UTF-8, and replaces the rest: told instead of passed on altered.
        ("text/plain; charset=iso-8859-1", None, b"Gr\xfc\xdfe", true),
        ("application/json", Some("gzip"), GZIP, true),
        // Cut inside of a character: what API Gateway puts in has the same length.
        ("text/plain", None, b"Hi \xf0\x9f\x98", true),
        ("application/octet-stream; name=\"\u{e9}\"", None, &all, false),
    ] {
        ada.admin("stripe", Method::DELETE, "calls", &Value::Null).await;
        let mut headers = vec![("content-type", content_type)];
        headers.extend(encoding.map(|encoding| ("content-encoding", encoding)));
        let (status, _, answer) = ada.call(Method::POST, "/proxy/stripe/v1/customers", &headers, body).await;
        let arrived = last_call(&ada, "stripe").await;
        if refused {
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!((status, &answer["error"]["kind"]), (400, &"invalid_request".into()), "{content_type}");
            assert!(arrived.is_null(), "{content_type}");
        } else {
            assert_eq!(arrived["body_sha256"], hex::encode(Sha256::digest(body)), "{content_type}: {status}");
            assert_eq!(arrived["headers"]["content-type"], content_type);
        }
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_measured_as_lambda_encodes_it_and_what_does_not_fit_is_the_contracts_error() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    let ask = async |body: Value| {
        ada.admin("stripe", Method::DELETE, "faults", &Value::Null).await;
        let mut effect = json!({ "status": 200 });
        effect.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        ada.fault("stripe", "GET /v1/balance", 1, effect).await;
        let (status, _, body) = ada.call(Method::GET, PATH, &[], b"").await;
        (status, body)
    };
    let binary = |bytes: usize| json!({ "body_base64": STANDARD.encode(vec![0xff_u8; bytes]) });
    let text = |text: &str, times: usize| json!({ "body": text.repeat(times) });
    for (body, bytes) in
        [(binary(4_600_000), 4_600_000), (text("x", 6_200_000), 6_200_000), (text("\"", 3_000_000), 3_000_000)]
    {
        let (status, came) = ask(body).await;
        assert_eq!((status, came.len()), (200, bytes));
    }
    for body in
        [binary(4_800_000), text("\"", 3_200_000), text("\u{1}", 1_100_000), text("x", 6_291_400), binary(7_000_000)]
    {
        let (status, came) = ask(body).await;
        let answer: Value = serde_json::from_slice(&came).unwrap();
        assert_eq!((status, &answer["error"]["kind"]), (422, &"provider_rejected".into()), "{answer}");
        assert!(answer["error"]["request_id"].as_str().is_some_and(|id| !id.is_empty()));
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_limited_as_aws_limits_them() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    let post = async |path: &str, bytes: usize| {
        let (status, _, body) =
            ada.call(Method::POST, path, &[("content-type", "text/plain")], &vec![b'x'; bytes]).await;
        (status, serde_json::from_slice::<Value>(&body).unwrap())
    };
    assert_ne!(post("/proxy/stripe/v1/customers", 6_000_000).await.0, 413);
    // API Gateway's own answer, before any function is called: Lambda takes no such event, and API Gateway no such body.
    for bytes in [6_400_000, 11_000_000] {
        let (status, body) = post("/proxy/stripe/v1/customers", bytes).await;
        assert_eq!((status, body), (413, json!({ "message": "Request Entity Too Large" })));
    }
    let (status, body) = post("/integrations/stripe/sync", 300_000).await;
    assert_eq!((status, &body["error"]["kind"]), (413, &"invalid_request".into()));
    stack.shutdown().await;
}
