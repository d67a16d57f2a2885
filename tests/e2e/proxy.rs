//! The proxy: a path reaches the provider as it was meant, and nothing leads a token anywhere else.

mod bytes;
mod credentials;
mod errors;
mod headers;
mod links;
mod lists;
mod methods;
mod recorder;
mod sizes;
mod uploads;

use http::Method;
use local_base::web::Web;
use serde_json::{Value, json};
use tests::{FAST, Guest, stack};

async fn get(guest: &Guest<'_>, path: &str) -> (u16, Value) {
    guest.api(Method::GET, path, &Value::Null).await
}

/// What a provider was called for, since it was last asked to forget.
async fn called(guest: &Guest<'_>, provider: &str) -> Vec<String> {
    let calls = guest.admin(provider, Method::GET, "calls", &Value::Null).await;
    guest.admin(provider, Method::DELETE, "calls", &Value::Null).await;
    calls.as_array().unwrap().iter().map(|call| call["path"].as_str().unwrap().to_owned()).collect()
}

/// The last call that a provider got since it was asked to forget; null if none.
async fn last_call(guest: &Guest<'_>, provider: &str) -> Value {
    let calls = guest.admin(provider, Method::GET, "calls", &Value::Null).await;
    calls.as_array().and_then(|calls| calls.last()).cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_arrive_intact_and_hostile_ones_do_not_leave() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("google-calendar").await;
    ada.connect_and_sync("slack").await;
    for provider in ["slack", "google-calendar"] {
        called(&ada, provider).await;
    }
    let holidays = "calendars/en.usa%23holiday%40group.v.calendar.google.com/events";
    let (_, body) = get(&ada, &format!("/proxy/google-calendar/{holidays}?maxResults=1&q=a%26b")).await;
    let expected = format!("/calendar/v3/{holidays}?maxResults=1&q=a%26b");
    assert_eq!(called(&ada, "google-calendar").await, [expected], "{body}");

    // Refused before anything is sent.
    for path in [
        "..",
        "../admin",
        "..%2f..%2fadmin",
        "%2e%2e/%2e%2e/admin",
        "a/../../admin",
        "./auth.test",
        "https://evil.example/x",
        "https:%2f%2fevil.example/x",
        "%2fevil.example/x",
        "auth.test%0d%0aHost:%20evil.example",
        "auth.test%00",
        "auth.test%0a",
    ] {
        let (status, body) = get(&ada, &format!("/proxy/slack/{path}")).await;
        assert!((400..500).contains(&status), "{path} answered {status} {body}");
        assert_eq!(called(&ada, "slack").await, [""; 0], "{path} left");
    }
    // What only looks like a host, a user or a fragment is a name in a path.
    for (path, expected) in [
        ("@evil.example", "/api/%40evil.example"),
        ("auth.test%23x", "/api/auth.test%23x"),
        ("auth.test%3Fx=1", "/api/auth.test%3Fx%3D1"),
        ("%5c%5cevil.example%5cx", "/api/%5C%5Cevil.example%5Cx"),
        ("%252e%252e", "/api/%252e%252e"),
        (".evil.example", "/api/.evil.example"),
        ("auth.test?x=%0d%0aHost:evil", "/api/auth.test?x=%0D%0AHost%3Aevil"),
    ] {
        let (status, body) = get(&ada, &format!("/proxy/slack/{path}")).await;
        assert!(status < 500, "{path} answered {status} {body}");
        assert_eq!(called(&ada, "slack").await, [expected], "{path}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_as_the_providers_own_sdks_build_it_leads_to_the_same_place_and_to_uploads() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    for provider in ["slack", "google-calendar", "gmail"] {
        ada.connect_and_sync(provider).await;
    }
    for (provider, whole, short) in [
        ("slack", "api/auth.test", "auth.test"),
        ("google-calendar", "calendar/v3/users/me/calendarList?maxResults=1", "users/me/calendarList?maxResults=1"),
        ("gmail", "gmail/v1/users/me/profile", "users/me/profile"),
    ] {
        called(&ada, provider).await;
        for path in [whole, short] {
            let (status, body) = get(&ada, &format!("/proxy/{provider}/{path}")).await;
            assert_eq!(status, 200, "{path}: {body}");
            assert_eq!(called(&ada, provider).await, [format!("/{whole}")], "{path}");
        }
    }
    let (status, body) = get(&ada, "/proxy/gmail/upload/drive/v3/files").await;
    assert_eq!(status, 404, "what is no base of this API is below its base: {body}");
    assert_eq!(called(&ada, "gmail").await, ["/gmail/v1/upload/drive/v3/files"]);
    let session = stack.session("ada", None, std::time::Duration::from_mins(5)).unwrap();
    let headers = [("authorization", &*format!("Bearer {session}")), ("content-type", "message/rfc822")];
    let url = format!("{}/proxy/gmail/upload/gmail/v1/users/me/messages/send?uploadType=media", stack.url);
    let mail = "From: ada@example.com\r\nTo: grace@example.com\r\nSubject: Hi\r\n\r\nHello\r\n";
    let answer = Web::new().call(Method::POST, &url, &headers, mail).await.unwrap();
    let body = String::from_utf8_lossy(answer.body());
    // The mailbox has changed, so that a sync may have followed.
    assert_eq!(called(&ada, "gmail").await[0], "/upload/gmail/v1/users/me/messages/send?uploadType=media", "{body}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_path_and_its_query_arrive_as_they_were_sent() {
    let (stack, recorder) = recorder::Recorder::stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect("slack").await;
    ada.quiet().await;
    for (sent, arrives) in [
        ("auth.test/", "/api/auth.test/"),
        ("api/auth.test/", "/api/auth.test/"),
        ("auth.test?a=&b&c=d%20e+f&c=%2F&=", "/api/auth.test?a=&b&c=d%20e+f&c=%2F&="),
        ("auth.test?a=1&a=2,3&b=%C3%BC%26", "/api/auth.test?a=1&a=2,3&b=%C3%BC%26"),
        ("auth.test/?x=/", "/api/auth.test/?x=/"),
        // API Gateway decodes a path once: these can't be told from what they stand for.
        ("auth.test%2Fx", "/api/auth.test/x"),
        ("auth.test/a%20b", "/api/auth.test/a%20b"),
        ("auth.test/%252F", "/api/auth.test/%252F"),
    ] {
        recorder.forget();
        let (status, ..) = ada.call(Method::GET, &format!("/proxy/slack/{sent}"), &[], b"").await;
        let (line, _) = recorder.head().unwrap_or_else(|| panic!("{sent}: {status}"));
        assert_eq!(line, format!("GET {arrives} HTTP/1.1"), "{sent}");
    }
    for refused in ["auth.test//", "auth.test//x", "/auth.test"] {
        recorder.forget();
        let (status, ..) = ada.call(Method::GET, &format!("/proxy/slack/{refused}"), &[], b"").await;
        assert!((400..500).contains(&status) && recorder.head().is_none(), "{refused}: {status}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed_and_only_harmless_headers_pass() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("slack").await;
    let session = stack.session("ada", None, std::time::Duration::from_mins(5)).unwrap();
    let headers = [
        ("authorization", format!("Bearer {session}")),
        ("cookie", "a=b".to_owned()),
        ("x-forwarded-host", "evil.example".to_owned()),
    ];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let effect = json!({ "status": 302, "headers": {
        "location": "http://169.254.169.254/latest/meta-data", "set-cookie": "x=y", "etag": "\"1\"" } });
    ada.fault("slack", "/api/auth.test", 5, effect).await;
    let before = ada.calls("slack", "/api/auth.test").await;
    let url = format!("{}/proxy/slack/auth.test", stack.url);
    let answer = Web::new().call(Method::GET, &url, &headers, "").await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(ada.calls("slack", "/api/auth.test").await, before + 1);
    let names: Vec<_> = answer.headers().keys().map(http::HeaderName::as_str).collect();
    assert!(names.contains(&"etag") && !names.contains(&"location") && !names.contains(&"set-cookie"), "{names:?}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_to_stripe_whose_reply_was_lost_is_repeated_under_its_own_key_and_done_once() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let (status, body) = ada.api(Method::POST, "/connect/stripe", &json!({ "api_key": "rk_test_sandbox" })).await;
    assert_eq!(status, 201, "{body}");
    ada.settled("syncs").await;
    let subscriptions = async || {
        let all = ada.admin("stripe", Method::GET, "subscriptions", &Value::Null).await;
        all.as_array().map_or(0, Vec::len)
    };
    let customers = ada.admin("stripe", Method::GET, "customers", &Value::Null).await;
    let before = subscriptions().await;
    ada.fault("stripe", "POST /v1/subscriptions", 1, json!({ "close": true, "after": true })).await;
    let input = json!({ "customer": customers[0]["id"], "price": "price_sandbox", "plan": "pro" });
    let (status, body) = ada.api(Method::POST, "/actions/stripe/create_subscription", &input).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(subscriptions().await, before + 1, "one subscription for two calls");
    assert_eq!(ada.calls("stripe", "POST /v1/subscriptions").await, 2);

    // Three times down, then up; and what Stripe says not to send again is not.
    let read = async |times: u32, effect: Value| {
        let seen = ada.calls("stripe", "GET /v1/balance").await;
        ada.fault("stripe", "GET /v1/balance", times, effect).await;
        let (status, _) = get(&ada, "/proxy/stripe/v1/balance").await;
        ada.admin("stripe", Method::DELETE, "faults", &Value::Null).await;
        (status, ada.calls("stripe", "GET /v1/balance").await - seen)
    };
    assert_eq!(read(3, json!({ "status": 503 })).await.1, 4);
    assert_eq!(read(4, json!({ "status": 503 })).await, (503, 4));
    let hint = |retry: &str| json!({ "status": 500, "headers": { "stripe-should-retry": retry } });
    assert_eq!(read(1, hint("false")).await, (500, 1));
    assert_eq!(read(1, hint("true")).await.1, 2);
    stack.shutdown().await;
}
