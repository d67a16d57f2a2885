//! Uploads in parts: the address of an upload leads through the proxy, and each part arrives as it was sent.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use serde_json::Value;
use tests::{FAST, Guest, logs, stack};

use super::last_call;

const UNIT: usize = 256 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_begins_goes_on_is_asked_for_and_ends_through_the_proxy() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("gmail").await;
    let mail = format!("To: grace@example.com\r\nSubject: Long\r\n\r\n{}\r\n", "0123456789abcde\n".repeat(40_000));
    let (mail, total) = (mail.as_bytes(), mail.len());
    let length = total.to_string();
    let start = [("x-upload-content-type", "message/rfc822"), ("x-upload-content-length", length.as_str())];
    let begin = "/proxy/gmail/upload/gmail/v1/users/me/messages/send?uploadType=resumable";
    let (status, headers, body) = ada.call(Method::POST, begin, &start, b"").await;
    assert_eq!((status, body.as_slice()), (200, b"".as_slice()));
    let arrived = last_call(&ada, "gmail").await;
    for (name, value) in start.into_iter().chain([("content-length", "0")]) {
        assert_eq!(arrived["headers"][name], value, "{name}");
    }
    assert!(headers.contains_key("x-guploader-uploadid"), "{headers:?}");
    let address = headers["location"].to_str().unwrap();
    let (path, query) = address.strip_prefix(&stack.url).unwrap().split_once('?').unwrap();
    assert_eq!(path, "/proxy/gmail/upload/gmail/v1/users/me/messages/send");
    assert!(query.contains("uploadType=resumable") && query.contains("upload_id="), "{query}");

    let put = async |range: &str, bytes: &[u8]| {
        let kind = [("content-range", range), ("content-type", "message/rfc822")];
        let (status, headers, body) = ada.call(Method::PUT, &format!("{path}?{query}"), &kind, bytes).await;
        let range = headers.get("range").and_then(|range| range.to_str().ok()).map(str::to_owned);
        assert!(!headers.contains_key("location") && !headers.contains_key("intertie-removed"), "{headers:?}");
        (status, range, serde_json::from_slice::<Value>(&body).unwrap_or_default())
    };
    let ask = format!("bytes */{total}");
    assert_eq!(put(&ask, b"").await, (308, None, Value::Null), "nothing has arrived");
    let part = |first: usize, end: usize| format!("bytes {first}-{}/{total}", end - 1);
    assert_eq!(put(&part(0, UNIT), &mail[..UNIT]).await, (308, Some("bytes=0-262143".to_owned()), Value::Null));
    assert_eq!(put(&ask, b"").await, (308, Some("bytes=0-262143".to_owned()), Value::Null));
    assert_eq!(put(&part(UNIT, UNIT + 9), &mail[UNIT..UNIT + 9]).await.0, 400, "the provider's own refusal");
    let (status, range, sent) = put(&part(UNIT, total), &mail[UNIT..]).await;
    assert_eq!((status, range), (200, None), "{sent}");
    let id = sent["id"].as_str().unwrap();
    assert_eq!(put(&ask, b"").await.2["id"], id, "what was answered is answered again");
    let (_, read) =
        ada.api(Method::GET, &format!("/proxy/gmail/users/me/messages/{id}?format=raw"), &Value::Null).await;
    let raw = URL_SAFE_NO_PAD.decode(read["raw"].as_str().unwrap().trim_end_matches('=')).unwrap();
    assert!(raw.ends_with(mail), "byte for byte");
    // A part that arrived is no failure.
    let line = logs(&stack).lines().find(|line| line.contains("proxy PUT") && line.contains("308")).unwrap().to_owned();
    assert!(!line.contains("rejected"), "{line}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_to_slacks_own_host_and_its_plain_answer_is_no_failure() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect("slack?scopes=files:write").await;
    ada.quiet().await;
    let begin = "/proxy/slack/files.getUploadURLExternal?filename=a.txt&length=5";
    let (_, begun) = ada.api(Method::GET, begin, &Value::Null).await;
    let upload = begun["upload_url"].as_str().unwrap().replace("https://files.slack.com", "/proxy/slack");
    let (status, _, body) = ada.call(Method::POST, &upload, &[], b"Hello").await;
    assert_eq!((status, body.as_slice()), (200, b"OK - 5".as_slice()));
    let logs = logs(&stack);
    let line = logs.lines().find(|line| line.contains("proxy POST") && line.contains("called")).unwrap();
    assert!(!line.contains("\"reason\""), "{line}");
    stack.shutdown().await;
}
