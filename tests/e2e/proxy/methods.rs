//! A request counts as the method that it names.

use http::Method;
use serde_json::{Value, json};
use tests::{FAST, Guest, logs, stack};

use super::last_call;

const LIST: &str = "/proxy/google-calendar/users/me/calendarList";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_repeated_and_logged_as_the_method_that_it_names_in_a_header() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("google-calendar").await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let overridden = |method: &'static str| ("x-http-method-override", method);
    // Google's client for Python sends a GET with a long query so.
    let (status, _, body) = ada.call(Method::POST, LIST, &[form, overridden("GET")], b"maxResults=1").await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, body["items"].as_array().map(Vec::len)), (200, Some(1)), "{body}");
    assert_eq!(last_call(&ada, "google-calendar").await["headers"]["x-http-method-override"], "GET");

    let down = async |method: Method, headers: &[(&str, &str)]| {
        let name = format!("{method} /calendar/v3/users/me/calendarList");
        let before = ada.calls("google-calendar", &name).await;
        ada.fault("google-calendar", &name, 4, json!({ "status": 503 })).await;
        let (status, ..) = ada.call(method, LIST, headers, b"").await;
        ada.admin("google-calendar", Method::DELETE, "faults", &Value::Null).await;
        (status, ada.calls("google-calendar", &name).await - before)
    };
    assert_eq!(down(Method::POST, &[overridden("get")]).await, (503, 4), "it reads");
    assert_eq!(down(Method::GET, &[]).await, (503, 4));
    assert_eq!(down(Method::POST, &[overridden("DELETE")]).await, (503, 1), "it may have been carried out");
    assert_eq!(down(Method::POST, &[]).await, (503, 1));
    let logs = logs(&stack);
    assert!(logs.contains("proxy DELETE") && logs.contains("proxy POST"), "the log names the method that counts");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_override_that_can_not_be_honoured_refuses_the_call() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    ada.connect("google-calendar").await;
    ada.quiet().await;
    for (path, header, value) in [
        ("/proxy/stripe/v1/account", "x-http-method-override", "DELETE"),
        (LIST, "x-http-method", "DELETE"),
        (LIST, "x-http-method-override", "ERASE"),
        (LIST, "x-http-method-override", "GET, DELETE"),
    ] {
        for provider in ["stripe", "google-calendar"] {
            ada.admin(provider, Method::DELETE, "calls", &Value::Null).await;
        }
        let (status, _, body) = ada.call(Method::POST, path, &[(header, value)], b"").await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &body["error"]["fields"][0]["field"]), (422, &header.into()), "{value}: {body}");
        for provider in ["stripe", "google-calendar"] {
            assert!(last_call(&ada, provider).await.is_null(), "{header} left");
        }
    }
    // Providers honour it on POST, and where uploads go nothing documents it: a write must not pass for a read.
    let upload = "/proxy/gmail/upload/gmail/v1/users/me/messages/send?uploadType=media";
    for (method, path) in [
        (Method::PUT, LIST),
        (Method::PATCH, LIST),
        (Method::DELETE, LIST),
        (Method::GET, LIST),
        (Method::POST, upload),
    ] {
        ada.admin("google-calendar", Method::DELETE, "calls", &Value::Null).await;
        let (status, _, body) = ada.call(method.clone(), path, &[("x-http-method-override", "GET")], b"").await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        let field = &body["error"]["fields"][0]["field"];
        assert_eq!((status, field), (422, &"x-http-method-override".into()), "{method} {path}: {body}");
        assert!(last_call(&ada, "google-calendar").await.is_null(), "{method} left");
    }
    // Google takes these in the query, too.
    for name in ["$httpMethod", "$httpHeaders"] {
        let (status, _, body) = ada.call(Method::GET, &format!("{LIST}?{name}=DELETE"), &[], b"").await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &body["error"]["fields"][0]["field"]), (422, &name.into()), "{body}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_refused_before_anything_is_sent() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    for provider in ["google-calendar", "gmail"] {
        ada.connect_and_sync(provider).await;
    }
    let inner = "--b\r\nContent-Type: application/http\r\n\r\nGET /gmail/v1/users/me/profile HTTP/1.1\r\n\r\n--b--";
    for path in ["gmail/batch/gmail/v1", "gmail/batch", "google-calendar/batch/calendar/v3", "google-calendar/batch"] {
        ada.admin("gmail", Method::DELETE, "calls", &Value::Null).await;
        let kind = [("content-type", "multipart/mixed; boundary=b")];
        let (status, _, body) = ada.call(Method::POST, &format!("/proxy/{path}"), &kind, inner.as_bytes()).await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &body["error"]["kind"]), (422, &"invalid_request".into()), "{path}: {body}");
        let words = body["error"]["message"].as_str().unwrap();
        assert!(words.contains("batch") && words.contains("limits"), "{words}");
        assert_eq!(body["error"]["next_action"], "Send its calls one by one.");
        assert!(last_call(&ada, "gmail").await.is_null(), "{path}");
    }
    stack.shutdown().await;
}

/// RFC 9110 §9.3.8: the answer to TRACE is the request, with the token in it.
#[tokio::test(flavor = "multi_thread")]
async fn trace_does_not_reach_a_provider() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    ada.quiet().await;
    ada.admin("stripe", Method::DELETE, "calls", &Value::Null).await;
    let (status, headers, body) = ada.call(Method::TRACE, "/proxy/stripe/v1/account", &[], b"").await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &body["error"]["kind"]), (405, &"invalid_request".into()), "{body}");
    assert_eq!(headers["allow"], "DELETE, GET, HEAD, PATCH, POST, PUT");
    assert!(last_call(&ada, "stripe").await.is_null(), "it left");
    stack.shutdown().await;
}
