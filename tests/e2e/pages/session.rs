//! How a browser gets its session.

use std::time::Duration;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use futures_util::future::join_all;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
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
        ("a token that has ended", Some(APP), mint(0), 401),
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
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let claims = json!({ "sub": "ada", "exp": platform::base::clock::now().as_second() + 50 });
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
    let answer =
        on_a_public_host(&stack, "GET", page, json!({ "cookies": [format!("intertie_session={token}")] })).await;
    assert_eq!(answer["statusCode"], 401, "the cookie of local runs: {answer}");
    let answer =
        on_a_public_host(&stack, "GET", page, json!({ "cookies": [format!("__Host-intertie_session={token}")] })).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");

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
}
