//! People and programs at the HTTP API: what each may see, and the answer to anything else.

use std::time::Duration;

use http::Method;
use local_base::web::Web;
use local_cli::bundle::Bundle;
use serde_json::Value;
use tests::{PATIENCE, customer_event, deliver, seen, stack};

async fn get(web: &Web, stack: &Bundle, path: &str, token: Option<&str>) -> (u16, Value) {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|value| ("authorization", value.as_str())).collect();
    let response = web.call(Method::GET, &format!("{}{path}", stack.url), &headers, "").await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(response.body()).unwrap_or_else(|error| panic!("{path}: {error}")))
}

fn session(stack: &Bundle, user: &str, role: Option<&str>) -> String {
    stack.session(user, role, Duration::from_mins(1)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_sees_their_own_integrations_and_records_and_nobody_elses() {
    let stack = stack(&[]).await;
    let web = Web::new();
    for index in 0..5 {
        let event = customer_event(&format!("evt_{index}"), &format!("cus_{index}"), 1);
        assert_eq!(deliver(&web, &stack, &event).await, Some(200));
    }
    for index in 0..5 {
        let done = async || seen(&stack, &format!("evt_{index}")).await.filter(|seen| seen.state == "done");
        stack.until(PATIENCE, done).await.unwrap();
    }
    let (owner, other) = (session(&stack, "user-1", None), session(&stack, "user-2", None));
    let (status, own) = get(&web, &stack, "/integrations", Some(&owner)).await;
    assert_eq!((status, own["integrations"].as_array().unwrap().len()), (200, 4));
    assert_eq!(own["integrations"][1]["state"], "connected");
    let (_, others) = get(&web, &stack, "/integrations/stripe", Some(&other)).await;
    assert_eq!(others["integrations"][0]["state"], "never_connected");

    let (_, page) = get(&web, &stack, "/integrations/stripe/records?stream=customers&limit=3", Some(&owner)).await;
    let next = page["next"].as_str().unwrap().replace('#', "%23");
    let (_, rest) =
        get(&web, &stack, &format!("/integrations/stripe/records?limit=3&after={next}"), Some(&owner)).await;
    let ids = |page: &Value| page["records"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect::<Vec<_>>();
    assert_eq!([ids(&page), ids(&rest)].concat(), ["cus_0", "cus_1", "cus_2", "cus_3", "cus_4"]);
    assert_eq!(rest["next"], Value::Null);
    let (status, problem) = get(&web, &stack, "/integrations/stripe/records", Some(&other)).await;
    assert_eq!((status, &problem["error"]["kind"]), (409, &"not_connected".into()));
    for limit in ["0", "1001", "x", "-1"] {
        let (status, _) = get(&web, &stack, &format!("/integrations/stripe/records?limit={limit}"), Some(&owner)).await;
        assert_eq!(status, 422, "{limit}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_session_and_only_an_admin_sees_health() {
    let stack = stack(&[]).await;
    let web = Web::new();
    let user = session(&stack, "user-1", None);
    let admin = session(&stack, "root", Some("admin"));
    for path in ["/integrations", "/integrations/stripe", "/integrations/stripe/records", "/health", "/users/u"] {
        for token in [None, Some("a.b.c"), Some("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1IiwiZXhwIjo5OTk5OTk5OTk5fQ.")] {
            let (status, problem) = get(&web, &stack, path, token).await;
            assert_eq!((status, &problem["error"]["kind"]), (401, &"unauthenticated".into()), "{path}");
            assert!(problem["error"]["request_id"].as_str().is_some_and(|id| !id.is_empty()));
        }
    }
    assert_eq!(get(&web, &stack, "/health", Some(&user)).await.0, 403);
    let (status, health) = get(&web, &stack, "/health", Some(&admin)).await;
    assert_eq!((status, &health["services"][0]["status"]), (200, &"idle".into()));
    assert_eq!(health["services"][0]["error_rate_24h"], Value::Null);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_the_api_answers_is_public_and_costs_no_call() {
    let stack = stack(&[]).await;
    let web = Web::new();
    let url = format!("{}/livez", stack.url);
    let asked = async || web.call(Method::GET, &url, &[], "").await.unwrap();
    assert_eq!((asked().await.status().as_u16(), asked().await.body().len()), (200, 0));
    let calls = || stack.gateway.counts().into_iter().filter(|((caller, ..), _)| caller.ends_with("integrations-api"));
    let before: Vec<_> = calls().collect();
    assert_eq!(asked().await.status(), 200);
    assert_eq!(calls().collect::<Vec<_>>(), before);
    let admin = session(&stack, "root", Some("admin"));
    assert_eq!(get(&web, &stack, "/health", Some(&admin)).await.0, 200);
    assert_ne!(calls().collect::<Vec<_>>(), before, "what asks a store is counted");
    let posted = web.call(Method::POST, &url, &[], "").await.unwrap();
    assert_eq!((posted.status().as_u16(), &posted.headers()["allow"]), (405, &"GET".parse().unwrap()));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_of_the_api_is_public_and_the_repositorys() {
    let stack = stack(&[]).await;
    let (status, description) = get(&Web::new(), &stack, "/openapi.json", None).await;
    let file = std::fs::read(local_runtime::bootstraps::root().join("docs/openapi.json")).unwrap();
    assert_eq!((status, description), (200, serde_json::from_slice(&file).unwrap()));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_opens_by_the_local_shortcut_and_a_cookie_cannot_act() {
    let stack = stack(&[]).await;
    let web = Web::new();
    let token = session(&stack, "user-1", None);
    let shortcut = format!("{}/settings/integrations?session={token}", stack.url);
    let response = web.call(Method::GET, &shortcut, &[], "").await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (303, &"/settings/integrations".parse().unwrap())
    );
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let page = format!("{}/settings/integrations", stack.url);
    let response = web.call(Method::GET, &page, &[("cookie", &cookie)], "").await.unwrap();
    let html = String::from_utf8_lossy(response.body());
    assert_eq!(response.status(), 200);
    for name in ["Slack", "Stripe", "Google Calendar", "Gmail", "Shop"] {
        assert!(html.contains(name), "{name}");
    }
    assert!(response.headers().contains_key("content-security-policy"));
    let style = web.call(Method::GET, &format!("{}/settings/assets/style.css", stack.url), &[], "").await.unwrap();
    assert_eq!(
        (style.status().as_u16(), &style.headers()["content-type"]),
        (200, &"text/css; charset=utf-8".parse().unwrap())
    );
    // Actions and the proxy spend tokens: a browser's cookie must not be able to.
    for path in ["/actions/stripe/x", "/proxy/stripe/v1/customers"] {
        let url = format!("{}{path}", stack.url);
        let response = web.call(Method::POST, &url, &[("cookie", &cookie)], "").await.unwrap();
        assert_eq!(response.status(), 401, "{path}");
    }
    let plain = web.call(Method::GET, &page, &[("accept", "text/html")], "").await.unwrap();
    assert_eq!(plain.status(), 401);
    assert!(String::from_utf8_lossy(plain.body()).contains("You are not signed in"));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_paths_headers_and_queries_never_break_a_function() {
    let stack = stack(&[]).await;
    let web = Web::new();
    let token = format!("Bearer {}", session(&stack, "user-1", None));
    let long = format!("/{}", "a".repeat(8_000));
    for path in [
        "/a%20b",
        "/%00",
        "/%ff%fe",
        "/%0d%0aX:1",
        "/integrations/%2e%2e",
        "/integrations/%3Cscript%3E",
        "/%F0%9F%98%80",
        "/integrations?%",
        "/integrations?a=%ff",
        "/integrations/stripe/records?stream=%00&after=%23",
        "//evil",
        "/[",
        "/proxy/stripe/v1/%2e%2e/%2f",
        "/settings/assets/..%2f..%2fsecret",
        &long,
    ] {
        let url = format!("{}{path}", stack.url);
        let response = web.call(Method::GET, &url, &[("authorization", &token)], "").await.unwrap();
        assert!(response.status().as_u16() != 500, "{path:.40} answered {}", response.status());
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_origin_may_read_and_a_preflight_needs_no_session() {
    let stack = stack(&[("AllowedOrigins", "https://app.example.com")]).await;
    let web = Web::new();
    for path in ["/integrations", "/proxy/stripe/v1/customers", "/no/such/path"] {
        for (origin, allowed) in [("https://app.example.com", true), ("https://evil.example", false)] {
            let headers = [("origin", origin), ("access-control-request-method", "GET")];
            let response = web.call(Method::OPTIONS, &format!("{}{path}", stack.url), &headers, "").await.unwrap();
            assert_eq!(response.status(), 204, "{path}");
            let is_allowed = response.headers().get("access-control-allow-origin").is_some();
            assert_eq!(is_allowed, allowed, "{path} {origin}");
        }
    }
    let headers = [("origin", "https://app.example.com")];
    let response = web.call(Method::GET, &format!("{}/integrations", stack.url), &headers, "").await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["access-control-allow-origin"], "https://app.example.com");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_goes_beyond_its_role_is_denied() {
    let stack = stack(&[]).await;
    let function = stack.function("integrations-api").unwrap();
    let environment = local_runtime::lambda::Environment::start(function.spec(), &stack.host).await.unwrap();
    let clients = local_aws::Clients::new(&stack.aws_url, local_aws::REGION, environment.access_key());
    let denied = clients.dynamodb.scan().table_name(stack.table("credentials")).send().await.unwrap_err();
    assert_eq!(aws_sdk_dynamodb::error::ProvideErrorMetadata::code(&denied), Some("AccessDeniedException"));
    environment.end().await;
    stack.shutdown().await;
}
