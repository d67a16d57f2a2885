//! How a browser gets its session.

use std::time::Duration;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use futures_util::future::join_all;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use local_base::web::Web;
use local_cli::{
    browser::{Browser, BrowserPage},
    bundle::Bundle,
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{APP, FORM, running};

/// Signs in as the application's page does.
async fn sign_in(stack: &Bundle, origin: Option<&str>, token: &str, return_to: &str) -> BrowserPage {
    let browser = Browser::new();
    let mut headers = vec![("content-type", FORM)];
    headers.extend(origin.map(|origin| ("origin", origin)));
    let form = format!("token={token}&return_to={return_to}");
    browser.send(Method::POST, &format!("{}/session", stack.url), &headers, form).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_with_a_fresh_token_of_the_applications_page_once() {
    let stack = running().await;
    let mint = |seconds: u64| stack.session("ada", None, Duration::from_secs(seconds)).unwrap();
    let own = "/settings/integrations";
    for (what, origin, token, status) in [
        ("no origin", None, mint(50), 403),
        ("another origin", Some("https://evil.example"), mint(50), 403),
        (
            "an origin that only begins as the application's",
            Some("https://app.example.com.evil.example"),
            mint(50),
            403,
        ),
        ("no token", Some(APP), String::new(), 401),
        ("a token that lives too long", Some(APP), mint(90), 401),
        ("a token that has ended", Some(APP), ended(&stack), 401),
        ("a token without a name", Some(APP), unnamed(&stack), 401),
        ("a token of nobody", Some(APP), "a.b.c".to_owned(), 401),
    ] {
        let page = sign_in(&stack, origin, &token, own).await;
        assert_eq!(page.status, status, "{what}: {}", page.body);
        assert!(!page.headers.contains_key("set-cookie"), "{what}");
    }

    let token = mint(50);
    let page = sign_in(&stack, Some(APP), &token, "/settings/integrations?tab=1").await;
    let home = format!("{}/settings/integrations?tab=1", stack.url);
    assert_eq!((page.status, page.location), (303, Some(home)), "{}", page.body);
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    for part in ["intertie_session=", "; Path=/", "; HttpOnly", "; SameSite=Lax", "; Max-Age="] {
        assert!(cookie.contains(part), "{part} is missing: {cookie}");
    }
    assert!(!cookie.contains(&token), "the posted token is not the session");
    assert_eq!(sign_in(&stack, Some(APP), &token, own).await.status, 401, "a token was taken twice");
    let token = mint(50);
    let at_once = join_all((0..5).map(|_| sign_in(&stack, Some(APP), &token, own))).await;
    assert_eq!(at_once.iter().filter(|page| page.status == 303).count(), 1, "of five at once one begins a session");
    let token = mint(50);
    let page = sign_in(&stack, Some(APP), &token, "//evil.example").await;
    assert_eq!((page.status, page.location), (422, None), "{}", page.body);
    assert_eq!(sign_in(&stack, Some(APP), &token, own).await.status, 303, "what is refused uses no token up");
    stack.shutdown().await;
}

/// A token that is right in all but that it has no name.
fn unnamed(stack: &Bundle) -> String {
    signed(stack, &json!({ "sub": "ada", "exp": now() + 50 }))
}

/// A token that ended before the time by which clocks may differ.
fn ended(stack: &Bundle) -> String {
    signed(stack, &json!({ "sub": "ada", "exp": now() - 61, "jti": "ended" }))
}

fn now() -> i64 {
    platform::base::clock::now().as_second()
}

/// A token as the application signs it.
fn signed(stack: &Bundle, claims: &Value) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", encode(br#"{"alg":"HS256","typ":"JWT"}"#), encode(claims.to_string().as_bytes()));
    let key = STANDARD.decode(stack.session_key.expose_secret()).unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(&message).finalize().into_bytes();
    format!("{message}.{}", encode(&mac))
}

/// A call as API Gateway passes it on for a public host, with these fields in place of the sample's.
async fn on_a_public_host(stack: &Bundle, method: &str, path: &str, fields: Value) -> Value {
    let sample =
        std::fs::read_to_string(local_runtime::bootstraps::root().join("events/http-integrations.json")).unwrap();
    let mut event: Value = serde_json::from_str(&sample).unwrap();
    event["requestContext"]["http"]["method"] = method.into();
    event["requestContext"]["http"]["path"] = path.into();
    event["rawPath"] = path.into();
    fields.as_object().unwrap().iter().for_each(|(name, value)| event[name] = value.clone());
    let answer = stack.function("integrations-api").unwrap().invoke(event.to_string().into()).await.unwrap();
    serde_json::from_slice(&answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_public_host_there_is_no_short_cut_and_cookies_are_its_own() {
    let stack = running().await;
    let token = stack.session("ada", None, Duration::from_secs(50)).unwrap();
    let page = "/settings/integrations";
    let answer = on_a_public_host(&stack, "GET", page, json!({ "rawQueryString": format!("session={token}") })).await;
    assert_eq!((&answer["statusCode"], &answer["cookies"]), (&json!(401), &json!([])), "{answer}");
    let headers = json!({ "origin": APP, "content-type": FORM });
    let form = json!({ "headers": headers, "body": format!("token={token}") });
    let answer = on_a_public_host(&stack, "POST", "/session", form).await;
    assert_eq!(answer["statusCode"], 303, "{answer}");
    let cookie = answer["cookies"][0].as_str().unwrap_or_default();
    assert!(cookie.starts_with("__Host-intertie_session="), "{answer}");
    for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(cookie.contains(part), "{part} is missing: {cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    let session = cookie.split([';', '=']).nth(1).unwrap();
    for (name, value, status) in [
        ("__Host-intertie_session", session, 200),
        ("intertie_session", session, 401),
        ("__Host-intertie_session", &*token, 401),
    ] {
        let cookies = json!({ "cookies": [format!("{name}={value}")] });
        let answer = on_a_public_host(&stack, "GET", page, cookies).await;
        assert_eq!(answer["statusCode"], status, "{name}: {answer}");
    }
}

/// A call of a program: status and body.
async fn program(stack: &Bundle, path: &str, token: &str, body: Value) -> (u16, Value) {
    let headers = [("authorization", &*format!("Bearer {token}")), ("content-type", "application/json")];
    let url = format!("{}{path}", stack.url);
    let answer = Web::new().call(Method::POST, &url, &headers, body.to_string()).await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default())
}

/// Signs in by a code.
async fn sign_in_by_code(stack: &Bundle, browser: &Browser, origin: &str, code: &str) -> BrowserPage {
    let headers = [("content-type", FORM), ("origin", origin)];
    browser.send(Method::POST, &format!("{}/session", stack.url), &headers, format!("code={code}")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_lives_long_begins_a_session_by_a_code_once_from_the_page_it_is_for() {
    let stack = running().await;
    let token = stack.session("ada", None, Duration::from_hours(1)).unwrap();
    let (status, refused) = program(&stack, "/session/code", &token, json!({ "origin": "https://evil.example" })).await;
    assert_eq!((status, &refused["error"]["fields"][0]["field"]), (422, &json!("origin")), "{refused}");
    let ask = async || program(&stack, "/session/code", &token, json!({ "origin": APP })).await.1;
    let answer = ask().await;
    let code = answer["code"].as_str().unwrap();
    let ends: jiff::Timestamp = answer["expires_at"].as_str().unwrap().parse().unwrap();
    assert!((50..=60).contains(&(ends.as_second() - now())), "{answer}");

    let own = stack.url.trim_end_matches('/');
    let page = sign_in_by_code(&stack, &Browser::new(), own, code).await;
    assert_eq!(page.status, 403, "a page of another trusted origin: {}", page.body);
    let browser = Browser::new();
    assert_eq!(sign_in_by_code(&stack, &browser, APP, code).await.status, 303);
    let settings = format!("{}/settings/integrations", stack.url);
    assert_eq!(browser.get(&settings).await.unwrap().status, 200);
    assert_eq!(sign_in_by_code(&stack, &Browser::new(), APP, code).await.status, 401, "a code was taken twice");

    let another = ask().await["code"].as_str().unwrap().to_owned();
    let page = sign_in(&stack, Some(APP), &another, "/settings/integrations").await;
    assert_eq!(page.status, 401, "a code is no token: {}", page.body);
    assert_eq!(program(&stack, "/session/code", &another, json!({ "origin": APP })).await.0, 401, "nor a Bearer token");
    let both = format!("code={another}&token={}", stack.session("ada", None, Duration::from_secs(50)).unwrap());
    let headers = [("content-type", FORM), ("origin", APP)];
    let page = Browser::new().send(Method::POST, &format!("{}/session", stack.url), &headers, both).await.unwrap();
    assert_eq!(page.status, 422, "{}", page.body);
    assert_eq!(sign_in_by_code(&stack, &Browser::new(), APP, &another).await.status, 303, "a refusal uses none up");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_browser_sessions_of_the_user_that_began_before_and_no_token_of_the_application() {
    let stack = running().await;
    let token = stack.session("ada", None, Duration::from_hours(1)).unwrap();
    let settings = format!("{}/settings/integrations", stack.url);
    let begin = async |user: &str| {
        let browser = Browser::new();
        let token = stack.session(user, None, Duration::from_secs(50)).unwrap();
        assert_eq!(browser.get(&format!("{settings}?session={token}")).await.unwrap().status, 303);
        browser
    };
    let (here, there, of_bob) = (begin("ada").await, begin("ada").await, begin("bob").await);
    let status = async |browser: &Browser| browser.get(&settings).await.unwrap().status;
    let end = format!("{}/session/end", stack.url);
    let own = stack.url.trim_end_matches('/');
    let form = |csrf: &str| format!("csrf={csrf}");
    let headers = [("content-type", FORM), ("origin", own)];
    let page = here.send(Method::POST, &end, &headers, form("guessed")).await.unwrap();
    assert_eq!(page.status, 403, "{}", page.body);
    assert_eq!((status(&here).await, status(&there).await), (200, 200), "a form without the page's token ends nothing");

    let csrf = super::csrf_of(&here.get(&settings).await.unwrap().body);
    let page = here.send(Method::POST, &end, &headers, form(&csrf)).await.unwrap();
    assert_eq!((page.status, page.location.as_deref()), (303, Some(APP)), "{}", page.body);
    assert!(page.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"), "{:?}", page.headers);
    assert_eq!((status(&here).await, status(&there).await, status(&of_bob).await), (401, 401, 200));
    let connect = there.get(&format!("{}/connect/slack", stack.url)).await.unwrap();
    assert_eq!(connect.status, 401, "no function takes the ended session");
    let again = begin("ada").await;
    assert_eq!(status(&again).await, 200, "a session that began later");
    assert_eq!(
        program(&stack, "/session/code", &token, json!({ "origin": APP })).await.0,
        200,
        "the application's token"
    );

    // The application signs its user out, and a code that was given out before is of no use.
    let code = program(&stack, "/session/code", &token, json!({ "origin": APP })).await.1;
    assert_eq!(program(&stack, "/session/end", &token, json!({})).await.0, 204);
    assert_eq!((status(&again).await, status(&of_bob).await), (401, 200));
    let page = sign_in_by_code(&stack, &Browser::new(), APP, code["code"].as_str().unwrap()).await;
    assert_eq!(page.status, 401, "{}", page.body);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_that_acts_for_an_organisation_is_logged_also_in_the_browser() {
    let stack = running().await;
    let claims = json!({ "sub": "acme", "exp": now() + 50, "jti": "one", "act": { "sub": "ada-of-acme" } });
    let page = sign_in(&stack, Some(APP), &signed(&stack, &claims), "/settings/integrations").await;
    assert_eq!(page.status, 303, "{}", page.body);
    let cookie = page.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let settings = format!("{}/settings/integrations", stack.url);
    let page = Browser::new().send(Method::GET, &settings, &[("cookie", &cookie)], String::new()).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.body);
    let as_another = json!({ "sub": "acme", "exp": now() + 50, "act": { "sub": "grace-of-acme" } });
    assert_eq!(program(&stack, "/session/end", &signed(&stack, &as_another), json!({})).await.0, 204);
    let status = async || {
        Browser::new().send(Method::GET, &settings, &[("cookie", &cookie)], String::new()).await.unwrap().status
    };
    assert_eq!(status().await, 200, "another person of the organisation signed out");
    let of_all = json!({ "sub": "acme", "exp": now() + 50 });
    assert_eq!(program(&stack, "/session/end", &signed(&stack, &of_all), json!({})).await.0, 204);
    assert_eq!(status().await, 401, "the organisation signed out");
    let logged = async || tests::logs(&stack).contains(r#""actor":"ada-of-acme""#).then_some(());
    stack.until(tests::PATIENCE, logged).await.expect("the log names the actor");
    stack.shutdown().await;
}
