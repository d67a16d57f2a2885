//! Bodies of each kind and size in both directions, and the memory that they take.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::{FAST, Guest, stack};

use super::{bytes::GZIP, last_call};

const PATH: &str = "/proxy/stripe/v1/balance";

/// Bodies of each kind, with the type and the encoding that they are sent with.
const KINDS: &[(&str, Option<&str>, &[u8])] = &[
    ("text/plain", None, b"0123456789abcdef"),
    ("application/json", None, b"[\"a\",\"b\",\"c\"],\n "),
    ("text/plain; charset=utf-8", None, "Grüße 漢字 ".as_bytes()),
    ("application/octet-stream", None, b"\x00\xff\xfe0123\x89PNG\r\n\x1a\n"),
    ("application/octet-stream", Some("gzip"), GZIP),
];

/// Sizes in bytes.
const SIZES: &[usize] = &[0, 1, 1_000_000, 3_000_000, 4_300_000, 4_600_000, 5_800_000, 6_100_000];

/// A body of this size that is made of whole characters.
fn body(of: &[u8], size: usize) -> Vec<u8> {
    let mut all = of.repeat(size.div_ceil(of.len()));
    all.truncate(size);
    let end =
        std::str::from_utf8(&all).err().filter(|error| std::str::from_utf8(of).is_ok() && error.error_len().is_none());
    all.truncate(end.map_or(size, |error| error.valid_up_to()));
    all.resize(size, b'x');
    all
}

/// What a body takes inside an event or an answer of Lambda.
fn encoded(content_type: &str, encoding: Option<&str>, body: &[u8]) -> usize {
    let text = content_type.starts_with("text/") || content_type == "application/json";
    match std::str::from_utf8(body).ok().filter(|_| text && encoding.is_none()) {
        Some(text) => serde_json::to_string(text).unwrap().len(),
        None => body.len().div_ceil(3) * 4,
    }
}

/// 6 MB, and room for the headers of an event or an answer.
const ROOM: std::ops::Range<usize> = (6 * 1024 * 1024 - 6_000)..(6 * 1024 * 1024);

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_every_kind_and_size_pass_byte_for_byte_or_are_refused_with_their_size_and_the_ways_out() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    let (mut passed, mut refused) = (0, 0);
    for (content_type, encoding, of) in KINDS {
        for size in SIZES {
            let case = format!("{content_type} {encoding:?} {size}");
            let body = body(of, *size);
            let takes = encoded(content_type, *encoding, &body);
            assert!(!ROOM.contains(&takes), "{case}: too near to the limit to tell");
            let fits = takes < ROOM.start;
            let mut headers = vec![("content-type", *content_type)];
            headers.extend(encoding.map(|encoding| ("content-encoding", encoding)));

            ada.admin("stripe", Method::DELETE, "calls", &Value::Null).await;
            let (status, _, answer) = ada.call(Method::POST, "/proxy/stripe/v1/customers", &headers, &body).await;
            let arrived = last_call(&ada, "stripe").await;
            if fits {
                assert_eq!(arrived["body_sha256"], hex::encode(Sha256::digest(&body)), "{case}: {status}");
                assert_eq!(
                    arrived["headers"]["content-type"],
                    if body.is_empty() { Value::Null } else { (*content_type).into() }
                );
                assert_eq!(arrived["headers"]["content-encoding"].as_str(), *encoding);
            } else {
                // API Gateway's own words, before the function: no write is sent.
                assert_eq!((status, answer.as_slice()), (413, br#"{"message":"Request Entity Too Large"}"#.as_slice()));
                assert!(arrived.is_null(), "{case}");
            }

            let mut sent = json!({ "content-type": content_type });
            sent.as_object_mut().unwrap().extend(encoding.map(|it| ("content-encoding".to_owned(), it.into())));
            let effect = json!({ "status": 200, "headers": sent, "body_base64": STANDARD.encode(&body) });
            ada.fault("stripe", "GET /v1/balance", 1, effect).await;
            let (status, headers, came) = ada.call(Method::GET, PATH, &[], b"").await;
            if fits {
                assert!(status == 200 && came == body, "{case}: {status}, {} bytes", came.len());
                assert_eq!(headers.get("content-encoding").and_then(|it| it.to_str().ok()), *encoding);
                passed += 1;
            } else {
                let answer: Value = serde_json::from_slice(&came).unwrap();
                assert_eq!((status, &answer["error"]["kind"]), (422, &"provider_rejected".into()), "{case}");
                let words = answer["error"]["message"].as_str().unwrap();
                assert!(words.contains(&format!("{size} bytes")) && words.contains("6291456"), "{words}");
                let ways = answer["error"]["next_action"].as_str().unwrap();
                assert!(ways.contains("Range") && ways.contains("/tokens/stripe"), "{ways}");
                refused += 1;
            }
        }
    }
    assert!(passed >= 30 && refused >= 6, "{passed} {refused}");
    // Of an answer that is not even read, the size is what the provider says.
    let effect = json!({ "status": 200, "body": "x".repeat(7_000_000) });
    ada.fault("stripe", "POST /v1/customers", 1, effect).await;
    let form = [("content-type", "application/x-www-form-urlencoded"), ("idempotency-key", "k")];
    let (status, _, answer) = ada.call(Method::POST, "/proxy/stripe/v1/customers", &form, b"name=x").await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(status == 422 && answer.contains("7000000 bytes"), "{status} {answer}");
    stack.shutdown().await;
}

/// The most memory that an `api-proxy` of this stack has used, in KB.
fn peak_memory(stack: &tests::Running) -> u64 {
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|process| process.path());
    let own = processes.filter(|process| {
        let is = std::fs::read_link(process.join("exe")).is_ok_and(|exe| exe.ends_with("api-proxy"));
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        is && String::from_utf8_lossy(&environment).contains(&stack.aws_url)
    });
    let peak = own.filter_map(|process| {
        let status = std::fs::read_to_string(process.join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    });
    peak.max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_megabytes_of_text_and_four_of_bytes_pass_within_128_megabytes() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    assert_eq!(ada.call(Method::GET, "/proxy/stripe/v1/account", &[], b"").await.0, 200);
    let begun = peak_memory(&stack);
    for (content_type, body) in
        [("text/plain", vec![b'x'; 5_000_000]), ("application/octet-stream", vec![0xff; 4_400_000])]
    {
        let headers = [("content-type", content_type)];
        ada.call(Method::POST, "/proxy/stripe/v1/customers", &headers, &body).await;
        let hash = hex::encode(Sha256::digest(&body));
        assert_eq!(last_call(&ada, "stripe").await["body_sha256"], hash, "{content_type}");
        let effect = json!({ "status": 200, "body_base64": STANDARD.encode(&body) });
        ada.fault("stripe", "GET /v1/balance", 1, effect).await;
        let (status, _, came) = ada.call(Method::GET, PATH, &[], b"").await;
        assert!(status == 200 && came == body, "{content_type}: {status}, {} bytes", came.len());
    }
    let peak = peak_memory(&stack);
    println!("api-proxy: {begun} KB before, {peak} KB at its peak");
    assert!(peak < 128 * 1024, "{peak} KB");
    stack.shutdown().await;
}
